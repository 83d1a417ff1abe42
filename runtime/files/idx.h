// IDX, the format of MNIST and its relatives: two zero bytes, a type, a number of dimensions, big-endian sizes, the
// data; plain or gzip. Types: uint8, int8, int16, int32, float32, float64. A file that is empty, or shorter or longer
// than it says, is refused.
#pragma once

#include <string>

#include "torch.h"

namespace gradus {

at::Tensor read_idx(const std::string& path);  // new, contiguous, on the CPU

}  // namespace gradus
