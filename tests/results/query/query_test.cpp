#include "query/query.h"

#include <cmath>

#include "query/columns.h"
#include "query/table.h"
#include "query/where.h"
#include "query/words.h"
#include "store/database.h"
#include "store/housekeeping.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

class QueryTest : public StoreTest {
 protected:
  // A finished run whose val/acc is `accuracies` at steps 10, 20, …, and whose result/hard is the last of them.
  std::string add(Store& store, const std::string& strategy, std::int64_t seed, const std::vector<double>& accuracies,
                  double lr = 0.1, const std::string& status = "finished") {
    RunStart start{.name = "digits", .seed = seed, .config_hash = strategy + std::to_string(lr)};
    start.params = {{"strategy", strategy}, {"lr", lr}, {"seed", seed}};
    auto run = store.begin(start);
    const int acc = run->key("val/acc"), loss = run->key("val/loss");
    for (std::size_t i = 0; i < accuracies.size(); ++i) {
      const auto step = static_cast<std::int64_t>(10 * (i + 1));
      run->log(acc, step, accuracies[i]);
      run->log(loss, step, 1 - accuracies[i]);
    }
    run->progress(static_cast<std::int64_t>(10 * accuracies.size()), 1, 1, 1, 1);
    if (results_ && !accuracies.empty()) run->log(run->key("result/hard"), 0, accuracies.back());
    run->finish(status);
    return run->uid();
  }
  static std::vector<std::int64_t> ids(const Json& runs) {
    std::vector<std::int64_t> all;
    for (const Json& run : runs) all.push_back(run["id"]);
    return all;
  }
  // compare() with these options set by the caller.
  static Json compared(
      Store& store, const std::function<void(CompareOptions&)>& set = [](CompareOptions&) {}) {
    CompareOptions options;
    set(options);
    return compare(store, options);
  }
  bool results_ = false;
};

TEST_F(QueryTest, ColumnsOfOneNameAreAllThere) {
  EXPECT_EQ(to_json(create()->query("SELECT 1 AS a, 2 AS b, 3 AS a, 4 AS a")).dump(),
            R"([{"a":1,"b":2,"a:1":3,"a:2":4}])");
}

TEST_F(QueryTest, SpreadIsTheSampleDeviation) {
  const Spread s = spread({2, 4, 4, 4, 5, 5, 7, 9});  // squares about the mean 5 sum to 32
  EXPECT_DOUBLE_EQ(s.mean, 5);
  EXPECT_DOUBLE_EQ(s.sd, std::sqrt(32.0 / 7));
  EXPECT_TRUE(std::isnan(spread({3}).sd));
  EXPECT_DOUBLE_EQ(spread({3}).mean, 3);
  EXPECT_TRUE(std::isnan(spread({}).mean));
  EXPECT_EQ(spread({1, kNan, 3}).n, 2);
  EXPECT_EQ(spread(std::vector<double>(50, 0.97)).sd, 0);
  EXPECT_EQ(spread({HUGE_VAL, 1}).mean, HUGE_VAL);
  EXPECT_DOUBLE_EQ(spread({1e9 + 1, 1e9 + 2, 1e9 + 3}).sd, 1) << "no cancellation far from zero";
}

TEST_F(QueryTest, ComparesStrategiesOverSeeds) {
  auto store = create();
  add(*store, "a", 1, {0.5, 0.9, 0.8});
  add(*store, "a", 2, {0.6, 0.7, 0.6});
  add(*store, "b", 1, {0.2, 0.95});
  add(*store, "b", 2, {}, 0.1, "failed");
  const Json json = compared(*store, [](auto& o) { o.threshold = parse_threshold("val/acc >= 0.7"); });
  EXPECT_EQ(json["by"].dump(), R"(["strategy"])");
  EXPECT_EQ(json["metrics"].dump(), R"([{"key":"val/acc","better":"higher","source":"name"}])");
  ASSERT_EQ(json["groups"].size(), 2U);
  const Json& a = json["groups"][0];
  EXPECT_EQ(a["label"]["strategy"], "a");
  EXPECT_EQ(a["runs"].dump(), "[1,2]");
  EXPECT_EQ(a["seeds"].dump(), "[1,2]");
  EXPECT_DOUBLE_EQ(a["metrics"]["val/acc"]["last"]["mean"], 0.7);
  EXPECT_DOUBLE_EQ(a["metrics"]["val/acc"]["last"]["sd"], 0.1 * std::sqrt(2.0));
  EXPECT_DOUBLE_EQ(a["metrics"]["val/acc"]["best"]["mean"], 0.8);
  EXPECT_DOUBLE_EQ(a["metrics"]["val/acc"]["best"]["value"], 0.9);
  EXPECT_EQ(a["metrics"]["val/acc"]["best"]["run"], 1);
  EXPECT_EQ(a["steps_to"].dump(), R"({"n":2,"mean":20.0,"sd":0.0,"reached":2})");
  const Json& b = json["groups"][1];
  EXPECT_EQ(b["n"], 1) << "a failed run is not compared";
  EXPECT_EQ(b["total"], 2) << "but counted";
  EXPECT_TRUE(b["metrics"]["val/acc"]["last"]["sd"].is_null());
  EXPECT_EQ(compared(*store, [](auto& o) { o.unfinished = true; })["groups"][1]["n"], 2);
}

TEST_F(QueryTest, LowerIsBetterForLosses) {
  auto store = create();
  add(*store, "a", 1, {0.5, 0.9, 0.8});
  const Json json = compared(*store, [](auto& o) {
    o.metrics = {"val/loss"};
    o.threshold = parse_threshold("val/loss<=0.3");
  });
  EXPECT_NEAR(json["groups"][0]["metrics"]["val/loss"]["best"]["value"].get<double>(), 0.1, 1e-12);
  EXPECT_EQ(json["groups"][0]["steps_to"]["mean"], 20);
}

TEST_F(QueryTest, GroupsByEverythingButTheSeed) {
  auto store = create();
  results_ = true;
  add(*store, "a", 1, {0.5}, 0.1);
  add(*store, "a", 2, {0.7}, 0.1);
  add(*store, "a", 1, {0.1}, 0.2);
  const Json json = compared(*store);
  EXPECT_EQ(json["by"].dump(), R"(["strategy","lr"])");
  EXPECT_EQ(json["metrics"][0]["key"], "result/hard") << "results come before curves";
  ASSERT_EQ(json["groups"].size(), 2U);
  EXPECT_DOUBLE_EQ(json["groups"][0]["metrics"]["result/hard"]["last"]["mean"], 0.6);
  const Json mixed = compared(*store, [](auto& o) { o.by = {"strategy"}; });
  ASSERT_EQ(mixed["groups"].size(), 1U);
  EXPECT_EQ(mixed["groups"][0]["n"], 3);
  EXPECT_EQ(mixed["groups"][0]["mixed"].dump(), R"(["lr"])") << "the user hears what is mixed";
}

TEST_F(QueryTest, ARepeatedSeedCountsOnce) {
  auto store = create();
  add(*store, "a", 1, {0.5});
  add(*store, "a", 2, {0.7});
  add(*store, "a", 1, {0.5});
  const Json json = compared(*store);
  EXPECT_EQ(json["groups"][0]["runs"].dump(), "[2,3]") << "the newest";
  EXPECT_EQ(json["groups"][0]["repeated"], 1);
  EXPECT_DOUBLE_EQ(json["groups"][0]["metrics"]["val/acc"]["last"]["sd"], 0.1 * std::sqrt(2.0));
}

// The step at which a budget is spent is within it.
TEST_F(QueryTest, AtABudgetTheStepItselfCounts) {
  auto store = create();
  auto run = store->begin({.name = "x", .seed = 1});
  const double values[] = {0.5, 0.9, 0.8};
  for (int i = 0; i < 3; ++i) {
    run->log(run->key("val/acc"), 10 * (i + 1), values[i]);
    run->progress(10 * (i + 1), i, 100 * (i + 1), 1e6 * (i + 1), i + 1);
  }
  run->log(run->key("val/nan"), 10, 0.5);
  run->log(run->key("val/nan"), 20, kNan);
  run->finish("finished");
  const auto at = [&](const char* budget, const char* key = "val/acc") {
    return compared(
        *store, [&](auto& o) { o.at = parse_budget(budget), o.metrics = {key}; })["groups"][0]["metrics"][key]["at"];
  };
  for (const char* spent : {"step=20", "samples=200", "flops=2e6", "seconds=2"})
    EXPECT_EQ(at(spent)["mean"], 0.9) << spent;
  for (const char* less : {"step=19", "samples=199", "flops=1.9e6", "seconds=1.99"})
    EXPECT_EQ(at(less)["mean"], 0.5) << less;
  EXPECT_EQ(at("step=20", "val/nan")["n"], 0) << "it had diverged by then";
  EXPECT_EQ(at("step=19", "val/nan")["mean"], 0.5);
}

TEST_F(QueryTest, ABudgetIsANumberOfSomethingThatIsCounted) {
  for (const char* bad :
       {"", "flops", "flops=", "flops=x", "flops=1x", "flops=-1", "step=nan", "seconds=inf", "epoch=1"})
    expect_error(Exit::usage, "expected step=N, samples=N, flops=X or seconds=S", [&] { parse_budget(bad); });
  EXPECT_EQ(parse_budget("flops=0").value, 0);
}

// Between two rows of progress a step costs its share: 1 / 49 of 49 steps is one, though not in doubles.
TEST_F(QueryTest, ABudgetPaysForTheStepThatCostsIt) {
  auto store = create();
  auto run = store->begin({.name = "x", .seed = 1});
  for (int step = 1; step <= 49; ++step) run->log(run->key("val/acc"), step, step / 100.0);
  run->progress(49, 1, 49 * 32, 49 * 1234567.0, 1);
  run->finish("finished");
  for (int step = 1; step <= 49; ++step) {
    const Json at = compared(*store, [&](auto& o) {
      o.at = Budget{"flops", step * 1234567.0}, o.metrics = {"val/acc"};
    });
    EXPECT_EQ(at["groups"][0]["metrics"]["val/acc"]["at"]["mean"], step / 100.0);
  }
}

// A result came at the end, whatever the budget, and has no area.
TEST_F(QueryTest, AtABudgetAndByAreaCurvesAreCompared) {
  auto store = create();
  results_ = true;
  add(*store, "own", 1, {0.5, 0.9});
  const auto metrics = [&](const std::optional<Budget>& at) {
    return compared(*store, [&](auto& o) { o.at = at; })["metrics"].dump();
  };
  EXPECT_NE(metrics({}).find("result/hard"), std::string::npos);
  EXPECT_EQ(metrics(Budget{"step", 10}).find("result/hard"), std::string::npos);
  EXPECT_NE(metrics(Budget{"step", 10}).find("val/acc"), std::string::npos);
  EXPECT_EQ(compared(*store, [](auto& o) { o.auc = true; })["metrics"][0]["key"], "val/acc");
}

// An imported run's rows of progress have seconds alone: what its FLOPs were is unknown, not zero.
TEST_F(QueryTest, WhatNobodyCountedIsNotZero) {
  auto store = create();
  add(*store, "own", 1, {0.5, 0.9});
  add(*store, "own", 2, {0.5, 0.9});
  add(*store, "taken", 1, {0.6, 0.9});
  store->write(
      [](Database& database) { database.run("UPDATE progress SET samples = NULL, flops = NULL WHERE run_id = 3"); });
  const Json json = compared(*store, [](auto& o) {
    o.at = parse_budget("flops=1");
    o.threshold = parse_threshold("val/acc>=0.9");
    o.versus = "own";
  });
  EXPECT_EQ(json["groups"][0]["metrics"]["val/acc"]["at"]["n"], 2);
  EXPECT_EQ(json["groups"][1]["metrics"]["val/acc"]["at"]["n"], 0);
  EXPECT_EQ(json["groups"][1]["steps_to"]["reached"], 1);
  EXPECT_EQ(json["groups"][1]["flops_to"].dump(), R"({"n":1,"mean":null,"sd":null,"reached":0,"unknown":1})");
  EXPECT_EQ(json["groups"][1]["seconds_to"]["mean"], 1);
  for (const Json& one : json["versus"]["comparisons"]) {
    if (one["measure"] == "flops_to") {
      EXPECT_EQ(one["lost"]["group"], 0) << "it got there";
    }
  }
}

TEST_F(QueryTest, GroupsByTagsAndColumnsOfRuns) {
  auto store = create();
  add(*store, "a", 1, {0.5});
  add(*store, "b", 2, {0.5, 0.6});
  set_tag(*store, 2, "paper", "yes");
  const auto labels = [&](const std::string& column) {
    std::string text;
    const Json json = compared(*store, [&](auto& o) { o.by = {column}; });
    for (const Json& group : json["groups"]) text += group["label"][column].dump() + " ";
    return text;
  };
  EXPECT_EQ(labels("tags.paper"), "null \"yes\" ");
  EXPECT_EQ(labels("params.strategy"), "\"a\" \"b\" ");
  EXPECT_EQ(labels("step"), "10 20 ");
  EXPECT_EQ(labels("host"), "null ");
  for (const char* none : {"tags", "tags.none", "params", "last"})
    expect_error(Exit::usage, std::string("no run has the parameter '") + none + "'", [&] { labels(none); });
}

TEST_F(QueryTest, ColumnsKeepTruth) {
  auto store = create();
  auto run = store->begin({.name = "x", .params = {{"flag", true}, {"epoch", std::int64_t{1}}}});
  run->progress(20, 7, 1, 1, 1);
  run->finish("finished");
  Json runs = list_runs(*store, {});
  add_columns(*store, runs, {"flag", "step", "epoch", "origin"});
  EXPECT_EQ(runs[0]["columns"].dump(), R"({"flag":true,"step":20,"epoch":1})")
      << "a parameter goes before what is told";
}

TEST_F(QueryTest, OtherCodeIsAnotherGroup) {
  auto store = create();
  for (const char* hash : {"1111111111", "2222222222"}) {
    auto run = store->begin({.name = "x", .seed = 1, .config_hash = hash, .params = {{"strategy", std::string("a")}}});
    run->log(run->key("val/acc"), 1, 1);
    run->finish("finished");
  }
  const Json json = compared(*store);
  ASSERT_EQ(json["groups"].size(), 2U);
  EXPECT_EQ(json["groups"][0]["label"].dump(), R"({"strategy":"a","config":"11111111"})");
}

TEST_F(QueryTest, NanIsNullAndInfinityText) {
  auto store = create();
  auto run = store->begin({.name = "x"});
  run->log(run->key("val/acc"), 1, kNan);
  run->log(run->key("val/inf"), 1, -HUGE_VAL);
  run->finish("finished");
  const Json json = compared(*store, [](auto& o) { o.metrics = {"val/acc", "val/inf"}; });
  EXPECT_EQ(json["groups"][0]["metrics"]["val/acc"]["last"].dump(), R"({"n":0,"mean":null,"sd":null})");
  EXPECT_EQ(json["groups"][0]["metrics"]["val/inf"]["last"].dump(), R"({"n":0,"mean":null,"sd":null})");
  EXPECT_EQ(json["groups"][0]["metrics"]["val/inf"]["diverged"], 1) << "infinity is no number to take a mean of";
  EXPECT_EQ(to_json(store->query("SELECT value FROM metrics ORDER BY key")).dump(),
            R"([{"value":null},{"value":"-inf"}])");
}

TEST_F(QueryTest, RefusesWhatNobodyHas) {
  auto store = create();
  add(*store, "a", 1, {0.5});
  expect_error(Exit::usage, "did you mean 'val/acc'?",
               [&] { compared(*store, [](auto& o) { o.metrics = {"val/ac"}; }); });
  for (const char* word : {"acc", "VAL/ACC", "Val/Acc"})
    expect_error(Exit::usage, "did you mean 'val/acc'?",
                 [&] { compared(*store, [&](auto& o) { o.metrics = {word}; }); });
  expect_error(Exit::usage, "no run has the parameter 'nope'",
               [&] { compared(*store, [](auto& o) { o.by = {"nope"}; }); });
  expect_error(Exit::usage, "--by: no run has the parameter 'strat' (did you mean 'strategy'?)",
               [&] { compared(*store, [](auto& o) { o.by = {"strat"}; }); });
  for (const char* bad :
       {"", "val/acc", "val/acc>0.9", "val/acc>=", ">=1", "val/acc>=x", "val/acc>=1 2", "a b>=1", "x>=nan"}) {
    expect_error(Exit::usage, "METRIC>=NUMBER", [&] { parse_threshold(bad); });
  }
}

TEST_F(QueryTest, Where) {
  auto store = create();
  add(*store, "a", 1, {0.5, 0.4}, 0.1);
  add(*store, "b", 2, {0.9}, 0.01);
  add(*store, "b", 3, {0.2}, 1e-3, "failed");
  const auto fits = [&](const std::string& where) { return ids(list_runs(*store, {.where = where})); };
  using Ids = std::vector<std::int64_t>;
  EXPECT_EQ(fits(""), (Ids{1, 2, 3}));
  EXPECT_EQ(fits("strategy = 'b'"), (Ids{2, 3}));
  EXPECT_EQ(fits("strategy=\"b\" and status = \"finished\""), (Ids{2}));
  EXPECT_EQ(fits("lr < 0.05"), (Ids{2, 3}));
  EXPECT_EQ(fits("lr <= 1e-2 and not seed >= 3 or last(val/acc) == 0.4"), (Ids{1, 2}));
  EXPECT_EQ(fits("max(val/acc) >= 0.5"), (Ids{1, 2}));
  EXPECT_EQ(fits("(seed = 1 or seed = 3) and strategy != 'a'"), (Ids{3}));
  EXPECT_EQ(fits("params.seed ~= 2"), (Ids{1, 3}));
  EXPECT_EQ(fits("name = \"x' or 1=1 --\""), (Ids{})) << "text is a value, never SQL";
  EXPECT_EQ(ids(list_runs(*store, {.limit = 2})), (Ids{2, 3}));
  expect_error(Exit::usage, "did you mean 'strategy'?", [&] { fits("stategy = 'a'"); });
  expect_error(Exit::usage, "closing quote", [&] { fits("name = 'a"); });
  expect_error(Exit::usage, "expected `)`", [&] { fits("(seed = 1"); });
  expect_error(Exit::usage, "character 10", [&] { fits("seed = 1 seed = 2"); });
  for (const char* bad :
       {"seed", "= 1", "seed = ", "seed = 1 and", "last(", "last(a b) > 1", "; DROP TABLE runs", "seed = stages"})
    EXPECT_THROW(fits(bad), Error) << bad;
  EXPECT_THROW(fits(std::string(5000, '(')), Error);
}

TEST_F(QueryTest, ShowsARun) {
  auto store = create();
  const std::string uid = add(*store, "a", 1, {0.5, 0.4});
  auto child = store->begin({.name = "t", .kind = "teacher", .parent = 1});
  child->event(3, "decision", "stop", R"({"acc":0.97})");
  child->finish("finished");
  const Json run = show_run(*store, uid.substr(0, 16));
  EXPECT_EQ(run["params"].dump(), R"({"lr":0.1,"seed":1,"strategy":"a"})");
  EXPECT_EQ(run["progress"]["step"], 20);
  EXPECT_EQ(run["children"][0]["kind"], "teacher");
  EXPECT_EQ(run["folder"], folder_ + "/" + uid);
  EXPECT_EQ(run["summaries"][0]["argmax"], 10);
  EXPECT_EQ(show_run(*store, "2")["events"][0]["detail"]["acc"], 0.97);
  EXPECT_EQ(ids(list_runs(*store, {})), (std::vector<std::int64_t>{1}));
  EXPECT_EQ(ids(list_runs(*store, {.children = true})), (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(list_runs(*store, {})[0]["last"]["val/acc"], 0.4);
  EXPECT_EQ(list_runs(*store, {})[0]["step"], 20);
}

TEST(TableTest, Aligns) {
  Table table;
  table.column("name");
  table.column("n", Align::right);
  table.row({"é日", "1"});
  table.row({"\033[32mok\033[0m", "20"});
  EXPECT_EQ(table.text(false), "name   n\n────  ──\né日    1\n\033[32mok\033[0m    20\n");
}

TEST(Words, TellWhatAnEventTells) {
  const Json detail = {
      {"rule", "flat"}, {"numbers", {{"val/loss", 0.44799307395}, {"evaluations", 3}}}, {"key", std::string(64, 'a')}};
  EXPECT_EQ(in_words(detail), "rule flat, val/loss 0.4480, evaluations 3, key aaaaaaaaaaaa…");
  EXPECT_EQ(in_words(Json()), "");
  EXPECT_EQ(in_words(Json::object()), "");
  EXPECT_EQ(in_words("text"), "text");
  EXPECT_EQ(in_words(0.123456), "0.1235");
  EXPECT_EQ(in_words({{"none", Json::object()}, {"a", 1}, {"b", nullptr}, {"c", {true, "x"}}}),
            "a 1, b null, c [true,\"x\"]");
  EXPECT_EQ(in_words(std::string(39, 'f')), std::string(39, 'f')) << "no hash";
  EXPECT_EQ(in_words("0123456789abcdef" + std::string(24, '0')), "0123456789ab…");
  EXPECT_EQ(in_words(std::string(40, 'g')), std::string(40, 'g'));
  EXPECT_EQ(in_words(Json::parse("{", nullptr, false)), "");
}

TEST(TableTest, Numbers) {
  EXPECT_EQ(number(0.94123), "0.9412");
  EXPECT_EQ(number(12), "12");
  EXPECT_EQ(number(12.3456), "12.35");
  EXPECT_EQ(number(1234.56), "1234.6");
  EXPECT_EQ(number(1.2345e-5), "1.234e-05");
  EXPECT_EQ(number(-0.0), "0");
  EXPECT_EQ(number(kNan), "nan");
  EXPECT_EQ(mean_sd(0.94123, 0.01234), "0.941 ± 0.012");
  EXPECT_EQ(mean_sd(420.4, 31.2), "420 ± 31");
  EXPECT_EQ(mean_sd(0.5, 0), "0.5000 ± 0");
  EXPECT_EQ(mean_sd(0.5, kNan), "0.5000");
  EXPECT_EQ(interval(-0.03853, 0.003964), "[-0.0385, 0.0040]");
  EXPECT_EQ(interval(140.44, 279.6), "[140, 280]");
  EXPECT_EQ(interval(374637563.2, 745720836.8), "[3.746e+08, 7.457e+08]");
  EXPECT_EQ(interval(0.5, 0.5), "[0.5000, 0.5000]");
  EXPECT_EQ(interval(1, kNan), "[1, nan]");
  EXPECT_EQ(duration(0.85), "850 ms");
  EXPECT_EQ(duration(245), "4 min 05 s");
  EXPECT_EQ(duration(7800), "2 h 10 min");
}

TEST(TableTest, TextCannotDriveTheTerminal) {
  EXPECT_EQ(printable("a\033[2Jb\nc\x7f"), "a [2Jb c ");
  EXPECT_EQ(printable("abcdef", 4), "abc…");
  EXPECT_EQ(printable("日本語", 5), "日本…");
  EXPECT_EQ(printable("\xff\xc3"), "\xef\xbf\xbd\xef\xbf\xbd");
}

}  // namespace
}  // namespace gradus::results
