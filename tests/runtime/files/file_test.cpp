#include "files/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "file_case.h"

// What of these calls the code under test makes, in order: "sync file", "sync folder", "rename".
static std::vector<std::string> calls;  // NOLINT(cert-err58-cpp)

extern "C" int fsync(int fd) {
  struct stat info {};
  fstat(fd, &info);
  calls.emplace_back(S_ISDIR(info.st_mode) ? "sync folder" : "sync file");
  return static_cast<int>(syscall(SYS_fsync, fd));
}
extern "C" int rename(const char* from, const char* to) noexcept {
  calls.emplace_back("rename");
  return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

namespace gradus {
namespace {

struct FileTest : FileCase {
  int64_t count() const { return std::distance(std::filesystem::directory_iterator(folder_), {}); }
};

TEST_F(FileTest, ReplacementIsAllOrNothing) {
  write("target", "old");
  {
    FileReplacement abandoned(path("target"));
    abandoned.write("half", 4);
  }
  EXPECT_EQ(bytes_of(path("target")), "old");
  EXPECT_EQ(count(), 1);
  FileReplacement file(path("target"));
  file.write("new", 3);
  EXPECT_EQ(bytes_of(path("target")), "old");
  file.commit();
  EXPECT_EQ(bytes_of(path("target")), "new");
  EXPECT_EQ(count(), 1);
}

TEST_F(FileTest, ReplacementIsOnTheDiskBeforeItTakesItsNameAndTheNameAfterwards) {
  FileReplacement file(path("target"));
  file.write("new", 3);
  calls.clear();
  file.commit();
  EXPECT_EQ(calls, (std::vector<std::string>{"sync file", "rename", "sync folder"}));
}

TEST_F(FileTest, FailedRenameLeavesNothing) {
  std::filesystem::create_directories(folder_ / "taken" / "inside");
  try {
    FileReplacement file(path("taken"));
    file.commit();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code, Exit::io);
    EXPECT_EQ(std::string(error.what()).find(path("taken") + ": cannot rename"), 0u) << error.what();
  }
  EXPECT_EQ(count(), 1);
}

TEST_F(FileTest, NamesTheByteWhereAFileEnds) {
  const File file(write("small", "x"));
  EXPECT_EQ(file.size(), 1);
  EXPECT_EQ(file.read(0, 1), "x");
  try {
    file.read(0, 2);  // the file was cut short behind our back
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), (path("small") + ": byte 0: the file ends early; expected 2 bytes; got 1").c_str());
  }
}

TEST_F(FileTest, MessagesStayOnTheirLine) {
  EXPECT_STREQ(data_error("a\nb", "w", "e", "\x1b[31m").what(), "a?b: w; expected e; got ?[31m");
}

}  // namespace
}  // namespace gradus
