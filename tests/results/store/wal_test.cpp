// When the log is copied into the file, and when writers wait for that.
#include "store/wal.h"

#include <chrono>
#include <optional>
#include <thread>

#include "store_fixture.h"

namespace gradus::results {
namespace {

class WalTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    database_.emplace(path_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    database_->run(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; CREATE TABLE t (a); PRAGMA wal_checkpoint(TRUNCATE)");
    lock_ = FileLock(path_ + ".lock"), other_ = FileLock(path_ + ".lock");
  }
  Wal wal() { return {*database_, lock_}; }
  void write(std::int64_t bytes) {
    Statement put = database_->prepare("INSERT INTO t VALUES (zeroblob(?1))");
    put.bind(1, bytes).run();
  }

  std::optional<Database> database_;
  FileLock lock_, other_;
};

TEST_F(WalTest, IsDueFromItsSizeOn) {
  Wal wal = this->wal();
  EXPECT_EQ(wal.bytes(), 0U);
  EXPECT_FALSE(wal.due());
  write(3'500'000);
  EXPECT_EQ(wal.bytes(), std::filesystem::file_size(path_ + "-wal"));
  EXPECT_LT(wal.bytes(), kCheckpointBytes);
  EXPECT_FALSE(wal.due());
  write(1'000'000);
  EXPECT_GT(wal.bytes(), kCheckpointBytes);
  EXPECT_TRUE(wal.due());
  wal.checkpoint();
  EXPECT_EQ(wal.bytes(), 0U);
  EXPECT_FALSE(wal.due());
  EXPECT_TRUE(other_.try_lock()) << "the lock is given back";
  write(5'000'000);
  EXPECT_TRUE(wal.due()) << "one that went well is no reason to wait";
  other_.unlock();
}

TEST_F(WalTest, WhereAReaderIsAtWorkItIsTriedAgainLater) {
  Wal wal = this->wal();
  write(5'000'000);
  Database reader(path_, SQLITE_OPEN_READONLY);
  reader.run("BEGIN; SELECT count(*) FROM t");
  write(1'000'000);
  bool waits = false;
  for (int i = 0; i < 5; ++i) {
    wal.checkpoint();
    waits = waits || !wal.due();
  }
  EXPECT_GT(wal.bytes(), kCheckpointBytes);
  EXPECT_TRUE(waits) << "not at once";
  for (int i = 0; i < 500 && !wal.due(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(wal.due());
  reader.run("COMMIT");
  wal.checkpoint();
  EXPECT_EQ(wal.bytes(), 0U);
}

TEST_F(WalTest, IsFullWhereACheckpointCouldNotHelp) {
  Wal wal = this->wal();
  write(5'000'000);
  EXPECT_FALSE(wal.full());
  EXPECT_GT(wal.bytes(), kCheckpointBytes) << "to ask makes none below the limit";
  write(63'000'000);
  EXPECT_GT(wal.bytes(), kWalLimitBytes);
  EXPECT_FALSE(wal.full());
  EXPECT_EQ(wal.bytes(), 0U);
  Database reader(path_, SQLITE_OPEN_READONLY);
  reader.run("BEGIN; SELECT count(*) FROM t");
  write(68'000'000);
  EXPECT_TRUE(wal.full());
  EXPECT_TRUE(wal.full());
  reader.run("COMMIT");
  for (int i = 0; i < 500 && wal.full(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(wal.bytes(), 0U);
}

TEST_F(WalTest, IsCopiedUnderTheLockAlone) {
  Wal wal = this->wal();
  write(1000);
  ASSERT_TRUE(other_.try_lock());
  std::thread copying([&] { wal.checkpoint(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_GT(wal.bytes(), 0U) << "while another writes";
  other_.unlock();
  copying.join();
  EXPECT_EQ(wal.bytes(), 0U);
}

TEST_F(WalTest, AfterwardsAForeignWriterIsWaitedForAsBefore) {
  Wal wal = this->wal();
  write(1000);
  wal.checkpoint();
  Database foreign(path_, SQLITE_OPEN_READWRITE);
  foreign.run("BEGIN IMMEDIATE");
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    foreign.run("COMMIT");
  });
  EXPECT_NO_THROW(write(1000));
  other.join();
}

TEST_F(WalTest, IsLeftToWhoeverWrites) {
  Wal wal = this->wal();
  write(1000);
  ASSERT_TRUE(other_.try_lock());
  wal.checkpoint_if_idle();
  EXPECT_GT(wal.bytes(), 0U);
  other_.unlock();
  wal.checkpoint_if_idle();
  EXPECT_EQ(wal.bytes(), 0U);
  EXPECT_TRUE(other_.try_lock());
}

}  // namespace
}  // namespace gradus::results
