// Locks, statements and connections by themselves.
#include "store/database.h"

#include <sys/stat.h>

#include <atomic>
#include <cmath>
#include <fstream>
#include <limits>
#include <thread>

#include "store_fixture.h"

namespace gradus::results {
namespace {

namespace fs = std::filesystem;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

class FileLockTest : public StoreTest {};
class DatabaseTest : public StoreTest {
 protected:
  static constexpr int kMake = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
};

TEST_F(FileLockTest, OneAtATime) {
  FileLock none;
  EXPECT_FALSE(none);
  EXPECT_EQ(none.fd(), -1);
  expect_error(Exit::io, "cannot lock; got ", [&] { none.lock(1); });
  FileLock one(folder_ + "/x"), other(folder_ + "/x");
  EXPECT_TRUE(one);
  EXPECT_TRUE(one.try_lock());
  EXPECT_FALSE(other.try_lock());
  FileLock moved = std::move(one);
  EXPECT_FALSE(one);  // NOLINT: it has nothing any more
  EXPECT_FALSE(other.try_lock());
  expect_error(Exit::io, folder_ + "/x: the store is locked", [&] { other.lock(0); });
  moved.unlock();
  EXPECT_TRUE(other.try_lock());
  expect_error(Exit::io, folder_ + "/x: the store is locked", [&] { moved.lock(0); });
  one = std::move(other);
  EXPECT_FALSE(moved.try_lock()) << "who takes it over keeps it";
  one = FileLock();
  EXPECT_TRUE(moved.try_lock()) << "given back where it ends";
  expect_error(Exit::io, "/none/x: cannot open the lock file", [&] { FileLock(folder_ + "/none/x"); });
}

TEST_F(FileLockTest, OfAFolder) {
  FileLock one = FileLock::of_folder(folder_);
  EXPECT_TRUE(one.try_lock());
  EXPECT_FALSE(FileLock::of_folder(folder_).try_lock());
  EXPECT_TRUE(fs::is_empty(folder_));
  one.unlock();
  one = FileLock::of_who_takes_runs(folder_);
  EXPECT_FALSE(FileLock::of_folder(folder_).try_lock());
  std::ofstream(folder_ + "/file").flush();
  for (const char* bad : {"/none", "/file"})
    expect_error(Exit::io, bad + std::string(": cannot open the folder"), [&] { FileLock::of_folder(folder_ + bad); });
}

TEST_F(FileLockTest, IsWaitedFor) {
  FileLock one(folder_ + "/x"), other(folder_ + "/x");
  ASSERT_TRUE(one.try_lock());
  std::atomic<bool> locked = false;
  std::thread waiting([&] {
    other.lock(60);
    locked = true;
  });
  ::usleep(20'000);
  EXPECT_FALSE(locked);
  one.unlock();
  waiting.join();
  EXPECT_FALSE(one.try_lock());
}

TEST(FailTest, TheCodeSaysWhoseFaultItIs) {
  const std::pair<int, Exit> cases[] = {{SQLITE_CORRUPT, Exit::data}, {SQLITE_CORRUPT_INDEX, Exit::data},
                                        {SQLITE_NOTADB, Exit::data},  {SQLITE_BUSY, Exit::io},
                                        {SQLITE_LOCKED, Exit::io},    {SQLITE_READONLY, Exit::io},
                                        {SQLITE_NOMEM, Exit::io},     {SQLITE_CANTOPEN, Exit::io},
                                        {SQLITE_PERM, Exit::io},      {SQLITE_IOERR_WRITE, Exit::io},
                                        {SQLITE_FULL, Exit::io},      {SQLITE_INTERRUPT, Exit::data},
                                        {SQLITE_ERROR, Exit::data},   {SQLITE_AUTH, Exit::data},
                                        {SQLITE_RANGE, Exit::data},   {SQLITE_TOOBIG, Exit::data},
                                        {SQLITE_MISUSE, Exit::bug},   {SQLITE_CONSTRAINT, Exit::bug}};
  for (const auto& [code, exit] : cases) {
    try {
      fail(nullptr, code);
    } catch (const Error& error) {
      EXPECT_EQ(error.code, exit) << code;
      EXPECT_EQ(std::string(error.what()).rfind("store: ", 0), 0U) << error.what();
    }
  }
}

TEST_F(DatabaseTest, ErrorsNameTheFile) {
  Database memory(":memory:", kMake), database(path_, kMake);
  expect_error(Exit::data, "store: no such table: x", [&] { memory.run("SELECT * FROM x"); });
  expect_error(Exit::data, path_ + ": no such table: x", [&] { database.run("SELECT * FROM x"); });
  expect_error(Exit::data, path_ + ": no such table: x", [&] { database.prepare("SELECT * FROM x"); });
  expect_error(Exit::io, folder_ + "/none.db: cannot open the store; got unable to open",
               [&] { Database(folder_ + "/none.db", SQLITE_OPEN_READWRITE); });
  EXPECT_TRUE(room_left(path_).starts_with("; its disk has ")) << room_left(path_);
  EXPECT_TRUE(room_left("relative").ends_with(" bytes left")) << room_left("relative");
  EXPECT_EQ(room_left(folder_ + "/none/x"), "");
  const double room = std::stod(room_left(path_).substr(15)),
               available = static_cast<double>(fs::space(folder_).available);
  EXPECT_TRUE(room > available / 2 && room < available * 2) << room << ", " << available;
  try {
    database.run("PRAGMA max_page_count = 1; CREATE TABLE t (a)");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code, Exit::io);
    EXPECT_NE(std::string(error.what()).find("full; its disk has "), std::string::npos) << error.what();
  }
}

TEST_F(DatabaseTest, ValuesOfEveryKind) {
  Database database(path_, kMake);
  database.run("CREATE TABLE t (a)");
  EXPECT_EQ(database.integer("SELECT a FROM t"), 0) << "no row";
  const std::pair<Cell, const char*> cells[] = {{Cell(), "null"},
                                                {std::int64_t{1} << 40, "integer"},
                                                {0.5, "real"},
                                                {std::string("x"), "text"},
                                                {std::string(), "text"}};
  Statement put = database.prepare("INSERT INTO t VALUES (?1)"),
            get = database.prepare("SELECT a, typeof(a) FROM t WHERE rowid = ?1");
  int row = 0;
  for (const auto& [cell, kind] : cells) {
    put.bind(1, cell).run();
    EXPECT_EQ(database.last_id(), ++row);
    ASSERT_TRUE(get.bind(1, row).step());
    EXPECT_EQ(get.cell(0), cell);
    EXPECT_EQ(get.text(1), kind);
    EXPECT_EQ(get.null(0), cell.index() == 0);
    EXPECT_FALSE(get.step()) << "and ready for the next";
  }
  put.bind(1, kNan).run(), put.bind_text(1, "").run(), put.bind_text(1, "y").run(),
      put.bind(1, std::string_view()).run();
  EXPECT_EQ(database.integer("SELECT count(*) FROM t WHERE rowid IN (6, 7) AND a IS NULL"), 2);
  EXPECT_EQ(database.integer("SELECT count(*) FROM t WHERE (rowid, a) IN (VALUES (8, 'y'), (9, ''))"), 2);
  Statement blob = database.prepare("SELECT x'010203', NULL, 'a' || char(0) || 'b'");
  ASSERT_TRUE(blob.step());
  EXPECT_EQ(blob.cell(0), Cell(std::string("<3 bytes>")));
  EXPECT_EQ(blob.text(1), "");
  EXPECT_EQ(blob.view(2), std::string("a\0b", 3));
  Statement moved = std::move(blob);
  EXPECT_EQ(moved.text(1), "");
  moved = database.prepare("SELECT 7");
  ASSERT_TRUE(moved.step());
  EXPECT_EQ(moved.integer(0), 7);
}

TEST_F(DatabaseTest, AStatementThatFailedIsReadyAgain) {
  Database database(path_, kMake);
  database.run("CREATE TABLE t (a UNIQUE); INSERT INTO t VALUES (1)");
  Statement put = database.prepare("INSERT INTO t VALUES (?1)");
  expect_error(Exit::bug, "UNIQUE constraint failed: t.a", [&] { put.bind(1, 1).run(); });
  put.bind(1, 2).run();
  EXPECT_EQ(database.integer("SELECT sum(a) FROM t"), 3);
}

TEST_F(DatabaseTest, AForeignWriterIsWaitedFor) {
  Database database(path_, kMake), foreign(path_, kMake);
  database.run("CREATE TABLE t (a)");
  foreign.run("BEGIN IMMEDIATE");
  std::thread other([&] {
    ::usleep(50'000);
    foreign.run("COMMIT");
  });
  EXPECT_NO_THROW(database.run("INSERT INTO t VALUES (1)"));
  other.join();
}

// A checkpoint is the store's to make, under its lock.
TEST_F(DatabaseTest, CopiesItsLogNeverByItself) {
  const auto size = [&](const char* end) { return fs::file_size(path_ + end); };
  {
    Database database(path_, kMake);
    database.run("PRAGMA journal_mode = WAL; CREATE TABLE t (a)");
    const auto before = size("");
    for (int i = 0; i < 3; ++i) database.run("INSERT INTO t VALUES (zeroblob(3000000))");
    EXPECT_EQ(size(""), before);
    EXPECT_GT(size("-wal"), 9'000'000U);
  }
  EXPECT_GT(size("-wal"), 9'000'000U);
}

TEST_F(DatabaseTest, ATransactionIsAllOrNothing) {
  Database database(path_, kMake);
  database.run("CREATE TABLE t (a)");
  FileLock lock(folder_ + "/lock"), other(folder_ + "/lock");
  {
    Transaction transaction(database, lock);
    EXPECT_FALSE(other.try_lock());
    database.run("INSERT INTO t VALUES (1)");
  }
  EXPECT_EQ(database.integer("SELECT count(*) FROM t"), 0);
  EXPECT_TRUE(other.try_lock());
  other.unlock();
  {
    Transaction transaction(database, lock);
    database.run("INSERT INTO t VALUES (1)");
    transaction.commit();
    EXPECT_TRUE(other.try_lock());
    other.unlock();
  }
  EXPECT_EQ(database.integer("SELECT count(*) FROM t"), 1);
  database.run("BEGIN");
  expect_error(Exit::data, "within a transaction", [&] { const Transaction second(database, lock); });
  EXPECT_TRUE(other.try_lock()) << "nor does one that could not begin keep the lock";
}

TEST_F(DatabaseTest, FilesHaveTheModeThatTheUmaskSays) {
  const mode_t before = ::umask(002);
  { create()->begin({.name = "a"})->finish("finished"); }
  ::umask(before);
  for (const char* end : {"", ".lock"}) {
    struct stat info {};
    ASSERT_EQ(::stat((path_ + end).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0664U) << end;
  }
}

// As a user who may write neither, one of them, or both.
TEST_F(DatabaseTest, WhoMayNotWriteReadsWhatIsWhole) {
  const std::string folder = folder_ + "/a b?#%41\xc3\xa9", path = folder + "/s.db";
  fs::create_directory(folder);
  {
    Database database(path, kMake);
    database.run(
        "PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (7); PRAGMA wal_checkpoint(TRUNCATE)");
  }
  fs::remove(path + "-wal");
  fs::permissions(folder_, fs::perms(0777));
  const auto as_another = [&](int of_folder, int of_file, const std::function<bool()>& holds) {
    fs::remove(path + "-shm");
    fs::permissions(folder, fs::perms(of_folder)), fs::permissions(path, fs::perms(of_file));
    const int status = wait_for(spawn([&] {
      if (::geteuid() == 0 && ::seteuid(65534) != 0) throw std::runtime_error("seteuid");
      if (!holds()) throw std::runtime_error("it does not hold");
    }));
    fs::permissions(folder, fs::perms(0777)), fs::permissions(path, fs::perms(0666));
    return status == 0;
  };
  const auto read = [&] { return open_to_read(path)->integer("SELECT a FROM t") == 7; };
  if (::geteuid() == 0) {
    EXPECT_TRUE(as_another(0777, 0666, [&] { return may_write_store(path) && read(); }));
    EXPECT_TRUE(as_another(0777, 0444, [&] { return !may_write_store(path); }));
  }
  EXPECT_TRUE(as_another(0555, 0666, [&] { return !may_write_store(path) && read(); }));
  EXPECT_TRUE(as_another(0555, 0444, [&] { return !may_write_store(path) && read(); }));
  std::ofstream(path + "-wal").flush();
  EXPECT_TRUE(as_another(0555, 0444, read)) << "an empty log holds nothing";
  std::ofstream(path + "-wal") << "x";
  EXPECT_TRUE(as_another(0555, 0444, [&] {
    try {
      open_to_read(path);
      return false;
    } catch (const Error& error) {
      return error.code == Exit::io && std::string(error.what()).find("its log holds newer rows") != std::string::npos;
    }
  }));
}

TEST_F(DatabaseTest, OfARelativePathTheFolderIsThisOne) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_);
  std::ofstream("s.db").flush();
  EXPECT_TRUE(may_write_store("s.db"));
  EXPECT_FALSE(may_write_store("none.db"));
  fs::current_path(before);
}

}  // namespace
}  // namespace gradus::results
