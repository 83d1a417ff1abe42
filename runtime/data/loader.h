// Puts batches together ahead of use: gathers the rows that a sampler drew and augments them, on a worker thread or,
// with depth 0, on the calling thread; the batches are the same bits. What to draw is decided before, on the training
// thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "augment.h"
#include "ops/mask.h"
#include "torch.h"

namespace gradus {

// A data set, or rows of one. All but x may be undefined; all have x's number of rows, on the CPU.
struct Examples {
  at::Tensor x;        // [N, …]
  at::Tensor y;        // [N] int64 classes (kNoLabel, see mask.h: none), or [N, …] values
  at::Tensor weight;   // [N]
  at::Tensor teacher;  // [N, …], outputs of a teacher computed before
};

// Error(data) unless there are rows, as many of each, and integer labels lie in 0 … classes - 1 or are kNoLabel
// (classes 0: any).
void check_examples(const std::string& where, const Examples& data, int64_t classes = 0);

struct LoaderOptions {
  int64_t depth = 2;  // batches that may be submitted and not yet taken; 0: on the calling thread, one at a time
  uint64_t seed = 0;  // of the augmentation
  Augment augment;
  Masking masking;      // of x int64 [N, L]; y is then what it hides
  int64_t classes = 0;  // of y; needed by mixup
  bool pin = false;     // batches in pinned memory, for an accelerator to copy by itself (transfer.h)
};

struct Batch {
  Examples rows;      // new tensors; with mixup y is float32 [B, C]
  at::Tensor index;   // int64 [B], as submitted
  at::Tensor visit;   // int32 [B], as submitted
  at::Tensor lambda;  // float32 [B] with mixup, else undefined
};

class Loader {
 public:
  struct Request {
    at::Tensor index, visit;
    double strength = 1;
  };

  Loader(const Examples& data, const LoaderOptions& options);
  ~Loader();  // waits for the batch under way, drops the others
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // strength scales the augmentations. Must not be called with max(depth, 1) batches pending.
  void submit(const at::Tensor& index, const at::Tensor& visit, double strength = 1);
  // The oldest batch that was submitted and not taken. An error while it was put together is raised here.
  Batch next();
  // What was submitted and not taken, oldest first; drop() also forgets it. A sampler's undo takes it back, newest
  // first.
  std::vector<Request> pending() const;
  std::vector<Request> drop();

  const LoaderOptions& options() const { return options_; }

 private:
  struct Slot {
    Request request;
    Batch batch;
    std::exception_ptr error;
    bool started = false, done = false;
  };
  void fill(Slot& slot) const;
  void work();

  Examples data_;  // contiguous
  LoaderOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Slot>> slots_;
  bool stopping_ = false;
  std::thread worker_;  // started by the first submit
};

}  // namespace gradus
