// Curves at the edges of what is read at once, and bands of curves that share most of their steps, or fewer.
#include "query/curves.h"

#include <cmath>

#include "query/stages.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

class CurvesTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    store_ = create();
  }
  std::int64_t add(const std::vector<std::int64_t>& steps, double value = 1, const std::string& key = "x") {
    auto run = store_->begin({.name = "a"});
    const int number = run->key(key);
    for (const std::int64_t step : steps) run->log(number, step, value);
    run->finish("finished");
    return run->id();
  }
  std::vector<std::int64_t> band_steps(const std::vector<std::int64_t>& runs, int columns = 400) {
    return mean_band(*store_, runs, "x", columns, parse_axis("step")).steps;
  }

  std::shared_ptr<Store> store_;
};
using Steps = std::vector<std::int64_t>;

// Rows are read 20,000 at a time.
TEST_F(CurvesTest, APieceThatIsFullIsNotTheEnd) {
  auto run = store_->begin({.name = "long"});
  const int key = run->key("x");
  for (std::int64_t step = 1; step <= 40'001; ++step) run->log(key, step, static_cast<double>(step));
  run->finish("finished");
  for (const std::int64_t to : {1, 19'999, 20'000, 20'001, 40'000, 40'001, 50'000}) {
    std::int64_t last = 0;
    read_curve(*store_, {1, "x"}, 0, to, [&](std::int64_t step, double value) {
      EXPECT_EQ(step, ++last);
      EXPECT_EQ(value, static_cast<double>(step));
      return true;
    });
    EXPECT_EQ(last, std::min<std::int64_t>(to, 40'001));
  }
  for (const std::int64_t stop : {1, 20'000, 20'001}) {
    std::int64_t last = 0;
    read_curve(*store_, {1, "x"}, 1, 40'001, [&](std::int64_t step, double) { return (last = step) < stop; });
    EXPECT_EQ(last, stop) << "nothing is read after the last that was wanted";
  }
}

TEST_F(CurvesTest, GlimpsesAreAllOfItWhereItIsShort) {
  Steps steps;
  for (std::int64_t step = 10; step < 30; ++step) steps.push_back(step);
  const std::int64_t run = add(steps);
  const auto seen = [&](std::int64_t from, std::int64_t to, int columns, std::int64_t rows, bool all) {
    Steps found;
    EXPECT_EQ(read_glimpses(*store_, {run, "x"}, from, to, columns, rows,
                            [&](std::int64_t step, double) { found.push_back(step); }),
              all);
    return found;
  };
  EXPECT_EQ(seen(10, 29, 4, 5, true), steps) << "as many as may be";
  EXPECT_EQ(seen(10, 29, 4, 4, false), (Steps{10, 11, 12, 13, 15, 16, 17, 18, 20, 21, 22, 23, 25, 26, 27, 28}));
  EXPECT_EQ(seen(10, 29, 1, 3, false), (Steps{10, 11, 12}));
  EXPECT_EQ(seen(0, 99, 10, 9, false), (Steps{10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 22, 23, 24, 25, 26, 27, 28}));
  EXPECT_EQ(seen(25, 124, 10, 5, true), (Steps{25, 26, 27, 28, 29})) << "each part has no more than it may";
}

TEST_F(CurvesTest, WhereStepsLie) {
  const std::int64_t one = add({5, 9}), two = add({-3, 7});
  for (const auto& [first, second] : {std::pair{one, two}, {two, one}}) {
    const StepRange both = step_range(*store_, {{first, "x"}, {second, "x"}, {one, "none"}});
    EXPECT_EQ(both.from, -3);
    EXPECT_EQ(both.to, 9);
  }
  for (const auto& [step, found] : {std::pair<std::int64_t, std::int64_t>{9, 9}, {100, 9}, {8, 5}, {5, 5}, {4, 4}})
    EXPECT_EQ(step_at_or_before(*store_, {one, "x"}, step), found);
}

TEST_F(CurvesTest, ABandHasTheSharedStepsWhereTheyAreMoreThanThreeQuarters) {
  const std::int64_t five = add({1, 2, 3, 4, 5}), other_end = add({1, 2, 3, 4, 6});
  EXPECT_EQ(band_steps({five, five}), (Steps{1, 2, 3, 4, 5}));
  EXPECT_EQ(band_steps({five, other_end}), (Steps{1, 2, 3, 4}));
  const std::int64_t four = add({1, 2, 3, 4}), three_of_it = add({1, 2, 3, 8});
  EXPECT_EQ(band_steps({four, three_of_it}), (Steps{1, 2, 3, 4, 5, 6, 7, 8}))
      << "three quarters are too few: evenly, from the first to the last";
  EXPECT_EQ(band_steps({four, three_of_it}, 2), (Steps{1, 5, 8}));
  const std::int64_t single = add({4});
  EXPECT_EQ(band_steps({single, add({4})}), (Steps{4}));
}

TEST_F(CurvesTest, ABandsMeanBetweenAndOutsideOfACurvesSteps) {
  const std::int64_t low = add({0, 4}, 1), high = add({0, 1, 2, 3, 8}, 3);
  const Band band = mean_band(*store_, {low, high}, "x", 400, parse_axis("step"));
  ASSERT_EQ(band.steps, (Steps{0, 1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(band.runs, 2);
  for (std::size_t i = 0; i < band.steps.size(); ++i) EXPECT_DOUBLE_EQ(band.mean[i], i <= 4 ? 2 : 3) << i;
  EXPECT_TRUE(std::isnan(band.low[5])) << "of one run there is no deviation";
  EXPECT_NEAR(band.high[4] - band.mean[4], 12.706204736 * std::sqrt(2) / std::sqrt(2), 1e-6);
}

TEST_F(CurvesTest, ABandOfSharesKeepsWithinThem) {
  for (const auto& [key, kept] : {std::pair<const char*, bool>{"acc", true},
                                  {"val/acc5", true},
                                  {"val/top_acc", true},
                                  {"val/agreement", true},
                                  {"easy/forgotten", true},
                                  {"f1", true},
                                  {"val.f1", true},
                                  {"val/loss", false},
                                  {"f1x", false},
                                  {"bacc", false}}) {
    const Band band = mean_band(*store_, {add({1}, 0.01, key), add({1}, 0.99, key)}, key, 10, parse_axis("step"));
    ASSERT_EQ(band.low.size(), 1u);
    EXPECT_EQ(band.low[0] == 0 && band.high[0] == 1, kept) << key;
    EXPECT_EQ(band.low[0] < 0 && band.high[0] > 1, !kept) << key;
  }
  const auto two = [&](double first, double second) {
    auto run = store_->begin({.name = "a"});
    run->log(run->key("acc"), 1, first), run->log(run->key("acc"), 2, second);
    run->finish("finished");
    return run->id();
  };
  for (const double edge : {0.0, 1.0}) {
    const Band band = mean_band(*store_, {two(edge, 0.01), two(edge, 0.99)}, "acc", 10, parse_axis("step"));
    EXPECT_EQ(band.low.at(1), 0) << "a mean of " << edge << " is a share's";
    EXPECT_EQ(band.high[1], 1);
  }
  const Band percent = mean_band(*store_, {add({1}, 3, "acc"), add({1}, 99, "acc")}, "acc", 10, parse_axis("step"));
  EXPECT_LT(percent.low[0], 0) << "counted in percent";
}

TEST_F(CurvesTest, PlacesOnAnAxis) {
  auto run = store_->begin({.name = "a"});
  run->progress(10, 0.5, 100, 1e6, 2);
  run->progress(20, 1, 300, 2e6, 5);
  run->finish("finished");
  const Positions samples(*store_, 1, parse_axis("samples")), seconds(*store_, 1, parse_axis("seconds")),
      steps(*store_, 1, parse_axis("step"));
  EXPECT_EQ(samples.of(0), 0);
  EXPECT_EQ(samples.of(5), 50);
  EXPECT_EQ(samples.of(10), 100);
  EXPECT_EQ(samples.of(15), 200);
  EXPECT_EQ(samples.of(20), 300);
  EXPECT_EQ(samples.of(21), std::nullopt);
  EXPECT_EQ(samples.of(-1), std::nullopt);
  EXPECT_EQ(seconds.of(10), 2000);
  EXPECT_EQ(steps.of(-7), -7);
  for (const char* name : {"step", "samples", "flops"}) EXPECT_EQ(parse_axis(name).unit, 1);
  for (const char* name : {"epoch", "seconds"}) EXPECT_EQ(parse_axis(name).unit, 1e-3);
  expect_error(Exit::usage, "--x: expected step, epoch, samples, flops or seconds; got 'time'",
               [] { parse_axis("time"); });
}

// 5e19 of them are a day of one accelerator, and more than an integer holds.
TEST_F(CurvesTest, MoreFlopsThanAnIntegerHolds) {
  std::vector<std::int64_t> runs;
  for (const double acc : {0.5, 0.7}) {
    auto run = store_->begin({.name = "a"});
    for (const int step : {0, 100, 200, 300}) {
      run->log(run->key("acc"), step, acc + step / 1000.0);
      run->progress(step, 1, step, step * 1e18, 1);
    }
    run->event(0, "stage", "easy", ""), run->event(100, "stage", "hard", "");
    run->finish("finished");
    runs.push_back(run->id());
  }
  const Axis axis = axis_of(*store_, runs, "flops");
  const auto at = [&](std::int64_t position) { return static_cast<double>(position) * axis.unit; };
  EXPECT_DOUBLE_EQ(at(Positions(*store_, runs[0], axis).of(150).value()), 1.5e20);
  const Band band = mean_band(*store_, runs, "acc", 100, axis);
  ASSERT_EQ(band.steps.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_DOUBLE_EQ(at(band.steps[i]), static_cast<double>(i) * 1e20);
    EXPECT_DOUBLE_EQ(band.mean[i], 0.6 + static_cast<double>(i) / 10);
  }
  const Json table = stage_table(*store_, runs[0]);
  EXPECT_DOUBLE_EQ(table.at(0)["flops"].get<double>(), 1e20);
  EXPECT_DOUBLE_EQ(table.at(1)["flops"].get<double>(), 2e20);
}

TEST_F(CurvesTest, AnAxisCountsInOnesWhereTheseAreToldApart) {
  const auto unit = [&](double flops, const char* name) {
    auto run = store_->begin({.name = "a"});
    run->progress(1, 0, 1, 10, 1), run->progress(2, 1, 1, flops, 1);
    run->finish("finished");
    return axis_of(*store_, {run->id()}, name).unit;
  };
  EXPECT_EQ(unit(9007199254740992.0, "flops"), 1);
  EXPECT_EQ(unit(9007199254740994.0, "flops"), 10);
  EXPECT_EQ(unit(1e30, "flops"), 1e15);
  EXPECT_EQ(unit(HUGE_VAL, "flops"), 1);
  EXPECT_EQ(unit(1e30, "samples"), 1);
  EXPECT_EQ(unit(1e30, "seconds"), 1e-3);
  EXPECT_EQ(axis_of(*store_, {}, "flops").unit, 1);
}

}  // namespace
}  // namespace gradus::results
