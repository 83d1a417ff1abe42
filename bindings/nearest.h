// The word that a typo meant: shared by operators, options and commands.
#pragma once

#include <algorithm>
#include <cctype>
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

inline std::string small_letters(std::string_view text) {
  std::string low(text);
  for (char& c : low) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return low;
}

// The closest of `words` to `typo`, or "" when none is near enough to be what was meant: a third of its letters, one
// more when the first is right (alfa: alpha); or else the first word that it is the beginning of (temp: temperature).
// Capitals count only between words that are as near (adamw: AdamW).
inline std::string nearest(std::string_view typo, const std::vector<std::string>& words) {
  const std::string low = small_letters(typo);
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(1, low.size() / 3) + 1;
  for (const std::string& word : words) {
    const std::string other = small_letters(word);
    const bool same_start = low.size() > 3 && !other.empty() && other.front() == low.front();
    const std::size_t distance = edit_distance(low, other);
    const bool closer = distance < best_distance + (best.empty() && same_start);
    const bool by_capitals =
        distance == best_distance && !best.empty() && edit_distance(typo, word) < edit_distance(typo, best);
    if (!closer && !by_capitals) continue;
    best = word;
    best_distance = distance;
  }
  for (const std::string& word : words)
    if (best.empty() && low.size() > 2 && small_letters(word).starts_with(low)) best = word;
  return best;
}

}  // namespace gradus
