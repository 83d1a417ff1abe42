#include "linear.h"

#include <ATen/autocast_mode.h>

#include <vector>

#include "error.h"
#include "gemm.h"
#include "ops/vectors/vectors.h"
#include "step/direct.h"

namespace gradus {
namespace {

using OptionalTensor = std::optional<at::Tensor>;

// Multiply-adds beyond which the library's products are as fast as the small ones, or our blocked ones faster.
constexpr int64_t kLargestProduct = 6'000'000;

int64_t rows_of(const at::Tensor& x) { return x.numel() / x.size(-1); }

// Whether our kernels are there for this tensor: on the CPU, and on a device that has registered them.
bool has_kernels(const at::Tensor& t) {
  if (t.device().is_cpu()) return true;
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("gradus::linear_forward", "");
  return op.hasKernelForDispatchKey(c10::highestPriorityBackendTypeId(t.key_set()));
}

bool is_float(const at::Tensor& t) {
  return t.scalar_type() == at::kFloat && t.layout() == at::kStrided && has_kernels(t);
}

// Whether the product is one for the kernels that work block by block.
bool takes_blocked(int64_t m, int64_t k, int64_t n) { return m * k * n > kLargestProduct; }

// ---- the kernels: out-variants that write whole, contiguous tensors

const float* data(const at::Tensor& t) { return t.const_data_ptr<float>(); }
float* room(const at::Tensor& t) { return t.mutable_data_ptr<float>(); }

const at::Tensor& forward_out(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias, bool relu,
                              const at::Tensor& out) {
  const auto rows = c10::MaybeOwned<at::Tensor>(x.expect_contiguous());
  const int64_t m = rows_of(x), n = weight.size(0), k = weight.size(1);
  if (takes_blocked(m, k, n)) {
    gemm::multiply(m, n, k, {data(*rows), k, 1}, {data(weight), 1, k}, room(out),
                   {false, bias ? data(*bias) : nullptr, relu});
    return out;
  }
  vectors::gemm().layer(rows_of(x), weight.size(0), weight.size(1), data(*rows), data(weight),
                        bias ? data(*bias) : nullptr, relu, room(out));
  return out;
}

// The gradient before the activation: zero where the output is. In scratch memory of this thread, or grad itself.
class MaskedGradient {
 public:
  MaskedGradient(const at::Tensor& grad, const OptionalTensor& output) : grad_(grad.expect_contiguous()) {
    if (!output) {
      values_ = data(*grad_);
      return;
    }
    static thread_local std::vector<float> masked;
    const int64_t n = grad.numel();
    masked.resize(static_cast<std::size_t>(n));
    vectors::gemm().before_relu(n, data(*grad_), data(*output), masked.data());
    values_ = masked.data();
  }
  const float* values() const { return values_; }

 private:
  c10::MaybeOwned<at::Tensor> grad_;
  const float* values_;
};

// The same where products take it as it is, with what hides a part of it.
class MaskedFactor {
 public:
  MaskedFactor(const at::Tensor& grad, const OptionalTensor& output) : grad_(grad.expect_contiguous()) {
    if (output) output_ = output->expect_contiguous();
  }
  vectors::Factor rows(int64_t n) const { return {data(*grad_), n, 1, where()}; }
  vectors::Factor columns(int64_t n) const { return {data(*grad_), 1, n, where()}; }

 private:
  const float* where() const { return output_ ? data(**output_) : nullptr; }
  c10::MaybeOwned<at::Tensor> grad_;
  std::optional<c10::MaybeOwned<at::Tensor>> output_;
};

const at::Tensor& grad_input_out(const at::Tensor& grad, const OptionalTensor& output, const at::Tensor& weight,
                                 const at::Tensor& out) {
  const int64_t n = weight.size(0), k = weight.size(1);
  if (takes_blocked(rows_of(grad), k, n)) {
    const MaskedFactor up(grad, output);
    gemm::multiply(rows_of(grad), k, n, up.rows(n), {data(weight), k, 1}, room(out), {});
    return out;
  }
  const MaskedGradient up(grad, output);
  vectors::gemm().product(rows_of(grad), k, n, up.values(), n, 1, data(weight), k, room(out), k);
  return out;
}

void weight_product(const MaskedGradient& up, int64_t n, const at::Tensor& x, const at::Tensor& dweight) {
  const auto rows = c10::MaybeOwned<at::Tensor>(x.expect_contiguous());
  const int64_t k = x.size(-1);
  vectors::gemm().product(n, k, rows_of(x), up.values(), 1, n, data(*rows), k, room(dweight), k);
}

void blocked_weight_product(const MaskedFactor& up, int64_t n, const at::Tensor& x, const at::Tensor& dweight) {
  const auto rows = c10::MaybeOwned<at::Tensor>(x.expect_contiguous());
  const int64_t k = x.size(-1);
  gemm::multiply(n, k, rows_of(x), up.columns(n), {data(*rows), k, 1}, room(dweight), {});
}

const at::Tensor& grad_weight_out(const at::Tensor& grad, const OptionalTensor& output, const at::Tensor& x,
                                  const at::Tensor& dweight) {
  if (takes_blocked(grad.size(-1), rows_of(x), x.size(-1)))
    blocked_weight_product(MaskedFactor(grad, output), grad.size(-1), x, dweight);
  else
    weight_product(MaskedGradient(grad, output), grad.size(-1), x, dweight);
  return dweight;
}

std::tuple<const at::Tensor&, const at::Tensor&> grad_weight_bias_out(const at::Tensor& grad,
                                                                      const OptionalTensor& output, const at::Tensor& x,
                                                                      const at::Tensor& dweight,
                                                                      const at::Tensor& dbias) {
  const int64_t n = grad.size(-1);
  if (takes_blocked(n, rows_of(x), x.size(-1))) {
    const MaskedFactor up(grad, output);
    blocked_weight_product(up, n, x, dweight);
    gemm::sum_rows(rows_of(grad), n, up.rows(n), room(dbias));
    return {dweight, dbias};
  }
  const MaskedGradient up(grad, output);
  weight_product(up, grad.size(-1), x, dweight);
  vectors::gemm().sum_rows(rows_of(grad), grad.size(-1), up.values(), room(dbias));
  return {dweight, dbias};
}

// ---- the same with results of their own

at::Tensor forward_own(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias, bool relu) {
  auto sizes = x.sizes().vec();
  sizes.back() = weight.size(0);
  return forward_out(x, weight, bias, relu, at::empty(sizes, x.options()));
}

at::Tensor grad_input_own(const at::Tensor& grad, const OptionalTensor& output, const at::Tensor& weight) {
  auto sizes = grad.sizes().vec();
  sizes.back() = weight.size(1);
  return grad_input_out(grad, output, weight, at::empty(sizes, grad.options()));
}

at::Tensor grad_weight_own(const at::Tensor& grad, const OptionalTensor& output, const at::Tensor& x) {
  return grad_weight_out(grad, output, x, at::empty({grad.size(-1), x.size(-1)}, grad.options()));
}

std::tuple<at::Tensor, at::Tensor> grad_weight_bias_own(const at::Tensor& grad, const OptionalTensor& output,
                                                        const at::Tensor& x) {
  const at::Tensor dweight = at::empty({grad.size(-1), x.size(-1)}, grad.options());
  const at::Tensor dbias = at::empty({grad.size(-1)}, grad.options());
  grad_weight_bias_out(grad, output, x, dweight, dbias);
  return {dweight, dbias};
}

// ---- the dispatcher's view

template <typename Signature>
auto operator_of(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

at::Tensor call_forward(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias, bool relu) {
  static const auto op = operator_of<decltype(forward_own)>("gradus::linear_forward");
  return op.call(x, weight, bias, relu);
}
at::Tensor call_grad_input(const at::Tensor& grad, const OptionalTensor& output, const at::Tensor& weight) {
  static const auto op = operator_of<decltype(grad_input_own)>("gradus::linear_grad_input");
  return op.call(grad, output, weight);
}
at::Tensor call_grad_weight(const at::Tensor& grad, const OptionalTensor& output, const at::Tensor& x) {
  static const auto op = operator_of<decltype(grad_weight_own)>("gradus::linear_grad_weight");
  return op.call(grad, output, x);
}
std::tuple<at::Tensor, at::Tensor> call_grad_weight_bias(const at::Tensor& grad, const OptionalTensor& output,
                                                         const at::Tensor& x) {
  static const auto op = operator_of<decltype(grad_weight_bias_own)>("gradus::linear_grad_weight_bias");
  return op.call(grad, output, x);
}

class Linear : public torch::autograd::Function<Linear> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const OptionalTensor& bias, bool relu) {
    at::AutoDispatchBelowADInplaceOrView below;
    at::Tensor y = call_forward(x, weight, bias, relu);
    context->save_for_backward({x, weight, relu ? y : at::Tensor()});
    context->saved_data["bias"] = bias.has_value();
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &y = saved[2];
    const bool wants_x = context->needs_input_grad(0), wants_weight = context->needs_input_grad(1);
    const bool wants_bias = context->saved_data["bias"].toBool() && context->needs_input_grad(2);
    at::Tensor dx, dweight, dbias;
    if (at::GradMode::is_enabled()) {  // a second derivative is wanted: from operators that have one
      const at::Tensor up = y.defined() ? grads[0] * y.gt(0) : grads[0];
      if (wants_x) dx = at::matmul(up, weight);
      if (wants_weight) dweight = at::matmul(up.reshape({-1, up.size(-1)}).t(), x.reshape({-1, x.size(-1)}));
      if (wants_bias) dbias = up.reshape({-1, up.size(-1)}).sum(0);
    } else {
      const OptionalTensor output = y.defined() ? OptionalTensor(y) : std::nullopt;
      if (wants_x) dx = call_grad_input(grads[0], output, weight);
      if (wants_weight && wants_bias)
        std::tie(dweight, dbias) = call_grad_weight_bias(grads[0], output, x);
      else if (wants_weight)
        dweight = call_grad_weight(grads[0], output, x);
      else if (wants_bias)
        dbias = std::get<1>(call_grad_weight_bias(grads[0], output, x));
    }
    return {dx, dweight, dbias, at::Tensor()};
  }
};

TORCH_LIBRARY_FRAGMENT(gradus, m) {
  m.def("linear(Tensor input, Tensor weight, Tensor? bias=None, *, bool relu=False) -> Tensor", &linear);
  m.def("linear_forward(Tensor x, Tensor weight, Tensor? bias, bool relu) -> Tensor");
  m.def("linear_forward.out(Tensor x, Tensor weight, Tensor? bias, bool relu, *, Tensor(a!) out) -> Tensor(a!)");
  m.def("linear_grad_input(Tensor grad, Tensor? output, Tensor weight) -> Tensor");
  m.def("linear_grad_input.out(Tensor grad, Tensor? output, Tensor weight, *, Tensor(a!) out) -> Tensor(a!)");
  m.def("linear_grad_weight(Tensor grad, Tensor? output, Tensor x) -> Tensor");
  m.def("linear_grad_weight.out(Tensor grad, Tensor? output, Tensor x, *, Tensor(a!) out) -> Tensor(a!)");
  m.def("linear_grad_weight_bias(Tensor grad, Tensor? output, Tensor x) -> (Tensor dweight, Tensor dbias)");
  m.def(
      "linear_grad_weight_bias.out(Tensor grad, Tensor? output, Tensor x, *, Tensor(a!) dweight, "
      "Tensor(b!) dbias) -> (Tensor(a!), Tensor(b!))");
}
TORCH_LIBRARY_IMPL(gradus, CPU, m) {
  m.impl("linear_forward", &forward_own);
  m.impl("linear_forward.out", &forward_out);
  m.impl("linear_grad_input", &grad_input_own);
  m.impl("linear_grad_input.out", &grad_input_out);
  m.impl("linear_grad_weight", &grad_weight_own);
  m.impl("linear_grad_weight.out", &grad_weight_out);
  m.impl("linear_grad_weight_bias", &grad_weight_bias_own);
  m.impl("linear_grad_weight_bias.out", &grad_weight_bias_out);
}

const bool registered = [] {
  register_direct("gradus::linear_forward", "out", &direct::prepare<&forward_out>);
  register_direct("gradus::linear_grad_input", "out", &direct::prepare<&grad_input_out>);
  register_direct("gradus::linear_grad_weight", "out", &direct::prepare<&grad_weight_out>);
  register_direct("gradus::linear_grad_weight_bias", "out", &direct::prepare<&grad_weight_bias_out>);
  return true;
}();

}  // namespace

bool takes_own_linear(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias) {
  return is_float(x) && is_float(weight) && (!bias || (is_float(*bias) && bias->is_contiguous())) &&
         weight.dim() == 2 && weight.is_contiguous() && x.dim() >= 1 && x.size(-1) == weight.size(1) && x.numel() > 0 &&
         weight.numel() > 0 && (!bias || (bias->dim() == 1 && bias->size(0) == weight.size(0))) &&
         (rows_of(x) * weight.numel() <= kLargestProduct ||
          gemm::takes_own(rows_of(x), weight.size(1), weight.size(0))) &&
         !at::autocast::is_autocast_enabled(at::kCPU);
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias, bool relu) {
  if (!takes_own_linear(x, weight, bias)) {
    const at::Tensor y = at::linear(x, weight, bias);
    return relu ? at::relu(y) : y;
  }
  const bool differentiable =
      at::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad() || (bias && bias->requires_grad()));
  if (differentiable) return Linear::apply(x, weight, bias, relu);
  at::AutoDispatchBelowADInplaceOrView below;
  return call_forward(x, weight, bias, relu);
}

}  // namespace gradus
