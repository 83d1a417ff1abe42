#include "files/npy.h"

#include <nlohmann/json.hpp>

#include "file_case.h"
#include "refusal.h"

namespace gradus {
namespace {

using nlohmann::json;

const std::string kFormats = std::string(TESTS_DIR) + "/runtime/reference/formats/";

struct NpyTest : FileCase {};

std::string magic(int major = 1, int minor = 0) {
  return "\x93NUMPY" + std::string{static_cast<char>(major), static_cast<char>(minor)};
}
std::string npy(const std::string& header, int64_t data = 0) {
  return magic() + std::string{static_cast<char>(header.size() % 256), static_cast<char>(header.size() / 256)} +
         header + std::string(data, '\0');
}
std::string header(const std::string& descr, const std::string& shape) {
  return "{'descr': " + descr + ", 'fortran_order': False, 'shape': " + shape + ", }\n";
}

TEST_F(NpyTest, ReadsWhatNumPyWrote) {
  const json expected = json::parse(bytes_of(kFormats + "expected.json"));
  int files = 0;
  for (const auto& [name, e] : expected.items()) {
    if (!name.ends_with(".npy")) continue;
    ++files;
    const at::Tensor tensor = read_npy(kFormats + name);
    EXPECT_EQ(tensor.sizes().vec(), e.at("shape").get<std::vector<int64_t>>()) << name;
    EXPECT_EQ(at::toString(tensor.scalar_type()), e.at("dtype").get<std::string>()) << name;
    EXPECT_TRUE(tensor.is_contiguous()) << name;
    const at::Tensor flat = tensor.to(at::kDouble).flatten();
    EXPECT_EQ(std::vector<double>(flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()),
              e.at("values").get<std::vector<double>>())
        << name;
  }
  EXPECT_EQ(files, 24);
}

TEST_F(NpyTest, ReadsPython2AndOtherSpacing) {
  EXPECT_EQ(read_npy(write("long", npy(header("'<f4'", "(3L, 2L)"), 24))).sizes().vec(), (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(read_npy(write("tight", npy("{\"shape\":(2,),\"descr\":\"=f4\",\"fortran_order\":True}", 8))).numel(), 2);
}

TEST_F(NpyTest, LimitsAreMetExactly) {
  const auto padded = [](std::size_t length) {  // by what no reader looks at
    const std::string text = header("'<f4'", "(2,)");
    return text + std::string(length - text.size(), ' ');
  };
  for (const std::size_t length : {300, 10'000})
    EXPECT_EQ(read_npy(write("padded", npy(padded(length), 8))).numel(), 2) << length;
  std::string dims = "(0";
  for (int i = 0; i < 63; ++i) dims += ",1";
  EXPECT_EQ(read_npy(write("rank", npy(header("'<f4'", dims + ")")))).dim(), 64);
  EXPECT_EQ(read_npy(write("none", npy(header("'<u8'", "(0,)")))).numel(), 0);
  EXPECT_EQ(read_npy(write("zero", npy(header("'<u8'", "(1,)"), 8))).item<int64_t>(), 0);
  EXPECT_EQ(
      read_npy(write("spaces", npy(" { 'descr' : '<f4' , 'fortran_order' : True , 'shape' : ( 2 , ) } ", 8))).numel(),
      2);
}

TEST_F(NpyTest, SaysWhereAHeaderEndsOrIsWrong) {
  const std::string begin = "{'descr': '<f4', 'fortran_order': ", long_word(50, 'x');
  const std::string refused = ": byte 10: header refused at its byte ";
  const std::pair<std::string, std::string> cases[] = {
      {"", refused + "0; expected '{'; got its end"},
      {"{", refused + "1; expected a quoted text; got its end"},
      {"{5", refused + "1; expected a quoted text; got '5'"},
      {"{'descr'", refused + "8; expected ':'; got its end"},
      {"{'descr':", refused + "9; expected a quoted text; got its end"},
      {"{'descr': '", refused + "10; expected a closing quote; got its end"},
      {begin, refused + "34; expected True or False; got ''"},
      {begin + long_word, refused + "34; expected True or False; got '" + long_word.substr(0, 10) + "'"},
      {begin + "True, 'shape': ", refused + "49; expected '('; got its end"},
      {begin + "True, 'shape': (", refused + "50; expected a size from 0 to 2^63 - 1; got ''"},
      {begin + "True, 'shape': (" + long_word,
       refused + "50; expected a size from 0 to 2^63 - 1; got '" + long_word.substr(0, 24) + "'"},
      {begin + "True, 'shape': ()} " + long_word,
       refused + "53; expected the end of the header; got '" + long_word.substr(0, 20) + "'"},
      {header("'<" + long_word + "'", "()"),
       ": dtype cannot be read; expected b1, i1 i2 i4 i8, u1 u2 u4 u8, f2 f4 f8; got '<" + long_word.substr(0, 39) +
           "'"},
  };
  for (const auto& [text, says] : cases)
    EXPECT_EQ(refusal([&, bytes = npy(text)] { read_npy(write("bad", bytes)); }), path("bad") + says) << text;
}

TEST_F(NpyTest, RefusesLies) {
  std::string dims = "(0";
  for (int i = 0; i < 64; ++i) dims += ",0";
  expect_refused(path("lie"),
                 {
                     {"", "not an NPY file"},
                     {"\x93NUMPX\x01\x00\x10\x00", "not an NPY file"},
                     {"PK\x03\x04rest of a zip", "another archive: code, never read"},
                     {"\x1f\x8b\x08 rest of a gzip", "gzip-compressed"},
                     {magic(9, 9) + std::string(10, ' '), "unknown version; expected 1.0, 2.0 or 3.0; got 9.9"},
                     {magic(1, 1) + std::string(10, ' '), "byte 6: unknown version"},
                     {magic(0) + std::string(10, ' '), "got 0.0"},
                     {magic(4) + std::string(10, ' '), "got 4.0"},
                     {magic() + std::string(2, '\0'), "expected '{'; got its end"},
                     {magic(2) + std::string(4, '\0'), "expected '{'; got its end"},
                     {magic(2) + std::string("\xf0\xff\xff\xff"), "byte 8: header too long"},
                     {magic(2) + std::string("\0\0\1\0", 4), "at most 10000 bytes; got 65536"},
                     {magic(2) + std::string("\0\0\0\1", 4), "at most 10000 bytes; got 16777216"},
                     {magic(2) + std::string("\x10\x00", 2), "ends in its header's length"},
                     {magic() + std::string("\xff\x00", 2) + "{}", "header longer than the file"},
                     {npy(std::string(10'001, ' ')), "at most 10000"},
                     {npy("[1, 2]"), "header refused"},
                     {npy("'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 8), "header refused at its byte 0"},
                     {npy("{}"), "fewer"},
                     {npy("{'descr': '<f4', 'fortran_order': False}"), "fewer"},
                     {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (), 'color': 1}"), "'color'"},
                     {npy("{'descr': '<f4', 'descr': '<f4'}"), "once each"},
                     {npy(header("'<f4'", std::string(5000, '(') + std::string(4000, ')'))), "header refused"},
                     {npy(header("'<f4'", "()") + "x", 4), "the end of the header"},
                     {npy("{'descr': '<f4"), "a closing quote"},
                     {npy("{'descr': '<f4', 'fortran_order': 1, 'shape': ()}", 4), "True or False"},
                     {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2"), "its end"},
                     {npy(header("'<ixy'", "(2,)"), 8), "'<ixy'"},
                     {npy(header("''", "(2,)"), 8), "dtype cannot be read"},
                     {npy(header("'f4'", "(2,)"), 8), "dtype cannot be read"},
                     {npy(header("'|O'", "(2,)"), 8), "Python objects"},
                     {npy(header("'<U1000000000'", "(2,)"), 8), "texts"},
                     {npy(header("'<c8'", "(2,)"), 16), "complex"},
                     {npy(header("'<M8[ns]'", "(2,)"), 16), "dates"},
                     {npy(header("'|V8'", "(2,)"), 16), "records"},
                     {npy(header("'<f99999999999999999999'", "(2,)"), 8), "dtype cannot be read"},
                     {npy(header("[('a', '<f4')]", "(2,)"), 8), "records (a structured dtype)"},
                     {npy(header("'<f4'", "(-1,)"), 8), "a size from 0"},
                     {npy(header("'<f4'", "(9223372036854775808,)"), 8), "a size from 0"},
                     {npy(header("'<f4'", "(2.0,)"), 8), "header refused"},
                     {npy(header("'<f4'", "(4294967296, 4294967296)"), 0), "shape overflows"},
                     {npy(header("'<f4'", "(4611686018427387904, 4, 0)"), 0), "shape overflows"},
                     {npy(header("'<f4'", "(0, 4611686018427387904, 4)"), 0), "shape overflows"},
                     {npy(header("'<f4'", dims + ")"), 0), "at most 64 dimensions"},
                     {npy(header("'<f4'", "(3,)"), 8), "data does not fill shape [3]; expected 12 bytes; got 8"},
                     {npy(header("'<f4'", "(2,)"), 9), "expected 8 bytes; got 9"},
                     {npy(header("'|b1'", "(1,)")) + "\x07", "not a boolean"},
                     {npy(header("'<u8'", "(1,)")) + std::string(8, '\xff'), "does not fit"},
                 },
                 [](const std::string& file) { read_npy(file); });
}

TEST_F(NpyTest, SurvivesMutations) {
  expect_no_crash(path("m"), bytes_of(kFormats + "fortran_big.npy"), 800,
                  [](const std::string& file) { read_npy(file); });
}

}  // namespace
}  // namespace gradus
