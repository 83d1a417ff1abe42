// Snapshots: one safetensors file of tensors and a text with all plain values, so that other tools read the weights. It is there as a
// whole or not at all (FileReplacement), and says whether a bit of it has changed since.
#pragma once

#include <atomic>
#include <exception>
#include <map>
#include <string>
#include <thread>

#include "torch.h"

namespace gradus {

struct Snapshot {
  std::map<std::string, at::Tensor> tensors;  // contiguous, on the CPU
  std::string plain;                          // what Lua made of all that is no tensor
};

// `about`: further texts for whoever reads the file with another tool.
void write_snapshot(const std::string& path, const Snapshot& snapshot, std::map<std::string, std::string> about = {});

// Error (data): not a snapshot, or one whose bytes are not those that were written.
Snapshot read_snapshot(const std::string& path);

// Writes snapshots in a thread of its own, one at a time.
class SnapshotWriter {
 public:
  SnapshotWriter() = default;
  ~SnapshotWriter();  // waits; an error is lost
  SnapshotWriter(const SnapshotWriter&) = delete;
  SnapshotWriter& operator=(const SnapshotWriter&) = delete;

  // Nobody may change the tensors any more. Waits for the one before, and throws what it threw. Error (io): the system gives no
  // thread.
  void start(std::string path, Snapshot snapshot, std::map<std::string, std::string> about);
  bool busy() const { return busy_; }
  void wait();  // throws what the writing threw, once

 private:
  std::thread thread_;
  std::atomic<bool> busy_{false};
  std::exception_ptr error_;  // the thread's, until it is joined
};

}  // namespace gradus
