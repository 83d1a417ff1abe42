// The table of runs as JSON, written cell by cell: for thousands of runs a tree of JSON values costs several times what
// SQLite does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "store/database.h"

namespace gradus::results {

void add_string(std::string& out, std::string_view text);   // quoted, as JSON, whatever bytes it has
std::string listed(const std::vector<std::string>& items);  // a JSON array of them

// One row a run, one cell a column. A column that nobody put anything into is not shown, unless it was begun with
// `keep`.
class Grid {
 public:
  std::size_t column(const std::string& name, bool keep);  // its number; all columns before the first row
  void row(std::int64_t id);                               // a new one, where the next put() goes
  // Where the run's next put() goes; false: it has no row.
  bool seek(std::int64_t id);
  void put(std::size_t column, Statement& row, int from);  // the value of the statement's column `from`
  void put(std::size_t column, std::string_view json);
  const std::vector<std::int64_t>& ids() const { return ids_; }

  // SQL of a statement's rows, by their column run_id: those of the grid's runs, and few others; ?1 and ?2.
  std::string among(std::vector<Cell>& args) const;

  std::string columns() const;  // JSON: the names of those that are shown
  std::string rows() const;     // JSON: an array a row

 private:
  struct Piece {
    std::size_t begin = 0, bytes = 0;
  };
  void end(std::size_t column, std::size_t begin);

  std::vector<std::string> names_;
  std::vector<char> used_;
  std::string text_;  // of all cells, one after the other
  std::vector<Piece> cells_;
  std::vector<std::int64_t> ids_;
  std::unordered_map<std::int64_t, std::size_t> place_;
  std::int64_t at_id_ = -1;
  Piece* at_ = nullptr;  // borrowed from cells_
};

// Columns by name, for rows that come run by run with their names in order: the next one is most often the one after.
class Named {
 public:
  void add(const std::string& name, std::size_t column) { columns_.emplace_back(name, column); }  // in order
  const std::size_t* find(std::string_view name) {  // nullptr: one that was not there a moment ago
    for (std::size_t tried = 0; tried < columns_.size(); ++tried) {
      if (next_ == columns_.size()) next_ = 0;
      const auto& [known, column] = columns_[next_++];
      if (known == name) return &column;
    }
    return nullptr;
  }

 private:
  std::vector<std::pair<std::string, std::size_t>> columns_;
  std::size_t next_ = 0;
};

}  // namespace gradus::results
