// A step, recorded: for the tests of what a plan makes of it.
#pragma once

#include <cstring>
#include <memory>
#include <stdexcept>
#include <vector>

#include "step/memory.h"
#include "step/plan.h"

namespace gradus {

inline const bool installed = [] {
  memory::install();
  at::set_num_threads(1);
  return true;
}();

inline bool same(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.detach().contiguous(), y = b.detach().contiguous();
  return x.sizes() == y.sizes() && std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) == 0;
}

template <class F>
std::unique_ptr<Plan> record(F&& step, const std::vector<at::Tensor>& inputs) {
  Recorder recorder(inputs, {});
  const auto outputs = step(inputs);
  if (!recorder.finish(outputs)) throw std::runtime_error(recorder.problem());
  return std::make_unique<Plan>(recorder.take());
}

}  // namespace gradus
