// Standard normal numbers of a row (vectors.h). Compiled without contraction: the same bits at every width of the
// vectors.
#include <algorithm>
#include <cmath>

#include "math.h"

namespace gradus::vectors::GRADUS_ISA {
namespace {

struct Words {
  uint32_t at[4][kLanes];  // four words for each counter
};

// random.h's philox of kLanes counters in a row.
GRADUS_INLINE void philox(uint32_t first, const uint32_t* counter, const uint32_t* key, Words& c) {
  for (int64_t l = 0; l < kLanes; ++l) {
    c.at[0][l] = first + static_cast<uint32_t>(l);
    for (int i = 1; i < 4; ++i) c.at[i][l] = counter[i - 1];
  }
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; ++round) {
    for (int64_t l = 0; l < kLanes; ++l) {
      const uint64_t a = uint64_t{0xD2511F53} * c.at[0][l], b = uint64_t{0xCD9E8D57} * c.at[2][l];
      c.at[0][l] = static_cast<uint32_t>(b >> 32) ^ c.at[1][l] ^ k0;
      c.at[2][l] = static_cast<uint32_t>(a >> 32) ^ c.at[3][l] ^ k1;
      c.at[1][l] = static_cast<uint32_t>(b);
      c.at[3][l] = static_cast<uint32_t>(a);
    }
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
}

// Box–Muller of two words each. The radius takes all 32 bits, because the tails need them; ½ keeps the logarithm
// finite, and the float may round up to exactly 1 (radius 0). The angle is t / 2²⁴ of a turn: its quarter is exact, the
// rest at most an eighth of a turn. Cephes' sinf and cosf.
GRADUS_INLINE void pair(const uint32_t* words, const uint32_t* turns, V& first, V& second) {
  V u, rest;
  Integers quarter;
  for (int64_t l = 0; l < kLanes; ++l) {
    u[l] = (static_cast<float>(words[l]) + 0.5f) * 0x1p-32f;
    const int32_t t = static_cast<int32_t>(turns[l] >> 8);
    quarter[l] = (t + (1 << 21)) >> 22;
    rest[l] = static_cast<float>(t - (quarter[l] << 22));
  }
  V radius = -2.f * log_of(u);
  for (int64_t l = 0; l < kLanes; ++l) radius[l] = std::sqrt(radius[l]);
  const V x = rest * 3.7450703e-7f, z = x * x;  // 2π / 2²⁴
  const V sine = ((z * -1.9515295891e-4f + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * x + x;
  const V cosine =
      ((z * 2.443315711809948e-5f - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * (z * z) - z * 0.5f + 1.f;
  const auto odd = (quarter & 1) != 0;
  const V cosine_signed = ((quarter + 1) & 2) != 0 ? -radius : radius,
          sine_signed = (quarter & 2) != 0 ? -radius : radius;
  first = (odd ? sine : cosine) * cosine_signed;
  second = (odd ? cosine : sine) * sine_signed;
}

// Groups of `size` lanes of two vectors in turns, from the vectors' beginning or their middle on.
template <int size, bool middle>
struct Turns {
  static constexpr int lane(int i) {
    return (middle ? kLanes / 2 : 0) + i / (2 * size) * size + i % size + (i / size % 2 ? kLanes : 0);
  }
};

// Four numbers of each lane side by side.
GRADUS_INLINE void interleave(const V z[4], float* out) {
  const V low = shuffle<Turns<1, false>>(z[0], z[1]), high = shuffle<Turns<1, true>>(z[0], z[1]);
  const V low_rest = shuffle<Turns<1, false>>(z[2], z[3]), high_rest = shuffle<Turns<1, true>>(z[2], z[3]);
  store(out, shuffle<Turns<2, false>>(low, low_rest));
  store(out + kLanes, shuffle<Turns<2, true>>(low, low_rest));
  store(out + 2 * kLanes, shuffle<Turns<2, false>>(high, high_rest));
  store(out + 3 * kLanes, shuffle<Turns<2, true>>(high, high_rest));
}

void normals(int64_t count, uint32_t first, const uint32_t* counter, const uint32_t* key, float* out) {
  for (int64_t done = 0; done < count; done += 4 * kLanes, first += kLanes) {
    Words words;
    philox(first, counter, key, words);
    V z[4];
    for (int i = 0; i < 4; i += 2) pair(words.at[i], words.at[i + 1], z[i], z[i + 1]);
    float found[4 * kLanes];
    interleave(z, found);
    std::memcpy(out + done, found, sizeof(float) * static_cast<size_t>(std::min<int64_t>(4 * kLanes, count - done)));
  }
}

}  // namespace

extern const RandomKernels random;
const RandomKernels random = {normals};

}  // namespace gradus::vectors::GRADUS_ISA
