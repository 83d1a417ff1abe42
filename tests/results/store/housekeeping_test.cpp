#include "store/housekeeping.h"

#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <set>

#include "exchange/merge.h"
#include "store/database.h"
#include "store/schema.h"
#include "store/snapshot_files.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

namespace fs = std::filesystem;

class HousekeepingTest : public StoreTest {
 protected:
  std::int64_t add(Store& store, std::int64_t seed, std::optional<std::int64_t> parent = {},
                   const std::string& key = "val/acc") {
    RunStart start{.name = "digits", .seed = seed, .config_hash = "c", .parent = parent};
    start.params = {{"lr", 0.1}};
    start.sources = {{"x.lua", std::string(64, static_cast<char>('a' + seed % 6)), "return " + std::to_string(seed)}};
    auto run = store.begin(start);
    for (int step = 1; step <= 50; ++step) run->log(run->key(key), step, 0.01 * step + static_cast<double>(seed));
    run->progress(50, 1, 100, 1e6, 1);
    run->event(3, "decision", "stop", "{}");
    std::ofstream(run->folder() + "/model.bin") << "weights";
    run->artifact("weights", "model.bin", "", 7);
    run->finish("finished");
    return run->id();
  }
  static std::string count(Store& store, const std::string& table) {
    return ask(store, "SELECT count(*) FROM " + table);
  }
  void age(const std::string& path, int hours) {
    fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(hours));
    for (const auto& entry : fs::directory_iterator(path))
      fs::last_write_time(entry, fs::file_time_type::clock::now() - std::chrono::hours(hours));
  }
};

TEST_F(HousekeepingTest, TagsNotesArchive) {
  auto store = create();
  add(*store, 1);
  add(*store, 2);
  set_tag(*store, 1, "paper", "table 2");
  set_tag(*store, 2, "paper", "");
  set_note(*store, 2, "wrong' split; DROP TABLE runs");
  EXPECT_EQ(list_runs(*store, {.where = "tags.paper == 'table 2'"}).size(), 1U);
  EXPECT_EQ(list_runs(*store, {.where = "tags.paper != nil"}).size(), 2U);
  EXPECT_EQ(list_runs(*store, {.where = "note ~ 'split'"})[0]["note"], "wrong' split; DROP TABLE runs");
  EXPECT_TRUE(remove_tag(*store, 2, "paper"));
  EXPECT_FALSE(remove_tag(*store, 2, "paper"));
  expect_error(Exit::usage, "tag: expected a name", [&] { set_tag(*store, 1, "a b", ""); });
  archive_runs(*store, {2}, true);
  EXPECT_EQ(list_runs(*store, {}).size(), 1U);
  EXPECT_EQ(list_runs(*store, {.archived = true}).size(), 2U);
  EXPECT_EQ(list_runs(*store, {.where = "archived != nil"}).size(), 1U);
  EXPECT_EQ(compare(*store, {})["groups"][0]["n"], 1);
  archive_runs(*store, {2}, false);
  EXPECT_EQ(list_runs(*store, {}).size(), 2U);
}

TEST_F(HousekeepingTest, DeleteTakesRowsFolderAndChildren) {
  auto store = create();
  const std::int64_t parent = add(*store, 1), other = add(*store, 2), child = add(*store, 3, parent);
  const std::string uid = ask(*store, "SELECT uid FROM runs WHERE id = 1");
  const Json plan = plan_delete(*store, {parent});
  ASSERT_EQ(plan.size(), 2U);
  EXPECT_EQ(plan[1]["id"], child);
  EXPECT_EQ(plan[0]["values"], 50);
  EXPECT_EQ(plan[0]["bytes"], 7);
  EXPECT_TRUE(fs::exists(folder_ + "/" + uid));
  delete_runs(*store, plan);
  EXPECT_FALSE(fs::exists(folder_ + "/" + uid));
  for (const char* table : {"runs", "summary_values", "progress", "events", "run_sources", "artifacts", "params"})
    EXPECT_EQ(count(*store, table), "1") << table;
  EXPECT_EQ(count(*store, "metric_values"), "50");
  EXPECT_EQ(ask(*store, "SELECT id FROM runs"), std::to_string(other));
  auto live = store->begin({.name = "live"});
  expect_error(Exit::usage, "is running", [&] { plan_delete(*store, {live->id()}); });
  live->finish("finished");
}

TEST_F(HousekeepingTest, GcFindsWhatNoRunNeeds) {
  auto store = create();
  const std::int64_t gone = add(*store, 1);
  add(*store, 2);
  delete_runs(*store, plan_delete(*store, {gone}));
  const std::string orphan = folder_ + "/" + std::string(32, 'a'), young = folder_ + "/" + std::string(32, 'b');
  for (const std::string& made : {orphan, young, folder_ + "/mine", folder_ + "/cache"}) fs::create_directory(made);
  std::ofstream(orphan + "/x") << "12345";
  std::ofstream(folder_ + "/cache/old") << "123";
  std::ofstream(folder_ + "/cache/new") << "123";
  age(orphan, 3);
  ASSERT_EQ(std::system(("touch -d '40 days ago' " + folder_ + "/cache/old").c_str()), 0);
  {
    auto neighbour = Store::open(folder_ + "/other.db", Store::Mode::create);  // its runs are no orphans
    auto run = neighbour->begin({.name = "x"});
    run->finish("finished");
    ASSERT_EQ(std::system(("touch -d '2 days ago' " + run->folder() + " " + orphan + "/x " + orphan).c_str()), 0);
  }
  const Json plan = plan_gc(*store, {});
  ASSERT_EQ(plan["folders"].size(), 1U);
  EXPECT_EQ(plan["folders"][0]["path"], orphan);
  ASSERT_EQ(plan["cache"].size(), 1U);
  EXPECT_EQ(plan["cache"][0]["path"], folder_ + "/cache/old");
  EXPECT_EQ(plan["sources"]["count"], 1);
  EXPECT_EQ(plan["bytes"], 5 + 3 + 8);
  collect(*store, plan);
  EXPECT_FALSE(fs::exists(orphan));
  EXPECT_TRUE(fs::exists(young) && fs::exists(folder_ + "/mine") && fs::exists(folder_ + "/cache/new"));
  EXPECT_EQ(count(*store, "sources"), "1");
  EXPECT_TRUE(plan_gc(*store, {})["folders"].empty());
  store->compact();
  EXPECT_EQ(inspect(path_, true)["free_bytes"], 0);
}

// A run of a store elsewhere (--store in another folder, its file moved) that lives: its folder looks old and unknown.
TEST_F(HousekeepingTest, GcLeavesWhatIsAlive) {
  auto store = create();
  add(*store, 1);
  const std::string live = folder_ + "/" + std::string(32, 'c'), dead = folder_ + "/" + std::string(32, 'd');
  for (const std::string& made : {live, dead}) {
    fs::create_directory(made);
    std::ofstream(made + "/alive") << std::string(64, '\0');
  }
  int locked[2], done[2];
  ASSERT_EQ(::pipe(locked) + ::pipe(done), 0);
  const pid_t holder = spawn([&] {
    ::close(done[1]);  // or it would outlive a test that fails
    FileLock lock(live + "/alive");
    if (!lock.try_lock() || ::write(locked[1], "x", 1) != 1) throw std::runtime_error("no lock");
    char byte;
    if (::read(done[0], &byte, 1) < 0) throw std::runtime_error("no end");
  });
  char byte;
  ASSERT_EQ(::read(locked[0], &byte, 1), 1);
  const auto grow_old = [&] {
    for (const std::string& made : {live, dead})
      ASSERT_EQ(std::system(("touch -d '2 days ago' " + made + "/alive " + made).c_str()), 0);
  };
  grow_old();
  Json folders = plan_gc(*store, {})["folders"];
  ASSERT_EQ(folders.size(), 1U) << folders.dump();
  EXPECT_EQ(folders[0]["path"], dead);
  ASSERT_EQ(::write(done[1], "x", 1), 1);
  EXPECT_EQ(wait_for(holder), 0);
  EXPECT_EQ(plan_gc(*store, {})["folders"].size(), 2U);
  for (const int end : {locked[0], locked[1], done[0], done[1]}) ::close(end);
}

// What runs share lies in the cache of their store: it comes along, and what is there stays as it is.
TEST_F(HousekeepingTest, MergeBringsWhatRunsTookFromTheCache) {
  auto store = create();
  const std::string node = folder_ + "/node";
  auto other = Store::open(node + "/gradus.db", Store::Mode::create);
  const auto write = [](const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path) << text;
  };
  const auto text = [](const std::string& path) {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  write(node + "/cache/a/one", "theirs"), write(node + "/cache/two", "theirs"), write(node + "/outside", "theirs");
  write(node + "/cache/unused", "theirs"), write(folder_ + "/cache/two", "ours");
  auto run = other->begin({.name = "a"});
  for (const char* path : {"../cache/a/one", "../cache/two", "../cache/none", "../cache/../outside", "cache/own"})
    run->artifact("teacher", path, std::string(64, 'a'), 6);
  run->finish("finished");
  EXPECT_EQ(merge(*store, *other)["added"], 1);
  EXPECT_EQ(text(folder_ + "/cache/a/one"), "theirs");
  EXPECT_EQ(text(folder_ + "/cache/two"), "ours");
  for (const char* none : {"/cache/none", "/outside", "/cache/unused", "/cache/a/one.part"})
    EXPECT_FALSE(fs::exists(folder_ + none)) << none;
}

// A pipe in a run's folder, a folder where a file was in the cache: the run is not taken, and nothing is left of it.
TEST_F(HousekeepingTest, WhatCannotBeCopiedIsToldAndLeavesNothing) {
  auto store = create();
  const std::string node = folder_ + "/node";
  auto other = Store::open(node + "/gradus.db", Store::Mode::create);
  auto run = other->begin({.name = "a"});
  run->artifact("teacher", "../cache/one", std::string(64, 'a'), 6);
  run->finish("finished");
  fs::create_directories(node + "/cache/one");
  expect_error(Exit::io, folder_ + "/cache/one: cannot copy what the run took from the cache; got ",
               [&] { merge(*store, *other); });
  EXPECT_TRUE(fs::is_empty(folder_ + "/cache"));
  fs::remove(node + "/cache/one");
  const std::string pipe = node + "/" + run->uid() + "/pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  fs::remove_all(folder_ + "/" + run->uid());
  expect_error(Exit::io, folder_ + "/" + run->uid() + ": cannot copy the run's folder; got ",
               [&] { merge(*store, *other); });
  for (const char* none : {"", ".part"}) EXPECT_FALSE(fs::exists(folder_ + "/" + run->uid() + none)) << none;
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM runs"), "0");
  fs::remove(pipe);
  EXPECT_EQ(merge(*store, *other)["added"], 1);
}

TEST_F(HousekeepingTest, ARunThatWasResumedIsNotDeleted) {
  auto store = create();
  const auto run = store->begin({.name = "a"});
  const Json plan = {{{"id", 1}}};
  expect_error(Exit::usage, "has been resumed since; nothing of it is gone", [&] { delete_runs(*store, plan); });
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM runs"), "1");
}

TEST_F(HousekeepingTest, MergeDoublesNothing) {
  auto store = create();
  add(*store, 1, {}, "val/loss");  // other keys first: the numbers of keys differ between the stores
  const std::string node = folder_ + "/node";
  auto other = Store::open(node + "/gradus.db", Store::Mode::create);
  const std::int64_t parent = add(*other, 2);
  add(*other, 3, parent);
  set_tag(*other, parent, "gpu", "a");
  auto live = other->begin({.name = "live"});
  live->log(live->key("val/acc"), 1, 0.5);
  live->flush();

  Json merged = merge(*store, *other);
  EXPECT_EQ(merged["added"], 2);
  EXPECT_EQ(merged["running"], 1);
  const auto all = [&] {
    return to_json(store->query(
        "SELECT r.uid, p.uid AS parent, key, step, value FROM metrics m JOIN runs r ON r.id = m.run_id LEFT "
        "JOIN runs p ON p.id = r.parent ORDER BY r.uid, key, step"));
  };
  const Json once = all();
  EXPECT_EQ(once.size(), 150U);
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM runs WHERE parent = (SELECT id FROM runs WHERE seed = 2)"), "1");
  EXPECT_EQ(
      ask(*store, "SELECT value FROM metrics JOIN runs ON id = run_id WHERE seed = 3 AND key = 'val/acc' AND step = 7"),
      "3.07");
  EXPECT_EQ(ask(*store, "SELECT max FROM summaries JOIN runs ON id = run_id WHERE seed = 3"), "3.5");
  EXPECT_TRUE(fs::exists(folder_ + "/" + ask(*store, "SELECT uid FROM runs WHERE seed = 2") + "/model.bin"));

  merged = merge(*store, *other);
  EXPECT_EQ(merged["added"], 0);
  EXPECT_EQ(merged["present"], 2);
  EXPECT_EQ(all(), once);
  for (const char* table : {"events", "progress", "params", "artifacts", "run_sources"})
    EXPECT_EQ(count(*store, table), "3") << table;

  live->log(live->key("val/acc"), 2, 0.6);
  live->finish("finished");
  EXPECT_EQ(merge(*store, *other)["added"], 1);
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics JOIN runs ON id = run_id WHERE name = 'live'"), "2");
  // A run that was resumed there after the merge.
  other->write([](Database& database) {
    database.run(
        "UPDATE runs SET ended = '2999-01-01T00:00:00.000Z' WHERE seed = 2; DELETE FROM metric_values WHERE step > 40");
  });
  EXPECT_EQ(merge(*store, *other)["updated"], 1);
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics JOIN runs ON id = run_id WHERE seed = 2"), "40");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM runs"), "4");
  expect_error(Exit::usage, "the same file", [&] { merge(*store, *store); });
}

// A run that went on in the other store replaces the copy, but not what the reader of this one wrote to it.
TEST_F(HousekeepingTest, MergeLeavesTheMarksOfTheStoreItFills) {
  auto store = create();
  auto other = Store::open(folder_ + "/node/gradus.db", Store::Mode::create);
  for (const std::int64_t seed : {1, 2}) add(*other, seed);
  ASSERT_EQ(merge(*store, *other)["added"], 2);
  set_note(*store, 1, "ours"), set_tag(*store, 1, "paper", "ours"), archive_runs(*store, {1}, true);
  for (const std::int64_t run : {1, 2}) {
    set_note(*other, run, "theirs"), set_tag(*other, run, "paper", "theirs"), set_tag(*other, run, "gpu", "a");
  }
  other->write([](Database& database) { database.run("UPDATE runs SET ended = '2999-01-01T00:00:00.000Z'"); });
  ASSERT_EQ(merge(*store, *other)["updated"], 2);
  const Json one = show_run(*store, "1"), two = show_run(*store, "2");
  EXPECT_EQ(one["note"], "ours");
  EXPECT_EQ(one["tags"], Json({{"gpu", "a"}, {"paper", "ours"}}));
  EXPECT_TRUE(one["archived"].is_string());
  EXPECT_EQ(two["note"], "theirs");
  EXPECT_EQ(two["tags"]["paper"], "theirs");
  EXPECT_TRUE(two["archived"].is_null());
}

TEST_F(HousekeepingTest, MergeKeepsEventsInTheirOrder) {
  auto store = create();
  auto other = Store::open(folder_ + "/node/gradus.db", Store::Mode::create);
  auto run = other->begin({.name = "a"});
  for (const auto& [step, name] : {std::pair(0, "easy"), {40, "hard"}, {20, "easy"}, {40, "hard"}, {5, "late"}})
    run->event(step, "stage", name, "");
  run->finish("finished");
  merge(*store, *other);
  for (Store* one : {store.get(), other.get()}) {
    EXPECT_EQ(ask(*one, "SELECT group_concat(step || name) FROM (SELECT * FROM events ORDER BY id)"),
              "0easy,40hard,20easy,40hard,5late");
  }
}

TEST_F(HousekeepingTest, InspectSeesLiveAndDead) {
  auto store = create();
  add(*store, 1);
  auto live = store->begin({.name = "live"});
  live->log(live->key("a"), 1, 1);
  live->flush();
  Json found = inspect(path_, false);
  EXPECT_EQ(found["live"], 1);
  EXPECT_EQ(found["dead"], 0);
  EXPECT_EQ(found["runs"], 2);
  EXPECT_EQ(found["values"], 51);
  EXPECT_EQ(found["check"], "ok");
  EXPECT_EQ(found["checked"], "quick");
  EXPECT_TRUE(inspect(path_, false, 10)["check"].is_null()) << "too large for a quick look";
  EXPECT_EQ(inspect(path_, true)["check"], "ok");
  store->write([](Database& database) { database.run("DELETE FROM metric_values WHERE run_id = 1 AND step = 9"); });
  EXPECT_NE(inspect(path_, true)["check"].get<std::string>().find("summary of val/acc"), std::string::npos);
  live->finish("finished");
}

TEST_F(HousekeepingTest, SnapshotsAreThinnedOut) {
  auto store = create();
  auto run = store->begin({.name = "r"});
  run->event(30, "best", "val/acc", "");
  const std::string folder = run->folder() + "/snapshots";
  std::filesystem::create_directories(folder);
  const auto names = [&] {
    std::string all;
    for (const SnapshotFile& file : snapshot_files(run->folder())) all += file.name + " ";
    return all;
  };
  for (const char* name : {"1-end", "2-10", "2-20", "2-100", "2-40", "2-90", "2-end"})
    std::ofstream(folder + "/" + name + ".safetensors") << "x";
  std::ofstream(folder + "/2-30.safetensors.tmp-1-1") << "x";
  EXPECT_EQ(names(), "1-end 2-10 2-20 2-40 2-90 2-100 2-end ");
  EXPECT_TRUE(plan_gc(*store, {.keep = "last=1"})["snapshots"].empty()) << "the run goes on";
  run->finish("interrupted");
  EXPECT_TRUE(plan_gc(*store, {})["snapshots"].empty()) << "nothing was asked for";
  collect(*store, plan_gc(*store, {.keep = "last=2,best,every=50"}));
  EXPECT_EQ(names(), "2-40 2-100 2-end ");
  collect(*store, plan_gc(*store, {.keep = "last=1"}));
  EXPECT_EQ(names(), "2-end ");
  for (const char* bad : {"last", "last=", "last=0", "last=-1", "last=x", "most=1", "last=1,,best", "every=1.5"})
    expect_error(Exit::usage, "expected last=N, best or every=STEPS", [&] { plan_gc(*store, {.keep = bad}); });
}

// How long ago something was last used: its own times, and of a folder those of what lies in it.
TEST_F(HousekeepingTest, WhatWasUsedLatelyIsKept) {
  auto store = create();
  const auto touch = [](const std::string& how, const std::string& path) {
    ASSERT_EQ(std::system(("touch " + how + " " + path).c_str()), 0);
  };
  int made = 0;
  const auto folder = [&](const char* inside, const char* outside) {
    const std::string path = folder_ + "/" + std::string(31, 'e') + static_cast<char>('0' + made++);
    fs::create_directories(path + "/deep");
    std::ofstream(path + "/deep/x") << "123";
    std::ofstream(path + "/y") << "45";
    touch(inside, path + "/deep " + path + "/y"), touch(outside, path);
    return path;
  };
  const std::string old = folder("-d '62 minutes ago'", "-d '62 minutes ago'");
  folder("-d '58 minutes ago'", "-d '2 days ago'"), folder("-d '2 days ago'", "-d '58 minutes ago'");
  touch("-a", folder("-d '2 days ago'", "-d '2 days ago'") + "/y");
  touch("-a", old), touch("-a", old + "/deep");  // whoever lists a folder reads it
  fs::create_directory(folder_ + "/cache");
  for (const auto& [name, how] :
       {std::pair{"old", "-d '721 hours ago'"}, {"young", "-d '719 hours ago'"}, {"read", "-md '900 hours ago'"}}) {
    std::ofstream(folder_ + "/cache/" + name) << "1";
    touch(how, folder_ + "/cache/" + name);
  }
  std::ofstream(old + "/deep/more") << std::string(1000, 'x');
  touch("-d '62 minutes ago'", old + "/deep");
  fs::create_symlink(folder_ + "/gradus.db", old + "/link");
  touch("-hd '62 minutes ago'", old + "/link"), touch("-md '62 minutes ago'", old);
  const Json plan = plan_gc(*store, {});
  ASSERT_EQ(plan["folders"].size(), 1U) << plan.dump();
  EXPECT_EQ(plan["folders"][0], (Json{{"path", old}, {"bytes", 1005}})) << "what a link leads to is not its own";
  ASSERT_EQ(plan["cache"].size(), 1U) << plan.dump();
  EXPECT_EQ(plan["cache"][0], (Json{{"path", folder_ + "/cache/old"}, {"bytes", 1}}));
  EXPECT_EQ(plan["bytes"], 1006);
  EXPECT_EQ(plan_gc(*store, {}), plan) << "to look is no use";
  EXPECT_EQ(plan_gc(*store, {.orphan_hours = 0.9, .keep = {}})["folders"].size(), 3U);
  EXPECT_EQ(plan_gc(*store, {.cache_days = 29, .keep = {}})["cache"].size(), 2U);
}

// What is a run's folder by its name, and whose.
TEST_F(HousekeepingTest, GcKnowsFoldersByTheirNames) {
  auto store = create();
  const std::int64_t run = add(*store, 1);
  const std::string known = folder_ + "/" + ask(*store, "SELECT uid FROM runs"),
                    orphan = folder_ + "/" + std::string(32, 'a');
  {
    auto kept = Store::open(folder_ + "/kept.db", Store::Mode::create);  // of an older version, or for safety
    kept->begin({.name = "x"})->finish("finished");
  }
  fs::rename(folder_ + "/kept.db", folder_ + "/gradus.db.v1-backup");
  std::ofstream(folder_ + "/notes.txt") << "no store";
  std::ofstream(folder_ + "/" + std::string(32, 'b')) << "no folder";
  for (const std::string& name :
       {known + ".part", orphan + ".part", orphan + ".parts", orphan + "a", folder_ + "/x.part", orphan})
    fs::create_directories(name);
  ASSERT_EQ(std::system(("touch -d '2 days ago' " + folder_ + "/*/* " + folder_ + "/*").c_str()), 0);
  std::set<std::string> found, expected = {known + ".part", orphan + ".part", orphan};
  const Json folders = plan_gc(*store, {})["folders"];
  for (const Json& folder : folders) found.insert(folder["path"]);
  EXPECT_EQ(found.size(), 4U) << "and that of the run which only a copy of a store knows";
  for (const std::string& path : expected) EXPECT_EQ(found.count(path), 1U) << path;
  EXPECT_EQ(found.count(known), 0U);
  EXPECT_EQ(run, 1);
}

TEST_F(HousekeepingTest, SourcesThatAreADifferenceAreInUse) {
  auto store = create();
  RunStart start{.name = "a", .sources = {{"x.lua", std::string(64, 'a'), "é"}}};
  start.environment = {.git_commit = "c", .git_diff = Source{"", std::string(64, 'b'), "+x"}};
  store->begin(start)->finish("finished");
  EXPECT_EQ(plan_gc(*store, {})["sources"], (Json{{"count", 0}, {"bytes", 0}}));
  delete_runs(*store, plan_delete(*store, {1}));
  const Json plan = plan_gc(*store, {});
  EXPECT_EQ(plan["sources"], (Json{{"count", 2}, {"bytes", 4}}));
  EXPECT_EQ(plan["bytes"], 4);
  collect(*store, plan);
  EXPECT_EQ(count(*store, "sources"), "0");
}

TEST_F(HousekeepingTest, DirectionsOfMetrics) {
  auto store = create();
  store->write([](Database& database) {
    EXPECT_EQ(put_better(database, "a", "higher"), "");
    EXPECT_EQ(put_better(database, "a", "lower"), "higher");
    EXPECT_EQ(put_better(database, "b", "lower"), "");
    EXPECT_EQ(put_better(database, "a", "lower"), "lower");
  });
  EXPECT_EQ(ask(*store, "SELECT group_concat(name || better) FROM keys"), "alower,blower");
  EXPECT_EQ(set_better(*store, "b", ""), "lower");
  EXPECT_EQ(set_better(*store, "b", ""), "");
  EXPECT_EQ(set_better(*store, "none", ""), "");
  EXPECT_EQ(set_better(*store, "b", "higher"), "");
  EXPECT_EQ(ask(*store, "SELECT group_concat(name || better) FROM keys"), "alower,bhigher");
  expect_error(Exit::usage, "; got '" + std::string(200, '!') + "'",
               [&] { set_better(*store, std::string(300, '!'), "higher"); });
  expect_error(Exit::usage, "better: a: expected higher or lower; got 'up'", [&] { set_better(*store, "a", "up"); });
}

TEST_F(HousekeepingTest, InspectTellsWhatIsThere) {
  auto store = create();
  add(*store, 1), add(*store, 2);
  archive_runs(*store, {2}, true);
  for (const char* name :
       {"gradus.db.v1-backup", "gradus.db.v1", "gradus.dbv1-backup", "other.db.v1-backup", "gradus.db.v2-backup"})
    std::ofstream(folder_ + "/" + name) << "x";
  const auto wal = fs::file_size(path_ + "-wal");
  ASSERT_GT(wal, 0U);
  Json found = inspect(path_, true);
  EXPECT_EQ(found["path"], path_);
  EXPECT_EQ(found["version"], kSchemaVersion);
  EXPECT_EQ(found["bytes"], fs::file_size(path_));
  EXPECT_EQ(found["wal_bytes"], wal);
  EXPECT_EQ(found["free_bytes"], 0);
  EXPECT_EQ(found["archived"], 1);
  EXPECT_EQ(found["checked"], "full");
  std::set<std::string> backups;
  for (const Json& path : found["backups"]) backups.insert(path);
  EXPECT_EQ(backups, (std::set<std::string>{path_ + ".v1-backup", path_ + ".v2-backup"}));
  store->write([](Database& database) {
    database.run("CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(100000)); DROP TABLE t");
  });
  EXPECT_EQ(inspect(path_, false)["free_bytes"], 25 * 4096);
  const auto bytes = static_cast<std::int64_t>(fs::file_size(path_));
  for (const auto& [limit, checked] :
       {std::pair{bytes - 1, Json()}, {bytes, Json("quick")}, {bytes + 1, Json("quick")}})
    EXPECT_EQ(inspect(path_, false, limit)["checked"], checked) << limit - bytes;
  EXPECT_EQ(inspect(path_, true, 1)["check"], "ok") << "in full, whatever its size";
  store->write([](Database& database) { database.run("DELETE FROM metric_values WHERE step = 9"); });
  EXPECT_EQ(inspect(path_, false)["check"], "ok") << "a quick look compares no summaries";
  EXPECT_EQ(inspect(path_, true)["check"], "the summary of val/acc in run 1 does not count its values");
}

TEST_F(HousekeepingTest, InspectCountsTheDead) {
  for (int i = 0; i < 2; ++i)
    EXPECT_TRUE(WIFSIGNALED(wait_for(spawn([&] {
      auto store = create();
      auto one = store->begin({.name = "a"}), other = store->begin({.name = "b"});
      ::raise(SIGKILL);
    }))));
  Json found = inspect(path_, false);
  EXPECT_EQ(found["dead"], 2) << "the first ones are recovered";
  EXPECT_EQ(found["live"], 0);
}

TEST_F(HousekeepingTest, InspectSaysWhatIsNoStore) {
  std::ofstream(path_).flush();
  expect_error(Exit::missing, "the store is empty", [&] { inspect(path_, false); });
  Database(path_, SQLITE_OPEN_READWRITE).run("CREATE TABLE runs (uid, status, archived)");
  expect_error(Exit::data, "another program's SQLite file", [&] { inspect(path_, false); });
}

}  // namespace
}  // namespace gradus::results
