#include "vectors.h"

#include "kd_loss.h"

namespace gradus::vectors {

#define GRADUS_DECLARE(isa)                 \
  namespace isa {                           \
  extern const GemmKernels gemm;            \
  extern const BlockedKernels blocked;      \
  extern const PoolKernels pool;            \
  extern const OptimizerKernels optimizers; \
  extern const RandomKernels random;        \
  extern const KdKernels kd_loss;           \
  }
GRADUS_DECLARE(baseline)
#if defined(__x86_64__)
GRADUS_DECLARE(avx2)
GRADUS_DECLARE(avx512)
#endif

namespace {

struct Kernels {
  const GemmKernels& gemm;
  const BlockedKernels& blocked;
  const PoolKernels& pool;
  const OptimizerKernels& optimizers;
  const RandomKernels& random;
  const KdKernels& kd_loss;
};

#define GRADUS_KERNELS(isa) \
  Kernels { isa::gemm, isa::blocked, isa::pool, isa::optimizers, isa::random, isa::kd_loss }

const Kernels& kernels() {
  static const Kernels chosen = [] {
#if defined(__x86_64__)
    const bool fma = __builtin_cpu_supports("fma");
    if (fma && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
      return GRADUS_KERNELS(avx512);
    if (fma && __builtin_cpu_supports("avx2")) return GRADUS_KERNELS(avx2);
#endif
    return GRADUS_KERNELS(baseline);
  }();
  return chosen;
}

}  // namespace

const GemmKernels& gemm() { return kernels().gemm; }
const BlockedKernels& blocked() { return kernels().blocked; }
const PoolKernels& pool() { return kernels().pool; }
const OptimizerKernels& optimizers() { return kernels().optimizers; }
const RandomKernels& random() { return kernels().random; }
const KdKernels& kd_loss() { return kernels().kd_loss; }

}  // namespace gradus::vectors
