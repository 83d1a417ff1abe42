// The entry that libFuzzer calls: of a program that holds one target.
#include <cstddef>
#include <cstdint>

#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  gradus::fuzz::targets().front().run({reinterpret_cast<const char*>(data), size});
  return 0;
}
