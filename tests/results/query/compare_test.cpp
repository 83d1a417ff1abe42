// What is asked of a comparison, read; what is compared where nobody says it; groups that differ in one thing.
#include <map>
#include <tuple>

#include "query/compare_impl.h"
#include "query/stages.h"
#include "store_fixture.h"

namespace gradus::results {

namespace {

void refuses(const std::string& text, const std::string& words, const std::function<void()>& parse) {
  try {
    parse();
    ADD_FAILURE() << text;
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), words);
    EXPECT_EQ(error.code, Exit::usage);
  }
}

TEST(CompareOptionsTest, Thresholds) {
  for (const auto& [text, key, at_least, value] :
       std::vector<std::tuple<const char*, const char*, bool, double>>{{"val/acc>=0.5", "val/acc", true, 0.5},
                                                                       {"val/acc >= 0.5", "val/acc", true, 0.5},
                                                                       {"a<=1e3", "a", false, 1000},
                                                                       {"ab  <=-2", "ab", false, -2},
                                                                       {"a>=0", "a", true, 0}}) {
    const Threshold t = parse_threshold(text);
    EXPECT_EQ(t.key, key) << text;
    EXPECT_EQ(t.at_least, at_least) << text;
    EXPECT_EQ(t.value, value) << text;
  }
  for (const char* bad :
       {"", ">=1", "=>1", "a", "a>1", "a<", "a>", "a>=", "a>=x", "a>=1x", "a>=inf", "a>=nan", "a b>=1", "a=>1", "a=1"})
    refuses(bad, "--threshold: expected METRIC>=NUMBER or METRIC<=NUMBER; got '" + std::string(bad) + "'",
            [&] { parse_threshold(bad); });
}

TEST(CompareOptionsTest, Budgets) {
  for (const char* axis : {"step", "samples", "flops", "seconds"}) {
    const Budget budget = parse_budget(std::string(axis) + "=1.5e3");
    EXPECT_EQ(budget.axis, axis);
    EXPECT_EQ(budget.value, 1500);
  }
  for (const char* bad :
       {"", "step", "step=", "steps=1", "=1", "epoch=1", "step=x", "step=1x", "step=inf", "step=nan", "step= "})
    refuses(bad, "--at: expected step=N, samples=N, flops=X or seconds=S; got '" + std::string(bad) + "'",
            [&] { parse_budget(bad); });
}

class CompareTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    store_ = create();
  }
  void add(const std::string& strategy, std::int64_t seed, const std::vector<std::string>& keys,
           const std::string& status = "finished") {
    auto run = store_->begin({.name = "a", .seed = seed, .params = {{"strategy", strategy}}});
    for (const std::string& key : keys) run->log(run->key(key), 1, 0.5);
    run->finish(status);
  }
  std::string metrics() {
    std::string keys;
    const Json compared = compare(*store_, {});
    for (const Json& one : compared["metrics"]) keys += (keys.empty() ? "" : " ") + one["key"].get<std::string>();
    return keys;
  }

  std::shared_ptr<Store> store_;
};

TEST_F(CompareTest, WhichMetricsWhereNobodySays) {
  EXPECT_EQ(metrics(), "");
  add("s", 1, {"hard/acc", "knob/lr"});
  EXPECT_EQ(metrics(), "");
  add("s", 2, {"train/loss"});
  EXPECT_EQ(metrics(), "train/loss");
  add("s", 3, {"val/loss", "val/f1", "retrieval/x"});
  EXPECT_EQ(metrics(), "val/f1 val/loss");
  add("s", 4, {"val/acc"});
  EXPECT_EQ(metrics(), "val/acc");
  add("s", 5, {"result/test", "result/a"});
  EXPECT_EQ(metrics(), "result/a result/test");
}

TEST_F(CompareTest, LostRunsOfStagesAreCounted) {
  for (const char* strategy : {"one", "two"}) {
    for (std::int64_t seed = 1; seed <= 3; ++seed) {
      auto run = store_->begin({.name = "a", .seed = seed, .params = {{"strategy", std::string(strategy)}}});
      run->event(0, "stage", "easy", R"({"rows":30,"of":2})");
      run->log(run->key("val/acc"), 5, 0.5);
      run->event(5, "stage", "hard", R"({"rows":60,"of":2})");
      run->log(run->key("val/acc"), 10, 0.75);
      run->finish(seed > (strategy[0] == 'o' ? 2 : 1) ? "failed" : "finished");
    }
  }
  const Json compared = compare_stages(*store_, {.by = {"strategy", "stage"}});
  EXPECT_EQ(compared["lost"], 3);
  ASSERT_EQ(compared["groups"].size(), 4u);
  EXPECT_EQ(compared["groups"][0]["total"], 2);
  EXPECT_EQ(compared["groups"][3]["total"], 1);
  EXPECT_EQ(compared["by"], (Json{"strategy", "stage"}));
  EXPECT_EQ(compared["groups"][1]["stage"], "hard");
}

TEST_F(CompareTest, WhatNoRunHasIsNamed) {
  add("s", 1, {"val/acc"});
  add("s", 2, {"val/loss", "val/ac"});
  for (const auto& [key, meant] : {std::pair{"val/loss", ""}, {"val/ac", " (did you mean 'val/acc'?)"}})
    refuses(key, std::string("compare: no run has the metric '") + key + "'" + meant,
            [&, key = key] { compare(*store_, {.filter = {.where = "id = 1"}, .metrics = {key}}); });
  refuses("stage", "--by: only `gradus compare` goes stage by stage; expected a parameter; got 'stage'",
          [&] { compare(*store_, {.by = {"stage"}}); });
}

TEST_F(CompareTest, WhichRunsCount) {
  const auto running = store_->begin({.name = "a", .seed = 1});
  running->log(running->key("val/acc"), 1, 0.5);
  add("s", 2, {"val/acc"});
  add("s", 3, {"val/acc"}, "failed");
  using Counted = std::map<std::int64_t, bool>;
  struct {
    bool unfinished, running;
    Counted runs;
  } const cases[] = {{false, false, {{2, true}, {3, false}}},
                     {true, false, {{1, true}, {2, true}, {3, true}}},
                     {false, true, {{1, true}, {2, true}, {3, false}}}};
  for (const auto& one : cases) {
    Counted counted;
    for (const ComparedRun& run : compared_runs(*store_, {.unfinished = one.unfinished, .running = one.running}))
      counted[run.id] = run.counted;
    EXPECT_EQ(counted, one.runs) << one.unfinished << one.running;
  }
}

TEST_F(CompareTest, AParameterThatSomeRunsLackTellsThemApart) {
  store_->begin({.name = "a", .seed = 1, .params = {{"lr", 0.1}}})->finish("finished");
  store_->begin({.name = "a", .seed = 2, .params = {{"lr", 0.1}, {"warm", true}}})->finish("finished");
  EXPECT_EQ(compare(*store_, {})["by"], (Json{"name", "warm"}));
  store_->begin({.name = "a", .seed = 3, .params = {{"lr", 0.1}, {"warm", true}, {"old", 1.5}}})->finish("failed");
  EXPECT_EQ(compare(*store_, {})["by"], (Json{"name", "old", "warm"}));
  store_->begin({.name = "b", .seed = 3, .params = {{"seed", std::int64_t{3}}, {"lr", 0.1}, {"warm", true}}})
      ->finish("finished");
  EXPECT_EQ(compare(*store_, {.filter = {.where = "id != 3"}})["by"], (Json{"name", "warm"}));
}

}  // namespace
}  // namespace gradus::results
