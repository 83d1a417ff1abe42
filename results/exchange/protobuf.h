// Protobuf's wire format, as far as TensorBoard's and Weights & Biases' files need it. Written by hand: the library
// would need the .proto files of both and a generator at build time, and is longer than this in use.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "error.h"

namespace gradus::results::protobuf {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// --- writing: a field by its number; a message's or a text's bytes are a field of bytes

inline std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 128; value >>= 7) bytes += static_cast<char>(value | 128);
  return bytes + static_cast<char>(value);
}
inline std::string tag(int field, int wire) {
  return varint(static_cast<std::uint64_t>(field) << 3 | static_cast<unsigned>(wire));
}
inline std::string put(int field, std::uint64_t value) { return tag(field, 0) + varint(value); }
inline std::string put(int field, double value) { return tag(field, 1) + raw(value); }
inline std::string put(int field, float value) { return tag(field, 5) + raw(value); }
inline std::string put(int field, const std::string& bytes) { return tag(field, 2) + varint(bytes.size()) + bytes; }

// --- reading

struct Field {
  int number = 0, wire = 0;
  std::uint64_t bits = 0;    // of wire types 0, 1 and 5
  std::string_view bytes{};  // of wire type 2
};

inline double real64(const Field& field) { return std::bit_cast<double>(field.bits); }
inline double real32(const Field& field) { return std::bit_cast<float>(static_cast<std::uint32_t>(field.bits)); }

// Calls `field` with each field of a message. Error (data): bytes that are no message.
template <class F>
void each_field(std::string_view message, F&& field) {
  std::size_t at = 0;
  const auto broken = [] { throw Error(Exit::data, "expected a protobuf message; got bytes that are none"); };
  const auto number = [&]() -> std::uint64_t {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 70 && at < message.size(); shift += 7) {
      const auto byte = static_cast<unsigned char>(message[at++]);
      if (shift < 64) value |= std::uint64_t{byte & 127U} << shift;
      if (byte < 128) return value;
    }
    broken();
    return 0;
  };
  while (at < message.size()) {
    const std::uint64_t head = number();
    Field f{.number = static_cast<int>(head >> 3 & 0x1fffffff), .wire = static_cast<int>(head & 7)};
    std::uint64_t size = 0;
    switch (f.wire) {
      case 0:
        f.bits = number();
        break;
      case 1:
        size = 8;
        break;
      case 2:
        size = number();
        break;
      case 5:
        size = 4;
        break;
      default:
        broken();
    }
    if (size > message.size() - at) broken();
    f.bytes = message.substr(at, size);
    if (f.wire == 1 || f.wire == 5) std::memcpy(&f.bits, f.bytes.data(), size);
    at += size;
    field(f);
  }
}

}  // namespace gradus::results::protobuf
