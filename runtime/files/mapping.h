// A mapped file as tensors, which keep the mapping alive. Only for files of this program's own, which nobody shortens
// (file.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "torch.h"

namespace gradus {

class Mapping {
 public:
  Mapping(const std::string& path, int open_flags, int map_flags);  // flags: open's and mmap's. Error (io)
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  int64_t bytes() const { return static_cast<int64_t>(bytes_); }
  // Of the bytes from `offset` on; the caller has checked that they lie inside.
  static at::Tensor tensor(const std::shared_ptr<Mapping>& mapping, int64_t offset, const std::vector<int64_t>& shape,
                           at::ScalarType type);

 private:
  char* data_ = nullptr;  // owned
  size_t bytes_ = 0;
};

}  // namespace gradus
