#include "file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>

namespace gradus {

static_assert(std::endian::native == std::endian::little, "the formats here are little-endian and read in place");

Error data_error(const std::string& where, const std::string& what, const std::string& expected,
                 const std::string& got) {
  std::string text = where + ": " + what + "; expected " + expected + "; got " + got;
  // Names and values come from files: one that holds a line break or a terminal's escape must not leave its line.
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return Error(Exit::data, text);
}

namespace {

std::string reason() { return std::strerror(errno); }

void check_path(const std::string& path) {
  if (path.empty()) throw Error(Exit::data, "file: empty path; expected a file's name; got ''");
  if (path.find('\0') != std::string::npos) {
    throw Error(Exit::data, "file: path holds a zero byte; expected a file's name; got '" +
                                path.substr(0, path.find('\0')) + "\\0…'");
  }
}

}  // namespace

File::File(std::string path) : path_(std::move(path)) {
  check_path(path_);
  fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // not blocking: a FIFO must not hang us
  if (fd_ < 0) {
    const Exit code = errno == ENOENT || errno == ENOTDIR ? Exit::missing : Exit::io;
    throw Error(code, path_ + ": cannot open; expected a readable file; got: " + reason());
  }
  struct stat status {};
  if (::fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode)) {
    const std::string got = S_ISDIR(status.st_mode) ? "a directory" : "something else";
    ::close(fd_);
    throw Error(Exit::io, path_ + ": not a regular file; expected a file; got " + got);
  }
  size_ = status.st_size;
}

File::~File() { ::close(fd_); }

std::string File::at(int64_t offset) const { return path_ + ": byte " + std::to_string(offset); }

void File::read(int64_t offset, void* target, int64_t bytes) const {
  auto* to = static_cast<char*>(target);
  const int64_t begin = offset;
  while (bytes > 0) {
    const ssize_t n = ::pread(fd_, to, std::min<int64_t>(bytes, int64_t{1} << 30), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      throw Error(Exit::io,
                  at(offset) + ": cannot read; expected " + std::to_string(bytes) + " bytes; got: " + reason());
    if (n == 0) {
      throw data_error(at(begin), "the file ends early", std::to_string(offset - begin + bytes) + " bytes",
                       std::to_string(offset - begin));
    }
    to += n, offset += n, bytes -= n;
  }
}

std::string File::read(int64_t offset, int64_t bytes) const {
  std::string text(bytes, '\0');
  read(offset, text.data(), bytes);
  return text;
}

FileReplacement::FileReplacement(std::string path) : path_(std::move(path)) {
  check_path(path_);
  static std::atomic<unsigned> count{0};
  temporary_ = path_ + ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(count++);
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) fail("create");
}

FileReplacement::~FileReplacement() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void FileReplacement::fail(const char* doing) const {
  throw Error(Exit::io, path_ + ": cannot " + doing + "; expected a writable place; got: " + reason());
}

void FileReplacement::write(const void* bytes, int64_t count) {
  const auto* from = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t n = ::write(fd_, from, std::min<int64_t>(count, int64_t{1} << 30));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("write");
    from += n, count -= n;
  }
}

void FileReplacement::commit() {
  if (::fsync(fd_) != 0) fail("sync");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("rename");
  ::close(fd_);
  fd_ = -1;
  // The rename itself is durable only once the folder is.
  const size_t slash = path_.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail("sync the folder");
  const int failed = ::fsync(fd);
  const int error = errno;
  ::close(fd);
  errno = error;
  if (failed && error != EINVAL) fail("sync the folder");  // EINVAL: a file system that does not sync folders
}

namespace {

constexpr int64_t kTarName = 257, kZipName = 30;

// A zip's first member is an array of NumPy's: those of numpy.savez are all.
bool holds_arrays(std::string_view zip) {
  if (zip.size() < kZipName) return false;
  const auto length =
      static_cast<size_t>(static_cast<unsigned char>(zip[26]) | static_cast<unsigned char>(zip[27]) << 8);
  return zip.substr(kZipName, length).ends_with(".npy");
}

bool is_pickle(std::string_view bytes) {
  return bytes.size() > 2 && bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5 && bytes[2] != '\0';
}

}  // namespace

void refuse_pickle(const File& file) {
  const std::string bytes = file.read(0, std::min<int64_t>(file.size(), 1024));
  const std::string& path = file.path();
  if (bytes.starts_with("PK\x03\x04") && holds_arrays(bytes)) {
    throw data_error(file.at(0), "an archive of several arrays",
                     "one array in an NPY file (python3 -c \"import numpy; [numpy.save(k, v) "
                     "for k, v in numpy.load('" +
                         path + "').items()]\" makes them)",
                     "a zip file (NPZ)");
  }
  const std::string torch =
      "a safetensors file (python3 -c \"import torch, safetensors.torch as s; s.save_file(torch.load('" + path +
      "', weights_only=True), 'weights.safetensors')\" makes one of a state_dict)";
  if (bytes.starts_with("PK\x03\x04"))
    throw data_error(file.at(0), "a PyTorch file or another archive: code, never read", torch, "a zip file");
  if (std::string_view(bytes).substr(std::min<size_t>(bytes.size(), kTarName)).starts_with("ustar"))
    throw data_error(file.at(0), "an old PyTorch file or another archive: code, never read", torch, "a tar file");
  if (is_pickle(bytes)) throw data_error(file.at(0), "a pickle: code, never read", torch, "Python's pickle");
}

bool is_gzip(std::string_view bytes) { return bytes.starts_with("\x1f\x8b"); }

std::string gunzip(std::string_view packed, const std::string& where, int64_t limit) {
  z_stream stream{};
  if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) throw Error(Exit::bug, where + ": zlib does not start");
  struct End {
    z_stream* stream;
    ~End() { inflateEnd(stream); }
  } end{&stream};
  std::string text;
  std::vector<char> buffer(1 << 18);
  size_t used = 0;
  int status = Z_OK;
  while (true) {
    if (stream.avail_in == 0) {
      const size_t n = std::min<size_t>(packed.size() - used, 1 << 30);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data() + used));
      stream.avail_in = static_cast<uInt>(n);
      used += n;
    }
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    status = inflate(&stream, Z_NO_FLUSH);
    if (status != Z_OK && status != Z_STREAM_END) {
      const std::string got = status == Z_BUF_ERROR ? "its end" : stream.msg ? stream.msg : "damaged bytes";
      throw data_error(where, "damaged gzip", "a whole gzip stream", got);
    }
    text.append(buffer.data(), buffer.size() - stream.avail_out);
    if (static_cast<int64_t>(text.size()) > limit) {
      throw data_error(where, "gzip holds too much", "at most " + std::to_string(limit) + " bytes", "more");
    }
    if (status != Z_STREAM_END) continue;
    if (stream.avail_in == 0 && used == packed.size()) return text;
    inflateReset(&stream);  // the next member
  }
}

std::optional<int64_t> byte_count(const std::vector<int64_t>& shape, int64_t item_size) {
  int64_t product = item_size;
  bool empty = false;
  for (const int64_t size : shape) {
    if (size < 0) return std::nullopt;
    if (size == 0) empty = true;
    if (__builtin_mul_overflow(product, std::max<int64_t>(size, 1), &product)) return std::nullopt;
  }
  return empty ? 0 : product;
}

at::Tensor read_tensor(const File& file, int64_t offset, const std::vector<int64_t>& shape, at::ScalarType type) {
  at::Tensor tensor = at::empty(shape, type);
  const auto bytes = static_cast<int64_t>(tensor.nbytes());
  file.read(offset, tensor.mutable_data_ptr(), bytes);
  if (type == at::kBool) {
    const auto* data = static_cast<const uint8_t*>(tensor.const_data_ptr());
    const auto* bad = std::find_if(data, data + bytes, [](uint8_t byte) { return byte > 1; });
    if (bad != data + bytes) {
      throw data_error(file.at(offset + (bad - data)), "not a boolean", "0 or 1", std::to_string(*bad));
    }
  }
  return tensor;
}

std::string show_shape(at::IntArrayRef shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace gradus
