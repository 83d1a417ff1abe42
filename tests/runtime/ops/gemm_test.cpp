#include "ops/gemm.h"

#include <gtest/gtest.h>

#include <cstdlib>

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

TEST(GemmRule, LeavesOtherProductsToTheLibrary) {
  const Under rule({true, true, true});
  const at::Tensor a = at::randn({200, 300}, at::kDouble), b = at::randn({300, 200}, at::kDouble);
  EXPECT_TRUE(at::allclose(at::mm(a, b), at::matmul(a, b)));
  const at::Tensor x = at::randn({200, 300}), y = at::randn({300, 200}), full = at::randn({200, 200});
  EXPECT_LT(relative_error(at::addmm(full, x, y, 0.5, 2), full * 0.5 + at::mm(x, y) * 2), 1e-6);
  EXPECT_THROW(at::mm(x, x), c10::Error);
  EXPECT_THROW(at::mm(x, y.to(at::kDouble)), c10::Error);
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

TEST(GemmRule, TheEnvironmentDecides) {
  const char* before = std::getenv("GRADUS_GEMM");
  const std::string kept = before ? before : "";
  setenv("GRADUS_GEMM", "library", 1);
  EXPECT_FALSE(gemm::choose().float_in_onednn || gemm::choose().bfloat16_in_float);
  setenv("GRADUS_GEMM", "onednn,float", 1);
  EXPECT_TRUE(gemm::choose().float_in_onednn && gemm::choose().bfloat16_in_float);
  setenv("GRADUS_GEMM", "own", 1);
  EXPECT_TRUE(gemm::choose().float_in_own);
  setenv("GRADUS_GEMM", "mkl", 1);
  EXPECT_THROW(gemm::choose(), Error);
  before ? setenv("GRADUS_GEMM", kept.c_str(), 1) : unsetenv("GRADUS_GEMM");
  const Under rule(kOneDnn);
  EXPECT_EQ(gemm::describe(), "onednn");
}

}  // namespace
}  // namespace gradus
