// Floating-point operations of what runs: counted from the operators' shapes while counting is on.
#pragma once

#include <optional>

namespace gradus {

constexpr double kLargeOperator = 1e7;  // an operator that gains from a second thread: some 150 µs of one core

// Of the operations that were counted since the last call, the share in operators of at least kLargeOperator; nothing
// when none were counted.
std::optional<double> large_share();

// Counts the operators that this thread calls from construction to `stop`, forward and backward alike: matrix products
// and convolutions as 2 · multiply-adds, which is what published FLOP counts are made of; elementwise work is left out.
// Counters may run at once, and end in any order.
class FlopCounter {
 public:
  FlopCounter();
  ~FlopCounter() { stop(); }
  FlopCounter(const FlopCounter&) = delete;
  double stop();  // the count; further calls return the same

 private:
  double count_ = 0;  // before it began, while it runs
  bool running_ = true;
};

}  // namespace gradus
