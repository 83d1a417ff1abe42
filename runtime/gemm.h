// Which kernel a matrix product takes on the CPU, by a static rule of CPU, dtype and shape: eager and replayed steps
// alike, because the rule sits below both, in the dispatcher's CPU kernels of mm, addmm and bmm (and their
// out-variants).
//
//   float32, AVX-512 CPUs that are not Intel's: LibTorch hands products to MKL, which takes its AVX2 path there. oneDNN
//   in
//     the same library (mkldnn::_linear_pointwise) is twice as fast on products that are large enough.
//   bfloat16, CPUs without AVX512_BF16: the library's own kernel runs at a tenth of float32's speed. Products and
//   attention
//     are computed in float32 from the bfloat16 values and rounded once.
//   Everything else, and every other CPU: the library's own kernel; then nothing is overridden.
#pragma once

#include <cstdint>
#include <string>

namespace gradus::gemm {

struct Rule {
  bool float_in_onednn = false;
  bool bfloat16_in_float = false;
};

// The rule for this machine, or what GRADUS_GEMM says: auto, library (nothing overridden), onednn, float
// (comma-separated). Throws Error(usage) for another word.
Rule choose();

// Puts the rule in force, once per process, before the first product. Later calls change the rule if any was installed.
void install(Rule rule);
Rule current();

// Whether a float32 product [m, k] × [k, n] goes to oneDNN where the rule is on.
bool takes_onednn(int64_t m, int64_t k, int64_t n);

// The rule in force in words, to be stored with a run: "library", "onednn", "bfloat16 in float32".
std::string describe();

}  // namespace gradus::gemm
