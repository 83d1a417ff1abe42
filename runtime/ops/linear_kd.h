// Distillation over a large vocabulary without its logits: the last linear layer and the loss (kd_loss.h) in one
// operator, in chunks of rows, so that never more than a chunk of the student's and the teacher's logits exists.
// Forward also computes the gradients of x, weight and bias; backward is one product with each.
//
// Schema, in library `gradus`:
//   linear_kd_loss(Tensor x, Tensor weight, Tensor? bias, Tensor? teacher_x, Tensor? teacher_weight, Tensor?
//   teacher_bias,
//                  Tensor? target, Tensor temperature, Tensor alpha, *, Tensor? teacher_temperature=None,
//                  float label_smoothing=0., int ignore_index=-100, bool t2=True, bool reverse=False)
//     -> (Tensor loss, Tensor ce, Tensor kl, Tensor confidence, Tensor entropy, Tensor per_sample)
#pragma once

#include <optional>
#include <vector>

#include "torch.h"

namespace gradus {

struct LinearKdArguments {
  at::Tensor x;                              // [N, E] or [N, L, E], float or double; a row is one of N, or of N·L
  at::Tensor weight;                         // [C, E], x's dtype
  std::optional<at::Tensor> bias;            // [C]
  std::optional<at::Tensor> teacher_x;       // [N, F] or [N, L, F]. None, with teacher_weight: the loss is CE
  std::optional<at::Tensor> teacher_weight;  // [C, F]
  std::optional<at::Tensor> teacher_bias;    // [C]
  std::optional<at::Tensor> target;          // int64 classes [N] or [N, L]. None: the loss is T²·KL
  at::Tensor temperature;                    // > 0, 0-dim or one a row
  at::Tensor alpha;                          // 0-dim or one a row
  std::optional<at::Tensor> teacher_temperature = {};
  double label_smoothing = 0;
  int64_t ignore_index = -100;
  bool t2 = true;
  bool reverse = false;
};

// loss, ce, kl, confidence, entropy, per_sample as kd_loss's, per row of x; then, with_gradient, ∂loss/∂x, ∂weight,
// ∂bias (empty without bias). Throws Error(data) on shapes or dtypes that do not fit.
std::vector<at::Tensor> linear_kd_loss_forward(const LinearKdArguments& arguments, bool with_gradient);

// The same into the caller's tensors, contiguous; of the six alone without gradient.
void linear_kd_loss_forward_out(const LinearKdArguments& arguments, bool with_gradient,
                                const std::vector<at::Tensor>& results);

// How many rows are done at once: their logits take about 16 MiB each for student, whose place the gradient takes, and
// teacher.
int64_t linear_kd_chunk(int64_t rows, int64_t classes, int64_t element_size);

}  // namespace gradus
