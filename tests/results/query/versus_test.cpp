// Groups against a baseline: runs that came to nothing, verdicts, margins.
#include <algorithm>
#include <cmath>

#include "query/query.h"
#include "query/statistics.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

class VersusTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    store_ = create();
  }
  struct Made {
    std::string status = "finished", code = "1";
    std::int64_t temperature = 2;
    std::string key = "result/acc";
    bool logged = true;
    std::vector<Source> sources = {};
  };
  void add(const std::string& way, std::int64_t seed, double value) { add(way, seed, value, Made()); }
  void add(const std::string& way, std::int64_t seed, double value, const Made& made) {
    RunStart start{.name = "v", .seed = seed, .config_hash = way + std::to_string(made.temperature) + made.code};
    start.params = {{"way", way}, {"T", made.temperature}};
    start.sources = made.sources;
    auto run = store_->begin(start);
    if (made.logged) run->log(run->key(made.key), 1, value);
    run->finish(made.status, made.status == "failed" ? "it broke" : "");
  }
  Json compared(const std::function<void(CompareOptions&)>& set = [](CompareOptions&) {}) {
    CompareOptions options;
    options.versus = "base";
    options.by = {"way"};
    set(options);
    return compare(*store_, options);
  }
  Json one(const std::function<void(CompareOptions&)>& set = [](CompareOptions&) {}) {
    const Json all = compared(set)["versus"]["comparisons"];
    EXPECT_EQ(all.size(), 1U);
    return all[0];
  }
  std::shared_ptr<Store> store_;
};

TEST_F(VersusTest, OfSeveralVersionsOfTheCodeTheNewestIsTheBaseline) {
  for (int seed = 1; seed <= 3; ++seed) {
    add("base", seed, 0.50, {.code = "old"});
    add("base", seed, 0.80, {.code = "new"});
    add("other", seed, 0.81, {.code = "new"});
  }
  const Json all = compared([](CompareOptions& options) { options.by = {}; });
  EXPECT_TRUE(std::find(all["by"].begin(), all["by"].end(), "config") != all["by"].end());
  const Json comparisons = all["versus"]["comparisons"];
  ASSERT_EQ(comparisons.size(), 1U);
  EXPECT_NEAR(comparisons[0]["mean"].get<double>(), 0.01, 1e-12);
}

// Where none is like a group in all else, the only one there is; of two nobody knows which.
TEST_F(VersusTest, TheOnlyBaselineIsThatOfOtherParametersToo) {
  const auto means = [&] {
    const Json all = compared([](CompareOptions& options) { options.by = {"way", "T"}; });
    std::string text;
    for (const Json& one : all["versus"]["comparisons"]) text += one["mean"].dump() + " ";
    return text;
  };
  for (int seed = 1; seed <= 3; ++seed) {
    add("base", seed, 0.5);
    add("other", seed, 0.75, {.temperature = 4});
  }
  EXPECT_EQ(means(), "0.25 ");
  for (int seed = 1; seed <= 3; ++seed) add("base", seed, 0.25, {.temperature = 3});
  EXPECT_EQ(means(), "");
  for (int seed = 1; seed <= 3; ++seed) add("base", seed, 0.625, {.temperature = 4});
  EXPECT_EQ(means(), "0.125 ");
}

TEST_F(VersusTest, ADivergedSeedIsAnOutcome) {
  const double ours[] = {0.90, kNan, 0.91};
  for (int seed = 1; seed <= 3; ++seed) {
    add("base", seed, 0.80 + seed / 100.0);
    add("new", seed, ours[seed - 1]);
  }
  const Json all = compared(), group = all["groups"][1], one = all["versus"]["comparisons"][0];
  EXPECT_EQ(all["versus"]["comparisons"].size(), 1U) << "one line for a result";
  EXPECT_EQ(group["n"], 3);
  EXPECT_EQ(group["metrics"]["result/acc"]["last"]["n"], 2);
  EXPECT_EQ(group["metrics"]["result/acc"]["diverged"], 1);
  EXPECT_EQ(one["lost"].dump(), R"({"group":1,"baseline":0,"both":0})");
  EXPECT_EQ(one["pairs"], 2);
  EXPECT_EQ(one["test"], "signs");
  EXPECT_EQ(one["p"], 1) << "two won, one lost";
  EXPECT_EQ(one["verdict"], "open");
}

TEST_F(VersusTest, ManyLossesDecide) {
  for (int seed = 1; seed <= 8; ++seed) {
    add("base", seed, 0.5);
    add("new", seed, seed % 2 == 0 ? HUGE_VAL : kNan);  // not finite, whatever its sign
  }
  const Json one = this->one();
  EXPECT_EQ(one["pairs"], 0);
  EXPECT_EQ(one["losses"], 8);
  EXPECT_DOUBLE_EQ(one["p"].get<double>(), 2.0 / 256);
  EXPECT_EQ(one["verdict"], "worse");
}

TEST_F(VersusTest, LossesOfTheBaselineCountForTheGroup) {
  for (int seed = 1; seed <= 8; ++seed) {
    add("base", seed, 0.5, {.status = seed < 3 ? "failed" : "finished"});
    add("new", seed, 0.7 + seed / 100.0);
  }
  const Json one = this->one();
  EXPECT_EQ(one["lost"]["baseline"], 2);
  EXPECT_EQ(one["wins"], 8);
  EXPECT_EQ(one["verdict"], "better");
}

TEST_F(VersusTest, FailedRunsArePresent) {
  for (int seed = 1; seed <= 3; ++seed) {
    add("base", seed, 0.5 + seed / 100.0);
    add("dead", seed, 0.9, {.status = "failed"});
    add("part", seed, 0.6 + seed * seed / 100.0, {.status = seed == 2 ? "interrupted" : "finished"});
  }
  const Json all = compared();
  ASSERT_EQ(all["groups"].size(), 3U);
  EXPECT_EQ(all["groups"][0]["total"], 3);
  const Json &dead = all["groups"][1], &part = all["groups"][2];
  EXPECT_EQ(dead["n"], 0);
  EXPECT_EQ(dead["total"], 3);
  EXPECT_EQ(dead["lost"][0].dump(), R"({"run":2,"seed":1,"status":"failed","error":"it broke"})");
  EXPECT_TRUE(dead["metrics"]["result/acc"]["last"]["mean"].is_null()) << "what it had logged is no result";
  EXPECT_EQ(part["n"], 2);
  EXPECT_EQ(part["total"], 3);
  EXPECT_EQ(part["lost"][0]["status"], "interrupted");
  EXPECT_EQ(all["versus"]["comparisons"][1]["lost"]["group"], 1);
  const Json asked = compared([](auto& o) { o.unfinished = true; });
  EXPECT_EQ(asked["groups"][1]["n"], 3) << "their values count where they are asked for";
  EXPECT_EQ(asked["groups"][1]["lost"].size(), 0U);
}

TEST_F(VersusTest, ARepetitionReplacesAFailure) {
  add("base", 1, 0.5);
  add("base", 2, 0.6, {.status = "failed"});
  add("base", 2, 0.6);
  add("base", 1, 0.5, {.status = "interrupted"});
  const Json group = compared([](auto& o) { o.versus.clear(); })["groups"][0];
  EXPECT_EQ(group["n"], 2);
  EXPECT_EQ(group["total"], 2);
  EXPECT_EQ(group["repeated"], 2);
}

TEST_F(VersusTest, FailuresOfOlderCodeAreNoOutcomesOfThisOne) {
  add("base", 1, 0.5, {.status = "failed", .code = "old"});
  add("base", 1, 0.5);
  add("never", 1, 0.5, {.status = "failed", .code = "old"});
  const Json all = compared([](auto& o) { o.versus.clear(), o.by.clear(); });
  ASSERT_EQ(all["groups"].size(), 2U) << all["groups"].dump();
  EXPECT_EQ(all["groups"][0]["label"]["way"], "base");
  EXPECT_EQ(all["groups"][0]["total"], 1);
  EXPECT_EQ(all["groups"][1]["total"], 1) << "but what never worked is shown";
  EXPECT_EQ(all["outdated"], 1);
}

// It failed before the test set was read, or a module required: its configuration's hash is another.
TEST_F(VersusTest, AFailureThatHadReadLessIsOfTheCodeItHadRead) {
  const std::vector<Source> begun = {{"x.lua", "code"}}, whole = {{"late.lua", "more"}, {"x.lua", "code"}};
  for (int seed = 1; seed <= 3; ++seed) {
    add("base", seed, 0.5 + seed / 100.0, {.sources = whole});
    if (seed < 3) add("new", seed, 0.6, {.sources = whole});
  }
  add("new", 3, 0, {.status = "failed", .code = "before the data", .logged = false, .sources = begun});
  add("new", 2, 0, {.status = "failed", .code = "before the data", .logged = false, .sources = begun});
  add("new", 4, 0, {.status = "failed", .code = "another", .logged = false, .sources = {{"x.lua", "older"}}});
  const Json all = compared([](auto& o) { o.by.clear(); });
  ASSERT_EQ(all["groups"].size(), 2U) << all["groups"].dump();
  const Json& group = all["groups"][1];
  EXPECT_EQ(group["total"], 3);
  EXPECT_EQ(group["lost"][0]["seed"], 3);
  EXPECT_EQ(group["repeated"], 1) << "seed 2 has ended";
  EXPECT_EQ(all["outdated"], 1);
  EXPECT_EQ(all["versus"]["comparisons"][0]["lost"]["group"], 1);
}

TEST_F(VersusTest, AMetricThatAGroupNeverLogsIsNoLoss) {
  for (int seed = 1; seed <= 2; ++seed) {
    add("base", seed, 0.5);
    add("other", seed, 0.5, {.key = "result/f1"});
    add("some", seed, 0.5 + seed / 100.0, {.logged = seed == 1});
  }
  const Json all = compared([](auto& o) { o.metrics = {"result/acc"}; });
  EXPECT_EQ(all["versus"]["comparisons"][0]["lost"]["group"], 0);
  EXPECT_EQ(all["versus"]["comparisons"][0]["pairs"], 0);
  EXPECT_EQ(all["versus"]["comparisons"][1]["lost"]["group"], 1);
  EXPECT_EQ(all["groups"][2]["metrics"]["result/acc"]["missing"], 1);
}

TEST_F(VersusTest, NeverReachingIsALoss) {
  for (int seed = 1; seed <= 3; ++seed) {
    add("base", seed, 0.9);
    add("new", seed, seed == 3 ? 0.2 : 0.9);
  }
  const Json all = compared([](auto& o) { o.threshold = parse_threshold("result/acc>=0.5"); });
  for (const Json& one : all["versus"]["comparisons"]) {
    if (one["measure"] == "steps_to") {
      EXPECT_EQ(one["lost"]["group"], 1);
    }
  }
  EXPECT_EQ(all["groups"][1]["steps_to"]["reached"], 2);
  EXPECT_EQ(all["groups"][1]["steps_to"]["n"], 3);
}

// Three noisy pairs whose mean is exactly zero say that little is known, not that there is nothing.
TEST_F(VersusTest, NoDifferenceOnlyWithinAMargin) {
  const double ours[] = {0.90, 0.94, 0.92}, theirs[] = {0.94, 0.90, 0.92};
  for (int seed = 1; seed <= 3; ++seed) {
    add("base", seed, theirs[seed - 1]);
    add("new", seed, ours[seed - 1]);
  }
  const Json plain = one();
  EXPECT_EQ(plain["verdict"], "open");
  EXPECT_TRUE(plain["seeds_needed"].is_null());
  EXPECT_TRUE(plain["p_equal"].is_null());
  const Json narrow = one([](auto& o) { o.margins = {parse_margin("0.05")}; });
  EXPECT_EQ(narrow["verdict"], "open");
  EXPECT_NEAR(narrow["p_equal"].get<double>(), equivalence({-0.04, 0.04, 0}, 0.05), 1e-12);
  EXPECT_EQ(narrow["seeds_needed"], pairs_needed_equivalence(0, 0.04, 0.05));
  const Json wide = one([](auto& o) { o.margins = {parse_margin("0.01"), parse_margin("result/acc=0.2")}; });
  EXPECT_EQ(wide["margin"], 0.2);
  EXPECT_EQ(wide["verdict"], "no difference");
}

TEST_F(VersusTest, AnEffectWithinTheMarginIsNone) {
  for (int seed = 1; seed <= 6; ++seed) {
    add("base", seed, 0.5 + seed / 10.0);
    add("new", seed, 0.501 + seed / 10.0 + (seed % 2) * 1e-4);
  }
  EXPECT_EQ(one()["verdict"], "better");
  EXPECT_EQ(one([](auto& o) { o.margins = {{"", 0.01}}; })["verdict"], "no difference");
  EXPECT_EQ(one([](auto& o) { o.margins = {{"", 0.0005}}; })["verdict"], "better");
}

TEST_F(VersusTest, TheMeanOfARunsSeed) {
  add("base", 1, 10);
  add("base", 1, 11, {.temperature = 3});  // another run of the seed, in the same group
  add("base", 2, 10);
  add("new", 1, 17.5);
  add("new", 2, 17);
  const Json one = this->one([](auto& o) { o.metrics = {"result/acc"}; });
  EXPECT_EQ(one["pairs"], 2);
  EXPECT_DOUBLE_EQ(one["mean"].get<double>(), 7);
}

TEST_F(VersusTest, ABaselineOfSeveralColumns) {
  for (const char* way : {"base", "new"}) {
    for (const std::int64_t temperature : {2, 4}) {
      for (int seed = 1; seed <= 2; ++seed)
        add(way, seed, 0.1 * static_cast<double>(temperature) + seed + (*way == 'n' ? 0.01 : 0),
            {.temperature = temperature});
    }
  }
  const auto of = [&](const std::string& versus) {
    return compared([&](auto& o) { o.by = {"way", "T"}, o.versus = versus; })["versus"];
  };
  const Json both = of("way=base,T=4");
  EXPECT_EQ(both["column"], "way,T");
  EXPECT_EQ(both["value"], "base,4");
  ASSERT_EQ(both["comparisons"].size(), 3U) << "each other group against the one that was named";
  EXPECT_EQ(both["comparisons"][0]["baseline"], 1);
  EXPECT_NEAR(both["comparisons"][0]["mean"].get<double>(), -0.2, 1e-12);
  EXPECT_EQ(of("T=4,way=base")["comparisons"].size(), 3U);
  EXPECT_EQ(of("base")["comparisons"].size(), 2U) << "each against its own temperature";
  expect_error(Exit::usage, "got 'T=5'", [&] { of("way=base,T=5"); });
  expect_error(Exit::usage, "did you mean 'base'?", [&] { of("way=bas,T=4"); });
  expect_error(Exit::usage, "expected a value", [&] { of("way=base,"); });
}

TEST_F(VersusTest, AValueMayHaveCommas) {
  for (const char* way : {"a,b,", "new"}) {
    for (const std::int64_t temperature : {2, 4}) add(way, 1, 0.5, {.temperature = temperature});
  }
  for (const char* versus : {"a,b,,T=4", "T=4,a,b,", "T=4,way=a,b,"}) {
    const Json made = compared([&](auto& o) { o.by = {"way", "T"}, o.versus = versus; })["versus"];
    EXPECT_EQ(made["comparisons"].size(), 3U) << versus;
  }
}

TEST_F(VersusTest, WhatATableShowsAsMissingIsNamedSo) {
  for (int seed = 1; seed <= 2; ++seed) {
    add("base", seed, seed);
    auto run = store_->begin({.name = "v", .seed = seed, .config_hash = "without"});
    run->log(run->key("result/acc"), 1, seed);
    run->finish("finished");
  }
  for (const char* versus : {"–", "T=–", "T=null"})
    EXPECT_EQ(compared([&](auto& o) { o.by = {"T"}, o.versus = versus; })["versus"]["comparisons"].size(), 1U)
        << versus;
}

TEST_F(VersusTest, MarginsAreChecked) {
  for (const char* bad : {"", "0", "-1", "nan", "inf", "x", "1 2", "=1", "a b=1", "val/acc=", "val/acc=x"})
    expect_error(Exit::usage, "--margin: expected a number above 0", [&] { parse_margin(bad); });
  EXPECT_EQ(parse_margin("val/acc=1e-2").key, "val/acc");
  add("base", 1, 0.5);
  expect_error(Exit::usage, "did you mean 'result/acc'?", [&] {
    compared([](auto& o) { o.margins = {{"result/ac", 1}}; });
  });
}

TEST_F(VersusTest, TextsThatAreNoUtf8AreTexts) {
  for (const char* way : {"base", "Gr\xfcn", "Gr\xfan"}) {
    for (int seed = 1; seed <= 2; ++seed) add(way, seed, seed);
  }
  EXPECT_EQ(compared()["groups"].size(), 3U);
  EXPECT_EQ(compared([](auto& o) { o.versus = "Gr\xfcn", o.by.clear(); })["versus"]["comparisons"].size(), 2U);
}

}  // namespace
}  // namespace gradus::results
