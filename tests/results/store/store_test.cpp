#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "../../failing_thread.h"
#include "store/clock.h"
#include "store/database.h"
#include "store/housekeeping.h"
#include "store/uid.h"
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
  const double since = monotonic_seconds();
  std::thread([&] { store->flush(); }).join();
  EXPECT_LT(monotonic_seconds() - since, 9) << "no longer than there is something to do";
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
        "VACUUM INTO '/tmp/gradus-should-not-be'", "ATTACH '/tmp/gradus-should-not-be' AS x", "REINDEX", "ANALYZE",
        "WITH x AS (SELECT 1) DELETE FROM runs", "INSERT INTO runs SELECT * FROM runs RETURNING id"}) {
    EXPECT_THROW(store->query(sql), Error) << sql;
  }
  EXPECT_FALSE(std::filesystem::exists("/tmp/gradus-should-not-be"));
  expect_error(Exit::usage, "not authorized to use function: load_extension",
               [&] { store->query("SELECT load_extension('x')"); });
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

TEST_F(StoreTest, EachThingThatIsKnownOfARunHasItsColumn) {
  auto store = create();
  const auto all = [&](std::int64_t id) {
    const Rows rows = store->query(
        "SELECT name, kind, status, seed, config_hash, parent, threads, device, host, script, command, git_commit, "
        "git_dirty, git_diff, "
        "versions, started = ended OR ended IS NULL, error, (SELECT group_concat(path || sha256) FROM run_sources "
        "WHERE run_id = r.id) FROM runs r "
        "WHERE id = ?1",
        {id});
    std::string text;
    for (const Cell& cell : rows.rows.at(0)) {
      const auto* whole = std::get_if<std::int64_t>(&cell);
      text += (text.empty() ? "" : " ") + (cell.index() == 0 ? "-"
                                           : whole           ? std::to_string(*whole)
                                                             : std::get<std::string>(cell));
    }
    return text;
  };
  RunStart start{.name = "n", .kind = "k", .seed = 5, .config_hash = "c", .parent = 1, .sources = {{"p", "s", "text"}}};
  start.environment = {.threads = 3,
                       .device = "d",
                       .host = "h",
                       .command = "co",
                       .script = "sc",
                       .git_commit = "gc",
                       .git_dirty = false,
                       .git_diff = Source{"", "gd", "+"},
                       .versions = "v"};
  const auto one = store->begin({}), other = store->begin(start);
  EXPECT_EQ(all(1), "run run running - - - - - - - - - - - - 1 - -");
  EXPECT_EQ(all(2), "n k running 5 c 1 3 d h sc co gc 0 gd v 1 - ps");
  EXPECT_EQ(ask(*store, "SELECT group_concat(sha256 || text) FROM (SELECT * FROM sources ORDER BY sha256)"),
            "gd+,stext");
  start.environment.git_dirty = {}, start.environment.git_diff = {};
  const auto silent = store->begin(start);
  EXPECT_EQ(all(3), "n k running 5 c 1 3 d h sc co gc - - v 1 - ps");
  start.environment.git_commit = "", start.environment.git_dirty = true;
  const auto outside = store->begin(start);
  EXPECT_EQ(all(4), "n k running 5 c 1 3 d h sc co - - - v 1 - ps");
  outside->amend("new", 4, {{"lr", 0.5}, {"on", false}}, {{"q", "t", "more"}});
  outside->amend("", {}, {{"lr", std::int64_t{2}}});
  EXPECT_EQ(all(4), "n k running 5 new 1 4 d h sc co - - - v 1 - ps,qt");
  EXPECT_EQ(ask(*store, "SELECT group_concat(key || '=' || value || ' ' || type) FROM params"),
            "lr=2 integer,on=0 boolean");
}

TEST_F(StoreTest, NothingIsLoggedAfterTheEnd) {
  auto store = create();
  auto run = store->begin({.name = "a"});
  const int key = run->key("x");
  expect_error(Exit::usage, "log: no metric with number -1", [&] { run->log(-1, 1, 1); });
  expect_error(Exit::usage, "log: no metric with number 1; expected one that key() gave", [&] { run->log(1, 1, 1); });
  expect_error(Exit::usage, "event: expected a kind; got an empty text", [&] { run->event(1, "", "x", ""); });
  expect_error(Exit::usage, "got '{" + std::string(59, 'x') + "'",
               [&] { run->event(1, "k", "x", "{" + std::string(90, 'x')); });
  expect_error(Exit::usage, "folder; got ''", [&] { run->artifact("w", "", "", 0); });
  expect_error(Exit::usage, "; got '" + std::string(200, '?') + "'", [&] { run->key(std::string(300, '\n')); });
  for (const auto& [name, kind] : {std::pair{"", "k"}, {"n", ""}})
    expect_error(Exit::usage, "split: expected a name and a kind", [&] { run->split(name, kind); });
  for (const char* word : {"", "running", "Finished"})
    expect_error(Exit::usage, "finish: expected finished, failed or interrupted", [&] { run->finish(word); });
  run->event(1, std::string_view("k\0more", 6), std::string_view("n\0more", 6), "");
  EXPECT_FALSE(run->finished());
  run->finish("interrupted", "so");
  EXPECT_EQ(ask(*store, "SELECT kind || name FROM events"), "kn") << "a text ends where it has a NUL";
  const std::function<void()> calls[] = {[&] { run->key("x"); },
                                         [&] { run->log(key, 1, 1); },
                                         [&] { run->progress(1, 1, 1, 1, 1); },
                                         [&] { run->event(1, "k", "n", ""); },
                                         [&] { run->artifact("w", "p", "", 1); },
                                         [&] { run->amend("x", 1); },
                                         [&] { run->better("x", "higher"); },
                                         [&] { run->split("a"); },
                                         [&] { run->flush(); },
                                         [&] { run->point(); },
                                         [&] { run->finish("finished"); }};
  for (const auto& call : calls) expect_error(Exit::usage, ": run 1 is over; expected a running run", call);
  EXPECT_EQ(ask(*store, "SELECT status || error FROM runs"), "interruptedso");
}

TEST_F(StoreTest, WhereARunStands) {
  auto store = create();
  auto run = store->begin({.name = "a"}), other = store->begin({.name = "b"});
  const auto told = [&] {
    const Point p = run->point();
    return std::to_string(p.step) + " " + std::to_string(p.event) + " " + std::to_string(p.child) + " " +
           std::to_string(p.progress) + " " + p.keys;
  };
  EXPECT_EQ(told(), "-1 0 0 -1 []");
  other->event(1, "k", "", ""), other->flush();
  run->event(1, "k", "", ""), run->progress(7, 1, 1, 1, 1), run->log(run->key("x"), 9, 1);
  EXPECT_EQ(told(), "-1 2 0 7 [\"x\"]");
  run->split("t");
  EXPECT_EQ(told(), "-1 0 3 -1 []");
}

// Sizes at which what is given is taken for an id, for the beginning of a uid, or for neither.
TEST_F(StoreTest, IdsAndUidsAtTheirEdges) {
  auto store = create();
  store->begin({.name = "a"})->finish("finished"), store->begin({.name = "b"})->finish("finished");
  store->write([](Database& database) {
    database.run(
        "UPDATE runs SET uid = '12345678' || substr('0000000000000000000000000f', id) WHERE id = 1;"
        "UPDATE runs SET uid = '12345678' || '900000000000000000000000' WHERE id = 2");
  });
  EXPECT_EQ(store->resolve("1"), 1);
  EXPECT_EQ(store->resolve("123456789"), 2);
  EXPECT_EQ(store->resolve("12345678900000000"), 2) << "eighteen digits may be an id, more are none";
  EXPECT_EQ(store->resolve("123456789000000000"), 2);
  EXPECT_EQ(store->resolve("1234567890000000000"), 2);
  EXPECT_EQ(store->resolve("12345678900000000000000000000000"), 2);
  expect_error(Exit::missing, "an id, the beginning of a uid (its first eight digits), or @last",
               [&] { store->resolve("1234567"); });
  expect_error(Exit::usage, "ambiguous; expected more digits; got 123456780000 (1, a) 123456789000 (2, b)",
               [&] { store->resolve("12345678"); });
  expect_error(Exit::usage, "expected an id, the beginning of a uid",
               [&] { store->resolve("123456789000000000000000000000000"); });
  expect_error(Exit::missing, "no such run", [&] { store->resolve("999999999999999999"); });
  archive_runs(*store, {2}, true);
  EXPECT_EQ(store->resolve("@last"), 1) << "of those that lists show";
}

TEST_F(StoreTest, WhatIsNoFileIsNoStore) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  for (const auto mode : {Store::Mode::create, Store::Mode::read, Store::Mode::write})
    expect_error(Exit::data, "not a store; expected a regular file", [&] { Store::open(path_, mode); });
  expect_error(Exit::io, "cannot look at the store; got File name too long",
               [&] { Store::open(folder_ + "/" + std::string(300, 'x'), Store::Mode::create); });
  expect_error(Exit::missing, "no such store", [&] { Store::open(folder_ + "/none", Store::Mode::write); });
  const auto made = Store::open(folder_ + "/a/../b/s.db", Store::Mode::create);
  EXPECT_EQ(made->path(), folder_ + "/b/s.db");
  EXPECT_EQ(made->folder(), folder_ + "/b");
  EXPECT_TRUE(made->writable());
  const auto read = Store::open(made->path(), Store::Mode::read);
  EXPECT_FALSE(read->writable()) << "nothing to recover";
  const std::function<void()> writes[] = {[&] { read->begin({.name = "a"}); }, [&] { read->resume(1, {}); },
                                          [&] { read->compact(); }, [&] { read->write([](Database&) {}); }};
  for (const auto& write : writes)
    expect_error(Exit::io, "cannot write; expected a store that this user may write", write);
  read->settle();
  const auto live = made->begin({.name = "a"});
  EXPECT_TRUE(Store::open(made->path(), Store::Mode::read)->writable()) << "a run may be dead";
}

// Of versions that there never was, of which a damaged head may tell, too.
TEST_F(StoreTest, VersionsThatNoGradusWrote) {
  { create(); }
  const auto set = [&](const std::string& pragma) {
    Database database(path_, SQLITE_OPEN_READWRITE);
    database.run(("PRAGMA " + pragma).c_str());
  };
  for (const char* version : {"0", "-1", "5"}) {
    set(std::string("user_version = ") + version);
    for (const auto mode : {Store::Mode::create, Store::Mode::read, Store::Mode::write})
      expect_error(Exit::data, std::string("; got ") + version, [&] { Store::open(path_, mode); });
  }
  set("user_version = 4"), set("application_id = 0");
  expect_error(Exit::data, "another program's SQLite file", [&] { read(); });
  std::filesystem::remove(path_);
  {
    Database database(path_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    database.run("PRAGMA user_version = 4");
  }
  expect_error(Exit::data, "another program's SQLite file", [&] { create(); });
}

TEST_F(StoreTest, TheWayToAskForTables) {
  auto store = create();
  for (const char* fine :
       {"PRAGMA table_info(runs)", "PRAGMA table_xinfo(runs)", "PRAGMA table_list(runs)", "PRAGMA index_list(runs)",
        "PRAGMA index_info(runs_parent)", "PRAGMA foreign_key_list(runs)", "PRAGMA integrity_check(1)",
        "PRAGMA quick_check(1)", "PRAGMA user_version", "PRAGMA application_id", "PRAGMA page_count",
        "PRAGMA page_size", "PRAGMA database_list", "PRAGMA compile_options", "PRAGMA table_list",
        "PRAGMA integrity_check", "PRAGMA quick_check", "SELECT value FROM json_each('[1]')",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3) SELECT i FROM n"})
    EXPECT_FALSE(store->query(fine).rows.empty()) << fine;
  for (const char* bad : {"PRAGMA page_size = 512", "PRAGMA application_id = 1", "PRAGMA cache_size",
                          "PRAGMA page_count(1)", "PRAGMA journal_mode"})
    expect_error(Exit::usage, "expected a statement that only reads; got one that would write",
                 [&] { store->query(bad); });
  expect_error(Exit::data, "too big", [&] { store->query("SELECT length(zeroblob(70000000))"); });
  expect_error(Exit::usage, "expected 2 values for its parameters; got 1",
               [&] { store->query("SELECT ?1, ?2", {1.5}); });
  const Rows rows = store->query("SELECT ?1 AS a, ?2, ?3, ?4", {std::int64_t{7}, 0.5, std::string("x"), Cell()});
  EXPECT_EQ(rows.columns, (std::vector<std::string>{"a", "?2", "?3", "?4"}));
  EXPECT_EQ(rows.rows.at(0), (std::vector<Cell>{std::int64_t{7}, 0.5, std::string("x"), Cell()}));
  const std::string three = "SELECT * FROM (VALUES (1), (2), (3))";
  for (const auto& [most, found] : {std::pair{0, 0}, {2, 2}, {3, 3}, {4, 3}}) {
    const Rows cut = store->query(three, {}, {.rows = most});
    EXPECT_EQ(cut.rows.size(), static_cast<std::size_t>(found));
    EXPECT_EQ(cut.truncated, most < 3) << most;
  }
  const std::string long_one =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) SELECT count(*) FROM n";
  EXPECT_EQ(ask(*store, long_one), "20000");
  expect_error(Exit::data, "expected an answer within 0 s", [&] { store->query(long_one, {}, {.seconds = 0}); });
  EXPECT_EQ(ask(*store, long_one), "20000") << "its time was its own";
}

TEST_F(StoreTest, TheRoomOfDeletedRowsIsGivenBack) {
  auto store = create();
  auto run = store->begin({.name = "a"});
  for (int step = 0; step < 20'000; ++step) run->log(run->key("x"), step, step);
  run->finish("finished");
  EXPECT_EQ(std::filesystem::file_size(path_ + "-wal"), 0U) << "the last run settles";
  const auto before = std::filesystem::file_size(path_);
  delete_runs(*store, plan_delete(*store, {1}));
  EXPECT_GT(std::filesystem::file_size(path_ + "-wal"), 0U);
  store->settle();
  EXPECT_EQ(std::filesystem::file_size(path_ + "-wal"), 0U);
  EXPECT_EQ(std::filesystem::file_size(path_), before);
  store->compact();
  EXPECT_LT(std::filesystem::file_size(path_), before);
  EXPECT_EQ(std::filesystem::file_size(path_ + "-wal"), 0U);
  store->write([](Database& database) { database.run("CREATE TABLE t AS SELECT zeroblob(5000000) AS a"); });
  EXPECT_EQ(std::filesystem::file_size(path_ + "-wal"), 0U) << "what a large change leaves is copied at once";
  store->write([](Database& database) {
    EXPECT_EQ(database.integer("PRAGMA synchronous"), 1) << "a commit waits for no disk";
    EXPECT_EQ(database.integer("PRAGMA temp_store"), 2) << "in memory";
  });
  expect_error(Exit::data, "no such table",
               [&] { store->write([](Database& database) { database.run("DELETE FROM none"); }); });
  FileLock lock(path_ + ".lock");
  EXPECT_TRUE(lock.try_lock()) << "whatever failed";
}

// In a process of its own: it is said once and for all.
TEST_F(StoreTest, WhoLeavesSettlingToOthersLeavesTheLog) {
  const auto work = [&](bool leave) {
    return wait_for(spawn([&] {
      if (leave) leave_settling_to_others();
      auto store = create();
      auto one = store->begin({.name = "a"}), other = store->begin({.name = "b"});
      one->finish("finished");
      const auto first = std::filesystem::file_size(path_ + "-wal");
      other->finish("finished");
      const auto last = std::filesystem::file_size(path_ + "-wal");
      if (first == 0 || (last == 0) == leave)
        throw std::runtime_error(std::to_string(first) + " " + std::to_string(last));
      store->settle();
      if (std::filesystem::file_size(path_ + "-wal") != 0) throw std::runtime_error("not settled");
    }));
  };
  EXPECT_EQ(work(false), 0);
  EXPECT_EQ(work(true), 0);
}

TEST(UidTest, ThirtyTwoHexDigits) {
  std::set<std::string> all, digits[32];
  for (int i = 0; i < 400; ++i) {
    const std::string uid = random_uid();
    EXPECT_TRUE(is_uid(uid)) << uid;
    EXPECT_TRUE(all.insert(uid).second);
    for (std::size_t at = 0; at < uid.size(); ++at) digits[at].insert(uid.substr(at, 1));
  }
  for (const auto& one : digits) EXPECT_EQ(one.size(), 16U);
  const std::string some(31, 'a');
  EXPECT_TRUE(is_uid(some + "0") && is_uid(some + "9") && is_uid(some + "f"));
  for (const std::string& bad : {some, some + "g", some + "A", some + "aa", "." + some, std::string()})
    EXPECT_FALSE(is_uid(bad)) << bad;
}

// What this process holds of a run's folder, open or mapped.
std::size_t held_of(const std::string& folder) {
  std::size_t held = 0;
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    held += std::filesystem::read_symlink(entry.path(), gone).string().starts_with(folder);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) held += line.find(folder) != std::string::npos;
  return held;
}

TEST_F(StoreTest, ARunThatIsOverHoldsNothing) {
  auto store = create();
  auto run = store->begin({.name = "a"});
  for (int step = 0; step < 100'000; ++step) run->log(run->key("x"), step, step);
  EXPECT_GT(held_of(run->folder()), 2U);
  run->split("t");
  run->finish("finished");
  EXPECT_EQ(held_of(run->folder()), 0U);
}

}  // namespace
}  // namespace gradus::results
