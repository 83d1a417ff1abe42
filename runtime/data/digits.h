// The UCI handwritten digits, 1,797 grey images of 8 × 8, in the binary itself (origin: datasets/README.md).
#pragma once

#include <utility>

#include "torch.h"

namespace gradus {

std::pair<at::Tensor, at::Tensor> digits();  // x [1797, 1, 8, 8] float32 in [0, 1], y [1797] int64 in 0..9; new

}  // namespace gradus
