// The distillation loss from LibTorch's operators: for devices without a kernel of ours, and the kernel's peer in
// tests.
#include "kd_loss.h"
#include "kd_loss_arguments.h"

namespace gradus {

using namespace kd;

Tensors7 kd_loss_composed(const KdArguments& a, bool with_gradient) {
  check(a);
  const auto type = compute_type(a.student);
  const at::Tensor z = a.student.detach().to(type);
  const int64_t classes = z.size(-1), rows = z.numel() / classes;
  const auto row_shape = z.sizes().slice(0, z.dim() - 1);
  const auto per_row = [&](const at::Tensor& value, const char* name) {  // broadcasts over student without its last dim
    const int64_t shared = rows_per_value(value, name, a, rows);
    const at::Tensor v = value.to(z.options());
    return value.numel() == 1 ? v.reshape({}).expand(row_shape) : shared > 1 ? v.unsqueeze(-1).expand(row_shape) : v;
  };
  const at::Tensor log_q = at::log_softmax(z, -1), q = log_q.exp();
  const at::Tensor zeros = at::zeros(row_shape, z.options());
  at::Tensor counted = at::ones_like(zeros), ce = zeros, confidence = q.amax(-1), target;
  if (a.target) {
    if (has_labels(a)) {
      const at::Tensor keep = a.target->ne(a.ignore_index);
      const at::Tensor index = a.target->masked_fill(keep.logical_not(), 0).unsqueeze(-1);
      counted = keep.to(type);
      target = at::zeros_like(z).scatter(-1, index, 1.0);
      confidence = at::where(keep, q.gather(-1, index).squeeze(-1), confidence);
    } else {
      target = a.target->to(type);
    }
    target = target * (1 - a.label_smoothing) + a.label_smoothing / static_cast<double>(classes);
    if (!has_labels(a)) confidence = (target * q).sum(-1);
    ce = -at::where(target == 0, at::zeros_like(z), target * log_q).sum(-1);
  }
  at::Tensor kl = zeros, alpha = a.teacher ? per_row(a.alpha, "alpha") : at::ones_like(zeros);
  if (!a.target) alpha = zeros;
  const at::Tensor t = per_row(a.temperature, "temperature");
  const at::Tensor scale = a.t2 ? t * t : at::ones_like(t);
  at::Tensor soft, p, log_ratio;
  if (a.teacher) {
    const at::Tensor tt = a.teacher_temperature ? per_row(*a.teacher_temperature, "teacher_temperature") : t;
    const auto centred = [](const at::Tensor& x) { return x - x.amax(-1, true); };  // first, so that T may be 1e-20
    const at::Tensor log_p = at::log_softmax(centred(a.teacher->detach().to(type)) / tt.unsqueeze(-1), -1);
    const at::Tensor log_soft = at::log_softmax(centred(z) / t.unsqueeze(-1), -1);
    p = log_p.exp();
    soft = log_soft.exp();
    log_ratio = a.reverse ? log_soft - log_p : log_p - log_soft;
    const at::Tensor& measure = a.reverse ? soft : p;
    kl = at::where(measure == 0, at::zeros_like(z), measure * log_ratio).sum(-1);
  }
  const at::Tensor share_raw = counted * (a.weight ? per_row(*a.weight, "weight") : at::ones_like(counted));
  const at::Tensor total = share_raw.sum();
  const at::Tensor share = at::where(total == 0, at::zeros_like(share_raw), share_raw / total);
  const auto term = [](const at::Tensor& factor, const at::Tensor& value) {
    return at::where(factor == 0, at::zeros_like(value), factor * value);
  };
  const at::Tensor per_sample = term(counted * alpha, ce) + term(counted * (1 - alpha) * scale, kl);
  at::Tensor gradient;
  if (with_gradient) {
    gradient = at::zeros_like(z);
    if (a.target) gradient = (share * alpha).unsqueeze(-1) * (q * target.sum(-1, true) - target);
    if (a.teacher) {
      const at::Tensor slope =
          a.reverse ? at::where(soft == 0, at::zeros_like(z), soft * (log_ratio - kl.unsqueeze(-1))) : soft - p;
      gradient = gradient + (share * (1 - alpha) * scale / t).unsqueeze(-1) * slope;
    }
    gradient = gradient.to(a.student.scalar_type());
  }
  return {term(share, per_sample).sum(),
          term(share, ce).sum(),
          term(share, kl).sum(),
          confidence,
          -at::where(q == 0, at::zeros_like(z), q * log_q).sum(-1),
          per_sample,
          gradient};
}

}  // namespace gradus
