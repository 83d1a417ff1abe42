// What a safetensors file begins with: the length of the header, and the header, JSON that says which tensors lie
// where. Read without trusting it, and written.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "file.h"
#include "torch.h"

namespace gradus::safetensors {

// `type` as the file has it; `result`: what it is read as.
struct Type {
  const char* name;
  at::ScalarType type, result;
};
inline constexpr const char* kTypeNames = "F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL";  // those that are written

struct Placed {
  std::string name, type_name;
  const Type* type;  // null: one that cannot be read
  std::vector<int64_t> shape;
  int64_t begin, end;
};
struct Contents {
  int64_t base;                 // where the data begins
  std::vector<Placed> tensors;  // in the order of their data, which they fill
  std::map<std::string, std::string> metadata;
};
Contents read_contents(const File& file);  // Error (data): a header that lies

struct Item {  // a tensor to be written
  std::string name;
  const char* type;
  at::ScalarType scalar;
  std::vector<int64_t> shape;
  int64_t bytes, begin = 0;
};
// Error (data): what cannot be saved. path: for the error.
Item make_item(const std::string& path, const std::string& name, at::ScalarType scalar, std::vector<int64_t> shape);
// Length and header, as the file begins with them; orders the items by size and gives them their places.
std::string header_of(const std::string& path, std::vector<Item>& items,
                      const std::map<std::string, std::string>& metadata);

}  // namespace gradus::safetensors
