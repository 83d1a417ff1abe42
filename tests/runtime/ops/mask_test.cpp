#include "ops/mask.h"

#include <gtest/gtest.h>

#include <cmath>

#include "data/loader.h"
#include "data/sampler.h"
#include "refusal.h"

namespace gradus {
namespace {

constexpr int64_t kLow = 5, kHigh = 25, kMask = 4;
const Masking kMasking{.3, kMask, kLow, kHigh};

// Rows of ordinary tokens, with special ones at both ends.
at::Tensor tokens(int64_t rows, int64_t length) {
  at::Tensor x = (at::arange(rows * length, at::kLong) * 7).remainder(kHigh - kLow).add(kLow).reshape({rows, length});
  x.select(1, 0).fill_(2);
  x.select(1, length - 1).fill_(0);
  return x;
}
at::Tensor ones(int64_t n, int value) { return at::full({n}, value, at::kInt); }

// The count of n independent events of probability p lies within five standard deviations.
void expect_count(int64_t count, int64_t n, double p) {
  EXPECT_NEAR(static_cast<double>(count), static_cast<double>(n) * p,
              5 * std::sqrt(static_cast<double>(n) * p * (1 - p)));
}

TEST(MaskTest, ChoosesAndReplacesInTheSharesOfBert) {
  const at::Tensor x = tokens(2000, 102);
  const Masked m = mask_tokens(x, at::arange(2000), ones(2000, 0), 11, kMasking);
  const at::Tensor chosen = m.y.ne(kNoLabel), masked = m.x.eq(kMask), same = m.x.eq(x);
  const auto count = [](const at::Tensor& mask) { return mask.sum().item<int64_t>(); };
  const int64_t all = count(chosen);
  expect_count(all, 2000 * 100, .3);
  expect_count(count(masked), all, .8);
  expect_count(count(chosen & same), all, .1 + .1 / 20);  // a random token is the true one in one of 20 cases
  expect_count(count(chosen & ~same & ~masked), all, .1 * 19 / 20);
  EXPECT_TRUE(at::equal(m.y.masked_select(chosen), x.masked_select(chosen)));
  EXPECT_TRUE(at::equal(m.x.masked_select(~chosen), x.masked_select(~chosen)));
  const at::Tensor replaced = m.x.masked_select(chosen & ~masked & ~same);
  const at::Tensor each = replaced.bincount({}, kHigh);
  for (int64_t token = 0; token < kHigh; ++token) {
    const auto n = each[token].item<int64_t>();
    if (token < kLow)
      EXPECT_EQ(n, 0);
    else
      expect_count(n, replaced.numel(), 1. / 20);
  }
}

// A second implementation's choice (reference/make_streams.py).
TEST(MaskTest, ChoiceIsStable) {
  at::Tensor x = at::arange(4, 26, at::kLong).unsqueeze(0);
  x[0][0] = 2, x[0][21] = 0;
  const Masked m = mask_tokens(x, at::tensor({3}, at::kLong), ones(1, 1), 11, {.5, 4, 5, 25});
  EXPECT_TRUE(m.x.equal(
      at::tensor({2, 5, 6, 7, 4, 9, 10, 4, 12, 13, 14, 15, 4, 4, 7, 19, 4, 21, 22, 23, 24, 0}, at::kLong).unsqueeze(0)))
      << m.x;
}

TEST(MaskTest, LimitsAreMetExactly) {
  EXPECT_EQ(refusal([] { check_masking({0, -5, 9, 3}); }), "accepted") << "nothing is masked";
  EXPECT_EQ(refusal([] { check_masking({1, 5, 0, 5}); }), "accepted");
  EXPECT_EQ(refusal([] { check_masking({1, 0, 1, 2}); }), "accepted");
  for (const Masking& bad : {Masking{1.1, 4, 5, 25}, {-.1, 4, 5, 25}, {std::nan(""), 4, 5, 25}})
    EXPECT_NE(refusal([&] { check_masking(bad); }).find("rate out of range"), std::string::npos);
  for (const Masking& bad : {Masking{.5, 4, -1, 3}, {.5, 4, 5, 5}, {.5, 4, 6, 5}})
    EXPECT_NE(refusal([&] { check_masking(bad); }).find("no tokens to mask"), std::string::npos);
  for (const Masking& bad : {Masking{.5, -1, 5, 25}, {.5, 5, 5, 25}, {.5, 24, 5, 25}})
    EXPECT_NE(refusal([&] { check_masking(bad); }).find("the mask is an ordinary token"), std::string::npos);
}

TEST(MaskTest, IsIndependentAtNeighbouringPositions) {
  const Masked m = mask_tokens(tokens(2000, 102), at::arange(2000), ones(2000, 0), 11, kMasking);
  const at::Tensor chosen = m.y.ne(kNoLabel);
  const at::Tensor both = chosen.narrow(1, 1, 99) & chosen.narrow(1, 2, 99);
  expect_count(both.sum().item<int64_t>(), both.numel(), .09);
}

TEST(MaskTest, NeverChoosesSpecialTokens) {
  Masking all = kMasking;
  all.rate = 1;
  const at::Tensor x = tokens(50, 20);
  const Masked m = mask_tokens(x, at::arange(50), ones(50, 0), 1, all);
  EXPECT_TRUE(m.y.select(1, 0).eq(kNoLabel).all().item<bool>());
  EXPECT_TRUE(m.y.select(1, 19).eq(kNoLabel).all().item<bool>());
  EXPECT_TRUE(at::equal(m.y.narrow(1, 1, 18), x.narrow(1, 1, 18)));
}

TEST(MaskTest, DependsOnSeedRowAndVisitAlone) {
  const at::Tensor x = tokens(40, 30), index = at::arange(40);
  const Masked whole = mask_tokens(x, index, ones(40, 3), 5, kMasking);
  for (const int64_t row : {39, 0, 17}) {
    const Masked one = mask_tokens(x.narrow(0, row, 1), index.narrow(0, row, 1), ones(1, 3), 5, kMasking);
    EXPECT_TRUE(at::equal(one.x[0], whole.x[row]));
    EXPECT_TRUE(at::equal(one.y[0], whole.y[row]));
  }
  EXPECT_FALSE(at::equal(whole.y, mask_tokens(x, index, ones(40, 4), 5, kMasking).y));
  EXPECT_FALSE(at::equal(whole.y, mask_tokens(x, index, ones(40, 3), 6, kMasking).y));
  EXPECT_FALSE(at::equal(whole.y, mask_tokens(x, index + 1, ones(40, 3), 5, kMasking).y));
}

TEST(MaskTest, IsTheSameOnAWorkerAndOnTheCaller) {
  LoaderOptions options;
  options.seed = 9, options.masking = kMasking;
  options.depth = 0;
  Loader here({tokens(97, 30), {}, {}, {}}, options);
  options.depth = 4;
  Loader ahead({tokens(97, 30), {}, {}, {}}, options);
  SamplerOptions so;
  so.rows = 97;
  Sampler a(so), b(so);
  for (int i = 0; i < 3; ++i) {
    const auto d = b.draw(16);
    ahead.submit(d.index, d.visit);
  }
  for (int i = 0; i < 30; ++i) {
    const auto d = a.draw(16), e = b.draw(16);
    here.submit(d.index, d.visit);
    ahead.submit(e.index, e.visit);
    const Batch one = here.next(), two = ahead.next();
    EXPECT_TRUE(at::equal(one.rows.x, two.rows.x));
    EXPECT_TRUE(at::equal(one.rows.y, two.rows.y));
    const Masked wanted = mask_tokens(tokens(97, 30).index_select(0, one.index), one.index, one.visit, 9, kMasking);
    EXPECT_TRUE(at::equal(one.rows.x, wanted.x));
  }
}

TEST(MaskTest, RefusesWhatCannotBe) {
  const auto with = [](Masking m) {
    return refusal([&] { mask_tokens(tokens(2, 5), at::arange(2), ones(2, 0), 1, m); });
  };
  EXPECT_EQ(with({1.5, kMask, kLow, kHigh}), "mask: rate out of range; expected a number from 0 to 1; got 1.500000");
  EXPECT_EQ(with({.3, kMask, 9, 9}), "mask: no tokens to mask; expected 0 <= low < high; got 9 to 9");
  EXPECT_EQ(with({.3, 7, kLow, kHigh}),
            "mask: the mask is an ordinary token; expected one outside of low … high - 1; got 7");
  EXPECT_EQ(refusal([] {
              mask_tokens(at::zeros({2, 5}), at::arange(2), ones(2, 0), 1, kMasking);
            }),
            "mask: x holds no rows of tokens; expected int64 [N, L] on the CPU; got Float [2, 5]");
  EXPECT_EQ(refusal([] { mask_tokens(tokens(2, 5), at::arange(3), ones(2, 0), 1, kMasking); }),
            "mask: index does not match x [2, 5]; expected whole numbers [2]; got Long [3]");
  EXPECT_EQ(refusal([] { mask_tokens(tokens(2, 5), at::arange(2), at::zeros({2}, at::kBool), 1, kMasking); }),
            "mask: visit does not match x [2, 5]; expected whole numbers [2]; got Bool [2]");
  LoaderOptions options;
  options.masking = kMasking;
  EXPECT_EQ(refusal([&] {
              Loader({tokens(2, 5), at::arange(2), {}, {}}, options);
            }),
            "loader: masking makes the labels; expected no y; got y");
}

}  // namespace
}  // namespace gradus
