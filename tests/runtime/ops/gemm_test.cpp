#include "ops/gemm.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <string>

#include "error.h"
#include "torch.h"

namespace gradus {
namespace {

// With a rule in force while it lives.
struct Under {
  explicit Under(gemm::Rule rule) : before(gemm::current()) { gemm::install(rule); }
  ~Under() { gemm::install(before); }
  gemm::Rule before;
};

constexpr gemm::Rule kLibrary{}, kOwn{true, false, false}, kOneDnn{false, true, false}, kFloat{false, false, true};

double relative_error(const at::Tensor& got, const at::Tensor& wanted) {
  return ((got - wanted).norm() / wanted.norm()).item<double>();
}

// A matrix of this shape in one of four layouts: as it is, transposed, with gaps between its rows, in the middle.
at::Tensor matrix(int64_t rows, int64_t columns, int layout) {
  if (layout == 1) return at::randn({columns, rows}).t();
  if (layout == 2) return at::randn({rows, columns + 5}).narrow(1, 0, columns);
  if (layout == 3) return at::randn({rows + 2, columns}).narrow(0, 1, rows);
  return at::randn({rows, columns});
}

class Gemm : public testing::TestWithParam<gemm::Rule> {};

TEST_P(Gemm, EqualsTheLibraryOverAThousandShapes) {
  at::manual_seed(1);
  const int64_t sides[] = {1, 7, 8, 33, 64, 100, 129, 200, 257, 384};
  int routed = 0;
  for (int64_t m : sides)
    for (int64_t k : sides)
      for (int64_t n : sides) {
        if (GetParam().float_in_onednn && (m + k + n) % 5 != 0) continue;  // it compiles a kernel for each product
        const int layout = static_cast<int>((m + 3 * k + 7 * n) % 16);
        const at::Tensor a = matrix(m, k, layout % 4), b = matrix(k, n, layout / 4), bias = at::randn(n);
        const bool whole = routed % 8 == 0;
        const auto wanted = (Under(kLibrary), at::mm(a, b));
        const auto wanted_sum = (Under(kLibrary), at::addmm(bias, a, b));
        const Under rule(GetParam());
        const bool takes = gemm::pays_off(m, k, n);
        routed += takes;
        const at::Tensor got = at::mm(a, b);
        const std::string shape = std::to_string(m) + " x " + std::to_string(k) + " x " + std::to_string(n);
        ASSERT_LT(relative_error(got, wanted), 1e-6) << shape;
        ASSERT_TRUE(takes || got.equal(wanted)) << shape;
        if (!whole) continue;
        const at::Tensor sum = at::addmm(bias, a, b);
        ASSERT_LT(relative_error(sum, wanted_sum), 1e-6) << shape;
        ASSERT_TRUE(at::mm(a, b).equal(got)) << shape << ": other bits";
        at::Tensor out = at::empty({0}), added = at::empty({0});
        ASSERT_TRUE(at::mm_out(out, a, b).equal(got)) << shape << ": out-variant";
        ASSERT_TRUE(at::addmm_out(added, bias, a, b).equal(sum)) << shape << ": out-variant";
      }
  EXPECT_GT(routed, GetParam().float_in_onednn ? 20 : 100);
}

INSTANTIATE_TEST_SUITE_P(Rules, Gemm, testing::Values(kOwn, kOneDnn));

TEST(GemmRule, OwnProductsHaveTheSameBitsOnAnyNumberOfThreads) {
  at::manual_seed(4);
  const Under rule(kOwn);
  for (const auto& [m, k, n] : {std::tuple<int, int, int>{333, 700, 201}, {65, 1030, 450}}) {
    const at::Tensor a = at::randn({m, k}), b = at::randn({k, n});
    const at::Tensor alone = at::mm(a, b);
    at::set_num_threads(3);
    const at::Tensor together = at::mm(a, b);
    at::set_num_threads(1);
    EXPECT_TRUE(alone.equal(together));
    const at::Tensor rows = at::mm(a.narrow(0, 17, 40), b);
    EXPECT_TRUE(rows.equal(alone.narrow(0, 17, 40)));
  }
}

TEST(GemmRule, OwnProductsAddAndHide) {
  at::manual_seed(5);
  const Under rule(kOwn);
  const int64_t m = 70, k = 500, n = 100;
  const at::Tensor a = at::randn({m, k}), b = at::randn({k, n}), where = at::randn({m, k}), c = at::randn({m, n});
  const at::Tensor kept = a * where.gt(0), wanted = c + at::mm(kept, b);
  const at::Tensor at_ = a.t().contiguous(), where_t = where.t().contiguous();
  const auto data = [](const at::Tensor& t) { return t.const_data_ptr<float>(); };
  for (const vectors::Factor& factor :
       {vectors::Factor{data(a), k, 1, data(where)}, {data(at_), 1, m, data(where_t)}}) {
    at::Tensor sum = c.clone();
    gemm::multiply(m, n, k, factor, {data(b), n, 1}, sum.mutable_data_ptr<float>(), {true});
    EXPECT_LT(relative_error(sum, wanted), 1e-6);
  }
  at::Tensor sums = at::empty({k});
  gemm::sum_rows(m, k, {data(a), k, 1, data(where)}, sums.mutable_data_ptr<float>());
  EXPECT_LT(relative_error(sums, kept.sum(0)), 1e-6);
}

// By rows and by columns: each thread's part has its own part of the bias and of what hides.
TEST(GemmRule, WhatIsAddedAndHiddenIsThatOfEachThreadsPart) {
  at::manual_seed(8);
  const auto data = [](const at::Tensor& t) { return t.const_data_ptr<float>(); };
  for (const auto& [m, n] : {std::pair<int64_t, int64_t>{700, 300}, {300, 700}}) {
    const int64_t k = 90;
    const at::Tensor a = at::randn({m, k}), b = at::randn({k, n}), where = at::randn({m, k}), bias = at::randn({n}),
                     left = at::randn({m, n}), hides = at::randn({m, n});
    const auto run = [&, m = m, n = n](int threads) {
      at::set_num_threads(threads);
      const at::Tensor product = at::empty({m, n}), sums = at::empty({n});
      gemm::multiply(m, n, k, {data(a), k, 1, data(where)}, {data(b), n, 1}, product.mutable_data_ptr<float>(),
                     {false, data(bias), true});
      gemm::sum_rows(m, n, {data(left), n, 1, data(hides)}, sums.mutable_data_ptr<float>());
      at::set_num_threads(1);
      return std::pair(product, sums);
    };
    const auto [product, sums] = run(3);
    EXPECT_LT(relative_error(product, (at::mm(a * where.gt(0), b) + bias).relu()), 1e-5) << m;
    EXPECT_LT(relative_error(sums, (left * hides.gt(0)).sum(0)), 1e-5) << m;
    EXPECT_TRUE(product.equal(run(1).first) && sums.equal(run(1).second)) << m;
  }
}

TEST(GemmRule, LeavesOtherProductsToTheLibrary) {
  const Under rule({true, true, true});
  const at::Tensor a = at::randn({200, 300}, at::kDouble), b = at::randn({300, 200}, at::kDouble);
  EXPECT_TRUE(at::allclose(at::mm(a, b), at::matmul(a, b)));
  const at::Tensor x = at::randn({200, 300}), y = at::randn({300, 200}), full = at::randn({200, 200});
  EXPECT_LT(relative_error(at::addmm(full, x, y, 0.5, 2), full * 0.5 + at::mm(x, y) * 2), 1e-6);
  EXPECT_THROW(at::mm(x, x), c10::Error);
  EXPECT_THROW(at::mm(x, y.to(at::kDouble)), c10::Error);
}

// The library refuses two types in one product; where one of them is ours to widen, that stays so.
TEST(GemmRule, TwoTypesAreRefused) {
  const Under rule({true, true, true});
  const at::Tensor x = at::randn({120, 400}), y = at::randn({400, 90});
  for (const bool left : {false, true}) {
    const at::Tensor a = left ? x.to(at::kBFloat16) : x, b = left ? y : y.to(at::kBFloat16);
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      const at::Tensor bias = at::zeros({90}, type);
      at::Tensor out = at::empty({120, 90}, type), batch = at::empty({1, 120, 90}, type);
      EXPECT_THROW(at::mm(a, b), c10::Error);
      EXPECT_THROW(at::mm_out(out, a, b), c10::Error);
      EXPECT_THROW(at::addmm(bias, a, b), c10::Error);
      EXPECT_THROW(at::addmm_out(out, bias, a, b), c10::Error);
      EXPECT_THROW(at::bmm(a.unsqueeze(0), b.unsqueeze(0)), c10::Error);
      EXPECT_THROW(at::bmm_out(batch, a.unsqueeze(0), b.unsqueeze(0)), c10::Error);
    }
  }
}

TEST(GemmRule, Bfloat16IsRoundedOnceFromFloat) {
  at::manual_seed(2);
  const Under rule(kFloat);
  const at::Tensor a = at::randn({33, 70}).to(at::kBFloat16), b = at::randn({70, 20}).to(at::kBFloat16);
  const at::Tensor bias = at::randn({20}).to(at::kBFloat16), exact = at::mm(a.to(at::kFloat), b.to(at::kFloat));
  EXPECT_TRUE(at::mm(a, b).equal(exact.to(at::kBFloat16)));
  EXPECT_TRUE(at::addmm(bias, a, b)
                  .equal(at::addmm(bias.to(at::kFloat), a.to(at::kFloat), b.to(at::kFloat)).to(at::kBFloat16)));
  EXPECT_TRUE(at::bmm(a.unsqueeze(0), b.unsqueeze(0)).equal(exact.to(at::kBFloat16).unsqueeze(0)));
}

TEST(GemmRule, AttentionInBfloat16HasTheGradientsOfFloat) {
  at::manual_seed(3);
  const Under rule(kFloat);
  const auto run = [](at::ScalarType type, const at::Tensor& source) {
    at::Tensor q = source.to(type).detach().requires_grad_();
    const at::Tensor out = at::scaled_dot_product_attention(q, q, q, {}, 0, true);
    out.sum().backward();
    return std::make_pair(out.to(at::kFloat), q.grad().to(at::kFloat));
  };
  const at::Tensor source = at::randn({2, 2, 16, 8}).to(at::kBFloat16);
  const auto narrow = run(at::kBFloat16, source), wide = run(at::kFloat, source);
  EXPECT_LT(relative_error(narrow.first, wide.first), 0.01);
  EXPECT_LT(relative_error(narrow.second, wide.second), 0.02);
}

// The product (and a layer's bias) as the rule's own kernel gives it, bit for bit.
at::Tensor direct(const gemm::Rule& rule, const at::Tensor& a, const at::Tensor& b,
                  const std::optional<at::Tensor>& bias = {}) {
  if (rule.bfloat16_in_float) {
    const Under library(kLibrary);
    const at::Tensor x = a.to(at::kFloat), y = b.to(at::kFloat);
    return (bias ? at::addmm(bias->to(at::kFloat), x, y) : at::mm(x, y)).to(at::kBFloat16);
  }
  if (rule.float_in_own) {
    const at::Tensor x = a.contiguous(), y = b.contiguous(), out = at::empty({a.size(0), b.size(1)});
    gemm::multiply(a.size(0), b.size(1), a.size(1), {x.const_data_ptr<float>(), x.size(1), 1},
                   {y.const_data_ptr<float>(), y.size(1), 1}, out.mutable_data_ptr<float>(),
                   {false, bias ? bias->const_data_ptr<float>() : nullptr});
    return out;
  }
  using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, std::string_view,
                               c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<Signature>();
  return op.call(a, b.t(), bias, "none", c10::List<std::optional<at::Scalar>>(), "");
}

TEST(GemmRule, DecidesWhoMultiplies) {
  at::manual_seed(6);
  const int64_t m = 120, k = 400, n = 90;
  for (const gemm::Rule& rule : {kOwn, kOneDnn, kFloat}) {
    const auto type = rule.bfloat16_in_float ? at::kBFloat16 : at::kFloat;
    const at::Tensor a = at::randn({m, k}).to(type), b = at::randn({k, n}).to(type), bias = at::randn({n}).to(type);
    SCOPED_TRACE(rule.float_in_own ? "own" : rule.float_in_onednn ? "onednn" : "float");
    const at::Tensor product = direct(rule, a, b), layer = direct(rule, a, b, bias);
    const Under now(rule);
    EXPECT_TRUE(at::mm(a, b).equal(product));
    EXPECT_TRUE(at::addmm(bias, a, b).equal(layer));
    if (rule.bfloat16_in_float) {
      EXPECT_TRUE(at::bmm(a.unsqueeze(0), b.unsqueeze(0)).equal(product.unsqueeze(0)));
    }
    // Into memory that is there, and where it has another shape or does not lie as it should.
    for (const bool with_bias : {false, true}) {
      const at::Tensor& wanted = with_bias ? layer : product;
      const auto into = [&](at::Tensor out) {
        return with_bias ? at::addmm_out(out, bias, a, b) : at::mm_out(out, a, b);
      };
      const at::Tensor fits = at::empty({m, n}, type);
      EXPECT_EQ(into(fits).const_data_ptr(), fits.const_data_ptr());
      EXPECT_TRUE(fits.equal(wanted));
      EXPECT_TRUE(into(at::empty({0}, type)).equal(wanted));
      const at::Tensor across = at::empty({n, m}, type).t(), gaps = at::zeros({m, n + 3}, type);
      EXPECT_TRUE(into(across).equal(wanted));
      EXPECT_TRUE(into(gaps.narrow(1, 0, n)).equal(wanted));
      EXPECT_EQ(gaps.narrow(1, n, 3).count_nonzero().item<int64_t>(), 0) << "what lies between stays";
      EXPECT_THROW(into(at::empty({m, n}, at::kDouble)), c10::Error);
    }
  }
}

// What is no layer's product with its bias is left to the library, and comes out right.
TEST(GemmRule, EverySumIsRight) {
  at::manual_seed(7);
  const int64_t m = 120, k = 400, n = 90;
  const at::Tensor x = at::randn({m, k}), y = at::randn({k, n});
  const at::Tensor selves[] = {at::randn({n}),    at::randn({2 * n}).slice(0, 0, 2 * n, 2),
                               at::randn({1}),    at::randn({m, n}),
                               at::randn({m, 1}), at::randn({})};
  for (const gemm::Rule& rule : {kLibrary, kOwn, kOneDnn, kFloat, gemm::Rule{true, true, true}}) {
    const Under now(rule);
    for (const auto type : {at::kFloat, at::kBFloat16, at::kDouble}) {
      const at::Tensor a = x.to(type), b = y.to(type);
      const double bound = type == at::kBFloat16 ? 4e-3 : 1e-6;
      const auto exact = [](const at::Tensor& t) { return t.to(at::kDouble); };
      const at::Tensor apart =
          at::zeros({m, 2 * k}, type).slice(1, 0, 2 * k, 2).copy_(a);  // neither rows nor columns lie side by side
      EXPECT_LT(relative_error(exact(at::mm(apart, b)), at::mm(exact(a), exact(b))), bound);
      for (const at::Tensor& given : selves) {
        const at::Tensor self = given.to(type);
        for (const double beta : {1., .5, 0.}) {
          for (const double alpha : {1., 2.}) {
            const at::Tensor wanted = exact(self) * beta + at::mm(exact(a), exact(b)) * alpha;
            at::Tensor out = at::empty({m, n}, type);
            EXPECT_LT(relative_error(exact(at::addmm(self, a, b, beta, alpha)), wanted), bound)
                << self.sizes() << " " << beta << " " << alpha;
            EXPECT_LT(relative_error(exact(at::addmm_out(out, self, a, b, beta, alpha)), wanted), bound)
                << self.sizes() << " " << beta << " " << alpha;
          }
        }
      }
      at::Tensor batch = at::empty({0}, type);
      const at::Tensor many = at::stack({a, a * 2}),
                       products = at::stack({at::mm(exact(a), exact(b)), at::mm(exact(a), exact(b)) * 2});
      EXPECT_LT(relative_error(exact(at::bmm(many, at::stack({b, b}))), products), bound);
      EXPECT_LT(relative_error(exact(at::bmm_out(batch, many, at::stack({b, b}))), products), bound);
    }
  }
}

TEST(GemmRule, PaysOffFromItsLimitsOn) {
  struct {
    int64_t m, k, n;
    bool pays;
  } const cases[] = {{100, 150, 100, true}, {100, 149, 100, false}, {8, 1875, 100, true}, {7, 9999, 100, false},
                     {100, 8, 1875, true},  {100, 7, 9999, false},  {1875, 100, 8, true}, {9999, 100, 7, false}};
  for (const auto& [m, k, n, pays] : cases) {
    EXPECT_EQ(gemm::pays_off(m, k, n), pays) << m << " " << k << " " << n;
    EXPECT_EQ((Under(kOwn), gemm::takes_own(m, k, n)), pays);
    EXPECT_FALSE((Under(kOneDnn), gemm::takes_own(m, k, n)));
  }
}

TEST(GemmRule, EachCpuHasItsOwn) {
  struct {
    const char* name;
    gemm::Cpu cpu;
    bool own, onednn, widened;
  } const cases[] = {
      {"AMD without AVX2", {.amd = true}, false, false, true},
      {"Zen 2", {.amd = true, .avx2 = true}, true, false, true},
      {"Zen 3", {.amd = true, .family_19h = true, .avx2 = true}, true, false, true},
      {"Zen 4", {.amd = true, .family_19h = true, .avx2 = true, .avx512 = true, .bfloat16 = true}, true, false, false},
      {"Zen 5", {.amd = true, .avx2 = true, .avx512 = true, .bfloat16 = true}, false, true, false},
      {"Haswell", {.intel = true, .avx2 = true}, false, false, true},
      {"Skylake", {.intel = true, .avx2 = true, .avx512 = true}, false, false, true},
      {"Sapphire Rapids", {.intel = true, .avx2 = true, .avx512 = true, .bfloat16 = true}, false, false, false},
      {"another's with AVX2", {.avx2 = true}, false, false, true},
      {"another's with AVX-512", {.avx2 = true, .avx512 = true}, false, true, true},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.name);
    const gemm::Rule rule = gemm::rule_of(one.cpu);
    EXPECT_EQ(rule.float_in_own, one.own);
    EXPECT_EQ(rule.float_in_onednn, one.onednn);
    EXPECT_EQ(rule.bfloat16_in_float, one.widened);
  }
}

#if defined(__x86_64__) && defined(__linux__)
// What the kernel says of this machine's CPU.
TEST(GemmRule, ThisCpusIsTheOneThatTheKernelNames) {
  std::ifstream file("/proc/cpuinfo");
  std::map<std::string, std::string> first;
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) continue;
    first.emplace(line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1), line.substr(colon + 1) + " ");
  }
  const auto has = [&](const char* flag) {
    return first["flags"].find(" " + std::string(flag) + " ") != std::string::npos;
  };
  const bool amd = first["vendor_id"] == " AuthenticAMD ";
  const gemm::Rule wanted = gemm::rule_of({.amd = amd,
                                           .intel = first["vendor_id"] == " GenuineIntel ",
                                           .family_19h = amd && first["cpu family"] == " 25 ",
                                           .avx2 = has("avx2"),
                                           .avx512 = has("avx512f"),
                                           .bfloat16 = has("avx512_bf16")});
  const char* before = std::getenv("GRADUS_GEMM");
  const std::string kept = before ? before : "";
  unsetenv("GRADUS_GEMM");
  const gemm::Rule chosen = gemm::choose();
  if (before) setenv("GRADUS_GEMM", kept.c_str(), 1);
  EXPECT_EQ(chosen.float_in_own, wanted.float_in_own);
  EXPECT_EQ(chosen.float_in_onednn, wanted.float_in_onednn);
  EXPECT_EQ(chosen.bfloat16_in_float, wanted.bfloat16_in_float);
}
#endif

TEST(GemmRule, TheEnvironmentDecides) {
  const char* before = std::getenv("GRADUS_GEMM");
  const std::string kept = before ? before : "";
  const auto text = [](const gemm::Rule& rule) {
    return std::string(rule.float_in_own ? "own " : "") + (rule.float_in_onednn ? "onednn " : "") +
           (rule.bfloat16_in_float ? "float" : "");
  };
  unsetenv("GRADUS_GEMM");
  const std::string usual = text(gemm::choose());
  const std::pair<const char*, std::string> cases[] = {{"library", ""},
                                                       {"own", "own "},
                                                       {"onednn", "onednn "},
                                                       {"float", "float"},
                                                       {"onednn,float", "onednn float"},
                                                       {"own,library,float", "own float"},
                                                       {"auto", usual},
                                                       {"", usual}};
  for (const auto& [given, chosen] : cases) {
    setenv("GRADUS_GEMM", given, 1);
    EXPECT_EQ(text(gemm::choose()), chosen) << given;
  }
  for (const char* wrong : {"mkl", "own, float", "auto,own"}) {
    setenv("GRADUS_GEMM", wrong, 1);
    EXPECT_THROW(gemm::choose(), Error) << wrong;
  }
  before ? setenv("GRADUS_GEMM", kept.c_str(), 1) : unsetenv("GRADUS_GEMM");
  const std::pair<gemm::Rule, const char*> rules[] = {{kLibrary, "library"},
                                                      {kOwn, "own"},
                                                      {kOneDnn, "onednn"},
                                                      {kFloat, "library, bfloat16 in float32"},
                                                      {{true, true, true}, "own, bfloat16 in float32"}};
  for (const auto& [rule, words] : rules) EXPECT_EQ((Under(rule), gemm::describe()), words);
}

}  // namespace
}  // namespace gradus
