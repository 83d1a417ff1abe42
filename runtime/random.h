// Random numbers that do not depend on threads, order or platform: named seeds and a counter-based generator.
//
// Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011) turns a counter
// and a key into 128 random bits. A number that belongs to (seed, row, visit, lane) is computed from just these.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace gradus {

// The output function of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): a state to 64 well mixed bits.
inline uint64_t splitmix64(uint64_t h) {
  h += 0x9e3779b97f4a7c15;
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9;
  h = (h ^ (h >> 27)) * 0x94d049bb133111eb;
  return h ^ (h >> 31);
}

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// The seed of a named stream ("split", "init", "order", "augment", "dropout", "probe", …) of a run, and of its part
// `sub`. Below 2^53, so that it is the same number in Lua. Stable across platforms and versions: the 64-bit words
// run_seed, length of the name, the name's bytes (8 at a time, little-endian, padded with zeros), sub are absorbed one
// by one, h = splitmix64(h ^ word), from h = 0; the top 53 bits are the seed.
uint64_t derive_seed(uint64_t run_seed, std::string_view stream, uint64_t sub = 0);

// The random numbers of one row at one visit. `lane` tells the uses apart.
class RowRandom {
 public:
  RowRandom(uint64_t seed, int64_t index, int32_t visit)
      : key_{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
        visit_(static_cast<uint32_t>(visit)),
        low_(static_cast<uint32_t>(index)),
        high_(static_cast<uint32_t>(static_cast<uint64_t>(index) >> 32)) {}

  std::array<uint32_t, 4> bits(uint32_t lane) const { return philox({lane, visit_, low_, high_}, key_); }
  double uniform(uint32_t lane) const;  // [0, 1), 53 bits
  double normal(uint32_t lane) const;   // standard normal (Box–Muller)
  // z[count]: independent ones, in float32, four of each lane from this one on; the same bits on every machine.
  void normals(uint32_t lane, int64_t count, float* z) const;

 private:
  std::array<uint32_t, 2> key_;
  uint32_t visit_, low_, high_;
};

// Numbers in a row from one seed. Its whole state is the position.
class Random {
 public:
  explicit Random(uint64_t seed, uint64_t position = 0) : seed_(seed), position_(position) {}

  uint64_t next();             // 64 bits
  uint64_t below(uint64_t n);  // 0 … n - 1 without bias, n > 0; one or, rarely, more steps
  double uniform();            // [0, 1), 53 bits; one step
  uint64_t position() const { return position_; }

 private:
  uint64_t seed_, position_;
};

}  // namespace gradus
