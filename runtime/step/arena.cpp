#include "arena.h"

#include <algorithm>

namespace gradus {
namespace {

std::size_t aligned(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

void measure_lives(Program& p) {
  for (int i = 0; i < static_cast<int>(p.ops.size()); ++i) {
    const RecordedOp& op = p.recording.ops[p.ops[i].recorded];
    const auto use = [&](int value) {
      if (value < 0) return;
      Slot& slot = p.slots[p.recording.values[value].buffer];
      if (slot.first < 0) slot.first = i;
      slot.last = i;
    };
    for (int value : op.results) use(value);
    for (const Operand& operand : op.operands) use(operand.value);
  }
  for (int value : p.recording.outputs) {  // given away as it is, where it is all of its buffer
    const Value& v = p.recording.values[value];
    Slot& slot = p.slots[v.buffer];
    if (slot.placed && v.offset == 0 && bytes_of(v) == p.buffer(value).nbytes && p.tensor(value).is_contiguous())
      slot.whole = value;
  }
  for (std::size_t b = 0; b < p.slots.size(); ++b) {
    Slot& slot = p.slots[b];
    if (p.recording.buffers[b].kind != Buffer::Kind::produced || slot.first < 0) continue;
    if (slot.placed && slot.copy_of < 0) {
      slot.arena = !slot.escapes;
      if (slot.escapes) p.fresh.push_back(static_cast<int>(b));
    } else if (!slot.placed && !slot.escapes) {
      p.ops[slot.last].releases.push_back(static_cast<int>(b));
    }
  }
}

void lay_out_arena(Program& p) {
  std::vector<int> done;
  for (std::size_t b = 0; b < p.slots.size(); ++b) {
    Slot& slot = p.slots[b];
    if (!slot.arena) continue;
    const std::size_t bytes = aligned(p.recording.buffers[b].nbytes);
    std::vector<std::pair<std::size_t, std::size_t>> taken;
    for (int other : done) {
      const Slot& o = p.slots[other];
      if (o.first <= slot.last && slot.first <= o.last)
        taken.emplace_back(o.offset, o.offset + aligned(p.recording.buffers[other].nbytes));
    }
    std::sort(taken.begin(), taken.end());
    for (const auto& [begin, end] : taken) {
      if (slot.offset + bytes <= begin) break;
      slot.offset = std::max(slot.offset, end);
    }
    p.arena_bytes = std::max(p.arena_bytes, slot.offset + bytes);
    done.push_back(static_cast<int>(b));
  }
  p.arena = c10::GetAllocator(c10::kCPU)->allocate(p.arena_bytes);
  for (int b : done) point(p.slots[b], static_cast<char*>(p.arena.get()) + p.slots[b].offset);
}

}  // namespace gradus
