#include "data/parity.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>

#include "error.h"
#include "random.h"

namespace gradus {
namespace {

// The definition, one coordinate at a time.
float coordinate(uint64_t seed, int64_t n, int64_t j, int64_t d) {
  const uint64_t word = static_cast<uint64_t>(n) * ((d + 63) / 64) + j / 64;
  return splitmix64(splitmix64(seed) + word * 0x9e3779b97f4a7c15) >> (j % 64) & 1 ? -1.0f : 1.0f;
}

TEST(ParityTest, IsTheProductOfTheSupport) {
  for (const auto& [d, k] :
       {std::pair<int64_t, int64_t>{1, 1}, {7, 3}, {50, 5}, {100, 6}, {128, 128}, {131, 130}, {300, 260}}) {
    const int64_t first = (int64_t{1} << 32) - 20;  // the counter crosses a word
    const auto [x, y] = parity({d, k, 123456789012}, first, 40);
    ASSERT_EQ(x.sizes(), at::IntArrayRef({40, d}));
    for (int64_t i = 0; i < 40; ++i) {
      float product = 1;
      for (int64_t j = 0; j < d; ++j) {
        const float wanted = coordinate(123456789012, first + i, j, d);
        ASSERT_EQ(x[i][j].item<float>(), wanted) << d << " " << i << " " << j;
        if (j < k) product *= wanted;
      }
      ASSERT_EQ(y[i].item<int64_t>(), (1 - product) / 2) << d << " " << k << " " << i;
    }
  }
}

TEST(ParityTest, SamplesBelongToTheirNumber) {
  const Parity task{100, 6, 3};
  const auto whole = parity(task, 0, 100), part = parity(task, 37, 20);
  EXPECT_TRUE(whole.first.slice(0, 37, 57).equal(part.first));
  EXPECT_TRUE(whole.second.slice(0, 37, 57).equal(part.second));
  EXPECT_FALSE(whole.first.equal(parity({100, 6, 4}, 0, 100).first));
}

TEST(ParityTest, CoordinatesAreBalancedAndIndependent) {
  const int64_t n = 100000;
  const auto [x, y] = parity({40, 4, 1}, 0, n);
  const double bound = 5 / std::sqrt(static_cast<double>(n));  // five standard errors
  EXPECT_LT(x.mean(0).abs().max().item<float>(), bound);
  EXPECT_LT(std::abs(2 * y.to(at::kFloat).mean().item<float>() - 1), bound);
  const at::Tensor sign = 1 - 2 * y.to(at::kFloat).unsqueeze(1);
  EXPECT_LT((x * sign).mean(0).abs().max().item<float>(), bound);  // no single coordinate tells the label
  const at::Tensor correlation = at::mm(x.t(), x) / static_cast<double>(n) - at::eye(40);
  EXPECT_LT(correlation.abs().max().item<float>(), bound);
}

TEST(ParityTest, RefusesWhatIsNoTask) {
  EXPECT_THROW(parity({0, 1, 0}, 0, 1), Error);
  EXPECT_THROW(parity({10, 11, 0}, 0, 1), Error);
  EXPECT_THROW(parity({10, 0, 0}, 0, 1), Error);
  EXPECT_THROW(parity({10, 3, 0}, -1, 1), Error);
  EXPECT_THROW(parity({10, 3, 0}, 0, 0), Error);
  EXPECT_THROW(parity({65537, 1, 0}, 0, 1), Error);
  EXPECT_EQ(parity({65536, 1, 0}, 0, 1).first.numel(), 65536);
}

// Reported, not judged: the machine may be busy.
TEST(ParityTest, Throughput) {
  const int64_t batch = 512;
  parity({100, 6, 0}, 0, batch);
  const auto began = std::chrono::steady_clock::now();
  int64_t made = 0;
  for (; made < 4'000'000; made += batch) parity({100, 6, 0}, made, batch);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  RecordProperty("samples_per_second", std::to_string(static_cast<double>(made) / seconds));
  std::printf("parity d = 100, k = 6, batches of %d: %.1f M samples/s on one core\n", static_cast<int>(batch),
              static_cast<double>(made) / seconds / 1e6);
}

}  // namespace
}  // namespace gradus
