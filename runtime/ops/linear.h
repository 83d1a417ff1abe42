// A fully connected layer and its activation in one operator, forward and backward: relu(x · weightᵀ + bias). Products
// small enough for our own kernels (vectors/gemm.cpp) go there, others to LibTorch's operators: a rule of shapes,
// dtypes and the CPU alone.
#pragma once

#include <optional>

#include "torch.h"

namespace gradus {

// Whether x[…, k] · weight[n, k]ᵀ is computed by our own kernels.
bool takes_own_linear(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias);

// x [.., k], weight [n, k], bias [n] -> [.., n], new. Differentiable.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias, bool relu);

}  // namespace gradus
