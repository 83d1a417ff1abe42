// The word that a typo meant: shared by operators, options and commands.
#pragma once

#include <algorithm>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

namespace gradus {

// Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before.swap(last);
    last.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

// The closest of `words` to `typo`, or "" when none is near enough to be what was meant: a third of its letters, one
// more when the first is right (alfa: alpha); or else the first word that it is the beginning of (temp: temperature).
inline std::string nearest(std::string_view typo, const std::vector<std::string>& words) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(1, typo.size() / 3) + 1;
  for (const std::string& word : words) {
    const bool same_start = typo.size() > 3 && !word.empty() && word.front() == typo.front();
    const std::size_t distance = edit_distance(typo, word);
    if (distance < best_distance + (best.empty() && same_start)) {
      best = word;
      best_distance = distance;
    }
  }
  for (const std::string& word : words)
    if (best.empty() && typo.size() > 2 && word.starts_with(typo)) best = word;
  return best;
}

}  // namespace gradus
