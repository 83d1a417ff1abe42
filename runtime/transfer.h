// Between host and devices without either waiting for the other: batches on their way to the device, measured values on
// their way back.
#pragma once

#include <c10/core/Event.h>

#include <optional>

#include "torch.h"

namespace gradus {

// New memory on the CPU that the accelerator of this process copies from and to by itself (pinned). Of a caching
// allocator: cheap after the first call of a size, and not given out again while a copy is under way.
at::Tensor empty_pinned(at::IntArrayRef sizes, at::ScalarType type);

// A CPU tensor's values in pinned memory; contiguous.
at::Tensor pinned(const at::Tensor& tensor);

// A tensor on its way to the host: the copy is asked for when this is made, after what the device was asked before.
class Transfer {
 public:
  explicit Transfer(const at::Tensor& tensor);

  // The values on the CPU; waits until they are there. Of a CPU tensor: the tensor itself.
  at::Tensor wait();

 private:
  at::Tensor host_;
  std::optional<c10::Event> done_;
};

}  // namespace gradus
