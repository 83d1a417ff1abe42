#include "store/snapshot_files.h"

#include <fstream>
#include <set>

#include "store/heartbeat.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

class SnapshotFilesTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    store_ = create();
    run_ = store_->begin({.name = "a"});
    for (const char* name : {"1-10", "1-20", "1-30", "2-5", "2-10", "2-15", "2-end"})
      write(std::string(name) + ".safetensors", name);
  }
  void write(const std::string& name, const std::string& bytes) const {
    const std::string folder = run_->folder() + "/snapshots";
    std::filesystem::create_directories(folder);
    std::ofstream(folder + "/" + name) << bytes;
  }
  std::string left_after(const std::string& keep) {
    std::string names;
    std::set<std::string> doomed;
    for (const SnapshotFile& file : snapshots_to_remove(*store_, parse_keep(keep))) doomed.insert(file.name);
    for (const SnapshotFile& file : snapshot_files(run_->folder())) {
      if (doomed.count(file.name) == 0) names += (names.empty() ? "" : " ") + file.name;
    }
    return names;
  }

  std::shared_ptr<Store> store_;
  std::shared_ptr<Writer> run_;
};

TEST_F(SnapshotFilesTest, InTheOrderOfTheirSteps) {
  for (const char* other : {"1-10.json", "x.safetensors", "1.safetensors", "-5.safetensors", "1-.safetensors",
                            "1-5x.safetensors", "x-5.safetensors", "1-ending.safetensors"})
    write(other, "");
  std::string all;
  for (const SnapshotFile& file : snapshot_files(run_->folder()))
    all += file.name + ":" + std::to_string(file.bytes) + " ";
  EXPECT_EQ(all, "1-10:4 1-20:4 1-30:4 2-5:3 2-10:4 2-15:4 2-end:5 ");
  EXPECT_TRUE(snapshot_files(folder_).empty());
}

TEST_F(SnapshotFilesTest, WhatIsKept) {
  EXPECT_EQ(left_after("last=1"), "1-10 1-20 1-30 2-5 2-10 2-15 2-end") << "of a run that is not over, all";
  run_->event(10, "best", "val/acc", "{}");
  run_->event(4, "best", "val/acc", "{}");
  run_->finish("finished");
  EXPECT_EQ(left_after("last=1"), "2-end");
  EXPECT_EQ(left_after("last=2"), "2-15 2-end");
  EXPECT_EQ(left_after("last=7"), "1-10 1-20 1-30 2-5 2-10 2-15 2-end");
  EXPECT_EQ(left_after("every=10"), "1-10 1-20 1-30 2-10");
  EXPECT_EQ(left_after("best"), "2-10") << "the first of the last training that has the best step";
  EXPECT_EQ(left_after("best,last=1,every=15"), "1-30 2-10 2-15 2-end");
}

TEST_F(SnapshotFilesTest, WithoutABestStepNoneIsTheBest) {
  run_->finish("finished");
  EXPECT_EQ(left_after("best"), "");
}

TEST_F(SnapshotFilesTest, TheBestMayBeTheEnd) {
  run_->event(16, "best", "val/acc", "{}");
  run_->finish("finished");
  EXPECT_EQ(left_after("best"), "2-end");
}

TEST_F(SnapshotFilesTest, ARunThatIsAliveElsewhereKeepsItsOwn) {
  const std::string folder = run_->folder();
  run_->finish("finished");
  const Heartbeat held = Heartbeat::begin(folder);
  EXPECT_EQ(left_after("last=1"), "1-10 1-20 1-30 2-5 2-10 2-15 2-end");
}

TEST_F(SnapshotFilesTest, KeepIsReadInFull) {
  const SnapshotsKept kept = parse_keep("last=3,best,every=1000");
  EXPECT_EQ(kept.last, 3);
  EXPECT_TRUE(kept.best);
  EXPECT_EQ(kept.every, 1000);
  EXPECT_FALSE(parse_keep("last=1").best);
  EXPECT_TRUE(parse_keep("best,last=1").best);
  for (const char* bad : {"", "last", "last=", "last=0", "last=-1", "last=2x", "every=0", "best=1", "first=2",
                          "last=1,", ",best", "last=99999999999999999999"})
    expect_error(Exit::usage, "gc: --keep: expected last=N, best or every=STEPS", [&] { parse_keep(bad); });
}

}  // namespace
}  // namespace gradus::results
