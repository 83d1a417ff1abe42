// Loops over float32 arrays, compiled once for each width of the CPU's vectors (namespaces baseline, avx2, avx512) from
// the sources in this folder. gemm(), blocked(), pool(), optimizers() and random() are those of the widest that this
// CPU has: the same on every machine of a class.
#pragma once

#include <cstdint>

namespace gradus::vectors {

struct GemmKernels {
  // c[m, n] = a[m, k] · b[k, n]. Rows of b and c are contiguous, `b_row` and `c_row` floats apart; a's element (i, p)
  // is a[i * a_row + p * a_column], so that a may be transposed.
  void (*product)(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_row, int64_t a_column, const float* b,
                  int64_t b_row, float* c, int64_t c_row);
  // c[m, n] = a[m, k] · b[n, k]ᵀ + bias, then max(0, ·) where relu. All rows are contiguous; bias [n] may be null.
  void (*layer)(int64_t m, int64_t n, int64_t k, const float* a, const float* b, const float* bias, bool relu,
                float* c);
  // grad where output > 0 or is NaN, else 0: the gradient before a ReLU.
  void (*before_relu)(int64_t n, const float* grad, const float* output, float* result);
  // sums[n] of the rows of a[m, n], one after the other.
  void (*sum_rows)(int64_t m, int64_t n, const float* a, float* sums);
};

// A factor of a product: element (i, j) is data[i * row + j * column], one of the two being 1. Of the first factor only
// what stands where `where`, which lies as data does, is > 0 or NaN counts; null: all of it.
struct Factor {
  const float* data;
  int64_t row, column;
  const float* where = nullptr;
};

struct Finish {
  bool add = false;             // to what c holds
  const float* bias = nullptr;  // of each column
  bool relu = false;
};

struct BlockedKernels {
  // c[m, n] = a[m, k] · b[k, n], large; its rows are c_row floats apart. The bits of an element depend on its row of a,
  // its column of b and k only, so that a product may be shared among threads.
  void (*multiply)(int64_t m, int64_t n, int64_t k, const Factor& a, const Factor& b, float* c, int64_t c_row,
                   const Finish& finish);
  // sums[n] of the rows of a[m, n], one after the other; a's columns lie side by side.
  void (*sum_rows)(int64_t m, int64_t n, const Factor& a, float* sums);
};

struct PoolKernels {
  // out[rows, columns]: the largest of each square of two by two of in, whose rows are `width` >= 2 * columns apart;
  // which: 0 to 3, where it stands in its square.
  void (*forward)(int64_t rows, int64_t columns, int64_t width, const float* in, float* out, int32_t* which);
  // out[2 * rows, width]: each gradient where the largest stood, else 0.
  void (*backward)(int64_t rows, int64_t columns, int64_t width, const float* grad, const int32_t* which, float* out);
};

struct SgdRates {
  float lr, weight_decay, momentum, scale;  // scale: what each gradient is multiplied by first
  bool nesterov;
};

struct AdamRates {
  float step_size, inverse_correction2_sqrt, beta1_rest, beta2, beta2_rest, eps;  // lr / (1 − β1ᵗ), 1 / √(1 − β2ᵗ), …
  float weight_decay, decay, scale;  // weight_decay joins the gradient (Adam); p is first multiplied by decay (AdamW)
};

struct OptimizerKernels {
  double (*squares)(int64_t n, const float* g);                                              // Σ g²
  void (*sgd)(int64_t n, float* p, const float* g, float* momentum, const SgdRates& rates);  // momentum may be null
  void (*adam)(int64_t n, float* p, const float* g, float* exp_avg, float* exp_avg_sq, const AdamRates& rates);
};

struct RandomKernels {
  // out[count]: standard normal numbers, four from each of the counters (first, counter[3]), (first + 1, counter[3]), …
  // of Philox.
  void (*normals)(int64_t count, uint32_t first, const uint32_t* counter, const uint32_t* key, float* out);
};

const GemmKernels& gemm();
const BlockedKernels& blocked();
const PoolKernels& pool();
const OptimizerKernels& optimizers();
const RandomKernels& random();

}  // namespace gradus::vectors
