#include "plan.h"

#include <cmath>
#include <cstring>

#include "error.h"
#include "memory.h"
#include "planner.h"

namespace gradus {
namespace {

const void* base_of(const at::Tensor& tensor) { return tensor.storage().unsafeGetStorageImpl()->data(); }

bool is_finite(const at::Tensor& one) { return std::isfinite(one.item<double>()); }

}  // namespace

Plan::Plan(Recording recording) : program_(make_program(std::move(recording))) {
  memory::keep_blocks(true);
  tidy();
}

Plan::~Plan() { memory::keep_blocks(false); }

bool Plan::fits(const std::vector<at::Tensor>& inputs) const {
  if (inputs.size() != program_.recording.inputs.size() || program_.recording.modes != thread_modes()) return false;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Value& v = program_.recording.values[program_.recording.inputs[i]];
    const at::Tensor& given = inputs[i];
    if (given.scalar_type() != v.type || given.sizes() != v.sizes || given.strides() != v.strides ||
        !given.device().is_cpu() || given.requires_grad())
      return false;
  }
  for (int b : program_.persistent) {
    const at::Tensor& tensor = program_.recording.buffers[b].tensor;
    if (tensor.storage().unsafeGetStorageImpl() != program_.recording.buffers[b].storage.unsafeGetStorageImpl() ||
        tensor.requires_grad() != program_.requires_grad[b])
      return false;
  }
  for (const GradSlot& slot : program_.recording.grads) {
    if (!slot.matters) continue;
    const at::Tensor& now = slot.leaf.grad();
    if (now.defined() != slot.before.defined() || (now.defined() && !now.is_same(slot.before))) return false;
  }
  return true;
}

void Plan::prepare_outputs() {
  for (int b : program_.fresh) {
    Slot& slot = program_.slots[b];
    const Value* whole = slot.whole < 0 ? nullptr : &program_.recording.values[slot.whole];
    const at::Tensor& owner = slot.owner;
    if (owner.defined() && owner.use_count() == 1 && owner.storage().use_count() == 1 && !owner.requires_grad() &&
        (!whole || owner.sizes() == whole->sizes))
      continue;
    slot.owner = whole ? at::detail::empty_cpu(whole->sizes, whole->type)
                       : at::detail::empty_cpu({static_cast<int64_t>(program_.recording.buffers[b].nbytes)}, at::kByte);
    point(slot, base_of(slot.owner));
  }
}

void Plan::take_results(PlannedOp& op) {
  std::size_t i = 0;
  const auto take = [&](at::Tensor result) {
    const int value = op.results[i++];
    if (value < 0) return;
    const Value& v = program_.recording.values[value];
    if (result.sizes() != v.sizes || result.strides() != v.strides || result.storage_offset() != v.offset)
      throw Error(Exit::bug, op.handle.operator_name().name + ": another shape than when it was recorded");
    Slot& slot = program_.slots[v.buffer];
    point(slot, base_of(result));
    slot.owner = std::move(result);
  };
  for (c10::IValue& returned : stack_) {
    if (returned.isTensorList())
      for (at::Tensor& one : returned.toTensorVector()) take(std::move(one));
    else if (returned.isTensor())
      take(std::move(returned).toTensor());
  }
}

void Plan::call(PlannedOp& op) {
  if (op.direct) return op.direct();
  stack_.assign(op.arguments.begin(), op.arguments.end());
  op.handle.callBoxed(&stack_);
  if (!op.results.empty()) take_results(op);
}

// Where parameters, buffers and states are now, and what is written straight into them.
void Plan::place_kept() {
  for (int b : program_.persistent) point(program_.slots[b], base_of(program_.recording.buffers[b].tensor));
  for (int b : program_.copies) {
    const Value& v = program_.recording.values[program_.slots[b].copy_of];
    point(program_.slots[b],
          static_cast<const char*>(program_.slots[v.buffer].pointer) + v.offset * c10::elementSize(v.type));
  }
}

// The shell begins where it began when recorded, wherever in its storage this tensor is.
void Plan::place_input(std::size_t i, const void* data) {
  const Value& v = program_.recording.values[program_.recording.inputs[i]];
  point(program_.slots[v.buffer], static_cast<const char*>(data) - v.offset * c10::elementSize(v.type));
}

void Plan::operate() {
  for (PlannedOp& op : program_.ops) {
    try {
      call(op);
    } catch (const c10::Error& error) {
      const std::string& where = program_.recording.ops[op.recorded].where;
      throw Error(Exit::data, op.handle.operator_name().name + ": " + error.what_without_backtrace() +
                                  (where.empty() ? "" : " (recorded at " + where + ")"));
    }
    for (int b : op.releases) program_.slots[b].owner.reset();
  }
  stack_.clear();
}

void Plan::run(const std::vector<at::Tensor>& inputs, std::vector<at::Tensor>& outputs) {
  const memory::BlockScope blocks;
  const at::AutoDispatchBelowADInplaceOrView below;
  place_kept();
  for (std::size_t i = 0; i < inputs.size(); ++i) place_input(i, inputs[i].const_data_ptr());
  prepare_outputs();
  operate();
  set_grads();
  outputs.clear();
  for (int value : program_.recording.outputs) outputs.push_back(output(value, inputs));
}

void Plan::swap_call(int recorded, std::function<void()>& call) {
  for (PlannedOp& op : program_.ops)
    if (op.recorded == recorded) std::swap(op.direct, call);
}

const torch::jit::Stack* Plan::arguments_of(int recorded) const {
  for (const PlannedOp& op : program_.ops)
    if (op.recorded == recorded) return &op.arguments;
  return nullptr;
}

void Plan::tidy() {
  constexpr std::size_t kWorthIt = 1 << 20;
  if (program_.arena_bytes >= kWorthIt) memory::give_back_blocks();
}

void Plan::rest() {
  memory::give_back(program_.arena.get(), program_.arena_bytes);
  tidy();
}

at::Tensor Plan::output(int value, const std::vector<at::Tensor>& inputs) {
  const Value& v = program_.recording.values[value];
  const Buffer& b = program_.recording.buffers[v.buffer];
  switch (b.kind) {
    case Buffer::Kind::produced:
      if (program_.slots[v.buffer].whole == value) return program_.slots[v.buffer].owner;
      return tensor_over(program_.slots[v.buffer].owner.storage(), v);
    case Buffer::Kind::persistent:
      return tensor_over(b.tensor.storage(), v);
    case Buffer::Kind::constant:
      return program_.tensor(value).clone();
    case Buffer::Kind::input:
      break;
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Value& input = program_.recording.values[program_.recording.inputs[i]];
    if (input.buffer != v.buffer) continue;
    Value moved = v;
    moved.offset += inputs[i].storage_offset() - input.offset;
    return tensor_over(inputs[i].storage(), moved);
  }
  throw Error(Exit::bug, "plan: an output of no input");
}

void Plan::set_grads() {
  for (const GradSlot& slot : program_.recording.grads)
    if (slot.replaced) slot.leaf.mutable_grad() = slot.value < 0 ? at::Tensor() : output(slot.value, {});
}

// ---- several in one call

bool Plan::fits(const Scan& scan) const {
  // A gradient that one step leaves for the next is another tensor each time.
  for (const GradSlot& slot : program_.recording.grads)
    if (slot.replaced && slot.matters) return false;
  std::vector<at::Tensor> rows;
  for (const at::Tensor& stacked : scan.inputs) {
    if (stacked.dim() == 0 || stacked.size(0) < scan.from + scan.steps) return false;
    rows.push_back(stacked.select(0, scan.from));
  }
  return fits(rows);
}

std::vector<at::Tensor> Plan::stacked_outputs(int64_t steps) const {
  std::vector<at::Tensor> list;
  for (int value : program_.recording.outputs) {
    const Value& v = program_.recording.values[value];
    std::vector<int64_t> sizes{steps};
    sizes.insert(sizes.end(), v.sizes.begin(), v.sizes.end());
    list.push_back(at::detail::empty_cpu(sizes, v.type));
  }
  return list;
}

Plan::Scanned Plan::run(const Scan& scan) {
  const memory::BlockScope blocks;
  const at::AutoDispatchBelowADInplaceOrView below;
  const auto row_of = [](const at::Tensor& stacked, int64_t row) {
    return static_cast<const char*>(stacked.const_data_ptr()) + row * stacked.stride(0) * stacked.element_size();
  };
  place_kept();
  prepare_outputs();
  Scanned result{0, true};
  for (; result.finite && result.steps < scan.steps; ++result.steps) {
    const int64_t row = scan.from + result.steps;
    for (std::size_t i = 0; i < scan.inputs.size(); ++i) place_input(i, row_of(scan.inputs[i], row));
    scan.before(result.steps);
    operate();
    for (std::size_t o = 0; o < scan.outputs.size(); ++o) {
      const at::Tensor& made = program_.tensor(program_.recording.outputs[o]);
      const at::Tensor& to = scan.outputs[o];
      if (made.is_contiguous())
        std::memcpy(const_cast<char*>(row_of(to, row)), made.const_data_ptr(), made.nbytes());
      else
        to.select(0, row).copy_(made);
    }
    for (std::size_t o : scan.finite)
      result.finite = result.finite && is_finite(program_.tensor(program_.recording.outputs[o]));
  }
  set_grads();
  return result;
}

std::string Plan::describe() const {
  std::string text;
  for (const PlannedOp& op : program_.ops) {
    const auto& name = op.handle.operator_name();
    text += name.name + (name.overload_name.empty() ? "" : "." + name.overload_name);
    for (int value : program_.recording.ops[op.recorded].results)
      if (value >= 0) text += " " + c10::str(at::IntArrayRef(program_.recording.values[value].sizes));
    text += "\n";
  }
  return text;
}

}  // namespace gradus
