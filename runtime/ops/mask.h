// Masked language modelling (Devlin et al., "BERT", NAACL 2019): some tokens of a row are hidden and become its labels.
// Which ones, and what stands in their place, depends on (seed, row index, visit) alone, as in augment.h.
#pragma once

#include <cstdint>

#include "torch.h"

namespace gradus {

// Of the tokens low … high - 1 each is chosen with probability `rate`: 80 % of those become `mask`, 10 % another token
// drawn from low … high - 1, 10 % stay. All other tokens are special (beginning, padding, …) and are never chosen.
struct Masking {
  double rate = 0;  // 0: no masking
  int64_t mask = 0, low = 0, high = 0;
};

inline constexpr int64_t kNoLabel = -100;  // kd_loss's ignore_index

// Error(data) unless rate is in 0 … 1, low < high, and mask is a token of its own.
void check_masking(const Masking& masking);

struct Masked {
  at::Tensor x;  // [N, L]: the tokens, some hidden
  at::Tensor y;  // [N, L]: the true token where it was chosen, else kNoLabel
};

// x [N, L] int64 on the CPU, index int64 [N], visit int32 [N].
Masked mask_tokens(const at::Tensor& x, const at::Tensor& index, const at::Tensor& visit, uint64_t seed,
                   const Masking& masking);

}  // namespace gradus
