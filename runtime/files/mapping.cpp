#include "mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "error.h"

namespace gradus {
namespace {

[[noreturn]] void fail(const std::string& path, int fd) {
  const std::string why = std::strerror(errno);
  if (fd >= 0) ::close(fd);
  throw Error(Exit::io, path + ": cannot map; expected a file that can be read and written; got: " + why);
}

}  // namespace

Mapping::Mapping(const std::string& path, int open_flags, int map_flags) {
  const int fd = ::open(path.c_str(), open_flags | O_CLOEXEC);
  struct stat info {};
  if (fd < 0 || ::fstat(fd, &info) != 0) fail(path, fd);
  bytes_ = static_cast<size_t>(info.st_size);
  data_ = static_cast<char*>(::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, map_flags, fd, 0));
  if (data_ == MAP_FAILED) fail(path, fd);
  ::close(fd);
}

Mapping::~Mapping() { ::munmap(data_, bytes_); }

at::Tensor Mapping::tensor(const std::shared_ptr<Mapping>& mapping, int64_t offset, const std::vector<int64_t>& shape,
                           at::ScalarType type) {
  return at::from_blob(
      mapping->data_ + offset, shape, [mapping](void*) {}, at::TensorOptions(type));
}

}  // namespace gradus
