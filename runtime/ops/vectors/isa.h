// One vector register of float32, and what every file of this folder does with it. CMakeLists.txt compiles them once
// for each GRADUS_ISA, with that ISA's flags; nothing here may be inline and shared with other files.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "vectors.h"

// Vectors are passed between always-inlined functions only, so their calling convention does not matter.
#pragma GCC diagnostic ignored "-Wpsabi"

#define GRADUS_INLINE [[gnu::always_inline]] static inline

namespace gradus::vectors::GRADUS_ISA {

#if defined(__AVX512F__)
constexpr int kBytes = 64;
#elif defined(__AVX2__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif
constexpr int64_t kLanes = kBytes / 4;

template <int bytes>
struct Vectors {
  typedef float Vector __attribute__((vector_size(bytes)));
  typedef int32_t Integers __attribute__((vector_size(bytes)));
};
using V = Vectors<kBytes>::Vector;
using Integers = Vectors<kBytes>::Integers;

GRADUS_INLINE V load(const float* from) {
  V v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}
GRADUS_INLINE void store(float* to, const V& v) { std::memcpy(to, &v, sizeof(v)); }

template <int bytes>
GRADUS_INLINE float sum(const typename Vectors<bytes>::Vector& v) {
  if constexpr (bytes == 16) {
    return (v[0] + v[2]) + (v[1] + v[3]);
  } else {
    typename Vectors<bytes / 2>::Vector low, high;
    std::memcpy(&low, &v, sizeof(low));
    std::memcpy(&high, reinterpret_cast<const char*>(&v) + sizeof(low), sizeof(high));
    return sum<bytes / 2>(low + high);
  }
}

// The lanes Where::lane(0), Where::lane(1), … of two vectors, b's numbered after a's.
template <class Where, typename Vector, std::size_t... I>
GRADUS_INLINE Vector shuffle(const Vector& a, const Vector& b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, Where::lane(static_cast<int>(I))...);
}
template <class Where, typename Vector>
GRADUS_INLINE Vector shuffle(const Vector& a, const Vector& b) {
  return shuffle<Where>(a, b, std::make_index_sequence<sizeof(Vector) / 4>());
}

// Working memory of a thread that grows as needed. (A std::vector's functions would be compiled once for each ISA under
// one name, and the linker keeps any of them.)
template <typename T>
class Room {
 public:
  Room() = default;
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  ~Room() { std::free(values_); }
  T* of(int64_t count) {
    if (count <= count_) return values_;
    std::free(values_);
    values_ = static_cast<T*>(std::aligned_alloc(64, (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64));
    count_ = values_ ? count : 0;
    if (!values_) throw std::bad_alloc();
    return values_;
  }

 private:
  T* values_ = nullptr;
  int64_t count_ = 0;
};

}  // namespace gradus::vectors::GRADUS_ISA
