// Damage of every kind, at many places: what is whole is in the new store, and nothing that was never logged.
#include "store/salvage.h"

#include <fcntl.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <random>
#include <set>

#include "store/database.h"
#include "store/housekeeping.h"
#include "store/schema.h"
#include "store/sha256.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kPage = 4096;
const bool kFull = std::getenv("GRADUS_FULL") != nullptr;  // `make test-full`

using Tables = std::map<std::string, std::set<std::string>>;  // each row as one text

const char* const kDumps[][2] = {
    {"runs", "SELECT * FROM runs WHERE name != 'salvaged-' || id"},
    {"params", "SELECT run_id, key, value FROM params"},
    {"tags", "SELECT * FROM tags"},
    {"keys", "SELECT id, name FROM keys WHERE name != 'salvaged/' || id"},
    {"metric_values", "SELECT * FROM metric_values"},
    {"summary_values", "SELECT * FROM summary_values"},
    {"progress", "SELECT * FROM progress"},
    {"events", "SELECT * FROM events"},
    {"sources", "SELECT * FROM sources"},
    {"run_sources", "SELECT * FROM run_sources"},
    {"artifacts", "SELECT * FROM artifacts"},
};

Tables rows_of(const std::string& path) {
  Database database(path, SQLITE_OPEN_READONLY);
  Tables all;
  for (const auto& [table, sql] : kDumps) {
    Statement row = database.prepare(sql);
    while (row.step()) {
      std::string text;
      for (int i = 0; i < sqlite3_column_count(row.handle()); ++i)
        text += std::to_string(sqlite3_column_type(row.handle(), i)) + row.text(i) + '|';
      all[table].insert(text);
    }
  }
  return all;
}

// How many of `a` are not in `b`.
std::size_t lacking(const std::set<std::string>& a, const std::set<std::string>& b) {
  return static_cast<std::size_t>(
      std::count_if(a.begin(), a.end(), [&](const std::string& row) { return b.count(row) == 0; }));
}

struct PageOf {
  std::string table;  // whose rows it holds a part of; empty: of none
  std::size_t rows = 0;
};

class SalvageTest : public StoreTest {
 protected:
  void fill(int runs = 5, int steps = 700) {
    auto store = create();
    for (int i = 0; i < runs; ++i) {
      const std::string text =
          "-- " + std::string(static_cast<std::size_t>(200 + 6000 * i), static_cast<char>('a' + i));
      auto run = store->begin({.name = "digits",
                               .seed = i,
                               .params = {{"lr", 0.1 * i},
                                          {"deep", true},
                                          {"width", std::int64_t{1} << (12 * i)},
                                          {"how", std::string("ramp")},
                                          {"nothing", {}}},
                               .sources = {{"x.lua", sha256(text), text}}});
      const int loss = run->key("train/loss"), acc = run->key("val/acc");
      for (int step = 0; step < steps; ++step) {
        run->log(loss, step, step % 50 == 7 ? NAN : 1.0 / (step + i + 1));
        if (step % 10 == 0) run->log(acc, step, step);
        if (step % 7 == 0)
          run->event(step, "decision", "advance",
                     R"({"why":")" + std::string(static_cast<std::size_t>(step), 'e') + "\"}");
        run->progress(step, step / 10.0, step * 64, step * 1e9, step * 0.01);
      }
      run->artifact("weights", "student.safetensors", std::string(64, 'a'), 1000);
      run->finish("finished");
      set_tag(*store, run->id(), "paper", std::string(64, static_cast<char>('a' + i)));  // as a source's hash looks
    }
    set_better(*store, "val/acc", "higher");
    store->settle();
  }

  std::string bytes() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string write(const std::string& content) const {  // a damaged copy, in a folder of its own
    const std::string path = folder_ + "/damaged/s.db";
    fs::create_directory(folder_ + "/damaged");
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  std::pair<Tables, Json> salvaged(const std::string& path) const {
    const std::string into = path + ".new";
    const Json found = salvage(path, into);
    EXPECT_EQ(inspect(into, true)["version"], kSchemaVersion);
    std::pair<Tables, Json> result{rows_of(into), found};
    fs::remove(into);
    return result;
  }

  std::vector<PageOf> pages_of_tables() const {
    std::vector<PageOf> pages(bytes().size() / kPage + 1);
    Database database(path_, SQLITE_OPEN_READONLY);
    Statement page = database.prepare("SELECT pageno, name, pagetype, ncell FROM dbstat");
    while (page.step()) {
      const bool table =
          std::any_of(std::begin(kDumps), std::end(kDumps), [&](auto& dump) { return dump[0] == page.text(1); });
      const bool overflow = page.text(2) == "overflow", rowid = page.text(1) == "events" || page.text(1) == "runs" ||
                                                                page.text(1) == "keys" || page.text(1) == "sources";
      if (!table || (rowid && page.text(2) == "internal")) continue;
      pages[static_cast<std::size_t>(page.integer(0))] = {page.text(1),
                                                          overflow ? 1 : static_cast<std::size_t>(page.integer(3))};
    }
    return pages;
  }
};

TEST_F(SalvageTest, AWholeStoreComesOutAsItIs) {
  fill();
  const auto before = bytes();
  const auto [tables, found] = salvaged(path_);
  const Tables all = rows_of(path_);
  for (const auto& [table, rows] : all) {
    EXPECT_EQ(tables.at(table), rows) << table;
    EXPECT_EQ(found["rows"][table], rows.size());
  }
  EXPECT_EQ(found["values"], 0);
  EXPECT_TRUE(found["runs"].empty() && found["keys"].empty());
  EXPECT_EQ(bytes(), before);
  const std::string into = folder_ + "/new.db";
  for (const char* end : {".part", ".part-wal", ".part.lock"}) std::ofstream(into + end) << "of one that was cut short";
  salvage(path_, into);
  for (const auto& entry : fs::directory_iterator(folder_))
    EXPECT_EQ(entry.path().string().find(".part"), std::string::npos) << entry.path();
  EXPECT_EQ(inspect(into, true)["check"], "ok");
  auto store = Store::open(into, Store::Mode::create);
  EXPECT_EQ(store->begin({.name = "next"})->id(), 6);
  EXPECT_EQ(ask(*store, "SELECT better FROM keys WHERE name = 'val/acc'"), "higher");
  expect_error(Exit::usage, "is there already", [&] { salvage(path_, into); });
}

// Nothing of an index, a list of free pages or a deleted run comes back as a row.
TEST_F(SalvageTest, WhatWasDeletedStaysSo) {
  fill();
  {
    auto store = create();
    store->write([](Database& database) { database.run("PRAGMA secure_delete = OFF"); });  // as others build SQLite
    delete_runs(*store, plan_delete(*store, {2, 4}));
    store->write([](Database& database) {
      database.run(
          "CREATE TABLE mine (a, b, c, d); INSERT INTO mine VALUES (1, 1, 1, 1.5); CREATE INDEX o ON metric_values "
          "(step, key_id, run_id, value)");
    });
    store->settle();
  }
  EXPECT_EQ(salvaged(path_).first, rows_of(path_));
}

TEST_F(SalvageTest, WhatOnlyTheWalHolds) {
  auto store = create();
  auto run = store->begin({.name = "a"});
  const int x = run->key("x");
  for (int step = 0; step < 5000; ++step) run->log(x, step, step);
  run->flush();
  fs::create_directory(folder_ + "/copy");
  for (const char* end : {"", "-wal"}) fs::copy_file(path_ + end, folder_ + "/copy/s.db" + end);
  run->finish("finished");
  const std::string copy = folder_ + "/copy/s.db";
  ASSERT_GT(fs::file_size(copy + "-wal"), 100'000U);
  EXPECT_EQ(salvaged(copy).first.at("metric_values").size(), 5000U);
  // A damaged frame takes its page with it, not what follows; a transaction without an end never was.
  std::fstream wal(copy + "-wal", std::ios::in | std::ios::out | std::ios::binary);
  const auto frames = (fs::file_size(copy + "-wal") - 32) / (kPage + 24);
  wal.seekp(static_cast<std::streamoff>(32 + (frames / 2) * (kPage + 24) + 24 + 100));
  wal << "damage";
  wal.close();
  EXPECT_GT(salvaged(copy).first.at("metric_values").size(), 4000U);
  fs::resize_file(copy + "-wal", 32 + (frames - 1) * (kPage + 24));
  EXPECT_LT(salvaged(copy).first["metric_values"].size(), 5000U);
}

TEST_F(SalvageTest, EachPageZeroedLosesThatPagesRowsAndNoOther) {
  fill();
  const Tables all = rows_of(path_);
  const std::vector<PageOf> pages = pages_of_tables();
  const std::string whole = bytes();
  ASSERT_GT(pages.size(), 60U);
  for (std::size_t page = 1; page < pages.size(); ++page) {
    if (!kFull && page % 3 != 1 && pages[page].table != "runs") continue;
    std::string damaged = whole;
    std::fill_n(damaged.begin() + static_cast<std::ptrdiff_t>((page - 1) * kPage), kPage, '\0');
    auto [tables, found] = salvaged(write(damaged));
    for (const auto& [table, rows] : all) {
      const std::size_t lost = lacking(rows, tables[table]), most = pages[page].table == table ? pages[page].rows : 0;
      EXPECT_LE(lost, most) << table << ", page " << page;
      if (table == "metric_values" || table == "events") {
        EXPECT_EQ(lost, most) << table << ", page " << page;
      }
      if (table == "keys" || table == "params") {
        EXPECT_EQ(lost, 0U) << "an index has them a second time: page " << page;
      }
      // A curve that lacks values and its summary is counted anew from the others.
      EXPECT_EQ(lacking(tables[table], rows), 0U) << table << ", page " << page;
    }
    EXPECT_EQ(found["values"], pages[page].table == "metric_values" ? pages[page].rows : 0) << page;
    EXPECT_EQ(found["runs"].size(), pages[page].table == "runs" ? pages[page].rows : 0) << page;
    for (const Json& name : found["runs"]) EXPECT_EQ(name.get<std::string>().find("salvaged-"), 0u) << name;
  }
}

TEST_F(SalvageTest, CutAnywhere) {
  fill();
  const Tables all = rows_of(path_);
  const std::vector<PageOf> pages = pages_of_tables();
  const std::string whole = bytes();
  for (std::size_t cut = 1; cut < 40; cut += kFull ? 1 : 4) {
    const std::size_t size = std::max(whole.size() * cut / 40, 3 * kPage);
    auto [tables, found] = salvaged(write(whole.substr(0, size)));
    for (const auto& [table, rows] : all) {
      std::size_t most = 0;
      for (std::size_t page = size / kPage + 1; page < pages.size(); ++page)
        most += pages[page].table == table ? pages[page].rows : 0;
      EXPECT_LE(lacking(rows, tables[table]), most) << table << " cut at " << size;
      if (table != "summary_values") {
        EXPECT_EQ(lacking(tables[table], rows), 0U) << table << " cut at " << size;
      }
    }
  }
}

// A row's own bytes have no checksum: a flipped one may come out changed. Its page's neighbours may be lost with it, no
// others.
TEST_F(SalvageTest, BytesFlippedAnywhere) {
  fill();
  const Tables all = rows_of(path_);
  const std::vector<PageOf> pages = pages_of_tables();
  const std::string whole = bytes();
  const int rounds = kFull ? 1000 : 60;
  for (int round = 0; round < rounds; ++round) {
    std::minstd_rand random(static_cast<unsigned>(round) + 1);
    std::string damaged = whole;
    std::set<std::size_t> touched;
    for (int i = 0; i <= round % 8; ++i) {
      const std::size_t at =
          round % 3 == 0 ? random() % whole.size() / kPage * kPage + random() % 100 : random() % whole.size();
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << random() % 8));
      touched.insert(at / kPage + 1);
    }
    auto [tables, found] = salvaged(write(damaged));
    for (const auto& [table, rows] : all) {
      std::size_t most = 0;
      for (const std::size_t page : touched) most += pages[page].table == table ? pages[page].rows : 0;
      EXPECT_LE(lacking(rows, tables[table]), most) << table << ", round " << round;
      if (table == "sources") {
        EXPECT_EQ(lacking(tables[table], rows), 0U) << "their hash tells, round " << round;
      }
    }
  }
}

// What other commands and SQLite's own check say of the same: all is well, or the error names the file and the way out.
TEST_F(SalvageTest, DamageIsNamedByWhoeverMeetsIt) {
  fill();
  const std::string whole = bytes();
  int named = 0;
  const int rounds = kFull ? 1000 : 60;
  for (int round = 0; round < rounds; ++round) {
    std::minstd_rand random(static_cast<unsigned>(round) + 7);
    std::string damaged = whole;
    const std::size_t at =
        random() % 2 ? random() % whole.size() : random() % whole.size() / kPage * kPage + random() % 100;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << random() % 8));
    const std::string path = write(damaged);
    try {
      if (inspect(path, true)["check"] != "ok") ++named;
      auto store = Store::open(path, Store::Mode::read);
      list_runs(*store, {});
      for (const auto& [table, sql] : kDumps) store->query(sql);
    } catch (const Error& error) {
      ++named;
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
      EXPECT_TRUE(error.code == Exit::data || error.code == Exit::io || error.code == Exit::missing) << error.what();
    }
    for (const char* end : {"-wal", "-shm"}) fs::remove(path + end);
  }
  EXPECT_GT(named, rounds / 10);
}

// A dead run's spool belongs to the new store, too, each event of it once.
TEST_F(SalvageTest, TheSpoolOfADeadRunIsReadOnce) {
  EXPECT_TRUE(WIFSIGNALED(wait_for(spawn([&] {
    auto run = create()->begin({.name = "victim"});
    for (int i = 0; i < 3000; ++i) run->log(run->key("x"), i, i);
    for (int i = 0; i < 20; ++i) run->event(i, "stage", "s", "");
    run->flush();
    for (int i = 20; i < 40; ++i) run->event(i, "stage", "s", "");
    ::kill(::getpid(), SIGKILL);
  }))));
  for (const bool lost : {false, true}) {
    const std::string copy = folder_ + (lost ? "/b" : "/a");
    fs::create_directory(copy);
    for (const auto& entry : fs::directory_iterator(folder_)) {
      const std::string name = entry.path().filename().string();
      if (name.size() > 1) fs::copy(entry.path(), copy + "/" + name, fs::copy_options::recursive);
    }
    if (lost) {
      Database database(copy + "/gradus.db", SQLITE_OPEN_READWRITE);
      database.run("DELETE FROM drained");
    }
    salvage(copy + "/gradus.db", copy + "/new.db");
    auto store = Store::open(copy + "/new.db", Store::Mode::read);
    EXPECT_EQ(ask(*store, "SELECT status FROM runs"), "interrupted");
    EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics"), "3000");
    EXPECT_EQ(ask(*store, "SELECT count(*) FROM events"), "40");
    EXPECT_EQ(ask(*store, "SELECT count(DISTINCT step) FROM events"), "40");
  }
}

TEST_F(SalvageTest, WhatIsNoStoreOrIsInUse) {
  expect_error(Exit::missing, "cannot read", [&] { salvage(path_, path_ + ".new"); });
  std::ofstream(path_) << std::string(50'000, 'x');
  expect_error(Exit::data, "nothing to salvage", [&] { salvage(path_, path_ + ".new"); });
  fs::remove(path_);
  {
    Database other(path_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    other.run("CREATE TABLE recipes (a, b, c, d); INSERT INTO recipes VALUES (1, 2, 3, 'soup')");
  }
  expect_error(Exit::data, "nothing to salvage", [&] { salvage(path_, path_ + ".new"); });
  fs::remove(path_);
  auto run = create()->begin({.name = "live"});
  expect_error(Exit::io, "a run is at work", [&] { salvage(path_, path_ + ".new"); });
  run->finish("finished");
  for (const auto& entry : fs::directory_iterator(folder_))
    EXPECT_EQ(entry.path().string().find(".new"), std::string::npos) << entry.path();
}

// gc must not take the folders of runs that only a damaged store knows.
TEST_F(SalvageTest, GcDoesNotGoByADamagedNeighbour) {
  fill(1, 50);
  std::string damaged = bytes();
  Database database(path_, SQLITE_OPEN_READONLY);
  Statement page = database.prepare("SELECT pageno FROM dbstat WHERE name LIKE '%runs%'");
  while (page.step())
    std::fill_n(damaged.begin() + (page.integer(0) - 1) * static_cast<std::int64_t>(kPage), kPage, '\0');
  std::ofstream(path_, std::ios::binary) << damaged;
  auto store = Store::open(folder_ + "/other.db", Store::Mode::create);
  expect_error(Exit::data, "the store is damaged", [&] { plan_gc(*store, {}); });
}

TEST_F(SalvageTest, AnOlderStore) {
  std::ifstream sql(TESTS_DIR "/results/data/store_v1.sql");
  const std::string text{std::istreambuf_iterator<char>(sql), {}};
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(database, text.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(database);
  sqlite3_close(database);
  salvage(path_, path_ + ".new");
  read();  // brings it up to date
  const Tables before = rows_of(path_), after = rows_of(path_ + ".new");
  for (const auto& [table, rows] : before) {
    if (table != "sources") {  // whose hash there is a made-up one
      EXPECT_EQ(after.at(table), rows) << table;
    }
  }
}

// Rows that are gone, each with what refers to it still there.
TEST_F(SalvageTest, WhatIsLostHasSomethingInItsStead) {
  fill(2, 60);
  const auto with = [&](const char* damage) {
    fs::create_directories(folder_ + "/damaged");
    const std::string path = folder_ + "/damaged/s.db", into = path + ".new";
    for (const char* end : {"", "-wal", "-shm", ".new"}) fs::remove(path + end);
    fs::copy_file(path_, path);
    Database(path, SQLITE_OPEN_READWRITE).run(damage);
    return salvage(path, into);
  };
  const std::string into = folder_ + "/damaged/s.db.new";
  const auto one = [&](const std::string& sql) {
    Database database(into, SQLITE_OPEN_READONLY);
    Statement row = database.prepare(sql);
    return row.step() ? row.text(0) : "-";
  };
  Json found = with("");
  EXPECT_EQ(found["rows"]["runs"], 2);
  EXPECT_EQ(found["curves"], 0);
  EXPECT_EQ(found["strays"], 0);
  EXPECT_EQ(found["sources"], 0);
  const std::string summaries =
      one("SELECT group_concat(hex(run_id || ' ' || key_id || ' ' || last || ' ' || min || max || argmin || argmax || "
          "count || last_step || nans)) FROM summary_values");

  found = with(
      "DELETE FROM runs WHERE id = 1; UPDATE events SET time = '2001-02-03T04:05:06.000Z' WHERE run_id = 1 AND step = "
      "7");
  EXPECT_EQ(found["runs"], Json({"salvaged-1"}));
  EXPECT_EQ(one("SELECT kind || status || started FROM runs WHERE id = 1"), "runinterrupted2001-02-03T04:05:06.000Z");
  found = with("DELETE FROM runs WHERE id = 1; DELETE FROM events");
  EXPECT_EQ(one("SELECT started FROM runs WHERE id = 1"), "1970-01-01T00:00:00.000Z");
  found = with("DELETE FROM keys WHERE id = 2");
  EXPECT_EQ(found["keys"], Json({"salvaged/2"}));
  found = with("DELETE FROM summary_values");
  EXPECT_EQ(found["curves"], 0);
  EXPECT_EQ(one("SELECT group_concat(hex(run_id || ' ' || key_id || ' ' || last || ' ' || min || max || argmin || "
                "argmax || count || last_step || nans)) FROM summary_values"),
            summaries);
  found = with(
      "DELETE FROM metric_values WHERE run_id = 1 AND key_id = 1 AND step > 56 OR run_id = 2 AND key_id = 2 AND step = "
      "0");
  EXPECT_EQ(found["curves"], 2);
  EXPECT_EQ(found["values"], 4);
  found = with("UPDATE sources SET text = 'other' WHERE length(text) < 300");
  EXPECT_EQ(found["sources"], 1);
  EXPECT_EQ(one("SELECT count(*) FROM sources"), "1");
  found = with(
      "INSERT INTO progress VALUES (0, 1, 1, 1, 1, 1), (-1, 1, 1, 1, 1, 1), (3, 1, 1, 1, 1, 1), (2, 999, 1, 1, 1, 1); "
      "INSERT INTO tags VALUES (9, 'a', 'b')");
  EXPECT_EQ(found["strays"], 4);
  EXPECT_EQ(one("SELECT max(step) FROM progress"), "999");
  EXPECT_EQ(one("SELECT seq FROM sqlite_sequence"), "2");
  EXPECT_EQ(found["rows"]["tags"], 2);
}

// Where its position is lost and a first segment is gone, the others are read; without any there is none to read.
TEST_F(SalvageTest, WhatIsLeftOfASpool) {
  EXPECT_TRUE(WIFSIGNALED(wait_for(spawn([&] {
    auto store = create();
    auto other = store->begin({.name = "none"}), run = store->begin({.name = "long"});
    for (int i = 0; i < 60'000; ++i) run->log(run->key("x"), i, i);
    run->event(1, "k", "early", ""), other->event(1, "k", "other", "");
    run->flush(), other->flush();
    Database busy(path_, SQLITE_OPEN_READWRITE);  // who keeps what follows in the spool, however slow this process is
    busy.run("BEGIN IMMEDIATE");
    run->event(2, "k", "late", "");
    for (const auto& entry : fs::directory_iterator(other->folder())) fs::remove(entry);
    ::raise(SIGKILL);
  }))));
  Database(path_, SQLITE_OPEN_READWRITE).run("DELETE FROM drained");
  salvage(path_, folder_ + "/new.db");
  {
    Database database(folder_ + "/new.db", SQLITE_OPEN_READONLY);
    EXPECT_EQ(database.integer("SELECT segment FROM drained WHERE run_id = 2 AND records = 0"), 1);
    EXPECT_EQ(database.integer("SELECT count(*) FROM drained"), 1);
  }
  auto store = Store::open(folder_ + "/new.db", Store::Mode::read);
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics"), "60000");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM events WHERE name = 'late'"), "1");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM events WHERE name = 'other'"), "1");
}

}  // namespace
}  // namespace gradus::results
