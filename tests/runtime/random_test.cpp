#include "random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <set>
#include <vector>

#include "widths.h"

namespace gradus {
namespace {

using Words = std::array<uint32_t, 4>;

std::vector<float> normals_of(const RowRandom& row, uint32_t lane, int64_t count) {
  std::vector<float> z(count);
  row.normals(lane, count, z.data());
  return z;
}

// The published known answers: Random123's kat_vectors, "philox4x32 10".
TEST(RandomTest, PhiloxGivesTheKnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomTest, SeedsAreStableAndApart) {
  // A second implementation's numbers (data/make_seeds.py): runs of old versions must stay reproducible.
  EXPECT_EQ(derive_seed(0, "init"), 4401858621870689u);
  EXPECT_EQ(derive_seed(1, "order"), 2929128681249200u);
  EXPECT_EQ(derive_seed(12345, "a stream with a long name", 7), 8813023726942491u);
  std::set<uint64_t> seeds;
  for (uint64_t run = 0; run < 50; ++run) {
    for (const char* name : {"split", "init", "order", "augment", "dropout", "probe", ""}) {
      for (uint64_t sub = 0; sub < 20; ++sub) seeds.insert(derive_seed(run, name, sub));
    }
  }
  EXPECT_EQ(seeds.size(), 50u * 7 * 20);
  EXPECT_LT(*seeds.rbegin(), uint64_t{1} << 53);  // exact as a Lua number
  EXPECT_NE(derive_seed(0, std::string_view("a\0", 2)), derive_seed(0, "a"));
  // The definition, of one whole word and of a word and a byte.
  const uint64_t one = splitmix64(splitmix64(3) ^ 8), two = splitmix64(splitmix64(3) ^ 9), word = 0x3837363534333231;
  EXPECT_EQ(derive_seed(3, "12345678", 5), splitmix64(splitmix64(one ^ word) ^ 5) >> 11);
  EXPECT_EQ(derive_seed(3, "123456789", 5), splitmix64(splitmix64(splitmix64(two ^ word) ^ 0x39) ^ 5) >> 11);
}

// Those of a second implementation (reference/make_streams.py), so that runs of old versions stay reproducible.
TEST(RandomTest, NumbersAreStable) {
  Random random(uint64_t{9} << 32 | 5);
  for (const uint64_t wanted : {18078207605822734787u, 809743518176461602u, 1772730124508854043u, 2129827488048178834u})
    EXPECT_EQ(random.next(), wanted);
  EXPECT_EQ(random.below(1000), 998u);
  EXPECT_EQ(random.below(7), 4u);
  EXPECT_EQ(random.below((uint64_t{1} << 63) + 1), 1749503995461090792u);
  EXPECT_EQ(random.below(3), 2u);
  EXPECT_EQ(random.position(), 11u) << "what would be a bias is drawn again";
  EXPECT_DOUBLE_EQ(random.uniform(), 0.4176557370436734);
  EXPECT_EQ(RowRandom(uint64_t{3} << 32 | 1, int64_t{7} << 32 | 2, 4).bits(5),
            (Words{3205941857, 1574794815, 1401950513, 3396997523}));
  const RowRandom row(3, 7, 2);
  EXPECT_DOUBLE_EQ(row.uniform(1), 0.8990170801168722);
  EXPECT_NEAR(row.normal(1), -1.8587538768476506, 1e-12);
  const float normals[] = {0.7510490316F, -0.5527882296F, -0.6167756188F, 0.3528321704F};
  const std::vector<float> drawn = normals_of(row, 1, 4);
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(drawn[i], normals[i], 1e-6) << i;
}

struct Moments {
  double mean = 0, variance = 0, kurtosis = 0;
};
template <class Draw>
Moments moments(int n, Draw draw) {
  std::vector<double> v(n);
  Moments m;
  for (int i = 0; i < n; ++i) m.mean += (v[i] = draw(i)) / n;
  for (const double x : v) m.variance += (x - m.mean) * (x - m.mean) / n;
  for (const double x : v) m.kurtosis += std::pow(x - m.mean, 4) / (n * m.variance * m.variance);
  return m;
}

TEST(RandomTest, NumbersOfARowHaveTheirDistributions) {
  const int n = 200'000;  // bounds: about 5 standard errors
  const Moments u = moments(n, [](int i) { return RowRandom(3, i, 0).uniform(0); });
  EXPECT_NEAR(u.mean, 0.5, 0.0033);
  EXPECT_NEAR(u.variance, 1.0 / 12, 0.001);
  const auto check_normal = [](const Moments& m) {
    EXPECT_NEAR(m.mean, 0, 0.011);
    EXPECT_NEAR(m.variance, 1, 0.016);
    EXPECT_NEAR(m.kurtosis, 3, 0.06);
  };
  check_normal(moments(n, [](int i) { return RowRandom(3, 7, i).normal(1); }));
  const std::vector<float> drawn = normals_of(RowRandom(3, 7, 2), 0, n);
  check_normal(moments(n, [&](int i) { return drawn[i]; }));
}

// A box of what a kernel may not touch on both sides.
std::vector<float> normals_by(const vectors::RandomKernels& kernels, int64_t count, uint32_t first) {
  const uint32_t counter[] = {4, 2, 7}, key[] = {5, 9};
  std::vector<float> z(count + 8, 77);
  kernels.normals(count, first, counter, key, z.data());
  EXPECT_EQ(std::vector<float>(z.begin() + count, z.end()), std::vector<float>(8, 77));
  z.resize(count);
  return z;
}

void check_kernels(const vectors::RandomKernels& kernels, const char* name) {
  SCOPED_TRACE(name);
  for (const int64_t count : {0, 1, 3, 4, 5, 15, 16, 17, 63, 64, 65, 1000}) {
    const std::vector<float> z = normals_by(kernels, count, 0xFFFFFFF0);  // the counter goes on from 0
    EXPECT_EQ(z, normals_by(vectors::baseline::random, count, 0xFFFFFFF0)) << count;
    for (int64_t i = 0; i < count; ++i) {
      const Words bits = philox({static_cast<uint32_t>(0xFFFFFFF0 + i / 4), 4, 2, 7}, {5, 9});
      const uint32_t word = bits[i % 4 / 2 * 2], turn = bits[i % 4 / 2 * 2 + 1];
      const double radius = std::sqrt(-2 * std::log((word + .5) / 4294967296.0)),
                   angle = 2 * std::numbers::pi * (turn >> 8) / 16777216;
      // float's numbers below 1 are 2⁻²⁴ apart: that much of the logarithm
      EXPECT_NEAR(z[i], radius * (i % 2 ? std::sin(angle) : std::cos(angle)), 1e-6 + 0x1p-24 / radius) << i;
    }
  }
}

TEST(RandomTest, NormalsOfEveryWidthAreBoxMullersOfTheirBits) {
  for (const vectors::Width& width : vectors::widths()) check_kernels(width.random, width.name);
}

TEST(RandomTest, EveryPartOfTheKeyMatters) {
  const RowRandom base(1, 2, 3);
  EXPECT_EQ(base.bits(4), RowRandom(1, 2, 3).bits(4));
  for (const RowRandom& other :
       {RowRandom(uint64_t{1} << 32 | 1, 2, 3), RowRandom(1, int64_t{1} << 32 | 2, 3), RowRandom(1, 2, 4)}) {
    EXPECT_NE(base.bits(4), other.bits(4));
  }
  EXPECT_NE(base.bits(4), base.bits(5));
}

TEST(RandomTest, SequenceResumesAtItsPosition) {
  Random a(9);
  for (int i = 0; i < 5; ++i) a.next();
  Random b(9, a.position());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(a.next(), b.next());
}

TEST(RandomTest, BelowIsUniform) {
  Random random(4);
  std::vector<int> counts(7);
  for (int i = 0; i < 70'000; ++i) ++counts.at(random.below(7));
  double chi2 = 0;
  for (const int c : counts) chi2 += (c - 10'000.0) * (c - 10'000.0) / 10'000;
  EXPECT_LT(chi2, 22.5);  // 6 degrees of freedom, p = 0.001
  EXPECT_EQ(random.below(1), 0u);
  Random halves(9), whole(9);  // of a power of two no draw is one too many
  for (int i = 0; i < 8; ++i) EXPECT_EQ(halves.below(uint64_t{1} << 63), whole.next() >> 1);
}

}  // namespace
}  // namespace gradus
