#include "planner.h"

#include <algorithm>
#include <set>

#include "arena.h"
#include "direct.h"
#include "operators.h"
#include "out_variant.h"
#include "sharing.h"

namespace gradus {
namespace {

// From the last to the first: what changes something that outlives the step, and what that needs.
std::vector<bool> find_live(const Program& p) {
  std::vector<bool> live(p.recording.ops.size()), wanted(p.slots.size());
  for (std::size_t b = 0; b < p.slots.size(); ++b) wanted[b] = p.slots[b].escapes;
  for (std::size_t i = p.recording.ops.size(); i-- > 0;) {
    const RecordedOp& op = p.recording.ops[i];
    if (p.recording.only_looks(op, static_cast<int>(i))) continue;
    const auto needed = [&](int value) {
      if (value < 0) return false;
      const auto kind = p.buffer(value).kind;
      return wanted[p.recording.values[value].buffer] ||
             (kind != Buffer::Kind::produced && kind != Buffer::Kind::constant);
    };
    const bool constant = !op.results.empty() && op.writes.empty() && !op.random &&
                          std::all_of(op.results.begin(), op.results.end(), [&](int value) {
                            return value < 0 || p.buffer(value).kind == Buffer::Kind::constant;
                          });
    live[i] = !constant && (op.random || (op.results.empty() && op.writes.empty()) ||
                            std::any_of(op.writes.begin(), op.writes.end(), needed) ||
                            std::any_of(op.results.begin(), op.results.end(), needed));
    if (!live[i]) continue;
    for (const Operand& operand : op.operands) wanted[p.recording.values[operand.value].buffer] = true;
  }
  return live;
}

// The results must be whole buffers, each its own.
bool choose_out_variant(Program& p, const RecordedOp& recorded, PlannedOp& op) {
  if (!recorded.writes.empty() || recorded.random || recorded.results.empty()) return false;
  std::set<int> seen;
  for (int value : recorded.results) {
    if (value < 0 || p.buffer(value).maker != op.recorded || p.buffer(value).kind != Buffer::Kind::produced)
      return false;
    const Value& v = p.recording.values[value];
    if (v.offset != 0 || bytes_of(v) != p.buffer(value).nbytes || !seen.insert(v.buffer).second) return false;
  }
  const OutVariant* variant = out_variant(recorded.handle);
  if (!variant || variant->outputs != recorded.results.size()) return false;
  op.handle = variant->handle;
  op.arguments.insert(op.arguments.end(), variant->extra.begin(), variant->extra.end());
  for (int value : recorded.results) {
    op.arguments.emplace_back(p.tensor(value));
    p.slots[p.recording.values[value].buffer].placed = true;
  }
  return true;
}

void choose_operators(Program& p) {
  const std::vector<bool> live = find_live(p);
  for (std::size_t i = 0; i < p.recording.ops.size(); ++i) {
    const RecordedOp& recorded = p.recording.ops[i];
    if (!live[i]) continue;
    if (starts_unwritten(name_of(recorded.handle))) {  // memory is all it gives
      for (int value : recorded.results) p.slots[p.recording.values[value].buffer].placed = true;
      continue;
    }
    PlannedOp op{
        recorded.handle, {recorded.arguments.begin(), recorded.arguments.end()}, {}, {}, static_cast<int>(i), {}};
    if (!choose_out_variant(p, recorded, op)) {
      for (int value : recorded.results)
        op.results.push_back(value >= 0 && p.buffer(value).maker == op.recorded ? value : -1);
    }
    p.ops.push_back(std::move(op));
  }
}

void prepare_arguments(Program& p) {
  for (PlannedOp& op : p.ops) {
    const RecordedOp& recorded = p.recording.ops[op.recorded];
    for (const Operand& operand : recorded.operands) {
      c10::IValue& argument = op.arguments[operand.argument];
      if (operand.item < 0) {
        argument = p.tensor(operand.value);
      } else if (argument.isTensorList()) {
        auto list = argument.toTensorList();
        if (operand.item == 0) argument = list = list.copy();  // the recording's own list stays as it is
        list.set(operand.item, p.tensor(operand.value));
      } else {
        auto list = argument.to<c10::List<std::optional<at::Tensor>>>();
        if (operand.item == 0) argument = list = list.copy();
        list.set(operand.item, std::optional<at::Tensor>(p.tensor(operand.value)));
      }
    }
    const bool makes = std::any_of(op.results.begin(), op.results.end(), [](int value) { return value >= 0; });
    const PrepareDirect prepare = makes ? nullptr : direct_kernel(op.handle.operator_name());
    if (prepare) op.direct = prepare(op.arguments);
  }
}

}  // namespace

Program make_program(Recording recording) {
  Program p;
  p.recording = std::move(recording);
  p.tensors.resize(p.recording.values.size());
  for (Buffer& buffer : p.recording.buffers) {
    Slot slot;
    slot.shell = make_shell(buffer.nbytes);
    if (buffer.kind == Buffer::Kind::constant || buffer.kind == Buffer::Kind::persistent)
      point(slot, buffer.storage.unsafeGetStorageImpl()->data());
    if (buffer.kind == Buffer::Kind::persistent) p.persistent.push_back(static_cast<int>(p.slots.size()));
    p.requires_grad.push_back(buffer.tensor.defined() && buffer.tensor.requires_grad());
    p.slots.push_back(std::move(slot));
  }
  for (int value : p.recording.outputs) p.slots[p.recording.values[value].buffer].escapes = true;
  for (const GradSlot& grad : p.recording.grads)
    if (grad.value >= 0) p.slots[p.recording.values[grad.value].buffer].escapes = true;
  drop_identities(p);
  choose_operators(p);
  drop_copies(p);
  measure_lives(p);
  lay_out_arena(p);
  prepare_arguments(p);
  // What the recording made is no longer needed, nor the batch that it was made with.
  for (RecordedOp& op : p.recording.ops) op.arguments.clear();
  for (Buffer& buffer : p.recording.buffers)
    if (buffer.kind == Buffer::Kind::produced || buffer.kind == Buffer::Kind::input) buffer.storage = {};
  return p;
}

}  // namespace gradus
