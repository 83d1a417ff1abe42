#include "footprint.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

namespace gradus {
namespace {

std::pair<char*, std::size_t> memory_of(const Plan& plan, int buffer) {
  c10::StorageImpl* storage = plan.recording().buffers[buffer].tensor.storage().unsafeGetStorageImpl();
  return {static_cast<char*>(storage->mutable_data()), storage->nbytes()};
}

// Operators that change each element of their lists of tensors by what stands at the same place of the others.
bool updates_by_element(const std::string& name) { return name == "gradus::adam_" || name == "gradus::sgd_"; }

// Whether the operator gives this argument new values without looking at the old ones.
bool overwrites(const std::string& name, const Operand& operand) {
  static const std::set<std::string> names = {"aten::copy_", "aten::_foreach_copy_", "aten::zero_", "aten::fill_"};
  return operand.argument == 0 && names.count(name) > 0;
}

}  // namespace

Footprint::Footprint(const Plan& plan) : plan_(plan) {
  find_ranges();
  find_uses();
  const int ops = static_cast<int>(plan.recording().ops.size());
  for (int op = 0; op < ops; ++op)
    if (only_updates(op)) updates_.push_back(op);
  for (const Use& use : uses_) {
    if (!use.writes) continue;
    const bool copied = std::binary_search(updates_.begin(), updates_.end(), use.op);
    ranges_[use.range].change = copied ? Change::updated : Change::other;
  }
  for (std::size_t r = 0; r < ranges_.size(); ++r) {
    Range& range = ranges_[r];
    if (range.change != Change::other) continue;
    if (overwritten_first(static_cast<int>(r))) {
      range.change = Change::overwritten;
      for (const Use& use : uses_)
        if (use.range == static_cast<int>(r) && use.writes) range.overwritten.emplace_back(use.begin, use.end);
    }
  }
}

void Footprint::find_ranges() {
  const auto& buffers = plan_.recording().buffers;
  for (std::size_t b = 0; b < buffers.size(); ++b) {
    if (buffers[b].kind != Buffer::Kind::persistent) continue;
    const auto [bytes, size] = memory_of(plan_, static_cast<int>(b));
    Range range{bytes, bytes + size, {static_cast<int>(b)}, Change::none, {}};
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

void Footprint::find_uses() {
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
bool Footprint::only_updates(int op) const {
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
bool Footprint::overwritten_first(int range) const {
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

}  // namespace gradus
