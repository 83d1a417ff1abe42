#include "files/safetensors.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "file_case.h"
#include "refusal.h"

namespace gradus {
namespace {

using nlohmann::json;

const std::string kFormats = std::string(TESTS_DIR) + "/runtime/reference/formats/";

struct SafeTensorsTest : FileCase {};

std::string little(uint64_t value) { return {reinterpret_cast<const char*>(&value), 8}; }
std::string with_header(const std::string& header, int64_t data = 0) {
  return little(header.size()) + header + std::string(data, '\0');
}
std::string one(const std::string& entry) { return R"({"a":)" + entry + "}"; }
std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

TEST_F(SafeTensorsTest, ReadsWhatTheReferenceLibraryWrote) {
  const SafeTensors read = read_safetensors(kFormats + "reference.safetensors");
  const json expected = json::parse(bytes_of(kFormats + "expected.json"));
  EXPECT_EQ(read.tensors.size(), 7u);
  EXPECT_EQ(read.metadata, (std::map<std::string, std::string>{{"made by", "safetensors ünïcode"}}));
  for (const auto& [name, tensor] : read.tensors) {
    const json& e = expected.at("reference.safetensors/" + name);
    EXPECT_EQ(tensor.sizes().vec(), e.at("shape").get<std::vector<int64_t>>()) << name;
    EXPECT_EQ(at::toString(tensor.scalar_type()), e.at("dtype").get<std::string>()) << name;
    const at::Tensor flat = tensor.to(at::kDouble).flatten();
    EXPECT_EQ(std::vector<double>(flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()),
              e.at("values").get<std::vector<double>>())
        << name;
  }
}

TEST_F(SafeTensorsTest, WritesTheReferenceLibrarysBytes) {
  const SafeTensors read = read_safetensors(kFormats + "reference.safetensors");
  write_safetensors(path("ours"), read.tensors, read.metadata);
  EXPECT_EQ(bytes_of(path("ours")), bytes_of(kFormats + "reference.safetensors"));
}

TEST_F(SafeTensorsTest, KeepsEveryTypeAndLayout) {
  std::map<std::string, at::Tensor> tensors;
  for (const auto type : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt, at::kShort, at::kChar,
                          at::kByte, at::kBool}) {
    tensors[at::toString(type)] = at::arange(12).reshape({3, 4}).t().to(type);
  }
  tensors["empty"] = at::empty({3, 0});
  tensors["with gradient"] = at::ones({2}).requires_grad_();
  write_safetensors(path("all"), tensors);
  const auto read = read_safetensors(path("all")).tensors;
  ASSERT_EQ(read.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    EXPECT_EQ(read.at(name).scalar_type(), tensor.scalar_type());
    EXPECT_TRUE(read.at(name).is_contiguous());
    EXPECT_TRUE(at::equal(read.at(name), tensor)) << name;
  }
}

TEST_F(SafeTensorsTest, ReadsNarrowAndUnsignedTypes) {
  const auto read = [&](const std::string& type, const std::string& bytes) {
    const std::string offsets = "[0," + std::to_string(bytes.size()) + "]";
    return read_safetensors(write("t", with_header(one(entry(type, "[1]", offsets))) + bytes)).tensors.at("a");
  };
  EXPECT_TRUE(at::equal(read("U16", "\xff\xff"), at::tensor({65535}, at::kInt)));
  EXPECT_TRUE(at::equal(read("U32", "\xff\xff\xff\xff"), at::tensor({4294967295}, at::kLong)));
  EXPECT_TRUE(at::equal(read("U64", std::string("\1\0\0\0\0\0\0\0", 8)), at::tensor({1}, at::kLong)));
  EXPECT_TRUE(at::equal(read("U64", std::string(8, '\0')), at::tensor({0}, at::kLong)));
  const std::string none = write("none", with_header(one(entry("U64", "[0]", "[0,0]"))));
  EXPECT_EQ(read_safetensors(none).tensors.at("a").numel(), 0);
  EXPECT_TRUE(at::equal(read("F8_E4M3", "\x38"), at::tensor({1.f})));
  EXPECT_TRUE(at::equal(read("F8_E5M2", "\xbc"), at::tensor({-1.f})));
}

TEST_F(SafeTensorsTest, ReadsWhatIsAskedForBesideTypesThatItDoesNotKnow) {
  const std::string file = write(
      "two",
      with_header(R"({"x":)" + entry("F32", "[2]", "[0,8]") + R"(,"odd":)" + entry("F4", "[9]", "[8,13]") + "}", 13));
  EXPECT_EQ(read_safetensors(file, false, {"x"}).tensors.size(), 1u);
  const auto refused = [&](const std::vector<std::string>& names) {
    return refusal([&] { read_safetensors(file, false, names); });
  };
  EXPECT_NE(refused({"odd"}).find("tensor 'odd': unknown dtype; expected one of F64"), std::string::npos);
  EXPECT_NE(refused({"x", "y"}).find("no such tensor; expected one of: odd, x; got 'y'"), std::string::npos);
  EXPECT_NE(refused({}).find("unknown dtype"), std::string::npos);
}

TEST_F(SafeTensorsTest, OfManyNamesTheFirstAreTold) {
  const std::string a(199, 'a'), b(199, 'b');
  write_safetensors(path("long"), {{a, at::ones({1})}, {b, at::ones({1})}, {"c", at::ones({1})}});
  EXPECT_EQ(refusal([&] { read_safetensors(path("long"), false, {"y"}); }),
            path("long") + ": no such tensor; expected one of: " + a + ", " + b + "; got 'y'");
}

TEST_F(SafeTensorsTest, AcceptsPaddingEmptyFilesAndScalars) {
  EXPECT_EQ(read_safetensors(write("none", with_header("{}   "))).tensors.size(), 0u);
  const auto scalar =
      read_safetensors(write("scalar", with_header(one(entry("F32", "[]", "[0,4]")), 4))).tensors.at("a");
  EXPECT_EQ(scalar.dim(), 0);
}

TEST_F(SafeTensorsTest, RefusesLies) {
  const std::string fine = entry("F32", "[2]", "[0,8]");
  const std::string deep = R"({"a":)" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  std::string many = R"({"__metadata__":{)";
  for (int i = 0; i < 70'000; ++i) many += (i ? ",\"" : "\"") + std::to_string(i) + "\":\"\"";
  std::string rank65 = "[1";
  for (int i = 0; i < 64; ++i) rank65 += ",1";
  expect_refused(
      path("lie"),
      {
          {"", "shorter than the 8-byte length"},
          {"1234567", "shorter than the 8-byte length"},
          {little(100), "header longer than the file"},
          {little(uint64_t{1} << 63) + "{}", "header too long"},
          {little(~uint64_t{0}) + "{}", "header too long"},
          {little(100'000'001) + "{}", "at most 100000000"},
          {little(100'000'000) + "{}", "header longer than the file; expected at most 2 bytes; got 100000000"},
          {with_header(""), "not a safetensors header"},
          {with_header(" {}"), "no safetensors file"},
          {with_header("[]"), "no safetensors file"},
          {with_header("{} x"), "not JSON"},
          {with_header("{\"a"), "not JSON"},
          {with_header("{\"\xff\":1}"), "not JSON"},
          {with_header(deep), "a list"},
          {with_header(R"({"a":{"dtype":{"x":1}}})"), "a nested object"},
          {with_header(R"({"a":)" + fine + R"(,"a":)" + fine + "}", 8), "tensor 'a' is named twice"},
          {with_header(R"({"__metadata__":{},"__metadata__":{}})"), "given twice"},
          {with_header(one(entry("F32", "[2]", "[4,12]")), 12), "a hole before its data"},
          {with_header(R"({"a":)" + fine + R"(,"b":)" + entry("F32", "[2]", "[12,20]") + "}", 20),
           "a hole before its data"},
          {with_header(R"({"a":)" + fine + R"(,"b":)" + entry("F32", "[2]", "[4,12]") + "}", 12), "data overlaps"},
          {with_header(one(entry("F32", "[2]", "[8,0]")), 8), "data_offsets lie"},
          {with_header(one(entry("F32", "[2]", "[-8,0]")), 8), "the negative number -8"},
          {with_header(one(entry("F32", "[2]", "[0,8.0]")), 8), "the number 8.0"},
          {with_header(one(entry("F32", "[2]", "[0]")), 8), "data_offsets lie"},
          {with_header(one(entry("F32", "[2]", "[0,8,9]")), 8), "too many numbers"},
          {with_header(one(fine), 9), "bytes after the last tensor; expected the end of the file; got 1 more"},
          {with_header(one(fine) + std::string(92 - one(fine).size(), ' '), 10), "byte 108: bytes after"},
          {with_header("{}", 3), "byte 10: bytes after the last tensor; expected the end of the file; got 3 more"},
          {with_header(one(fine), 7), "data_offsets lie"},
          {with_header(one(entry("F32", "[2]", "[0,18446744073709551615]")), 8), "data_offsets lie"},
          {with_header(one(entry("F32", "[4294967296,4294967296]", "[0,0]"))), "shape overflows"},
          {with_header(one(entry("F32", "[4611686018427387904,4,0]", "[0,0]"))), "shape overflows"},
          {with_header(one(entry("F32", "[0,4611686018427387904,4]", "[0,0]"))), "shape overflows"},
          {with_header(one(entry("F32", "[18446744073709551615]", "[0,8]")), 8), "shape overflows"},
          {with_header(one(entry("U8", "[9223372036854775807]", "[0,8]")), 8),
           "does not fill its data_offsets; expected 9223372036854775807 bytes; got 8"},
          {with_header(one(entry("F32", "[99999999999999999999]", "[0,8]")), 8), "the number 99999999999999999999"},
          {with_header(one(entry("F32", "[3]", "[0,8]")), 8), "shape [3] of F32 does not fill"},
          {with_header(one(entry("F32", "[0,2]", "[0,8]")), 8), "shape [0, 2] of F32 does not fill"},
          {with_header(one(entry("F32", rank65 + "]", "[0,4]")), 4), "too many numbers in 'shape'"},
          {with_header(one(entry("F8_E4M3", "[8]", "[0,9]")), 9), "shape [8] of F8_E4M3 does not fill"},
          {with_header(one(entry("C64", "[1]", "[0,8]")), 8), "BOOL (real numbers); got 'C64'"},
          {with_header(one(entry("U64", "[1]", "[0,8]"))) + std::string(8, '\xff'), "an unsigned number does not fit"},
          {with_header(one(entry("F4", "[8]", "[0,8]")), 8), "got 'F4'"},
          {with_header(one(R"({"dtype":"F32","shape":[2]})"), 8), "a field is missing"},
          {with_header(one(R"({"dtype":"F32","dtype":"F32"})"), 8), "has the field 'dtype' twice"},
          {with_header(one(R"({"dtype":"F32","color":1})"), 8), "unknown field 'color'"},
          {with_header(one("[1]"), 8), "instead of an object"},
          {with_header(one("null"), 8), "instead of an object"},
          {with_header(R"({"__metadata__":{"a":1}})"), "holds a number"},
          {with_header(R"({"__metadata__":{"a":[1]}})"), "field 'a' holds a list"},
          {with_header(R"({"__metadata__":[]})"), "entry '__metadata__' is a list instead of an object"},
          {with_header(R"({"a":{"dtype":["F32"]}})"), "entry 'a', field 'dtype' holds a list"},
          {with_header(R"({"a":{"dtype":true}})"), "entry 'a', field 'dtype' holds a boolean"},
          {with_header(R"({"__metadata__":{"a":"","a":""}})"), "the key 'a' twice"},
          {with_header(many + "}}"), "more than 65536 keys"},
          {with_header(one(entry("BOOL", "[2]", "[0,2]"))) + "\x01\x02", "not a boolean"},
      },
      [](const std::string& file) { read_safetensors(file); });
}

TEST_F(SafeTensorsTest, CountsWhatIsNotFinite) {
  write_safetensors(path("nan"), {{"a", at::full({3}, NAN)}, {"b", at::full({2}, INFINITY)}, {"c", at::ones({2})}});
  EXPECT_EQ(read_safetensors(path("nan")).non_finite, 5);
  try {
    read_safetensors(path("nan"), true);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("3 NaN or infinite"), std::string::npos) << error.what();
  }
}

TEST_F(SafeTensorsTest, WritesAtomically) {
  write_safetensors(path("w"), {{"a", at::ones({2})}});
  const std::string before = bytes_of(path("w"));
  EXPECT_THROW(write_safetensors(path("w"), {{"a", at::ones({2})}, {"b", at::ones({2}, at::kComplexFloat)}}), Error);
  EXPECT_THROW(write_safetensors(path("w"), {{"\xff", at::ones({2})}}), Error);
  EXPECT_THROW(write_safetensors(path("w"), {{"__metadata__", at::ones({2})}}), Error);
  EXPECT_EQ(bytes_of(path("w")), before);
  try {
    write_safetensors(path("no/such/folder"), {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code, Exit::io);
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);  // nothing temporary remains
}

TEST_F(SafeTensorsTest, NamesFilesThatCannotBeRead) {
  const auto code = [](const std::string& file) {
    try {
      read_safetensors(file);
    } catch (const Error& error) {
      return error.code;
    }
    return Exit::bug;
  };
  EXPECT_EQ(code(path("absent")), Exit::missing);
  EXPECT_EQ(code(folder_), Exit::io);
  EXPECT_EQ(code(""), Exit::data);
  EXPECT_EQ(code(std::string("a\0b", 3)), Exit::data);
}

TEST_F(SafeTensorsTest, IsFilledInPlaceAndMapped) {
  {
    auto made = create_safetensors(path("m"), {{"a", {at::kFloat, {3, 2}}}, {"n", {at::kInt, {3}}}}, {{"key", "k"}});
    EXPECT_TRUE(at::equal(made.at("a"), at::zeros({3, 2})));
    made.at("a").slice(0, 1, 3).fill_(7);
    made.at("n").fill_(5);
  }
  const SafeTensors read = read_safetensors(path("m"));  // an ordinary file
  EXPECT_EQ(read.metadata.at("key"), "k");
  EXPECT_TRUE(at::equal(read.tensors.at("a"), at::tensor({0., 0., 7., 7., 7., 7.}, at::kFloat).reshape({3, 2})));
  const std::string before = bytes_of(path("m"));
  SafeTensors mapped = map_safetensors(path("m"));
  EXPECT_EQ(mapped.metadata, read.metadata);
  for (const auto& [name, tensor] : read.tensors) EXPECT_TRUE(at::equal(mapped.tensors.at(name), tensor)) << name;
  mapped.tensors.at("n").fill_(0);  // stays here
  EXPECT_EQ(bytes_of(path("m")), before);
  const at::Tensor kept = mapped.tensors.at("a");
  mapped = {};
  EXPECT_EQ(kept[2][1].item<float>(), 7);  // a tensor keeps the mapping
}

TEST_F(SafeTensorsTest, MapsNumbersThatLieAtMultiplesOfTheirSize) {
  const auto bytes = [](std::size_t base) {  // of the data, in which the second tensor begins at byte 1
    std::string text = R"({"a":)" + entry("I8", "[1]", "[0,1]") + R"(,"b":)" + entry("F32", "[1]", "[1,5]") + "}";
    text.resize(base - 8, ' ');
    return with_header(text) + std::string("\x07\0\0\x80\x3f", 5);
  };
  const auto tensors = map_safetensors(write("fine", bytes(203))).tensors;
  EXPECT_EQ(tensors.at("a").item<int>(), 7);
  EXPECT_EQ(tensors.at("b").item<float>(), 1);
  for (const std::size_t base : {201, 202, 204})
    EXPECT_EQ(refusal([&] { map_safetensors(write("off", bytes(base))); }),
              path("off") +
                  ": tensor 'b': cannot be used where it lies; expected numbers at a multiple of their size; " +
                  "got byte " + std::to_string(base + 1));
}

TEST_F(SafeTensorsTest, AFileThatHasNoRoomIsNotLeftBehind) {
  const std::string said = refusal(
      [&] {
        create_safetensors(path("large"), {{"a", {at::kByte, {int64_t{1} << 60}}}});
      },
      Exit::io);
  EXPECT_NE(said.find("expected a writable place"), std::string::npos) << said;
  EXPECT_FALSE(std::filesystem::exists(path("large")));
}

TEST_F(SafeTensorsTest, MapsOnlyWhatItsHeaderDescribes) {
  create_safetensors(path("m"), {{"a", {at::kFloat, {30}}}});
  std::filesystem::resize_file(path("m"), std::filesystem::file_size(path("m")) - 1);
  EXPECT_THROW(map_safetensors(path("m")), Error);
  write_safetensors(path("b"), {{"b", at::ones({2}, at::kBool)}});
  EXPECT_THROW(map_safetensors(path("b")), Error);
  try {
    create_safetensors(path("no/such/folder"), {{"a", {at::kByte, {8}}}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code, Exit::io);
  }
}

TEST_F(SafeTensorsTest, SurvivesMutations) {
  expect_no_crash(path("m"), bytes_of(kFormats + "reference.safetensors"), 800,
                  [](const std::string& file) { read_safetensors(file); });
}

}  // namespace
}  // namespace gradus
