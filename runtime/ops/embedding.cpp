// gradus::embedding: rows of a table, aten::embedding without its rarer options. The gradient of the table, as large as
// the table, is made where it is wanted: LibTorch's operator has no such variant.
#include <algorithm>

#include "error.h"
#include "step/direct.h"
#include "torch.h"

namespace gradus {
namespace {

// The rows of grad [.., width] are added to the table's rows that indices [..] name, in their order.
const at::Tensor& grad_out(const at::Tensor& grad, const at::Tensor& indices, int64_t rows, int64_t padding_idx,
                           const at::Tensor& out) {
  if (!grad.is_cpu() || grad.scalar_type() != at::kFloat || indices.scalar_type() != at::kLong) {
    at::Tensor(out).copy_(at::embedding_dense_backward(grad, indices, rows, padding_idx, false));
    return out;
  }
  const auto from = c10::MaybeOwned<at::Tensor>(grad.expect_contiguous());
  const auto names = c10::MaybeOwned<at::Tensor>(indices.expect_contiguous());
  const int64_t width = out.size(1), count = indices.numel();
  const auto* row = names->const_data_ptr<int64_t>();
  const auto* added = from->const_data_ptr<float>();
  auto* table = out.mutable_data_ptr<float>();
  std::fill(table, table + rows * width, 0.f);
  for (int64_t i = 0; i < count; ++i, added += width) {
    if (row[i] == padding_idx) continue;
    float* to = table + row[i] * width;
    for (int64_t j = 0; j < width; ++j) to[j] += added[j];
  }
  return out;
}

at::Tensor grad_own(const at::Tensor& grad, const at::Tensor& indices, int64_t rows, int64_t padding_idx) {
  return grad_out(grad, indices, rows, padding_idx, at::empty({rows, grad.size(-1)}, grad.options()));
}

class Embedding : public torch::autograd::Function<Embedding> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& weight,
                            const at::Tensor& indices, int64_t padding_idx) {
    at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({indices});
    context->saved_data["rows"] = weight.size(0);
    context->saved_data["padding_idx"] = padding_idx;
    return at::embedding(weight, indices, padding_idx);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    const at::Tensor indices = context->get_saved_variables()[0];
    const int64_t rows = context->saved_data["rows"].toInt(), padding_idx = context->saved_data["padding_idx"].toInt();
    if (at::GradMode::is_enabled())  // a second derivative is wanted: from an operator that has one
      return {at::embedding_dense_backward(grads[0], indices, rows, padding_idx, false), at::Tensor(), at::Tensor()};
    static const auto op =
        c10::Dispatcher::singleton().findSchemaOrThrow("gradus::embedding_grad", "").typed<decltype(grad_own)>();
    return {op.call(grads[0], indices, rows, padding_idx), at::Tensor(), at::Tensor()};
  }
};

at::Tensor embedding(const at::Tensor& weight, const at::Tensor& indices, int64_t padding_idx) {
  if (at::GradMode::is_enabled() && weight.requires_grad()) return Embedding::apply(weight, indices, padding_idx);
  return at::embedding(weight, indices, padding_idx);
}

TORCH_LIBRARY_FRAGMENT(gradus, m) {
  m.def("embedding(Tensor weight, Tensor indices, int padding_idx=-1) -> Tensor", &embedding);
  m.def("embedding_grad(Tensor grad, Tensor indices, int rows, int padding_idx) -> Tensor");
  m.def("embedding_grad.out(Tensor grad, Tensor indices, int rows, int padding_idx, *, Tensor(a!) out) -> Tensor(a!)");
}
TORCH_LIBRARY_IMPL(gradus, CPU, m) { m.impl("embedding_grad.out", &grad_out); }
TORCH_LIBRARY_IMPL(gradus, CompositeExplicitAutograd, m) { m.impl("embedding_grad", &grad_own); }

const bool registered = [] {
  register_direct("gradus::embedding_grad", "out", &direct::prepare<&grad_out>);
  return true;
}();

}  // namespace
}  // namespace gradus
