#include "audit.h"

#include <ATen/CPUGeneratorImpl.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>

namespace gradus {
namespace {

std::pair<char*, std::size_t> memory_of(const Plan& plan, int buffer) {
  c10::StorageImpl* storage = plan.recording().buffers[buffer].tensor.storage().unsafeGetStorageImpl();
  return {static_cast<char*>(storage->mutable_data()), storage->nbytes()};
}

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
  for (int b : buffers_) {
    const auto [bytes, size] = memory_of(plan_, b);
    const bool written =
        std::any_of(buffers_.begin(), buffers_.end(), [&, begin = bytes, end = bytes + size](int other) {
          const auto [first, length] = memory_of(plan_, other);
          return buffers[other].written && first < end && begin < first + length;
        });
    written_.push_back(written);
    memory_.emplace_back(bytes, buffers[b].written ? bytes + size : bytes);
  }
}

Audit::Outcome Audit::read() const {
  Outcome outcome;
  for (int b : buffers_) {
    const auto [bytes, size] = memory_of(plan_, b);
    const XXH128_hash_t hash = XXH3_128bits(bytes, size);
    outcome.memory.emplace_back(hash.high64, hash.low64);
  }
  for (const auto& generator : generators_) outcome.generators.push_back(generator_state(generator));
  return outcome;
}

void Audit::restore() {
  for (std::size_t i = 0; i < buffers_.size(); ++i) {
    if (!memory_[i].empty()) std::memcpy(memory_of(plan_, buffers_[i]).first, memory_[i].data(), memory_[i].size());
  }
  memory_ = {};
  for (std::size_t i = 0; i < generators_.size(); ++i) {
    at::Generator generator = generators_[i];
    const std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(before_.generators[i]);
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
  restore();
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
  const Outcome now = read();
  for (std::size_t i = 0; i < buffers_.size(); ++i)
    if (now.memory[i] != replayed_.memory[i] || (!written_[i] && now.memory[i] != before_.memory[i])) {
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
