// The CPU kernel of gradus::kd_loss: the rows' losses, by-products and gradient in one pass over the logits.
#pragma once

#include <cstdint>

namespace gradus {

// One value for every `rows_per_value` rows. Borrowed.
struct RowValues {
  const double* values = nullptr;
  int64_t rows_per_value = 1;
  double operator[](int64_t row) const { return values[row / rows_per_value]; }
};

// All arrays are contiguous and borrowed; T is float or double.
template <typename T>
struct KdRows {
  int64_t rows = 0, classes = 0;
  const T* student = nullptr;       // [rows, classes]
  const T* teacher = nullptr;       // the same, or null: no KL term
  const int64_t* labels = nullptr;  // [rows] in 0..classes-1 or ignore_index; or null
  const T* targets = nullptr;       // [rows, classes] probabilities; or null. Both null: no CE term
  RowValues temperature, teacher_temperature, alpha;
  const double* weight = nullptr;  // [rows]: share of the row in the mean; 0 leaves the row out
  double label_smoothing = 0;
  int64_t ignore_index = -100;
  bool t2 = true, reverse = false;
  T* gradient = nullptr;                                               // out [rows, classes]; null: not wanted
  T *confidence = nullptr, *entropy = nullptr, *per_sample = nullptr;  // out [rows]
  double *loss = nullptr, *ce = nullptr, *kl = nullptr;                // out [rows], unweighted
};

namespace vectors {

struct KdKernels {
  // Rows begin..end-1. A row's bits do not depend on its neighbours, so any split of the rows gives the same.
  void (*floats)(const KdRows<float>& problem, int64_t begin, int64_t end);
  void (*doubles)(const KdRows<double>& problem, int64_t begin, int64_t end);
};

// Those of the widest vectors that this CPU has.
const KdKernels& kd_loss();

}  // namespace vectors
}  // namespace gradus
