#include "record.h"

#include <ATen/autocast_mode.h>

#include <algorithm>

#include "constants.h"
#include "error.h"
#include "operators.h"

namespace gradus {
namespace {

constexpr auto kKey = c10::DispatchKey::Fake;

thread_local Recorder* active = nullptr;

bool plain(const at::Tensor& tensor) {
  return tensor.device().is_cpu() && tensor.layout() == at::kStrided && !tensor.is_quantized() && !tensor.is_nested() &&
         !tensor.is_conj() && !tensor.is_neg() && !tensor._is_zerotensor() && tensor.has_storage();
}

void fallback(const c10::OperatorHandle& op, c10::DispatchKeySet keys, torch::jit::Stack* stack) {
  const c10::impl::ExcludeDispatchKeyGuard below(kKey);
  const auto rest = keys & c10::DispatchKeySet(c10::DispatchKeySet::FULL_AFTER, kKey);
  if (active)
    active->operator_called(op, rest, stack);
  else
    op.redispatchBoxed(rest, stack);
}

TORCH_LIBRARY_IMPL(_, Fake, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>()); }

}  // namespace

int thread_modes() {
  const bool autocast = at::autocast::is_autocast_enabled(at::kCPU);
  return at::GradMode::is_enabled() +
         (autocast ? 2 * (1 + static_cast<int>(at::autocast::get_autocast_dtype(at::kCPU))) : 0);
}

bool Recording::only_looks(const RecordedOp& op, int index) const {
  if (!op.writes.empty() || op.random) return op.handle.hasTag(at::Tag::inplace_view);
  if (op.results.empty()) return tells_shapes(name_of(op.handle));
  return std::all_of(op.results.begin(), op.results.end(),
                     [&](int value) { return value < 0 || buffer(value).maker != index; });
}

Recorder::Recorder(const std::vector<at::Tensor>& inputs, std::function<std::string()> where)
    : where_(std::move(where)) {
  if (active) throw Error(Exit::data, "a step inside of a step; expected one after the other");
  for (const auto& input : inputs) {
    if (!plain(input)) cannot("an input is no dense tensor on the CPU");
    if (input.requires_grad()) cannot("an input requires a gradient");
    if (!problem_.empty()) break;
    if (!buffers_.count(input.storage().unsafeGetStorageImpl())) add_buffer(Buffer::Kind::input, input);
    recording_.inputs.push_back(value_of(input));
  }
  recording_.modes = thread_modes();
  active = this;
  c10::impl::tls_set_dispatch_key_included(kKey, true);
}

Recorder::~Recorder() { stop(); }

void Recorder::stop() {
  if (!running_) return;
  running_ = false;
  active = nullptr;
  c10::impl::tls_set_dispatch_key_included(kKey, false);
}

Recorder* Recorder::current() { return active; }

void Recorder::cannot(const std::string& why) {
  if (!problem_.empty()) return;
  const std::string line = where_ ? where_() : "";
  problem_ = (line.empty() ? "" : line + ": ") + why;
}

void Recorder::value_read(const char* what) {
  if (active) active->cannot(std::string("a tensor's values are read (") + what + ")");
}

void Recorder::grad_cleared(const at::Tensor& leaf) {
  const auto known = leaves_.find(leaf.unsafeGetTensorImpl());
  if (known == leaves_.end()) {  // not used yet in this step
    leaves_[leaf.unsafeGetTensorImpl()] = recording_.grads.size();
    recording_.grads.push_back({leaf, leaf.grad(), false, -1, false});
  }
}

int Recorder::add_buffer(Buffer::Kind kind, const at::Tensor& tensor) {
  const int index = static_cast<int>(recording_.buffers.size());
  const bool keep = kind == Buffer::Kind::persistent;
  recording_.buffers.push_back({kind, tensor.storage(), keep ? tensor : at::Tensor(), tensor.storage().nbytes()});
  varies_.push_back(kind == Buffer::Kind::input || kind == Buffer::Kind::persistent);
  buffers_[tensor.storage().unsafeGetStorageImpl()] = index;
  return index;
}

// The value that a tensor is; a storage that nobody has seen is the maker's product, or was there before the step.
int Recorder::value_of(const at::Tensor& tensor, int maker) {
  const auto known = buffers_.find(tensor.storage().unsafeGetStorageImpl());
  int buffer;
  if (known != buffers_.end()) {
    buffer = known->second;
  } else {
    buffer = add_buffer(maker < 0 ? Buffer::Kind::persistent : Buffer::Kind::produced, tensor);
    recording_.buffers[buffer].maker = maker;
  }
  if (recording_.buffers[buffer].kind == Buffer::Kind::persistent) note_leaf(tensor);
  for (int value : values_[buffer]) {
    const Value& v = recording_.values[value];
    if (v.type == tensor.scalar_type() && v.offset == tensor.storage_offset() && tensor.sizes() == v.sizes &&
        tensor.strides() == v.strides)
      return value;
  }
  const int value = static_cast<int>(recording_.values.size());
  recording_.values.push_back(
      {buffer, tensor.scalar_type(), tensor.sizes().vec(), tensor.strides().vec(), tensor.storage_offset()});
  values_[buffer].push_back(value);
  return value;
}

void Recorder::note_leaf(const at::Tensor& tensor) {
  if (!tensor.requires_grad() || !tensor.is_leaf()) return;
  const auto [place, fresh] = leaves_.try_emplace(tensor.unsafeGetTensorImpl(), recording_.grads.size());
  if (fresh) recording_.grads.push_back({tensor, tensor.grad(), false, -1, true});
}

void Recorder::operator_called(const c10::OperatorHandle& op, c10::DispatchKeySet keys, torch::jit::Stack* stack) {
  if (!problem_.empty()) {
    op.redispatchBoxed(keys, stack);
    return;
  }
  const std::size_t first = stack->size() - op.schema().arguments().size();
  const torch::jit::Stack arguments(stack->begin() + static_cast<std::ptrdiff_t>(first), stack->end());
  if (op.hasTag(at::Tag::data_dependent_output) || has_dynamic_shape(op, arguments)) {
    cannot(name_of(op) + " depends on a tensor's values");
    op.redispatchBoxed(keys, stack);
    return;
  }
  RecordedOp recorded = before(op, arguments);
  op.redispatchBoxed(keys, stack);
  if (problem_.empty()) after(std::move(recorded), *stack, first);
}

void Recorder::add_operand(RecordedOp& op, int argument, int item, const at::Tensor& tensor) {
  if (!plain(tensor)) return cannot(name_of(op.handle) + ": a tensor that is not dense on the CPU");
  if (tensor.unsafeGetTensorImpl()->is_wrapped_number()) {  // a number of the program: stays in the arguments
    const auto known = buffers_.find(tensor.storage().unsafeGetStorageImpl());
    if (known != buffers_.end()) {
      const int maker = recording_.buffers[known->second].maker;
      if (maker < 0 || !recording_.ops[maker].operands.empty()) cannot(name_of(op.handle) + ": a number from a tensor");
    }
    return;
  }
  op.operands.push_back({argument, item, value_of(tensor)});
  c10::IValue& place = op.arguments[argument];
  if (item < 0) {
    place = c10::IValue();
  } else if (place.isTensorList()) {
    place.toTensorList().set(item, at::Tensor());
  } else {
    place.to<c10::List<std::optional<at::Tensor>>>().set(item, std::nullopt);
  }
}

RecordedOp Recorder::before(const c10::OperatorHandle& op, const torch::jit::Stack& arguments) {
  RecordedOp recorded{op, {arguments.begin(), arguments.end()}, {}, {}, {}, false, where_ ? where_() : ""};
  recorded.random = op.hasTag(at::Tag::nondeterministic_seeded);
  for (int i = 0; i < static_cast<int>(arguments.size()); ++i) {
    const c10::IValue& argument = arguments[i];
    if (argument.isTensor()) {
      if (argument.toTensor().defined()) add_operand(recorded, i, -1, argument.toTensor());
    } else if (argument.isTensorList()) {
      const auto list = argument.toTensorVector();
      recorded.arguments[i] = argument.toTensorList().copy();
      for (int item = 0; item < static_cast<int>(list.size()); ++item) add_operand(recorded, i, item, list[item]);
    } else if (argument.isOptionalTensorList()) {
      const auto list = argument.toOptionalTensorVector();
      recorded.arguments[i] = argument.to<c10::List<std::optional<at::Tensor>>>().copy();
      for (int item = 0; item < static_cast<int>(list.size()); ++item)
        if (list[item] && list[item]->defined()) add_operand(recorded, i, item, *list[item]);
    } else if (argument.isGenerator()) {
      recorded.random = true;
      recording_.generators.push_back(argument.toGenerator());
    }
  }
  const auto hidden = hidden_writes(name_of(op));
  for (const Operand& operand : recorded.operands) {
    const bool hides = std::find(hidden.begin(), hidden.end(), operand.argument) != hidden.end();
    if (hides || is_write(op.schema().arguments()[operand.argument])) recorded.writes.push_back(operand.value);
  }
  return recorded;
}

void Recorder::after(RecordedOp op, const torch::jit::Stack& stack, std::size_t first) {
  const int index = static_cast<int>(recording_.ops.size());
  const std::string name = name_of(op.handle);
  if (name == "aten::set_" || name.starts_with("aten::resize")) return cannot(name + " gives a tensor other memory");
  const std::size_t buffers = recording_.buffers.size();
  const auto add = [&](const at::Tensor& result) {
    if (result.defined() && !plain(result)) return cannot(name + ": a result that is not dense on the CPU");
    op.results.push_back(result.defined() ? value_of(result, index) : -1);
  };
  for (std::size_t i = first; i < stack.size(); ++i) {
    if (stack[i].isTensor()) {
      add(stack[i].toTensor());
    } else if (stack[i].isTensorList()) {
      for (const at::Tensor& result : stack[i].toTensorVector()) add(result);
    } else if (!stack[i].isNone() && !tells_shapes(name)) {
      cannot(name + " reads a tensor's values");
    }
    if (!problem_.empty()) return;
  }
  if (starts_unwritten(name))
    for (std::size_t i = buffers; i < recording_.buffers.size(); ++i) recording_.buffers[i].unwritten = true;
  if (!recording_.only_looks(op, index)) check_reads(op);
  note_varying(op, buffers);
  recording_.ops.push_back(std::move(op));
  free_dead();
}

void Recorder::note_varying(const RecordedOp& op, std::size_t first_buffer) {
  constexpr std::size_t kLarge = 64 << 10;
  const auto varies = [&](int value) { return static_cast<bool>(varies_[recording_.values[value].buffer]); };
  const bool from_varying =
      op.random || !op.writes.empty() ||
      (!depends_on_shapes(name_of(op.handle)) &&
       std::any_of(op.operands.begin(), op.operands.end(), [&](const Operand& o) { return varies(o.value); }));
  for (std::size_t b = first_buffer; b < recording_.buffers.size(); ++b) {
    varies_[b] = from_varying && !recording_.buffers[b].unwritten;
    if (varies_[b] && recording_.buffers[b].nbytes >= kLarge) large_.push_back(static_cast<int>(b));
  }
}

void Recorder::free_dead() {
  large_.erase(std::remove_if(large_.begin(), large_.end(),
                              [&](int b) {
                                c10::Storage& storage = recording_.buffers[b].storage;
                                if (storage.use_count() > 1) return false;
                                storage.set_data_ptr_noswap(at::DataPtr(nullptr, c10::Device(c10::kCPU)));
                                return true;
                              }),
               large_.end());
}

// What empty() gave and no operator has written was filled from Lua: a constant. Constants must stay what they are.
void Recorder::check_reads(const RecordedOp& op) {
  for (int value : op.writes) {
    Buffer& buffer = recording_.buffers[recording_.values[value].buffer];
    if (buffer.kind == Buffer::Kind::constant)
      return cannot(name_of(op.handle) + " changes a tensor that the step made from numbers");
    buffer.written = true;
    buffer.unwritten = false;
  }
  for (const Operand& operand : op.operands) {
    Buffer& buffer = recording_.buffers[recording_.values[operand.value].buffer];
    if (buffer.unwritten) {
      buffer.kind = Buffer::Kind::constant;
      buffer.unwritten = false;
    }
  }
}

void Recorder::find_grads() {
  std::vector<GradSlot> kept;
  for (GradSlot& slot : recording_.grads) {
    const at::Tensor& now = slot.leaf.grad();
    const bool used = slot.before.defined() && buffers_.count(slot.before.storage().unsafeGetStorageImpl());
    slot.replaced = now.defined() ? !slot.before.defined() || !now.is_same(slot.before) : slot.before.defined();
    if (used) slot.matters = true;
    if (!slot.replaced && !used) continue;
    if (slot.replaced && now.defined()) {
      if (!plain(now)) return cannot("a gradient that is not dense on the CPU");
      slot.value = value_of(now);
    }
    kept.push_back(slot);
  }
  recording_.grads = std::move(kept);
}

bool Recorder::finish(const std::vector<at::Tensor>& outputs) {
  stop();
  if (!problem_.empty()) return false;
  for (const at::Tensor& output : outputs) {
    if (!plain(output)) cannot("an output that is not dense on the CPU");
    if (!problem_.empty()) return false;
    recording_.outputs.push_back(value_of(output));
  }
  find_grads();
  find_constants(recording_);
  return problem_.empty();
}

}  // namespace gradus
