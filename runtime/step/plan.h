// A recorded step (record.h), made ready (planner.h) to be done again: the operators in order, on prepared arguments.
//
// Every tensor of the plan is a shell over memory that the plan points it to: parameters and inputs where they are,
// what the operators make in the plan's arena or in the tensors that they return. So views are never computed, dead
// operators are dropped, and operators with an out-variant write where the value is wanted. Nothing is reordered and no
// formula is changed: a replay gives the bits that the step itself would give.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "program.h"

namespace gradus {

class Plan {
 public:
  explicit Plan(Recording recording);
  ~Plan();
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  // Whether the step can be replayed on these inputs: as many, and of the shapes, strides and dtypes, as were recorded,
  // and parameters and gradients as they were then.
  bool fits(const std::vector<at::Tensor>& inputs) const;

  // Replays the step. outputs: one for each that was given to Recorder::finish, with memory of their own as long as
  // somebody holds them. Errors of operators carry the line that recorded them.
  void run(const std::vector<at::Tensor>& inputs, std::vector<at::Tensor>& outputs);

  // Several replays in one call, as jax.lax.scan does: step s takes row `from` + s of each tensor in `inputs`, which have a first
  // dimension more than the step's own, and leaves its outputs in that row of `outputs` (such tensors too, contiguous).
  struct Scan {
    std::vector<at::Tensor> inputs, outputs;
    int64_t from, steps;
    std::function<void(int64_t step)> before;  // sets the knobs
    std::vector<std::size_t> finite;           // the last step is one after which one of these outputs is not finite
  };
  // Whether run() would take the rows.
  bool fits(const Scan& scan) const;
  struct Scanned {
    int64_t steps;
    bool finite;
  };
  Scanned run(const Scan& scan);
  // Room for the outputs of so many steps.
  std::vector<at::Tensor> stacked_outputs(int64_t steps) const;

  // Swaps what is done in the place of a recorded operator, for an audit; nothing is: the operator itself.
  void swap_call(int recorded, std::function<void()>& call);
  // The arguments that a recorded operator is called with, or null where it is left out.
  const torch::jit::Stack* arguments_of(int recorded) const;
  // Gives back what memory can be given back until the next run.
  void rest();
  // Gives back what others have left unused; only where the step is one that uses much.
  void tidy();

  const Recording& recording() const { return program_.recording; }
  std::size_t num_operators() const { return program_.ops.size(); }
  std::size_t arena_bytes() const { return program_.arena_bytes; }
  // One line an operator, for people.
  std::string describe() const;

 private:
  void place_kept();
  void place_input(std::size_t i, const void* data);
  void prepare_outputs();
  void operate();
  void call(PlannedOp& op);
  void take_results(PlannedOp& op);
  at::Tensor output(int value, const std::vector<at::Tensor>& inputs);
  void set_grads();

  Program program_;
  torch::jit::Stack stack_;
};

}  // namespace gradus
