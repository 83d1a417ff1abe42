// Line differences of two texts in the unified format that `diff -u` and `git apply` use.
#pragma once

#include <string>

namespace gradus::results {

// "" for equal texts. Myers' O(ND) algorithm (1986), so the fewest lines change; texts that differ in more than
// kMostEdits lines are shown as wholly replaced between their common beginning and end.
constexpr int kMostEdits = 4000;
std::string unified_diff(const std::string& a, const std::string& b, const std::string& a_name,
                         const std::string& b_name, int context = 3);

}  // namespace gradus::results
