#include "text_diff.h"

#include <algorithm>
#include <string_view>
#include <vector>

namespace gradus::results {
namespace {

using Lines = std::vector<std::string_view>;  // each with its newline, so that a missing last one is a difference

Lines split(const std::string& text) {
  Lines lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size() - 1) + 1;
    lines.push_back(std::string_view(text).substr(begin, end - begin));
    begin = end;
  }
  return lines;
}

struct Edit {
  char kind;  // ' ', '-' or '+'
  int a, b;   // lines before it
};

// From (0, 0) to the ends, walked back through the furthest points of every number of edits.
std::vector<Edit> shortest_edits(const Lines& a, const Lines& b) {
  const int n = static_cast<int>(a.size()), m = static_cast<int>(b.size());
  std::vector<std::vector<int>> reached;  // reached[d][k + d]: furthest line of a on diagonal k after d edits
  const auto from = [&](int d, int k) {   // where diagonal k is entered by the d-th edit; down: a line of b is added
    const auto at = [&](int diagonal) {
      const int place = diagonal + d - 1;
      return place < 0 || place > 2 * (d - 1)
                 ? -1
                 : reached[static_cast<std::size_t>(d - 1)][static_cast<std::size_t>(place)];
    };
    const int left = at(k - 1), right = at(k + 1);  // -1: no edits lead there
    const bool down = k == -d || (k != d && left < right);
    return std::pair(down, down ? right : left < 0 ? -1 : left + 1);
  };
  int edits = -1;
  for (int d = 0; d <= std::min(n + m, kMostEdits) && edits < 0; ++d) {
    std::vector<int> row(static_cast<std::size_t>(2 * d + 1), -1);
    for (int k = -d; k <= d; k += 2) {
      int x = d == 0 ? 0 : from(d, k).second;
      if (x < 0 || x > n || x - k > m) continue;  // outside of both texts
      while (x < n && x - k < m && a[static_cast<std::size_t>(x)] == b[static_cast<std::size_t>(x - k)]) ++x;
      row[k + d] = x;
      if (x == n && x - k == m) edits = d;
    }
    reached.push_back(std::move(row));
  }
  std::vector<Edit> script;
  if (edits < 0) {
    for (int i = 0; i < n; ++i) script.push_back({'-', i, 0});
    for (int i = 0; i < m; ++i) script.push_back({'+', n, i});
    return script;
  }
  int x = n, y = m;
  for (int d = edits; d > 0; --d) {
    const auto [down, entered] = from(d, x - y);
    while (x > entered) --x, --y, script.push_back({' ', x, y});
    down ? --y : --x;
    script.push_back({down ? '+' : '-', x, y});
  }
  while (x > 0) --x, --y, script.push_back({' ', x, y});
  std::reverse(script.begin(), script.end());
  return script;
}

std::vector<Edit> edits_of(const Lines& a, const Lines& b) {
  std::size_t head = 0, tail = 0;
  while (head < a.size() && head < b.size() && a[head] == b[head]) ++head;
  while (tail < a.size() - head && tail < b.size() - head && a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) ++tail;
  const auto middle = [&](const Lines& lines) {
    return Lines(lines.begin() + static_cast<std::ptrdiff_t>(head), lines.end() - static_cast<std::ptrdiff_t>(tail));
  };
  const int skip = static_cast<int>(head);
  std::vector<Edit> all;
  for (int i = 0; i < skip; ++i) all.push_back({' ', i, i});
  for (const Edit& edit : shortest_edits(middle(a), middle(b)))
    all.push_back({edit.kind, edit.a + skip, edit.b + skip});
  for (std::size_t i = tail; i > 0; --i)
    all.push_back({' ', static_cast<int>(a.size() - i), static_cast<int>(b.size() - i)});
  return all;
}

std::string range(int first, int count) {  // as diff writes it: an empty range stands before its line
  return std::to_string(count == 0 ? first : first + 1) + (count == 1 ? "" : "," + std::to_string(count));
}

}  // namespace

std::string unified_diff(const std::string& a_text, const std::string& b_text, const std::string& a_name,
                         const std::string& b_name, int context) {
  if (a_text == b_text) return "";
  const Lines a = split(a_text), b = split(b_text);
  const std::vector<Edit> edits = edits_of(a, b);
  std::string text = "--- " + a_name + "\n+++ " + b_name + "\n";
  const auto changed = [&](std::size_t i) { return i < edits.size() && edits[i].kind != ' '; };
  const auto reach = static_cast<std::size_t>(context);
  for (std::size_t i = 0; i < edits.size();) {
    if (!changed(i)) {
      ++i;
      continue;
    }
    std::size_t begin = i - std::min(i, reach), last = i;  // a hunk goes on while changes are near enough
    for (std::size_t j = i; j < edits.size() && j <= last + 2 * reach + 1; ++j) {
      if (changed(j)) last = j;
    }
    const std::size_t end = std::min(edits.size(), last + reach + 1);
    int removed = 0, added = 0;
    std::string body;
    for (std::size_t j = begin; j < end; ++j) {
      const Edit& edit = edits[j];
      const std::string_view line =
          edit.kind == '+' ? b[static_cast<std::size_t>(edit.b)] : a[static_cast<std::size_t>(edit.a)];
      removed += edit.kind != '+';
      added += edit.kind != '-';
      body += edit.kind;
      body += line;
      if (line.back() != '\n') body += "\n\\ No newline at end of file\n";
    }
    text += "@@ -" + range(edits[begin].a, removed) + " +" + range(edits[begin].b, added) + " @@\n" + body;
    i = end;
  }
  return text;
}

}  // namespace gradus::results
