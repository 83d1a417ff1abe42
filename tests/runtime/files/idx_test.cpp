#include "files/idx.h"

#include "file_case.h"

namespace gradus {
namespace {

struct IdxTest : FileCase {};

std::string idx(int type, const std::vector<uint32_t>& sizes, const std::string& data) {
  std::string text{'\0', '\0', static_cast<char>(type), static_cast<char>(sizes.size())};
  for (const uint32_t size : sizes) {
    for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(size >> shift);
  }
  return text + data;
}

TEST_F(IdxTest, ReadsEachType) {
  const auto read = [&](const std::string& bytes) { return read_idx(write("idx", bytes)); };
  EXPECT_TRUE(
      at::equal(read(idx(8, {2, 2}, {"\x01\x02\x03\xff", 4})), at::tensor({1, 2, 3, 255}, at::kByte).reshape({2, 2})));
  EXPECT_TRUE(at::equal(read(idx(9, {2}, "\x01\xff")), at::tensor({1, -1}, at::kChar)));
  EXPECT_TRUE(at::equal(read(idx(11, {2}, {"\x01\x02\xff\xff", 4})), at::tensor({258, -1}, at::kShort)));
  EXPECT_TRUE(at::equal(read(idx(12, {1}, {"\x00\x01\x02\x03", 4})), at::tensor({66051}, at::kInt)));
  EXPECT_TRUE(at::equal(read(idx(13, {1}, {"\x3f\xc0\x00\x00", 4})), at::tensor({1.5f})));
  EXPECT_TRUE(at::equal(read(idx(14, {1}, {"\xc0\x04\x00\x00\x00\x00\x00\x00", 8})), at::tensor({-2.5}, at::kDouble)));
}

TEST_F(IdxTest, ReadsAsManyDimensionsAsThereMayBe) {
  EXPECT_EQ(read_idx(write("idx", idx(8, std::vector<uint32_t>(64, 1), "x"))).dim(), 64);
}

TEST_F(IdxTest, ReadsGzip) {
  const at::Tensor read = read_idx(write("idx.gz", gzip(idx(11, {2}, {"\x01\x02\xff\xff", 4}))));
  EXPECT_TRUE(at::equal(read, at::tensor({258, -1}, at::kShort)));
}

TEST_F(IdxTest, RefusesLies) {
  expect_refused(path("lie"),
                 {
                     {"", "byte 0: not an IDX file"},
                     {"", "got 0 other bytes"},
                     {std::string("\0\0\x08", 3), "got 3 other bytes"},
                     {std::string("\1\0\x08\1x", 5), "got 4 other bytes"},
                     {std::string("\0\1\x08\1x", 5), "got 4 other bytes"},
                     {"\x1f\x8b\x08\x08 gz", "damaged gzip"},
                     {gzip("text"), "not an IDX file"},
                     {gzip(idx(8, {3}, "xx")), "expected 3 bytes; got 2"},
                     {idx(10, {1}, "x"), "byte 2: unknown type"},
                     {idx(8, {}, ""), "byte 3: wrong number of dimensions"},
                     {idx(8, std::vector<uint32_t>(65, 1), "x"), "expected 1 to 64; got 65"},
                     {std::string("\0\0\x08\xff", 4), "wrong number of dimensions"},
                     {std::string("\0\0\x08\x03\0\0\0\x01", 8), "byte 4: the file ends in its sizes"},
                     {idx(8, {0}, ""), "byte 4: an empty dimension"},
                     {idx(8, {2, 1, 0}, "x"), "byte 12: an empty dimension"},
                     {idx(8, {3}, ""), "byte 8: data does not fill shape [3]; expected 3 bytes; got 0"},
                     {idx(8, {0xffffffff}, "x"), "data does not fill shape [4294967295]"},
                     {idx(14, {0xffffffff, 0xffffffff, 0xffffffff}, "x"), "byte 4: sizes overflow"},
                     {idx(8, {3}, "xx"), "expected 3 bytes; got 2"},
                     {idx(8, {3}, "xxxx"), "expected 3 bytes; got 4"},
                 },
                 [](const std::string& file) { read_idx(file); });
}

TEST_F(IdxTest, SurvivesMutations) {
  expect_no_crash(path("m"), idx(11, {2, 3}, "abcdefghijkl"), 300, [](const std::string& file) { read_idx(file); });
  expect_no_crash(path("z"), gzip(idx(8, {2, 3}, "abcdef")), 300, [](const std::string& file) { read_idx(file); });
}

}  // namespace
}  // namespace gradus
