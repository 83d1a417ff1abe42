// A store in which each kind of thing is there once, always the same to the last byte: groups of seeds, a failed and a diverged run, a fork, a
// child, an archived run, stages, decisions, knobs, a spread, NaN and infinities, tags, sources.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "golden.h"
#include "query/query.h"
#include "store/housekeeping.h"
#include "store_fixture.h"

namespace gradus::results {

class WholeStoreTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    {
      const auto store = create();
      for (const char* strategy : {"stages", "one_shot"}) {
        for (int seed = 1; seed <= 3; ++seed) train(*store, strategy, seed);
      }
      fork(*store);
      others(*store);
    }
    same_each_time();
    store_ = read();
  }
  void TearDown() override {
    store_.reset();
    StoreTest::TearDown();
  }

  static RunStart start(const std::string& strategy, std::int64_t seed) {
    RunStart start{.name = "digits", .seed = seed, .config_hash = std::string(63, 'c') + strategy[0]};
    start.params = {{"strategy", strategy},
                    {"lr", 0.003},
                    {"width", std::int64_t{12}},
                    {"augment", strategy == "stages"},
                    {"optimizer.name", std::string("adamw")},
                    {"none", {}}};
    start.sources = {{"scripts/digits.lua", std::string(64, 'a'), "return 1 -- <b>``` & 'x'\n"},
                     {"lib/own.lua", std::string(64, strategy == "stages" ? 'b' : 'd'), "-- " + strategy}};
    start.environment = {.threads = 2,
                         .device = "cpu",
                         .host = "here",
                         .command = "gradus run digits.lua",
                         .script = "digits.lua",
                         .git_commit = std::string(40, 'e'),
                         .git_dirty = true,
                         .git_diff = Source{"git.diff", std::string(64, 'f'), "+x\n"},
                         .versions = R"({"gradus":"0.1","torch":"2.13"})"};
    return start;
  }

  static void train(Store& store, const std::string& strategy, int seed) {
    const bool stages = strategy == "stages", lost = !stages && seed == 3;
    const auto run = store.begin(start(strategy, seed));
    run->better("score", "lower");
    if (stages) run->event(0, "stage", "easy", R"({"rows":30})");
    run->event(0, "data", "digits", R"({"fingerprint":"0123456789012345678901234567890123456789","rows":100})");
    for (int step = 1; step <= 10; ++step) {
      run->log(run->key("train/loss"), step, 2.0 / (step + seed));
      run->log(run->key("knob/temperature"), step, stages && step <= 5 ? 4 : 2);
      if (step % 2 == 0) {
        run->log(run->key("val/acc"), step,
                 lost && step == 10 ? std::nan("") : (stages ? 0.05 : 0.04) * step + 0.01 * seed * seed);
        run->log(run->key("val/loss"), step, 1.0 / step + 0.125 * seed);
        run->log(run->key("hard/acc"), step, 0.02 * step);
      }
      run->progress(step, 0.1 * step, 10 * step, 2e9 * step, 0.5 * step * seed);
      if (stages && step == 5) {
        run->log(run->key("stage/loss"), step, 0.75);
        run->event(5, "decision", "advance", R"({"rule":"plateau","numbers":{"val/acc":0.25},"to":"hard"})");
        run->event(5, "stage", "hard", R"({"rows":100})");
      }
    }
    run->event(6, "best", "val/acc", R"({"value":0.3})");
    run->event(10, "spread", "probe", R"({"inside":[0.5,-0.25],"outside":[0.125]})");
    run->log(run->key("score"), 10, seed == 2 ? HUGE_VAL : 3 - seed);
    run->log(run->key("result/test"), 10, (stages ? 0.9 : 0.8) + 0.01 * seed);
    if (lost) run->event(10, "error", "loss", "");
    run->artifact("weights", "best.safetensors", std::string(64, '9'), 1234);
    lost ? run->finish("failed", "loss: not finite") : run->finish("finished");
  }

  void fork(Store& store) const {
    RunStart begin = start("stages", 1);
    begin.params[1].value = 0.1;
    begin.sources[1] = {"lib/own.lua", std::string(64, '8'), "-- other"};
    begin.past = Past{1, {.step = 4, .event = 2, .progress = 4, .keys = R"(["train/loss","val/acc"])"}};
    const auto run = store.begin(begin);
    run->event(0, "resume", "fork", R"({"run":1,"at":4,"set":{"lr":0.1},"uid":")" + uid(1) + "\"}");
    for (int step = 5; step <= 10; ++step)
      run->log(run->key("train/loss"), step, 0.25), run->progress(step, 0.1 * step, 10 * step, 2e9 * step, step);
    run->log(run->key("val/acc"), 10, 0.75);
    run->finish("interrupted", "by a signal");
  }

  static void others(Store& store) {
    const auto child = store.begin({.name = "teacher of digits", .kind = "teacher", .seed = 1, .parent = 1});
    child->log(child->key("val/acc"), 3, 1);
    child->finish("finished");
    const auto archived = store.begin({.name = "<old> | \"run\"", .params = {{"lr", -HUGE_VAL}}});
    archived->finish("finished");
    set_tag(store, 1, "paper", "kept"), set_tag(store, 2, "seen", "");
    set_note(store, 2, "a *note* | with_signs");
    archive_runs(store, {archived->id()}, true);
  }

  static std::string uid(int run) { return std::to_string(run) + std::string(31, '0'); }

  // Times and names that are of this moment become ones of none.
  void same_each_time() const {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    char* error = nullptr;
    sqlite3_exec(db,
                 "UPDATE runs SET uid = id || '0000000000000000000000000000000', seconds = 40.5 * id, started = "
                 "'2026-01-02T03:0' || id || ':05.678Z', ended = CASE WHEN "
                 "id != 6 THEN '2026-01-02T04:0' || id || ':05.678Z' END, archived = CASE WHEN archived IS NULL THEN "
                 "NULL ELSE '2026-02-03T04:05:06.000Z' END;"
                 "UPDATE events SET time = '2026-01-02T03:04:' || (10 + id) || 'Z'",
                 nullptr, nullptr, &error);
    ASSERT_EQ(error, nullptr) << error;
    sqlite3_close(db);
  }

  std::string told(std::string text) const {  // without the folder of this test
    for (std::size_t at = 0; (at = text.find(folder_, at)) != std::string::npos;)
      text.replace(at, folder_.size(), "FOLDER");
    return text;
  }
  // A value in one line where that is short, else its parts in one each. Twelve digits: the last ones are the machine's.
  static std::string lines(const Json& value, const std::string& indent = "") {
    if (value.is_number_float()) {
      char text[32];
      std::snprintf(text, sizeof text, "%.12g", value.get<double>());
      return text;
    }
    if (!value.is_structured() || value.empty()) return dump(value);
    std::string open = value.is_array() ? "[" : "{", one = open, many = open + "\n",
                close = value.is_array() ? "]" : "}";
    for (auto item = value.begin(); item != value.end(); ++item) {
      const std::string name = value.is_array() ? "" : Json(item.key()).dump() + ": ";
      one += (item == value.begin() ? "" : ", ") + name + lines(*item, indent + "  ");
      many += indent + "  " + name + lines(*item, indent + "  ") + "\n";
    }
    return one.size() < 150 && one.find('\n') == one.npos ? one + close : many + indent + close;
  }

  std::shared_ptr<Store> store_;
};

}  // namespace gradus::results
