// gradus::clip_grad_norm_: scales gradients in place so that their global L2 norm is at most max_norm, and returns the
// norm before (0-dim, on the gradients' device). The formula of torch.nn.utils.clip_grad_norm_, without its reads of
// values on the host.
#include <unordered_set>
#include <vector>

#include "error.h"
#include "torch.h"

namespace gradus {
namespace {

constexpr double kEpsilon = 1e-6;  // PyTorch's

// Two parameters may share one gradient tensor (those of a + b): each storage is scaled once.
std::vector<at::Tensor> distinct(at::TensorList grads) {
  std::unordered_set<const void*> seen;
  std::vector<at::Tensor> result;
  for (const auto& grad : grads)
    if (grad.numel() > 0 && seen.insert(grad.const_data_ptr()).second) result.push_back(grad);
  return result;
}

void check(at::TensorList grads, const at::Tensor& max_norm) {
  if (grads.empty()) throw Error(Exit::data, "clip_grad_norm_: no gradients; expected at least one");
  if (max_norm.numel() != 1) throw Error(Exit::data, "clip_grad_norm_: max_norm: expected a number > 0");
}

template <typename T>
double sum_of_squares(const at::Tensor& grad) {
  constexpr int64_t kLanes = 16;  // independent sums, so that they can be vectorised
  double lanes[kLanes] = {};
  const T* g = grad.const_data_ptr<T>();
  const int64_t n = grad.numel(), whole = n / kLanes * kLanes;
  for (int64_t i = 0; i < whole; i += kLanes)
    for (int64_t l = 0; l < kLanes; ++l) lanes[l] += static_cast<double>(g[i + l]) * static_cast<double>(g[i + l]);
  for (int64_t i = whole; i < n; ++i) lanes[i - whole] += static_cast<double>(g[i]) * static_cast<double>(g[i]);
  double total = 0;
  for (double lane : lanes) total += lane;
  return total;
}

template <typename T>
void scale(const at::Tensor& grad, double factor) {
  const auto share = static_cast<T>(factor);
  T* g = grad.mutable_data_ptr<T>();
  for (int64_t i = 0; i < grad.numel(); ++i) g[i] *= share;
}

bool simple(const at::Tensor& grad) {
  return grad.is_non_overlapping_and_dense() && (grad.scalar_type() == at::kFloat || grad.scalar_type() == at::kDouble);
}

at::Tensor clip_composed(at::TensorList grads, const at::Tensor& max_norm) {
  check(grads, max_norm);
  std::vector<at::Tensor> norms;
  for (const auto& norm : at::_foreach_norm(grads)) norms.push_back(norm.to(grads[0].options()));
  at::Tensor total = at::stack(norms).norm();
  const at::Tensor factor = (max_norm.to(total.options()) / (total + kEpsilon)).clamp_max(1.0);
  for (const auto& grad : distinct(grads)) grad.mul_(factor.to(grad.scalar_type()));
  return total;
}

at::Tensor clip_cpu(at::TensorList grads, const at::Tensor& max_norm) {
  check(grads, max_norm);
  if (!std::all_of(grads.begin(), grads.end(), simple)) return clip_composed(grads, max_norm);
  double squares = 0;
  for (const auto& grad : grads)
    squares += grad.scalar_type() == at::kFloat ? sum_of_squares<float>(grad) : sum_of_squares<double>(grad);
  const double norm = std::sqrt(squares);
  const double factor = max_norm.to(at::kDouble).const_data_ptr<double>()[0] / (norm + kEpsilon);
  if (!(factor >= 1))  // NaN too: it spreads to the gradients, as in PyTorch
    for (const auto& grad : distinct(grads))
      grad.scalar_type() == at::kFloat ? scale<float>(grad, factor) : scale<double>(grad, factor);
  return at::scalar_tensor(norm, grads[0].options());
}

TORCH_LIBRARY_FRAGMENT(gradus, m) { m.def("clip_grad_norm_(Tensor(a!)[] grads, Tensor max_norm) -> Tensor"); }
TORCH_LIBRARY_IMPL(gradus, CPU, m) { m.impl("clip_grad_norm_", &clip_cpu); }
TORCH_LIBRARY_IMPL(gradus, CompositeExplicitAutograd, m) { m.impl("clip_grad_norm_", &clip_composed); }

}  // namespace
}  // namespace gradus
