// Maxima of squares of two by two (vectors.h).
#include <algorithm>

#include "math.h"

namespace gradus::vectors::GRADUS_ISA {
namespace {

template <int bytes>
struct Squares {
  using Floats = typename Vectors<bytes>::Vector;
  using Places = typename Vectors<bytes>::Integers;
  static constexpr int kCount = bytes / 4;

  // The numbers first, first + 2, … of two vectors side by side.
  template <int first>
  struct EverySecond {
    static constexpr int lane(int i) { return first + 2 * i; }
  };
  // One of the first vector, one of the second, from number `first` of each.
  template <int first>
  struct Alternate {
    static constexpr int lane(int i) { return first + i / 2 + (i % 2 ? kCount : 0); }
  };
  GRADUS_INLINE Floats floats(const float* from) {
    Floats v;
    std::memcpy(&v, from, sizeof(v));
    return v;
  }

  // LibTorch's rule: the first of equals, the last NaN.
  GRADUS_INLINE void larger(const Floats& value, int32_t place, Floats& best, Places& places) {
    const auto wins = (value > best) | is_nan(value);
    best = wins ? value : best;
    places = wins ? Places{} + place : places;
  }

  GRADUS_INLINE void forward(const float* above, const float* below, float* out, int32_t* which) {
    const Floats a = floats(above), b = floats(above + kCount), c = floats(below), d = floats(below + kCount);
    Floats best = shuffle<EverySecond<0>>(a, b);
    Places places{};
    larger(shuffle<EverySecond<1>>(a, b), 1, best, places);
    larger(shuffle<EverySecond<0>>(c, d), 2, best, places);
    larger(shuffle<EverySecond<1>>(c, d), 3, best, places);
    std::memcpy(out, &best, sizeof(best));
    std::memcpy(which, &places, sizeof(places));
  }

  GRADUS_INLINE void backward(const float* grad, const int32_t* which, float* above, float* below) {
    const Floats g = floats(grad);
    Places places;
    std::memcpy(&places, which, sizeof(places));
    const auto put = [&](int32_t left, float* to) __attribute__((always_inline)) {
      const Floats one = places == left ? g : Floats{}, two = places == left + 1 ? g : Floats{};
      const Floats low = shuffle<Alternate<0>>(one, two), high = shuffle<Alternate<kCount / 2>>(one, two);
      std::memcpy(to, &low, sizeof(low));
      std::memcpy(to + kCount, &high, sizeof(high));
    };
    put(0, above);
    put(2, below);
  }
};

void forward_one(const float* above, const float* below, float* out, int32_t* which) {
  const float values[4] = {above[0], above[1], below[0], below[1]};
  *out = values[0];
  *which = 0;
  for (int32_t i = 1; i < 4; ++i)
    if (values[i] > *out || values[i] != values[i]) {
      *out = values[i];
      *which = i;
    }
}

void backward_one(float grad, int32_t which, float* above, float* below) {
  above[0] = above[1] = below[0] = below[1] = 0;
  float* row = which < 2 ? above : below;  // by itself: GCC 12's sanitized build forgets the index of a conditional
  row[which % 2] = grad;
}

// Calls square(j) so that all columns are done, `count` at a time; the last ones overlap those before.
template <typename F>
GRADUS_INLINE void columns_by(int64_t count, int64_t columns, F&& squares) {
  for (int64_t j = 0; j < columns; j += count) squares(std::min(j, columns - count));
}

// Calls by(Squares<…>) with vectors that a row of so many columns fills; false where it fills none.
template <typename F>
GRADUS_INLINE bool widest(int64_t columns, F&& by) {
  if (columns >= kLanes) {
    by(Squares<kBytes>());
    return true;
  }
  if (kLanes > 8 && columns >= 8) {
    by(Squares<std::min(kBytes, 32)>());
    return true;
  }
  if (columns >= 4) by(Squares<16>());
  return columns >= 4;
}

void forward(int64_t rows, int64_t columns, int64_t width, const float* in, float* out, int32_t* which) {
  for (int64_t i = 0; i < rows; ++i, in += 2 * width, out += columns, which += columns) {
    const auto by = [&]<int bytes>(Squares<bytes>) __attribute__((always_inline)) {
      columns_by(
          bytes / 4, columns, [&](int64_t j) __attribute__((always_inline)) {
            Squares<bytes>::forward(in + 2 * j, in + width + 2 * j, out + j, which + j);
          });
    };
    if (widest(columns, by)) continue;
    for (int64_t j = 0; j < columns; ++j) forward_one(in + 2 * j, in + width + 2 * j, out + j, which + j);
  }
}

void backward(int64_t rows, int64_t columns, int64_t width, const float* grad, const int32_t* which, float* out) {
  for (int64_t i = 0; i < rows; ++i, out += 2 * width, grad += columns, which += columns) {
    float* below = out + width;
    const auto by = [&]<int bytes>(Squares<bytes>) __attribute__((always_inline)) {
      columns_by(
          bytes / 4, columns, [&](int64_t j) __attribute__((always_inline)) {
            Squares<bytes>::backward(grad + j, which + j, out + 2 * j, below + 2 * j);
          });
    };
    if (!widest(columns, by))
      for (int64_t j = 0; j < columns; ++j) backward_one(grad[j], which[j], out + 2 * j, below + 2 * j);
    for (int64_t j = 2 * columns; j < width; ++j) out[j] = below[j] = 0;
  }
}

}  // namespace

extern const PoolKernels pool;
const PoolKernels pool = {forward, backward};

}  // namespace gradus::vectors::GRADUS_ISA
