// NPY, NumPy's file of one array (numpy.org/doc/stable/reference/generated/numpy.lib.format.html): versions 1, 2 and 3,
// C and Fortran order, either byte order. Booleans, signed integers and floats of 2, 4, 8 bytes come as they are;
// unsigned integers wider than a byte are widened to the next signed type (LibTorch computes little with them).
// Objects, texts, records, dates and complex numbers are refused by name, as is a header that does not fit the file.
#pragma once

#include <string>

#include "torch.h"

namespace gradus {

at::Tensor read_npy(const std::string& path);  // new, contiguous, on the CPU

}  // namespace gradus
