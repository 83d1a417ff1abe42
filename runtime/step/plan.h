// A recorded step (record.h), made ready to be done again: the operators in order, on prepared arguments.
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

#include "direct.h"
#include "record.h"

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

  const Recording& recording() const { return recording_; }
  std::size_t num_operators() const { return ops_.size(); }
  std::size_t arena_bytes() const { return arena_bytes_; }
  // One line an operator, for people.
  std::string describe() const;

 private:
  struct Slot {  // a buffer at replay
    c10::Storage shell;
    const void* pointer = nullptr;  // what the shell points to
    at::Tensor owner;               // of an output or an operator's own result: what keeps the memory
    bool arena = false, escapes = false, placed = false;
    int whole = -1;    // the output that is all of it
    int copy_of = -1;  // its memory is that of this value, where it was to be copied
    std::size_t offset = 0;
    int first = -1, last = -1;  // operators of ops_ between which it is in use
  };
  struct Op {
    c10::OperatorHandle handle;
    torch::jit::Stack arguments;
    std::vector<int> results;   // values of the results that the operator allocates; -1 elsewhere
    std::vector<int> releases;  // buffers that nobody needs after it
    int recorded;
    std::function<void()> direct;  // the call on `arguments`, where the operator has a direct kernel
  };

  void drop_identities();
  bool is_one(int value) const;
  bool can_share(int factor, int product, int op) const;
  std::vector<bool> find_live() const;
  void choose_operators();
  bool choose_out_variant(const RecordedOp& recorded, Op& op);
  void drop_copies();
  bool drop_copy(const Operand& target, const Operand& source, int op);
  void measure_lives();
  void lay_out_arena();
  void prepare_arguments();
  static void point(Slot& slot, const void* pointer);
  static at::Tensor tensor_over(const c10::Storage& storage, const Value& value);
  const at::Tensor& tensor(int value);
  void place_kept();
  void place_input(std::size_t i, const void* data);
  void prepare_outputs();
  void operate();
  void call(Op& op);
  void take_results(Op& op);
  at::Tensor output(int value, const std::vector<at::Tensor>& inputs);
  void set_grads();
  const Buffer& buffer(int value) const { return recording_.buffer(value); }

  Recording recording_;
  std::vector<Slot> slots_;
  std::vector<at::Tensor> tensors_;  // of each value, once asked for
  std::vector<Op> ops_;
  std::vector<bool> identity_;                    // recorded operators whose result is an operand
  std::vector<bool> requires_grad_;               // of each buffer's tensor
  std::vector<int> persistent_, fresh_, copies_;  // buffers to check; outputs' in memory of the plan; copy_of
  at::DataPtr arena_;
  std::size_t arena_bytes_ = 0;
  torch::jit::Stack stack_;
};

}  // namespace gradus
