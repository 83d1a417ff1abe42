// The distillation loss (Hinton, Vinyals, Dean 2015, arXiv:1503.02531) as one operator of the dispatcher:
//
//   loss = alpha · CE(target, student) + (1 − alpha) · T² · KL(softmax(teacher / T_t) ‖ softmax(student / T))
//
// Schemas, in library `gradus`:
//   kd_loss(Tensor student, Tensor? teacher, Tensor? target, Tensor temperature, Tensor alpha, *,
//           Tensor? teacher_temperature=None, Tensor? weight=None, float label_smoothing=0., int ignore_index=-100,
//           bool t2=True, bool reverse=False)
//     -> (Tensor loss, Tensor ce, Tensor kl, Tensor confidence, Tensor entropy, Tensor per_sample)
//   kd_loss_forward(the same, bool with_gradient)
//     -> (the same six, Tensor gradient)
// kd_loss has a gradient for `student` only; forward has none, and computes ∂loss/∂student in the same pass: backward
// is one product with it.
#pragma once

#include <optional>
#include <tuple>

#include "torch.h"

namespace gradus {

using Tensors6 = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor>;
using Tensors7 = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor>;

// The arguments of the operator. A "row" is one distribution over C classes: N of them, or N·L for [N, L, C].
struct KdArguments {
  at::Tensor student;                 // logits [N, C] or [N, L, C], floating point; bf16 and half are computed in float
  std::optional<at::Tensor> teacher;  // logits of student's shape. None: the loss is CE, alpha is not used
  std::optional<at::Tensor> target;   // int64 classes [N] or [N, L], or probabilities of student's shape (mixup).
                                      // None: the loss is T²·KL, alpha is not used. Not both None
  at::Tensor temperature;             // T > 0: 0-dim, [N] or [N, L]
  at::Tensor alpha;                   // the same shapes
  std::optional<at::Tensor> teacher_temperature = {};  // T_t, the same shapes; None: T
  std::optional<at::Tensor> weight = {};               // >= 0, the same shapes; None: 1
  double label_smoothing = 0;                          // in [0, 1]: target·(1 − ε) + ε/C, in the CE only
  int64_t ignore_index = -100;  // rows with this class count in no term; confidence and entropy are still given
  bool t2 = true;               // false: no factor T²
  bool reverse = false;         // KL(student ‖ teacher)
};

// The six results of kd_loss; float for bf16 and half students, else student's dtype.
//   loss, ce, kl: 0-dim, weighted means over the rows that count (0 when none does); kl is without T²
//   confidence: student's probability (T = 1) of the target: its class, the expectation for probabilities, the largest
//     probability without one; entropy: of the student at T = 1, in nats; per_sample: each row's loss, unweighted, 0
//     where ignored. Shapes [N] or [N, L]. Only `loss` carries a gradient.
// Throws Error(data) on shapes, dtypes or classes that do not fit, and, on the CPU, on T <= 0.
Tensors6 kd_loss(const KdArguments& arguments);

// Those and ∂loss/∂student, of the mean over all rows; undefined unless `with_gradient`.
Tensors7 kd_loss_forward(const KdArguments& arguments, bool with_gradient);

// The same from LibTorch's operators, for devices without a kernel of ours, and the peer of the kernel in tests. The
// last result is ∂loss/∂student, undefined unless `with_gradient`.
Tensors7 kd_loss_composed(const KdArguments& arguments, bool with_gradient);

}  // namespace gradus
