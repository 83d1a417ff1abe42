#include "audit.h"

#include <ATen/CPUGeneratorImpl.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "operators.h"

namespace gradus {
namespace {

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes()) return false;
  const at::Tensor x = a.contiguous(), y = b.contiguous();
  return x.numel() == 0 || std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) == 0;
}

at::Tensor generator_state(at::Generator generator) {
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return generator.get_state();
}

// The operator that wrote a buffer last, and its line.
std::string last_writer(const Recording& recording, int buffer) {
  for (std::size_t i = recording.ops.size(); i-- > 0;) {
    const RecordedOp& op = recording.ops[i];
    const auto there = [&](int value) { return value >= 0 && recording.values[value].buffer == buffer; };
    const bool wrote = std::any_of(op.writes.begin(), op.writes.end(), there);
    const bool made = recording.buffers[buffer].maker == static_cast<int>(i) &&
                      std::any_of(op.results.begin(), op.results.end(), there);
    if (wrote || made) return op.handle.operator_name().name + (op.where.empty() ? "" : " at " + op.where);
  }
  return "none of the recorded operators";
}

// The part of a tensor that belongs to `count` elements from `begin` on; what has no elements of its own serves all.
at::Tensor piece_of(const at::Tensor& whole, int64_t begin, int64_t count) {
  return whole.dim() == 0 ? whole : whole.view({-1}).narrow(0, begin, count);
}

// A fingerprint of bytes that come one after the other.
class Fingerprint {
 public:
  Fingerprint() : state_(XXH3_createState(), &XXH3_freeState) { XXH3_128bits_reset(state_.get()); }
  void add(const void* bytes, std::size_t size) { XXH3_128bits_update(state_.get(), bytes, size); }
  std::pair<std::uint64_t, std::uint64_t> value() const {
    const XXH128_hash_t hash = XXH3_128bits_digest(state_.get());
    return {hash.high64, hash.low64};
  }

 private:
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state_;
};

}  // namespace

Audit::Audit(Plan& plan) : plan_(plan), footprint_(plan), generators_(plan.recording().generators) {
  generators_.push_back(at::detail::getDefaultCPUGenerator());
  before_ = read();
  for (const Footprint::Range& range : footprint_.ranges()) {
    std::vector<char>& copy = copies_.emplace_back();
    if (range.change == Footprint::Change::other) copy.assign(range.begin, range.end);
  }
}

std::size_t Audit::copied_bytes() const {
  std::size_t bytes = 0;
  for (const auto& copy : copies_) bytes += copy.size();
  return bytes;
}

Audit::Outcome Audit::read() const {
  Outcome outcome;
  for (const Footprint::Range& range : footprint_.ranges()) {
    const auto updated = of_updates_.find(range.begin);
    if (updated != of_updates_.end()) {
      outcome.memory.push_back(updated->second);
      continue;
    }
    const XXH128_hash_t hash = XXH3_128bits(range.begin, static_cast<std::size_t>(range.end - range.begin));
    outcome.memory.emplace_back(hash.high64, hash.low64);
  }
  for (const auto& generator : generators_) outcome.generators.push_back(generator_state(generator));
  return outcome;
}

// Does an operator on copies of what it changes, a piece after the other, and keeps fingerprints of what it gave.
void Audit::update_copies(int op) {
  constexpr int64_t kPiece = 1 << 18;
  const c10::OperatorHandle& handle = plan_.recording().ops[op].handle;
  const torch::jit::Stack& arguments = *plan_.arguments_of(op);
  const auto is_changed = [&](std::size_t a) { return is_write(handle.schema().arguments()[a]); };
  const auto params = arguments[0].toTensorVector();
  for (std::size_t i = 0; i < params.size(); ++i) {
    std::map<std::size_t, Fingerprint> outcome;  // by argument
    for (int64_t begin = 0; begin < params[i].numel(); begin += kPiece) {
      const int64_t count = std::min(kPiece, params[i].numel() - begin);
      torch::jit::Stack own(arguments.begin(), arguments.end());
      std::map<std::size_t, at::Tensor> changed;
      for (std::size_t a = 0; a < own.size(); ++a) {
        if (!own[a].isTensorList() || own[a].toTensorList().empty()) continue;
        at::Tensor piece = piece_of(arguments[a].toTensorVector()[i], begin, count);
        if (is_changed(a)) changed[a] = piece = piece.clone();
        own[a] = std::vector<at::Tensor>{piece};
      }
      handle.callBoxed(&own);
      for (const auto& [a, piece] : changed)
        if (begin == 0 || piece.dim() > 0) outcome[a].add(piece.const_data_ptr(), piece.nbytes());
    }
    for (const auto& [a, fingerprint] : outcome)
      of_updates_[static_cast<const char*>(arguments[a].toTensorVector()[i].const_data_ptr())] = fingerprint.value();
  }
}

void Audit::restore() {
  for (std::size_t i = 0; i < copies_.size(); ++i) {
    const Footprint::Range& range = footprint_.ranges()[i];
    std::copy(copies_[i].begin(), copies_[i].end(), range.begin);
    copies_[i] = {};
    // Who looks at what he should have overwritten finds no number.
    for (const auto& [begin, end] : range.overwritten) std::memset(begin, 0xff, static_cast<std::size_t>(end - begin));
  }
  for (std::size_t i = 0; i < generators_.size(); ++i) {
    at::Generator generator = generators_[i];
    const std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(before_.generators[i]);
  }
}

void Audit::replay(const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> grads;  // the leaves' own, to be put back
  for (const GradSlot& slot : plan_.recording().grads) grads.push_back(slot.leaf.grad());
  const auto swap_updates = [&](std::vector<std::function<void()>>& calls) {
    for (std::size_t i = 0; i < calls.size(); ++i) plan_.swap_call(footprint_.updates()[i], calls[i]);
  };
  std::vector<std::function<void()>> calls;
  for (int op : footprint_.updates()) calls.emplace_back([this, op] { update_copies(op); });
  swap_updates(calls);
  try {
    plan_.run(inputs, outputs_);
  } catch (...) {
    swap_updates(calls);
    throw;
  }
  swap_updates(calls);
  replayed_ = read();
  of_updates_.clear();
  for (std::size_t i = 0; i < grads.size(); ++i) {
    const at::Tensor& leaf = plan_.recording().grads[i].leaf;
    grads_.push_back(leaf.grad());
    leaf.mutable_grad() = grads[i];
  }
  restore();
  plan_.rest();
}

std::string Audit::compare(const std::vector<at::Tensor>& outputs,
                           const std::function<std::string(std::size_t)>& name) const {
  const Recording& recording = plan_.recording();
  plan_.tidy();  // after the step itself
  if (outputs.size() != outputs_.size()) return "the step returns other outputs than when it was recorded";
  for (std::size_t i = 0; i < outputs.size(); ++i)
    if (!same_bits(outputs[i], outputs_[i]))
      return "output '" + name(i) + "' (by " + last_writer(recording, recording.values[recording.outputs[i]].buffer) +
             ")";
  const Outcome now = read();
  for (std::size_t i = 0; i < now.memory.size(); ++i) {
    const Footprint::Range& range = footprint_.ranges()[i];
    const bool untouched = range.change == Footprint::Change::none;
    if (now.memory[i] == replayed_.memory[i] && (!untouched || now.memory[i] == before_.memory[i])) continue;
    int named = range.buffers.front();  // of those that share the memory, one that an operator wrote
    for (int b : range.buffers)
      if (recording.buffers[b].written) named = b;
    const at::Tensor& tensor = recording.buffers[named].tensor;
    return "a tensor of shape " + c10::str(tensor.sizes()) + (tensor.requires_grad() ? ", a parameter" : "") + " (by " +
           last_writer(recording, named) + ")";
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
