#include "query/stages.h"

#include <cmath>

#include "query/stage_text.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

class StagesTest : public StoreTest {
 protected:
  // Two stages of 20 and 10 steps, back to the first for 10 more. val/acc is .1 and a hundredth each step, easy/acc 1.
  std::int64_t add(const std::string& strategy, std::int64_t seed, double more = 0,
                   const std::string& status = "finished") {
    RunStart start{.name = "digits", .seed = seed, .config_hash = strategy};
    start.params = {{"strategy", strategy}, {"seed", seed}};
    const auto run = store_->begin(start);
    const int acc = run->key("val/acc"), forgotten = run->key("val/forgotten"), easy = run->key("easy/acc");
    const int own = run->key("stage/loss");
    run->log(run->key("val/teacher_acc"), 0, .9);
    run->log(run->key("easy/teacher_acc"), 0, 1);
    run->event(0, "stage", "easy", R"({"rows":30,"of":2})");
    for (std::int64_t step = 5; step <= 40; step += 5) {
      run->log(acc, step, .1 + .01 * static_cast<double>(step) + more);
      run->log(forgotten, step, step > 20 ? .25 : 0);
      run->log(easy, step, 1);
      run->log(own, step, step <= 20 ? 1 : 2);
      run->log(run->key("train/loss"), step, 3);
      run->progress(step, 1, 8 * step, 1000.0 * static_cast<double>(step), .001 * static_cast<double>(step));
      if (step == 20) run->event(step, "stage", "hard", R"({"rows":90,"of":2})");
      if (step == 30) run->event(step, "stage", "easy", R"({"rows":30,"of":2})");
    }
    run->finish(status);
    return std::stoll(ask(*store_, "SELECT max(id) FROM runs"));
  }
  std::int64_t ramp(int of) {
    const auto run = store_->begin({.name = "ramp", .seed = 1});
    const std::string count = std::to_string(of);
    run->event(0, "stage", "all", "{\"rows\":20,\"of\":" + count + "}");
    run->event(0, "level", "level 1", R"({"rows":20})");
    run->log(run->key("val/loss"), 10, 2);
    run->event(10, "level", "level 2", R"({"rows":60})");
    run->log(run->key("val/loss"), 30, kNan);
    if (of > 1) run->event(30, "stage", "last", "{\"rows\":100,\"of\":" + count + "}");
    run->log(run->key("val/loss"), 40, 1);
    run->finish("finished");
    return std::stoll(ask(*store_, "SELECT max(id) FROM runs"));
  }
  std::vector<std::string> spans(std::int64_t run) {
    std::vector<std::string> all;
    for (const Stage& one : stages(*store_, run))
      all.push_back(label(one) + " " + std::to_string(one.from) + "-" + std::to_string(one.to) + " of " +
                    one.rows.dump());
    return all;
  }

  static constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  std::shared_ptr<Store> store_;
  void SetUp() override {
    StoreTest::SetUp();
    store_ = create();
  }
  void TearDown() override {
    store_.reset();
    StoreTest::TearDown();
  }
};

using Texts = std::vector<std::string>;

TEST_F(StagesTest, AStageHasTheStepsUntilTheNextAndVisitsAreCounted) {
  EXPECT_EQ(spans(add("stages", 1)), (Texts{"easy 0-20 of 30", "hard 20-30 of 90", "easy, visit 2 30-40 of 30"}));
}

TEST_F(StagesTest, LevelsOfARampAreStages) {
  EXPECT_EQ(spans(ramp(1)), (Texts{"level 1 0-10 of 20", "level 2 10-40 of 60"}));
  EXPECT_EQ(spans(ramp(2)), (Texts{"all, level 1 0-10 of 20", "all, level 2 10-30 of 60", "last 30-40 of 100"}));
}

TEST_F(StagesTest, WhatIsMeasuredAtAStagesEndIsItsOwn) {
  const Json rows = stage_table(*store_, add("stages", 1));
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_NEAR(rows[0]["values"]["val/acc"].get<double>(), .3, 1e-12);
  EXPECT_NEAR(rows[1]["values"]["val/acc"].get<double>(), .4, 1e-12);
  EXPECT_NEAR(rows[2]["change"]["val/acc"].get<double>(), .1, 1e-12);
  EXPECT_TRUE(rows[0]["change"].empty());
  EXPECT_EQ(rows[1]["change"]["easy/acc"], 0.0);
  EXPECT_EQ(rows[1]["loss"], 2.0);
  EXPECT_EQ(rows[1]["steps"], 10);
  EXPECT_EQ(rows[1]["samples"], 80.0);
  EXPECT_EQ(rows[1]["flops"], 10000.0);
  EXPECT_NEAR(rows[1]["seconds"].get<double>(), .01, 1e-12);
  EXPECT_EQ(rows[1]["teacher"].dump(), R"({"easy":1.0,"val":0.9})");
  EXPECT_FALSE(rows[1]["values"].contains("train/loss"));
}

TEST_F(StagesTest, NaNIsAValueAndTellsNoChange) {
  const Json rows = stage_table(*store_, ramp(2));
  EXPECT_TRUE(rows[1]["values"]["val/loss"].is_null());
  EXPECT_TRUE(rows[1]["change"].empty() && rows[2]["change"].empty());
  EXPECT_TRUE(rows[0]["flops"].is_null()) << "no progress was told";
}

TEST_F(StagesTest, ARunWithoutStagesHasNone) {
  const auto run = store_->begin({.name = "loop", .seed = 1});
  run->log(run->key("val/acc"), 1, .5);
  run->finish("finished");
  EXPECT_EQ(stage_table(*store_, 1).dump(), "[]");
  EXPECT_TRUE(stage_text(stage_table(*store_, 1)).rows.empty());
}

TEST_F(StagesTest, TheTableHasValueChangeAndWhatIsForgotten) {
  const StageText text = stage_text(stage_table(*store_, add("stages", 1)));
  EXPECT_EQ(text.titles, (Texts{"stage", "rows", "steps", "FLOPs", "stage/loss", "val/acc", "change", "forgotten",
                                "easy/acc", "change"}));
  ASSERT_EQ(text.rows.size(), 4U);
  EXPECT_EQ(text.rows[1], (Texts{"hard", "90", "10", "10000", "2", "0.4000", "+0.1000", "0.2500", "1", "0"}));
  EXPECT_EQ(text.rows[3], (Texts{"teacher", "–", "–", "–", "–", "0.9000", "–", "–", "1", "–"}));
}

TEST_F(StagesTest, GroupsAreComparedStageByStage) {
  add("stages", 1), add("stages", 2, .02), add("stages", 3, 0, "failed");
  ramp(1);
  CompareOptions options;
  options.by = {"stage"};
  ASSERT_TRUE(is_by_stage(*store_, options.by));
  const Json compared = compare_stages(*store_, options);
  EXPECT_EQ(compared["by"].dump(), R"(["name","strategy","stage"])");
  EXPECT_EQ(compared["metrics"].dump(), R"(["val/acc","easy/acc"])");
  EXPECT_EQ(compared["lost"], 1);
  ASSERT_EQ(compared["groups"].size(), 5U);
  const Json& hard = compared["groups"][1];
  EXPECT_EQ(hard["stage"], "hard");
  EXPECT_EQ(hard["n"], 2);
  EXPECT_NEAR(hard["values"]["val/acc"]["mean"].get<double>(), .41, 1e-12);
  EXPECT_NEAR(hard["change"]["val/acc"]["mean"].get<double>(), .1, 1e-12);
  EXPECT_EQ(compared["groups"][2]["visit"], 2);
  const StageText text = stage_groups_text(compared);
  EXPECT_EQ(Texts(text.rows[1].begin(), text.rows[1].begin() + 7),
            (Texts{"digits", "stages", "hard", "2", "90", "10", "10000"}));
  EXPECT_EQ(text.rows[1][8], "0.410 ± 0.014");
  EXPECT_EQ(text.rows[3][2], "teacher");
}

TEST_F(StagesTest, MetricsAreChosenAndWhatHasNoMeaningIsRefused) {
  add("stages", 1);
  CompareOptions options;
  options.by = {"strategy", "stage"};
  options.metrics = {"easy_acc"};
  EXPECT_EQ(compare_stages(*store_, options)["metrics"].dump(), R"(["easy/acc"])");
  options.versus = "stages";
  expect_error(Exit::usage, "--versus: has no meaning with --by stage", [&] { compare_stages(*store_, options); });
  options.versus = "";
  options.auc = true;
  expect_error(Exit::usage, "--auc", [&] { compare_stages(*store_, options); });
  options = {};
  options.by = {"stge"};
  expect_error(Exit::usage, "did you mean 'stage'?", [&] { compare(*store_, options); });
}

TEST_F(StagesTest, AParameterOfThisNameComesFirst) {
  RunStart start{.name = "digits", .seed = 1};
  start.params = {{"stage", std::int64_t{2}}};
  store_->begin(start)->finish("finished");
  EXPECT_FALSE(is_by_stage(*store_, {"stage"}));
}

}  // namespace
}  // namespace gradus::results
