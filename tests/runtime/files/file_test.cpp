#include "files/file.h"

#include "file_case.h"

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
