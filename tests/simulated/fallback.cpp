// Every operator that has a kernel for the CPU, on the device: the arguments are shown to the CPU's kernel as CPU
// tensors on the same memory, and what comes back becomes the device's.
#include <cstdlib>
#include <map>
#include <memory>

#include "simulated.h"

namespace simulated {

at::Generator inner_generator(const at::Generator& given);
at::Generator default_generator();

namespace {

using Stack = torch::jit::Stack;

void no_op(void*) {}
void release_storage(void* context) { delete static_cast<c10::Storage*>(context); }

c10::intrusive_ptr<c10::StorageImpl> storage_on_cpu(const c10::StorageImpl& storage) {
  c10::DataPtr memory(untagged(const_cast<void*>(storage.data())), nullptr, &no_op, c10::Device(c10::kCPU));
  return c10::make_intrusive<c10::StorageImpl>(c10::StorageImpl::use_byte_size_t(), storage.nbytes(), std::move(memory),
                                               c10::GetAllocator(c10::kCPU), /*resizable=*/true);
}

at::Tensor tensor_on(c10::Storage storage, const at::Tensor& like, c10::DispatchKey key) {
  at::Tensor made =
      at::detail::make_tensor<c10::TensorImpl>(std::move(storage), c10::DispatchKeySet(key), like.dtype());
  made.unsafeGetTensorImpl()->set_sizes_and_strides(like.sizes(), like.strides(), like.storage_offset());
  return made;
}

// One call: which CPU tensor and storage stands for which of the device's.
class Call {
 public:
  explicit Call(const c10::OperatorHandle& op) : op_(op) {}

  at::Tensor in(const at::Tensor& tensor, const c10::Argument& argument, bool listed) {
    if (!tensor.defined()) return tensor;
    if (!is_ours(tensor)) {
      if (tensor.is_cpu() && tensor.dim() == 0 && !listed) return tensor;
      TORCH_CHECK(false, op_.operator_name().name, ": ", argument.name(), " ", tensor.sizes(), " is on ",
                  tensor.device(), "; expected all tensors on ", device());
    }
    auto* storage = tensor.storage().unsafeGetStorageImpl();
    auto& alias = storages_[storage];
    if (!alias) alias = storage_on_cpu(*storage);
    at::Tensor made = tensor_on(c10::Storage(alias), tensor, c10::DispatchKey::CPU);
    made._set_conj(tensor.is_conj());
    made._set_neg(tensor.is_neg());
    if (tensor.unsafeGetTensorImpl()->is_wrapped_number()) made.unsafeGetTensorImpl()->set_wrapped_number(true);
    tensors_.emplace_back(made, tensor);
    return made;
  }

  at::Tensor out(const at::Tensor& result) {
    if (!result.defined()) return result;
    for (const auto& [made, original] : tensors_)
      if (made.is_same(result)) return original;
    for (const auto& [storage, alias] : storages_)
      if (alias.get() == result.storage().unsafeGetStorageImpl())
        return tensor_on(c10::Storage(c10::intrusive_ptr<c10::StorageImpl>::reclaim_copy(storage)), result,
                         c10::DispatchKey::PrivateUse1);
    return on_device(result);
  }

  // An operator may have given an argument another size, and other memory for it.
  void write_back() {
    for (const auto& [storage, alias] : storages_) {
      if (alias->data() == untagged(const_cast<void*>(storage->data()))) continue;
      const std::size_t bytes = alias->nbytes();
      storage->set_data_ptr_noswap(adopt(alias->set_data_ptr(c10::DataPtr())));
      storage->set_nbytes(bytes);
    }
    for (const auto& [made, original] : tensors_)
      if (made.sizes() != original.sizes() || made.strides() != original.strides())
        original.unsafeGetTensorImpl()->set_sizes_and_strides(made.sizes(), made.strides(), made.storage_offset());
  }

 private:
  const c10::OperatorHandle& op_;
  std::map<c10::StorageImpl*, c10::intrusive_ptr<c10::StorageImpl>> storages_;
  std::vector<std::pair<at::Tensor, at::Tensor>> tensors_;
};

c10::IValue argument_in(Call& call, const c10::IValue& value, const c10::Argument& argument) {
  if (value.isTensor()) return call.in(value.toTensor(), argument, false);
  if (value.isTensorList()) {
    c10::List<at::Tensor> list;
    for (const at::Tensor& one : value.toTensorVector()) list.push_back(call.in(one, argument, true));
    return list;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<at::Tensor>> list;
    for (const auto& one : value.toOptionalTensorVector())
      list.push_back(one ? std::optional(call.in(*one, argument, true)) : std::nullopt);
    return list;
  }
  if (value.isDevice()) return c10::Device(c10::kCPU);
  if (value.isGenerator()) return inner_generator(value.toGenerator());
  return value;
}

c10::IValue result_out(Call& call, const c10::IValue& value) {
  if (value.isTensor()) return call.out(value.toTensor());
  if (!value.isTensorList()) return value;
  c10::List<at::Tensor> list;
  for (const at::Tensor& one : value.toTensorVector()) list.push_back(call.out(one));
  return list;
}

// CUDA's fused optimizers take their learning rate so, and nothing else.
void check_rate(const std::string& name, const c10::IValue& value, const c10::Argument& argument) {
  if (name.rfind("aten::_fused_", 0) != 0 || argument.name() != "lr" || !value.isTensor()) return;
  TORCH_CHECK(!is_ours(value.toTensor()) || value.toTensor().scalar_type() == at::kFloat, name, ": lr on ", device(),
              " is ", value.toTensor().scalar_type(), "; expected Float");
}

// What the host goes on with depends on the values: equal, nonzero, … (index does so for masks only).
bool reads_values(const c10::OperatorHandle& op) {
  return op.hasTag(at::Tag::data_dependent_output) ||
         (op.hasTag(at::Tag::dynamic_output_shape) && op.operator_name().name != "aten::index");
}

void fallback(const c10::OperatorHandle& op, c10::DispatchKeySet, Stack* stack) {
  stream::start();
  if (reads_values(op)) stream::wait();
  const auto& schema = op.schema();
  const std::size_t count = schema.arguments().size(), first = stack->size() - count;
  const std::string& name = op.operator_name().name;
  Call call(op);
  const bool draws = op.hasTag(at::Tag::nondeterministic_seeded);
  for (std::size_t i = 0; i < count; ++i) {
    const c10::Argument& argument = schema.arguments()[i];
    c10::IValue& place = (*stack)[first + i];
    check_rate(name, place, argument);
    // A number that is drawn comes from the device's own generator.
    if (draws && place.isNone() && argument.name() == "generator") place = default_generator();
    place = argument_in(call, place, argument);
  }
  {
    const c10::impl::ExcludeDispatchKeyGuard below(c10::autograd_dispatch_keyset | c10::autocast_dispatch_keyset);
    op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  }
  call.write_back();
  for (std::size_t i = stack->size() - schema.returns().size(); i < stack->size(); ++i)
    (*stack)[i] = result_out(call, (*stack)[i]);
}

// Each by name: left to a fallback of the whole key, LibTorch's composite kernels would win, with other roundings.
// Operators of Gradus are left out, as a device without kernels of ours has only the formulas; with
// GRADUS_SIMULATED_KERNELS=all the device has ours too.
[[maybe_unused]] const bool registered = [] {
  const char* kernels = std::getenv("GRADUS_SIMULATED_KERNELS");
  const bool all = kernels && std::string(kernels) == "all";
  static auto& libraries = *new std::map<std::string, std::unique_ptr<torch::Library>>;
  for (const auto& name : c10::Dispatcher::singleton().getRegistrationsForDispatchKey(c10::DispatchKey::CPU)) {
    const std::string space(name.getNamespace().value_or(""));
    if ((space != "aten" && !(all && space == "gradus")) || has_own_kernel(name)) continue;
    auto& library = libraries[space];
    if (!library)
      library = std::make_unique<torch::Library>(torch::Library::IMPL, space, c10::DispatchKey::PrivateUse1, __FILE__,
                                                 __LINE__);
    const std::string full = name.overload_name.empty() ? name.name : name.name + "." + name.overload_name;
    library->impl(full.c_str(), torch::CppFunction::makeFromBoxedFunction<&fallback>());
  }
  return true;
}();

}  // namespace

at::Tensor on_cpu(const at::Tensor& tensor) {
  at::Tensor made =
      tensor_on(c10::Storage(storage_on_cpu(*tensor.storage().unsafeGetStorageImpl())), tensor, c10::DispatchKey::CPU);
  made._set_conj(tensor.is_conj());
  made._set_neg(tensor.is_neg());
  return made;
}

at::Tensor on_device(const at::Tensor& cpu) {
  const c10::Storage& whole = cpu.storage();
  c10::DataPtr memory(tagged(whole.mutable_data()), new c10::Storage(whole), &release_storage, device());
  return tensor_on(c10::Storage(c10::Storage::use_byte_size_t(), whole.nbytes(), std::move(memory), allocator(), true),
                   cpu, c10::DispatchKey::PrivateUse1);
}

}  // namespace simulated
