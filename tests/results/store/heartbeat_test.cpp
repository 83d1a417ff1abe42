#include "store/heartbeat.h"

#include <fstream>

#include "store/database.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

class HeartbeatTest : public StoreTest {
 protected:
  std::string alive() const { return folder_ + "/alive"; }
};

TEST_F(HeartbeatTest, WithoutAFileTheRunIsDeadAndNothingIsKnown) {
  const std::optional<Heartbeat> dead = Heartbeat::take_over(folder_);
  ASSERT_TRUE(dead);
  EXPECT_EQ(dead->unix_time(), 0);
  EXPECT_EQ(dead->seconds(), 0);
  EXPECT_FALSE(Heartbeat::is_held(folder_));
  EXPECT_FALSE(std::filesystem::exists(alive())) << "to look makes nothing";
}

TEST_F(HeartbeatTest, WhatWasToldOutlivesWhoeverTold) {
  {
    Heartbeat made = Heartbeat::begin(folder_);
    EXPECT_EQ(made.unix_time(), 0) << "never beaten";
    EXPECT_EQ(made.seconds(), 0);
    Heartbeat heartbeat = std::move(made);
    heartbeat.beat(1.7e9, 12.5);
    heartbeat.beat(1.8e9, 13.5);
    EXPECT_TRUE(Heartbeat::is_held(folder_));
    EXPECT_FALSE(Heartbeat::take_over(folder_)) << "it lives";
  }
  EXPECT_FALSE(Heartbeat::is_held(folder_));
  std::optional<Heartbeat> dead = Heartbeat::take_over(folder_);
  ASSERT_TRUE(dead);
  EXPECT_EQ(dead->unix_time(), 1.8e9);
  EXPECT_EQ(dead->seconds(), 13.5);
  EXPECT_TRUE(Heartbeat::is_held(folder_)) << "by who took it over";
  dead->remove();
  EXPECT_FALSE(std::filesystem::exists(alive()));
}

TEST_F(HeartbeatTest, WhereThisUserMayNotLookItMayLive) {
  std::filesystem::permissions(folder_, std::filesystem::perms::none);
  EXPECT_EQ(wait_for(spawn([&] {
              if (::geteuid() == 0 && ::seteuid(65534) != 0) throw std::runtime_error("seteuid");
              if (Heartbeat::take_over(folder_)) throw std::runtime_error("taken over");
              if (!Heartbeat::is_held(folder_)) throw std::runtime_error("not held");
            })),
            0);
  std::filesystem::permissions(folder_, std::filesystem::perms::owner_all);
}

// A process that died before it told anything, or whose file somebody removed.
TEST_F(HeartbeatTest, OfADeadRunThatToldNothingOnlyItsBeginningIsKnown) {
  for (const bool left : {true, false}) {
    EXPECT_TRUE(WIFSIGNALED(wait_for(spawn([&] {
      auto run = create()->begin({.name = "victim"});
      std::filesystem::remove(run->folder() + "/alive");
      if (left) std::ofstream(run->folder() + "/alive").flush();
      ::raise(SIGKILL);
    }))));
    EXPECT_EQ(
        ask(*read(),
            "SELECT status || (unixepoch(ended) = unixepoch(started)) || ' ' || seconds FROM runs ORDER BY id DESC"),
        "interrupted1 0.0");
  }
}

// To the last moment, and of a run that went on with what it took before.
TEST_F(HeartbeatTest, ADeadRunEndedWhereItWasLastSeen) {
  for (const bool resumed : {false, true}) {
    EXPECT_TRUE(WIFSIGNALED(wait_for(spawn([&] {
      auto store = create();
      auto run = resumed ? store->resume(1, {}) : store->begin({.name = "victim"});
      ::usleep(300'000);
      ::raise(SIGKILL);
    }))));
    auto store = read();
    const double seconds = std::stod(ask(*store, "SELECT seconds FROM runs WHERE id = 1"));
    EXPECT_GT(seconds, resumed ? 1000.1 : 0.1);
    EXPECT_LT(seconds, resumed ? 1060 : 60);
    EXPECT_EQ(ask(*store, "SELECT unixepoch(ended) - unixepoch('now') BETWEEN -60 AND 1 FROM runs WHERE id = 1"), "1");
    create()->write([](Database& database) { database.run("UPDATE runs SET seconds = 1000"); });
  }
}

TEST_F(HeartbeatTest, ARunThatDiedAtOnceTookNoTime) {
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(WIFSIGNALED(wait_for(spawn([&] {
      auto run = create()->begin({.name = "victim"});
      ::raise(SIGKILL);
    }))));
  }
  EXPECT_EQ(ask(*read(), "SELECT max(seconds) < 0.9 FROM runs"), "1");
}

// Two are dead, and while the first is recovered here, another process has done the second.
TEST_F(HeartbeatTest, WhatAnotherRecoveredIsLeftAlone) {
  EXPECT_TRUE(WIFSIGNALED(wait_for(spawn([&] {
    auto store = create();
    auto one = store->begin({.name = "a"}), other = store->begin({.name = "b"});
    ::raise(SIGKILL);
  }))));
  Database(path_, SQLITE_OPEN_READWRITE)
      .run(
          "CREATE TRIGGER x AFTER UPDATE OF status ON runs WHEN new.id = 1 BEGIN UPDATE runs SET status = 'finished' "
          "WHERE id = 2; END");
  EXPECT_EQ(ask(*read(), "SELECT group_concat(status) FROM runs"), "interrupted,finished");
}

TEST_F(HeartbeatTest, ARunThatCannotBeFinishedIsLeftToWhoeverComesNext) {
  auto store = create();
  const auto refuse = [](Database& database) {
    database.run("CREATE TRIGGER x BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'no'); END");
  };
  store->write(refuse);
  { auto run = store->begin({.name = "a"}); }
  EXPECT_EQ(ask(*store, "SELECT status FROM runs"), "running");
  store->write([](Database& database) { database.run("DROP TRIGGER x"); });
  EXPECT_EQ(ask(*read(), "SELECT status || ': ' || error FROM runs"),
            "interrupted: the process ended without finishing the run");
}

}  // namespace
}  // namespace gradus::results
