// Recording of a training step, below autograd: every operator that one call makes, forward, backward, clipping and
// optimizer, in order, so that a Plan (plan.h) can do it again without autograd and without Lua.
//
// A boxed fallback on DispatchKey::Fake sees the operators and passes them on. Tensors are told apart by where their
// values are (storage, offset, sizes, strides, dtype), because autograd hands saved outputs back as other TensorImpls
// on the same storage. All storages are kept alive while recording, so that no address is used twice; the memory of
// large ones goes when nobody else holds them.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "torch.h"

namespace gradus {

// A stretch of memory that a step uses.
struct Buffer {
  enum class Kind {
    input,       // changes from call to call: a tensor of the batch, a knob given as a tensor
    persistent,  // existed before the step began: parameter, running statistic, optimizer state, closed-over tensor,
                 // knob
    constant,    // made in the step from nothing but numbers; the same in every call
    produced,    // made by an operator of the step
  };
  Kind kind;
  c10::Storage storage;  // as recorded; of a produced buffer dropped once the recording is done
  at::Tensor tensor;     // persistent: a tensor of it, as first seen
  std::size_t nbytes = 0;
  bool written = false;    // by an operator that did not produce it
  bool unwritten = false;  // from empty(): no operator has written to it yet
  int maker = -1;          // the operator that produced it
};

// A tensor: a view of a buffer.
struct Value {
  int buffer;
  at::ScalarType type;
  std::vector<int64_t> sizes, strides;
  int64_t offset;
};

// Where in an operator's arguments a tensor stands: in a list when `item` >= 0.
struct Operand {
  int argument, item, value;
};

struct RecordedOp {
  c10::OperatorHandle handle;
  std::vector<c10::IValue> arguments;  // tensors are left out: see operands
  std::vector<Operand> operands;
  std::vector<int> results;  // values, lists flattened; -1 for an undefined tensor
  std::vector<int> writes;   // values that are changed in place
  bool random = false;       // draws from a generator
  std::string where;         // the user's line
};

// A parameter's gradient, where the step uses or leaves one (loss:backward()).
struct GradSlot {
  at::Tensor leaf, before;  // before: the gradient that the step found; undefined: none
  bool replaced = false;    // the step leaves another one: `value`, or none where that is -1
  int value = -1;
  bool matters = true;  // false where the step sets it to none before using it
};

// What changes the operators of a step from outside: gradients on or off, autocast and its dtype.
int thread_modes();

struct Recording {
  int modes = 0;
  std::vector<Buffer> buffers;
  std::vector<Value> values;
  std::vector<RecordedOp> ops;
  std::vector<at::Generator> generators;  // besides the default one
  std::vector<int> inputs;                // value of each input
  std::vector<int> outputs;               // value of each output
  std::vector<GradSlot> grads;

  const Buffer& buffer(int value) const { return buffers[values[value].buffer]; }
  // Whether operator number `index` only looks: a view, a question about shapes. No new memory, nothing written.
  bool only_looks(const RecordedOp& op, int index) const;
};

// Records what this thread's operators do, from construction to finish().
class Recorder {
 public:
  // inputs: tensors that change from call to call. where: names the user's line. Throws Error when a recording is
  // going on already.
  Recorder(const std::vector<at::Tensor>& inputs, std::function<std::string()> where);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // Ends the recording. False when the step cannot be replayed: see problem().
  bool finish(const std::vector<at::Tensor>& outputs);
  Recording take() { return std::move(recording_); }

  // Why the step cannot be replayed, with the line; "" while it can.
  const std::string& problem() const { return problem_; }

  // The recording of this thread, or null.
  static Recorder* current();
  void cannot(const std::string& why);        // the first reason is kept
  void grad_cleared(const at::Tensor& leaf);  // the script sets leaf.grad to none
  static void value_read(const char* what);   // the script reads a tensor's values: the recording, if any, is void

  void operator_called(const c10::OperatorHandle& op, c10::DispatchKeySet keys, torch::jit::Stack* stack);

 private:
  int value_of(const at::Tensor& tensor, int maker = -1);
  void add_operand(RecordedOp& op, int argument, int item, const at::Tensor& tensor);
  int add_buffer(Buffer::Kind kind, const at::Tensor& tensor);
  void note_leaf(const at::Tensor& tensor);
  RecordedOp before(const c10::OperatorHandle& op, const torch::jit::Stack& stack);
  void after(RecordedOp op, const torch::jit::Stack& stack, std::size_t first);
  void check_reads(const RecordedOp& op);
  void note_varying(const RecordedOp& op, std::size_t first_buffer);
  void free_dead();
  void find_grads();
  void stop();

  Recording recording_;
  std::unordered_map<const c10::StorageImpl*, int> buffers_;
  std::unordered_map<int, std::vector<int>> values_;               // of each buffer
  std::vector<bool> varies_;                                       // buffers that cannot turn out to be constant
  std::vector<int> large_;                                         // of those the large ones that have memory
  std::unordered_map<const at::TensorImpl*, std::size_t> leaves_;  // place in grads
  std::function<std::string()> where_;
  std::string problem_;
  bool running_ = true;
};

}  // namespace gradus
