// Files that are whole or not there, whatever becomes of the disk.
#include "exchange/output_file.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <cstdio>
#include <fstream>
#include <set>

#include "store_fixture.h"

namespace gradus::results {
namespace {

namespace fs = std::filesystem;

class OutputFileTest : public StoreTest {
 protected:
  void put(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << bytes;
  }
  std::string bytes_of(const std::string& name) {
    std::ifstream file(folder_ + "/" + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string files() {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) names.insert(entry.path().filename());
    std::string all;
    for (const std::string& name : names) all += name + " ";
    return all;
  }
};

TEST_F(OutputFileTest, TheOldFileStaysUntilTheNewOneIsWhole) {
  put("x", "old");
  {
    OutputFile file(folder_ + "/x");
    file.write("given up");
  }
  EXPECT_EQ(bytes_of("x"), "old");
  EXPECT_EQ(files(), "x ");
  OutputFile file(folder_ + "/x");
  file.write("new");
  file.write(" and more");
  EXPECT_EQ(bytes_of("x"), "old");
  file.finish();
  EXPECT_EQ(bytes_of("x"), "new and more");
  EXPECT_EQ(files(), "x ");
}

// What has another name by now is no more its own.
TEST_F(OutputFileTest, AFinishedFileLeavesItsFormerNameAlone) {
  const std::string part = "x." + std::to_string(::getpid()) + ".part";
  {
    OutputFile file(folder_ + "/x");
    file.finish();
    put(part, "another's");
  }
  EXPECT_EQ(bytes_of(part), "another's");
}

TEST_F(OutputFileTest, ALinkStaysOne) {
  put("x", "old");
  fs::create_symlink(folder_ + "/x", folder_ + "/link");
  OutputFile file(folder_ + "/link");
  file.write("new");
  file.finish();
  EXPECT_TRUE(fs::is_symlink(folder_ + "/link"));
  EXPECT_EQ(bytes_of("x"), "new");
}

// Of much it is told when it is written, of little when it is finished.
TEST_F(OutputFileTest, AFullDiskIsTold) {
  for (const std::size_t size : {std::size_t{10}, std::size_t{1} << 20}) {
    expect_error(Exit::io, "/dev/full: cannot write; got No space left on device", [&] {
      OutputFile file("/dev/full");
      file.write(std::string(size, 'x'));
      if (size > 1000) ADD_FAILURE() << "told too late";
      file.finish();
    });
  }
  put("x", "old");
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &usual), 0);
  const rlimit full{5, usual.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  for (const std::size_t size : {std::size_t{10}, std::size_t{1} << 20}) {
    expect_error(Exit::io, "/x: cannot write; got File too large", [&] {
      OutputFile file(folder_ + "/x");
      file.write(std::string(size, 'x'));
      file.finish();
    });
  }
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &usual), 0);
  ::signal(SIGXFSZ, SIG_DFL);
  EXPECT_EQ(bytes_of("x"), "old");
  EXPECT_EQ(files(), "x ");
}

TEST_F(OutputFileTest, StandardOutput) {
  ::testing::internal::CaptureStdout();
  for (const char* text : {"one ", "two"}) {
    OutputFile file("-");
    file.write(text);
    file.finish();
  }
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "one two") << "it stays open";
  std::fflush(stdout);
  const int usual = ::dup(STDOUT_FILENO), full = ::open("/dev/full", O_WRONLY);
  ASSERT_GE(::dup2(full, STDOUT_FILENO), 0);
  std::string told;
  try {
    OutputFile file("-");
    file.write("x");
    file.finish();
  } catch (const Error& error) {
    told = error.what();
  }
  ::dup2(usual, STDOUT_FILENO);
  ::close(usual), ::close(full);
  std::clearerr(stdout);
  EXPECT_EQ(told, "standard output: cannot write; got No space left on device");
}

TEST_F(OutputFileTest, WhatCannotBeWritten) {
  expect_error(Exit::io, "/none/x: cannot write; got No such file or directory",
               [&] { OutputFile file(folder_ + "/none/x"); });
  expect_error(Exit::io, ": cannot write; got Is a directory", [&] { OutputFile file(folder_ + "/"); });
  put("store", std::string("SQLite format 3") + '\0' + "and so on");
  expect_error(Exit::data, "/store: is not written over", [&] { OutputFile file(folder_ + "/store"); });
  for (const char* other : {"", "SQLite format ", "SQLite format 4 and so on"}) {
    put("x", other);
    OutputFile file(folder_ + "/x");
    file.finish();
    EXPECT_EQ(bytes_of("x"), "");
  }
}

TEST_F(OutputFileTest, WhatNamesAFolder) {
  put("x", "");
  fs::create_directory(folder_ + "/folder.csv");
  const std::pair<std::string, bool> cases[] = {{"", false},
                                                {"-", false},
                                                {folder_, true},
                                                {folder_ + "/folder.csv", true},
                                                {folder_ + "/x", false},
                                                {folder_ + "/new", true},
                                                {folder_ + "/new.csv", false},
                                                {folder_ + "/new.csv/", true}};
  for (const auto& [path, folder] : cases) EXPECT_EQ(names_folder(path), folder) << path;
  make_folder(folder_ + "/a/b");
  make_folder(folder_ + "/a/b");
  EXPECT_TRUE(fs::is_directory(folder_ + "/a/b"));
  expect_error(Exit::io, "/x/a: cannot make the folder; got Not a directory", [&] { make_folder(folder_ + "/x/a"); });
}

}  // namespace
}  // namespace gradus::results
