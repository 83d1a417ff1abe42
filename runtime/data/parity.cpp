#include "parity.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "error.h"
#include "random.h"

namespace gradus {
namespace {

// The eight signs of a byte: one load and one store of 32 bytes instead of eight selections.
struct SignTable {
  alignas(32) float signs[256][8];
  constexpr SignTable() : signs() {
    for (int byte = 0; byte < 256; ++byte)
      for (int bit = 0; bit < 8; ++bit) signs[byte][bit] = byte >> bit & 1 ? -1.0f : 1.0f;
  }
};
constexpr SignTable kTable;

// Writes `count` ≤ 64 signs. Eight at a time, also beyond `count` where the buffer goes on: the next row overwrites
// them.
void expand(uint64_t bits, int64_t count, float* out, const float* end) {
  for (; count > 0 && end - out >= 8; count -= 8, bits >>= 8, out += 8)
    std::memcpy(out, kTable.signs[bits & 255], 8 * sizeof(float));
  for (; count > 0; --count, bits >>= 1) *out++ = bits & 1 ? -1.0f : 1.0f;
}

// The lowest `count` ≥ 0 bits.
uint64_t lowest(uint64_t bits, int64_t count) {
  return count >= 64 ? bits : bits & ((uint64_t{1} << std::max<int64_t>(count, 0)) - 1);
}

void check(const Parity& task, int64_t first, int64_t count) {
  const auto fail = [](const char* what, const std::string& expected, int64_t got) {
    throw Error(Exit::data, std::string("parity: ") + what + ": expected " + expected + "; got " + std::to_string(got));
  };
  if (task.d < 1 || task.d > 65536) fail("d", "1 to 65536 coordinates", task.d);
  if (task.k < 1 || task.k > task.d) fail("k", "a support of 1 to " + std::to_string(task.d) + " coordinates", task.k);
  if (first < 0) fail("first", "at least 0", first);
  if (count < 1) fail("size", "at least 1 sample", count);
}

}  // namespace

std::pair<at::Tensor, at::Tensor> parity(const Parity& task, int64_t first, int64_t count) {
  check(task, first, count);
  at::Tensor x = at::empty({count, task.d}, at::kFloat), y = at::empty({count}, at::kLong);
  float* row = x.mutable_data_ptr<float>();
  int64_t* label = y.mutable_data_ptr<int64_t>();
  const float* end = row + x.numel();
  const uint64_t words = (task.d + 63) / 64, step = 0x9e3779b97f4a7c15;  // of SplitMix64's state
  uint64_t state = splitmix64(task.seed) + static_cast<uint64_t>(first) * words * step;
  for (int64_t i = 0; i < count; ++i, row += task.d) {
    int odd = 0;
    for (int64_t from = 0; from < task.d; from += 64, state += step) {
      const uint64_t bits = splitmix64(state);
      expand(bits, std::min<int64_t>(64, task.d - from), row + from, end);
      odd += std::popcount(lowest(bits, task.k - from));
    }
    label[i] = odd & 1;
  }
  return {std::move(x), std::move(y)};
}

}  // namespace gradus
