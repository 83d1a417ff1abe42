// Forks, forks of forks and siblings: who comes from whom, and until where two runs are the same.
#include "query/lineage.h"

#include "query/diff.h"
#include "store/database.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

class LineageTest : public StoreTest {
 protected:
  // A run of `steps` steps, whose text is its script's; returns its id.
  std::int64_t root(const std::string& script = "1", std::int64_t steps = 10) {
    auto run = store_->begin(started(script));
    train(*run, 1, steps);
    run->finish("finished");
    return run->id();
  }
  // As stdlib/experiment/fork.lua stores it.
  std::int64_t fork(std::int64_t of, std::int64_t at, const std::string& set = "", const std::string& script = "1") {
    RunStart start = started(script);
    const std::string last =
        ask(*store_, "SELECT coalesce(max(id), 0) FROM events WHERE run_id = ?1 AND step <= ?2", {of, at});
    start.past = Past{of, {.step = at, .event = std::stoll(last), .progress = at, .keys = R"(["train/loss"])"}};
    auto run = store_->begin(start);
    Json detail = {
        {"kind", "fork"}, {"run", of}, {"uid", ask(*store_, "SELECT uid FROM runs WHERE id = ?1", {of})}, {"at", at}};
    if (!set.empty()) detail["set"] = Json::parse(set);
    run->event(0, "resume", "fork", detail.dump());
    train(*run, at + 1, 10);
    run->finish("finished");
    return run->id();
  }
  static RunStart started(const std::string& script) {
    return {.name = "x", .sources = {{"x.lua", "hash" + script, script}}};
  }
  static void train(Writer& run, std::int64_t from, std::int64_t to) {
    for (std::int64_t step = from; step <= to; ++step) {
      run.log(run.key("train/loss"), step, static_cast<double>(100 * run.id() + step));
      run.progress(step, 0, 0, 0, 0);
    }
  }
  std::string common(std::int64_t a, std::int64_t b) {
    const Json found = common_past(*store_, a, b);
    return found.is_null() ? "none" : common_past_text(found);
  }
  std::shared_ptr<Store> store_ = nullptr;
  void SetUp() override {
    StoreTest::SetUp();
    store_ = create();
  }
};

TEST_F(LineageTest, AForkAndItsOrigin) {
  root();
  fork(1, 4, R"({"T":8,"name":"a b"})");
  EXPECT_EQ(origin_of(*store_, 2).dump(), R"({"run":2,"origin":1,"uid":")" +
                                              ask(*store_, "SELECT uid FROM runs WHERE id = 1") +
                                              R"(","step":4,"set":{"T":8,"name":"a b"},"scripts":[]})");
  EXPECT_TRUE(origin_of(*store_, 1).is_null());
  EXPECT_EQ(common(1, 2), "run 2 is a fork of run 1 at step 4, with T=8 and name=a b; until then the same");
  EXPECT_EQ(common(2, 1), common(1, 2));
  EXPECT_EQ(common(2, 2), "none");
  const Json shown = show_run(*store_, "1");
  ASSERT_EQ(shown["forks"].size(), 1U);
  EXPECT_EQ(shown["forks"][0]["run"], 2);
  EXPECT_EQ(shown["forks"][0]["status"], "finished");
  EXPECT_TRUE(shown["origin"].is_null());
  EXPECT_EQ(show_run(*store_, "2")["origin"]["step"], 4);
  EXPECT_EQ(list_runs(*store_, {})[1]["origin"], 1);
  EXPECT_TRUE(list_runs(*store_, {})[0]["origin"].is_null());
}

TEST_F(LineageTest, SiblingsShareWhatTheEarlierOneHas) {
  root();
  fork(1, 4, R"({"T":8})");
  fork(1, 7);
  EXPECT_EQ(common(2, 3),
            "run 2 is a fork of run 1 at step 4, with T=8; run 3 is a fork of run 1 at step 7; the same until step 4");
  const Json diff = diff_runs(*store_, "3", "2");
  EXPECT_EQ(diff["lineage"]["run"], 1);
  EXPECT_EQ(diff["lineage"]["step"], 4);
  EXPECT_EQ(diff["parts"]["step"], 5) << "as the numbers say";
}

TEST_F(LineageTest, AForkOfAFork) {
  root();
  fork(1, 4);
  fork(2, 7, R"({"T":2})");  // has the first fork's event too, as a copy
  fork(2, 3);                // before its origin was a fork: what it shares is the first run's
  root();                    // a stranger
  EXPECT_EQ(ask(*store_, "SELECT count(*) FROM events WHERE run_id = 3 AND name = 'fork'"), "2");
  EXPECT_EQ(
      ask(*store_, "SELECT group_concat(run_id || ' of ' || origin || ' at ' || step || ' ' || changed) FROM forks"),
      "2 of 1 at 4 {},3 of 2 at 7 {\"T\":2},4 of 2 at 3 {}");
  EXPECT_EQ(common(1, 3),
            "run 3 is a fork of run 2 at step 7, with T=2, which is a fork of run 1 at step 4; the same until step 4");
  EXPECT_EQ(common(2, 3), "run 3 is a fork of run 2 at step 7, with T=2; until then the same");
  EXPECT_EQ(common_past(*store_, 1, 4)["step"], 3);
  EXPECT_EQ(common_past(*store_, 3, 4)["step"], 3);
  EXPECT_EQ(common_past(*store_, 3, 4)["run"], 2);
  EXPECT_EQ(common(3, 5), "none");
}

TEST_F(LineageTest, AnotherScriptIsTold) {
  root("1");
  {  // and one that was edited while it went on
    auto run = store_->begin({.name = "live", .sources = {{"x.lua", "hash1", "1"}, {"x.lua@5", "hash2", "2"}}});
    train(*run, 1, 10);
    run->finish("finished");
  }
  fork(1, 4, "", "2");
  fork(2, 4, "", "2");
  fork(2, 6, "", "2");
  EXPECT_EQ(common(1, 3), "run 3 is a fork of run 1 at step 4, with another script, x.lua; until then the same");
  EXPECT_EQ(origin_of(*store_, 4)["scripts"].dump(), R"(["x.lua"])");
  EXPECT_EQ(origin_of(*store_, 5)["scripts"].dump(), "[]") << "the edit was its origin's own by then";
}

// PATH@STEP is an edit, the latest of several by then; other names with an @ are files'.
TEST_F(LineageTest, EditsOfASourceAreToldByTheirSteps) {
  auto run = store_->begin({.name = "live",
                            .sources = {{"x.lua", "hash1", "1"},
                                        {"x.lua@5", "hash2", "2"},
                                        {"x.lua@10", "hash3", "3"},
                                        {"y@1234567890123456", "hash4", "4"},
                                        {"y@12345678901234567", "hash5", "5"},
                                        {"z@", "hash6", "6"},
                                        {"z@5a", "hash7", "7"}}});
  train(*run, 1, 20);
  run->finish("finished");
  for (const auto& [at, script] : {std::pair{4, "1"}, {5, "2"}, {9, "2"}, {10, "3"}, {12, "3"}})
    EXPECT_EQ(origin_of(*store_, fork(1, at, "", script))["scripts"].dump(), "[]") << at;
  root("1");
  RunStart start = started("1");
  start.sources = {{"y@1234567890123456", "hash4", "4"}, {"y@12345678901234567", "hash5", "5"}, {"z@", "hash6", "6"}};
  auto other = store_->begin(start);
  other->event(0, "resume", "fork", R"({"uid":")" + ask(*store_, "SELECT uid FROM runs WHERE id = 7") + R"(","at":3})");
  other->finish("finished");
  EXPECT_EQ(origin_of(*store_, other->id())["scripts"].dump(), R"(["y@12345678901234567","z@"])");
}

TEST_F(LineageTest, OriginsThatAreGoneAndCircles) {
  root();
  for (const char* uid : {"feedfeedfeedfeedfeedfeedfeedfeed", "feedfeedfeedfeedfeedfeedfeedfeed", ""}) {
    auto run = store_->begin(started("1"));
    run->event(0, "resume", "fork", *uid == 0 ? "{}" : R"({"uid":")" + std::string(uid) + R"(","at":3,"set":[1]})");
    run->finish("finished");
  }
  Database(path_, SQLITE_OPEN_READWRITE)
      .run("UPDATE events SET detail = 'no JSON' WHERE run_id = 4");  // a foreign writer
  EXPECT_TRUE(origin_of(*store_, 2)["origin"].is_null());
  EXPECT_EQ(fork_text(origin_of(*store_, 2)), "a fork of a run that this store does not have (feedfeed) at step 3");
  EXPECT_EQ(common_past(*store_, 2, 3)["step"], 3) << "they come from the same";
  EXPECT_TRUE(origin_of(*store_, 4).is_null());
  auto run = store_->begin(started("1"));
  run->event(0, "resume", "fork", R"({"uid":")" + run->uid() + R"(","at":3})");
  run->finish("finished");
  EXPECT_EQ(common(1, run->id()), "none");
}

TEST_F(LineageTest, ASecondTrainingDoesNotTakeItAway) {
  root();
  auto run = store_->begin(started("1"));
  run->event(0, "resume", "fork", R"({"uid":")" + ask(*store_, "SELECT uid FROM runs WHERE id = 1") + R"(","at":3})");
  train(*run, 1, 5);
  run->split("fit");
  run->finish("finished");
  EXPECT_EQ(ask(*store_, "SELECT run_id FROM forks"), "2");
}

TEST_F(LineageTest, AFamilyIsDrawnFromItsOldest) {
  root();
  fork(1, 4, R"({"T":8})");
  fork(2, 7);
  fork(1, 10);  // at its end: it has no steps of its own
  store_->resume(2, {.step = 8, .event = 99, .progress = 8, .keys = R"(["train/loss"])"})->finish("finished");
  for (const std::int64_t run : {1, 3, 5}) {
    std::string text;
    for (const Json& one : family_of(*store_, run))
      text += std::string(one["depth"].get<std::size_t>(), ' ') + one["run"].dump() + " " +
              one["kind"].get<std::string>() + " " + one["from"].dump() + "-" + one["to"].dump() + " " +
              one["text"].get<std::string>() + "\n";
    EXPECT_EQ(text, "1 run 1-10 \n 2 run 4-8 T=8\n  5 attempt 9-10 \n  3 run 7-10 \n 4 run null-null \n") << run;
  }
  const std::vector<std::int64_t> drawn = {1, 2, 5, 3, 4};
  for (std::size_t place = 0; place < drawn.size(); ++place) {
    for (std::size_t most = 0; most < 8; ++most) {
      std::vector<std::int64_t> few(drawn.begin(),
                                    drawn.begin() + static_cast<std::ptrdiff_t>(std::min(most, drawn.size()))),
          found;
      if (most > 0 && place >= most) few.back() = drawn[place];  // the run itself is always among them
      for (const Json& one : family_of(*store_, drawn[place], most)) found.push_back(one["run"]);
      EXPECT_EQ(found, few) << drawn[place] << " of " << most;
    }
  }
  EXPECT_EQ(family_of(*store_, root()).size(), 1U);
}

TEST_F(LineageTest, AnAttemptsStepsAreTold) {
  const std::int64_t id = root();
  store_->resume(id, {.step = 6, .progress = 6, .keys = R"(["train/loss"])"})->finish("finished");
  const Json child = show_run(*store_, std::to_string(id))["children"][0];
  EXPECT_EQ(child["kind"], "attempt");
  EXPECT_EQ(child["from"], 7);
  EXPECT_EQ(child["to"], 10);
}

}  // namespace
}  // namespace gradus::results
