// A run that trains twice: the first training's rows become a child run's.
#include <sys/mman.h>

#include <atomic>

#include "query/query.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

class SplitTest : public StoreTest {
 protected:
  static RunStart start() {
    RunStart start{.name = "two", .seed = 7, .config_hash = "c0ffee", .params = {{"lr", 0.1}, {"deep", true}}};
    start.sources = {{"two.lua", std::string(64, 'a'), "return 1\n"}};
    start.environment = {.threads = 2, .device = "cpu", .host = "h", .git_commit = "abc"};
    return start;
  }
  static void train(Writer& run, int steps, double value) {
    const int key = run.key("val/acc");
    for (int step = 1; step <= steps; ++step) {
      run.log(key, step, value + step);
      run.progress(step, step / 10.0, step * 8, step * 1e6, step * 0.1);
    }
    run.event(steps, "stage", "easy", R"({"x":1})");
    run.event(steps, "warning", "late", "");
  }
};

TEST_F(SplitTest, TheFirstTrainingBecomesAChild) {
  auto store = create();
  auto run = store->begin(start());
  run->event(0, "data", "digits", R"({"n":10})");
  run->event(0, "warning", "early", "");
  run->event(5, "cache", "teacher", "");
  run->artifact("weights", "best.safetensors", "00", 3);
  train(*run, 50, 100);
  run->log(run->key("only/first"), 3, 1);
  const SplitRun child = run->split("fit");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics WHERE run_id = 1"), "0");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM progress WHERE run_id = 1"), "0");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM summaries WHERE run_id = 1"), "0");
  train(*run, 20, 0);
  run->finish("finished");

  EXPECT_EQ(child.id, 2);
  EXPECT_EQ(child.uid.size(), 32U);
  const Json first = show_run(*store, "2"), second = show_run(*store, "1");
  EXPECT_EQ(first["uid"], child.uid);
  EXPECT_EQ(first["name"], "fit");
  EXPECT_EQ(first["kind"], "training");
  EXPECT_EQ(first["status"], "finished");
  EXPECT_EQ(first["parent"], 1);
  for (const char* same : {"seed", "config_hash", "params", "threads", "device", "host", "git_commit", "sources"})
    EXPECT_EQ(first[same], second[same]) << same;
  EXPECT_EQ(first["params"]["deep"], true);
  EXPECT_GE(first["started"], second["started"]);
  EXPECT_GE(first["ended"], first["started"]);
  EXPECT_GE(second["ended"], first["ended"]);
  EXPECT_GE(first["seconds"], 0);
  EXPECT_LE(first["seconds"], second["seconds"]);
  EXPECT_EQ(
      first["summaries"].dump(),
      R"([{"key":"only/first","last":1.0,"min":1.0,"max":1.0,"argmin":3,"argmax":3,"count":1,"last_step":3,"nans":0},)"
      R"({"key":"val/acc","last":150.0,"min":101.0,"max":150.0,"argmin":1,"argmax":50,"count":50,"last_step":50,"nans":0}])");
  EXPECT_EQ(
      second["summaries"].dump(),
      R"([{"key":"val/acc","last":20.0,"min":1.0,"max":20.0,"argmin":1,"argmax":20,"count":20,"last_step":20,"nans":0}])")
      << "nothing of the first training is left in the summaries";
  EXPECT_EQ(first["progress"]["samples"], 400);
  EXPECT_EQ(second["progress"]["samples"], 160);
  const auto names = [](const Json& shown) {
    std::string all;
    for (const Json& event : shown["events"]) all += event["name"].get<std::string>() + " ";
    return all;
  };
  EXPECT_EQ(names(first), "easy late ");
  EXPECT_EQ(names(second), "digits early teacher easy late ") << "what was known before the first step is the run's";
  EXPECT_EQ(first["artifacts"].size(), 0U);
  EXPECT_EQ(second["artifacts"].size(), 1U);
  EXPECT_TRUE(std::filesystem::is_directory(folder_ + "/" + child.uid));
  EXPECT_EQ(list_runs(*store, {}).size(), 1U) << "lists show the run";
}

TEST_F(SplitTest, TwiceAndWithNothing) {
  auto store = create();
  auto run = store->begin(start());
  run->split("nothing");
  train(*run, 5, 0);
  run->split("a", "teacher");
  train(*run, 6, 0);
  run->split("b");
  run->finish("failed", "why");
  EXPECT_EQ(
      ask(*store,
          "SELECT group_concat(name || kind || status || (SELECT count(*) FROM metrics WHERE run_id = r.id)) FROM "
          "(SELECT * FROM runs ORDER BY id) r"),
      "tworunfailed0,nothingtrainingfinished0,ateacherfinished5,btrainingfinished6");
  EXPECT_EQ(ask(*store, "SELECT sum(seconds) <= (SELECT seconds FROM runs WHERE id = 1) FROM runs WHERE parent = 1"),
            "1")
      << "each has the time since the one before";
  expect_error(Exit::usage, "is over", [&] { run->split("late"); });
  auto other = store->begin(start());
  expect_error(Exit::usage, "expected a name", [&] { other->split(""); });
  other->finish("finished");
}

TEST_F(SplitTest, TheTwoAreNoRepetitionsOfEachOther) {
  auto store = create();
  auto run = store->begin(start());
  train(*run, 5, 0);
  run->split("two");
  train(*run, 5, 1);
  run->finish("finished");
  CompareOptions options;
  options.filter.children = true;
  options.by = {"name"};
  const Json compared = compare(*store, options);
  EXPECT_EQ(compared["groups"][0]["n"], 2);
  EXPECT_EQ(compared["groups"][0]["repeated"], 0);
}

// Wherever it is killed, each training's rows are with one run, whole.
TEST_F(SplitTest, Kill9AroundIt) {
  struct Shared {
    std::atomic<int> splits;  // of which split() returned
  };
  constexpr int kSteps = 3000;
  int before = 0, after = 0;
  for (int round = 0; round < 24; ++round) {
    auto* shared =
        static_cast<Shared*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    const pid_t pid = spawn([&] {
      auto store = create();
      auto run = store->begin(start());
      for (int training = 1;; ++training) {
        const int key = run->key("a"), other = run->key("b");
        for (int step = 1; step <= kSteps; ++step) {
          run->log(key, step, training);
          run->log(other, step, training);
        }
        run->event(kSteps, "stage", std::to_string(training), "");
        run->split(std::to_string(training));
        shared->splits.store(training);
      }
    });
    while (shared->splits.load() < 1) ::usleep(50);
    ::usleep(static_cast<useconds_t>(1'300 * round));
    ::kill(pid, SIGKILL);
    EXPECT_TRUE(WIFSIGNALED(wait_for(pid)));
    auto store = read();
    const std::string run = ask(*store, "SELECT max(id) FROM runs WHERE parent IS NULL");
    const int children = std::stoi(ask(*store, "SELECT count(*) FROM runs WHERE parent = " + run));
    (children > shared->splits.load() ? after : before)++;
    EXPECT_GE(children, shared->splits.load());
    EXPECT_LE(children, shared->splits.load() + 1);
    EXPECT_EQ(ask(*store, "SELECT count(*) FROM runs r WHERE parent = " + run +
                              " AND ((SELECT count(*) FROM metrics WHERE run_id = r.id AND value = r.name) != 6000 OR "
                              "(SELECT sum(count) FROM summaries WHERE run_id = r.id) != 6000 OR (SELECT "
                              "group_concat(name) FROM events WHERE run_id = r.id) != r.name)"),
              "0");
    // What was logged after the last split is the run's, and only that.
    EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics WHERE run_id = " + run +
                              " AND value != " + std::to_string(children + 1)),
              "0");
    EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics WHERE run_id = " + run),
              ask(*store, "SELECT coalesce(sum(count), 0) FROM summaries WHERE run_id = " + run));
    EXPECT_EQ(ask(*store, "SELECT status FROM runs WHERE id = " + run), "interrupted");
    EXPECT_EQ(ask(*store, "PRAGMA integrity_check"), "ok");
    ::munmap(shared, 4096);
  }
  std::printf("killed after the commit of a split that had not returned: %d of %d\n", after, before + after);
}

}  // namespace
}  // namespace gradus::results
