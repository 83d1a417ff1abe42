// What the kernel of the distillation loss and its peer from LibTorch's operators both ask of its arguments
// (kd_loss.h).
#pragma once

#include <optional>
#include <string>

#include "kd_loss.h"
#include "torch.h"

namespace gradus::kd {

using OptionalTensor = std::optional<at::Tensor>;

[[noreturn]] void misuse(const std::string& text);  // Error (data)

void check(const KdArguments& a);  // shapes, dtypes, devices; classes and temperatures only where their values are read
bool has_labels(const KdArguments& a);
at::ScalarType compute_type(const at::Tensor& student);
// 0-dim, [N] or [N, L]: how many rows share one value. name: for the error.
int64_t rows_per_value(const at::Tensor& value, const char* name, const KdArguments& a, int64_t rows);

}  // namespace gradus::kd
