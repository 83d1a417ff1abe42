// Several replays of a plan in one call, as jax.lax.scan does: what a call costs is paid once.
#include <cmath>
#include <cstring>

#include "memory.h"
#include "plan.h"

namespace gradus {
namespace {

bool is_finite(const at::Tensor& one) { return std::isfinite(one.item<double>()); }

}  // namespace

bool Plan::fits(const Scan& scan) const {
  // A gradient that one step leaves for the next is another tensor each time.
  for (const GradSlot& slot : recording_.grads)
    if (slot.replaced && slot.matters) return false;
  std::vector<at::Tensor> rows;
  for (const at::Tensor& stacked : scan.inputs) {
    if (stacked.dim() == 0 || stacked.size(0) < scan.from + scan.steps) return false;
    rows.push_back(stacked.select(0, scan.from));
  }
  return fits(rows);
}

std::vector<at::Tensor> Plan::stacked_outputs(int64_t steps) const {
  std::vector<at::Tensor> list;
  for (int value : recording_.outputs) {
    const Value& v = recording_.values[value];
    std::vector<int64_t> sizes{steps};
    sizes.insert(sizes.end(), v.sizes.begin(), v.sizes.end());
    list.push_back(at::detail::empty_cpu(sizes, v.type));
  }
  return list;
}

Plan::Scanned Plan::run(const Scan& scan) {
  const memory::BlockScope blocks;
  const at::AutoDispatchBelowADInplaceOrView below;
  const auto row_of = [](const at::Tensor& stacked, int64_t row) {
    return static_cast<const char*>(stacked.const_data_ptr()) + row * stacked.stride(0) * stacked.element_size();
  };
  place_kept();
  prepare_outputs();
  Scanned result{0, true};
  for (; result.finite && result.steps < scan.steps; ++result.steps) {
    const int64_t row = scan.from + result.steps;
    for (std::size_t i = 0; i < scan.inputs.size(); ++i) place_input(i, row_of(scan.inputs[i], row));
    scan.before(result.steps);
    operate();
    for (std::size_t o = 0; o < scan.outputs.size(); ++o) {
      const at::Tensor& made = tensor(recording_.outputs[o]);
      const at::Tensor& to = scan.outputs[o];
      if (made.is_contiguous())
        std::memcpy(const_cast<char*>(row_of(to, row)), made.const_data_ptr(), made.nbytes());
      else
        to.select(0, row).copy_(made);
    }
    for (std::size_t o : scan.finite) result.finite = result.finite && is_finite(tensor(recording_.outputs[o]));
  }
  set_grads();
  return result;
}

}  // namespace gradus
