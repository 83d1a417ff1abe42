// Which table a row belongs to that was found in a store's file page by page (pages.h).
#pragma once

#include <cstdint>
#include <vector>

#include "pages.h"

namespace gradus::results {

// How a row of each table lies in the file: one letter a column. n: NULL, the rowid stands for it; i: an integer; r: a
// number; t: a text; u, s: a text of 32 or 64 hex digits; a: anything; capitals: or NULL. An older store has fewer
// columns (`least`).
struct Shape {
  const char* tree;  // the name in sqlite_schema
  bool index;
  const char* letters;
  std::size_t least;
  const char* insert;  // with as many parameters as there are letters
};

// Which tree each page belongs to, as far as the way down from the roots is whole.
class Trees {
 public:
  explicit Trees(const PageFile& file);  // borrowed

  // The table that a row on this page is of; null: of none of ours.
  const Shape* table_of(const RawRow& row, std::uint32_t page) const;
  bool reached(std::uint32_t page) const { return tree_[page] >= 0; }

 private:
  static constexpr int kNone = -1, kDisputed = -2;

  void descend(std::int64_t root, int tree);

  const PageFile& file_;   // borrowed
  std::vector<int> tree_;  // of each page, a place in kShapes; their number: another's
};

}  // namespace gradus::results
