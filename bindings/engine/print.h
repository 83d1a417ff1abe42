#pragma once

#include <string>

#include "torch.h"

namespace gradus {

// A tensor as PyTorch prints it: "tensor([[1.0000, 2.5000],\n        [0.0000, 3.0000]])". More than 1,000 values are
// summarised with three at each edge. dtype and device follow when they are not float32 and cpu.
std::string print_tensor(const at::Tensor& tensor);

}  // namespace gradus
