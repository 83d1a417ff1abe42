#include "gemm.h"

#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward_cpu_dispatch.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_cpu_dispatch.h>
#include <ATen/ops/addmm_cpu_dispatch.h>
#include <ATen/ops/bmm_cpu_dispatch.h>
#include <ATen/ops/mm_cpu_dispatch.h>
#include <c10/util/Exception.h>

#include <cstdlib>
#include <sstream>

#include "error.h"
#include "torch.h"

namespace gradus::gemm {
namespace {

Rule& rule() {
  static Rule value;
  return value;
}

// oneDNN's fixed cost a call is some 5 µs: below this MKL wins whatever the CPU.
constexpr int64_t kSmallestProduct = 1'500'000;
constexpr int64_t kSmallestSide = 8;

bool is_float_matrix(const at::Tensor& t) {
  return t.dim() == 2 && t.scalar_type() == at::kFloat && t.is_cpu() && t.layout() == at::kStrided && !t.is_conj() &&
         !t.is_neg();
}

bool in_onednn(const at::Tensor& a, const at::Tensor& b) {
  return rule().float_in_onednn && is_float_matrix(a) && is_float_matrix(b) && a.size(1) == b.size(0) &&
         takes_onednn(a.size(0), a.size(1), b.size(1));
}

// a × b (+ bias) in oneDNN: its operator wants the second factor as a layer's weight, [n, k].
at::Tensor onednn(const at::Tensor& a, const at::Tensor& b, const std::optional<at::Tensor>& bias) {
  using Strings = std::string_view;
  using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, Strings,
                               c10::List<std::optional<at::Scalar>>, std::optional<Strings>);
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<Signature>();
  return op.call(a, b.t(), bias, "none", c10::List<std::optional<at::Scalar>>(), "");
}

bool in_float(const at::Tensor& a) { return rule().bfloat16_in_float && a.scalar_type() == at::kBFloat16; }
at::Tensor wide(const at::Tensor& t) { return t.to(at::kFloat); }
std::optional<at::Tensor> wide(const std::optional<at::Tensor>& t) {
  return t && t->scalar_type() == at::kBFloat16 ? std::optional(wide(*t)) : t;
}
at::Tensor narrow(const at::Tensor& t) { return t.to(at::kBFloat16); }

bool is_bias_of(const at::Tensor& self, const at::Tensor& b, const at::Scalar& beta, const at::Scalar& alpha) {
  return self.dim() == 1 && self.scalar_type() == at::kFloat && self.size(0) == b.size(1) && self.is_contiguous() &&
         beta.toDouble() == 1 && alpha.toDouble() == 1;
}

// ---- kernels: where the rule holds, ours; elsewhere exactly what the library would have called

at::Tensor own_mm(const at::Tensor& a, const at::Tensor& b) {
  if (in_onednn(a, b)) return onednn(a, b, std::nullopt);
  if (in_float(a) && in_float(b)) return narrow(at::cpu::mm(wide(a), wide(b)));
  return at::cpu::mm(a, b);
}

at::Tensor& mm_out(const at::Tensor& a, const at::Tensor& b, at::Tensor& out) {
  if ((in_onednn(a, b) || (in_float(a) && in_float(b))) && out.scalar_type() == a.scalar_type()) {
    out.resize_({a.size(0), b.size(1)});
    return out.copy_(own_mm(a, b));
  }
  return at::cpu::mm_outf(a, b, out);
}

at::Tensor own_addmm(const at::Tensor& self, const at::Tensor& a, const at::Tensor& b, const at::Scalar& beta,
                     const at::Scalar& alpha) {
  if (in_onednn(a, b) && is_bias_of(self, b, beta, alpha)) return onednn(a, b, self);
  if (in_float(a) && in_float(b)) return narrow(at::cpu::addmm(wide(self), wide(a), wide(b), beta, alpha));
  return at::cpu::addmm(self, a, b, beta, alpha);
}

at::Tensor& addmm_out(const at::Tensor& self, const at::Tensor& a, const at::Tensor& b, const at::Scalar& beta,
                      const at::Scalar& alpha, at::Tensor& out) {
  const bool ours = (in_onednn(a, b) && is_bias_of(self, b, beta, alpha)) || (in_float(a) && in_float(b));
  if (ours && out.scalar_type() == a.scalar_type()) {
    const at::Tensor result = own_addmm(self, a, b, beta, alpha);
    out.resize_(result.sizes());
    return out.copy_(result);
  }
  return at::cpu::addmm_outf(self, a, b, beta, alpha, out);
}

at::Tensor own_bmm(const at::Tensor& a, const at::Tensor& b) {
  return in_float(a) && in_float(b) ? narrow(at::cpu::bmm(wide(a), wide(b))) : at::cpu::bmm(a, b);
}

at::Tensor& bmm_out(const at::Tensor& a, const at::Tensor& b, at::Tensor& out) {
  if (in_float(a) && in_float(b) && out.scalar_type() == at::kBFloat16) {
    const at::Tensor result = own_bmm(a, b);
    out.resize_(result.sizes());
    return out.copy_(result);
  }
  return at::cpu::bmm_outf(a, b, out);
}

std::tuple<at::Tensor, at::Tensor> attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                             double dropout, bool causal, const std::optional<at::Tensor>& mask,
                                             std::optional<double> scale) {
  if (!in_float(q)) return at::cpu::_scaled_dot_product_flash_attention_for_cpu(q, k, v, dropout, causal, mask, scale);
  auto [out, logsumexp] = at::cpu::_scaled_dot_product_flash_attention_for_cpu(wide(q), wide(k), wide(v), dropout,
                                                                               causal, wide(mask), scale);
  return {narrow(out), logsumexp};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> attention_backward(const at::Tensor& grad, const at::Tensor& q,
                                                                  const at::Tensor& k, const at::Tensor& v,
                                                                  const at::Tensor& out, const at::Tensor& logsumexp,
                                                                  double dropout, bool causal,
                                                                  const std::optional<at::Tensor>& mask,
                                                                  std::optional<double> scale) {
  if (!in_float(q))
    return at::cpu::_scaled_dot_product_flash_attention_for_cpu_backward(grad, q, k, v, out, logsumexp, dropout, causal,
                                                                         mask, scale);
  auto [dq, dk, dv] = at::cpu::_scaled_dot_product_flash_attention_for_cpu_backward(
      wide(grad), wide(q), wide(k), wide(v), wide(out), logsumexp, dropout, causal, wide(mask), scale);
  return {narrow(dq), narrow(dk), narrow(dv)};
}

// The dispatcher warns of every kernel that replaces another one; here that is the point.
struct Silence : c10::WarningHandler {
  void process(const c10::Warning&) override {}
};

Rule parse(const std::string& text) {
  Rule chosen;
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) {
    if (word == "onednn") {
      chosen.float_in_onednn = true;
    } else if (word == "float") {
      chosen.bfloat16_in_float = true;
    } else if (word != "library") {
      throw Error(Exit::usage, "GRADUS_GEMM: expected auto, library, onednn or float; got '" + word + "'");
    }
  }
  return chosen;
}

}  // namespace

bool takes_onednn(int64_t m, int64_t k, int64_t n) {
  return m >= kSmallestSide && k >= kSmallestSide && n >= kSmallestSide && m * k * n >= kSmallestProduct;
}

Rule choose() {
  const char* given = std::getenv("GRADUS_GEMM");
  if (given && *given && std::string(given) != "auto") return parse(given);
#if defined(__x86_64__)
  return {__builtin_cpu_supports("avx512f") && !__builtin_cpu_is("intel"), !__builtin_cpu_supports("avx512bf16")};
#else
  return {};
#endif
}

void install(Rule wanted) {
  static bool installed = false;
  rule() = wanted;
  if (installed || !(wanted.float_in_onednn || wanted.bfloat16_in_float)) return;
  installed = true;
  Silence silence;
  const c10::WarningUtils::WarningHandlerGuard guard(&silence);
  static torch::Library library(torch::Library::IMPL, "aten", c10::DispatchKey::CPU, __FILE__, __LINE__);
  library.impl("mm", &own_mm);
  library.impl("mm.out", &mm_out);
  library.impl("addmm", &own_addmm);
  library.impl("addmm.out", &addmm_out);
  library.impl("bmm", &own_bmm);
  library.impl("bmm.out", &bmm_out);
  library.impl("_scaled_dot_product_flash_attention_for_cpu", &attention);
  library.impl("_scaled_dot_product_flash_attention_for_cpu_backward", &attention_backward);
}

Rule current() { return rule(); }

std::string describe() {
  const Rule now = rule();
  std::string text = now.float_in_onednn ? "onednn" : "library";
  if (now.bfloat16_in_float) text += ", bfloat16 in float32";
  return text;
}

}  // namespace gradus::gemm
