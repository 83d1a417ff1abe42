// Files for tests: a folder that goes with the test, and files that lie in bulk.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "error.h"

namespace gradus {

inline std::atomic<bool> sync_waits{false};  // fsync comes back when this is false again (files/file_test.cpp)

class FileCase : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(testing::TempDir()) / ("gradus-" + std::to_string(getpid()) + "-" + info->name());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ / name; }
  std::string write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }
  static std::string bytes_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  // Files that this process holds open.
  static int64_t open_files() { return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}); }

  std::filesystem::path folder_;
};

inline std::string gzip(const std::string& text) {
  std::string packed(compressBound(text.size()) + 64, '\0');
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = text.size();
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = packed.size();
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

struct Lie {
  std::string bytes;
  const char* says;  // part of the message
};

// Each lie must be answered by one line of the house's form, with exit code 65, that names the file.
template <class Read>
void expect_refused(const std::string& path, const std::vector<Lie>& lies, Read read) {
  for (const Lie& lie : lies) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << lie.bytes;
    try {
      read(path);
      ADD_FAILURE() << "accepted, but should say: " << lie.says;
    } catch (const Error& error) {
      const std::string text = error.what();
      EXPECT_EQ(error.code, Exit::data) << text;
      EXPECT_NE(text.find(lie.says), std::string::npos) << text << "\nshould say: " << lie.says;
      EXPECT_EQ(text.find(path), 0u) << text;
      EXPECT_NE(text.find("; expected "), std::string::npos) << text;
      EXPECT_NE(text.find("; got "), std::string::npos) << text;
      EXPECT_EQ(text.find('\n'), std::string::npos) << text;
      EXPECT_LT(text.size(), 700u) << text;
    }
  }
}

// Flips, cuts and grows a good file in `count` ways: the reader may accept or refuse, by Error and nothing else.
template <class Read>
void expect_no_crash(const std::string& path, const std::string& good, int count, Read read) {
  uint64_t state = 88172645463325252;
  const auto random = [&](uint64_t n) { return (state ^= state << 13, state ^= state >> 7, state ^= state << 17) % n; };
  int refused = 0;
  for (int i = 0; i < count; ++i) {
    std::string bytes = good;
    for (uint64_t k = 0; k <= random(3); ++k) {
      const uint64_t at = random(std::min<uint64_t>(bytes.size(), 400));
      switch (random(4)) {
        case 0:
          bytes[at] = static_cast<char>(random(256));
          break;
        case 1:
          bytes.resize(at + 1);
          break;
        case 2:
          bytes.insert(at, 1, static_cast<char>("0129]}[{\",-e"[random(12)]));
          break;
        default:
          bytes.erase(at, 1 + random(4));
          break;
      }
      if (bytes.empty()) bytes = "x";
    }
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    try {
      read(path);
    } catch (const Error& error) {
      ++refused;
      EXPECT_NE(error.code, Exit::bug) << error.what();
    }
  }
  EXPECT_GT(refused, count / 4);
}

}  // namespace gradus
