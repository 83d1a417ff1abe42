// The distillation loss from LibTorch's operators: for devices without a kernel of ours, and the kernel's peer in
// tests.
#include "kd_loss.h"
#include "kd_loss_arguments.h"

namespace gradus {

using namespace kd;

namespace {

// 0 times what is infinite is 0 here.
at::Tensor unless_zero(const at::Tensor& factor, const at::Tensor& value) {
  return at::where(factor == 0, at::zeros_like(value), value);
}

// By row, but target: [rows…, classes], undefined without labels. counted: 1, or 0 where the label is ignored.
struct LabelTerms {
  at::Tensor counted, ce, confidence, target;
};

LabelTerms label_terms(const KdArguments& a, const at::Tensor& log_q, const at::Tensor& q) {
  const at::Tensor most = q.amax(-1), ones = at::ones_like(most);
  if (!a.target) return {ones, at::zeros_like(most), most, {}};
  const auto smoothed = [&](const at::Tensor& target) {
    return target * (1 - a.label_smoothing) + a.label_smoothing / static_cast<double>(q.size(-1));
  };
  const auto entropy = [&](const at::Tensor& target) { return -unless_zero(target, target * log_q).sum(-1); };
  if (!has_labels(a)) {
    const at::Tensor target = smoothed(a.target->to(q.scalar_type()));
    return {ones, entropy(target), (target * q).sum(-1), target};
  }
  const at::Tensor keep = a.target->ne(a.ignore_index);
  const at::Tensor index = a.target->masked_fill(keep.logical_not(), 0).unsqueeze(-1);
  const at::Tensor target = smoothed(at::zeros_like(q).scatter(-1, index, 1.0));
  return {keep.to(q.scalar_type()), entropy(target), at::where(keep, q.gather(-1, index).squeeze(-1), most), target};
}

// kl: by row; slope: of it over the logits, times their temperature.
struct TeacherTerms {
  at::Tensor kl, slope;
};

TeacherTerms teacher_terms(const KdArguments& a, const at::Tensor& z, const at::Tensor& t,
                           const at::Tensor& teacher_t) {
  const auto centred = [](const at::Tensor& x) { return x - x.amax(-1, true); };  // first, so that T may be 1e-20
  const at::Tensor log_p =
      at::log_softmax(centred(a.teacher->detach().to(z.scalar_type())) / teacher_t.unsqueeze(-1), -1);
  const at::Tensor log_soft = at::log_softmax(centred(z) / t.unsqueeze(-1), -1);
  const at::Tensor p = log_p.exp(), soft = log_soft.exp();
  if (!a.reverse) return {unless_zero(p, p * (log_p - log_soft)).sum(-1), soft - p};
  const at::Tensor log_ratio = log_soft - log_p, kl = unless_zero(soft, soft * log_ratio).sum(-1);
  return {kl, unless_zero(soft, soft * (log_ratio - kl.unsqueeze(-1)))};
}

}  // namespace

Tensors7 kd_loss_composed(const KdArguments& a, bool with_gradient) {
  check(a);
  const at::Tensor z = a.student.detach().to(compute_type(a.student));
  const int64_t rows = z.numel() / z.size(-1);
  const auto row_shape = z.sizes().slice(0, z.dim() - 1);
  const auto per_row = [&](const at::Tensor& value, const char* name) {  // broadcasts over student without its last dim
    const int64_t shared = rows_per_value(value, name, a, rows);
    const at::Tensor v = value.to(z.options());
    return value.numel() == 1 ? v.reshape({}).expand(row_shape) : shared > 1 ? v.unsqueeze(-1).expand(row_shape) : v;
  };
  const at::Tensor log_q = at::log_softmax(z, -1), q = log_q.exp(), zeros = at::zeros(row_shape, z.options());
  const auto [counted, ce, confidence, target] = label_terms(a, log_q, q);
  at::Tensor alpha = a.teacher ? per_row(a.alpha, "alpha") : at::ones_like(zeros);
  if (!a.target) alpha = zeros;
  const at::Tensor t = per_row(a.temperature, "temperature"), scale = a.t2 ? t * t : at::ones_like(t);
  TeacherTerms teacher{zeros, {}};
  if (a.teacher)
    teacher =
        teacher_terms(a, z, t, a.teacher_temperature ? per_row(*a.teacher_temperature, "teacher_temperature") : t);
  const at::Tensor weighed = counted * (a.weight ? per_row(*a.weight, "weight") : at::ones_like(counted));
  const at::Tensor total = weighed.sum(), share = unless_zero(total, weighed / total);
  const auto term = [](const at::Tensor& factor, const at::Tensor& value) {
    return unless_zero(factor, factor * value);
  };
  const at::Tensor per_sample = term(counted * alpha, ce) + term(counted * (1 - alpha) * scale, teacher.kl);
  at::Tensor gradient;
  if (with_gradient) {
    gradient = at::zeros_like(z);
    if (a.target) gradient = (share * alpha).unsqueeze(-1) * (q * target.sum(-1, true) - target);
    if (a.teacher) gradient = gradient + (share * (1 - alpha) * scale / t).unsqueeze(-1) * teacher.slope;
    gradient = gradient.to(a.student.scalar_type());
  }
  return {term(share, per_sample).sum(),
          term(share, ce).sum(),
          term(share, teacher.kl).sum(),
          confidence,
          -unless_zero(q, q * log_q).sum(-1),
          per_sample,
          gradient};
}

}  // namespace gradus
