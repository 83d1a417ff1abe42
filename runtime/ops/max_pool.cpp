// gradus::max_pool2d: the most common case, squares of two by two side by side, float32 on the CPU, in kernels of our
// own (LibTorch's goes value by value); everything else by LibTorch's operator.
#include <ATen/Parallel.h>

#include "error.h"
#include "ops/vectors/vectors.h"
#include "step/direct.h"
#include "torch.h"

namespace gradus {
namespace {

bool is_all(at::IntArrayRef values, int64_t wanted) {
  return std::all_of(values.begin(), values.end(), [&](int64_t value) { return value == wanted; });
}

bool takes_own(const at::Tensor& x, at::IntArrayRef kernel, at::IntArrayRef stride, at::IntArrayRef padding,
               at::IntArrayRef dilation) {
  return x.device().is_cpu() && x.scalar_type() == at::kFloat && x.layout() == at::kStrided && x.dim() >= 3 &&
         x.is_contiguous() && x.size(-1) >= 2 && x.size(-2) >= 2 && is_all(kernel, 2) && is_all(stride, 2) &&
         is_all(padding, 0) && is_all(dilation, 1);
}

using Two = std::tuple<at::Tensor, at::Tensor>;
using TwoGiven = std::tuple<const at::Tensor&, const at::Tensor&>;

constexpr int64_t kGrain = 1 << 14;  // values that a second thread pays for

int64_t planes_a_thread(int64_t plane) { return std::max<int64_t>(1, kGrain / plane); }

TwoGiven forward_out(const at::Tensor& x, const at::Tensor& out, const at::Tensor& which) {
  const auto in = c10::MaybeOwned<at::Tensor>(x.expect_contiguous());
  const int64_t height = x.size(-2), width = x.size(-1), rows = height / 2, columns = width / 2;
  const auto* from = in->const_data_ptr<float>();
  auto* to = out.mutable_data_ptr<float>();
  auto* places = which.mutable_data_ptr<int32_t>();
  at::parallel_for(0, x.numel() / (height * width), planes_a_thread(height * width), [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane)
      vectors::pool().forward(rows, columns, width, from + plane * height * width, to + plane * rows * columns,
                              places + plane * rows * columns);
  });
  return {out, which};
}

Two forward_own(const at::Tensor& x) {
  auto sizes = x.sizes().vec();
  for (std::size_t d : {sizes.size() - 2, sizes.size() - 1}) sizes[d] /= 2;
  const at::Tensor out = at::empty(sizes, x.options()), which = at::empty(sizes, x.options().dtype(at::kInt));
  forward_out(x, out, which);
  return {out, which};
}

const at::Tensor& backward_out(const at::Tensor& grad, const at::Tensor& which, int64_t height, int64_t width,
                               const at::Tensor& out) {
  const auto in = c10::MaybeOwned<at::Tensor>(grad.expect_contiguous());
  const int64_t rows = grad.size(-2), columns = grad.size(-1);
  const auto* from = in->const_data_ptr<float>();
  const auto* places = which.const_data_ptr<int32_t>();
  auto* to = out.mutable_data_ptr<float>();
  at::parallel_for(0, grad.numel() / (rows * columns), planes_a_thread(height * width),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t plane = begin; plane < end; ++plane) {
                       float* own = to + plane * height * width;
                       vectors::pool().backward(rows, columns, width, from + plane * rows * columns,
                                                places + plane * rows * columns, own);
                       std::fill(own + 2 * rows * width, own + height * width, 0.f);
                     }
                   });
  return out;
}

at::Tensor backward_own(const at::Tensor& grad, const at::Tensor& which, int64_t height, int64_t width) {
  auto sizes = grad.sizes().vec();
  sizes[sizes.size() - 2] = height;
  sizes[sizes.size() - 1] = width;
  return backward_out(grad, which, height, width, at::empty(sizes, grad.options()));
}

template <typename Signature>
auto operator_of(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

Two call_forward(const at::Tensor& x) {
  static const auto op = operator_of<decltype(forward_own)>("gradus::max_pool2d_forward");
  return op.call(x);
}

class MaxPool : public torch::autograd::Function<MaxPool> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x) {
    at::AutoDispatchBelowADInplaceOrView below;
    auto [out, which] = call_forward(x);
    context->save_for_backward({which});
    context->saved_data["height"] = x.size(-2);
    context->saved_data["width"] = x.size(-1);
    return out;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    const at::Tensor which = context->get_saved_variables()[0];
    const int64_t height = context->saved_data["height"].toInt(), width = context->saved_data["width"].toInt();
    if (at::GradMode::is_enabled())
      throw Error(Exit::data, "max_pool2d: has no second derivative; expected a gradient without create_graph");
    static const auto op = operator_of<decltype(backward_own)>("gradus::max_pool2d_backward");
    return {op.call(grads[0], which, height, width)};
  }
};

at::Tensor max_pool2d(const at::Tensor& self, at::IntArrayRef kernel_size, at::IntArrayRef stride,
                      at::IntArrayRef padding, at::IntArrayRef dilation, bool ceil_mode) {
  if (ceil_mode || !takes_own(self, kernel_size, stride.empty() ? kernel_size : stride, padding, dilation))
    return at::max_pool2d(self, kernel_size, stride, padding, dilation, ceil_mode);
  if (at::GradMode::is_enabled() && self.requires_grad()) return MaxPool::apply(self);
  at::AutoDispatchBelowADInplaceOrView below;
  return std::get<0>(call_forward(self));
}

TORCH_LIBRARY_FRAGMENT(gradus, m) {
  m.def(
      "max_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, "
      "bool ceil_mode=False) -> Tensor",
      &max_pool2d);
  m.def("max_pool2d_forward(Tensor x) -> (Tensor out, Tensor which)");
  m.def("max_pool2d_forward.out(Tensor x, *, Tensor(a!) out, Tensor(b!) which) -> (Tensor(a!), Tensor(b!))");
  m.def("max_pool2d_backward(Tensor grad, Tensor which, int height, int width) -> Tensor");
  m.def("max_pool2d_backward.out(Tensor grad, Tensor which, int height, int width, *, Tensor(a!) out) -> Tensor(a!)");
}
TORCH_LIBRARY_IMPL(gradus, CPU, m) {
  m.impl("max_pool2d_forward", &forward_own);
  m.impl("max_pool2d_forward.out", &forward_out);
  m.impl("max_pool2d_backward", &backward_own);
  m.impl("max_pool2d_backward.out", &backward_out);
}

const bool registered = [] {
  register_direct("gradus::max_pool2d_forward", "out", &direct::prepare<&forward_out>);
  register_direct("gradus::max_pool2d_backward", "out", &direct::prepare<&backward_out>);
  return true;
}();

}  // namespace
}  // namespace gradus
