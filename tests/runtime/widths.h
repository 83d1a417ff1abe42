// The kernels of each width of the CPU's vectors (ops/vectors/), for tests of all that this machine has.
#pragma once

#include <cstdio>
#include <vector>

#include "ops/vectors/vectors.h"

namespace gradus::vectors {

namespace baseline {
extern const GemmKernels gemm;
extern const RandomKernels random;
}  // namespace baseline
#if defined(__x86_64__)
namespace avx2 {
extern const GemmKernels gemm;
extern const RandomKernels random;
}  // namespace avx2
namespace avx512 {
extern const GemmKernels gemm;
extern const RandomKernels random;
}  // namespace avx512
#endif

struct Width {
  const char* name;
  const GemmKernels& gemm;
  const RandomKernels& random;
};

// Those that this CPU has, the narrowest first; says which are left out.
inline std::vector<Width> widths() {
  std::vector<Width> found = {{"baseline", baseline::gemm, baseline::random}};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    found.push_back({"avx2", avx2::gemm, avx2::random});
  else
    std::puts("avx2 left out: this CPU has none");
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"))
    found.push_back({"avx512", avx512::gemm, avx512::random});
  else
    std::puts("avx512 left out: this CPU has none");
#endif
  return found;
}

}  // namespace gradus::vectors
