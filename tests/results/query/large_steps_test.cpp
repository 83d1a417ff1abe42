// Steps are any 64-bit integers: a run that was imported may count nanoseconds, or from the least of them.
#include <gtest/gtest.h>

#include <limits>

#include "query/curves.h"
#include "query/query.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min(),
                       kMost = std::numeric_limits<std::int64_t>::max();

class LargeStepsTest : public StoreTest {
 protected:
  // Progress of one sample a row, and the row's number as val/acc.
  void run_with(const std::vector<std::int64_t>& steps, std::int64_t seed) {
    auto run = store_->begin({.name = "r", .seed = seed});
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (steps[i] >= 0) run->progress(steps[i], 0, static_cast<std::int64_t>(i) + 1, 0, 0);
      run->log(run->key("val/acc"), steps[i], static_cast<double>(i));
    }
    run->finish("finished");
  }

  void SetUp() override {
    StoreTest::SetUp();
    store_ = create();
  }
  void TearDown() override {
    store_.reset();
    StoreTest::TearDown();
  }

  std::shared_ptr<Store> store_;
};

TEST_F(LargeStepsTest, ABudgetIsFoundBetweenThem) {
  constexpr std::int64_t kBeyondHalf = (std::int64_t{1} << 62) + (std::int64_t{1} << 20);  // a double has it, too
  run_with({0, kBeyondHalf, kMost}, 1);
  for (const auto& [samples, value] :
       std::vector<std::pair<double, double>>{{1, 0}, {2, 1}, {2.5, 1}, {3, 2}, {9, 2}}) {
    CompareOptions options{.metrics = {"val/acc"}};
    options.at = Budget{"samples", samples};
    EXPECT_EQ(compare(*store_, options)["groups"][0]["metrics"]["val/acc"]["at"]["mean"], value) << samples;
  }
}

TEST_F(LargeStepsTest, ABandSpansThem) {
  run_with({kLeast, 0, kMost}, 1);
  run_with({kLeast, 5, 6, kMost}, 2);
  const Band band = mean_band(*store_, {1, 2}, "val/acc", 4, parse_axis("step"));
  ASSERT_FALSE(band.steps.empty());
  EXPECT_EQ(band.steps.front(), kLeast);
  EXPECT_EQ(band.steps.back(), kMost);
  EXPECT_DOUBLE_EQ(band.mean.front(), 0);
  EXPECT_DOUBLE_EQ(band.mean.back(), 2.5);
}

}  // namespace
}  // namespace gradus::results
