#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <random>
#include <thread>

#include "../../failing_thread.h"
#include "store/housekeeping.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST_F(StoreTest, KeepsTheContract) {
  auto store = create();
  const std::map<std::string, std::string> contract = {
      {"runs", "id, uid, name, status, seed, config_hash, started, ended, parent"},
      {"params", "run_id, key, value, type"},
      {"metrics", "run_id, key, step, value"},
      {"summaries", "run_id, key, last, min, max, argmin, argmax, count"},
      {"progress", "run_id, step, epoch, samples, flops, seconds"},
      {"events", "id, run_id, step, time, kind, name, detail"},
      {"sources", "sha256, text"},
      {"run_sources", "run_id, path, sha256"},
      {"artifacts", "run_id, kind, path, sha256, bytes"}};
  for (const auto& [table, columns] : contract)
    EXPECT_NO_THROW(store->query("SELECT " + columns + " FROM " + table)) << table;
  EXPECT_EQ(ask(*store, "PRAGMA user_version"), "4");
  EXPECT_TRUE(std::filesystem::exists(path_ + "-wal"));
}

// How often the other threads of this process have gone to sleep.
std::int64_t sleeps_of_others() {
  std::int64_t sleeps = 0;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    if (thread.path().filename() == std::to_string(::gettid())) continue;
    std::ifstream status(thread.path() / "status");
    for (std::string word; status >> word;)
      if (word == "voluntary_ctxt_switches:" && status >> word) sleeps += std::stoll(word);
  }
  return sleeps;
}

TEST_F(StoreTest, WakesNobodyWhereNothingIsWritten) {
  auto store = create();
  store->begin({.name = "one"})->finish("finished");
  bool quiet = false;
  for (int look = 0; look < 20 && !quiet; ++look) {
    const std::int64_t before = sleeps_of_others();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    quiet = sleeps_of_others() == before;
  }
  EXPECT_TRUE(quiet);
  auto run = store->begin({.name = "two"});  // and is awake again
  run->log(run->key("a"), 1, 2.0);
  while (ask(*store, "SELECT count(*) FROM metrics") == "0") std::this_thread::sleep_for(std::chrono::milliseconds(5));
  run->finish("finished");
}

TEST_F(StoreTest, KeepsEverythingOfARun) {
  auto store = create();
  RunStart start{.name = "digits", .seed = 7, .config_hash = "abc"};
  start.params = {
      {"strategy", std::string("stages")}, {"width", std::int64_t{12}}, {"lr", 0.003}, {"flag", true}, {"none", {}}};
  start.sources = {{"a.lua", "s1", "return 1"}, {"b.lua", "s1", "return 1"}};
  start.environment = {.threads = 2,
                       .device = "cpu",
                       .host = "h",
                       .command = "gradus run a.lua",
                       .script = "a.lua",
                       .git_commit = "c0ffee",
                       .git_dirty = true,
                       .git_diff = Source{"", "d1", "+x"},
                       .versions = R"({"gradus":"1"})"};
  auto run = store->begin(start);
  EXPECT_EQ(run->uid().size(), 32U);
  EXPECT_TRUE(std::filesystem::is_directory(run->folder()));
  EXPECT_EQ(run->folder(), folder_ + "/" + run->uid());
  EXPECT_EQ(ask(*store, "SELECT status FROM runs"), "running");

  const int loss = run->key("train/loss");
  EXPECT_EQ(run->key("train/loss"), loss);
  for (int step = 1; step <= 10; ++step) run->log(loss, step, 1.0 / step);
  run->progress(10, 0.5, 640, 1e9, 2.5);
  run->event(5, "stage", "easy", R"({"acc":0.9})");
  run->event(6, "warning", "plain", "");
  run->artifact("weights", "best.safetensors", "f00", 123);
  run->artifact("weights", "best.safetensors", "f01", 124);
  run->amend("", 3);
  EXPECT_EQ(ask(*store, "SELECT config_hash || threads FROM runs"), "abc3");
  run->amend("def", {});
  EXPECT_EQ(ask(*store, "SELECT config_hash || threads FROM runs"), "def3");
  run->finish("finished");
  EXPECT_TRUE(run->finished());
  EXPECT_THROW(run->amend("late", {}), Error);

  EXPECT_EQ(ask(*store, "SELECT group_concat(type || '=' || coalesce(value, 'NULL'), ' ') FROM params"),
            "boolean=1 number=0.003 null=NULL string=stages integer=12");
  EXPECT_EQ(ask(*store, "SELECT typeof(value) FROM params WHERE key = 'width'"), "integer");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics WHERE run_id = 1 AND key = 'train/loss'"), "10");
  EXPECT_EQ(ask(*store, "SELECT value FROM metrics WHERE step = 4"), "0.25");
  EXPECT_EQ(ask(*store, "SELECT last || ' ' || argmin || ' ' || argmax || ' ' || count || ' ' || max FROM summaries"),
            "0.1 10 1 10 1.0");
  EXPECT_EQ(
      ask(*store, "SELECT step || ' ' || epoch || ' ' || samples || ' ' || flops || ' ' || seconds FROM progress"),
      "10 0.5 640 1000000000.0 2.5");
  EXPECT_EQ(ask(*store,
                "SELECT json_extract(detail, '$.acc') FROM events WHERE kind = 'stage' AND name = 'easy' AND step = 5"),
            "0.9");
  EXPECT_EQ(ask(*store, "SELECT detail FROM events WHERE kind = 'warning'"), "NULL");
  EXPECT_EQ(ask(*store, "SELECT time GLOB '20[0-9][0-9]-[01][0-9]-[0-3][0-9]T*Z' FROM events"), "1");
  EXPECT_EQ(ask(*store, "SELECT sha256 || bytes FROM artifacts"), "f01124");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM run_sources"), "2");
  EXPECT_EQ(ask(*store, "SELECT text FROM sources JOIN runs ON sha256 = git_diff"), "+x");
  EXPECT_EQ(ask(*store, "SELECT status || (ended >= started) || (seconds > 0) || git_dirty || threads FROM runs"),
            "finished1113");
  EXPECT_TRUE(std::filesystem::is_empty(run->folder())) << "a finished run leaves no spool";
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM drained"), "0");
}

TEST_F(StoreTest, IsDrainedWithoutBeingAsked) {
  auto store = create();
  auto run = store->begin({.name = "a"});
  run->log(run->key("x"), 1, 42);
  for (int i = 0; i < 100 && ask(*store, "SELECT count(*) FROM metrics") == "0"; ++i) ::usleep(10'000);
  EXPECT_EQ(ask(*store, "SELECT value FROM metrics"), "42");
  EXPECT_EQ(ask(*store, "SELECT last FROM summaries"), "42");
}

TEST_F(StoreTest, WithoutAThreadThereIsNoRun) {
  auto store = create();
  no_thread = true;
  expect_error(Exit::io, path_ + ": cannot start a thread; got ", [&] { store->begin({.name = "a"}); });
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 4)
      << "the store, its log and its locks; no folder of a run";
  auto run = store->begin({.name = "b"});
  run->log(run->key("x"), 1, 2);
  run->finish("finished");
  EXPECT_EQ(ask(*store, "SELECT group_concat(name || ' ' || status) FROM runs"), "b finished");
}

TEST_F(StoreTest, KnowsNanAndInfinity) {
  auto store = create();
  auto run = store->begin({.name = "a"});
  const int x = run->key("x"), n = run->key("n");
  const double values[] = {2, kNan, kInf, -kInf, 1, kNan};
  for (int i = 0; i < 6; ++i) run->log(x, i, values[i]);
  run->log(n, 0, kNan);
  run->finish("finished");
  EXPECT_EQ(ask(*store, "SELECT group_concat(coalesce(value, 'NULL'), ' ') FROM metrics WHERE key = 'x'"),
            "2.0 NULL Inf -Inf 1.0 NULL");
  EXPECT_EQ(ask(*store, "SELECT typeof(value) FROM metrics WHERE key = 'x' AND step = 2"), "real");
  EXPECT_EQ(ask(*store,
                "SELECT coalesce(last, 'NULL') || ' ' || argmin || ' ' || argmax || ' ' || count || ' ' || nans FROM "
                "summaries WHERE key = 'x'"),
            "NULL 3 2 6 2");
  EXPECT_EQ(
      ask(*store, "SELECT coalesce(min, 'none') || coalesce(argmax, 'none') || count FROM summaries WHERE key = 'n'"),
      "nonenone1");
}

// Summaries are kept value by value; what SQLite computes from the rows is the reference.
TEST_F(StoreTest, TheLastValueOfAStepWinsAndSummariesAgree) {
  auto store = create();
  auto run = store->begin({.name = "a"});
  std::mt19937 random(1);
  std::map<std::pair<int, int>, double> expected;
  const int keys[] = {run->key("k0"), run->key("k1"), run->key("k2")};
  for (int i = 0; i < 4000; ++i) {
    const int key = static_cast<int>(random() % 3), step = static_cast<int>(random() % 200);
    const double value = random() % 20 == 0 ? kNan : static_cast<double>(random() % 50) - 25;
    run->log(keys[key], step, value);
    expected[{key, step}] = value;
    if (i % 97 == 0) run->flush();
  }
  run->finish("finished");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics"), std::to_string(expected.size()));
  for (const auto& [at, value] : expected) {
    const Rows rows = store->query("SELECT value FROM metrics WHERE key = ?1 AND step = ?2",
                                   {"k" + std::to_string(at.first), std::int64_t{at.second}});
    ASSERT_EQ(rows.rows.size(), 1U);
    if (std::isnan(value)) {
      EXPECT_EQ(rows.rows[0][0].index(), 0U);
    } else {
      EXPECT_EQ(std::get<double>(rows.rows[0][0]), value);
    }
  }
  const Rows wrong = store->query(R"(
    WITH truth AS (
      SELECT key, min(value) AS mn, max(value) AS mx, count(*) AS n, count(*) - count(value) AS nans, max(step) AS last_step FROM metrics GROUP BY key)
    SELECT * FROM truth JOIN summaries s USING (key) WHERE mn != s.min OR mx != s.max OR n != s.count OR truth.nans != s.nans
      OR truth.last_step != s.last_step
      OR argmin != (SELECT min(step) FROM metrics m WHERE m.key = truth.key AND value = mn)
      OR argmax != (SELECT min(step) FROM metrics m WHERE m.key = truth.key AND value = mx)
      OR last IS NOT (SELECT value FROM metrics m WHERE m.key = truth.key AND step = truth.last_step))");
  EXPECT_TRUE(wrong.rows.empty());
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM summaries"), "3");
}

TEST(ValidKey, CharactersAndLength) {
  const std::string fine = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
  for (int c = 0; c < 256; ++c) {
    const std::string one(1, static_cast<char>(c));
    EXPECT_EQ(valid_key(one), fine.find(one) != std::string::npos) << c;
    EXPECT_EQ(valid_key("a" + one + "z"), fine.find(one) != std::string::npos) << c;
  }
  EXPECT_FALSE(valid_key(""));
  EXPECT_TRUE(valid_key(std::string(200, 'x')));
  EXPECT_FALSE(valid_key(std::string(201, 'x')));
}

TEST(DefaultStore, IsWhatTheEnvironmentSaysOrRuns) {
  const char* before = std::getenv("GRADUS_STORE");
  const std::string kept = before ? before : "";
  for (const auto& [given, path] : {std::pair{"", "runs/gradus.db"}, {"x", "x"}, {"/a/b.db", "/a/b.db"}}) {
    ::setenv("GRADUS_STORE", given, 1);
    EXPECT_EQ(default_store(), path);
  }
  ::unsetenv("GRADUS_STORE");
  EXPECT_EQ(default_store(), "runs/gradus.db");
  if (before) ::setenv("GRADUS_STORE", kept.c_str(), 1);
}

TEST_F(StoreTest, ChecksItsArguments) {
  auto store = create();
  auto run = store->begin({.name = "a"});
  for (const char* bad : {"", "a b", "é", "x=1", "a\n"})
    expect_error(Exit::usage, "metric name", [&] { run->key(bad); });
  expect_error(Exit::usage, "metric name", [&] { run->key(std::string(201, 'a')); });
  expect_error(Exit::usage, "; got 'a b? ?~?'", [&] { run->key("a b\x1f \n~\x7f"); });
  EXPECT_NO_THROW(run->key(std::string(200, 'a')));
  expect_error(Exit::usage, "number 99", [&] { run->log(99, 1, 1); });
  expect_error(Exit::usage, "JSON", [&] { run->event(1, "stage", "x", "{nope"); });
  expect_error(Exit::usage, "relative", [&] { run->artifact("w", "/etc/passwd", "", 0); });
  expect_error(Exit::usage, "finished, failed or interrupted", [&] { run->finish("done"); });
  run->finish("failed", "it broke");
  expect_error(Exit::usage, "is over", [&] { run->log(0, 1, 1); });
  expect_error(Exit::usage, "is over", [&] { run->finish("finished"); });
  EXPECT_EQ(ask(*store, "SELECT status || error FROM runs"), "failedit broke");
}

TEST_F(StoreTest, ARunLeftBehindIsInterrupted) {
  auto store = create();
  {
    auto run = store->begin({.name = "a"});
    run->log(run->key("x"), 1, 1);
  }
  EXPECT_EQ(ask(*store, "SELECT status FROM runs"), "interrupted");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics"), "1");
}

TEST_F(StoreTest, AnotherThreadFlushesAndInterruptsWhatIsBeingWritten) {
  auto store = create();
  auto one = store->begin({.name = "a"}), other = store->begin({.name = "b"});
  const int x = one->key("x");
  for (int i = 0; i < 100'000; ++i) one->log(x, i, i);
  other->log(other->key("y"), 1, 2);
  std::thread([&] { store->flush(); }).join();
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics"), "100001");
  EXPECT_EQ(ask(*store, "SELECT group_concat(status) FROM runs"), "running,running");
  for (int i = 0; i < 100'000; ++i) one->log(x, i, 7);
  int frozen = 0;
  std::thread([&] { store->interrupt([&] { ++frozen; }); }).join();
  EXPECT_EQ(frozen, 1);
  EXPECT_EQ(ask(*store, "SELECT group_concat(status) FROM runs"), "interrupted,interrupted");
  EXPECT_EQ(ask(*store, "SELECT sum(value) FROM metrics WHERE key = 'x'"), "700000");
  EXPECT_TRUE(std::filesystem::is_empty(one->folder())) << "its spool is drained and gone";
}

TEST_F(StoreTest, RefusesWhatIsNotAStore) {
  const auto both = [&](Exit code, const std::string& part) {
    expect_error(code, part, [&] { create(); });
    expect_error(code, part, [&] { read(); });
  };
  expect_error(Exit::missing, "gradus run SCRIPT", [&] { read(); });
  EXPECT_FALSE(std::filesystem::exists(path_)) << "reading makes nothing";
  std::filesystem::create_directory(path_);
  both(Exit::data, "directory");
  std::filesystem::remove(path_);
  std::ofstream(path_)
      << "This is a text file, long enough to be looked at as a header of a database file, and then some more of it.\n";
  both(Exit::data, "not a store");
  std::filesystem::remove(path_);
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &other), SQLITE_OK);
  sqlite3_exec(other, "CREATE TABLE notes (text)", nullptr, nullptr, nullptr);
  sqlite3_close(other);
  both(Exit::data, "another program");
  std::filesystem::remove(path_);
  { create(); }
  ASSERT_EQ(sqlite3_open(path_.c_str(), &other), SQLITE_OK);
  sqlite3_exec(other, "PRAGMA user_version = 99", nullptr, nullptr, nullptr);
  sqlite3_close(other);
  both(Exit::data, "newer gradus");
  expect_error(Exit::usage, "empty", [&] { Store::open("", Store::Mode::create); });
  expect_error(Exit::io, "cannot make", [&] { Store::open("/proc/none/gradus.db", Store::Mode::create); });
}

TEST_F(StoreTest, AnEmptyFileBecomesAStore) {
  { std::ofstream file(path_); }
  expect_error(Exit::missing, "the store is empty; expected at least one run", [&] { read(); });
  EXPECT_NO_THROW(create()->begin({.name = "a"}));
}

// As a user who may only read: the commands that read still work.
TEST_F(StoreTest, IsReadWithoutPermissionToWrite) {
  {
    auto run = create()->begin({.name = "a"});
    run->log(run->key("x"), 1, 5);
    run->finish("finished");
  }
  std::filesystem::permissions(folder_, std::filesystem::perms(0555));
  std::filesystem::permissions(path_, std::filesystem::perms(0444));
  const pid_t pid = spawn([&] {
    if (::geteuid() == 0 && ::seteuid(65534) != 0) throw std::runtime_error("seteuid");
    auto store = read();
    if (store->writable()) throw std::runtime_error("writable");
    if (ask(*store, "SELECT value FROM metrics") != "5") throw std::runtime_error("value");
    try {
      create();
    } catch (const Error& error) {
      if (error.code == Exit::io) return;
      throw;
    }
    throw std::runtime_error("opened for writing");
  });
  EXPECT_EQ(wait_for(pid), 0);
  std::filesystem::permissions(folder_, std::filesystem::perms(0755));
}

TEST_F(StoreTest, SqlOnlyReads) {
  auto store = create();
  store->begin({.name = "a"})->finish("finished");
  for (const char* sql :
       {"DELETE FROM runs", "UPDATE runs SET name = 'x'", "INSERT INTO keys (name) VALUES ('x')", "DROP TABLE runs",
        "CREATE TABLE t (a)", "CREATE TEMP TABLE t (a)", "PRAGMA user_version = 3", "PRAGMA query_only = 0",
        "PRAGMA journal_mode = DELETE", "PRAGMA wal_checkpoint", "BEGIN", "VACUUM",
        "VACUUM INTO '/tmp/gradus-should-not-be'", "ATTACH '/tmp/gradus-should-not-be' AS x",
        "SELECT load_extension('x')", "REINDEX", "ANALYZE", "WITH x AS (SELECT 1) DELETE FROM runs",
        "INSERT INTO runs SELECT * FROM runs RETURNING id"}) {
    EXPECT_THROW(store->query(sql), Error) << sql;
  }
  EXPECT_FALSE(std::filesystem::exists("/tmp/gradus-should-not-be"));
  expect_error(Exit::usage, "one statement", [&] { store->query("SELECT 1; DELETE FROM runs"); });
  expect_error(Exit::usage, "empty text", [&] { store->query(" -- nothing"); });
  expect_error(Exit::usage, "no such column", [&] { store->query("SELECT nope FROM runs"); });
  expect_error(Exit::usage, "run_sources or artifacts", [&] { store->query("SELECT * FROM run"); });
  expect_error(Exit::usage, "values for its parameters", [&] { store->query("SELECT ?1"); });
  EXPECT_EQ(ask(*store, "SELECT name FROM runs;  "), "a");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM pragma_table_info('runs')") == "0", false);
  const std::string endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT ";
  expect_error(Exit::data, "took too long", [&] { store->query(endless + "count(*) FROM n", {}, {.seconds = 0.2}); });
  const Rows rows = store->query(endless + "i FROM n", {}, {.rows = 10});
  EXPECT_TRUE(rows.truncated);
  EXPECT_EQ(rows.rows.size(), 10U);
}

TEST_F(StoreTest, ResolvesRuns) {
  auto store = create();
  expect_error(Exit::missing, "no runs", [&] { store->resolve("@last"); });
  std::vector<std::string> uids;
  for (int i = 0; i < 40; ++i) {
    auto run = store->begin({.name = "r", .parent = i == 39 ? std::optional<std::int64_t>(39) : std::nullopt});
    uids.push_back(run->uid());
    run->finish("finished");
  }
  EXPECT_EQ(store->resolve("7"), 7);
  EXPECT_EQ(store->resolve("@last"), 39) << "a child run is not what the user ran last";
  EXPECT_EQ(store->resolve(uids[4]), 5);
  EXPECT_EQ(store->resolve(uids[4].substr(0, 20)), 5);
  std::string upper = uids[4];
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  EXPECT_EQ(store->resolve(upper), 5);
  // 40 uids begin with 16 different digits: two of them share a letter.
  std::map<char, int> firsts;
  for (const std::string& uid : uids) ++firsts[uid[0]];
  for (const auto& [first, n] : firsts) {
    if (n > 1 && std::isalpha(first))
      expect_error(Exit::usage, "ambiguous", [&, f = first] { store->resolve(std::string(1, f)); });
  }
  for (int id = 41; id < 2000; ++id)  // some of the uids begin like that
    expect_error(Exit::missing, "no such run", [&] { store->resolve(std::to_string(id)); });
  expect_error(Exit::missing, "no such run", [&] { store->resolve("00000000000000000000000000000000"); });
  for (const char* bad : {"", "@first", "xyz", "-1", "1.5"})
    expect_error(Exit::usage, "expected an id", [&] { store->resolve(bad); });
  std::vector<std::int64_t> all;
  for (int id = 1; id <= 39; ++id) all.push_back(id);
  archive_runs(*store, all, true);
  expect_error(Exit::missing, "are archived; expected an id", [&] { store->resolve("@last"); });
  EXPECT_EQ(store->resolve("39"), 39);
}

}  // namespace
}  // namespace gradus::results
