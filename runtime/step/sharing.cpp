#include "sharing.h"

#include <algorithm>

namespace gradus {
namespace {

bool is_one(const Program& p, int value) {
  const Value& v = p.recording.values[value];
  if (p.buffer(value).kind != Buffer::Kind::constant || !v.sizes.empty()) return false;
  return tensor_over(p.buffer(value).storage, v).item<double>() == 1;
}

bool can_share(const Program& p, int factor, int product, int op) {
  const Value &from = p.recording.values[factor], &to = p.recording.values[product];
  const Buffer &source = p.buffer(factor), &target = p.buffer(product);
  const auto is_whole = [](const Value& v, const Buffer& b) { return v.offset == 0 && bytes_of(v) == b.nbytes; };
  return from.type == to.type && from.sizes == to.sizes && from.strides == to.strides && is_whole(from, source) &&
         is_whole(to, target) && source.kind == Buffer::Kind::produced && target.kind == Buffer::Kind::produced &&
         target.maker == op && !source.written && !target.written && !p.slots[from.buffer].escapes &&
         !p.slots[to.buffer].escapes;
}

bool drop_copy(Program& p, const Operand& target, const Operand& source, int copy) {
  const Value& to = p.recording.values[target.value];
  const Value& from = p.recording.values[source.value];
  Slot& slot = p.slots[from.buffer];
  const bool same = to.type == from.type && to.sizes == from.sizes && to.strides == from.strides &&
                    p.buffer(target.value).kind == Buffer::Kind::persistent && slot.placed && !slot.escapes &&
                    slot.copy_of < 0 && p.recording.buffers[from.buffer].kind == Buffer::Kind::produced &&
                    bytes_of(from) == p.recording.buffers[from.buffer].nbytes && from.offset == 0 &&
                    p.tensor(target.value).is_contiguous();
  if (!same) return false;
  const char* begin = static_cast<const char*>(p.slots[to.buffer].pointer) + to.offset * c10::elementSize(to.type);
  const char* end = begin + bytes_of(to);
  if (reinterpret_cast<std::uintptr_t>(begin) % kAlignment != 0) return false;
  const auto touches_target = [&](int value) {
    const Value& v = p.recording.values[value];
    if (v.buffer == from.buffer || p.buffer(value).kind == Buffer::Kind::produced)
      return p.slots[v.buffer].copy_of == target.value;
    const char* first = static_cast<const char*>(p.slots[v.buffer].pointer);
    return first && first < end && begin < first + p.recording.buffers[v.buffer].nbytes &&
           [&] {  // the buffers overlap: do the values?
             const char* low = first + v.offset * c10::elementSize(v.type);
             int64_t span = 1;
             for (std::size_t d = 0; d < v.sizes.size(); ++d) span += (v.sizes[d] - 1) * v.strides[d];
             return numel(v) > 0 && low < end && begin < low + span * c10::elementSize(v.type);
           }();
  };
  // Between making and copying nobody may look at the target, and after it nobody at the source.
  int maker = -1;
  for (int i = 0; i < static_cast<int>(p.ops.size()); ++i) {
    const RecordedOp& op = p.recording.ops[p.ops[i].recorded];
    const bool makes = p.ops[i].recorded == p.recording.buffers[from.buffer].maker;
    if (makes) maker = i;
    for (const Operand& operand : op.operands) {
      if (p.recording.values[operand.value].buffer == from.buffer && i > copy) return false;
      if (maker >= 0 && i < copy && touches_target(operand.value)) return false;
    }
  }
  if (maker < 0) return false;
  slot.copy_of = target.value;
  p.copies.push_back(from.buffer);
  return true;
}

}  // namespace

void drop_identities(Program& p) {
  for (std::size_t i = 0; i < p.recording.ops.size(); ++i) {
    const RecordedOp& op = p.recording.ops[i];
    const auto& name = op.handle.operator_name();
    if (name.name != "aten::mul" || name.overload_name != "Tensor" || op.operands.size() != 2) continue;
    for (int side : {0, 1}) {
      const int factor = op.operands[side].value, one = op.operands[1 - side].value, product = op.results[0];
      if (!is_one(p, one) || !can_share(p, factor, product, static_cast<int>(i))) continue;
      const int gone = p.recording.values[product].buffer;
      for (Value& value : p.recording.values)
        if (value.buffer == gone) value.buffer = p.recording.values[factor].buffer;
      break;
    }
  }
}

void drop_copies(Program& p) {
  for (std::size_t i = 0; i < p.ops.size(); ++i) {
    RecordedOp& recorded = p.recording.ops[p.ops[i].recorded];
    const std::string& name = recorded.handle.operator_name().name;
    if (name != "aten::_foreach_copy_" && name != "aten::copy_") continue;
    const std::vector<Operand> all = recorded.operands;
    std::vector<Operand> kept;
    int items = 0;
    for (const Operand& target : all) {
      if (target.argument != 0) continue;
      const auto source = std::find_if(all.begin(), all.end(),
                                       [&](const Operand& o) { return o.argument == 1 && o.item == target.item; });
      if (source == all.end() || drop_copy(p, target, *source, static_cast<int>(i))) continue;
      const int item = target.item < 0 ? -1 : items++;
      kept.push_back({0, item, target.value});
      kept.push_back({1, item, source->value});
    }
    if (kept.empty()) {
      p.ops.erase(p.ops.begin() + static_cast<std::ptrdiff_t>(i--));
    } else if (kept.size() < all.size()) {
      recorded.operands = kept;
      for (int side : {0, 1}) {
        std::vector<at::Tensor> list;
        for (const Operand& operand : kept)
          if (operand.argument == side) list.push_back(p.tensor(operand.value));
        p.ops[i].arguments[side] = list;
      }
    }
  }
}

}  // namespace gradus
