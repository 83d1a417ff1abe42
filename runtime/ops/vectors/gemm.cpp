// Products of small float32 matrices (vectors.h). One thread; the order of every sum depends on the shape and on the
// width of the vectors only.
#include <algorithm>
#include <cstring>

#include "isa.h"
#include "transpose.h"

namespace gradus::vectors::GRADUS_ISA {
namespace {

// kRows × kWide accumulators, one or two factors and kWide others fill the registers.
#if defined(__AVX512F__)
constexpr int kRows = 8, kWide = 3;
#elif defined(__AVX2__)
constexpr int kRows = 6, kWide = 2;
#else
constexpr int kRows = 4, kWide = 2;
#endif
// Vectors' worth of work that a sum along two rows costs beside its products.
constexpr int64_t kSumCost = 8;
// Rows from which b's columns are first put side by side: rows of a power of two would meet in few cache lines.
constexpr int64_t kPackFrom = 32;

// ---- c = a · b: rows of c from sums of rows of b

template <int R, int W>
GRADUS_INLINE void tile(int64_t k, const float* a, int64_t a_row, int64_t a_column, const float* b, int64_t b_row,
                        float* c, int64_t c_row) {
  V sums[R][W] = {};
  for (int64_t p = 0; p < k; ++p) {
    V row[W];
#pragma GCC unroll 4
    for (int w = 0; w < W; ++w) row[w] = load(b + p * b_row + w * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const float factor = a[r * a_row + p * a_column];
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w) sums[r][w] = factor * row[w] + sums[r][w];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int w = 0; w < W; ++w) store(c + r * c_row + w * kLanes, sums[r][w]);
}

template <int W>
GRADUS_INLINE void rows_of(int64_t rows, int64_t k, const float* a, int64_t a_row, int64_t a_column, const float* b,
                           int64_t b_row, float* c, int64_t c_row) {
  switch (rows) {
    case 1:
      return tile<1, W>(k, a, a_row, a_column, b, b_row, c, c_row);
    case 2:
      return tile<2, W>(k, a, a_row, a_column, b, b_row, c, c_row);
    case 3:
      return tile<3, W>(k, a, a_row, a_column, b, b_row, c, c_row);
    case 4:
      return tile<4, W>(k, a, a_row, a_column, b, b_row, c, c_row);
    case 5:
      return tile<5, W>(k, a, a_row, a_column, b, b_row, c, c_row);
    case 6:
      return tile<6, W>(k, a, a_row, a_column, b, b_row, c, c_row);
    case 7:
      return tile<7, W>(k, a, a_row, a_column, b, b_row, c, c_row);
    case 8:
      return tile<8, W>(k, a, a_row, a_column, b, b_row, c, c_row);
  }
}

// One strip of columns, its rows in tiles of nearly equal height.
template <int W>
GRADUS_INLINE void strip(int64_t m, int64_t k, const float* a, int64_t a_row, int64_t a_column, const float* b,
                         int64_t b_row, float* c, int64_t c_row) {
  for (int64_t tiles = (m + kRows - 1) / kRows, i = 0; tiles > 0; --tiles) {
    const int64_t rows = (m - i + tiles - 1) / tiles;
    rows_of<W>(rows, k, a + i * a_row, a_row, a_column, b, b_row, c + i * c_row, c_row);
    i += rows;
  }
}

// Fewer columns than a vector has lanes: b is a panel, each row filled up with zeros to a vector. write(i, row) takes a
// row of the product.
template <class Write>
GRADUS_INLINE void panel_product(int64_t m, int64_t k, const float* a, int64_t a_row, int64_t a_column,
                                 const float* panel, Write&& write) {
  alignas(64) float rows[kRows * kLanes];
  for (int64_t i = 0; i < m; i += kRows) {
    const int64_t count = std::min<int64_t>(kRows, m - i);
    rows_of<1>(count, k, a + i * a_row, a_row, a_column, panel, kLanes, rows, kLanes);
    for (int64_t r = 0; r < count; ++r) write(i + r, load(rows + r * kLanes));
  }
}

GRADUS_INLINE void store_first(float* to, const V& v, int64_t n) {
  alignas(64) float all[kLanes];
  store(all, v);
  for (int64_t j = 0; j < n; ++j) to[j] = all[j];
}

GRADUS_INLINE void narrow(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_row, int64_t a_column,
                          const float* b, int64_t b_row, float* c, int64_t c_row) {
  static thread_local Room<float> room;
  float* panel = room.of(k * kLanes);
  for (int64_t p = 0; p < k; ++p)
    for (int64_t j = 0; j < kLanes; ++j) panel[p * kLanes + j] = j < n ? b[p * b_row + j] : 0.f;
  panel_product(
      m, k, a, a_row, a_column,
      panel, [&](int64_t i, const V& row) __attribute__((always_inline)) { store_first(c + i * c_row, row, n); });
}

// One row times one column.
GRADUS_INLINE void outer(int64_t m, int64_t n, const float* a, int64_t a_row, const float* b, float* c, int64_t c_row) {
  for (int64_t i = 0; i < m; ++i) {
    const float factor = a[i * a_row];
    float* row = c + i * c_row;
    for (int64_t j = 0; j < n; ++j) row[j] = factor * b[j];
  }
}

// The columns of b that a strip needs, side by side.
template <int W>
GRADUS_INLINE const float* pack(int64_t k, const float* b, int64_t b_row) {
  static thread_local Room<float> room;
  float* panel = room.of(k * W * kLanes);
  float* to = panel;
  for (int64_t p = 0; p < k; ++p, b += b_row, to += W * kLanes)
    for (int w = 0; w < W; ++w) store(to + w * kLanes, load(b + w * kLanes));
  return panel;
}

template <int W>
GRADUS_INLINE void packed_strip(int64_t m, int64_t k, const float* a, int64_t a_row, int64_t a_column, const float* b,
                                int64_t b_row, float* c, int64_t c_row) {
  if (m < kPackFrom) return strip<W>(m, k, a, a_row, a_column, b, b_row, c, c_row);
  strip<W>(m, k, a, a_row, a_column, pack<W>(k, b, b_row), W * kLanes, c, c_row);
}

void product(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_row, int64_t a_column, const float* b,
             int64_t b_row, float* c, int64_t c_row) {
  if (k == 1) return outer(m, n, a, a_row, b, c, c_row);
  if (n < kLanes) return narrow(m, n, k, a, a_row, a_column, b, b_row, c, c_row);
  int64_t j = 0;
  for (; j + kWide * kLanes <= n; j += kWide * kLanes)
    packed_strip<kWide>(m, k, a, a_row, a_column, b + j, b_row, c + j, c_row);
  for (; j < n; j += kLanes) {
    j = std::min(j, n - kLanes);  // the last strip overlaps the one before and writes the same values again
    packed_strip<1>(m, k, a, a_row, a_column, b + j, b_row, c + j, c_row);
  }
}

// ---- c = a · bᵀ: sums along rows of a and b

// The last k % kLanes elements before `end`, zeros in the other lanes; there are kLanes elements before it.
GRADUS_INLINE V load_tail(const float* end, int64_t count) {
  Integers lane;
  for (int i = 0; i < kLanes; ++i) lane[i] = i;
  const V v = load(end - kLanes);
  return lane >= static_cast<int32_t>(kLanes - count) ? v : V{};
}

// One half of the parts of two vectors' sums, `count` side by side for each.
template <int count, bool second_half>
struct Half {
  static constexpr int lane(int i) {
    const int groups = static_cast<int>(kLanes) / count, group = i / (count / 2), second = group >= groups;
    return (group - second * groups) * count + i % (count / 2) + second * static_cast<int>(kLanes) +
           second_half * (count / 2);
  }
};

// The sums of the lanes of `count` vectors; of kLanes vectors, side by side.
template <int count>
GRADUS_INLINE V sums_of(const V* v) {
  if constexpr (count == 1) {
    return v[0];
  } else {
    V half[count / 2];
#pragma GCC unroll 16
    for (int j = 0; j < count / 2; ++j)
      half[j] =
          shuffle<Half<count, false>>(v[2 * j], v[2 * j + 1]) + shuffle<Half<count, true>>(v[2 * j], v[2 * j + 1]);
    return sums_of<count / 2>(half);
  }
}

// One row of a by kLanes rows of b.
GRADUS_INLINE void row_dots(int64_t k, const float* a, const float* b, const float* bias, bool relu, float* c) {
  V sums[kLanes] = {};
  int64_t p = 0;
  for (; p + kLanes <= k; p += kLanes) {
    const V left = load(a + p);
#pragma GCC unroll 16
    for (int j = 0; j < kLanes; ++j) sums[j] = left * load(b + j * k + p) + sums[j];
  }
  if (p < k) {
    const V left = load_tail(a + k, k - p);
#pragma GCC unroll 16
    for (int j = 0; j < kLanes; ++j) sums[j] = left * load_tail(b + (j + 1) * k, k - p) + sums[j];
  }
  V value = sums_of<kLanes>(sums);
  if (bias) value += load(bias);
  store(c, relu ? (value < 0 ? V{} : value) : value);
}

template <int R, int C>
GRADUS_INLINE void dots(int64_t k, const float* a, const float* b, const float* bias, bool relu, float* c,
                        int64_t c_row) {
  V sums[R][C] = {};
  const auto add = [&](auto&& at) __attribute__((always_inline)) {
    V left[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) left[r] = at(a + r * k);
#pragma GCC unroll 8
    for (int j = 0; j < C; ++j) {
      const V right = at(b + j * k);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) sums[r][j] = left[r] * right + sums[r][j];
    }
  };
  int64_t p = 0;
  for (; p + kLanes <= k; p += kLanes)
    add([&](const float* row) __attribute__((always_inline)) { return load(row + p); });
  if (p < k) add([&](const float* row) __attribute__((always_inline)) { return load_tail(row + k, k - p); });
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int j = 0; j < C; ++j) {
      const float value = sum<kBytes>(sums[r][j]) + (bias ? bias[j] : 0.f);
      c[r * c_row + j] = relu && value < 0 ? 0.f : value;
    }
}

template <int R, int C>
GRADUS_INLINE void dot_rows(int64_t n, int64_t k, const float* a, const float* b, const float* bias, bool relu,
                            float* c) {
  int64_t j = 0;
  for (; j + C <= n; j += C) dots<R, C>(k, a, b + j * k, bias ? bias + j : nullptr, relu, c + j, n);
  for (; j < n; ++j) dots<R, 1>(k, a, b + j * k, bias ? bias + j : nullptr, relu, c + j, n);
}

GRADUS_INLINE void finish(int64_t m, int64_t n, const float* bias, bool relu, float* c) {
  for (int64_t i = 0; i < m; ++i, c += n)
    for (int64_t j = 0; j < n; ++j) {
      const float value = c[j] + (bias ? bias[j] : 0.f);
      c[j] = relu && value < 0 ? 0.f : value;
    }
}

// Whether transposing b once is cheaper than summing along both factors' rows.
bool is_transposed(int64_t m, int64_t n, int64_t k) {
  const auto vectors = [](int64_t count) { return (count + kLanes - 1) / kLanes; };
  return k < kLanes || m * k * vectors(n) + n * k < m * n * (vectors(k) + kSumCost);
}

// Fewer outputs than a vector has lanes. A row is written as a whole vector, whose rest the rows after it write over.
GRADUS_INLINE void narrow_layer(int64_t m, int64_t n, int64_t k, const float* a, const float* b, const float* bias,
                                bool relu, float* c) {
  static thread_local Room<float> room;
  float* panel = room.of(k * kLanes);
  std::memset(panel, 0, sizeof(float) * static_cast<size_t>(k * kLanes));
  transpose(n, k, b, k, panel, kLanes);
  V biases{};
  if (bias) std::memcpy(&biases, bias, sizeof(float) * static_cast<size_t>(n));
  const int64_t last_whole = m * n - kLanes;
  panel_product(
      m, k, a, k, 1, panel, [&](int64_t i, const V& row) __attribute__((always_inline)) {
        const V value = row + biases, out = relu ? (value < 0 ? V{} : value) : value;
        if (i * n <= last_whole)
          store(c + i * n, out);
        else
          store_first(c + i * n, out, n);
      });
}

void layer(int64_t m, int64_t n, int64_t k, const float* a, const float* b, const float* bias, bool relu, float* c) {
  if (is_transposed(m, n, k)) {
    if (n < kLanes) return narrow_layer(m, n, k, a, b, bias, relu, c);
    static thread_local Room<float> room;
    float* transposed = room.of(n * k);
    transpose(n, k, b, k, transposed, n);
    product(m, n, k, a, k, 1, transposed, n, c, n);
    return finish(m, n, bias, relu, c);
  }
  int64_t i = 0;
  for (; i + 4 <= m; i += 4) dot_rows<4, 2>(n, k, a + i * k, b, bias, relu, c + i * n);
  for (; i < m; ++i) {
    const float* row = a + i * k;
    int64_t j = 0;
    for (; j + kLanes <= n; j += kLanes) row_dots(k, row, b + j * k, bias ? bias + j : nullptr, relu, c + i * n + j);
    dot_rows<1, 4>(n - j, k, row, b + j * k, bias ? bias + j : nullptr, relu, c + i * n + j);
  }
}

void before_relu(int64_t n, const float* grad, const float* output, float* result) {
  for (int64_t i = 0; i < n; ++i) result[i] = output[i] <= 0 ? 0.f : grad[i];
}

void sum_rows(int64_t m, int64_t n, const float* a, float* sums) {
  for (int64_t j = 0; j < n; ++j) sums[j] = 0;
  for (int64_t i = 0; i < m; ++i, a += n)
    for (int64_t j = 0; j < n; ++j) sums[j] += a[j];
}

}  // namespace

extern const GemmKernels gemm;
const GemmKernels gemm = {product, layer, before_relu, sum_rows};

}  // namespace gradus::vectors::GRADUS_ISA
