// A recorded step (record.h) as memory and the operators that are called on it, in order: what planner.h makes and a
// Plan (plan.h) runs.
#pragma once

#include <functional>
#include <vector>

#include "record.h"

namespace gradus {

struct Slot {  // a buffer at replay
  c10::Storage shell;
  const void* pointer = nullptr;  // what the shell points to
  at::Tensor owner;               // of an output or an operator's own result: what keeps the memory
  bool arena = false, escapes = false, placed = false;
  int whole = -1;    // the output that is all of it
  int copy_of = -1;  // its memory is that of this value, where it was to be copied
  std::size_t offset = 0;
  int first = -1, last = -1;  // operators of `ops` between which it is in use
};
struct PlannedOp {
  c10::OperatorHandle handle;
  torch::jit::Stack arguments;
  std::vector<int> results;   // values of the results that the operator allocates; -1 elsewhere
  std::vector<int> releases;  // buffers that nobody needs after it
  int recorded;
  std::function<void()> direct;  // the call on `arguments`, where the operator has a direct kernel
};

struct Program {
  Recording recording;
  std::vector<Slot> slots;          // of each buffer
  std::vector<at::Tensor> tensors;  // of each value, once asked for
  std::vector<PlannedOp> ops;
  std::vector<bool> requires_grad;             // of each buffer's tensor
  std::vector<int> persistent, fresh, copies;  // buffers to check; outputs' in memory of the plan; those with a copy_of
  at::DataPtr arena;
  std::size_t arena_bytes = 0;

  const Buffer& buffer(int value) const { return recording.buffer(value); }
  const at::Tensor& tensor(int value);  // over its buffer's shell
};

c10::Storage make_shell(std::size_t bytes);   // over no memory: see point()
void point(Slot& slot, const void* pointer);  // its shell to memory, which others keep
at::Tensor tensor_over(const c10::Storage& storage, const Value& value);

constexpr std::size_t kAlignment = 64;  // of buffers in bytes

int64_t numel(const Value& value);
std::size_t bytes_of(const Value& value);

}  // namespace gradus
