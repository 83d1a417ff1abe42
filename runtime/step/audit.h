// Audit of a plan: from one state the step is done both ways, and every bit must be the same.
//
// The state may be most of the memory there is, so as little of it as possible is kept twice. Where only an optimizer's
// update changes a stretch of it, the replay updates copies, piece by piece, and keeps their fingerprint; where the
// step overwrites a stretch before it reads it (gradients), nothing has to be put back; the rest is copied.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "footprint.h"
#include "plan.h"

namespace gradus {

class Audit {
 public:
  // Borrows the plan; remembers the state: what the plan knows of memory that outlives a step, and random generators.
  explicit Audit(Plan& plan);

  // Replays, remembers the outcome and puts the state back. Then the caller does the step itself.
  void replay(const std::vector<at::Tensor>& inputs);

  // "", or which output, tensor or generator differs after the step itself, and which operator last wrote it. `name`
  // gives the name of an output.
  std::string compare(const std::vector<at::Tensor>& outputs,
                      const std::function<std::string(std::size_t)>& name) const;

  // Bytes that are kept twice.
  std::size_t copied_bytes() const;

 private:
  using Hash = std::pair<std::uint64_t, std::uint64_t>;
  // What a way of doing the step left: fingerprints instead of copies.
  struct Outcome {
    std::vector<Hash> memory;  // of each range
    std::vector<at::Tensor> generators;
  };
  Outcome read() const;
  void update_copies(int op);
  void restore();

  Plan& plan_;  // borrowed
  Footprint footprint_;
  std::vector<std::vector<char>>
      copies_;  // of each range, where it is changed in another way than those that need none
  std::map<const char*, Hash> of_updates_;  // what updates of copies gave, by where the range begins
  std::vector<at::Generator> generators_;
  Outcome before_, replayed_;
  std::vector<at::Tensor> outputs_, grads_;
};

}  // namespace gradus
