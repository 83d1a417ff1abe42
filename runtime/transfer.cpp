#include "transfer.h"

#include <c10/core/impl/VirtualGuardImpl.h>

#include <cstring>

namespace gradus {

at::Tensor empty_pinned(at::IntArrayRef sizes, at::ScalarType type) {
  return at::empty(sizes, at::TensorOptions(type).pinned_memory(true));
}

at::Tensor pinned(const at::Tensor& tensor) {
  const at::Tensor source = tensor.contiguous();
  at::Tensor result = empty_pinned(source.sizes(), source.scalar_type());
  if (source.nbytes()) std::memcpy(result.mutable_data_ptr(), source.const_data_ptr(), source.nbytes());
  return result;
}

Transfer::Transfer(const at::Tensor& tensor) : host_(tensor.detach()) {
  if (tensor.is_cpu()) return;
  const at::NoGradGuard no_grad;
  const at::Tensor source = host_.contiguous();
  host_ = empty_pinned(source.sizes(), source.scalar_type());
  host_.copy_(source, /*non_blocking=*/true);
  const c10::Device device = source.device();
  done_.emplace(device.type());
  done_->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
}

at::Tensor Transfer::wait() {
  if (done_) done_->synchronize();
  done_.reset();
  return host_;
}

}  // namespace gradus
