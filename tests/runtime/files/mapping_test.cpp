// Files in memory: what is written there is in the file, and what is no file is refused.
#include "files/mapping.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "file_case.h"
#include "refusal.h"

namespace gradus {
namespace {

struct MappingTest : FileCase {};

TEST_F(MappingTest, ItsTensorsAreTheFiles) {
  const std::string file = write("bytes", "0123456789");
  const int64_t before = open_files();
  {
    const auto mapping = std::make_shared<Mapping>(file, O_RDWR, MAP_SHARED);
    EXPECT_EQ(mapping->bytes(), 10);
    EXPECT_EQ(open_files(), before) << "the mapping needs none";
    at::Tensor tensor = Mapping::tensor(mapping, 2, {2, 3}, at::kByte);
    EXPECT_TRUE(tensor.equal(at::arange('2', '8', at::kByte).view({2, 3})));
    tensor.fill_('x');
  }
  EXPECT_EQ(bytes_of(file), "01xxxxxx89");
}

TEST_F(MappingTest, WhatCannotBeMappedSaysWhy) {
  const auto says = [&](const std::string& name) {
    return refusal([&] { Mapping(path(name), O_RDWR, MAP_SHARED); }, Exit::io);
  };
  const std::string words = ": cannot map; expected a file that can be read and written; got: ";
  const int64_t before = open_files();
  EXPECT_EQ(says("none"), path("none") + words + "No such file or directory");
  EXPECT_EQ(says(""), path("") + words + "Is a directory");
  write("empty", "");
  EXPECT_EQ(says("empty"), path("empty") + words + "Invalid argument");
  EXPECT_EQ(open_files(), before);
}

}  // namespace
}  // namespace gradus
