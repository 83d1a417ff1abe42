// Pickles are programs: whatever a file is called and whoever reads it, one is refused, with the way to plain numbers.
#include "data/tokenizer.h"
#include "file_case.h"
#include "files/csv.h"
#include "files/file.h"
#include "files/idx.h"
#include "files/npy.h"
#include "files/safetensors.h"

namespace gradus {
namespace {

std::string zip_of(const std::string& name) {
  std::string header("PK\x03\x04", 4);
  header += std::string(22, '\0');
  header += static_cast<char>(name.size());
  header += std::string("\0\0\0", 3) + name + "data";
  return header + std::string(64, 'x');
}

struct PickleTest : FileCase {
  const std::string pickle = "\x80\x04\x95\x0b" + std::string(7, '\0') + "}\x94\x8c\x01" + "a\x94K\x01s.";
  const std::string legacy =
      std::string("\x80\x02\x8a\x0a", 4) + "l\xfc\x9c" + "F\xf9 j\xa8P\x19." + std::string(40, 'x');
  const std::string tar = std::string(257, 'a') + "ustar" + std::string(300, 'b');

  template <class Read>
  void check(const char* name, Read read) {
    SCOPED_TRACE(name);
    expect_refused(path(name),
                   {{pickle, "a pickle: code, never read"},
                    {legacy, "a pickle: code, never read"},
                    {tar, "an old PyTorch file"},
                    {zip_of("archive/data.pkl"), "a PyTorch file"}},
                   read);
    expect_refused(path(name), {{pickle, "torch.load("}, {zip_of("archive/data.pkl"), "save_file("}}, read);
    expect_refused(path(name), {{zip_of("x.npy"), "one array in an NPY file (python3 -c"}}, read);
  }
};

TEST_F(PickleTest, IsRefusedByEveryReader) {
  check("x.pt", [](const std::string& path) { read_safetensors(path); });
  check("x.safetensors", [](const std::string& path) { map_safetensors(path); });
  check("x.npy", [](const std::string& path) { read_npy(path); });
  check("x.idx", [](const std::string& path) { read_idx(path); });
  check("x.csv", [](const std::string& path) { read_csv(path); });
  check("x.model", [](const std::string& path) { Tokenizer::load(path); });
}

TEST_F(PickleTest, OfObjectsInAnArraySaysHowToMakeNumbersOfThem) {
  const std::string header = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n";
  const std::string bytes =
      std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header + pickle;
  expect_refused(path("o.npy"),
                 {{bytes, "Python objects: pickled code, never read"}, {bytes, "allow_pickle=True).astype('f4')"}},
                 [](const std::string& path) { read_npy(path); });
}

TEST_F(PickleTest, IsNotSeenInAHeaderOf640Bytes) {
  write_safetensors(path("w"), {{"a", at::ones({2})}}, {{"k", std::string(640, 'v')}});
  std::string bytes = bytes_of(path("w"));
  const std::size_t more = 0x480 - (bytes.size() - 8 - 8);  // a length that begins with the bytes 80 04
  write_safetensors(path("w"), {{"a", at::ones({2})}}, {{"k", std::string(640 + more, 'v')}});
  bytes = bytes_of(path("w"));
  ASSERT_EQ(bytes.substr(0, 2), "\x80\x04");
  EXPECT_EQ(read_safetensors(path("w")).tensors.size(), 1u);
}

}  // namespace
}  // namespace gradus
