#include "kd_loss.h"

#include <limits>
#include <string>
#include <vector>

#include "error.h"
#include "kd_loss_arguments.h"
#include "ops/vectors/kd_loss.h"
#include "step/direct.h"

namespace gradus {

using namespace kd;

namespace {

// ---- the CPU kernel's frame

// The tensor itself where it is as wanted: a small step would spend its time on asking for what it has.
using Borrowed = c10::MaybeOwned<at::Tensor>;
Borrowed contiguous(const at::Tensor& t, at::ScalarType type) {
  if (t.scalar_type() == type && t.is_contiguous()) return Borrowed::borrowed(t);
  return Borrowed::owned(t.to(type).contiguous());
}
Borrowed contiguous(const OptionalTensor& t, at::ScalarType type) {
  return t ? contiguous(*t, type) : Borrowed::owned(at::Tensor());
}

RowValues row_values(const at::Tensor& values, const char* name, const KdArguments& a, int64_t rows) {
  return {values.const_data_ptr<double>(), rows_per_value(values, name, a, rows)};
}

void check_temperatures(const at::Tensor& values, const char* name) {
  const double* v = values.const_data_ptr<double>();
  for (int64_t i = 0; i < values.numel(); ++i)
    if (!(v[i] > 0)) misuse(std::string(name) + " is " + c10::str(v[i]) + "; expected > 0");
}

void check_alpha(const at::Tensor& values) {
  const double* v = values.const_data_ptr<double>();
  for (int64_t i = 0; i < values.numel(); ++i)
    if (!(v[i] >= 0 && v[i] <= 1)) misuse("alpha is " + c10::str(v[i]) + "; expected 0 to 1");
}

// Each row's share of the mean: weight / Σ weights, 0 where the row is ignored.
void find_shares(const int64_t* labels, int64_t rows, const RowValues& weight, const KdArguments& a, int64_t classes,
                 std::vector<double>& share) {
  share.resize(static_cast<size_t>(rows));
  double total = 0;
  for (int64_t row = 0; row < rows; ++row) {
    const bool ignored = labels && labels[row] == a.ignore_index;
    if (labels && !ignored && (labels[row] < 0 || labels[row] >= classes))
      misuse("target class " + std::to_string(labels[row]) + " at row " + std::to_string(row) + "; expected 0 to " +
             std::to_string(classes - 1) + " or ignore_index " + std::to_string(a.ignore_index));
    share[row] = ignored ? 0 : weight.values ? weight[row] : 1;
    if (!(share[row] >= 0 && share[row] <= std::numeric_limits<double>::max()))
      misuse("weight is " + c10::str(share[row]) + " at row " + std::to_string(row) + "; expected a number from 0");
    total += share[row];
  }
  for (double& value : share) value = total == 0 ? 0 : value / total;
}

// Weighted mean of the rows, summed in order: the same bits on any number of threads. Written to `result`.
void mean(const std::vector<double>& share, const double* values, const at::Tensor& result) {
  double total = 0;
  for (size_t row = 0; row < share.size(); ++row)
    if (share[row] != 0) total += share[row] * values[row];
  if (result.scalar_type() == at::kDouble)
    *result.mutable_data_ptr<double>() = total;
  else
    *result.mutable_data_ptr<float>() = static_cast<float>(total);
}

// Where the results go: the caller's tensors, or new ones.
Tensors7 make_results(const at::Tensor& student, at::ScalarType type, bool with_gradient) {
  const auto options = student.options().dtype(type);
  const auto rows = student.sizes().slice(0, student.dim() - 1);
  const auto empty = [&](at::IntArrayRef sizes) { return at::empty(sizes, options); };
  return {empty({}),
          empty({}),
          empty({}),
          empty(rows),
          empty(rows),
          empty(rows),
          with_gradient ? empty(student.sizes()) : at::Tensor()};
}

template <typename T>
void forward_rows(const KdArguments& a, const Tensors7& results) {
  const auto type = c10::CppTypeToScalarType<T>::value;
  const Borrowed student = contiguous(a.student, type), teacher = contiguous(a.teacher, type);
  const Borrowed target = contiguous(a.target, has_labels(a) ? at::kLong : type);
  KdRows<T> p;
  p.classes = student->size(-1);
  p.rows = student->numel() / p.classes;
  p.student = student->template const_data_ptr<T>();
  if (a.teacher) p.teacher = teacher->template const_data_ptr<T>();
  if (has_labels(a))
    p.labels = target->template const_data_ptr<int64_t>();
  else if (a.target)
    p.targets = target->template const_data_ptr<T>();

  const Borrowed temperature = contiguous(a.temperature, at::kDouble), alpha = contiguous(a.alpha, at::kDouble);
  const Borrowed teacher_temperature =
      a.teacher_temperature ? contiguous(*a.teacher_temperature, at::kDouble) : Borrowed::borrowed(*temperature);
  const Borrowed weight = contiguous(a.weight, at::kDouble);
  check_temperatures(*temperature, "temperature");
  check_temperatures(*teacher_temperature, "teacher_temperature");
  if (a.teacher && a.target) check_alpha(*alpha);
  p.temperature = row_values(*temperature, "temperature", a, p.rows);
  p.teacher_temperature = row_values(*teacher_temperature, "teacher_temperature", a, p.rows);
  p.alpha = row_values(*alpha, "alpha", a, p.rows);
  static thread_local std::vector<double> share, terms;  // kept: a small step would spend its time on allocation
  find_shares(p.labels, p.rows, a.weight ? row_values(*weight, "weight", a, p.rows) : RowValues{}, a, p.classes, share);
  p.weight = share.data();
  p.label_smoothing = a.label_smoothing;
  p.ignore_index = a.ignore_index;
  p.t2 = a.t2;
  p.reverse = a.reverse;

  const auto& [loss, ce, kl, confidence, entropy, per_sample, gradient] = results;
  if (gradient.defined()) p.gradient = gradient.mutable_data_ptr<T>();
  p.confidence = confidence.mutable_data_ptr<T>();
  p.entropy = entropy.mutable_data_ptr<T>();
  p.per_sample = per_sample.mutable_data_ptr<T>();
  terms.resize(static_cast<size_t>(3 * p.rows));
  p.loss = terms.data();
  p.ce = p.loss + p.rows;
  p.kl = p.ce + p.rows;

  constexpr int64_t kGrain = 16384;  // logits a thread should have before a second one pays
  at::parallel_for(0, p.rows, std::max<int64_t>(1, kGrain / p.classes), [&](int64_t begin, int64_t end) {
    if constexpr (std::is_same_v<T, float>)
      vectors::kd_loss().floats(p, begin, end);
    else
      vectors::kd_loss().doubles(p, begin, end);
  });
  mean(share, p.loss, loss);
  mean(share, p.ce, ce);
  mean(share, p.kl, kl);
}

void kernel_cpu(const KdArguments& a, const Tensors7& results) {
  if (compute_type(a.student) == at::kDouble)
    forward_rows<double>(a, results);
  else
    forward_rows<float>(a, results);
}

}  // namespace

// ---- the dispatcher's view

namespace {

#define GRADUS_KD_PARAMETERS                                                                             \
  const at::Tensor &student, const OptionalTensor &teacher, const OptionalTensor &target,                \
      const at::Tensor &temperature, const at::Tensor &alpha, const OptionalTensor &teacher_temperature, \
      const OptionalTensor &weight, double label_smoothing, int64_t ignore_index, bool t2, bool reverse
#define GRADUS_KD_ARGUMENTS \
  student, teacher, target, temperature, alpha, teacher_temperature, weight, label_smoothing, ignore_index, t2, reverse

Tensors7 forward_cpu(GRADUS_KD_PARAMETERS, bool with_gradient) {
  const KdArguments a{GRADUS_KD_ARGUMENTS};
  check(a);
  Tensors7 results = make_results(student, compute_type(student), with_gradient);
  kernel_cpu(a, results);
  if (with_gradient) std::get<6>(results) = std::get<6>(results).to(student.scalar_type());
  return results;
}
// The same into the caller's tensors, contiguous and of the dtypes that the other one returns.
void forward_out(GRADUS_KD_PARAMETERS, bool with_gradient, const at::Tensor& loss, const at::Tensor& ce,
                 const at::Tensor& kl, const at::Tensor& confidence, const at::Tensor& entropy,
                 const at::Tensor& per_sample, const at::Tensor& gradient) {
  const KdArguments a{GRADUS_KD_ARGUMENTS};
  check(a);
  const bool direct = with_gradient && student.scalar_type() == compute_type(student);
  Tensors7 results{loss, ce, kl, confidence, entropy, per_sample, direct ? gradient : at::Tensor()};
  if (with_gradient && !direct) std::get<6>(results) = at::empty(student.sizes(), student.options().dtype(at::kFloat));
  kernel_cpu(a, results);
  if (with_gradient && !direct) gradient.copy_(std::get<6>(results));
}
Tensors7 forward_composed(GRADUS_KD_PARAMETERS, bool with_gradient) {
  return kd_loss_composed({GRADUS_KD_ARGUMENTS}, with_gradient);
}

Tensors6 without_gradient(const Tensors7& r) {
  return {std::get<0>(r), std::get<1>(r), std::get<2>(r), std::get<3>(r), std::get<4>(r), std::get<5>(r)};
}

Tensors6 loss_below_autograd(GRADUS_KD_PARAMETERS) {
  return without_gradient(kd_loss_forward({GRADUS_KD_ARGUMENTS}, false));
}

class KdLoss : public torch::autograd::Function<KdLoss> {
 public:
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, const at::Tensor& student,
                                                const KdArguments& a) {
    at::AutoDispatchBelowADInplaceOrView below;
    auto [loss, ce, kl, confidence, entropy, per_sample, gradient] = kd_loss_forward(a, true);
    context->save_for_backward({gradient});
    context->mark_non_differentiable({ce, kl, confidence, entropy, per_sample});
    return {loss, ce, kl, confidence, entropy, per_sample};
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    if (at::GradMode::is_enabled())
      throw Error(Exit::data, "kd_loss: has no second derivative; expected a gradient without create_graph");
    return {grads[0] * context->get_saved_variables()[0], at::Tensor()};
  }
};

Tensors6 loss_autograd(GRADUS_KD_PARAMETERS) {
  const KdArguments a{GRADUS_KD_ARGUMENTS};
  if (!(at::GradMode::is_enabled() && student.requires_grad())) {
    at::AutoDispatchBelowADInplaceOrView below;
    return without_gradient(kd_loss_forward(a, false));
  }
  const auto r = KdLoss::apply(student, a);
  return {r[0], r[1], r[2], r[3], r[4], r[5]};
}

#define GRADUS_KD_SCHEMA                                                                                     \
  "(Tensor student, Tensor? teacher, Tensor? target, Tensor temperature, Tensor alpha, *, "                  \
  "Tensor? teacher_temperature=None, Tensor? weight=None, float label_smoothing=0., int ignore_index=-100, " \
  "bool t2=True, bool reverse=False"

TORCH_LIBRARY_FRAGMENT(gradus, m) {
  m.def("kd_loss" GRADUS_KD_SCHEMA
        ") -> (Tensor loss, Tensor ce, Tensor kl, Tensor confidence, Tensor entropy, Tensor per_sample)");
  m.def("kd_loss_forward" GRADUS_KD_SCHEMA
        ", bool with_gradient=True) -> (Tensor loss, Tensor ce, Tensor kl, Tensor confidence, Tensor entropy, "
        "Tensor per_sample, Tensor gradient)");
  m.def("kd_loss_forward.out" GRADUS_KD_SCHEMA
        ", bool with_gradient=True, Tensor(a!) loss, Tensor(b!) ce, Tensor(c!) kl, Tensor(d!) confidence, "
        "Tensor(e!) entropy, Tensor(f!) per_sample, Tensor(g!) gradient) -> ()");
}
TORCH_LIBRARY_IMPL(gradus, CPU, m) {
  m.impl("kd_loss_forward", &forward_cpu);
  m.impl("kd_loss_forward.out", &forward_out);
}
TORCH_LIBRARY_IMPL(gradus, CompositeExplicitAutograd, m) {
  m.impl("kd_loss", &loss_below_autograd);
  m.impl("kd_loss_forward", &forward_composed);
}
TORCH_LIBRARY_IMPL(gradus, Autograd, m) { m.impl("kd_loss", &loss_autograd); }

const bool registered = [] {
  register_direct("gradus::kd_loss_forward", "out", &direct::prepare<&forward_out>);
  return true;
}();

}  // namespace

Tensors7 kd_loss_forward(const KdArguments& a, bool with_gradient) {
  using Signature = Tensors7(GRADUS_KD_PARAMETERS, bool);
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("gradus::kd_loss_forward", "").typed<Signature>();
  return op.call(a.student, a.teacher, a.target, a.temperature, a.alpha, a.teacher_temperature, a.weight,
                 a.label_smoothing, a.ignore_index, a.t2, a.reverse, with_gradient);
}

Tensors6 kd_loss(const KdArguments& a) {
  using Signature = Tensors6(GRADUS_KD_PARAMETERS);
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("gradus::kd_loss", "").typed<Signature>();
  return op.call(a.student, a.teacher, a.target, a.temperature, a.alpha, a.teacher_temperature, a.weight,
                 a.label_smoothing, a.ignore_index, a.t2, a.reverse);
}

}  // namespace gradus
