// Snapshots: whole or not at all, and every changed byte is noticed.
#include "files/snapshot.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "../../failing_thread.h"
#include "error.h"
#include "file_case.h"
#include "files/safetensors.h"
#include "refusal.h"

namespace gradus {
namespace {

namespace fs = std::filesystem;

class SnapshotTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "gradus-snapshot-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    path_ = folder_ + "/1-20.safetensors";
  }
  void TearDown() override { fs::remove_all(folder_); }
  static Snapshot some() {
    return {{{"w", at::arange(6).view({2, 3})}, {"empty", at::zeros({0})}, {"half", at::ones({3}, at::kHalf)}},
            R"([1])"};
  }

  std::string folder_, path_;
};

TEST_F(SnapshotTest, IsReadAsItWasWritten) {
  write_snapshot(path_, some(), {{"run", "ab"}});
  const Snapshot read = read_snapshot(path_);
  EXPECT_EQ(read.plain, "[1]");
  ASSERT_EQ(read.tensors.size(), 3u);
  EXPECT_TRUE(read.tensors.at("w").equal(some().tensors.at("w")));
}

TEST_F(SnapshotTest, EveryChangedByteIsNoticed) {
  write_snapshot(path_, some());
  std::string bytes;
  {
    std::ifstream in(path_, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    std::ofstream(path_, std::ios::binary) << damaged;
    try {
      const Snapshot read = read_snapshot(path_);
      bool same = read.plain == "[1]" && read.tensors.size() == 3;
      for (const auto& [name, one] : some().tensors)
        same = same && read.tensors.count(name) == 1 && read.tensors.at(name).equal(one) &&
               read.tensors.at(name).dtype() == one.dtype();
      EXPECT_TRUE(same) << "byte " << at;  // a space of the header, say
    } catch (const Error& error) {
      EXPECT_EQ(error.code, Exit::data) << error.what();
    }
  }
  for (const size_t size : {size_t{0}, size_t{7}, bytes.size() / 2, bytes.size() - 1}) {
    std::ofstream(path_, std::ios::binary) << bytes.substr(0, size);
    EXPECT_THROW(read_snapshot(path_), Error) << size;
  }
}

TEST_F(SnapshotTest, AThreadWritesThemOneAfterTheOther) {
  SnapshotWriter writer;
  for (int i = 0; i < 5; ++i) writer.start(folder_ + "/" + std::to_string(i) + ".safetensors", some(), {});
  writer.wait();
  EXPECT_FALSE(writer.busy());
  for (int i = 0; i < 5; ++i) EXPECT_NO_THROW(read_snapshot(folder_ + "/" + std::to_string(i) + ".safetensors"));
}

TEST_F(SnapshotTest, IsBusyUntilItIsWritten) {
  SnapshotWriter writer;
  EXPECT_FALSE(writer.busy());
  sync_waits = true;
  writer.start(path_, some(), {});
  EXPECT_TRUE(writer.busy());
  sync_waits = false;
  writer.wait();
  EXPECT_FALSE(writer.busy());
}

TEST_F(SnapshotTest, AnErrorOfTheThreadIsToldOnceAndTheNextOneIsWritten) {
  SnapshotWriter writer;
  writer.start(folder_ + "/none/x.safetensors", some(), {});
  EXPECT_THROW(writer.start(path_, some(), {}), Error);
  EXPECT_NO_THROW(writer.start(path_, some(), {}));
  EXPECT_NO_THROW(writer.wait());
  EXPECT_NO_THROW(read_snapshot(path_));
}

TEST_F(SnapshotTest, AWriterThatGetsNoThreadIsNotBusy) {
  SnapshotWriter writer;
  no_thread = true;
  EXPECT_THROW(writer.start(path_, some(), {}), Error);
  EXPECT_FALSE(writer.busy());
  EXPECT_NO_THROW(writer.start(path_, some(), {}));
  EXPECT_NO_THROW(writer.wait());
  EXPECT_NO_THROW(read_snapshot(path_));
}

TEST_F(SnapshotTest, AnotherSafetensorsFileIsNone) {
  std::ofstream(path_, std::ios::binary) << "x";
  EXPECT_THROW(read_snapshot(path_), Error);
  for (const std::map<std::string, std::string>& half :
       {std::map<std::string, std::string>{}, {{"gradus.state", "[1]"}}, {{"gradus.crc32", "00000000"}}}) {
    write_safetensors(path_, some().tensors, half);
    EXPECT_EQ(
        refusal([&] { read_snapshot(path_); }),
        path_ + ": not a snapshot; expected a file that a run saved; got a safetensors file without a run's state");
  }
}

}  // namespace
}  // namespace gradus
