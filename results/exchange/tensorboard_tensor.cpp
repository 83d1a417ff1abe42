#include "tensorboard_tensor.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "protobuf.h"

namespace gradus::results {

using namespace protobuf;

namespace {

using Tensor = TensorboardTensor;

// TensorProto's data types that are real numbers.
enum Type {
  kFloat = 1,
  kDouble,
  kInt32,
  kUint8,
  kInt16,
  kInt8,
  kInt64 = 9,
  kBool,
  kBfloat16 = 14,
  kUint16 = 17,
  kHalf = 19,
  kUint32 = 22,
  kUint64
};

double half(std::uint32_t bits) {
  const int exponent = static_cast<int>(bits >> 10 & 31);
  const double fraction = bits & 1023;
  const double size = exponent == 0    ? std::ldexp(fraction, -24)
                      : exponent == 31 ? (fraction == 0 ? HUGE_VAL : std::nan(""))
                                       : std::ldexp(1024 + fraction, exponent - 25);
  return (bits & 0x8000) != 0 ? -size : size;
}

double bfloat16(std::uint32_t bits) { return std::bit_cast<float>((bits & 0xffff) << 16); }

void take(Tensor& tensor, double value) {
  if (!tensor.has) tensor.value = value;
  tensor.has = true;
}

// A varint of the tensor's type: half_val and its like hold bits.
double whole(const Tensor& tensor, std::uint64_t value) {
  if (tensor.type == kHalf) return half(static_cast<std::uint32_t>(value));
  if (tensor.type == kBfloat16) return bfloat16(static_cast<std::uint32_t>(value));
  if (tensor.type == kUint64) return static_cast<double>(value);
  return static_cast<double>(static_cast<std::int64_t>(value));
}

void packed(Tensor& tensor, const Field& f) {
  const bool alone = f.wire != 2;
  const std::string_view bytes = f.bytes;
  if (f.number == 5 && alone) return take(tensor, real32(f));
  if (f.number == 6 && alone) return take(tensor, real64(f));
  if (f.number == 5 && bytes.size() >= 4) {
    float value;
    std::memcpy(&value, bytes.data(), 4);
    return take(tensor, value);
  }
  if (f.number == 6 && bytes.size() >= 8) {
    double value;
    std::memcpy(&value, bytes.data(), 8);
    return take(tensor, value);
  }
  if (alone) return take(tensor, whole(tensor, f.bits));
  std::uint64_t value = 0;  // the first of packed varints
  for (std::size_t i = 0; i < bytes.size() && i < 10; ++i) {
    if (i < 9 || static_cast<unsigned char>(bytes[i]) < 2)
      value |= std::uint64_t{static_cast<unsigned char>(bytes[i]) & 127U} << (7 * i);
    if (static_cast<unsigned char>(bytes[i]) < 128) break;
  }
  take(tensor, whole(tensor, value));
}

template <class T>
double first_of(std::string_view bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return static_cast<double>(value);
}

// The number that tensor_content begins with, and its size in bytes; size 0: a type that is no real number.
double first_of_type(const Tensor& tensor, std::size_t& size) {
  const auto as = [&]<class T>(T, auto convert) {
    size = sizeof(T);
    return tensor.content.size() < sizeof(T) ? 0.0 : convert(first_of<T>(tensor.content));
  };
  const auto plain = [](double value) { return value; };
  const auto bits = [](auto convert) {
    return [=](double value) { return convert(static_cast<std::uint32_t>(value)); };
  };
  switch (tensor.type) {
    case kFloat:
      return as(float(), plain);
    case kDouble:
      return as(double(), plain);
    case kInt32:
      return as(std::int32_t(), plain);
    case kUint8:
    case kBool:
      return as(std::uint8_t(), plain);
    case kInt16:
      return as(std::int16_t(), plain);
    case kInt8:
      return as(std::int8_t(), plain);
    case kInt64:
      return as(std::int64_t(), plain);
    case kUint16:
      return as(std::uint16_t(), plain);
    case kUint32:
      return as(std::uint32_t(), plain);
    case kUint64:
      return as(std::uint64_t(), plain);
    case kHalf:
      return as(std::uint16_t(), bits(half));
    case kBfloat16:
      return as(std::uint16_t(), bits(bfloat16));
    default:
      size = 0;
      return 0;
  }
}

}  // namespace

TensorboardTensor tensor_of(std::string_view message) {
  TensorboardTensor tensor;
  each_field(message, [&](const Field& f) {
    if (f.number == 1) tensor.type = static_cast<int>(f.bits);
    if (f.number == 2) {
      each_field(f.bytes, [&](const Field& dim) {
        if (dim.number != 2) return;
        std::uint64_t size = 0;
        each_field(dim.bytes, [&](const Field& d) { size = d.number == 1 ? d.bits : size; });
        tensor.scalar = tensor.scalar && size == 1;
      });
    }
    if (f.number == 4) tensor.content = f.bytes;
    // float, double, int, int64, bool, half, uint32 and uint64: the type, which they need, is the first field.
    const bool values = f.number == 5 || f.number == 6 || f.number == 7 || f.number == 10 || f.number == 11 ||
                        f.number == 13 || f.number == 16 || f.number == 17;
    if (values) packed(tensor, f);
  });
  std::size_t size = 0;
  const double value = first_of_type(tensor, size);
  if (size > 0 && tensor.content.size() == size) take(tensor, value);
  tensor.scalar = tensor.scalar && size > 0;
  if (tensor.scalar) take(tensor, 0);  // protobuf leaves out zeros
  return tensor;
}

}  // namespace gradus::results
