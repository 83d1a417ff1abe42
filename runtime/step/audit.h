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
  // A stretch of memory that was there before the step: a storage, and those that share its memory.
  struct Range {
    enum class Change { none, updated, overwritten, other };
    char *begin, *end;
    std::vector<int> buffers;
    Change change = Change::none;
    std::vector<char> copy;                    // of what is changed in another way
    std::vector<std::pair<char*, char*>> old;  // what is overwritten
  };
  // What a way of doing the step left: fingerprints instead of copies.
  struct Outcome {
    std::vector<Hash> memory;  // of each range
    std::vector<at::Tensor> generators;
  };
  // An operator's use of such memory, in the order of the operators.
  struct Use {
    int op, range;
    char *begin, *end;
    bool dense, reads, writes;
  };

  void find_ranges();
  void find_uses();
  bool only_updates(int op) const;
  bool overwritten_first(int range) const;
  Outcome read() const;
  void update_copies(int op);
  void restore();

  Plan& plan_;
  std::vector<Range> ranges_;
  std::vector<Use> uses_;
  std::vector<int> updates_;                // recorded operators that are done on copies
  std::map<const char*, Hash> of_updates_;  // what they gave, by where the range begins
  std::vector<at::Generator> generators_;
  Outcome before_, replayed_;
  std::vector<at::Tensor> outputs_, grads_;
};

}  // namespace gradus
