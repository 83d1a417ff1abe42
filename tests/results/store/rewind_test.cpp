// A run goes on from a point: what it wrote after it is a dead attempt's, what it was before stays, and a fork shares it.
#include "query/query.h"
#include "store/clock.h"
#include "store/housekeeping.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

class RewindTest : public StoreTest {
 protected:
  static void train(Writer& run, int from, int to, double value) {
    const int loss = run.key("train/loss");
    for (int step = from; step <= to; ++step) {
      run.log(loss, step, value - step);
      run.progress(step, step / 10.0, step * 8, step * 1e6, step * 0.1);
      run.event(step, "best", "train/loss", "");
    }
  }
  static Point at(Writer& run, std::int64_t step) {
    Point point = run.point();
    point.step = step;
    return point;
  }
};

TEST_F(RewindTest, RowsAfterThePointAreADeadAttempts) {
  auto store = create();
  Point point;
  {
    auto run = store->begin({.name = "r", .seed = 3, .params = {{"lr", 0.1}}});
    train(*run, 1, 10, 100);
    point = at(*run, 10);
    train(*run, 11, 15, 100);
    run->log(run->key("late"), 5, 1);  // a metric that had no row yet
    run->finish("interrupted", "killed");
  }
  auto run = store->resume(1, point);
  EXPECT_EQ(run->id(), 1);
  EXPECT_EQ(run->uid(), ask(*store, "SELECT uid FROM runs WHERE id = 1"));
  EXPECT_EQ(run->folder(), store->folder() + "/" + run->uid());
  EXPECT_EQ(ask(*store, "SELECT status FROM runs WHERE id = 1"), "running");
  EXPECT_EQ(ask(*store, "SELECT max(step) FROM metrics WHERE run_id = 1"), "10");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM progress WHERE run_id = 1"), "10");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM events WHERE run_id = 1"), "10");
  EXPECT_EQ(ask(*store, "SELECT last || ' ' || min || ' ' || argmin || ' ' || count FROM summaries WHERE run_id = 1"),
            "90.0 90.0 10 10");
  EXPECT_EQ(ask(*store, "SELECT kind || ' ' || status || ' ' || error || ' ' || parent FROM runs WHERE id = 2"),
            "attempt interrupted killed 1");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics WHERE run_id = 2"), "6");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM events WHERE run_id = 2"), "5");
  EXPECT_EQ(ask(*store, "SELECT last FROM summaries WHERE run_id = 2 AND key = 'train/loss'"), "85");
  train(*run, 11, 20, 100);
  run->finish("finished");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics WHERE run_id = 1"), "20");
  EXPECT_EQ(ask(*store, "SELECT group_concat(step) FROM (SELECT step FROM events WHERE run_id = 1 ORDER BY id)"),
            "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20");
  EXPECT_EQ(ask(*store, "SELECT last_step FROM summaries WHERE run_id = 1"), "20");
}

TEST_F(RewindTest, InAnotherProcessItIsDrainedWithoutBeingAsked) {
  {
    auto store = create();
    store->begin({.name = "r"})->finish("interrupted");
  }
  auto store = create();
  std::filesystem::remove_all(folder_ + "/" + ask(*store, "SELECT uid FROM runs"));  // as a user may
  auto run = store->resume(1, {});
  run->log(run->key("x"), 1, 42);
  for (int i = 0; i < 500 && ask(*store, "SELECT count(*) FROM metrics") == "0"; ++i) ::usleep(10'000);
  EXPECT_EQ(ask(*store, "SELECT value FROM metrics"), "42");
  run->finish("finished");
}

TEST_F(RewindTest, ProgressThatASignalToldAtThePointIsTheAttempts) {
  auto store = create();
  Point point;
  {
    auto run = store->begin({.name = "r"});
    run->progress(5, 0.5, 40, 5e6, 1);
    point = at(*run, 10);
    run->progress(10, 1, 80, 1e7, 2);
    run->finish("interrupted", "SIGINT");
  }
  auto run = store->resume(1, point);
  EXPECT_EQ(ask(*store, "SELECT group_concat(step) FROM progress WHERE run_id = 1"), "5");
  EXPECT_EQ(ask(*store, "SELECT group_concat(step) FROM progress WHERE run_id = 2"), "10");
}

TEST_F(RewindTest, WithoutAPointAllOfItIsTheAttempts) {
  auto store = create();
  {
    auto run = store->begin({.name = "r"});
    train(*run, 0, 5, 1);
    run->finish("failed", "no");
  }
  auto run = store->resume(1, {});
  for (const char* table : {"metrics", "progress", "events", "summaries"})
    EXPECT_EQ(ask(*store, std::string("SELECT count(*) FROM ") + table + " WHERE run_id = 1"), "0") << table;
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics WHERE run_id = 2"), "6");
}

TEST_F(RewindTest, ATrainingThatWasSplitOffSinceComesBack) {
  auto store = create();
  Point point;
  {
    auto run =
        store->begin({.name = "r", .params = {{"lr", 0.1}}, .sources = {{"r.lua", std::string(64, 'a'), "return 1"}}});
    run->log(run->key("mine"), 3, 7);
    train(*run, 1, 10, 100);
    point = at(*run, 10);
    train(*run, 11, 12, 100);
    run->split("fit", "training", R"(["train/"])");
    train(*run, 1, 30, 500);
    run->split("distill", "training", R"(["train/"])");
    train(*run, 1, 2, 900);
    run->finish("interrupted", "killed");
  }
  set_tag(*store, 2, "seen", "");
  auto run = store->resume(1, point);
  EXPECT_EQ(ask(*store,
                "SELECT group_concat(value) FROM (SELECT value FROM metrics WHERE run_id = 1 AND key = 'train/loss' "
                "ORDER BY step)"),
            "99.0,98.0,97.0,96.0,95.0,94.0,93.0,92.0,91.0,90.0");
  EXPECT_EQ(ask(*store, "SELECT value FROM metrics WHERE run_id = 1 AND key = 'mine'"), "7");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM events WHERE run_id = 1"), "10");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM progress WHERE run_id = 1"), "10");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM runs WHERE parent = 1 AND kind = 'training'"), "0");
  const std::string attempt = ask(*store, "SELECT id FROM runs WHERE kind = 'attempt'");
  EXPECT_EQ(ask(*store, "SELECT name FROM runs WHERE kind = 'training' AND parent = " + attempt), "distill");
  for (const std::string table : {"metrics", "summaries", "params", "run_sources", "progress", "events", "tags"})
    EXPECT_EQ(ask(*store, "SELECT count(*) FROM " + table + " WHERE run_id NOT IN (SELECT id FROM runs)"), "0")
        << table;
  train(*run, 11, 12, 100);
  run->split("fit", "training", R"(["train/"])");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics WHERE run_id = (SELECT max(id) FROM runs)"), "12");
}

TEST_F(RewindTest, AForkBeginsWithCopiesOfThePast) {
  auto store = create();
  Point first, second;
  {
    auto run = store->begin({.name = "r"});
    run->log(run->key("mine"), 3, 7);
    train(*run, 1, 10, 100);
    first = at(*run, 10);
    run->split("fit", "training", R"(["train/"])");
    train(*run, 1, 6, 500);
    second = at(*run, 5);
    run->finish("finished");
  }
  auto early = store->begin({.name = "f", .past = Past{1, first}}),
       late = store->begin({.name = "g", .past = Past{1, second}});
  EXPECT_EQ(ask(*store, "SELECT count(*) || ' ' || min(value) FROM metrics WHERE run_id = ?1 AND key = 'train/loss'",
                {early->id()}),
            "10 90.0");
  EXPECT_EQ(ask(*store, "SELECT count(*) || ' ' || min(value) FROM metrics WHERE run_id = ?1 AND key = 'train/loss'",
                {late->id()}),
            "5 495.0");
  const char* const told =
      "SELECT (SELECT count(*) || ' ' || max(step) || ' ' || max(flops) FROM progress WHERE run_id = ?1) || ', ' || "
      "(SELECT count(*) || ' ' || "
      "max(step) FROM events WHERE run_id = ?1)";
  EXPECT_EQ(ask(*store, told, {early->id()}), "10 10 10000000.0, 10 10");
  EXPECT_EQ(ask(*store, told, {late->id()}), "6 6 6000000.0, 6 6");
  for (const auto& one : {early, late}) {
    EXPECT_EQ(ask(*store, "SELECT value FROM metrics WHERE run_id = ?1 AND key = 'mine'", {one->id()}), "7");
    EXPECT_EQ(ask(*store, "SELECT count(*) FROM summaries WHERE run_id = ?1", {one->id()}), "2");
  }
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics WHERE run_id = 1"), "7");  // the parent has all that it had
}

TEST_F(RewindTest, ARunningRunIsRefusedAndSoIsOneThatIsNotThere) {
  auto store = create();
  auto run = store->begin({.name = "r"});
  EXPECT_THROW(store->resume(1, {}), Error);
  EXPECT_THROW(store->resume(9, {}), Error);
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM runs"), "1");
  run->finish("finished");
  auto again = store->resume(1, {});
  EXPECT_THROW(store->resume(1, {}), Error);
}

TEST_F(RewindTest, SecondsAddUp) {
  auto store = create();
  const auto seconds = [&] { return std::stod(ask(*store, "SELECT seconds FROM runs WHERE id = 1")); };
  const double since = monotonic_seconds();
  {
    auto run = store->begin({.name = "r"});
    ::usleep(60000);
    run->finish("interrupted");
  }
  const double before = seconds();
  EXPECT_GT(before, 0.05);
  EXPECT_LT(before, monotonic_seconds() - since) << "from its beginning";
  {
    auto run = store->resume(1, {});
    ::usleep(60000);
    run->finish("finished");
  }
  EXPECT_GT(seconds(), before + 0.05);
  EXPECT_LT(seconds(), monotonic_seconds() - since);
}

}  // namespace
}  // namespace gradus::results
