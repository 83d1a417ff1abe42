#include "spool.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "database.h"
#include "error.h"

namespace gradus::results {
namespace {

std::uint64_t text_records(std::uint64_t bytes) { return (bytes + sizeof(Record) - 1) / sizeof(Record); }

}  // namespace

std::string segment_path(const std::string& folder, std::int64_t number) {
  return folder + "/spool." + std::to_string(number);
}
std::string keys_path(const std::string& folder) { return folder + "/spool.keys"; }

std::int64_t first_segment(const std::string& folder) {
  constexpr std::string_view kBegin = "spool.";
  std::int64_t first = -1;
  std::error_code code;
  for (std::filesystem::directory_iterator at(folder, code), end; !code && at != end; at.increment(code)) {
    const std::string name = at->path().filename().string();
    if (!name.starts_with(kBegin)) continue;
    std::int64_t number{};
    const char* stop = name.data() + name.size();
    const auto [read, error] = std::from_chars(name.data() + kBegin.size(), stop, number);
    if (error != std::errc() || read != stop || number < 0) continue;
    first = first < 0 ? number : std::min(first, number);
  }
  return first;
}

std::uint64_t message_records(const Record& head) {
  switch (head.kind) {
    case Record::progress:
      return 3;
    case Record::event:
    case Record::artifact:
      return 1 + text_records(head.key);
    default:
      return 1;
  }
}

void Segment::create(const std::string& path, std::uint64_t records) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) throw Error(Exit::io, path + ": cannot make the spool; got " + std::strerror(errno));
  bytes_ = sizeof(SegmentHeader) + records * sizeof(Record);
  // Reserved space, so that a full disk is an error here and not a SIGBUS at some later store.
  int code = EINTR;
  while (code == EINTR) code = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes_));
  void* address = MAP_FAILED;
  if (code == 0) {
    address = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (address == MAP_FAILED) code = errno;
  }
  ::close(fd);
  if (code != 0) {
    ::unlink(path.c_str());
    throw Error(Exit::io, path + ": cannot reserve " + std::to_string(bytes_) + " bytes for the log; got " +
                              std::strerror(code) + room_left(path));
  }
  header_ = static_cast<SegmentHeader*>(address);
  header_->capacity = records;
  std::atomic_ref<std::uint64_t>(header_->magic).store(kSegmentMagic, std::memory_order_release);
}

bool Segment::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return false;
  struct stat info {};
  if (::fstat(fd, &info) == 0 && info.st_size >= static_cast<off_t>(sizeof(SegmentHeader))) {
    bytes_ = static_cast<std::size_t>(info.st_size);
    void* address = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (address != MAP_FAILED) header_ = static_cast<SegmentHeader*>(address);
  }
  ::close(fd);
  if (header_ == nullptr) return false;
  const bool whole = std::atomic_ref<std::uint64_t>(header_->magic).load(std::memory_order_acquire) == kSegmentMagic &&
                     header_->capacity <= (bytes_ - sizeof(SegmentHeader)) / sizeof(Record);
  if (!whole) close();
  return whole;
}

void Segment::close() {
  if (header_ != nullptr) ::munmap(header_, bytes_);
  header_ = nullptr;
}

Spool::Spool(const std::string& folder, std::size_t segment_bytes) : folder_(folder), segment_bytes_(segment_bytes) {
  keys_fd_ = ::open(keys_path(folder).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
  if (keys_fd_ < 0) throw Error(Exit::io, keys_path(folder) + ": cannot make the spool; got " + std::strerror(errno));
  number_ = -1;
  roll(1);
}

Spool::~Spool() {
  if (keys_fd_ >= 0) ::close(keys_fd_);
}

int Spool::key(std::string_view name) {
  const auto found = numbers_.find(std::string(name));
  if (found != numbers_.end()) return found->second;
  const std::string line = std::string(name) + "\n";
  const off_t before = ::lseek(keys_fd_, 0, SEEK_END);
  std::size_t done = 0;
  while (done < line.size()) {
    const ssize_t n = ::write(keys_fd_, line.data() + done, line.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int code = errno;
      (void)!::ftruncate(keys_fd_, before);  // half a name would be the beginning of the next one
      throw Error(Exit::io,
                  keys_path(folder_) + ": cannot write; got " + std::strerror(code) + room_left(keys_path(folder_)));
    }
    done += static_cast<std::size_t>(n);
  }
  const int number = static_cast<int>(numbers_.size());
  numbers_.emplace(name, number);
  return number;
}

void Spool::roll(std::uint64_t records) {
  const std::uint64_t usual = (segment_bytes_ - sizeof(SegmentHeader)) / sizeof(Record);
  Segment next;
  next.create(segment_path(folder_, number_ + 1), std::max(usual, records));
  // Sealed only now: a reader that sees the seal finds the next segment.
  if (!segment_.closed()) segment_.header().sealed.store(1, std::memory_order_release);
  segment_.swap(next);
  ++number_;
  records_ = segment_.records();
  count_ = 0;
  capacity_ = segment_.header().capacity;
}

void Spool::progress(std::int64_t step, double epoch, std::int64_t samples, double flops, double seconds) {
  if (capacity_ - count_ < 3) roll(3);
  Record* at = records_ + count_;
  at[0] = {.step = step, .value = epoch, .kind = Record::progress};
  at[1] = {.step = samples, .value = flops};
  at[2] = {.value = seconds};
  publish(3);
}

void Spool::text(Record::Kind kind, std::int64_t step, double value, std::string_view bytes) {
  const std::uint64_t needed = 1 + text_records(bytes.size());
  if (capacity_ - count_ < needed) roll(needed);
  Record* at = records_ + count_;
  at[0] = {step, value, static_cast<std::uint32_t>(bytes.size()), kind};
  std::memcpy(static_cast<void*>(at + 1), bytes.data(), bytes.size());
  publish(needed);
}

SpoolReader::Span SpoolReader::read(std::uint64_t limit, bool dead) {
  while (true) {
    if (segment_.closed() && !segment_.open(segment_path(folder_, position_.segment))) {
      // A segment that was half made when its process died holds nothing, and nothing follows it.
      return {};
    }
    // The seal first: what is published when it is seen is all there will be.
    const bool sealed = segment_.header().sealed.load(std::memory_order_acquire) != 0;
    const std::uint64_t published =
        std::min(segment_.header().published.load(std::memory_order_acquire), segment_.header().capacity);
    if (position_.records < published) {
      const Record* data = segment_.records() + position_.records;
      const std::uint64_t available = published - position_.records;
      std::uint64_t size = 0;
      while (size < available && size < limit) {
        const std::uint64_t whole = message_records(data[size]);
        if (whole > available - size) return {data, size};  // only a damaged file
        size += whole;
      }
      return {data, size};
    }
    struct stat info {};
    const bool next = ::stat(segment_path(folder_, position_.segment + 1).c_str(), &info) == 0;
    if (!(sealed || dead) || !next) return {};
    segment_.close();
    position_ = {position_.segment + 1, 0};
  }
}

bool SpoolReader::pending() {
  if (segment_.closed()) return true;  // not looked at yet
  return segment_.header().sealed.load(std::memory_order_acquire) != 0 ||
         segment_.header().published.load(std::memory_order_acquire) > position_.records;
}

void SpoolReader::rewind(SpoolPosition position) {
  segment_.close();
  position_ = position;
}

const std::string& SpoolReader::name(std::uint32_t key) {
  static const std::string none;
  if (key >= names_.size()) {
    std::ifstream file(keys_path(folder_), std::ios::binary);
    std::string all((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    names_.clear();
    std::size_t begin = 0;
    for (std::size_t end; (end = all.find('\n', begin)) != std::string::npos; begin = end + 1) {
      names_.push_back(all.substr(begin, end - begin));
    }
  }
  return key < names_.size() ? names_[key] : none;
}

}  // namespace gradus::results
