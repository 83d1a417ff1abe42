// SQLite's write-ahead log beside the store: how long it may grow, and when it is copied into the file (a checkpoint).
#pragma once

#include <cstdint>

#include "database.h"

namespace gradus::results {

constexpr std::uint64_t kCheckpointBytes = std::uint64_t{4} << 20;  // from which it is copied into the file
constexpr std::uint64_t kWalLimitBytes = std::uint64_t{64} << 20;   // from which writers wait in their spools

// Of one writing connection. The store's lock, which it takes for a checkpoint, is not held by the caller.
class Wal {
 public:
  Wal(Database& database, FileLock& lock) : database_(database), lock_(lock) {}  // borrowed

  std::uint64_t bytes() const;
  bool due() const;  // time for a checkpoint
  bool full();       // past the limit, and a checkpoint could not help
  void checkpoint();
  void checkpoint_if_idle();  // nobody else writes at this moment

 private:
  Database& database_;
  FileLock& lock_;
  double next_ = 0;  // monotonic: not tried again before
};

}  // namespace gradus::results
