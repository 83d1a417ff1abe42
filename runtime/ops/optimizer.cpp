// gradus::sgd_ and gradus::adam_: one update of parameters by their gradients, clipped on the way, in one pass.
// gradus::grad_norm: the global L2 norm of gradients (0-dim). The formulas are torch.optim's; rates, counts and norms
// are tensors that are read when the update runs, so that a recorded step can be replayed. float32 on the CPU is
// updated by our kernels (vectors/optimizer.cpp), everything else by LibTorch's fused ones. With guard, a norm that is not
// finite leaves everything as it was: parameters, moments and counts.
// gradus::put_back_: of other tensors that the step has changed by then, the same.
#include <ATen/Parallel.h>

#include <cmath>
#include <vector>

#include "error.h"
#include "ops/vectors/vectors.h"
#include "step/direct.h"
#include "torch.h"

namespace gradus {
namespace {

using OptionalTensor = std::optional<at::Tensor>;

constexpr double kEpsilon = 1e-6;  // of clip_grad_norm_
constexpr int64_t kGrain = 32768;  // elements that a second thread pays for

bool ours(at::TensorList tensors) {
  return std::all_of(tensors.begin(), tensors.end(), [](const at::Tensor& t) {
    return t.device().is_cpu() && t.scalar_type() == at::kFloat && t.is_contiguous();
  });
}

double number(const at::Tensor& t) {
  return t.scalar_type() == at::kDouble ? *t.const_data_ptr<double>() : t.item<double>();
}

// What the gradients are multiplied by so that their norm is at most max_norm; NaN spreads, as in PyTorch.
double clip_factor(double norm, double max_norm) {
  const double factor = max_norm / (norm + kEpsilon);
  return factor >= 1 ? 1 : factor;
}

struct Step {
  bool skipped = false;
  double scale = 1;
};

Step step_of(const OptionalTensor& norm, const OptionalTensor& max_norm, bool maximize, bool guard) {
  Step step;
  if (maximize) step.scale = -1;
  if (!norm) return step;
  const double value = number(*norm);
  if (guard && !std::isfinite(value)) step.skipped = true;
  if (max_norm) step.scale *= clip_factor(value, number(*max_norm));
  return step;
}

void check_rate(const char* where, const at::Tensor& lr) {
  const double rate = number(lr);
  if (!(rate >= 0 && std::isfinite(rate)))
    throw Error(Exit::data,
                std::string(where) + ": lr is " + c10::str(rate) + "; expected a finite number of at least 0");
}

void check_lists(const char* where, at::TensorList params, std::initializer_list<at::TensorList> others) {
  for (const auto& list : others)
    if (list.size() != params.size())
      throw Error(Exit::data, std::string(where) + ": " + std::to_string(list.size()) + " tensors for " +
                                  std::to_string(params.size()) + " parameters");
}

template <typename F>
void for_ranges(const at::Tensor& param, F&& update) {
  at::parallel_for(0, param.numel(), kGrain, [&](int64_t begin, int64_t end) { update(begin, end - begin); });
}

// ---- other devices and dtypes: the same from LibTorch's operators, nothing read on the host

struct Scaled {
  std::vector<at::Tensor> grads;
  OptionalTensor found_inf;
};

Scaled scaled(at::TensorList grads, const OptionalTensor& norm, const OptionalTensor& max_norm, bool guard) {
  Scaled result{grads.vec(), std::nullopt};
  if (norm && max_norm) {
    const at::Tensor factor = (max_norm->to(norm->options()) / (*norm + kEpsilon)).clamp_max(1.0);
    for (at::Tensor& grad : result.grads) grad = grad * factor.to(grad.scalar_type());
  }
  if (norm && guard) result.found_inf = norm->isfinite().logical_not().to(at::kFloat);
  for (at::Tensor& grad : result.grads) grad = grad.contiguous();  // the kernels do not look at strides
  return result;
}

// ---- SGD

// LibTorch's fused kernel (2.13) leaves float16 and bfloat16 parameters on the CPU as they are, but for the last few.
void sgd_short(const at::Tensor& param, at::Tensor grad, const OptionalTensor& momenta, const at::Tensor& lr,
               const OptionalTensor& refused, double weight_decay, double momentum, bool nesterov, bool maximize) {
  const at::Tensor before = param.to(at::kFloat);
  grad = grad.to(at::kFloat);
  if (maximize) grad = -grad;
  if (weight_decay != 0) grad = grad + before * weight_decay;
  const auto put = [&](const at::Tensor& into, const at::Tensor& value) {
    into.copy_(refused ? at::where(refused->to(at::kBool), into.to(at::kFloat), value) : value);
  };
  if (momenta) {
    const at::Tensor moved = momenta->to(at::kFloat) * momentum + grad;
    put(*momenta, moved);
    grad = nesterov ? grad + moved * momentum : moved;
  }
  put(param, before - grad * lr.to(grad.options()));
}

void sgd_composed(at::TensorList params, at::TensorList grads, at::TensorList momenta, const at::Tensor& lr,
                  const OptionalTensor& norm, const OptionalTensor& max_norm, double weight_decay, double momentum,
                  bool nesterov, bool maximize, bool guard) {
  check_lists("sgd_", params, {grads});
  const Scaled s = scaled(grads, norm, max_norm, guard);
  std::vector<at::Tensor> others, of_others, their_momenta;
  for (std::size_t i = 0; i < params.size(); ++i) {
    const OptionalTensor momenta_of = momenta.empty() ? std::nullopt : OptionalTensor(momenta[i]);
    if (at::isReducedFloatingType(params[i].scalar_type())) {
      sgd_short(params[i], s.grads[i], momenta_of, lr, s.found_inf, weight_decay, momentum, nesterov, maximize);
      continue;
    }
    others.push_back(params[i]);
    of_others.push_back(s.grads[i]);
    if (momenta_of) their_momenta.push_back(*momenta_of);
  }
  if (others.empty()) return;
  at::_fused_sgd_(others, of_others, their_momenta, weight_decay, momentum, lr, 0, nesterov, maximize, false, {},
                  s.found_inf);
}

void sgd_cpu(at::TensorList params, at::TensorList grads, at::TensorList momenta, const at::Tensor& lr,
             const OptionalTensor& norm, const OptionalTensor& max_norm, double weight_decay, double momentum,
             bool nesterov, bool maximize, bool guard) {
  check_rate("sgd_", lr);
  if (!ours(params) || !ours(grads) || !ours(momenta))
    return sgd_composed(params, grads, momenta, lr, norm, max_norm, weight_decay, momentum, nesterov, maximize, guard);
  check_lists("sgd_", params, {grads});
  const Step step = step_of(norm, max_norm, maximize, guard);
  if (step.skipped) return;
  const vectors::SgdRates rates{static_cast<float>(number(lr)), static_cast<float>(weight_decay),
                                static_cast<float>(momentum), static_cast<float>(step.scale), nesterov};
  for (std::size_t i = 0; i < params.size(); ++i) {
    auto* p = params[i].mutable_data_ptr<float>();
    const auto* g = grads[i].const_data_ptr<float>();
    auto* m = momenta.empty() ? nullptr : momenta[i].mutable_data_ptr<float>();
    for_ranges(params[i], [&](int64_t at, int64_t n) {
      vectors::optimizers().sgd(n, p + at, g + at, m ? m + at : nullptr, rates);
    });
  }
}

// ---- Adam and AdamW

void adam_composed(at::TensorList params, at::TensorList grads, at::TensorList exp_avgs, at::TensorList exp_avg_sqs,
                   at::TensorList steps, const at::Tensor& lr, const OptionalTensor& norm,
                   const OptionalTensor& max_norm, double beta1, double beta2, double weight_decay, double eps,
                   bool decoupled, bool maximize, bool guard) {
  check_lists("adam_", params, {grads, exp_avgs, exp_avg_sqs, steps});
  const Scaled s = scaled(grads, norm, max_norm, guard);
  std::vector<at::Tensor> distinct;  // one count may serve all parameters
  for (const at::Tensor& step : steps)
    if (distinct.empty() || !step.is_same(distinct.back())) distinct.push_back(step);
  if (s.found_inf)
    at::_foreach_add_(distinct, 1 - *s.found_inf);
  else
    at::_foreach_add_(distinct, 1);
  if (decoupled)
    at::_fused_adamw_(params, s.grads, exp_avgs, exp_avg_sqs, {}, steps, lr, beta1, beta2, weight_decay, eps, false,
                      maximize, {}, s.found_inf);
  else
    at::_fused_adam_(params, s.grads, exp_avgs, exp_avg_sqs, {}, steps, lr, beta1, beta2, weight_decay, eps, false,
                     maximize, {}, s.found_inf);
}

void adam_cpu(at::TensorList params, at::TensorList grads, at::TensorList exp_avgs, at::TensorList exp_avg_sqs,
              at::TensorList steps, const at::Tensor& lr, const OptionalTensor& norm, const OptionalTensor& max_norm,
              double beta1, double beta2, double weight_decay, double eps, bool decoupled, bool maximize, bool guard) {
  check_rate("adam_", lr);
  if (!ours(params) || !ours(grads) || !ours(exp_avgs) || !ours(exp_avg_sqs))
    return adam_composed(params, grads, exp_avgs, exp_avg_sqs, steps, lr, norm, max_norm, beta1, beta2, weight_decay,
                         eps, decoupled, maximize, guard);
  check_lists("adam_", params, {grads, exp_avgs, exp_avg_sqs, steps});
  const Step step = step_of(norm, max_norm, maximize, guard);
  if (step.skipped) return;
  const double rate = number(lr);
  const at::Tensor* counted = nullptr;  // one count may serve all parameters
  for (std::size_t i = 0; i < params.size(); ++i) {
    float* count = steps[i].mutable_data_ptr<float>();
    if (!counted || !steps[i].is_same(*counted)) *count += 1;
    counted = &steps[i];
    const double t = *count;
    const vectors::AdamRates rates{static_cast<float>(rate / (1 - std::pow(beta1, t))),
                                   static_cast<float>(1 / std::sqrt(1 - std::pow(beta2, t))),
                                   static_cast<float>(1 - beta1),
                                   static_cast<float>(beta2),
                                   static_cast<float>(1 - beta2),
                                   static_cast<float>(eps),
                                   decoupled ? 0.f : static_cast<float>(weight_decay),
                                   decoupled ? static_cast<float>(1 - rate * weight_decay) : 1.f,
                                   static_cast<float>(step.scale)};
    auto* p = params[i].mutable_data_ptr<float>();
    const auto* g = grads[i].const_data_ptr<float>();
    auto* m = exp_avgs[i].mutable_data_ptr<float>();
    auto* v = exp_avg_sqs[i].mutable_data_ptr<float>();
    for_ranges(params[i],
               [&](int64_t at, int64_t n) { vectors::optimizers().adam(n, p + at, g + at, m + at, v + at, rates); });
  }
}

// ---- the norm

at::Tensor norm_composed(at::TensorList grads) {
  if (grads.empty()) throw Error(Exit::data, "grad_norm: no gradients; expected at least one");
  std::vector<at::Tensor> norms;
  for (const auto& norm : at::_foreach_norm(grads)) norms.push_back(norm.to(grads[0].options()));
  return at::stack(norms).norm();
}

at::Tensor norm_cpu(at::TensorList grads) {
  if (grads.empty() || !ours(grads)) return norm_composed(grads);
  double squares = 0;
  for (const at::Tensor& grad : grads)
    squares += vectors::optimizers().squares(grad.numel(), grad.const_data_ptr<float>());
  at::Tensor norm = at::empty({}, grads[0].options());
  *norm.mutable_data_ptr<float>() = static_cast<float>(std::sqrt(squares));
  return norm;
}

// ---- what a refused update leaves as it was

void put_back_composed(at::TensorList now, at::TensorList before, const at::Tensor& norm) {
  check_lists("put_back_", now, {before});
  const at::Tensor finite = norm.isfinite();
  for (std::size_t i = 0; i < now.size(); ++i) now[i].copy_(at::where(finite.to(now[i].device()), now[i], before[i]));
}

void put_back_cpu(at::TensorList now, at::TensorList before, const at::Tensor& norm) {
  check_lists("put_back_", now, {before});
  if (std::isfinite(number(norm))) return;
  for (std::size_t i = 0; i < now.size(); ++i) now[i].copy_(before[i]);
}

TORCH_LIBRARY_FRAGMENT(gradus, m) {
  m.def("put_back_(Tensor(a!)[] now, Tensor[] before, Tensor norm) -> ()");
  m.def("grad_norm(Tensor[] grads) -> Tensor");
  m.def(
      "sgd_(Tensor(a!)[] params, Tensor[] grads, Tensor(b!)[] momentum_buffers, Tensor lr, *, Tensor? norm=None, "
      "Tensor? max_norm=None, float weight_decay=0., float momentum=0., bool nesterov=False, bool maximize=False, "
      "bool guard=False) -> ()");
  m.def(
      "adam_(Tensor(a!)[] params, Tensor[] grads, Tensor(b!)[] exp_avgs, Tensor(c!)[] exp_avg_sqs, "
      "Tensor(d!)[] steps, Tensor lr, *, Tensor? norm=None, Tensor? max_norm=None, float beta1=0.9, "
      "float beta2=0.999, float weight_decay=0., float eps=1e-08, bool decoupled=False, bool maximize=False, "
      "bool guard=False) -> ()");
}
TORCH_LIBRARY_IMPL(gradus, CPU, m) {
  m.impl("grad_norm", &norm_cpu);
  m.impl("sgd_", &sgd_cpu);
  m.impl("adam_", &adam_cpu);
  m.impl("put_back_", &put_back_cpu);
}
TORCH_LIBRARY_IMPL(gradus, CompositeExplicitAutograd, m) {
  m.impl("grad_norm", &norm_composed);
  m.impl("sgd_", &sgd_composed);
  m.impl("adam_", &adam_composed);
  m.impl("put_back_", &put_back_composed);
}

const bool registered = [] {
  register_direct("gradus::sgd_", "", &direct::prepare<&sgd_cpu>);
  register_direct("gradus::adam_", "", &direct::prepare<&adam_cpu>);
  register_direct("gradus::put_back_", "", &direct::prepare<&put_back_cpu>);
  return true;
}();

}  // namespace
}  // namespace gradus
