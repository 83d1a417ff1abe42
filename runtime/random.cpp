#include "random.h"

#include <cmath>
#include <numbers>

#include "ops/vectors/vectors.h"

namespace gradus {

namespace {

uint64_t join(uint32_t low, uint32_t high) { return low | static_cast<uint64_t>(high) << 32; }

double to_unit(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

}  // namespace

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> c, std::array<uint32_t, 2> k) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * c[0], b = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ k[0], static_cast<uint32_t>(b),
         static_cast<uint32_t>(a >> 32) ^ c[3] ^ k[1], static_cast<uint32_t>(a)};
    k = {k[0] + 0x9E3779B9, k[1] + 0xBB67AE85};
  }
  return c;
}

uint64_t derive_seed(uint64_t run_seed, std::string_view stream, uint64_t sub) {
  uint64_t h = splitmix64(run_seed);
  h = splitmix64(h ^ stream.size());
  for (size_t i = 0; i < stream.size(); i += 8) {
    uint64_t word = 0;
    for (size_t j = 0; j < 8 && i + j < stream.size(); ++j)
      word |= uint64_t{static_cast<unsigned char>(stream[i + j])} << 8 * j;
    h = splitmix64(h ^ word);
  }
  return splitmix64(h ^ sub) >> 11;
}

double RowRandom::uniform(uint32_t lane) const {
  const auto b = bits(lane);
  return to_unit(join(b[0], b[1]));
}

double RowRandom::normal(uint32_t lane) const {
  const auto b = bits(lane);
  const double radius =
      std::sqrt(-2 * std::log1p(-to_unit(join(b[0], b[1]))));  // log1p(-u): u = 0 gives 0, not infinity
  return radius * std::cos(2 * std::numbers::pi * to_unit(join(b[2], b[3])));
}

void RowRandom::normals(uint32_t lane, int64_t count, float* z) const {
  const uint32_t counter[] = {visit_, low_, high_};
  vectors::random().normals(count, lane, counter, key_.data(), z);
}

uint64_t Random::next() {
  const uint64_t block = position_ / 2;
  const auto b = philox({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), 0, 0},
                        {static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32)});
  const uint64_t i = 2 * (position_++ % 2);
  return join(b[i], b[i + 1]);
}

uint64_t Random::below(uint64_t n) {
  // Lemire, "Fast random integer generation in an interval", 2019.
  const uint64_t threshold = -n % n;
  while (true) {
    const auto product = static_cast<unsigned __int128>(next()) * n;
    if (static_cast<uint64_t>(product) >= threshold) return static_cast<uint64_t>(product >> 64);
  }
}

double Random::uniform() { return to_unit(next()); }

}  // namespace gradus
