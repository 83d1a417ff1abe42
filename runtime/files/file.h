// Files: reading what others made without trusting it, and replacing a file so that a reader meets the old bytes or the
// new, never a mix.
//
// Foreign files are read by pread, not mmap: another process that truncates a mapped file kills the reader with SIGBUS.
// Errors: Exit::missing (no such file), Exit::io (the system refuses), Exit::data (the bytes lie).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "error.h"
#include "torch.h"

namespace gradus {

// "where: what; expected …; got …" with Exit::data.
Error data_error(const std::string& where, const std::string& what, const std::string& expected,
                 const std::string& got);

class File {
 public:
  explicit File(std::string path);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::string& path() const { return path_; }
  int64_t size() const { return size_; }                         // bytes, when it was opened
  void read(int64_t offset, void* target, int64_t bytes) const;  // all of them, or an Error
  std::string read(int64_t offset, int64_t bytes) const;         // the same, new
  std::string at(int64_t offset) const;                          // "path: byte N", the `where` of an error

 private:
  std::string path_;
  int fd_ = -1;
  int64_t size_ = 0;
};

// Written beside its target, synced, then renamed over it by commit(); without commit() nothing remains.
class FileReplacement {
 public:
  explicit FileReplacement(std::string path);
  ~FileReplacement();
  FileReplacement(const FileReplacement&) = delete;
  FileReplacement& operator=(const FileReplacement&) = delete;

  void write(const void* bytes, int64_t count);
  void commit();

 private:
  [[noreturn]] void fail(const char* doing) const;
  std::string path_, temporary_;
  int fd_ = -1;
};

// For a reader that met something else than its format: an Error (data) when that is a pickle, alone or in a zip or tar as PyTorch
// and NumPy keep them, with the command that makes a file of plain numbers of it. Pickles are programs and are never read.
void refuse_pickle(const File& file);

// What a gzip stream holds (several members in a row are one text); more than `limit` bytes is refused.
std::string gunzip(std::string_view packed, const std::string& where, int64_t limit = int64_t{8} << 30);
bool is_gzip(std::string_view bytes);

// Bytes of an array, or nothing when the product overflows. Zeros do not hide an overflow of the other sizes, because
// strides are computed from those.
std::optional<int64_t> byte_count(const std::vector<int64_t>& shape, int64_t item_size);

// A new CPU tensor from the file's bytes at `offset`. The caller has checked that they lie inside the file, which
// bounds the allocation. Booleans other than 0 and 1 are refused: reading one as bool is undefined behaviour.
at::Tensor read_tensor(const File& file, int64_t offset, const std::vector<int64_t>& shape, at::ScalarType type);

std::string show_shape(at::IntArrayRef shape);  // "[2, 3]"

}  // namespace gradus
