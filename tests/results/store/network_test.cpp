// What a file lies on, where that is known of every machine.
#include "store/network.h"

#include "store_fixture.h"

namespace gradus::results {
namespace {

class NetworkTest : public StoreTest {};

TEST_F(NetworkTest, FileSystemsAreThoseThatTheListOfMountsHas) {
  for (const char* path : {"/proc", "/proc/self/status"}) EXPECT_EQ(file_system_of(path), "proc") << path;
  EXPECT_NE(file_system_of(folder_), "");
  EXPECT_NE(file_system_of(folder_), "proc");
  EXPECT_EQ(file_system_of(folder_ + "/none"), "");
  EXPECT_EQ(network_file_system("/proc"), "");
}

}  // namespace
}  // namespace gradus::results
