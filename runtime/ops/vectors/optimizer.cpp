// Updates of parameters (vectors.h), the formulas of torch.optim. Each element by itself: the same bits in every split.
#include <cmath>

#include "isa.h"

namespace gradus::vectors::GRADUS_ISA {
namespace {

double squares(int64_t n, const float* g) {
  constexpr int64_t kSums = 16;  // independent sums, as many on every CPU
  double sums[kSums] = {};
  const int64_t whole = n / kSums * kSums;
  for (int64_t i = 0; i < whole; i += kSums)
    for (int64_t s = 0; s < kSums; ++s) sums[s] += static_cast<double>(g[i + s]) * static_cast<double>(g[i + s]);
  for (int64_t i = whole; i < n; ++i) sums[i - whole] += static_cast<double>(g[i]) * static_cast<double>(g[i]);
  double total = 0;
  for (double one : sums) total += one;
  return total;
}

void sgd(int64_t n, float* __restrict p, const float* __restrict g, float* __restrict momentum, const SgdRates& rates) {
  const SgdRates r = rates;
  if (!momentum) {
    for (int64_t i = 0; i < n; ++i) p[i] -= r.lr * (g[i] * r.scale + r.weight_decay * p[i]);
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    const float grad = g[i] * r.scale + r.weight_decay * p[i];
    momentum[i] = r.momentum * momentum[i] + grad;
    p[i] -= r.lr * (r.nesterov ? grad + r.momentum * momentum[i] : momentum[i]);
  }
}

void adam(int64_t n, float* __restrict p, const float* __restrict g, float* __restrict exp_avg,
          float* __restrict exp_avg_sq, const AdamRates& rates) {
  const AdamRates r = rates;
  for (int64_t i = 0; i < n; ++i) {
    const float grad = g[i] * r.scale + r.weight_decay * p[i];
    const float first = exp_avg[i] + (grad - exp_avg[i]) * r.beta1_rest;
    const float second = r.beta2 * exp_avg_sq[i] + r.beta2_rest * grad * grad;
    exp_avg[i] = first;
    exp_avg_sq[i] = second;
    p[i] = p[i] * r.decay - r.step_size * first / (std::sqrt(second) * r.inverse_correction2_sqrt + r.eps);
  }
}

}  // namespace

extern const OptimizerKernels optimizers;
const OptimizerKernels optimizers = {squares, sgd, adam};

}  // namespace gradus::vectors::GRADUS_ISA
