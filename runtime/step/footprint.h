// What a planned step does to the memory that was there before it: which stretches, and how each of them is changed.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "plan.h"

namespace gradus {

class Footprint {
 public:
  enum class Change {
    none,
    updated,      // by updates() alone
    overwritten,  // before it is looked at, where it is changed
    other,
  };
  // A stretch of memory: a storage, and those that share its memory.
  struct Range {
    char *begin, *end;  // borrowed
    std::vector<int> buffers;
    Change change = Change::none;
    std::vector<std::pair<char*, char*>> overwritten;  // the parts that are
  };

  explicit Footprint(const Plan& plan);  // borrowed

  const std::vector<Range>& ranges() const { return ranges_; }
  // Recorded operators that change each element of such memory by itself, and whose outcome none looks at: they may as
  // well be done on copies, a piece after the other. In order.
  const std::vector<int>& updates() const { return updates_; }

 private:
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

  const Plan& plan_;
  std::vector<Range> ranges_;
  std::vector<Use> uses_;
  std::vector<int> updates_;
};

}  // namespace gradus
