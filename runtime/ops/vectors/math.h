// Elementary functions of a vector's lanes, for the files of this folder.
#pragma once

#include "isa.h"

namespace gradus::vectors::GRADUS_ISA {

// A NaN in `v` stays: the comparison is false for it.
template <typename Vector, typename T>
GRADUS_INLINE Vector at_least(const Vector& v, T bound) {
  const Vector bounds = Vector{} + bound;
  return v < bounds ? bounds : v;
}

// exp of values <= 0. Cephes' expf: x = n ln 2 + r, a polynomial for e^r, the exponent's bits for 2^n; within 2 ulp, 0
// below the smallest normal number.
GRADUS_INLINE V exp_of(const V& x) {
  constexpr float kShift = 12582912.f;  // 1.5 * 2^23: adding it rounds to the nearest integer
  const V clamped = at_least(x, -87.f);
  const V n = (clamped * 1.44269504088896341f + kShift) - kShift;
  V r = clamped - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  V p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.f;
  const Integers exponent = (__builtin_convertvector(n, Integers) + 127) << 23;
  V scale;
  std::memcpy(&scale, &exponent, sizeof(scale));
  return x < -87.f ? V{} : p * scale;
}

// Which lanes are not a number.
template <typename Vector>
GRADUS_INLINE auto is_nan(const Vector& v) {
  return v != v;  // NOLINT(misc-redundant-expression): only NaN differs from itself
}

// log of normal, finite numbers > 0 (NaN stays). Cephes' logf: x = m 2^e with m in [√½, √2), a polynomial for log m.
GRADUS_INLINE V log_of(const V& x) {
  Integers bits;
  std::memcpy(&bits, &x, sizeof(bits));
  const Integers exponent = ((bits >> 23) & 255) - 126;
  const Integers fraction = (bits & 0x007fffff) | 0x3f000000;  // in [½, 1)
  V m;
  std::memcpy(&m, &fraction, sizeof(m));
  const auto low = m < 0.707106781186547524f;
  const V e = __builtin_convertvector(exponent, V) - (low ? V{} + 1.f : V{});
  m = low ? m + m - 1.f : m - 1.f;
  const V z = m * m;
  V p = m * 7.0376836292e-2f - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  p = p * m * z + e * -2.12194440e-4f - z * 0.5f;
  const V result = m + p + e * 0.693359375f;
  return is_nan(x) ? x : result;
}

}  // namespace gradus::vectors::GRADUS_ISA
