#include "plan.h"

#include <algorithm>
#include <set>

#include "error.h"
#include "memory.h"
#include "operators.h"
#include "out_variant.h"

namespace gradus {
namespace {

constexpr std::size_t kAlignment = 64;

std::size_t aligned(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

void keep_memory(void*) {}

at::DataPtr borrow(const void* pointer) {
  return {const_cast<void*>(pointer), nullptr, &keep_memory, c10::Device(c10::kCPU)};
}

int64_t numel(const Value& value) { return c10::multiply_integers(value.sizes); }

std::size_t bytes_of(const Value& value) {
  return static_cast<std::size_t>(numel(value)) * c10::elementSize(value.type);
}

}  // namespace

// ---- making the plan

Plan::Plan(Recording recording) : recording_(std::move(recording)), tensors_(recording_.values.size()) {
  for (Buffer& buffer : recording_.buffers) {
    Slot slot;
    slot.shell = c10::Storage(c10::make_intrusive<c10::StorageImpl>(c10::StorageImpl::use_byte_size_t(), buffer.nbytes,
                                                                    borrow(nullptr), nullptr, /*resizable=*/false));
    if (buffer.kind == Buffer::Kind::constant || buffer.kind == Buffer::Kind::persistent)
      point(slot, buffer.storage.unsafeGetStorageImpl()->data());
    if (buffer.kind == Buffer::Kind::persistent) persistent_.push_back(static_cast<int>(slots_.size()));
    requires_grad_.push_back(buffer.tensor.defined() && buffer.tensor.requires_grad());
    slots_.push_back(std::move(slot));
  }
  for (int value : recording_.outputs) slots_[recording_.values[value].buffer].escapes = true;
  for (const GradSlot& grad : recording_.grads)
    if (grad.value >= 0) slots_[recording_.values[grad.value].buffer].escapes = true;
  drop_identities();
  choose_operators();
  drop_copies();
  measure_lives();
  lay_out_arena();
  prepare_arguments();
  // What the recording made is no longer needed, nor the batch that it was made with.
  for (RecordedOp& op : recording_.ops) op.arguments.clear();
  for (Buffer& buffer : recording_.buffers) {
    if (buffer.kind == Buffer::Kind::produced || buffer.kind == Buffer::Kind::input) buffer.storage = {};
    if (buffer.kind == Buffer::Kind::input) buffer.tensor.reset();
  }
  memory::keep_blocks(true);
  tidy();
}

Plan::~Plan() { memory::keep_blocks(false); }

void Plan::point(Slot& slot, const void* pointer) {
  if (slot.pointer == pointer) return;
  slot.pointer = pointer;
  slot.shell.unsafeGetStorageImpl()->set_data_ptr_noswap(borrow(pointer));
}

at::Tensor Plan::tensor_over(const c10::Storage& storage, const Value& value) {
  auto tensor = at::detail::make_tensor<c10::TensorImpl>(
      c10::Storage(storage), c10::DispatchKeySet(c10::DispatchKey::CPU), caffe2::TypeMeta::fromScalarType(value.type));
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(value.sizes, value.strides, value.offset);
  return tensor;
}

const at::Tensor& Plan::tensor(int value) {
  at::Tensor& made = tensors_[value];
  if (!made.defined()) made = tensor_over(slots_[recording_.values[value].buffer].shell, recording_.values[value]);
  return made;
}

// x · 1, as autograd begins with the gradient of a loss, is x: the product's buffer becomes the factor's.
void Plan::drop_identities() {
  identity_.resize(recording_.ops.size());
  for (std::size_t i = 0; i < recording_.ops.size(); ++i) {
    const RecordedOp& op = recording_.ops[i];
    const auto& name = op.handle.operator_name();
    if (name.name != "aten::mul" || name.overload_name != "Tensor" || op.operands.size() != 2) continue;
    for (int side : {0, 1}) {
      const int factor = op.operands[side].value, one = op.operands[1 - side].value, product = op.results[0];
      if (!is_one(one) || !can_share(factor, product, static_cast<int>(i))) continue;
      const int gone = recording_.values[product].buffer;
      for (Value& value : recording_.values)
        if (value.buffer == gone) value.buffer = recording_.values[factor].buffer;
      identity_[i] = true;
      break;
    }
  }
}

bool Plan::is_one(int value) const {
  const Value& v = recording_.values[value];
  if (buffer(value).kind != Buffer::Kind::constant || !v.sizes.empty()) return false;
  return tensor_over(buffer(value).storage, v).item<double>() == 1;
}

bool Plan::can_share(int factor, int product, int op) const {
  const Value &from = recording_.values[factor], &to = recording_.values[product];
  const Buffer &source = buffer(factor), &target = buffer(product);
  const auto is_whole = [](const Value& v, const Buffer& b) { return v.offset == 0 && bytes_of(v) == b.nbytes; };
  return from.type == to.type && from.sizes == to.sizes && from.strides == to.strides && is_whole(from, source) &&
         is_whole(to, target) && source.kind == Buffer::Kind::produced && target.kind == Buffer::Kind::produced &&
         target.maker == op && !source.written && !target.written && !slots_[from.buffer].escapes &&
         !slots_[to.buffer].escapes;
}

// From the last to the first: what changes something that outlives the step, and what that needs.
std::vector<bool> Plan::find_live() const {
  std::vector<bool> live(recording_.ops.size()), wanted(slots_.size());
  for (std::size_t b = 0; b < slots_.size(); ++b) wanted[b] = slots_[b].escapes;
  for (std::size_t i = recording_.ops.size(); i-- > 0;) {
    const RecordedOp& op = recording_.ops[i];
    if (identity_[i] || recording_.only_looks(op, static_cast<int>(i))) continue;
    const auto needed = [&](int value) {
      if (value < 0) return false;
      const auto kind = buffer(value).kind;
      return wanted[recording_.values[value].buffer] ||
             (kind != Buffer::Kind::produced && kind != Buffer::Kind::constant);
    };
    const bool constant = !op.results.empty() && op.writes.empty() && !op.random &&
                          std::all_of(op.results.begin(), op.results.end(), [&](int value) {
                            return value < 0 || buffer(value).kind == Buffer::Kind::constant;
                          });
    live[i] = !constant && (op.random || (op.results.empty() && op.writes.empty()) ||
                            std::any_of(op.writes.begin(), op.writes.end(), needed) ||
                            std::any_of(op.results.begin(), op.results.end(), needed));
    if (!live[i]) continue;
    for (const Operand& operand : op.operands) wanted[recording_.values[operand.value].buffer] = true;
  }
  return live;
}

void Plan::choose_operators() {
  const std::vector<bool> live = find_live();
  for (std::size_t i = 0; i < recording_.ops.size(); ++i) {
    const RecordedOp& recorded = recording_.ops[i];
    if (!live[i]) continue;
    if (starts_unwritten(name_of(recorded.handle))) {  // memory is all it gives
      for (int value : recorded.results) slots_[recording_.values[value].buffer].placed = true;
      continue;
    }
    Op op{recorded.handle, {recorded.arguments.begin(), recorded.arguments.end()}, {}, {}, static_cast<int>(i), {}};
    if (!choose_out_variant(recorded, op)) {
      for (int value : recorded.results)
        op.results.push_back(value >= 0 && buffer(value).maker == op.recorded ? value : -1);
    }
    ops_.push_back(std::move(op));
  }
}

// The results must be whole buffers, each its own.
bool Plan::choose_out_variant(const RecordedOp& recorded, Op& op) {
  if (!recorded.writes.empty() || recorded.random || recorded.results.empty()) return false;
  std::set<int> seen;
  for (int value : recorded.results) {
    if (value < 0 || buffer(value).maker != op.recorded || buffer(value).kind != Buffer::Kind::produced) return false;
    const Value& v = recording_.values[value];
    if (v.offset != 0 || bytes_of(v) != buffer(value).nbytes || !seen.insert(v.buffer).second) return false;
  }
  const OutVariant* variant = out_variant(recorded.handle);
  if (!variant || variant->outputs != recorded.results.size()) return false;
  op.handle = variant->handle;
  op.arguments.insert(op.arguments.end(), variant->extra.begin(), variant->extra.end());
  for (int value : recorded.results) {
    op.arguments.emplace_back(tensor(value));
    slots_[recording_.values[value].buffer].placed = true;
  }
  return true;
}

// copy_(place in a flat buffer, what an operator made): the operator can write there at once.
void Plan::drop_copies() {
  for (std::size_t i = 0; i < ops_.size(); ++i) {
    RecordedOp& recorded = recording_.ops[ops_[i].recorded];
    const std::string& name = recorded.handle.operator_name().name;
    if (name != "aten::_foreach_copy_" && name != "aten::copy_") continue;
    const std::vector<Operand> all = recorded.operands;
    std::vector<Operand> kept;
    int items = 0;
    for (const Operand& target : all) {
      if (target.argument != 0) continue;
      const auto source = std::find_if(all.begin(), all.end(),
                                       [&](const Operand& o) { return o.argument == 1 && o.item == target.item; });
      if (source == all.end() || drop_copy(target, *source, static_cast<int>(i))) continue;
      const int item = target.item < 0 ? -1 : items++;
      kept.push_back({0, item, target.value});
      kept.push_back({1, item, source->value});
    }
    if (kept.empty()) {
      ops_.erase(ops_.begin() + static_cast<std::ptrdiff_t>(i--));
    } else if (kept.size() < all.size()) {
      recorded.operands = kept;
      for (int side : {0, 1}) {
        std::vector<at::Tensor> list;
        for (const Operand& operand : kept)
          if (operand.argument == side) list.push_back(tensor(operand.value));
        ops_[i].arguments[side] = list;
      }
    }
  }
}

bool Plan::drop_copy(const Operand& target, const Operand& source, int copy) {
  const Value& to = recording_.values[target.value];
  const Value& from = recording_.values[source.value];
  Slot& slot = slots_[from.buffer];
  const bool same = to.type == from.type && to.sizes == from.sizes && to.strides == from.strides &&
                    buffer(target.value).kind == Buffer::Kind::persistent && slot.placed && !slot.escapes &&
                    slot.copy_of < 0 && recording_.buffers[from.buffer].kind == Buffer::Kind::produced &&
                    bytes_of(from) == recording_.buffers[from.buffer].nbytes && from.offset == 0 &&
                    tensor(target.value).is_contiguous();
  if (!same) return false;
  const char* begin = static_cast<const char*>(slots_[to.buffer].pointer) + to.offset * c10::elementSize(to.type);
  const char* end = begin + bytes_of(to);
  if (reinterpret_cast<std::uintptr_t>(begin) % kAlignment != 0) return false;
  const auto touches_target = [&](int value) {
    const Value& v = recording_.values[value];
    if (v.buffer == from.buffer || buffer(value).kind == Buffer::Kind::produced)
      return slots_[v.buffer].copy_of == target.value;
    const char* first = static_cast<const char*>(slots_[v.buffer].pointer);
    return first && first < end && begin < first + recording_.buffers[v.buffer].nbytes &&
           [&] {  // the buffers overlap: do the values?
             const char* low = first + v.offset * c10::elementSize(v.type);
             int64_t span = 1;
             for (std::size_t d = 0; d < v.sizes.size(); ++d) span += (v.sizes[d] - 1) * v.strides[d];
             return numel(v) > 0 && low < end && begin < low + span * c10::elementSize(v.type);
           }();
  };
  // Between making and copying nobody may look at the target, and after it nobody at the source.
  int maker = -1;
  for (int i = 0; i < static_cast<int>(ops_.size()); ++i) {
    const RecordedOp& op = recording_.ops[ops_[i].recorded];
    const bool makes = ops_[i].recorded == recording_.buffers[from.buffer].maker;
    if (makes) maker = i;
    if (i == copy) continue;
    for (const Operand& operand : op.operands) {
      if (recording_.values[operand.value].buffer == from.buffer && (maker < 0 || i > copy)) return false;
      if (maker >= 0 && i < copy && touches_target(operand.value)) return false;
    }
  }
  if (maker < 0) return false;
  slot.copy_of = target.value;
  copies_.push_back(from.buffer);
  return true;
}

void Plan::measure_lives() {
  for (int i = 0; i < static_cast<int>(ops_.size()); ++i) {
    const RecordedOp& op = recording_.ops[ops_[i].recorded];
    const auto use = [&](int value) {
      if (value < 0) return;
      Slot& slot = slots_[recording_.values[value].buffer];
      if (slot.first < 0) slot.first = i;
      slot.last = i;
    };
    for (int value : op.results) use(value);
    for (const Operand& operand : op.operands) use(operand.value);
  }
  for (int value : recording_.outputs) {  // given away as it is, where it is all of its buffer
    const Value& v = recording_.values[value];
    Slot& slot = slots_[v.buffer];
    if (slot.placed && v.offset == 0 && bytes_of(v) == buffer(value).nbytes && tensor(value).is_contiguous())
      slot.whole = value;
  }
  for (std::size_t b = 0; b < slots_.size(); ++b) {
    Slot& slot = slots_[b];
    if (recording_.buffers[b].kind != Buffer::Kind::produced || slot.first < 0) continue;
    if (slot.placed && slot.copy_of < 0) {
      slot.arena = !slot.escapes;
      if (slot.escapes) fresh_.push_back(static_cast<int>(b));
    } else if (!slot.placed && !slot.escapes) {
      ops_[slot.last].releases.push_back(static_cast<int>(b));
    }
  }
}

// First fit: two buffers share memory only when their lives do not touch.
void Plan::lay_out_arena() {
  std::vector<int> done;
  for (std::size_t b = 0; b < slots_.size(); ++b) {
    Slot& slot = slots_[b];
    if (!slot.arena) continue;
    const std::size_t bytes = aligned(recording_.buffers[b].nbytes);
    std::vector<std::pair<std::size_t, std::size_t>> taken;
    for (int other : done) {
      const Slot& o = slots_[other];
      if (o.first <= slot.last && slot.first <= o.last)
        taken.emplace_back(o.offset, o.offset + aligned(recording_.buffers[other].nbytes));
    }
    std::sort(taken.begin(), taken.end());
    for (const auto& [begin, end] : taken) {
      if (slot.offset + bytes <= begin) break;
      slot.offset = std::max(slot.offset, end);
    }
    arena_bytes_ = std::max(arena_bytes_, slot.offset + bytes);
    done.push_back(static_cast<int>(b));
  }
  arena_ = c10::GetAllocator(c10::kCPU)->allocate(arena_bytes_);
  for (int b : done) point(slots_[b], static_cast<char*>(arena_.get()) + slots_[b].offset);
}

void Plan::prepare_arguments() {
  for (Op& op : ops_) {
    const RecordedOp& recorded = recording_.ops[op.recorded];
    for (const Operand& operand : recorded.operands) {
      c10::IValue& argument = op.arguments[operand.argument];
      if (operand.item < 0) {
        argument = tensor(operand.value);
      } else if (argument.isTensorList()) {
        auto list = argument.toTensorList();
        if (operand.item == 0) argument = list = list.copy();  // the recording's own list stays as it is
        list.set(operand.item, tensor(operand.value));
      } else {
        auto list = argument.to<c10::List<std::optional<at::Tensor>>>();
        if (operand.item == 0) argument = list = list.copy();
        list.set(operand.item, std::optional<at::Tensor>(tensor(operand.value)));
      }
    }
    const bool makes = std::any_of(op.results.begin(), op.results.end(), [](int value) { return value >= 0; });
    const PrepareDirect prepare = makes ? nullptr : direct_kernel(op.handle.operator_name());
    if (prepare) op.direct = prepare(op.arguments);
  }
}

std::string Plan::describe() const {
  std::string text;
  for (const Op& op : ops_) {
    const auto& name = op.handle.operator_name();
    text += name.name + (name.overload_name.empty() ? "" : "." + name.overload_name);
    for (int value : recording_.ops[op.recorded].results)
      if (value >= 0) text += " " + c10::str(at::IntArrayRef(recording_.values[value].sizes));
    text += "\n";
  }
  return text;
}

}  // namespace gradus
