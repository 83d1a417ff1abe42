// `<run folder>/alive`: locked (flock) by the process whose run it is, so that its death is seen at once whatever
// killed it, and a mapping of the time it was last seen, so that an interrupted run's end is known to about 50 ms.
#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "database.h"

namespace gradus::results {

class Heartbeat {
 public:
  // A new run's file, locked. Error (io).
  static Heartbeat begin(const std::string& folder);
  // A run's file whose process is dead, now locked by us; nothing when it lives, or may live: the file is in
  // another user's folder. A missing file is a dead run's.
  static std::optional<Heartbeat> take_over(const std::string& folder);
  // Whether the run's process lives, or may live; asks for no right to write.
  static bool is_held(const std::string& folder);
  ~Heartbeat();
  Heartbeat(Heartbeat&& other) noexcept;
  Heartbeat& operator=(Heartbeat&&) = delete;

  void beat(double unix_time, double seconds);
  double unix_time() const;  // 0: never beaten
  double seconds() const;    // since the run began, monotonic
  void remove();             // the run is over

 private:
  struct Page {
    std::atomic<double> unix_time, seconds;
  };
  explicit Heartbeat(std::string path) : path_(std::move(path)) {}
  void map();

  std::string path_;
  FileLock lock_;
  Page* page_ = nullptr;  // owned mapping
};

}  // namespace gradus::results
