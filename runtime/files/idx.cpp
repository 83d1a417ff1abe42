#include "idx.h"

#include <algorithm>
#include <cstring>

#include "file.h"

namespace gradus {

namespace {

at::ScalarType type_of(const File& file, unsigned char code) {
  switch (code) {
    case 0x08:
      return at::kByte;
    case 0x09:
      return at::kChar;
    case 0x0B:
      return at::kShort;
    case 0x0C:
      return at::kInt;
    case 0x0D:
      return at::kFloat;
    case 0x0E:
      return at::kDouble;
    default:
      throw data_error(file.at(2), "unknown type", "8, 9, 11, 12, 13 or 14", std::to_string(code));
  }
}

}  // namespace

at::Tensor read_idx(const std::string& path) {
  const File file(path);
  std::string bytes = file.read(0, file.size());
  if (is_gzip(bytes)) bytes = gunzip(bytes, path);
  const auto size = static_cast<int64_t>(bytes.size());
  if (size < 4 || bytes[0] != 0 || bytes[1] != 0) {
    refuse_pickle(file);
    throw data_error(file.at(0), "not an IDX file", "two zero bytes, a type, a number of dimensions",
                     std::to_string(std::min<int64_t>(size, 4)) + " other bytes");
  }
  const at::ScalarType type = type_of(file, static_cast<unsigned char>(bytes[2]));
  const int64_t rank = static_cast<unsigned char>(bytes[3]), begin = 4 + 4 * rank;
  if (rank == 0 || rank > 64)
    throw data_error(file.at(3), "wrong number of dimensions", "1 to 64", std::to_string(rank));
  if (size < begin)
    throw data_error(file.at(4), "the file ends in its sizes", std::to_string(begin) + " bytes", std::to_string(size));
  std::vector<int64_t> shape(rank);
  for (int64_t i = 0; i < rank; ++i) {
    uint32_t length = 0;
    std::memcpy(&length, bytes.data() + 4 + 4 * i, 4);
    shape[i] = __builtin_bswap32(length);
    if (shape[i] == 0) throw data_error(file.at(4 + 4 * i), "an empty dimension", "a size above 0", "0");
  }
  const auto wanted = byte_count(shape, static_cast<int64_t>(at::elementSize(type)));
  if (!wanted) throw data_error(file.at(4), "sizes overflow", "a size that fits 63 bits", show_shape(shape));
  if (*wanted != size - begin) {
    throw data_error(file.at(begin), "data does not fill shape " + show_shape(shape),
                     std::to_string(*wanted) + " bytes", std::to_string(size - begin));
  }
  at::Tensor tensor = at::empty(shape, type);
  auto* data = static_cast<char*>(tensor.mutable_data_ptr());
  std::memcpy(data, bytes.data() + begin, *wanted);
  const int64_t width = tensor.element_size();
  for (int64_t i = 0; width > 1 && i < tensor.numel(); ++i) std::reverse(data + i * width, data + (i + 1) * width);
  return tensor;
}

}  // namespace gradus
