// What every format is given of a run: all points, however many, and when a step was.
#include "exchange/exported_run.h"

#include <cmath>
#include <limits>

#include "exchange/csv.h"
#include "exchange/mlflow.h"
#include "exchange/wandb.h"
#include "store/clock.h"
#include "store/database.h"
#include "store/housekeeping.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

using ExportedRunTest = StoreTest;
constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();

// Points are read 100,000 at a time.
TEST_F(ExportedRunTest, APieceThatIsFullIsNotTheEnd) {
  auto store = create();
  auto run = store->begin({.name = "long"});
  const std::pair<const char*, std::int64_t> curves[] = {{"less", 99'999}, {"full", 100'000}, {"more", 100'001}};
  for (const auto& [name, points] : curves) {
    const int key = run->key(name);
    for (std::int64_t step = 1; step <= points; ++step) run->log(key, step, 1);
  }
  const int end = run->key("to_the_end");
  for (std::int64_t step = 1; step < 100'000; ++step) run->log(end, step, 1);
  run->log(end, kLast, 2);
  run->finish("finished");
  for (const auto& [name, points] : curves) {
    std::int64_t found = 0;
    for_each_point(*store, 1, name, [&](std::int64_t step, double) { EXPECT_EQ(step, ++found); });
    EXPECT_EQ(found, points) << name;
  }
  std::int64_t found = 0, last = 0;
  for_each_point(*store, 1, "to_the_end", [&](std::int64_t step, double) { ++found, last = step; });
  EXPECT_EQ(found, 100'000);
  EXPECT_EQ(last, kLast);
  EXPECT_EQ(export_csv(*store, {1}, folder_ + "/all.csv", {}).values, 400'000);
}

// Of so many curves 64 points of each are in memory.
TEST_F(ExportedRunTest, WandbsCurvesGoOnWhereTheLastPieceEnded) {
  auto store = create();
  auto run = store->begin({.name = "wide"});
  for (int i = 0; i < 8000; ++i) run->log(run->key("k" + std::to_string(i)), 1, 1);
  for (const std::int64_t points : {63, 64, 65, 130}) {
    const int key = run->key("of_" + std::to_string(points));
    for (std::int64_t step = 1; step <= points; ++step) run->log(key, step, 1);
  }
  const int end = run->key("to_the_end");
  for (std::int64_t step = 1; step < 64; ++step) run->log(end, step, 1);
  run->log(end, kLast, 2);
  run->finish("finished");
  EXPECT_EQ(export_wandb(*store, {1}, folder_ + "/wandb").values, 8000 + 63 + 64 + 65 + 130 + 64);
}

TEST_F(ExportedRunTest, WhenAStepWas) {
  auto store = create();
  auto run = store->begin({.name = "a"});
  run->progress(10, 1, 1, 1, 5);
  run->progress(20, 2, 2, 2, 7);
  run->progress(21, 2, 2, 2, 8);
  run->finish("finished");
  store->write([](Database& database) { database.run("UPDATE runs SET started = '1970-01-01T00:01:40Z'"); });
  const WallClock clock(*store, exported_run(*store, 1));
  const std::pair<std::int64_t, double> times[] = {{0, 100},  {2, 101},  {10, 105},    {15, 106}, {20, 107},
                                                   {21, 108}, {22, 108}, {kLast, 108}, {-5, 100}};
  for (const auto& [step, time] : times) EXPECT_DOUBLE_EQ(clock.at(step), time) << step;

  store->begin({.name = "without progress"})->finish("finished");
  store->write(
      [](Database& database) { database.run("UPDATE runs SET started = '1970-01-01T00:00:07Z' WHERE id = 2"); });
  EXPECT_EQ(WallClock(*store, exported_run(*store, 2)).at(3), 7);
  store->write([](Database& database) { database.run("UPDATE runs SET started = 'once' WHERE id = 2"); });
  EXPECT_EQ(WallClock(*store, exported_run(*store, 2)).at(3), 0);

  auto early = store->begin({.name = "before its beginning"});
  early->progress(-4, 0, 0, 0, 2);
  early->progress(4, 0, 0, 0, 6);
  early->finish("finished");
  store->write(
      [](Database& database) { database.run("UPDATE runs SET started = '1970-01-01T00:00:00Z' WHERE id = 3"); });
  const WallClock from_below(*store, exported_run(*store, 3));
  EXPECT_EQ(from_below.at(-4), 2);
  EXPECT_EQ(from_below.at(-9), 0);
  EXPECT_EQ(from_below.at(0), 4);
}

TEST_F(ExportedRunTest, TextsThatAreTooLongForMlflowAreCutBetweenCharacters) {
  auto store = create();
  RunStart start{
      .name = std::string(198, 'n') + "日本",
      .params = {
          {"long", std::string(499, 'x') + "ü"}, {"fits", std::string(498, 'x') + "ü"}, {std::string(251, 'k'), 1.5}}};
  start.environment.script = std::string(498, 's') + "日";
  auto run = store->begin(start);
  set_tag(*store, run->id(), "long", std::string(5001, 't'));
  set_tag(*store, run->id(), "fits", std::string(5000, 't'));
  run->log(run->key("x"), 1, HUGE_VAL);
  run->log(run->key("x"), 2, -HUGE_VAL);
  run->finish("interrupted");
  export_mlflow(*store, {1}, folder_ + "/ml flow.db");
  Database file(folder_ + "/ml flow.db", SQLITE_OPEN_READONLY);
  const auto text = [&](const std::string& sql) {
    Statement row = file.prepare(sql);
    return row.step() ? row.text(0) : "-";
  };
  EXPECT_EQ(text("SELECT name FROM runs"), std::string(198, 'n') + "-1");
  EXPECT_EQ(text("SELECT source_name FROM runs"), std::string(498, 's'));
  EXPECT_EQ(text("SELECT status FROM runs"), "KILLED");
  EXPECT_EQ(text("SELECT value FROM params WHERE key = 'long'"), std::string(499, 'x'));
  EXPECT_EQ(text("SELECT value FROM params WHERE key = 'fits'"), std::string(498, 'x') + "ü");
  EXPECT_EQ(text("SELECT max(length(key)) FROM params"), "250");
  EXPECT_EQ(text("SELECT group_concat(length(value)) FROM (SELECT value FROM tags WHERE key IN ('long', 'fits') ORDER "
                 "BY key)"),
            "5000,5000");
  EXPECT_EQ(text("SELECT group_concat(value) FROM metrics"), "1.79769313486232e+308,-1.79769313486232e+308");
  std::string escaped = folder_;
  EXPECT_EQ(text("SELECT artifact_uri FROM runs"), "file://" + escaped + "/" + run->uid());
  RunStart longest{.name = std::string(251, 'e')};
  longest.environment.git_commit = std::string(51, 'c');
  store->begin(longest)->finish("finished");
  export_mlflow(*store, {2}, folder_ + "/ml flow.db");
  EXPECT_EQ(text("SELECT group_concat(length(name)) FROM (SELECT name FROM experiments WHERE name != 'Default' ORDER "
                 "BY name)"),
            "250,200");
  EXPECT_EQ(text("SELECT max(length(name)) FROM runs"), "202") << "and its number";
  EXPECT_EQ(text("SELECT max(length(source_version)) FROM runs"), "50");
  std::filesystem::create_directory(folder_ + "/a b%ü");
  auto other = Store::open(folder_ + "/a b%ü/s.db", Store::Mode::create);
  other->begin({.name = "x"})->finish("finished");
  export_mlflow(*other, {1}, folder_ + "/ml flow.db");
  EXPECT_EQ(text("SELECT artifact_location FROM experiments WHERE name = 'x'"),
            "file://" + escaped + "/a%20b%25%C3%BC");
}

}  // namespace
}  // namespace gradus::results
