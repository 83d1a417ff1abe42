#include "linear_kd.h"

#include "error.h"
#include "gemm.h"
#include "kd_loss.h"

namespace gradus {
namespace {

using OptionalTensor = std::optional<at::Tensor>;

[[noreturn]] void misuse(const std::string& text) { throw Error(Exit::data, "linear_kd_loss: " + text); }
std::string shape(const at::Tensor& t) { return c10::str(t.sizes()); }

void check_layer(const char* who, const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias,
                 at::ScalarType type) {
  const std::string name = who;
  for (const at::Tensor* t : {&x, &weight, bias ? &*bias : &weight})
    if (t->scalar_type() != type)
      misuse(name + " is " + at::toString(t->scalar_type()) + "; expected " + at::toString(type) + " throughout");
  if (weight.dim() != 2 || weight.size(1) != x.size(-1))
    misuse(name + "weight has shape " + shape(weight) + "; expected [classes, " + std::to_string(x.size(-1)) + "]");
  if (bias && (bias->dim() != 1 || bias->size(0) != weight.size(0)))
    misuse(name + "bias has shape " + shape(*bias) + "; expected [" + std::to_string(weight.size(0)) + "]");
}

void check(const LinearKdArguments& a) {
  if (a.x.scalar_type() != at::kFloat && a.x.scalar_type() != at::kDouble)
    misuse(std::string("x is ") + at::toString(a.x.scalar_type()) + "; expected float32 or float64");
  if ((a.x.dim() != 2 && a.x.dim() != 3) || a.x.numel() == 0)
    misuse("x has shape " + shape(a.x) + "; expected [N, E] or [N, L, E], not empty");
  check_layer("", a.x, a.weight, a.bias, a.x.scalar_type());
  if (a.teacher_x.has_value() != a.teacher_weight.has_value())
    misuse("only one of teacher_x and teacher_weight is given; expected both or none");
  if (!a.teacher_x && !a.target) misuse("neither teacher_x nor target is given; expected at least one");
  if (a.teacher_x) {
    if (a.teacher_x->dim() == 0 || a.teacher_x->numel() / a.teacher_x->size(-1) != a.x.numel() / a.x.size(-1))
      misuse("teacher_x has shape " + shape(*a.teacher_x) + "; expected as many rows as x, " + shape(a.x));
    check_layer("teacher_", *a.teacher_x, *a.teacher_weight, a.teacher_bias, a.x.scalar_type());
    if (a.teacher_weight->size(0) != a.weight.size(0))
      misuse("teacher_weight has " + std::to_string(a.teacher_weight->size(0)) + " classes; expected weight's " +
             std::to_string(a.weight.size(0)));
  }
  if (a.target && (a.target->scalar_type() != at::kLong || a.target->numel() != a.x.numel() / a.x.size(-1)))
    misuse("target is " + std::string(at::toString(a.target->scalar_type())) + " of shape " + shape(*a.target) +
           "; expected int64, one class a row of x " + shape(a.x));
  for (const at::Tensor* t : {&a.temperature, &a.alpha, a.teacher_temperature ? &*a.teacher_temperature : &a.alpha})
    if (t->numel() != 1 && t->numel() != a.x.numel() / a.x.size(-1))
      misuse("temperature, teacher_temperature or alpha has shape " + shape(*t) +
             "; expected one number, or one a row of x");
}

at::Tensor rows_of(const at::Tensor& t) { return t.reshape({-1, t.size(-1)}); }

// The rows [begin, begin + count) of a value that is one number or one a row.
at::Tensor part(const at::Tensor& value, int64_t begin, int64_t count) {
  return value.numel() == 1 ? value.reshape({}) : value.reshape({-1}).narrow(0, begin, count);
}

void logits_into(at::Tensor& out, const at::Tensor& x, const at::Tensor& weight, const OptionalTensor& bias) {
  bias ? at::addmm_out(out, *bias, x, weight.t()) : at::mm_out(out, x, weight.t());
}

// sum += a · b
at::Tensor& add_product(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b) {
  const auto is_rows = [](const at::Tensor& t) { return t.is_cpu() && t.scalar_type() == at::kFloat && t.dim() == 2; };
  const int64_t m = a.size(0), k = a.size(1), n = b.size(1);
  if (!is_rows(sum) || !is_rows(b) || !a.t().is_contiguous() || !b.is_contiguous() || !sum.is_contiguous() ||
      !gemm::takes_own(m, k, n))
    return sum.addmm_(a, b);
  gemm::multiply(m, n, k, {a.const_data_ptr<float>(), 1, m}, {b.const_data_ptr<float>(), n, 1},
                 sum.mutable_data_ptr<float>(), {true});
  return sum;
}

at::Tensor& call_add_product(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("gradus::add_product_", "").typed<decltype(add_product)>();
  return op.call(sum, a, b);
}

// Adds a chunk's share, gradient [R, C], to the gradients of the layer.
void add_gradients(const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& weight, bool first,
                   at::Tensor& dx, at::Tensor& dweight, at::Tensor& dbias) {
  at::mm_out(dx, gradient, weight);
  if (first)
    at::mm_out(dweight, gradient.t(), x);
  else
    call_add_product(dweight, gradient.t(), x);
  if (dbias.numel() == 0) return;
  if (first)
    at::sum_out(dbias, gradient, {0});
  else
    dbias.add_(gradient.sum(0));
}

// The losses of a chunk's logits, its rows' numbers, and the gradient, which on the CPU takes the place of the
// student's logits.
at::Tensor chunk_loss(const KdArguments& k, bool with_gradient, at::Tensor (&means)[3], const at::Tensor (&by_row)[3]) {
  if (!k.student.is_cpu()) {
    auto [loss, ce, kl, confidence, entropy, per_sample, gradient] = kd_loss_forward(k, with_gradient);
    int i = 0;
    for (const at::Tensor& one : {loss, ce, kl}) means[i++].copy_(one);
    i = 0;
    for (const at::Tensor& one : {confidence, entropy, per_sample}) by_row[i++].copy_(one);
    return gradient;
  }
  using OneOut = const at::Tensor&;
  using Signature = void(OneOut, const OptionalTensor&, const OptionalTensor&, OneOut, OneOut, const OptionalTensor&,
                         const OptionalTensor&, double, int64_t, bool, bool, bool, OneOut, OneOut, OneOut, OneOut,
                         OneOut, OneOut, OneOut);
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("gradus::kd_loss_forward", "out").typed<Signature>();
  op.call(k.student, k.teacher, k.target, k.temperature, k.alpha, k.teacher_temperature, k.weight, k.label_smoothing,
          k.ignore_index, k.t2, k.reverse, with_gradient, means[0], means[1], means[2], by_row[0], by_row[1], by_row[2],
          k.student);
  return k.student;
}

}  // namespace

int64_t linear_kd_chunk(int64_t rows, int64_t classes, int64_t element_size) {
  constexpr int64_t kBytes = 16 << 20, kFewest = 32;  // fewer rows and the products would not be worth the name
  const int64_t fitting = kBytes / (classes * element_size) / 8 * 8;
  const int64_t most = std::min(rows, std::max(kFewest, fitting));
  const int64_t chunks = (rows + most - 1) / most;  // of nearly equal size
  return (rows + chunks - 1) / chunks;
}

void linear_kd_loss_forward_out(const LinearKdArguments& a, bool with_gradient,
                                const std::vector<at::Tensor>& results) {
  check(a);
  const at::Tensor x = rows_of(a.x).contiguous(), weight = a.weight;
  const at::Tensor teacher_x = a.teacher_x ? rows_of(*a.teacher_x) : at::Tensor();
  const at::Tensor target = a.target ? a.target->reshape({-1}).contiguous() : at::Tensor();
  const int64_t rows = x.size(0), classes = weight.size(0), chunk = linear_kd_chunk(rows, classes, x.element_size());
  const auto options = x.options();

  at::Tensor student = at::empty({chunk, classes}, options);
  at::Tensor teacher = a.teacher_x ? at::empty({chunk, classes}, options) : at::Tensor();
  at::Tensor dx, dweight, dbias;
  if (with_gradient) {
    dx = results[6].view(x.sizes());
    dweight = results[7];
    dbias = results[8];
  }
  // As tensors, so that nobody waits for an accelerator.
  const auto doubles = options.dtype(at::kDouble);
  const auto counted_in = [&](const at::Tensor& labels) { return labels.ne(a.ignore_index).sum().to(at::kDouble); };
  const at::Tensor counted =
      a.target ? counted_in(target).clamp_min(1) : at::full({}, static_cast<double>(rows), doubles);
  at::Tensor totals = at::zeros({3}, doubles), means[3];
  for (at::Tensor& mean : means) mean = at::empty({}, options);
  for (int64_t begin = 0; begin < rows; begin += chunk) {
    const int64_t count = std::min(chunk, rows - begin);
    const at::Tensor own_x = x.narrow(0, begin, count);
    at::Tensor s = student.narrow(0, 0, count);
    logits_into(s, own_x, weight, a.bias);
    KdArguments k{s, std::nullopt, std::nullopt, part(a.temperature, begin, count), part(a.alpha, begin, count)};
    if (a.teacher_x) {
      at::Tensor t = teacher.narrow(0, 0, count);
      logits_into(t, teacher_x.narrow(0, begin, count), *a.teacher_weight, a.teacher_bias);
      k.teacher = t;
    }
    if (a.target) k.target = target.narrow(0, begin, count);
    if (a.teacher_temperature) k.teacher_temperature = part(*a.teacher_temperature, begin, count);
    k.label_smoothing = a.label_smoothing;
    k.ignore_index = a.ignore_index;
    k.t2 = a.t2;
    k.reverse = a.reverse;
    const auto own_rows = [&](int i) { return results[i].view({-1}).narrow(0, begin, count); };
    const at::Tensor by_row[3] = {own_rows(3), own_rows(4), own_rows(5)};
    const at::Tensor gradient = chunk_loss(k, with_gradient, means, by_row);
    const at::Tensor own = a.target ? counted_in(*k.target) : at::full({}, static_cast<double>(count), doubles);
    const at::Tensor share = own / counted;  // of the mean over all rows
    totals.add_(at::stack({means[0], means[1], means[2]}).to(at::kDouble).mul_(share));
    if (!with_gradient) continue;
    if (chunk < rows) gradient.mul_(share);
    at::Tensor own_dx = dx.narrow(0, begin, count);
    add_gradients(gradient, own_x, weight, begin == 0, own_dx, dweight, dbias);
  }
  for (int j = 0; j < 3; ++j) results[j].copy_(totals.select(0, j));
}

std::vector<at::Tensor> linear_kd_loss_forward(const LinearKdArguments& a, bool with_gradient) {
  check(a);
  const auto options = a.x.options();
  const auto row_shape = a.x.sizes().slice(0, a.x.dim() - 1);
  std::vector<at::Tensor> results;
  for (int i = 0; i < 3; ++i) results.push_back(at::empty({}, options));
  for (int i = 0; i < 3; ++i) results.push_back(at::empty(row_shape, options));
  if (with_gradient) {
    results.push_back(at::empty_like(a.x, at::MemoryFormat::Contiguous));
    results.push_back(at::empty_like(a.weight, at::MemoryFormat::Contiguous));
    results.push_back(at::empty({a.bias ? a.weight.size(0) : 0}, options));
  }
  linear_kd_loss_forward_out(a, with_gradient, results);
  return results;
}

// ---- the dispatcher's view

namespace {

#define GRADUS_LINEAR_KD_PARAMETERS                                                                           \
  const at::Tensor &x, const at::Tensor &weight, const OptionalTensor &bias, const OptionalTensor &teacher_x, \
      const OptionalTensor &teacher_weight, const OptionalTensor &teacher_bias, const OptionalTensor &target, \
      const at::Tensor &temperature, const at::Tensor &alpha, const OptionalTensor &teacher_temperature,      \
      double label_smoothing, int64_t ignore_index, bool t2, bool reverse
#define GRADUS_LINEAR_KD_ARGUMENTS                                                                           \
  x, weight, bias, teacher_x, teacher_weight, teacher_bias, target, temperature, alpha, teacher_temperature, \
      label_smoothing, ignore_index, t2, reverse

using Tensors9 = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor,
                            at::Tensor, at::Tensor>;

Tensors9 forward_kernel(GRADUS_LINEAR_KD_PARAMETERS, bool with_gradient) {
  auto r = linear_kd_loss_forward({GRADUS_LINEAR_KD_ARGUMENTS}, with_gradient);
  r.resize(9);
  return {r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8]};
}

void forward_out(GRADUS_LINEAR_KD_PARAMETERS, bool with_gradient, const at::Tensor& loss, const at::Tensor& ce,
                 const at::Tensor& kl, const at::Tensor& confidence, const at::Tensor& entropy,
                 const at::Tensor& per_sample, const at::Tensor& dx, const at::Tensor& dweight,
                 const at::Tensor& dbias) {
  linear_kd_loss_forward_out({GRADUS_LINEAR_KD_ARGUMENTS}, with_gradient,
                             {loss, ce, kl, confidence, entropy, per_sample, dx, dweight, dbias});
}

std::vector<at::Tensor> call_forward(const LinearKdArguments& a, bool with_gradient) {
  using Signature = Tensors9(GRADUS_LINEAR_KD_PARAMETERS, bool);
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("gradus::linear_kd_loss_forward", "").typed<Signature>();
  auto [loss, ce, kl, confidence, entropy, per_sample, dx, dweight, dbias] =
      op.call(a.x, a.weight, a.bias, a.teacher_x, a.teacher_weight, a.teacher_bias, a.target, a.temperature, a.alpha,
              a.teacher_temperature, a.label_smoothing, a.ignore_index, a.t2, a.reverse, with_gradient);
  return {loss, ce, kl, confidence, entropy, per_sample, dx, dweight, dbias};
}

Tensors6 first_six(const std::vector<at::Tensor>& r) { return {r[0], r[1], r[2], r[3], r[4], r[5]}; }

class LinearKdLoss : public torch::autograd::Function<LinearKdLoss> {
 public:
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                                                const at::Tensor& weight, const OptionalTensor& bias,
                                                const LinearKdArguments& a) {
    at::AutoDispatchBelowADInplaceOrView below;
    const auto all = call_forward(a, true);
    const torch::autograd::variable_list told(all.begin(), all.begin() + 6);
    context->save_for_backward({all.begin() + 6, all.end()});
    context->mark_non_differentiable({told.begin() + 1, told.end()});
    return told;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    if (at::GradMode::is_enabled())
      throw Error(Exit::data, "linear_kd_loss: has no second derivative; expected a gradient without create_graph");
    torch::autograd::variable_list result;
    for (const at::Tensor& one : context->get_saved_variables())
      result.push_back(one.numel() > 0 ? grads[0] * one : at::Tensor());
    result.emplace_back();  // of the arguments
    return result;
  }
};

Tensors6 loss_below_autograd(GRADUS_LINEAR_KD_PARAMETERS) {
  return first_six(call_forward({GRADUS_LINEAR_KD_ARGUMENTS}, false));
}

Tensors6 loss_autograd(GRADUS_LINEAR_KD_PARAMETERS) {
  const LinearKdArguments a{GRADUS_LINEAR_KD_ARGUMENTS};
  if (at::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad() || (bias && bias->requires_grad())))
    return first_six(LinearKdLoss::apply(x, weight, bias, a));
  at::AutoDispatchBelowADInplaceOrView below;
  return first_six(call_forward(a, false));
}

#define GRADUS_LINEAR_KD_SCHEMA                                                                               \
  "(Tensor x, Tensor weight, Tensor? bias, Tensor? teacher_x, Tensor? teacher_weight, Tensor? teacher_bias, " \
  "Tensor? target, Tensor temperature, Tensor alpha, *, Tensor? teacher_temperature=None, "                   \
  "float label_smoothing=0., int ignore_index=-100, bool t2=True, bool reverse=False"

TORCH_LIBRARY_FRAGMENT(gradus, m) {
  m.def("add_product_(Tensor(a!) self, Tensor a, Tensor b) -> Tensor(a!)");
  m.def("linear_kd_loss" GRADUS_LINEAR_KD_SCHEMA
        ") -> (Tensor loss, Tensor ce, Tensor kl, Tensor confidence, Tensor entropy, Tensor per_sample)");
  m.def("linear_kd_loss_forward" GRADUS_LINEAR_KD_SCHEMA
        ", bool with_gradient=True) -> (Tensor loss, Tensor ce, "
        "Tensor kl, Tensor confidence, Tensor entropy, Tensor per_sample, Tensor dx, Tensor dweight, Tensor dbias)");
  m.def("linear_kd_loss_forward.out" GRADUS_LINEAR_KD_SCHEMA
        ", bool with_gradient=True, Tensor(a!) loss, Tensor(b!) ce, Tensor(c!) kl, Tensor(d!) confidence, "
        "Tensor(e!) entropy, Tensor(f!) per_sample, Tensor(g!) dx, Tensor(h!) dweight, Tensor(i!) dbias) -> ()");
}
TORCH_LIBRARY_IMPL(gradus, CompositeExplicitAutograd, m) {
  m.impl("add_product_", &add_product);
  m.impl("linear_kd_loss", &loss_below_autograd);
  m.impl("linear_kd_loss_forward", &forward_kernel);
  m.impl("linear_kd_loss_forward.out", &forward_out);
}
TORCH_LIBRARY_IMPL(gradus, Autograd, m) { m.impl("linear_kd_loss", &loss_autograd); }

}  // namespace
}  // namespace gradus
