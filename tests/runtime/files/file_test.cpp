#include "files/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "file_case.h"
#include "refusal.h"

// What of these calls the code under test makes, in order: "sync file", "sync folder", "rename".
static std::vector<std::string> calls;  // NOLINT(cert-err58-cpp)

// What a call on a file, or fsync of a folder, fails with: that often.
static int wrong = 0, times = 0;
static bool fails() { return times > 0 && (--times, (errno = wrong) != 0); }

extern "C" int fsync(int fd) {
  while (gradus::sync_waits) usleep(1000);
  struct stat info {};
  fstat(fd, &info);
  calls.emplace_back(S_ISDIR(info.st_mode) ? "sync folder" : "sync file");
  return S_ISDIR(info.st_mode) && fails() ? -1 : static_cast<int>(syscall(SYS_fsync, fd));
}
// No more than three bytes at a time, where one fails.
static bool short_calls = false;
extern "C" ssize_t pread(int fd, void* to, size_t count, off_t offset) {
  if (short_calls && fails()) return -1;
  return syscall(SYS_pread64, fd, to, short_calls ? std::min<size_t>(count, 3) : count, offset);
}
extern "C" ssize_t write(int fd, const void* from, size_t count) {
  if (short_calls && fails()) return -1;
  return syscall(SYS_write, fd, from, short_calls ? std::min<size_t>(count, 3) : count);
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
  EXPECT_STREQ(data_error("a\nb", "w", "e", "\x1b[31m \x1f\x7f\x80").what(), "a?b: w; expected e; got ?[31m ??\x80");
}

TEST_F(FileTest, WhatIsNoFileIsToldApart) {
  write("file", "x");
  ASSERT_EQ(mkfifo(path("pipe").c_str(), 0600), 0);
  const struct {
    std::string path;
    Exit code;
    std::string says;
  } cases[] = {
      {path("none"), Exit::missing,
       path("none") + ": cannot open; expected a readable file; got: No such file or directory"},
      {path("file/none"), Exit::missing,
       path("file/none") + ": cannot open; expected a readable file; got: Not a directory"},
      {path(std::string(300, 'x')), Exit::io,
       path(std::string(300, 'x')) + ": cannot open; expected a readable file; got: File name too long"},
      {path(""), Exit::io, path("") + ": not a regular file; expected a file; got a directory"},
      {path("pipe"), Exit::io, path("pipe") + ": not a regular file; expected a file; got something else"},
      {"", Exit::data, "file: empty path; expected a file's name; got ''"},
      {std::string("a\0b", 3), Exit::data, "file: path holds a zero byte; expected a file's name; got 'a\\0…'"},
  };
  for (const auto& one : cases) EXPECT_EQ(refusal([&] { const File file(one.path); }, one.code), one.says);
  EXPECT_EQ(refusal([&] { const FileReplacement file(""); }), "file: empty path; expected a file's name; got ''");
  EXPECT_EQ(refusal([&] { const FileReplacement file(path("none/file")); }, Exit::io),
            path("none/file") + ": cannot create; expected a writable place; got: No such file or directory");
  EXPECT_EQ(File(path("file")).size(), 1);
}

TEST_F(FileTest, ReadsAnyStretch) {
  const std::string text = "0123456789";
  const File file(write("ten", text));
  for (int64_t begin = 0; begin <= 10; ++begin) {
    for (int64_t count = 0; begin + count <= 10; ++count) EXPECT_EQ(file.read(begin, count), text.substr(begin, count));
    EXPECT_EQ(refusal([&] { file.read(begin, 11 - begin); }),
              path("ten") + ": byte " + std::to_string(begin) + ": the file ends early; expected " +
                  std::to_string(11 - begin) + " bytes; got " + std::to_string(10 - begin));
  }
}

TEST_F(FileTest, ReplacesInTheFolderThatOneStandsIn) {
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder_);
  FileReplacement one("target"), two("target");  // at once: each with a file of its own
  one.write("first", 5);
  two.write("the second", 10);
  EXPECT_EQ(count(), 2);
  one.commit();
  EXPECT_EQ(bytes_of(path("target")), "first");
  two.commit();
  EXPECT_EQ(bytes_of(path("target")), "the second");
  EXPECT_EQ(count(), 1);
  std::filesystem::current_path(before);
}

struct ShortCalls {
  ShortCalls(int error, int often) { short_calls = true, wrong = error, times = often; }
  ~ShortCalls() { short_calls = false, times = 0; }
};

TEST_F(FileTest, CallsThatDoLessOrAreInterruptedAreMadeAgain) {
  const File file(write("ten", "0123456789"));
  FileReplacement copy(path("copy"));
  {
    const ShortCalls calls(EINTR, 2);
    EXPECT_EQ(file.read(1, 8), "12345678");
    times = 2;
    copy.write("0123456789", 10);
  }
  copy.commit();
  EXPECT_EQ(bytes_of(path("copy")), "0123456789");
}

TEST_F(FileTest, CallsThatFailSayWhy) {
  const File file(write("ten", "0123456789"));
  FileReplacement copy(path("copy"));
  std::string read, written;
  {
    const ShortCalls calls(EIO, 1);
    read = refusal([&] { file.read(2, 5); }, Exit::io);
    times = 1;
    written = refusal([&] { copy.write("x", 1); }, Exit::io);
  }
  EXPECT_EQ(read, path("ten") + ": byte 2: cannot read; expected 5 bytes; got: Input/output error");
  EXPECT_EQ(written, path("copy") + ": cannot write; expected a writable place; got: Input/output error");
}

TEST_F(FileTest, AFolderThatIsNotSyncedIsToldUnlessItsFileSystemSyncsNone) {
  for (const int error : {EIO, EINVAL}) {
    FileReplacement file(path("target"));
    wrong = error, times = 1;
    EXPECT_EQ(refusal([&] { file.commit(); }, Exit::io),
              error == EINVAL
                  ? "accepted"
                  : path("target") + ": cannot sync the folder; expected a writable place; got: Input/output error");
    times = 0;
  }
}

TEST_F(FileTest, EachFileIsClosedOnce) {
  const int64_t before = open_files();
  EXPECT_THROW(File{folder_}, Error);
  { const FileReplacement abandoned(path("target")); }
  {
    FileReplacement file(path("target"));
    file.commit();
    EXPECT_EQ(open_files(), before);
    const File next(path("target"));  // takes the number that was the other's
    file.~FileReplacement();
    new (&file) FileReplacement(path("target"));
    EXPECT_EQ(next.read(0, 0), "");
    EXPECT_EQ(refusal([&] { next.read(0, 1); }),
              path("target") + ": byte 0: the file ends early; expected 1 bytes; got 0");
  }
  EXPECT_EQ(open_files(), before);
}

TEST_F(FileTest, GzipInAnyMembersAndSizes) {
  constexpr int64_t kBuffer = 1 << 18;
  for (const int64_t size : {int64_t{0}, int64_t{1}, kBuffer - 1, kBuffer, kBuffer + 1, 2 * kBuffer}) {
    std::string text(size, 'x');
    for (int64_t i = 0; i < size; i += 7) text[i] = static_cast<char>('a' + i % 26);
    EXPECT_TRUE(gunzip(gzip(text), "w") == text) << size;
    EXPECT_TRUE(gunzip(gzip(text) + gzip("") + gzip("end"), "w") == text + "end") << size;
    EXPECT_TRUE(gunzip(gzip(text), "w", size) == text) << size;
    if (size > 0) {
      EXPECT_EQ(refusal([&] { gunzip(gzip(text), "w", size - 1); }),
                "w: gzip holds too much; expected at most " + std::to_string(size - 1) + " bytes; got more");
    }
  }
  const std::string packed = gzip("some text");
  for (std::size_t cut = 0; cut < packed.size(); ++cut)
    EXPECT_EQ(refusal([&] { gunzip(packed.substr(0, cut), "w"); }),
              "w: damaged gzip; expected a whole gzip stream; got its end")
        << cut;
  for (const char* after : {"x", "not gzip at all"})
    EXPECT_NE(refusal([&] { gunzip(packed + after, "w"); }).find("w: damaged gzip"), std::string::npos);
  std::string wrong = packed;
  wrong[packed.size() - 8] ^= 1;  // the sum over all bytes
  EXPECT_EQ(refusal([&] { gunzip(wrong, "w"); }),
            "w: damaged gzip; expected a whole gzip stream; got incorrect data check");
  EXPECT_TRUE(is_gzip(packed));
  for (const char* other : {"", "\x1f", "\x8b\x1f", "\x1f\x8c"}) EXPECT_FALSE(is_gzip(other));
}

TEST_F(FileTest, BytesOfAShape) {
  constexpr int64_t kLarge = int64_t{1} << 62;
  const struct {
    std::vector<int64_t> shape;
    int64_t item;
    std::optional<int64_t> bytes;
  } cases[] = {{{}, 4, 4},
               {{3}, 4, 12},
               {{2, 3}, 8, 48},
               {{0}, 8, 0},
               {{2, 0, 3}, 8, 0},
               {{-1}, 1, {}},
               {{0, -1}, 1, {}},
               {{kLarge}, 1, kLarge},
               {{kLarge - 1}, 2, (kLarge - 1) * 2},
               {{kLarge}, 2, {}},
               {{kLarge, 2}, 1, {}},
               {{kLarge, 2, 0}, 1, {}},
               {{0, kLarge, 2}, 1, {}},
               {{kLarge, 0}, 1, 0}};
  for (const auto& [shape, item, bytes] : cases)
    EXPECT_EQ(byte_count(shape, item), bytes) << show_shape(shape) << " " << item;
  EXPECT_EQ(show_shape({}), "[]");
  EXPECT_EQ(show_shape({2}), "[2]");
  EXPECT_EQ(show_shape({2, 3, 0}), "[2, 3, 0]");
}

TEST_F(FileTest, TensorsAreReadWhereTheyBegin) {
  const File file(write("bytes", std::string("\x09\x01\x00\x01\x02\x00", 6)));
  EXPECT_TRUE(read_tensor(file, 1, {3}, at::kBool).equal(at::tensor({1, 0, 1}).to(at::kBool)));
  EXPECT_EQ(refusal([&] {
              read_tensor(file, 1, {2, 2}, at::kBool);
            }),
            path("bytes") + ": byte 4: not a boolean; expected 0 or 1; got 2");
  EXPECT_TRUE(read_tensor(file, 0, {2, 3}, at::kByte).equal(at::tensor({9, 1, 0, 1, 2, 0}, at::kByte).view({2, 3})));
  EXPECT_EQ(read_tensor(file, 6, {0, 3}, at::kBool).numel(), 0);
}

TEST_F(FileTest, PicklesAndArchivesAreToldApart) {
  const auto zip = [](const std::string& name) {
    std::string bytes = std::string("PK\x03\x04") + std::string(22, '\0') + static_cast<char>(name.size() & 255) +
                        static_cast<char>(name.size() >> 8) + std::string(2, '\0') + name;
    return bytes + "and what it holds.npy";
  };
  const auto pickle = [](int protocol, char next) { return std::string("\x80") + static_cast<char>(protocol) + next; };
  const struct {
    std::string bytes;
    const char* says;
  } cases[] = {{"", ""},
               {"plain", ""},
               {pickle(1, '}'), ""},
               {pickle(2, '}'), "got Python's pickle"},
               {pickle(5, '}') + "more", "got Python's pickle"},
               {pickle(6, '}'), ""},
               {pickle(2, '\0'), ""},
               {pickle(2, '}').substr(0, 2), ""},
               {std::string(257, 'x') + "ustar", "got a tar file"},
               {std::string(256, 'x') + "ustar", ""},
               {std::string(258, 'x') + "ustar", ""},
               {zip("arr_0.npy"), "got a zip file (NPZ)"},
               {zip(std::string(300, 'a') + ".npy"), "got a zip file (NPZ)"},
               {zip("archive/data.pkl"), "a PyTorch file or another archive: code, never read"},
               {zip("arr_0.npy").substr(0, 30), "a PyTorch file or another archive"},
               {"PK\x03\x04", "a PyTorch file or another archive"},
               {"PK\x03\x05", ""}};
  for (const auto& [bytes, says] : cases) {
    const File file(write("file", bytes));
    const std::string said = refusal([&] { refuse_pickle(file); });
    if (*says) {
      EXPECT_EQ(said.find(path("file") + ": byte 0: "), 0U) << said;
      EXPECT_NE(said.find(says), std::string::npos) << said;
    } else {
      EXPECT_EQ(said, "accepted");
    }
  }
}

}  // namespace
}  // namespace gradus
