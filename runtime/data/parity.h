// Sparse parity (Barak et al., NeurIPS 2022; Gupta & Karmalkar 2025, section 4): x uniform in {-1, +1}^d, the label
// says whether an even or an odd number of the first k coordinates is -1. Sample n is a function of (seed, n) alone, so
// a stream of fresh samples resumes exactly and any part of it can be made again.
#pragma once

#include <cstdint>
#include <utility>

#include "torch.h"

namespace gradus {

struct Parity {
  int64_t d = 0;  // coordinates, 1 … 65536
  int64_t k = 0;  // size of the support, coordinates 0 … k - 1; 1 … d
  uint64_t seed = 0;
};

// Samples first … first + count - 1: x [count, d] float32, y [count] int64, (1 - product of x over the support) / 2;
// new. The bits are SplitMix64's sequence from splitmix64(seed), ceil(d / 64) words a sample: coordinate j of sample n
// is -1 where bit j % 64 of word n · ceil(d / 64) + j / 64 is 1.
std::pair<at::Tensor, at::Tensor> parity(const Parity& task, int64_t first, int64_t count);

}  // namespace gradus
