// Audit of a plan: from one state the step is done both ways, and every bit must be the same.
#pragma once

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
  struct State {
    std::vector<std::vector<char>> memory;  // of each buffer in buffers_
    std::vector<at::Tensor> generators;
  };
  State read() const;
  void restore(const State& state) const;

  Plan& plan_;
  std::vector<int> buffers_;
  std::vector<at::Generator> generators_;
  State before_, replayed_;
  std::vector<at::Tensor> outputs_, grads_;
};

}  // namespace gradus
