// Rows to columns, for the files of this folder.
#pragma once

#include "isa.h"

namespace gradus::vectors::GRADUS_ISA {

// to[p * to_row + j] = from[j * from_row + p], by squares of 4 × 4.
GRADUS_INLINE void transpose(int64_t rows, int64_t k, const float* from, int64_t from_row, float* to, int64_t to_row) {
  using Four = Vectors<16>::Vector;
  int64_t j = 0;
  for (; j + 4 <= rows; j += 4) {
    int64_t p = 0;
    for (; p + 4 <= k; p += 4) {
      Four r[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) std::memcpy(&r[i], from + (j + i) * from_row + p, sizeof(Four));
      const Four low01 = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5),
                 high01 = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
      const Four low23 = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5),
                 high23 = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
      r[0] = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
      r[1] = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
      r[2] = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
      r[3] = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) std::memcpy(to + (p + i) * to_row + j, &r[i], sizeof(Four));
    }
    for (; p < k; ++p)
      for (int i = 0; i < 4; ++i) to[p * to_row + j + i] = from[(j + i) * from_row + p];
  }
  for (; j < rows; ++j)
    for (int64_t p = 0; p < k; ++p) to[p * to_row + j] = from[j * from_row + p];
}

}  // namespace gradus::vectors::GRADUS_ISA
