#include "audit.h"

#include <ATen/CPUGeneratorImpl.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>

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

// Operators that change each element of their lists of tensors by what stands at the same place of the others.
bool updates_by_element(const std::string& name) { return name == "gradus::adam_" || name == "gradus::sgd_"; }

// Whether the operator gives this argument new values without looking at the old ones.
bool overwrites(const std::string& name, const Operand& operand) {
  static const std::set<std::string> names = {"aten::copy_", "aten::_foreach_copy_", "aten::zero_", "aten::fill_"};
  return operand.argument == 0 && names.count(name) > 0;
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

Audit::Audit(Plan& plan) : plan_(plan), generators_(plan.recording().generators) {
  generators_.push_back(at::detail::getDefaultCPUGenerator());
  find_ranges();
  before_ = read();
  find_uses();
  const int ops = static_cast<int>(plan.recording().ops.size());
  for (int op = 0; op < ops; ++op)
    if (only_updates(op)) updates_.push_back(op);
  for (const Use& use : uses_) {
    if (!use.writes) continue;
    const bool copied = std::binary_search(updates_.begin(), updates_.end(), use.op);
    ranges_[use.range].change = copied ? Range::Change::updated : Range::Change::other;
  }
  for (std::size_t r = 0; r < ranges_.size(); ++r) {
    Range& range = ranges_[r];
    if (range.change != Range::Change::other) continue;
    if (overwritten_first(static_cast<int>(r))) {
      range.change = Range::Change::overwritten;
      for (const Use& use : uses_)
        if (use.range == static_cast<int>(r) && use.writes) range.old.emplace_back(use.begin, use.end);
    } else {
      range.copy.assign(range.begin, range.end);
    }
  }
}

void Audit::find_ranges() {
  const auto& buffers = plan_.recording().buffers;
  for (std::size_t b = 0; b < buffers.size(); ++b) {
    if (buffers[b].kind != Buffer::Kind::persistent) continue;
    const auto [bytes, size] = memory_of(plan_, static_cast<int>(b));
    Range range{bytes, bytes + size, {static_cast<int>(b)}, Range::Change::none, {}, {}};
    for (std::size_t r = ranges_.size(); r-- > 0;) {
      if (ranges_[r].begin >= range.end || range.begin >= ranges_[r].end) continue;
      range.begin = std::min(range.begin, ranges_[r].begin);
      range.end = std::max(range.end, ranges_[r].end);
      range.buffers.insert(range.buffers.end(), ranges_[r].buffers.begin(), ranges_[r].buffers.end());
      ranges_.erase(ranges_.begin() + static_cast<std::ptrdiff_t>(r));
    }
    ranges_.push_back(std::move(range));
  }
}

void Audit::find_uses() {
  const Recording& recording = plan_.recording();
  std::vector<int> range_of(recording.buffers.size(), -1);
  for (std::size_t r = 0; r < ranges_.size(); ++r)
    for (int b : ranges_[r].buffers) range_of[b] = static_cast<int>(r);
  for (std::size_t i = 0; i < recording.ops.size(); ++i) {
    const RecordedOp& op = recording.ops[i];
    if (recording.only_looks(op, static_cast<int>(i))) continue;
    for (const Operand& operand : op.operands) {
      const Value& value = recording.values[operand.value];
      if (range_of[value.buffer] < 0) continue;
      int64_t numel = 1, span = 1;
      for (std::size_t d = 0; d < value.sizes.size(); ++d) {
        numel *= value.sizes[d];
        span += (value.sizes[d] - 1) * value.strides[d];
      }
      if (numel == 0) continue;
      const auto size = static_cast<int64_t>(c10::elementSize(value.type));
      char* begin = memory_of(plan_, value.buffer).first + value.offset * size;
      uses_.push_back({static_cast<int>(i), range_of[value.buffer], begin, begin + span * size, numel == span,
                       !overwrites(op.handle.operator_name().name, operand),
                       std::find(op.writes.begin(), op.writes.end(), operand.value) != op.writes.end()});
    }
  }
}

// Whether all that the operator writes is changed by it alone, as a whole, element by element, and looked at by nobody
// after it: then it may as well be done on copies.
bool Audit::only_updates(int op) const {
  const RecordedOp& recorded = plan_.recording().ops[op];
  const torch::jit::Stack* arguments = plan_.arguments_of(op);
  if (!arguments || !updates_by_element(recorded.handle.operator_name().name)) return false;
  const auto params = (*arguments)[0].toTensorVector();
  for (const c10::IValue& argument : *arguments) {
    if (!argument.isTensorList()) continue;
    const auto list = argument.toTensorVector();
    for (std::size_t i = 0; i < list.size(); ++i)
      if (list.size() != params.size() || !list[i].is_contiguous() ||
          (list[i].dim() > 0 && list[i].numel() != params[i].numel()))
        return false;
  }
  for (int value : recorded.writes)
    if (plan_.recording().buffer(value).kind != Buffer::Kind::persistent) return false;
  for (const Use& mine : uses_) {
    if (mine.op != op || !mine.writes) continue;
    const Range& range = ranges_[mine.range];
    if (mine.begin != range.begin || mine.end != range.end || !mine.dense) return false;
    for (const Use& use : uses_)
      if (use.range == mine.range && (use.op > op || (use.op < op && use.writes))) return false;
  }
  return true;
}

// Whether what the step writes there, it overwrites before it looks at it.
bool Audit::overwritten_first(int range) const {
  std::vector<std::pair<char*, char*>> written;
  for (const Use& use : uses_) {
    if (use.range != range) continue;
    if (use.writes && (use.reads || !use.dense)) return false;
    if (use.writes) written.emplace_back(use.begin, use.end);
  }
  for (const Use& use : uses_) {  // a read, and who writes there for the first time after it
    if (use.range != range || !use.reads) continue;
    for (const Use& later : uses_) {
      if (later.range != range || !later.writes || later.op < use.op) continue;
      if (later.begin >= use.end || use.begin >= later.end) continue;
      const bool again = std::any_of(uses_.begin(), uses_.end(), [&](const Use& earlier) {
        return earlier.range == range && earlier.writes && earlier.op < use.op && earlier.begin <= later.begin &&
               later.end <= earlier.end;
      });
      if (!again) return false;
    }
  }
  return true;
}

std::size_t Audit::copied_bytes() const {
  std::size_t bytes = 0;
  for (const Range& range : ranges_) bytes += range.copy.size();
  return bytes;
}

Audit::Outcome Audit::read() const {
  Outcome outcome;
  for (const Range& range : ranges_) {
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
  const auto is_changed = [&](std::size_t a) {
    const c10::AliasInfo* alias = handle.schema().arguments()[a].alias_info();
    return alias && alias->isWrite();
  };
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
  for (Range& range : ranges_) {
    std::copy(range.copy.begin(), range.copy.end(), range.begin);
    range.copy = {};
    // Who looks at what he should have overwritten finds no number.
    for (const auto& [begin, end] : range.old) std::memset(begin, 0xff, static_cast<std::size_t>(end - begin));
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
    for (std::size_t i = 0; i < updates_.size(); ++i) plan_.swap_call(updates_[i], calls[i]);
  };
  std::vector<std::function<void()>> calls;
  for (int op : updates_) calls.emplace_back([this, op] { update_copies(op); });
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
  for (std::size_t i = 0; i < ranges_.size(); ++i)
    if (now.memory[i] != replayed_.memory[i] ||
        (ranges_[i].change == Range::Change::none && now.memory[i] != before_.memory[i])) {
      int named = ranges_[i].buffers.front();  // of those that share the memory, one that an operator wrote
      for (int b : ranges_[i].buffers)
        if (recording.buffers[b].written) named = b;
      const at::Tensor& tensor = recording.buffers[named].tensor;
      return "a tensor of shape " + c10::str(tensor.sizes()) + (tensor.requires_grad() ? ", a parameter" : "") +
             " (by " + writer(named) + ")";
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
