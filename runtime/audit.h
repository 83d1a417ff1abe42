// Audit of a plan: from one state the step is done both ways, and every bit must be the same.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "plan.h"

namespace gradus {

class Audit {
 public:
  // Borrows the plan; remembers the state: what the plan knows of memory that outlives a step, and random generators.
  explicit Audit(Plan& plan);

  // Replays, remembers the outcome and puts the state back. Then the caller does the step itself.
  void replay(const std::vector<at::Tensor>& inputs);

  // "", or which output, tensor or generator differs after the step itself, and which operator last wrote it. `name`
  // gives the name of an output.
  std::string compare(const std::vector<at::Tensor>& outputs,
                      const std::function<std::string(std::size_t)>& name) const;

 private:
  // What a way of doing the step left: fingerprints instead of copies, as the state may be most of the memory there is.
  struct Outcome {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> memory;  // of each buffer in buffers_
    std::vector<at::Tensor> generators;
  };
  Outcome read() const;
  void restore();

  Plan& plan_;
  std::vector<int> buffers_;   // that were there before the step
  std::vector<bool> written_;  // which of them the step writes, or memory that they share
  std::vector<at::Generator> generators_;
  Outcome before_, replayed_;
  std::vector<std::vector<char>> memory_;  // before, of the written ones
  std::vector<at::Tensor> outputs_, grads_;
};

}  // namespace gradus
