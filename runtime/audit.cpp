#include "audit.h"

#include <ATen/CPUGeneratorImpl.h>

#include <cstring>

namespace gradus {
namespace {

c10::StorageImpl* storage_of(const at::Tensor& tensor) { return tensor.storage().unsafeGetStorageImpl(); }

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes()) return false;
  const at::Tensor x = a.contiguous(), y = b.contiguous();
  return x.numel() == 0 || std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) == 0;
}

at::Tensor generator_state(at::Generator generator) {
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return generator.get_state();
}

}  // namespace

Audit::Audit(Plan& plan) : plan_(plan), generators_(plan.recording().generators) {
  generators_.push_back(at::detail::getDefaultCPUGenerator());
  const auto& buffers = plan.recording().buffers;
  for (std::size_t b = 0; b < buffers.size(); ++b)
    if (buffers[b].kind == Buffer::Kind::persistent) buffers_.push_back(static_cast<int>(b));
  before_ = read();
}

Audit::State Audit::read() const {
  State state;
  for (int b : buffers_) {
    const c10::StorageImpl* storage = storage_of(plan_.recording().buffers[b].tensor);
    const auto* bytes = static_cast<const char*>(storage->data());
    state.memory.emplace_back(bytes, bytes + storage->nbytes());
  }
  for (const auto& generator : generators_) state.generators.push_back(generator_state(generator));
  return state;
}

void Audit::restore(const State& state) const {
  for (std::size_t i = 0; i < buffers_.size(); ++i)
    std::memcpy(storage_of(plan_.recording().buffers[buffers_[i]].tensor)->mutable_data(), state.memory[i].data(),
                state.memory[i].size());
  for (std::size_t i = 0; i < generators_.size(); ++i) {
    at::Generator generator = generators_[i];
    const std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(state.generators[i]);
  }
}

void Audit::replay(const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> grads;  // the leaves' own, to be put back
  for (const GradSlot& slot : plan_.recording().grads) grads.push_back(slot.leaf.grad());
  plan_.run(inputs, outputs_);
  replayed_ = read();
  for (std::size_t i = 0; i < grads.size(); ++i) {
    const at::Tensor& leaf = plan_.recording().grads[i].leaf;
    grads_.push_back(leaf.grad());
    leaf.mutable_grad() = grads[i];
  }
  restore(before_);
}

std::string Audit::compare(const std::vector<at::Tensor>& outputs,
                           const std::function<std::string(std::size_t)>& name) const {
  const Recording& recording = plan_.recording();
  if (outputs.size() != outputs_.size()) return "the step returns other outputs than when it was recorded";
  const auto writer = [&](int buffer) {  // the operator that wrote it last
    for (std::size_t i = recording.ops.size(); i-- > 0;) {
      const RecordedOp& op = recording.ops[i];
      for (const auto* values : {&op.writes, &op.results})
        for (int value : *values)
          if (value >= 0 && recording.values[value].buffer == buffer &&
              (values == &op.writes || recording.buffers[buffer].maker == static_cast<int>(i)))
            return op.handle.operator_name().name + (op.where.empty() ? "" : " at " + op.where);
    }
    return std::string("none of the recorded operators");
  };
  for (std::size_t i = 0; i < outputs.size(); ++i)
    if (!same_bits(outputs[i], outputs_[i]))
      return "output '" + name(i) + "' (by " + writer(recording.values[recording.outputs[i]].buffer) + ")";
  const State now = read();
  for (std::size_t i = 0; i < buffers_.size(); ++i)
    if (now.memory[i] != replayed_.memory[i]) {
      const at::Tensor& tensor = recording.buffers[buffers_[i]].tensor;
      return "a tensor of shape " + c10::str(tensor.sizes()) + (tensor.requires_grad() ? ", a parameter" : "") +
             " (by " + writer(buffers_[i]) + ")";
    }
  for (std::size_t i = 0; i < recording.grads.size(); ++i) {
    const at::Tensor& mine = recording.grads[i].leaf.grad();
    if (mine.defined() != grads_[i].defined() || (mine.defined() && !same_bits(mine, grads_[i])))
      return "the gradient of a parameter of shape " + c10::str(recording.grads[i].leaf.sizes());
  }
  for (std::size_t i = 0; i < generators_.size(); ++i)
    if (!same_bits(now.generators[i], replayed_.generators[i])) return "how many random numbers were drawn";
  return "";
}

}  // namespace gradus
