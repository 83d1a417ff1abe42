// Values that need a run's progress or curve, against a plain walk over all of its rows.
#include <cmath>
#include <limits>
#include <random>

#include "query/compare_impl.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

class MeasuresTest : public StoreTest {
 protected:
  struct Row {
    std::int64_t step;
    double seconds;
  };
  // A run of these rows; its curve's values are their numbers from 0.
  ComparedRun run_of(const std::vector<Row>& rows) {
    auto run = store_->begin({.name = "x"});
    const std::uint32_t key = run->key("val/acc");
    for (std::size_t i = 0; i < rows.size(); ++i) {
      run->progress(rows[i].step, 0, 10 * static_cast<std::int64_t>(i), 0, rows[i].seconds);
      run->log(key, rows[i].step, static_cast<double>(i));
    }
    run->finish("finished");
    ComparedRun compared{run->id(), {}, true, {}};
    if (!rows.empty())
      compared.curves["val/acc"] = {rows.size() - 1.0, 0, rows.size() - 1.0, static_cast<std::int64_t>(rows.size())};
    return compared;
  }
  void SetUp() override {
    StoreTest::SetUp();
    store_ = create();
  }
  std::shared_ptr<Store> store_;
};

// As measures.cpp promises: the greatest step at which at most that much was spent; between two rows in proportion.
double step_of(const std::vector<std::pair<std::int64_t, double>>& rows, double budget) {
  double step = 0, amount = 0;
  for (const auto& [next, more] : rows) {
    if (more > budget)
      return std::floor(step + ((budget - amount) / (more - amount) + 1e-12) * (static_cast<double>(next) - step));
    step = static_cast<double>(next), amount = more;
  }
  return HUGE_VAL;
}

TEST_F(MeasuresTest, TheStepOfABudgetIsThatOfAWalkOverAllRows) {
  std::mt19937 random(7);
  constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();
  std::vector<std::vector<Row>> all = {{},       {{0, 0}},         {{0, 4}},         {{0, 4}, {1, 6}},    {{1, 4}},
                                       {{1, 0}}, {{0, 2}, {7, 2}}, {{5, 3}, {6, 3}}, {{3, 1}, {kLast, 2}}};
  for (int i = 0; i < 20; ++i) {
    std::vector<Row>& rows = all.emplace_back();
    std::int64_t step = static_cast<std::int64_t>(random() % 3);
    double seconds = static_cast<double>(random() % 2);
    for (std::size_t count = 1 + random() % 9; count > 0; --count) {
      rows.push_back({step, seconds});
      step += 1 + static_cast<std::int64_t>(random() % 5),
          seconds += static_cast<double>(random() % 4);  // and where nothing was spent
    }
  }
  std::vector<ComparedRun> runs;
  for (const auto& rows : all) runs.push_back(run_of(rows));
  for (double budget = 0; budget < 16; budget += .5) {
    const RunValues found = budget_steps(*store_, runs, {"seconds", budget});
    for (std::size_t i = 0; i < all.size(); ++i) {
      ASSERT_EQ(found.count(runs[i].id), all[i].empty() ? 0U : 1U);
      if (all[i].empty()) continue;
      std::vector<std::pair<std::int64_t, double>> rows;
      for (const Row& row : all[i]) rows.emplace_back(row.step, row.seconds);
      EXPECT_EQ(found.at(runs[i].id), step_of(rows, budget)) << "run " << i << ", budget " << budget;
    }
  }
  EXPECT_EQ(budget_steps(*store_, {runs[0], runs[1]}, {"step", 12}), (RunValues{{runs[0].id, 12}, {runs[1].id, 12}}));
}

TEST_F(MeasuresTest, ValuesAtStepsAndWhatWasSpentByThen) {
  const ComparedRun one = run_of({{2, 3}, {6, 5}, {7, 5}, {10, 8}}), none = run_of({});
  struct {
    double step, value, seconds, samples;  // NaN: none
  } const cases[] = {{1, NAN, 1.5, 0}, {2, 0, 3, 0},       {3, 0, 3.5, 2.5}, {6, 1, 5, 10},     {6.5, 1, 5, 15},
                     {7, 2, 5, 20},    {9, 2, 7, 80. / 3}, {10, 3, 8, 30},   {11, 3, NAN, NAN}, {0, NAN, 0, 0}};
  for (const auto& [step, value, seconds, samples] : cases) {
    SCOPED_TRACE(step);
    const RunValues values = values_at(*store_, "val/acc", {{one.id, step}, {none.id, step}});
    EXPECT_EQ(values.size(), std::isnan(value) ? 0U : 1U);
    if (!std::isnan(value)) {
      EXPECT_EQ(values.at(one.id), value);
    }
    auto spent = spent_at(*store_, {{one.id, step}, {none.id, step}});
    EXPECT_EQ(spent.size(), 3U);
    EXPECT_TRUE(std::isnan(spent["seconds"].at(none.id)));
    if (std::isnan(seconds)) {
      EXPECT_TRUE(std::isnan(spent["seconds"].at(one.id)));
    } else {
      EXPECT_DOUBLE_EQ(spent["seconds"].at(one.id), seconds);
      EXPECT_DOUBLE_EQ(spent["samples"].at(one.id), samples);
    }
  }
}

// The area of trapezoids over the steps between; a value that is not a number takes no part.
TEST_F(MeasuresTest, AreasOfSeveralRuns) {
  const ComparedRun even = run_of({{0, 0}, {1, 0}, {2, 0}}), uneven = run_of({{0, 0}, {1, 0}, {5, 0}}),
                    one = run_of({{7, 0}}), none = run_of({});
  EXPECT_EQ(areas(*store_, {even, none, uneven, one}, "val/acc"),
            (RunValues{{even.id, 1}, {uneven.id, (0.5 + 4 * 1.5) / 5}, {one.id, 0}}));
  const char* const query = "SELECT auc(column1, column2) FROM (VALUES (0, 4), (1, NULL), (2, 4), (3, NULL))";
  EXPECT_EQ(std::get<double>(store_->query(query).rows.at(0).at(0)), 4);
  EXPECT_EQ(store_->query("SELECT auc(1, NULL)").rows.at(0).at(0), Cell());
  try {
    store_->query("SELECT 'a' REGEXP '('");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("bad regular expression '('; got "), std::string::npos) << error.what();
  }
}

// As its last and its best value are none either: it is an outcome, not a run that never logged the metric.
TEST_F(MeasuresTest, ACurveWithoutANumberHasAnAreaThatIsNone) {
  auto run = store_->begin({.name = "x"});
  for (const int step : {1, 2}) run->log(run->key("val/acc"), step, std::nan(""));
  run->finish("finished");
  ComparedRun diverged{run->id(), {}, true, {}};
  diverged.curves["val/acc"] = {std::nan(""), std::nan(""), std::nan(""), 2};
  const RunValues found = areas(*store_, {diverged, run_of({})}, "val/acc");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(std::isnan(found.at(diverged.id)));
}

TEST_F(MeasuresTest, TheFirstStepAtAThreshold) {
  const ComparedRun one = run_of({{2, 0}, {6, 0}, {7, 0}}), none = run_of({});
  struct {
    double threshold;
    bool at_least;
    std::int64_t step;  // -1: never
  } const cases[] = {{0, true, 2},    {.5, true, 6}, {1, true, 6},    {2, true, 7},
                     {2.5, true, -1}, {0, false, 2}, {-1, false, -1}, {5, false, 2}};
  for (const auto& [threshold, at_least, step] : cases) {
    const RunValues found = first_steps(*store_, {one, none}, {"val/acc", at_least, threshold});
    EXPECT_EQ(found, step < 0 ? RunValues{} : (RunValues{{one.id, static_cast<double>(step)}}))
        << threshold << at_least;
  }
  EXPECT_TRUE(first_steps(*store_, {one}, {"val/loss", true, 0}).empty());
}

}  // namespace
}  // namespace gradus::results
