// The spool's files when something goes wrong with them.
#include "store/spool.h"

#include <sys/resource.h>

#include <csignal>
#include <fstream>

#include "store_fixture.h"

namespace gradus::results {
namespace {

class SpoolTest : public StoreTest {};

TEST_F(SpoolTest, AFullDiskLeavesNoHalfName) {
  Spool spool(folder_);
  ASSERT_EQ(spool.key("train/loss"), 0);
  // The disk is full three letters into the next name.
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &usual), 0);
  const rlimit full{std::filesystem::file_size(keys_path(folder_)) + 3, usual.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  expect_error(Exit::io, "cannot write", [&] { spool.key("val/acc"); });
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &usual), 0);
  ::signal(SIGXFSZ, SIG_DFL);

  EXPECT_EQ(spool.key("val/loss"), 1);
  EXPECT_EQ(spool.key("val/acc"), 2);
  SpoolReader reader(folder_, {});
  EXPECT_EQ(reader.name(0), "train/loss");
  EXPECT_EQ(reader.name(1), "val/loss");
  EXPECT_EQ(reader.name(2), "val/acc");
}

TEST_F(SpoolTest, TheFirstSegmentIsTheLeastNumberThatIsThere) {
  EXPECT_EQ(first_segment(folder_), -1);
  EXPECT_EQ(first_segment(folder_ + "/missing"), -1);
  for (const char* name : {"spool.keys", "spool.", "spool.-1", "spool.7x", "spool.99999999999999999999"})
    std::ofstream(folder_ + "/" + name) << "x";
  EXPECT_EQ(first_segment(folder_), -1);
  std::ofstream(folder_ + "/spool.12") << "x";
  std::ofstream(folder_ + "/spool.9") << "x";
  EXPECT_EQ(first_segment(folder_), 9);
}

}  // namespace
}  // namespace gradus::results
