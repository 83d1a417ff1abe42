#include "wal.h"

#include <sys/stat.h>

#include "clock.h"

namespace gradus::results {

std::uint64_t Wal::bytes() const {
  struct stat info {};  // asks the folder, does not open the file
  return ::stat((database_.path() + "-wal").c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

bool Wal::due() const { return bytes() > kCheckpointBytes && monotonic_seconds() > next_; }

bool Wal::full() {
  if (bytes() <= kWalLimitBytes) return false;
  if (monotonic_seconds() > next_) checkpoint();
  return bytes() > kWalLimitBytes;
}

void Wal::checkpoint() {
  lock_.lock(kLockSeconds);
  // TRUNCATE, because with it the WAL restarts while we hold the write lock and never between two checkpoints. It
  // copies what it can when a reader is at work, and waits for that reader only once the WAL has grown: writers wait
  // with it.
  const bool grown = bytes() > kWalLimitBytes / 2;
  sqlite3_busy_timeout(database_.handle(), grown ? 100 : 5);
  int pages = 0, copied = 0;
  const int code = sqlite3_wal_checkpoint_v2(database_.handle(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, &pages, &copied);
  database_.wait_when_busy();
  lock_.unlock();
  next_ = monotonic_seconds() + (code == SQLITE_OK ? 0 : grown ? 0.5 : 0.1);
}

void Wal::checkpoint_if_idle() {
  if (!lock_.try_lock()) return;
  lock_.unlock();
  checkpoint();
}

}  // namespace gradus::results
