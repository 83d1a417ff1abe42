#include "program.h"

namespace gradus {
namespace {

void keep_memory(void*) {}

at::DataPtr borrow(const void* pointer) {
  return {const_cast<void*>(pointer), nullptr, &keep_memory, c10::Device(c10::kCPU)};
}

}  // namespace

int64_t numel(const Value& value) { return c10::multiply_integers(value.sizes); }

std::size_t bytes_of(const Value& value) {
  return static_cast<std::size_t>(numel(value)) * c10::elementSize(value.type);
}

c10::Storage make_shell(std::size_t bytes) {
  return c10::Storage(c10::make_intrusive<c10::StorageImpl>(c10::StorageImpl::use_byte_size_t(), bytes, borrow(nullptr),
                                                            nullptr, /*resizable=*/false));
}

void point(Slot& slot, const void* pointer) {
  if (slot.pointer == pointer) return;
  slot.pointer = pointer;
  slot.shell.unsafeGetStorageImpl()->set_data_ptr_noswap(borrow(pointer));
}

at::Tensor tensor_over(const c10::Storage& storage, const Value& value) {
  auto tensor = at::detail::make_tensor<c10::TensorImpl>(
      c10::Storage(storage), c10::DispatchKeySet(c10::DispatchKey::CPU), caffe2::TypeMeta::fromScalarType(value.type));
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(value.sizes, value.strides, value.offset);
  return tensor;
}

const at::Tensor& Program::tensor(int value) {
  at::Tensor& made = tensors[value];
  if (!made.defined()) made = tensor_over(slots[recording.values[value].buffer].shell, recording.values[value]);
  return made;
}

}  // namespace gradus
