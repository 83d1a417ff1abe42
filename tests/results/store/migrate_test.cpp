// A store of version 1, as an older gradus left it: data/make_store_v1.py.
#include <fstream>
#include <sstream>

#include "query/query.h"
#include "store/database.h"
#include "store/housekeeping.h"
#include "store/schema.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

class MigrateTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    std::stringstream sql;
    sql << std::ifstream(TESTS_DIR "/results/data/store_v1.sql").rdbuf();
    Database database(path_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    database.run("PRAGMA journal_mode = WAL");
    database.run(sql.str().c_str());
  }
  std::string backup() const { return path_ + ".v1-backup"; }
};

// Tables, views and indexes with their columns; the order and the words of the schema do not matter.
std::string shape(const std::string& path) {
  Database database(path, SQLITE_OPEN_READONLY);
  Statement columns = database.prepare(
      "SELECT group_concat(line, char(10)) FROM (SELECT m.type || ' ' || m.name || ': ' || group_concat(c.name || ' ' "
      "|| "
      "c.type || c.\"notnull\" || c.pk) AS line FROM sqlite_master m, pragma_table_xinfo(m.name) c WHERE m.name NOT "
      "LIKE "
      "'sqlite_%' GROUP BY m.type, m.name UNION ALL SELECT 'index ' || name FROM sqlite_master WHERE type = 'index' "
      "AND name "
      "NOT LIKE 'sqlite_%' ORDER BY 1)");
  columns.step();
  return columns.text(0);
}

TEST_F(MigrateTest, AnOlderStoreIsBroughtUpToDateAndKept) {
  EXPECT_EQ(inspect(path_, false)["archived"], 0);
  EXPECT_EQ(inspect(path_, false)["version"], 1);
  const Json runs = list_runs(*read(), {});  // a reading command meets it first
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_EQ(runs[1]["last"]["val/acc"], 0.23);
  EXPECT_TRUE(runs[1]["archived"].is_null());
  Database old(backup(), SQLITE_OPEN_READONLY);
  EXPECT_EQ(old.integer("PRAGMA user_version"), 1);
  EXPECT_EQ(old.integer("SELECT count(*) FROM metric_values"), 6) << "the copy is whole";
  EXPECT_EQ(old.integer("SELECT count(*) FROM pragma_table_info('runs') WHERE name = 'archived'"), 0);
  EXPECT_EQ(Database(path_, SQLITE_OPEN_READONLY).integer("PRAGMA user_version"), kSchemaVersion);
  EXPECT_EQ(inspect(path_, true)["check"], "ok");
  EXPECT_EQ(inspect(path_, true)["backups"].size(), 1U);
}

TEST_F(MigrateTest, TheTablesAreThoseOfAFreshStore) {
  read();
  const std::string fresh = folder_ + "/fresh.db";
  Store::open(fresh, Store::Mode::create);
  EXPECT_EQ(shape(path_), shape(fresh));
}

// A store of version 2, which differs from ours in the direction of metrics only.
TEST_F(MigrateTest, FromVersion2) {
  read();
  {
    Database database(path_, SQLITE_OPEN_READWRITE);
    database.run(
        "DROP VIEW forks; DROP INDEX events_fork; ALTER TABLE keys DROP COLUMN better; PRAGMA user_version = 2");
  }
  auto store = create();
  EXPECT_EQ(shape(path_ + ".v2-backup").find("better"), std::string::npos);
  auto run = store->begin({.name = "new"});
  run->better("val/acc", "lower");
  run->finish("finished");
  EXPECT_EQ(ask(*store, "SELECT better FROM keys WHERE name = 'val/acc'"), "lower");
  const std::string fresh = folder_ + "/fresh.db";
  Store::open(fresh, Store::Mode::create);
  EXPECT_EQ(shape(path_), shape(fresh));
}

TEST_F(MigrateTest, OnceIsEnough) {
  std::ofstream(backup() + ".part") << "of one that was cut short";
  read();
  EXPECT_FALSE(std::filesystem::exists(backup() + ".part"));
  std::filesystem::remove(backup());
  auto store = create();
  EXPECT_FALSE(std::filesystem::exists(backup()));
  set_tag(*store, 1, "kept", "");
  EXPECT_EQ(list_runs(*store, {.where = "tags.kept != nil"}).size(), 1U);
}

TEST_F(MigrateTest, ManyAtOnce) {
  pid_t pids[8];
  for (pid_t& pid : pids) {
    pid = spawn([&] {
      auto store = create();
      auto run = store->begin({.name = "new"});
      run->log(run->key("val/acc"), 1, 1);
      run->finish("finished");
    });
  }
  for (const pid_t pid : pids) EXPECT_EQ(wait_for(pid), 0);
  EXPECT_EQ(list_runs(*read(), {}).size(), 10U);
  EXPECT_EQ(Database(backup(), SQLITE_OPEN_READONLY).integer("SELECT count(*) FROM runs"), 2);
}

TEST_F(MigrateTest, WithoutRoomForTheCopyNothingChanges) {
  std::filesystem::create_directory(backup());
  std::ofstream(backup() + "/full") << "x";
  expect_error(Exit::io, "v1-backup", [&] { read(); });
  EXPECT_EQ(Database(path_, SQLITE_OPEN_READONLY).integer("PRAGMA user_version"), 1);
}

}  // namespace
}  // namespace gradus::results
