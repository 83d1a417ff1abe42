#include "heartbeat.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "error.h"

namespace gradus::results {

namespace {

// Of the call that has just failed: there is no such file. Of one that this user may not look at nobody knows.
bool is_missing() { return errno == ENOENT || errno == ENOTDIR; }

}  // namespace

void Heartbeat::map() {
  int code = EINTR;
  while (code == EINTR) code = ::posix_fallocate(lock_.fd(), 0, sizeof(Page));
  if (code != 0) throw Error(Exit::io, path_ + ": cannot write; got " + std::strerror(code));
  void* address = ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED, lock_.fd(), 0);
  if (address == MAP_FAILED) throw Error(Exit::io, path_ + ": cannot map; got " + std::strerror(errno));
  page_ = static_cast<Page*>(address);
}

Heartbeat Heartbeat::begin(const std::string& folder) {
  Heartbeat heartbeat(folder + "/alive");
  heartbeat.lock_ = FileLock(heartbeat.path_);
  heartbeat.lock_.lock(1);
  heartbeat.map();
  return heartbeat;
}

std::optional<Heartbeat> Heartbeat::take_over(const std::string& folder) {
  Heartbeat heartbeat(folder + "/alive");
  struct stat info {};
  if (::stat(heartbeat.path_.c_str(), &info) != 0)
    return is_missing() ? std::optional(std::move(heartbeat)) : std::nullopt;
  heartbeat.lock_ = FileLock(heartbeat.path_);
  if (!heartbeat.lock_.try_lock()) return std::nullopt;
  heartbeat.map();
  return heartbeat;
}

bool Heartbeat::is_held(const std::string& folder) {
  const int fd = ::open((folder + "/alive").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return !is_missing();
  const bool held = ::flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(fd);
  return held;
}

Heartbeat::~Heartbeat() {
  if (page_ != nullptr) ::munmap(page_, sizeof(Page));
}

Heartbeat::Heartbeat(Heartbeat&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::move(other.lock_)), page_(std::exchange(other.page_, nullptr)) {}

void Heartbeat::beat(double unix_time, double seconds) {
  page_->unix_time.store(unix_time, std::memory_order_relaxed);
  page_->seconds.store(seconds, std::memory_order_relaxed);
}

double Heartbeat::unix_time() const { return page_ ? page_->unix_time.load(std::memory_order_relaxed) : 0; }
double Heartbeat::seconds() const { return page_ ? page_->seconds.load(std::memory_order_relaxed) : 0; }
void Heartbeat::remove() { ::unlink(path_.c_str()); }

}  // namespace gradus::results
