// Which kernel a matrix product takes on the CPU, by a static rule of CPU, dtype and shape: eager and replayed steps
// alike, because the rule sits below both, in the dispatcher's CPU kernels of mm, addmm and bmm (and their
// out-variants).
//
//   float32, AMD CPUs up to Zen 4 (AVX2, or AVX-512 in two halves): MKL takes its AVX2 path there, at 75 to 80 % of the
//     core's peak; our own kernels (vectors/blocked.cpp) reach 80 to 92 %, and write where the result is wanted.
//   float32, other AVX-512 CPUs that are not Intel's: oneDNN in the same library (mkldnn::_linear_pointwise) is twice
//   as
//     fast as MKL on products that are large enough.
//   bfloat16, CPUs without AVX512_BF16: the library's own kernel runs at a tenth of float32's speed. Products and
//     attention are computed in float32 from the bfloat16 values and rounded once.
//   Everything else, and every other CPU: the library's own kernel; then nothing is overridden.
#pragma once

#include <cstdint>
#include <string>

#include "ops/vectors/vectors.h"

namespace gradus::gemm {

struct Rule {
  bool float_in_own = false;
  bool float_in_onednn = false;
  bool bfloat16_in_float = false;
};

// What a CPU is and has.
struct Cpu {
  bool amd = false, intel = false;
  bool family_19h = false;  // AMD's Zen 3 and 4
  bool avx2 = false, avx512 = false, bfloat16 = false;
};
Rule rule_of(const Cpu& cpu);

// The rule for this machine, or what GRADUS_GEMM says: auto, library (nothing overridden), own, onednn, float
// (comma-separated). Throws Error(usage) for another word.
Rule choose();

// Puts the rule in force, once per process, before the first product. Later calls change the rule if any was installed.
void install(Rule rule);
Rule current();

// Whether a float32 product [m, k] × [k, n] is large enough for oneDNN, or our kernels, where the rule says so.
bool pays_off(int64_t m, int64_t k, int64_t n);

// Whether the rule in force gives it to our own kernels.
bool takes_own(int64_t m, int64_t k, int64_t n);

// c[m, n] = a · b by our own kernels, on as many threads as there are: the same bits on any number of them.
void multiply(int64_t m, int64_t n, int64_t k, const vectors::Factor& a, const vectors::Factor& b, float* c,
              const vectors::Finish& finish);
// sums[n] of the rows of a[m, n].
void sum_rows(int64_t m, int64_t n, const vectors::Factor& a, float* sums);

// The rule in force in words, to be stored with a run: "library", "own", "onednn", "bfloat16 in float32".
std::string describe();

}  // namespace gradus::gemm
