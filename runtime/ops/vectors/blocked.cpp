// Products of large float32 matrices (vectors.h): both factors are copied, block by block, to where the innermost loop
// reads them in order (Goto and van de Geijn 2008). Each element's sum runs over k in chunks that depend on k alone, so
// that it has the same bits whichever rows and columns a call computes.
#include <algorithm>

#include "isa.h"
#include "transpose.h"

namespace gradus::vectors::GRADUS_ISA {
namespace {

// A tile of kRows × kWide vectors of c is summed in registers.
#if defined(__AVX512F__)
constexpr int kRows = 6, kWide = 4;
#elif defined(__AVX2__)
constexpr int kRows = 6, kWide = 2;
#else
constexpr int kRows = 4, kWide = 2;
#endif
constexpr int64_t kColumns = kWide * kLanes;
constexpr int64_t kChunk = 384;               // of k: a strip of b stays in the first caches
constexpr int64_t kStride = kChunk + kLanes;  // between rows of a: no power of two, whose rows would meet in few lines
constexpr int64_t kBlock = 24 * kRows;        // rows of a at a time
constexpr int64_t kPanel = 2048;              // columns of b at a time

constexpr int64_t kPiece = kRows <= 4 ? 4 : 8;  // of a column of a, copied at once
using Piece = Vectors<kPiece * 4>::Vector;
// Floats of a tile's rows that lie side by side, and of the gap after them.
constexpr int64_t tile_size(int64_t k) { return k * kRows + kPiece; }

// ---- one tile

// How a block of a lies: row after row, or for each p the tile's rows side by side.
enum class Lie { rows, tiles };

template <int R, int W, Lie lie>
GRADUS_INLINE void tile(int64_t k, const float* a, const float* b, const float* next, float* c, int64_t c_row, bool add,
                        const float* bias, bool relu) {
  constexpr int64_t a_row = lie == Lie::rows ? kStride : 1, a_column = lie == Lie::rows ? 1 : kRows;
  V sums[R][W];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int w = 0; w < W; ++w) {
      sums[r][w] = V{};
      __builtin_prefetch(c + r * c_row + w * kLanes, 1);
    }
#pragma GCC unroll 2
  for (int64_t p = 0; p < k; ++p) {
    V row[W];
#pragma GCC unroll 4
    for (int w = 0; w < W; ++w) __builtin_prefetch(next + p * kColumns + w * kLanes, 0);
#pragma GCC unroll 4
    for (int w = 0; w < W; ++w) row[w] = load(b + p * kColumns + w * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const float factor = a[r * a_row + p * a_column];
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w) sums[r][w] = factor * row[w] + sums[r][w];
    }
  }
  if (add) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w) sums[r][w] += load(c + r * c_row + w * kLanes);
  }
  if (bias) {
    V row[W];
#pragma GCC unroll 4
    for (int w = 0; w < W; ++w) row[w] = load(bias + w * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w) sums[r][w] += row[w];
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int w = 0; w < W; ++w)
      store(c + r * c_row + w * kLanes, relu ? (sums[r][w] < 0 ? V{} : sums[r][w]) : sums[r][w]);
}

template <int W, Lie lie>
void tile_of(int64_t rows, int64_t k, const float* a, const float* b, const float* next, float* c, int64_t c_row,
             bool add, const float* bias, bool relu) {
  switch (rows) {
#define GRADUS_TILE(R)                                                                       \
  case (R):                                                                                  \
    if constexpr ((R) <= kRows) tile<(R), W, lie>(k, a, b, next, c, c_row, add, bias, relu); \
    return;
    GRADUS_TILE(1)
    GRADUS_TILE(2)
    GRADUS_TILE(3)
    GRADUS_TILE(4)
    GRADUS_TILE(5)
    GRADUS_TILE(6)
#undef GRADUS_TILE
  }
}

// The last columns, where they are no whole vectors: by way of a tile of their own.
template <Lie lie>
void narrow_tile(int64_t rows, int64_t columns, int64_t k, const float* a, const float* b, float* c, int64_t c_row,
                 bool add, const float* bias, bool relu) {
  alignas(64) float own[kRows * kColumns], own_bias[kColumns] = {};
  if (add)
    for (int64_t r = 0; r < rows; ++r) {
      std::fill(own + r * kColumns, own + (r + 1) * kColumns, 0.f);
      std::copy(c + r * c_row, c + r * c_row + columns, own + r * kColumns);
    }
  if (bias) std::copy(bias, bias + columns, own_bias);
  const float* from = bias ? own_bias : nullptr;
  switch ((columns + kLanes - 1) / kLanes) {
    case 1:
      tile_of<1, lie>(rows, k, a, b, b, own, kColumns, add, from, relu);
      break;
    case 2:
      tile_of<2, lie>(rows, k, a, b, b, own, kColumns, add, from, relu);
      break;
    case 3:
      tile_of<std::min(3, kWide), lie>(rows, k, a, b, b, own, kColumns, add, from, relu);
      break;
    default:
      tile_of<kWide, lie>(rows, k, a, b, b, own, kColumns, add, from, relu);
  }
  for (int64_t r = 0; r < rows; ++r) std::copy(own + r * kColumns, own + r * kColumns + columns, c + r * c_row);
}

// ---- copies of the factors

GRADUS_INLINE V kept_where(const V& values, const V& where) { return where <= 0 ? V{} : values; }

void copy(int64_t count, const float* from, const float* where, float* to) {
  int64_t j = 0;
  for (; j + kLanes <= count; j += kLanes)
    store(to + j, where ? kept_where(load(from + j), load(where + j)) : load(from + j));
  for (; j < count; ++j) to[j] = where && where[j] <= 0 ? 0.f : from[j];
}

// Columns [begin, begin + columns) of b, rows [first, first + k), as strips of kColumns.
void copy_b(const Factor& b, int64_t first, int64_t k, int64_t begin, int64_t columns, float* to) {
  for (int64_t j = 0; j < columns; j += kColumns, to += k * kColumns) {
    const int64_t width = std::min(kColumns, columns - j);
    const float* from = b.data + first * b.row + (begin + j) * b.column;
    if (width < kColumns) std::fill(to, to + k * kColumns, 0.f);
    if (b.column == 1 && width == kColumns) {
      for (int64_t p = 0; p < k; ++p)
#pragma GCC unroll 4
        for (int w = 0; w < kWide; ++w) store(to + p * kColumns + w * kLanes, load(from + p * b.row + w * kLanes));
    } else if (b.column == 1) {
      for (int64_t p = 0; p < k; ++p) std::copy(from + p * b.row, from + p * b.row + width, to + p * kColumns);
    } else {
      transpose(width, k, from, b.column, to, kColumns);
    }
  }
}

struct Block {  // rows of c, in tiles of nearly equal height
  int64_t rows, tiles;
  int64_t height(int64_t tile) const { return rows / tiles + (tile < rows % tiles ? 1 : 0); }
};

void copy_a(const Factor& a, int64_t begin, const Block& block, int64_t first, int64_t k, float* to) {
  const float* from = a.data + begin * a.row + first * a.column;
  const float* where = a.where ? a.where + begin * a.row + first * a.column : nullptr;
  if (a.column == 1) {
    for (int64_t i = 0; i < block.rows; ++i)
      copy(k, from + i * a.row, where ? where + i * a.row : nullptr, to + i * kStride);
    return;
  }
  // Each piece is copied a little wider than its tile: into the place of the next p, which comes after it, or the gap.
  int64_t starts[kBlock / kRows + 1] = {};
  for (int64_t t = 0; t < block.tiles; ++t) starts[t + 1] = starts[t] + block.height(t);
  int64_t within = block.tiles;  // tiles whose piece ends before the rows do
  while (within > 0 && starts[within - 1] + kPiece > block.rows) --within;
  for (int64_t p = 0; p < k; ++p, from += a.column, to += kRows) {
    float* out = to;
    for (int64_t t = 0; t < within; ++t, out += tile_size(k)) {
      Piece piece;
      std::memcpy(&piece, from + starts[t], sizeof(piece));
      if (where) {
        Piece hides;
        std::memcpy(&hides, where + starts[t], sizeof(hides));
        piece = hides <= 0 ? Piece{} : piece;
      }
      std::memcpy(out, &piece, sizeof(piece));
    }
    for (int64_t t = within; t < block.tiles; ++t, out += tile_size(k))
      for (int64_t r = starts[t]; r < starts[t + 1]; ++r) out[r - starts[t]] = where && where[r] <= 0 ? 0.f : from[r];
    if (where) where += a.column;
  }
}

// ---- the product

template <Lie lie>
void strip_of_tiles(const Block& block, int64_t width, int64_t k, const float* a, const float* b, const float* next,
                    float* c, int64_t c_row, bool add, const float* bias, bool relu) {
  for (int64_t t = 0; t < block.tiles; ++t) {
    const int64_t height = block.height(t);
    if (width == kColumns)
      tile_of<kWide, lie>(height, k, a, b, next, c, c_row, add, bias, relu);
    else
      narrow_tile<lie>(height, width, k, a, b, c, c_row, add, bias, relu);
    a += lie == Lie::rows ? height * kStride : tile_size(k);
    c += height * c_row;
  }
}

template <Lie lie>
void block_times_panel(const Block& block, int64_t columns, int64_t k, const float* a, const float* b, float* c,
                       int64_t c_row, bool add, const float* bias, bool relu) {
  for (int64_t j = 0; j < columns; j += kColumns, b += k * kColumns)
    strip_of_tiles<lie>(block, std::min(kColumns, columns - j), k, a, b, j + kColumns < columns ? b + k * kColumns : b,
                        c + j, c_row, add, bias ? bias + j : nullptr, relu);
}

void multiply(int64_t m, int64_t n, int64_t k, const Factor& a, const Factor& b, float* c, int64_t c_row,
              const Finish& finish) {
  static thread_local Room<float> a_room, b_room;
  const int64_t chunks = (k + kChunk - 1) / kChunk, most = (k + chunks - 1) / chunks;
  const int64_t panel = std::min(kPanel, (n + kColumns - 1) / kColumns * kColumns);
  float* own_a = a_room.of(kBlock * kStride);
  float* own_b = b_room.of(panel * most);
  for (int64_t begin = 0; begin < n; begin += panel) {
    const int64_t columns = std::min(panel, n - begin);
    for (int64_t first = 0; first < k; first += most) {
      const int64_t depth = std::min(most, k - first);
      const bool last = first + depth == k, add = first > 0 || finish.add;
      const float* bias = last && finish.bias ? finish.bias + begin : nullptr;
      copy_b(b, first, depth, begin, columns, own_b);
      const int64_t blocks = (m + kBlock - 1) / kBlock;
      for (int64_t i = 0, left = blocks; left > 0; --left) {
        const int64_t rows = (m - i + left - 1) / left;
        const Block block{rows, (rows + kRows - 1) / kRows};
        copy_a(a, i, block, first, depth, own_a);
        if (a.column == 1)
          block_times_panel<Lie::rows>(block, columns, depth, own_a, own_b, c + i * c_row + begin, c_row, add, bias,
                                       last && finish.relu);
        else
          block_times_panel<Lie::tiles>(block, columns, depth, own_a, own_b, c + i * c_row + begin, c_row, add, bias,
                                        last && finish.relu);
        i += rows;
      }
    }
  }
}

void sum_rows(int64_t m, int64_t n, const Factor& a, float* sums) {
  for (int64_t j = 0; j < n; ++j) sums[j] = 0;
  for (int64_t i = 0; i < m; ++i) {
    const float* row = a.data + i * a.row;
    const float* where = a.where ? a.where + i * a.row : nullptr;
    if (where)
      for (int64_t j = 0; j < n; ++j) sums[j] += where[j] <= 0 ? 0.f : row[j];
    else
      for (int64_t j = 0; j < n; ++j) sums[j] += row[j];
  }
}

}  // namespace

extern const BlockedKernels blocked;
const BlockedKernels blocked = {multiply, sum_rows};

}  // namespace gradus::vectors::GRADUS_ISA
