// What the page shows: no extreme is lost on the way, whatever is stored comes back as it was, files stay in their
// folder.
#include "page/page.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <random>

#include "page/report.h"
#include "plot/plot_impl.h"
#include "query/curves.h"
#include "query/downsample.h"
#include "store/housekeeping.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Points thin(const std::vector<std::int64_t>& steps, const std::vector<double>& values, std::int64_t from,
            std::int64_t to, int columns) {
  Downsampler down(from, to, columns);
  for (std::size_t i = 0; i < steps.size(); ++i) down.add(steps[i], values[i]);
  return down.take();
}

// Against the definition, written out plainly: of each column the least, the greatest and whether there is a NaN.
TEST(Downsample, KeepsEveryColumnsExtremes) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 300; ++round) {
    const int n = static_cast<int>(random() % 3000), columns = 1 + static_cast<int>(random() % 200);
    std::vector<std::int64_t> steps;
    std::vector<double> values;
    std::int64_t step = static_cast<std::int64_t>(random() % 1000) - 500;
    for (int i = 0; i < n; ++i) {
      steps.push_back(step);
      values.push_back(random() % 20 == 0   ? kNaN
                       : random() % 50 == 0 ? std::numeric_limits<double>::infinity()
                                            : std::round(std::normal_distribution<>(0, 5)(random)));
      step += 1 + static_cast<std::int64_t>(random() % 5);
    }
    const std::int64_t from = n == 0 ? 0 : steps[random() % steps.size()] - 3,
                       to = from + static_cast<std::int64_t>(random() % 4000);
    const Points points = thin(steps, values, from, to, columns);

    ASSERT_TRUE(std::is_sorted(points.steps.begin(), points.steps.end()));
    ASSERT_EQ(std::adjacent_find(points.steps.begin(), points.steps.end()), points.steps.end());
    ASSERT_LE(points.steps.size(), static_cast<std::size_t>(3 * columns + 4));
    for (std::size_t i = 0; i < points.steps.size(); ++i) {  // nothing is made up
      const auto found = std::lower_bound(steps.begin(), steps.end(), points.steps[i]);
      ASSERT_TRUE(found != steps.end() && *found == points.steps[i]);
      const double value = values[static_cast<std::size_t>(found - steps.begin())];
      ASSERT_TRUE(value == points.values[i] || (std::isnan(value) && std::isnan(points.values[i])));
    }
    const auto column = [&](std::int64_t s) { return static_cast<int>((s - from) * columns / (to - from + 1)); };
    struct Extremes {
      double low = INFINITY, high = -INFINITY;
      bool nan = false;
      bool operator==(const Extremes&) const = default;
    };
    const auto extremes = [&](const std::vector<std::int64_t>& xs, const std::vector<double>& ys) {
      std::vector<Extremes> all(static_cast<std::size_t>(columns));
      for (std::size_t i = 0; i < xs.size(); ++i) {
        if (xs[i] < from || xs[i] > to) continue;
        Extremes& e = all[static_cast<std::size_t>(column(xs[i]))];
        if (std::isnan(ys[i])) e.nan = true;
        if (ys[i] < e.low) e.low = ys[i];
        if (ys[i] > e.high) e.high = ys[i];
      }
      return all;
    };
    ASSERT_EQ(extremes(steps, values), extremes(points.steps, points.values)) << "round " << round;
  }
}

TEST(Downsample, KeepsNeighboursAcrossTheEdgesAndBothEndsOfAFlatStretch) {
  const Points points = thin({0, 10, 20, 30, 40, 50}, {1, 2, 3, 4, 5, 6}, 15, 35, 100);
  EXPECT_EQ(points.steps, (std::vector<std::int64_t>{10, 20, 30, 40}));
  std::vector<std::int64_t> steps;
  for (std::int64_t i = 0; i < 100; ++i) steps.push_back(i);
  EXPECT_EQ(thin(steps, std::vector<double>(100, 7.0), 0, 99, 1).steps, (std::vector<std::int64_t>{0, 99}));
  EXPECT_EQ(thin({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, {0, 0, 0, 0, 3, 1, 1, 3, 0, 0, 0, 0}, 0, 11, 3).steps,
            (std::vector<std::int64_t>{0, 3, 5, 7, 8, 11}))
      << "of equal values the first is the least, the last the greatest";
  EXPECT_TRUE(thin({}, {}, 0, 10, 5).steps.empty());
  // Steps as large as they go: the width of the range does not fit an integer.
  const std::int64_t low = INT64_MIN, high = INT64_MAX;
  EXPECT_EQ(thin({low, 0, high}, {1, 2, 3}, low, high, 2).steps, (std::vector<std::int64_t>{low, 0, high}));
}

class PageTest : public StoreTest {
 protected:
  Json ask_page(const std::string& path, const std::map<std::string, std::string>& query, int status = 200) {
    Page page(read());
    const Answer answer = page.get(path, query);
    EXPECT_EQ(answer.status, status) << answer.body;
    return Json::parse(answer.body);
  }
  std::int64_t make_run(const std::string& name, std::int64_t seed, const std::string& strategy, double slope,
                        int steps = 50) {
    const auto store = create();
    const auto run = store->begin({.name = name,
                                   .seed = seed,
                                   .config_hash = strategy,
                                   .params = {{"strategy", strategy}},
                                   .sources = {{"x.lua", std::string(64, 'a'), "return 1 -- <script>"}}});
    const int key = run->key("val/acc");
    run->event(0, "stage", "easy", "{\"rows\":3}");
    for (int i = 0; i < steps; ++i) run->log(key, i, slope * i + static_cast<double>(seed));
    run->event(20, "decision", "advance", "{\"val/acc\":0.5}");
    run->event(20, "stage", "hard", "");
    run->finish("finished");
    return run->id();
  }
};

const std::string kNasty = "</script><img src=x onerror=alert(1)>\"'&\\ \x01\x1f\xff\xc3(\u2028 '; DROP TABLE runs; --";

// What an axis other than steps is made of; a run without progress, and rows without that number, are nowhere on it.
TEST_F(PageTest, PlacesOnAnAxisAndStages) {
  const std::int64_t bare = make_run("bare", 1, "a", 1);
  {
    const auto store = create();
    const auto run = store->begin({.name = "spent"});
    for (int step = 10; step <= 30; step += 10) run->progress(step, step / 10.0, step * 64, step * 1e6, step * 0.5);
    run->progress(40, 4, 2560, 4e7, kNaN);
    run->finish("finished");
  }
  const std::string both = std::to_string(bare) + ",2";
  const Json axis = ask_page("/api/axis", {{"axis", "seconds"}, {"runs", both}});
  EXPECT_EQ(axis["runs"].dump(), R"([{"run":1,"steps":[],"at":[]},{"run":2,"steps":[10,20,30],"at":[5.0,10.0,15.0]}])");
  EXPECT_EQ(ask_page("/api/axis", {{"axis", "flops"}, {"runs", "2"}})["runs"][0]["at"].size(), 4U);
  EXPECT_EQ(ask_page("/api/axis", {{"axis", "step"}, {"runs", "2"}})["runs"][0]["at"].size(), 0U);
  ask_page("/api/axis", {{"axis", "seconds; DROP TABLE runs"}, {"runs", "2"}}, 400);
  ask_page("/api/axis", {{"runs", "2"}}, 400);
  const Json stages = ask_page("/api/stages", {{"runs", both}});
  EXPECT_EQ(stages[0]["stages"].dump(), R"([{"name":"easy","from":0},{"name":"hard","from":20}])");
  EXPECT_EQ(stages[0]["marks"].dump(), R"([{"step":20,"kind":"decision","name":"advance"}])");
  EXPECT_EQ(stages[1]["stages"].size(), 0U);
}

TEST_F(PageTest, WhateverIsStoredIsOneJsonText) {
  const std::int64_t id = make_run(kNasty, 1, kNasty, 1);
  const Json runs = ask_page("/api/runs", {});
  ASSERT_EQ(runs["rows"].size(), 1u);
  const std::string name = runs["rows"][0][1];
  EXPECT_EQ(name.rfind("</script><img src=x onerror=alert(1)>\"'&\\ \x01\x1f", 0), 0u) << name;
  EXPECT_EQ(ask_page("/api/run", {{"run", std::to_string(id)}})["params"]["strategy"], name);
  EXPECT_EQ(ask_page("/api/source", {{"sha256", std::string(64, 'a')}})["text"], "return 1 -- <script>");
}

TEST_F(PageTest, TheTableAsksByCursor) {
  make_run("first", 1, "a", 1);
  const Json all = ask_page("/api/runs", {});
  const std::string cursor = all["cursor"].dump();
  EXPECT_TRUE(ask_page("/api/runs", {{"since", cursor}})["rows"].empty());
  const std::int64_t second = make_run("second", 2, "a", 1);
  const Json news = ask_page("/api/runs", {{"since", cursor}});
  ASSERT_EQ(news["rows"].size(), 1u);
  EXPECT_EQ(news["rows"][0][0], second);
  EXPECT_EQ(ask_page("/api/runs", {{"since", cursor}, {"watch", "1"}})["rows"].size(), 2u);
  EXPECT_EQ(ask_page("/api/runs", {{"where", "seed == 2"}})["rows"].size(), 1u);
  EXPECT_EQ(ask_page("/api/runs", {{"metrics", "best:val/acc"}})["rows"][0].back(), 51.0);
}

TEST_F(PageTest, TheTableTellsThatRunsWereRemoved) {
  for (int seed = 1; seed <= 3; ++seed) make_run("a", seed, "x", 1, 1);
  const auto removed = [&] { return ask_page("/api/runs", {{"since", "3"}})["removed"]; };
  EXPECT_EQ(removed(), 0);
  const auto store = create();
  delete_runs(*store, plan_delete(*store, {2}));
  EXPECT_EQ(removed(), 1);
  make_run("a", 4, "x", 1, 1);
  EXPECT_EQ(removed(), 1) << "a new one takes no old one's place";
  delete_runs(*store, plan_delete(*store, {4}));
  EXPECT_EQ(removed(), 2) << "the newest";
}

TEST_F(PageTest, ArchivedRunsAreLeftOutUnlessAskedFor) {
  make_run("kept", 1, "a", 1);
  const std::int64_t away = make_run("away", 2, "a", 1);
  archive_runs(*create(), {away}, true);
  const auto names = [&](const std::map<std::string, std::string>& query) {
    std::vector<std::string> found;
    const Json answer = ask_page("/api/runs", query);
    for (const Json& row : answer["rows"]) found.push_back(row[1]);
    return found;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names({}), Names{"kept"});
  EXPECT_EQ(names({{"archived", "1"}}), (Names{"away", "kept"}));
  EXPECT_EQ(names({{"where", "archived != nil"}}), Names{"away"});
  EXPECT_EQ(names({{"runs", std::to_string(away)}}), Names{"away"}) << "a comparison names its runs";
  const Json all = ask_page("/api/runs", {{"archived", "1"}});
  const auto column = static_cast<std::size_t>(std::find(all["columns"].begin(), all["columns"].end(), "archived") -
                                               all["columns"].begin());
  ASSERT_LT(column, all["columns"].size());
  EXPECT_TRUE(all["rows"][0][column].is_string());
  EXPECT_TRUE(all["rows"][1][column].is_null());
}

// Against what `gradus runs` says, for ids that lie close together and for ids that do not.
TEST_F(PageTest, TheTableHasEveryParameterTagAndMetric) {
  {
    const auto store = create();
    for (int i = 0; i < 40; ++i) {
      const auto run =
          store->begin({.name = i % 2 != 0 ? "odd" : "even",
                        .seed = i,
                        .config_hash = "c",
                        .params = {{"lr", i / 7.0}, {"on", i % 3 == 0}, {"odd." + std::to_string(i % 2), "x"}}});
      run->log(run->key("val/acc"), 1, i == 5 ? std::numeric_limits<double>::infinity() : i * 1e-7);
      if (i == 6) run->log(run->key("val/acc"), 2, kNaN);
      run->finish("finished");
      if (i % 5 == 0) set_tag(*store, run->id(), "paper", i % 10 == 0 ? "" : "yes");
    }
  }
  const auto store = read();
  for (const char* where : {"", "name == 'odd'", "seed == 3 or seed == 37", "seed > 100", "tags.paper == 'yes'"}) {
    const Json table = ask_page("/api/runs", {{"where", where}, {"metrics", "last:val/acc"}});
    const Json runs = list_runs(*store, {.where = where});
    ASSERT_EQ(table["rows"].size(), runs.size()) << where;
    for (std::size_t i = 0; i < runs.size(); ++i) {
      const Json& run = runs[runs.size() - 1 - i];  // the table begins with the newest
      Json expected = {{"last:val/acc", run["last"]["val/acc"]}}, shown = Json::object();
      for (const char* key : {"id", "name", "status", "seed", "seconds", "note", "step"}) expected[key] = run[key];
      for (const auto& [key, value] : run["params"].items()) expected["params." + key] = value;
      for (const auto& [key, value] : run["tags"].items()) expected["tags." + key] = value == "" ? Json("✓") : value;
      for (std::size_t c = 0; c < table["columns"].size(); ++c) {
        const std::string column = table["columns"][c];
        if (column != "started" && (!table["rows"][i][c].is_null() || expected.contains(column)))
          shown[column] = table["rows"][i][c];
      }
      EXPECT_EQ(nlohmann::json(shown), nlohmann::json(expected)) << where;
    }
  }
}

TEST_F(PageTest, EventsComeAfterTheirCursor) {
  const std::string id = std::to_string(make_run("r", 1, "a", 1));
  const Json events = ask_page("/api/run", {{"run", id}})["events"];
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[1]["detail"]["val/acc"], 0.5);
  const Json rest = ask_page("/api/run", {{"run", id}, {"event", events[1]["id"].dump()}})["events"];
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0]["name"], "hard");
}

TEST_F(PageTest, CurvesAreBinaryAndExact) {
  const std::string id = std::to_string(make_run("r", 3, "a", 0.25));
  Page page(read());
  const std::string body =
      page.get("/api/curves", {{"runs", id}, {"keys", "val/acc,nothing"}, {"columns", "500"}}).body;
  std::uint32_t length;
  std::memcpy(&length, body.data(), 4);
  const Json head = Json::parse(body.substr(4, length));
  ASSERT_EQ(head["curves"].size(), 1u);
  EXPECT_EQ(head["from"], 0);
  EXPECT_EQ(head["to"], 49);
  const std::size_t n = head["curves"][0]["points"], at = (4 + length + 7) / 8 * 8;
  ASSERT_EQ(n, 50u);
  ASSERT_EQ(body.size(), at + 16 * n);
  double step, value;
  std::memcpy(&step, body.data() + at + 8 * 10, 8);
  std::memcpy(&value, body.data() + at + 8 * (n + 10), 8);
  EXPECT_EQ(step, 10);
  EXPECT_EQ(value, 5.5);
  const std::string after = page.get("/api/curves", {{"runs", id}, {"keys", "val/acc"}, {"after", "47"}}).body;
  std::memcpy(&length, after.data(), 4);
  EXPECT_EQ(Json::parse(after.substr(4, length))["curves"][0]["points"], 2);
}

Json curves_head(const std::string& body) {
  std::uint32_t length;
  std::memcpy(&length, body.data(), 4);
  return Json::parse(body.substr(4, length));
}

// What a page that stays open asks each second: each curve goes on where it ended, and one that grew by a hundred
// thousand points since costs no more than one that grew by ten thousand.
TEST_F(PageTest, CurvesThatGrowAreContinuedEachFromItsEnd) {
  const auto store = create();
  const auto run = store->begin({.name = "r"});
  for (std::int64_t step = 0; step < 100'000; ++step) run->log(run->key("often"), step, static_cast<double>(step));
  for (std::int64_t step = 0; step < 100'000; step += 50) run->log(run->key("seldom"), step, 1);
  run->finish("finished");
  Page page(read());
  const auto ask = [&](const std::string& keys, const std::string& after, const std::string& columns) {
    return page.get("/api/curves",
                    {{"runs", std::to_string(run->id())}, {"keys", keys}, {"after", after}, {"columns", columns}});
  };
  const auto points = [](const Json& head) {
    std::map<std::string, int> found;
    for (const Json& curve : head["curves"]) found[curve["key"]] = curve["points"];
    return found;
  };
  const Json exact = curves_head(ask("often,seldom", "95000,99900", "4000").body);
  EXPECT_FALSE(exact.contains("sampled"));
  EXPECT_EQ(points(exact), (std::map<std::string, int>{{"often", 4999}, {"seldom", 1}}));
  const std::string body = ask("often,seldom", "-1,99950", "4000").body;
  const Json sampled = curves_head(body);
  EXPECT_EQ(sampled["sampled"], true);
  EXPECT_EQ(sampled["to"], 99'999);
  const int n = points(sampled)["often"];
  EXPECT_GT(n, 700);  // 100 glimpses of four columns
  EXPECT_LT(n, 900);
  double last;  // from end to end of what is new, though most of it was not read
  std::memcpy(&last, body.data() + body.size() - 8, 8);
  EXPECT_GT(last, 99'000);
  // Seldom logged, all of it is read, whatever its steps.
  EXPECT_EQ(points(curves_head(ask("seldom", "-1", "4000").body))["seldom"], 2000);
  EXPECT_TRUE(curves_head(ask("often", "99999", "10").body)["curves"].empty());
  EXPECT_EQ(ask("often,seldom", "1,2,3", "10").status, 400);
  EXPECT_EQ(ask("often,seldom,none", "1,2", "10").status, 400);
}

// Steps as far apart as integers go.
TEST_F(PageTest, GlimpsesOfHugeSteps) {
  const auto store = create();
  const auto run = store->begin({.name = "r"});
  for (const std::int64_t step : {INT64_MIN, std::int64_t{0}, INT64_MAX}) run->log(run->key("m"), step, 1);
  run->finish("finished");
  const auto reader = read();
  std::vector<std::int64_t> seen;
  EXPECT_TRUE(read_glimpses(*reader, {run->id(), "m"}, INT64_MIN, INT64_MAX, 100, 100,
                            [&](std::int64_t step, double) { seen.push_back(step); }));
  EXPECT_EQ(seen, (std::vector<std::int64_t>{INT64_MIN, 0, INT64_MAX}));
}

TEST_F(PageTest, BandsAreMeanAndStudentsInterval) {
  std::string ids;
  for (int seed = 1; seed <= 3; ++seed) ids += (seed > 1 ? "," : "") + std::to_string(make_run("r", seed, "a", 1));
  const Json bands = ask_page("/api/bands", {{"key", "val/acc"}, {"runs", ids}});
  ASSERT_EQ(bands["groups"].size(), 1u);
  const Json& group = bands["groups"][0];
  EXPECT_EQ(group["n"], 3);
  EXPECT_DOUBLE_EQ(group["mean"][10].get<double>(), 12);
  // Of 11, 12, 13: sd 1, t(0.975, 2) = 4.30265, so 12 + 4.30265 / sqrt(3).
  EXPECT_NEAR(group["high"][10].get<double>(), 14.48414, 1e-4);
  EXPECT_NEAR(group["low"][10].get<double>(), 9.51586, 1e-4);
}

TEST_F(PageTest, BandsOfCurvesWithOtherSteps) {
  const auto store = create();
  std::vector<std::int64_t> ids;
  for (int k = 0; k < 2; ++k) {
    const auto run = store->begin({.name = "r"});
    for (std::int64_t step = k; step <= 100; step += 7 + k)
      run->log(run->key("m"), step, 2.0 * static_cast<double>(step) + k);
    run->finish("finished");
    ids.push_back(run->id());
  }
  const Band band = mean_band(*store, ids, "m", 50);
  ASSERT_GT(band.steps.size(), 20u);
  for (std::size_t i = 0; i < band.steps.size(); ++i) {
    if (std::isnan(band.low[i])) continue;  // only one of them reaches here
    EXPECT_NEAR(band.mean[i], 2.0 * static_cast<double>(band.steps[i]) + 0.5, 1e-9);
  }
}

TEST_F(PageTest, WrongQuestionsAreRefusedByName) {
  make_run("r", 1, "a", 1);
  const std::vector<std::tuple<std::string, std::map<std::string, std::string>, int>> cases = {
      {"/api/run", {{"run", "abc'--"}}, 400},
      {"/api/run", {{"run", "999"}}, 404},
      {"/api/run", {}, 400},
      {"/api/curves", {{"runs", "1"}, {"keys", "val/acc"}, {"columns", "1000000000000000000"}}, 400},
      {"/api/curves", {{"runs", "1;DROP"}, {"keys", "x"}}, 400},
      {"/api/curves", {{"runs", "1"}, {"keys", "x"}, {"from", "1e5"}}, 400},
      {"/api/runs", {{"where", "' OR 1=1--"}}, 400},
      {"/api/runs", {{"metrics", "last:a b"}}, 400},
      {"/api/runs", {{"metrics", "drop:val/acc"}}, 400},
      {"/api/source", {{"sha256", "' OR 1=1"}}, 404},
      {"/api/bands", {{"key", "val/acc"}}, 400},
      {"/api/artifact", {{"run", "1"}, {"path", "../gradus.db"}}, 404},
      {"/api/diff", {{"a", "1"}, {"b", "x y"}}, 400},
      {"/api/none", {}, 404},
      {"/../../etc/passwd", {}, 404},
      {"/%2e%2e/gradus.db", {}, 404},
  };
  for (const auto& [path, query, status] : cases) EXPECT_TRUE(ask_page(path, query, status).contains("error")) << path;
}

// The most that one question may ask for is answered, and one more is refused.
TEST_F(PageTest, QuestionsThatAskForTooMuch) {
  make_run("r", 1, "a", 1);
  const auto times = [](int count, const std::string& item) {
    std::string list = item;
    for (int i = 1; i < count; ++i) list += "," + item;
    return list;
  };
  using Query = std::map<std::string, std::string>;
  Page page(read());
  const auto status = [&](const std::string& path, Query query, const std::string& name, const std::string& value) {
    query[name] = value;
    return page.get(path, query).status;
  };
  struct {
    std::string path, name, item;
    int most;
    Query others;
  } const lists[] = {{"/api/curves", "runs", "1", 1000, {{"keys", "x"}}},
                     {"/api/curves", "keys", "x", 200, {{"runs", "1"}}},
                     {"/api/curves", "keys", "x", 2, {{"runs", times(1000, "1")}}},
                     {"/api/bands", "by", "strategy", 20, {{"key", "val/acc"}, {"runs", "1"}}},
                     {"/api/compare", "metrics", "val/acc", 100, {{"runs", "1"}}},
                     {"/api/runs", "metrics", "last:val/acc", 60, {}},
                     {"/api/runs", "runs", "1", 1000, {}},
                     {"/api/runs", "watch", "1", 1000, {{"since", "1"}}},
                     {"/api/axis", "runs", "1", 1000, {{"axis", "step"}}}};
  for (const auto& one : lists) {
    EXPECT_EQ(status(one.path, one.others, one.name, times(one.most, one.item)), 200) << one.path << one.name;
    EXPECT_EQ(status(one.path, one.others, one.name, times(one.most + 1, one.item)), 400) << one.path << one.name;
  }
  for (const auto& [path, others] : {std::pair<std::string, Query>{"/api/curves", {{"runs", "1"}, {"keys", "x"}}},
                                     {"/api/bands", {{"key", "val/acc"}, {"runs", "1"}}}}) {
    for (const auto& [columns, code] : {std::pair{"0", 400}, {"1", 200}, {"4000", 200}, {"4001", 400}, {"x", 400}})
      EXPECT_EQ(status(path, others, "columns", columns), code) << path << columns;
  }
}

TEST_F(PageTest, FilesStayInTheirFolder) {
  ::mkdir((folder_ + "/run").c_str(), 0700);
  ::mkdir((folder_ + "/run/sub").c_str(), 0700);
  std::ofstream(folder_ + "/secret") << "secret";
  std::ofstream(folder_ + "/run/sub/fine") << "fine";
  ASSERT_EQ(::symlink("../secret", (folder_ + "/run/link").c_str()), 0);
  ASSERT_EQ(::symlink("..", (folder_ + "/run/up").c_str()), 0);
  ASSERT_EQ(::mkfifo((folder_ + "/run/pipe").c_str(), 0600), 0);
  const int fine = open_beneath(folder_ + "/run", "sub/fine");
  EXPECT_GE(fine, 0);
  ::close(fine);
  for (const char* path :
       {"../secret", "sub/../../secret", "link", "up/secret", "/etc/passwd", "//proc/self/root/etc/passwd", "", "sub",
        ".", "..", "pipe", "sub/fine/..", "./../secret", "no", "..\\secret", "%2e%2e/secret"})
    EXPECT_LT(open_beneath(folder_ + "/run", path), 0) << path;
  EXPECT_LT(open_beneath(folder_ + "/run", std::string("sub/fine\0x", 10)), 0);
}

TEST_F(PageTest, TheAssetsAreInTheProgram) {
  make_run("r", 1, "a", 1);
  Page page(read());
  const char* script = "text/javascript; charset=utf-8";
  const std::pair<const char*, const char*> assets[] = {{"/", "text/html; charset=utf-8"},
                                                        {"/style.css", "text/css; charset=utf-8"},
                                                        {"/icon.svg", "image/svg+xml"},
                                                        {"/app.js", script},
                                                        {"/chart.js", script},
                                                        {"/d3.min.js", script}};
  for (const auto& [name, type] : assets) {
    const Answer answer = page.get(name, {});
    EXPECT_EQ(answer.status, 200) << name;
    EXPECT_EQ(answer.type, std::string_view(type)) << name;
    EXPECT_GT(answer.body.size(), 100u) << name;
  }
  std::size_t bytes = 0;
  for (const char* name : {"index.html", "app.js", "util.js", "runs.js", "run.js", "compare.js", "chart.js", "axis.js",
                           "theme.js", "style.css", "d3.min.js", "icon.svg"})
    bytes += page_asset(name).size();
  EXPECT_LT(bytes, 500'000u);
}

TEST(Plot, TicksAreRoundAndCoverTheRange) {
  EXPECT_EQ(ticks(0.03, 0.97, 5), (std::vector<double>{0, 0.2, 0.4, 0.6000000000000001, 0.8, 1}));
  for (const auto& [low, high] : std::vector<std::pair<double, double>>{{-3, 1e6}, {1e-9, 2e-9}, {5, 5}, {-1, -0.5}}) {
    const auto t = ticks(low, high, 6);
    EXPECT_LE(t.front(), low);
    EXPECT_GE(t.back(), high);
    EXPECT_LE(t.size(), 14u);
  }
}

TEST_F(PageTest, PlotsDrawWhatIsThere) {
  const std::int64_t id = make_run("<b>", 1, "a", 0.5);
  PlotOptions options;
  options.metrics = {"val/acc"};
  options.runs = {id};
  const auto drawn = figures(*read(), options);
  ASSERT_EQ(drawn.size(), 1u);
  EXPECT_EQ(drawn[0].lines[0].y.size(), 50u);
  ASSERT_EQ(drawn[0].stages.size(), 2u);
  EXPECT_EQ(drawn[0].stages[1].from, 20);
  EXPECT_EQ(drawn[0].marks.at(0).mark.name, "advance");
  const std::string text = terminal_plot({drawn[0]}, 60, 10, false);
  EXPECT_NE(text.find("easy"), std::string::npos) << text;
  EXPECT_NE(text.find("⠉"), std::string::npos) << text;
  EXPECT_EQ(text.find('\033'), std::string::npos);
  const std::string svg = svg_plot(drawn, 600, 300);
  EXPECT_EQ(svg.find("<b>"), std::string::npos);
  EXPECT_NE(svg.find("stroke=\"#3b6fb6\""), std::string::npos);
  options.metrics = {"val/ac"};
  expect_error(Exit::usage, "val/acc", [&] { figures(*read(), options); });
}

TEST_F(PageTest, LinesAreNamedByWhatTellsThemApart) {
  PlotOptions options;
  options.metrics = {"val/acc"};
  options.runs = {make_run("digits", 1, "ramp", 1), make_run("digits", 1, "stages", 1)};
  const auto labels = [&] {
    std::vector<std::string> found;
    const auto drawn = figures(*read(), options);
    for (const Line& line : drawn.at(0).lines) found.push_back(line.label);
    return found;
  };
  using Labels = std::vector<std::string>;
  EXPECT_EQ(labels(), (Labels{"1 ramp seed 1", "2 stages seed 1"}));
  options.runs.pop_back();
  EXPECT_EQ(labels(), Labels{"1 digits seed 1"});
}

TEST(Plot, AWideBandDoesNotFlattenTheLines) {
  Line line;
  line.x = {0, 1}, line.y = {0, 1}, line.low = {-100, 0.9}, line.high = {100, 1.1};
  Figure figure;
  figure.lines = {line};
  EXPECT_EQ(box_of(figure, true).y0, -0.25);
  EXPECT_EQ(box_of(figure, true).y1, 1.25);
  EXPECT_EQ(box_of(figure, false).y1, 1);
}

// Two seeds of "stages", whose steps cost 10 FLOPs until step 20 and 30 from there on, and two of "whole", 20 a step.
TEST_F(PageTest, PlotsOverFlopsHaveAWallWhereAStageBegins) {
  const auto store = create();
  PlotOptions options;
  for (const std::string strategy : {"stages", "whole"}) {
    for (int seed = 1; seed <= 2; ++seed) {
      const auto run = store->begin({.name = "r", .seed = seed, .params = {{"strategy", strategy}}});
      run->event(0, "stage", "easy", "");
      for (int step = 10; step <= 50; step += 10) {
        const double flops = strategy == "whole" ? 20 * step : step <= 20 ? 10 * step : 200 + 30 * (step - 20);
        run->progress(step, step / 10.0, step, flops, step / 8.0);
        run->log(run->key("val/acc"), step, flops + seed);
      }
      if (strategy == "stages") run->event(20, "stage", "hard", "");
      run->finish("finished");
      options.runs.push_back(run->id());
    }
  }
  options.metrics = {"val/acc"};
  options.by = {"strategy"};
  options.x = parse_axis("flops");
  const auto drawn = figures(*store, options);
  ASSERT_EQ(drawn.at(0).lines.size(), 2u);
  const Line& stages = drawn[0].lines[0];
  EXPECT_EQ(stages.label, "stages (2)");
  EXPECT_EQ(stages.x, (std::vector<double>{100, 200, 500, 800, 1100}));
  EXPECT_EQ(stages.y, (std::vector<double>{101.5, 201.5, 501.5, 801.5, 1101.5}));
  EXPECT_EQ(stages.walls, std::vector<double>{200});
  EXPECT_TRUE(drawn[0].lines[1].walls.empty());
  EXPECT_NE(svg_plot(drawn, 600, 300).find("stroke-dasharray=\"5 4\" stroke=\"#3b6fb6\""), std::string::npos);
  const std::string text = terminal_plot({drawn[0]}, 60, 10, false);
  EXPECT_NE(text.find("val/acc over flops"), std::string::npos) << text;
  EXPECT_NE(text.find("┊"), std::string::npos) << text;

  options.by = {};
  options.runs = {options.runs[0]};
  options.x = parse_axis("seconds");
  const Figure one = figures(*store, options).at(0);
  EXPECT_EQ(one.stages.at(1).from, 2.5);
  EXPECT_EQ(one.lines[0].x.back(), 6.25);
  expect_error(Exit::usage, "expected step, epoch, samples, flops or seconds", [] { parse_axis("flop"); });
}

TEST_F(PageTest, AColumnOfNumbersIsOneWhereRunsWereLost) {
  auto store = create();
  ReportOptions options;
  options.markdown = true;
  for (const double value : {0.5, kNaN}) {
    auto run = store->begin({.name = value == 0.5 ? "a" : "b"});
    run->log(run->key("result/x"), 1, value);
    options.runs.push_back(run->id());
    run->finish("finished");
  }
  const std::string text = report(*store, options);
  EXPECT_NE(text.find("| name | runs | x |\n| --- | ---: | ---: |"), std::string::npos) << text;
}

TEST_F(PageTest, ATableHasSixResultsAndTheFirstOfTheKnownMetrics) {
  auto store = create();
  auto run = store->begin({.name = "many"});
  for (const char* key : {"train/loss", "val/loss", "result/a", "result/b", "result/c", "result/d", "result/e",
                          "result/f", "result/g", "own"})
    run->log(run->key(key), 1, 0.5);
  run->finish("finished");
  const Json table = ask_page("/api/runs", {});
  std::vector<std::string> found;
  for (const Json& column : table["columns"])
    if (const std::string name = column; name.find(':') != std::string::npos) found.push_back(name);
  EXPECT_EQ(found, (std::vector<std::string>{"last:result/a", "last:result/b", "last:result/c", "last:result/d",
                                             "last:result/e", "last:result/f", "best:val/loss", "last:val/loss"}));
}

TEST_F(PageTest, AReportIsNotTitledByEveryName) {
  auto store = create();
  ReportOptions options;
  for (const char* name : {"a", "b", "c", "d", "e", "f", "g"}) {
    auto run = store->begin({.name = name});
    options.runs.push_back(run->id());
    run->finish("finished");
  }
  EXPECT_NE(report(*store, options).find("<h1>a, b, c, d, e and 2 more</h1>"), std::string::npos);
  options.runs.resize(5);
  EXPECT_NE(report(*store, options).find("<h1>a, b, c, d, e</h1>"), std::string::npos);
}

TEST_F(PageTest, ReportsAreOneFileAndEscapeEverything) {
  ReportOptions options;
  for (int seed = 1; seed <= 2; ++seed) options.runs.push_back(make_run(kNasty, seed, "a|b", 1));
  const std::string html = report(*read(), options);
  EXPECT_EQ(html.find("<img"), std::string::npos);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find("src="), html.find("src=x onerror"));
  EXPECT_EQ(html.find("href="), std::string::npos);
  EXPECT_NE(html.find("<svg"), std::string::npos);
  EXPECT_NE(html.find("return 1 -- &lt;script&gt;"), std::string::npos);
  EXPECT_NE(html.find("advance"), std::string::npos);
  options.markdown = true;
  const std::string markdown = report(*read(), options);
  EXPECT_NE(markdown.find("a\\|b"), std::string::npos);
  EXPECT_EQ(markdown.find("<img"), std::string::npos);
  EXPECT_NE(markdown.find("```lua"), std::string::npos);
}

}  // namespace
}  // namespace gradus::results
