#include "data/augment.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <thread>

#include "random.h"
#include "refusal.h"

namespace gradus {
namespace {

Augment all_of_them() {
  Augment a;
  a.noise = .1, a.shift = 2, a.erase = .3;
  return a;
}
at::Tensor images(int64_t n) { return at::arange(n * 3 * 8 * 6, at::kFloat).reshape({n, 3, 8, 6}).div(100).add(1); }
at::Tensor index_of(int64_t n) { return at::arange(n, at::kLong).mul(11).add(3); }
at::Tensor visits_of(int64_t n) { return at::arange(n, at::kInt).remainder(4).to(at::kInt); }

TEST(AugmentTest, DoesNotDependOnTheBatchTheOrderOrTheThread) {
  const at::Tensor x = images(16), index = index_of(16), visit = visits_of(16);
  const at::Tensor whole = augment(x, index, visit, 5, all_of_them(), .8);
  for (int64_t i = 0; i < 16; ++i) {
    EXPECT_TRUE(
        at::equal(augment(x.narrow(0, i, 1), index.narrow(0, i, 1), visit.narrow(0, i, 1), 5, all_of_them(), .8),
                  whole.narrow(0, i, 1)));
  }
  const at::Tensor order = at::randperm(16, at::kLong);
  at::Tensor shuffled;
  std::thread([&] {
    shuffled = augment(x.index_select(0, order), index.index_select(0, order), visit.index_select(0, order), 5,
                       all_of_them(), .8);
  }).join();
  EXPECT_TRUE(at::equal(shuffled, whole.index_select(0, order)));
}

TEST(AugmentTest, DependsOnSeedIndexAndVisit) {
  const at::Tensor x = at::ones({1, 1, 8, 8}), index = at::tensor({4}, at::kLong), visit = at::tensor({2}, at::kInt);
  const auto run = [&](int64_t i, int v, uint64_t seed) {
    return augment(x, at::tensor({i}, at::kLong), at::tensor({v}, at::kInt), seed, all_of_them(), 1);
  };
  EXPECT_TRUE(at::equal(run(4, 2, 7), run(4, 2, 7)));
  EXPECT_FALSE(at::equal(run(4, 2, 7), run(5, 2, 7)));
  EXPECT_FALSE(at::equal(run(4, 2, 7), run(4, 3, 7)));
  EXPECT_FALSE(at::equal(run(4, 2, 7), run(4, 2, 8)));
}

TEST(AugmentTest, StrengthZeroChangesNoBitAndTheInputStays) {
  const at::Tensor x = images(8), before = x.clone();
  EXPECT_TRUE(at::equal(augment(x, index_of(8), visits_of(8), 5, all_of_them(), 0), before));
  augment(x, index_of(8), visits_of(8), 5, all_of_them(), 1);
  EXPECT_TRUE(at::equal(x, before));
}

TEST(AugmentTest, NoiseHasItsDeviation) {
  Augment a;
  a.noise = .2;
  for (const auto type : {at::kFloat, at::kDouble}) {
    const at::Tensor y = augment(at::full({500, 399}, 3, type), index_of(500), visits_of(500), 1, a, .5);
    EXPECT_EQ(y.scalar_type(), type);
    EXPECT_NEAR(y.mean().item<double>(), 3, .0012);  // 5 standard errors
    EXPECT_NEAR(y.std().item<double>(), .1, .0008);
  }
}

TEST(AugmentTest, ShiftMovesWholeImagesWithZeros) {
  Augment a;
  a.shift = 2;
  const int64_t n = 2000;
  const at::Tensor x = images(1).expand({n, 3, 8, 6}), y = augment(x, index_of(n), at::zeros({n}, at::kInt), 3, a, 1);
  std::set<std::pair<int64_t, int64_t>> seen;
  for (int64_t i = 0; i < n; ++i) {
    int fits = 0;
    for (int64_t dy = -2; dy <= 2; ++dy) {
      for (int64_t dx = -2; dx <= 2; ++dx) {
        const at::Tensor moved =
            at::constant_pad_nd(x[i], {dx, -dx, dy, -dy}, 0);  // independent reference: pad and crop
        if (at::equal(moved, y[i])) ++fits, seen.insert({dy, dx});
      }
    }
    ASSERT_EQ(fits, 1);
  }
  EXPECT_EQ(seen.size(), 25u);
  const at::Tensor half = augment(x, index_of(n), at::zeros({n}, at::kInt), 3, a, .5);  // one pixel at most
  EXPECT_GT(half.slice(2, 1, 7).slice(3, 1, 5).min().item<float>(), 0);
}

// A second implementation's moves and noise (reference/make_streams.py).
TEST(AugmentTest, MovesAndNoiseAreStable) {
  Augment a;
  a.shift = 3;
  const at::Tensor x = at::arange(1, 65, at::kFloat).reshape({1, 1, 8, 8}).expand({6, 1, 8, 8});
  const at::Tensor y = augment(x, at::arange(6, at::kLong), at::full({6}, 2, at::kInt), 5, a, 1);
  const int64_t moves[][2] = {{3, -3}, {-2, 2}, {-1, -1}, {3, -3}, {2, -2}, {-2, -1}};
  for (int64_t i = 0; i < 6; ++i)
    EXPECT_TRUE(y[i].equal(at::constant_pad_nd(x[i], {moves[i][1], -moves[i][1], moves[i][0], -moves[i][0]}, 0))) << i;
  a.shift = 0, a.noise = .2;
  const at::Tensor noisy = augment(at::ones({1, 8}), at::tensor({3}, at::kLong), at::tensor({2}, at::kInt), 5, a, .5);
  EXPECT_TRUE(at::allclose(
      noisy[0],
      at::tensor({1.20069122, .95147338, 1.15081384, 1.01689134, 1.20414006, 1.11562998, .82657094, .85795196},
                 at::kFloat),
      0, 2e-6))
      << noisy;
}

TEST(AugmentTest, LimitsAreMetExactly) {
  const auto refused = [](double noise, int64_t shift, double erase, double mixup, double strength) {
    Augment a;
    a.noise = noise, a.shift = shift, a.erase = erase, a.mixup = mixup;
    return refusal([&] { check_augment(a, strength); });
  };
  EXPECT_EQ(refused(0, 0, 0, 0, 0), "accepted");
  EXPECT_EQ(refused(1e30, 1'000'000'000, 1, 1e6, 1), "accepted");
  EXPECT_EQ(refused(-.5, 0, 0, 0, 1), "augment: noise out of range; expected a number >= 0; got -0.500000");
  EXPECT_NE(refused(0, -1, 0, 0, 1).find("shift out of range; expected a number >= 0"), std::string::npos);
  EXPECT_NE(refused(2e30, 0, 0, 0, 1).find("noise out of range"), std::string::npos);
  EXPECT_NE(refused(0, 2'000'000'000, 0, 0, 1).find("shift out of range"), std::string::npos);
  EXPECT_NE(refused(0, 0, 0, -1, 1).find("mixup out of range; expected a number >= 0"), std::string::npos);
  EXPECT_EQ(refused(0, 0, 1.5, 0, 1), "augment: erase out of range; expected a number from 0 to 1; got 1.500000");
  EXPECT_NE(refused(0, 0, 0, 2e6, 1).find("mixup out of range"), std::string::npos);
  EXPECT_NE(refused(0, 0, 0, 0, 1.01).find("strength out of range"), std::string::npos);
  EXPECT_NE(refused(std::nan(""), 0, 0, 0, 1).find("noise out of range"), std::string::npos);
  Augment a;
  a.shift = 5;
  const at::Tensor x = at::ones({2, 1, 8, 6});
  EXPECT_EQ(refusal([&] { augment(x, index_of(2), visits_of(2), 1, a, 1); }), "accepted") << "less than its sides";
  a.shift = 6;
  EXPECT_NE(refusal([&] { augment(x, index_of(2), visits_of(2), 1, a, 1); }).find("moves everything out"),
            std::string::npos);
  EXPECT_EQ(augment(at::ones({0, 1, 8, 6}), index_of(0), visits_of(0), 1, {}, 1).size(0), 0);
}

TEST(AugmentTest, EraseZeroesOneRectangleWithinItsShare) {
  Augment a;
  a.erase = .4;
  const int64_t n = 2000;
  const at::Tensor y = augment(at::ones({n, 2, 20, 20}), index_of(n), at::zeros({n}, at::kInt), 3, a, .5);
  double share = 0;
  for (int64_t i = 0; i < n; ++i) {
    const at::Tensor zero = y[i].eq(0);
    ASSERT_TRUE(at::equal(zero[0], zero[1]));
    const int64_t h = zero[0].any(1).sum().item<int64_t>(), w = zero[0].any(0).sum().item<int64_t>();
    ASSERT_EQ(zero[0].sum().item<int64_t>(), h * w);
    ASSERT_LE(h * w, 400 * .2 * 1.15 + 1);  // sides are rounded
    share += h * w / 400. / n;
  }
  EXPECT_NEAR(share, .1, .005);  // uniform up to 0.4 · 0.5
}

// The rectangle that a row's own numbers say, in images that are longer one way than the other; clipped by both sides.
TEST(AugmentTest, TheErasedRectangleIsThatOfItsNumbers) {
  for (const auto& [height, width] : std::vector<std::pair<int64_t, int64_t>>{{20, 6}, {6, 20}, {9, 9}}) {
    for (const double share : {.3, 1.}) {
      Augment a;
      a.erase = share;
      const int64_t n = 300;
      const at::Tensor y =
          augment(at::ones({n, 1, height, width}), at::arange(n, at::kLong), at::full({n}, 2, at::kInt), 7, a, 1);
      at::Tensor wanted = at::ones({n, 1, height, width});
      for (int64_t i = 0; i < n; ++i) {
        const auto bits = RowRandom(7, i, 2).bits(0xFFFFFFFE);
        const auto unit = [&](int k) { return std::floor(bits[k] / 256.) / 16777216; };
        const double area = share * unit(0) * static_cast<double>(height * width), aspect = std::pow(4, unit(1)) / 2;
        const int64_t h = std::min<int64_t>(height, std::lround(std::sqrt(area * aspect))),
                      w = std::min<int64_t>(width, std::lround(std::sqrt(area / aspect)));
        const auto top = static_cast<int64_t>(unit(2) * static_cast<double>(height - h + 1)),
                   left = static_cast<int64_t>(unit(3) * static_cast<double>(width - w + 1));
        wanted[i].narrow(1, top, h).narrow(2, left, w).fill_(0);
      }
      EXPECT_TRUE(y.equal(wanted)) << height << " " << share;
    }
  }
}

TEST(AugmentTest, NoiseOfALongRowIsOneStretchOfItsNumbers) {
  const int64_t width = 2500;
  Augment a;
  a.noise = .5;
  std::vector<float> z(width);
  RowRandom(5, 3, 1).normals(0, width, z.data());
  const at::Tensor y = augment(at::zeros({1, width}), at::full({1}, 3, at::kLong), at::ones({1}, at::kInt), 5, a, 1);
  EXPECT_TRUE(y[0].equal(at::tensor(z) * .5f));
}

TEST(AugmentTest, BatchesOfAnyShapeButOnlyOfFloatsAndWholeNumbers) {
  const at::Tensor index = index_of(2), visit = visits_of(2);
  EXPECT_TRUE(augment(at::ones({2}), index, visit, 1, {}, 1).equal(at::ones({2})));
  const struct {
    at::Tensor x, index, visit;
    const char* says;
  } cases[] = {{at::ones({}), index, visit, "x has no rows; expected x [N, …]; got []"},
               {at::ones({2}, at::device(at::kMeta)), index, visit, "x is not on the CPU"},
               {at::ones({2}), index.to(at::kBool), visit, "index does not match x [2]"},
               {at::ones({2}), index, visit.to(at::kBool), "visit does not match x [2]"},
               {at::ones({2}), index, visits_of(3), "visit does not match x [2]; expected whole numbers [2]"},
               {at::ones({2}), index.unsqueeze(1), visit, "index does not match x [2]"}};
  for (const auto& one : cases) {
    const std::string said = refusal([&] { augment(one.x, one.index, one.visit, 1, {}, 1); });
    EXPECT_NE(said.find(one.says), std::string::npos) << said;
  }
}

TEST(AugmentTest, NamesBothShapesAndRanges) {
  const at::Tensor flat = at::ones({4, 64}), index = index_of(4), visit = visits_of(4);
  const auto with = [&](double Augment::*field, double value, double strength = 1) {
    Augment a;
    a.*field = value;
    return refusal([&] { augment(flat, index, visit, 1, a, strength); });
  };
  Augment shift;
  shift.shift = 1;
  EXPECT_EQ(refusal([&] { augment(flat, index, visit, 1, shift, 1); }),
            "augment: shift needs images; expected x [N, C, H, W]; got x [4, 64]");
  shift.shift = 8;
  EXPECT_NE(refusal([&] {
              augment(at::ones({4, 1, 8, 8}), index, visit, 1, shift, 1);
            }).find("moves everything out"),
            std::string::npos);
  shift.shift = -1;
  EXPECT_NE(refusal([&] {
              augment(at::ones({4, 1, 8, 8}), index, visit, 1, shift, 1);
            }).find("shift out of range"),
            std::string::npos);
  EXPECT_NE(with(&Augment::erase, .2).find("erase needs images"), std::string::npos);
  EXPECT_NE(with(&Augment::erase, 1.2).find("erase out of range"), std::string::npos);
  EXPECT_NE(with(&Augment::noise, -1).find("noise out of range"), std::string::npos);
  EXPECT_NE(with(&Augment::noise, NAN).find("noise out of range"), std::string::npos);
  EXPECT_NE(with(&Augment::noise, 1, 1.5).find("strength out of range"), std::string::npos);
  EXPECT_NE(refusal([&] { augment(flat, index_of(3), visit, 1, {}, 1); }).find("index does not match x [4, 64]"),
            std::string::npos);
  EXPECT_NE(refusal([&] { augment(flat.to(at::kLong), index, visit, 1, {}, 1); }).find("x holds no floats"),
            std::string::npos);
}

TEST(MixupTest, MixesRowsAndLabelsByOneLambda) {
  const int64_t n = 64;
  const at::Tensor x = at::randn({n, 5}), y = at::arange(n, at::kLong).remainder(10);
  const Mixed m = mixup(x, y, 10, index_of(n), visits_of(n), 3, .4, 1);
  EXPECT_TRUE(at::allclose(m.y.sum(1), at::ones({n})));
  EXPECT_GE(m.lambda.min().item<float>(), .5);
  EXPECT_LE(m.lambda.max().item<float>(), 1);
  const at::Tensor one_hot = at::one_hot(y, 10).to(at::kFloat);
  for (int64_t i = 0; i < n; ++i) {
    const at::Tensor lambda = m.lambda[i], x_all = lambda * x[i] + (1 - lambda) * x,
                     y_all = lambda * one_hot[i] + (1 - lambda) * one_hot;
    const at::Tensor error = (x_all - m.x[i]).abs().sum(1) + (y_all - m.y[i]).abs().sum(1);  // against every partner
    EXPECT_LT(error.min().item<float>(), 1e-4);
  }
  EXPECT_TRUE(at::equal(mixup(x, y, 10, index_of(n), visits_of(n), 3, .4, 1).x, m.x));
  EXPECT_TRUE(at::equal(mixup(x, y, 10, index_of(n), visits_of(n), 3, .4, 0).x, x));
  EXPECT_TRUE(at::allclose(mixup(x, one_hot, 0, index_of(n), visits_of(n), 3, .4, 1).y, m.y));
}

TEST(MixupTest, MixesNumbersAsItMixesRows) {
  const int64_t n = 64;
  const at::Tensor x = at::randn({n, 5});
  const Mixed m = mixup(x, x.select(1, 2), 0, index_of(n), visits_of(n), 3, .4, 1);
  EXPECT_EQ(m.y.dim(), 1);
  EXPECT_TRUE(at::allclose(m.y, m.x.select(1, 2)));
}

TEST(MixupTest, ShortFloatsAreMixedAndMovedAsFloat32) {
  const at::Tensor x = at::randn({8, 1, 4, 4}), y = at::arange(8, at::kLong);
  for (const auto type : {at::kHalf, at::kBFloat16}) {
    const at::Tensor coarse = x.to(type), fine = coarse.to(at::kFloat);
    EXPECT_TRUE(at::equal(augment(coarse, index_of(8), visits_of(8), 3, {.3, 1, .2}, 1),
                          augment(fine, index_of(8), visits_of(8), 3, {.3, 1, .2}, 1).to(type)));
    const Mixed m = mixup(coarse, y, 8, index_of(8), visits_of(8), 3, .4, 1);
    EXPECT_TRUE(at::equal(m.x, mixup(fine, y, 8, index_of(8), visits_of(8), 3, .4, 1).x.to(type)));
    EXPECT_EQ(m.y.scalar_type(), at::kFloat);
  }
}

TEST(MixupTest, LambdaIsBetaDistributed) {
  const int64_t n = 50'000;
  const at::Tensor x = at::zeros({n, 1}), y = at::zeros({n}, at::kLong);
  for (const double alpha : {.2, 1., 4.}) {
    // min(λ, 1 - λ) of a symmetric Beta: E[λ(1 - λ)] = α / (2 (2 α + 1)), the same after folding.
    const at::Tensor l =
        mixup(x, y, 2, at::arange(n, at::kLong), at::zeros({n}, at::kInt), 3, alpha, 1).lambda.to(at::kDouble);
    EXPECT_NEAR((l * (1 - l)).mean().item<double>(), alpha / (2 * (2 * alpha + 1)), .002) << alpha;
  }
}

// Marsaglia and Tsang's method from the row's own numbers: two gammas, whose share of their sum is Beta's.
TEST(MixupTest, LambdaIsThatOfItsNumbers) {
  const int64_t n = 200;
  const auto gamma = [](const RowRandom& row, double shape, uint32_t lane) {
    const double d = shape + (shape < 1) - 1. / 3;
    const double boost = shape < 1 ? std::pow(1 - row.uniform(lane), 1 / shape) : 1;
    for (;; lane += 2) {
      const double z = row.normal(lane + 1), v = std::pow(1 + z / std::sqrt(9 * d), 3);
      if (v > 0 && std::log(1 - row.uniform(lane + 2)) < z * z / 2 + d - d * v + d * std::log(v)) return d * v * boost;
    }
  };
  const at::Tensor x = at::zeros({n, 1}), y = at::zeros({n}, at::kLong);
  for (const double alpha : {.2, 1., 4.}) {
    const at::Tensor lambda = mixup(x, y, 2, at::arange(n, at::kLong), at::full({n}, 2, at::kInt), 3, alpha, .7).lambda;
    for (int64_t i = 0; i < n; ++i) {
      const RowRandom row(3, i, 2);
      const double one = gamma(row, alpha, 0xE0000000), other = gamma(row, alpha, 0xE8000000);
      EXPECT_NEAR(lambda[i].item<float>(), 1 - .7 * std::min(one, other) / (one + other), 1e-6) << alpha << " " << i;
    }
  }
}

TEST(MixupTest, EveryRowIsAPartnerAsOftenAsOthers) {
  const int64_t n = 8, rounds = 4000;
  const at::Tensor x = at::arange(n, at::kDouble).unsqueeze(1), y = at::zeros({n}, at::kLong);
  at::Tensor counts = at::zeros({n, n}, at::kDouble);  // [row, partner]
  for (int64_t visit = 0; visit < rounds; ++visit) {
    const Mixed m =
        mixup(x, y, 2, index_of(n), at::full({n}, visit, at::kInt), 3, 4, 1);  // alpha 4: shares near one half
    const at::Tensor own = m.lambda.to(at::kDouble),
                     partner = ((m.x.squeeze(1) - own * x.squeeze(1)) / (1 - own)).round().to(at::kLong);
    counts += at::one_hot(partner, n).to(at::kDouble);
  }
  // Chi-square of each row with 7 degrees of freedom; p = 0.0001 of one.
  EXPECT_LT((counts - rounds / n).square().div(rounds / n).sum(1).max().item<double>(), 29.9);
}

TEST(MixupTest, RefusesLabelsItCannotMix) {
  const at::Tensor x = at::ones({2, 3}), index = index_of(2), visit = visits_of(2);
  EXPECT_THROW(mixup(x, at::tensor({0, 5}, at::kLong), 5, index, visit, 1, .2, 1), Error);
  EXPECT_THROW(mixup(x, at::tensor({0, 1}, at::kLong), 0, index, visit, 1, .2, 1), Error);
  EXPECT_THROW(mixup(x, at::ones({2, 3, 1}), 2, index, visit, 1, .2, 1), Error);
  EXPECT_THROW(mixup(x, {}, 2, index, visit, 1, .2, 1), Error);
  for (const at::Tensor& y : {at::zeros({3}, at::kLong), at::zeros({2, 1}, at::kLong), at::zeros({2}, at::kBool),
                              at::zeros({3}), at::full({2}, -1, at::kLong)})
    EXPECT_THROW(mixup(x, y, 2, index, visit, 1, .2, 1), Error) << y.sizes() << y.scalar_type();
  const at::Tensor fine = at::tensor({0, 1}, at::kLong);
  EXPECT_EQ(refusal([&] { mixup(x, fine, 2, index, visit, 1, .2, 1); }), "accepted");
  EXPECT_EQ(refusal([&] { mixup(x, fine, 2, index, visit, 1, 0, 1); }),
            "mixup: mixup of zero has no effect; expected a number above 0; got 0");
  EXPECT_NE(refusal([&] { mixup(x, fine, 2, index, visit, 1, -1, 1); }).find("mixup out of range"), std::string::npos);
  EXPECT_NE(refusal([&] { mixup(x, fine, 2, index, visit, 1, .2, 2); }).find("strength out of range"),
            std::string::npos);
}

}  // namespace
}  // namespace gradus
