#include "gemm.h"

#include <ATen/ATen.h>
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
         pays_off(a.size(0), a.size(1), b.size(1));
}

bool lies_side_by_side(const at::Tensor& t) { return t.stride(0) == 1 || t.stride(1) == 1; }

bool in_own(const at::Tensor& a, const at::Tensor& b) {
  return is_float_matrix(a) && is_float_matrix(b) && a.size(1) == b.size(0) && lies_side_by_side(a) &&
         lies_side_by_side(b) && takes_own(a.size(0), a.size(1), b.size(1));
}

// Whether a result that was given can be written in place.
bool takes_result(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b) {
  return is_float_matrix(out) && out.size(0) == a.size(0) && out.size(1) == b.size(1) && out.is_contiguous();
}

vectors::Factor factor(const at::Tensor& t) {
  // A matrix of one row or column may say anything of the stride that it does not need.
  const int64_t row = t.stride(1) == 1 ? t.stride(0) : 1;
  return {t.const_data_ptr<float>(), row, t.stride(1) == 1 ? 1 : t.stride(1)};
}

const at::Tensor& own(const at::Tensor& a, const at::Tensor& b, const vectors::Finish& finish, const at::Tensor& out) {
  multiply(a.size(0), b.size(1), a.size(1), factor(a), factor(b), out.mutable_data_ptr<float>(), finish);
  return out;
}

at::Tensor own(const at::Tensor& a, const at::Tensor& b, const vectors::Finish& finish) {
  return own(a, b, finish, at::empty({a.size(0), b.size(1)}, a.options()));
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
bool in_float(const at::Tensor& a, const at::Tensor& b) { return in_float(a) && in_float(b); }
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
  if (in_own(a, b)) return own(a, b, {});
  if (in_onednn(a, b)) return onednn(a, b, std::nullopt);
  if (in_float(a, b)) return narrow(at::cpu::mm(wide(a), wide(b)));
  return at::cpu::mm(a, b);
}

at::Tensor& mm_out(const at::Tensor& a, const at::Tensor& b, at::Tensor& out) {
  if (in_own(a, b) && takes_result(out, a, b)) {
    own(a, b, {}, out);
    return out;
  }
  if ((in_own(a, b) || in_onednn(a, b) || in_float(a, b)) && out.scalar_type() == a.scalar_type()) {
    out.resize_({a.size(0), b.size(1)});
    return out.copy_(own_mm(a, b));
  }
  return at::cpu::mm_outf(a, b, out);
}

at::Tensor own_addmm(const at::Tensor& self, const at::Tensor& a, const at::Tensor& b, const at::Scalar& beta,
                     const at::Scalar& alpha) {
  if (in_own(a, b) && is_bias_of(self, b, beta, alpha)) return own(a, b, {false, self.const_data_ptr<float>()});
  if (in_onednn(a, b) && is_bias_of(self, b, beta, alpha)) return onednn(a, b, self);
  if (in_float(a, b)) return narrow(at::cpu::addmm(wide(self), wide(a), wide(b), beta, alpha));
  return at::cpu::addmm(self, a, b, beta, alpha);
}

at::Tensor& addmm_out(const at::Tensor& self, const at::Tensor& a, const at::Tensor& b, const at::Scalar& beta,
                      const at::Scalar& alpha, at::Tensor& out) {
  if (in_own(a, b) && is_bias_of(self, b, beta, alpha) && takes_result(out, a, b)) {
    own(a, b, {false, self.const_data_ptr<float>()}, out);
    return out;
  }
  const bool ours = ((in_own(a, b) || in_onednn(a, b)) && is_bias_of(self, b, beta, alpha)) || in_float(a, b);
  if (ours && out.scalar_type() == a.scalar_type()) {
    const at::Tensor result = own_addmm(self, a, b, beta, alpha);
    out.resize_(result.sizes());
    return out.copy_(result);
  }
  return at::cpu::addmm_outf(self, a, b, beta, alpha, out);
}

at::Tensor own_bmm(const at::Tensor& a, const at::Tensor& b) {
  return in_float(a, b) ? narrow(at::cpu::bmm(wide(a), wide(b))) : at::cpu::bmm(a, b);
}

at::Tensor& bmm_out(const at::Tensor& a, const at::Tensor& b, at::Tensor& out) {
  if (in_float(a, b) && out.scalar_type() == at::kBFloat16) {
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
    if (word == "own") {
      chosen.float_in_own = true;
    } else if (word == "onednn") {
      chosen.float_in_onednn = true;
    } else if (word == "float") {
      chosen.bfloat16_in_float = true;
    } else if (word != "library") {
      throw Error(Exit::usage, "GRADUS_GEMM: expected auto, library, own, onednn or float; got '" + word + "'");
    }
  }
  return chosen;
}

}  // namespace

bool pays_off(int64_t m, int64_t k, int64_t n) {
  return m >= kSmallestSide && k >= kSmallestSide && n >= kSmallestSide && m * k * n >= kSmallestProduct;
}

bool takes_own(int64_t m, int64_t k, int64_t n) { return rule().float_in_own && pays_off(m, k, n); }

void multiply(int64_t m, int64_t n, int64_t k, const vectors::Factor& a, const vectors::Factor& b, float* c,
              const vectors::Finish& finish) {
  constexpr int64_t kUnit = 64;  // rows or columns that are not taken apart
  const bool by_rows = m >= n;
  const int64_t units = ((by_rows ? m : n) + kUnit - 1) / kUnit;
  at::parallel_for(0, units, 2, [&](int64_t first, int64_t last) {
    const int64_t begin = first * kUnit, count = std::min(last * kUnit, by_rows ? m : n) - begin;
    vectors::Factor left = a, right = b;
    vectors::Finish end = finish;
    if (by_rows) {
      left.data += begin * a.row;
      if (a.where) left.where += begin * a.row;
      vectors::blocked().multiply(count, n, k, left, right, c + begin * n, n, end);
    } else {
      right.data += begin * b.column;
      if (finish.bias) end.bias += begin;
      vectors::blocked().multiply(m, count, k, left, right, c + begin, n, end);
    }
  });
}

void sum_rows(int64_t m, int64_t n, const vectors::Factor& a, float* sums) {
  at::parallel_for(0, n, 256, [&](int64_t begin, int64_t end) {
    vectors::Factor part = a;
    part.data += begin;
    if (a.where) part.where += begin;
    vectors::blocked().sum_rows(m, end - begin, part, sums + begin);
  });
}

Rule rule_of(const Cpu& cpu) {
  const bool own = cpu.amd && cpu.avx2 && (!cpu.avx512 || cpu.family_19h);
  return {own, cpu.avx512 && !own && !cpu.intel, !cpu.bfloat16};
}

Rule choose() {
  const char* given = std::getenv("GRADUS_GEMM");
  if (given && *given && std::string(given) != "auto") return parse(given);
#if defined(__x86_64__)
  return rule_of({.amd = __builtin_cpu_is("amd") != 0,
                  .intel = __builtin_cpu_is("intel") != 0,
                  .family_19h = __builtin_cpu_is("amdfam19h") != 0,
                  .avx2 = __builtin_cpu_supports("avx2") != 0,
                  .avx512 = __builtin_cpu_supports("avx512f") != 0,
                  .bfloat16 = __builtin_cpu_supports("avx512bf16") != 0});
#else
  return {};
#endif
}

void install(Rule wanted) {
  static bool installed = false;
  rule() = wanted;
  if (installed || !(wanted.float_in_own || wanted.float_in_onednn || wanted.bfloat16_in_float)) return;
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
  std::string text = now.float_in_own ? "own" : now.float_in_onednn ? "onednn" : "library";
  if (now.bfloat16_in_float) text += ", bfloat16 in float32";
  return text;
}

}  // namespace gradus::gemm
