// Augmentation of a batch, from counter-based random numbers: what happens to a row depends on (seed, row index, visit)
// alone, not on the rest of the batch, on threads or on order. Mixup is the exception that its nature asks for: its
// partner is of the same batch.
#pragma once

#include <cstdint>

#include "torch.h"

namespace gradus {

struct Augment {
  double noise = 0;   // Gaussian noise of this standard deviation
  int64_t shift = 0;  // up to this many pixels along both axes, zeros move in; [N, C, H, W] only
  double erase = 0;  // zeros a random rectangle of up to this share of the area, sides up to 2 : 1 (after Zhong et al.,
                     // "Random erasing", AAAI 2020); [N, C, H, W] only
  double mixup = 0;  // Beta(mixup, mixup) (Zhang et al., "mixup", ICLR 2018); 0: none

  bool any() const { return noise > 0 || shift > 0 || erase > 0 || mixup > 0; }
};

// Error(data) when a number is out of range: noise >= 0, shift >= 0, erase 0 … 1, mixup >= 0, strength 0 … 1.
void check_augment(const Augment& augment, double strength);

// x [N, …] floats on the CPU, index int64 [N], visit int32 [N]; returns a new tensor. Shift, then erase,
// then noise. strength 0 … 1 scales the standard deviation, the largest shift (rounded) and the largest erased share; 0
// changes no bit.
at::Tensor augment(const at::Tensor& x, const at::Tensor& index, const at::Tensor& visit, uint64_t seed,
                   const Augment& options, double strength);

struct Mixed {
  at::Tensor x;       // lambda · x + (1 - lambda) · x of the partner
  at::Tensor y;       // [N, C] float32: the labels mixed likewise
  at::Tensor lambda;  // [N] float32 in [0.5, 1]: the share of the row's own part, the larger one, so that a row stays
                      // what its index says
};

// y: int64 [N] in 0 … classes - 1, or float [N, C] (classes is then ignored). strength scales 1 - lambda.
Mixed mixup(const at::Tensor& x, const at::Tensor& y, int64_t classes, const at::Tensor& index, const at::Tensor& visit,
            uint64_t seed, double alpha, double strength);

}  // namespace gradus
