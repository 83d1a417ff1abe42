#include "constants.h"

#include <algorithm>
#include <unordered_set>

#include "operators.h"

namespace gradus {

void find_constants(Recording& recording) {
  std::unordered_set<int> escaping;
  for (int value : recording.outputs) escaping.insert(recording.values[value].buffer);
  for (const GradSlot& slot : recording.grads)
    if (slot.value >= 0) escaping.insert(recording.values[slot.value].buffer);
  const auto constant = [&](int value) { return recording.buffer(value).kind == Buffer::Kind::constant; };
  for (std::size_t i = 0; i < recording.ops.size(); ++i) {
    const RecordedOp& op = recording.ops[i];
    if (op.random || !op.writes.empty() || starts_unwritten(name_of(op.handle))) continue;
    if (op.results.empty() || recording.only_looks(op, static_cast<int>(i))) continue;
    if (!depends_on_shapes(name_of(op.handle)) &&
        !std::all_of(op.operands.begin(), op.operands.end(), [&](const Operand& o) { return constant(o.value); }))
      continue;
    const bool stays = std::all_of(op.results.begin(), op.results.end(), [&](int value) {
      if (value < 0) return true;
      const int buffer = recording.values[value].buffer;
      return !recording.buffers[buffer].written && !escaping.count(buffer);
    });
    if (!stays) continue;
    for (int value : op.results)
      if (value >= 0) recording.buffers[recording.values[value].buffer].kind = Buffer::Kind::constant;
  }
}

}  // namespace gradus
