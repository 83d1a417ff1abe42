#include "grid.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "query/query.h"
#include "utf8.h"

namespace gradus::results {

namespace {

void add_value(std::string& out, Statement& row, int column) {
  char digits[32];
  switch (sqlite3_column_type(row.handle(), column)) {
    case SQLITE_NULL:
      out += "null";
      break;
    case SQLITE_INTEGER:
      out.append(digits, std::to_chars(digits, std::end(digits), row.integer(column)).ptr);
      break;
    case SQLITE_FLOAT:
      if (const double value = row.real(column); std::isfinite(value)) {
        out.append(digits, std::to_chars(digits, std::end(digits), value).ptr);
      } else {
        out += to_json(value).dump();
      }
      break;
    default:
      add_string(out, row.view(column));
  }
}

}  // namespace

void add_string(std::string& out, std::string_view text) {
  const auto plain = [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; };
  if (std::all_of(text.begin(), text.end(), plain)) {
    ((out += '"') += text) += '"';
  } else {
    out += Json(utf8(text)).dump();
  }
}

std::string listed(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) add_string(text += text.empty() ? "" : ",", item);
  return '[' + text + ']';
}

// --- Grid

std::size_t Grid::column(const std::string& name, bool keep) {
  names_.push_back(name);
  used_.push_back(keep);
  return names_.size() - 1;
}

void Grid::row(std::int64_t id) {
  place_[id] = ids_.size();
  ids_.push_back(id);
  cells_.resize(cells_.size() + names_.size());
  at_id_ = id;
  at_ = &cells_[cells_.size() - names_.size()];
}

bool Grid::seek(std::int64_t id) {
  if (id == at_id_) return true;
  const auto found = place_.find(id);
  if (found == place_.end()) return false;
  at_id_ = id;
  at_ = &cells_[found->second * names_.size()];
  return true;
}

void Grid::put(std::size_t column, Statement& row, int from) {
  const std::size_t begin = text_.size();
  add_value(text_, row, from);
  end(column, begin);
}

void Grid::put(std::size_t column, std::string_view json) {
  text_ += json;
  end(column, text_.size() - json.size());
}

void Grid::end(std::size_t column, std::size_t begin) {
  at_[column] = {begin, text_.size() - begin};
  used_[column] = true;
}

std::string Grid::among(std::vector<Cell>& args) const {
  args = {std::int64_t{0}, std::int64_t{-1}};
  if (ids_.empty()) return "run_id BETWEEN ?1 AND ?2";
  const auto [low, high] = std::minmax_element(ids_.begin(), ids_.end());
  args = {*low, *high};
  // One walk along the table is cheaper than looking up every second of its runs.
  if (static_cast<std::size_t>(*high - *low) < 2 * ids_.size()) return "run_id BETWEEN ?1 AND ?2";
  args[0] = Json(ids_).dump();
  return "run_id IN (SELECT value FROM json_each(?1)) AND ?2 IS NOT NULL";
}

std::string Grid::columns() const {
  std::vector<std::string> shown;
  for (std::size_t i = 0; i < names_.size(); ++i) {
    if (used_[i]) shown.push_back(names_[i]);
  }
  return listed(shown);
}

std::string Grid::rows() const {
  std::string out = "[";
  out.reserve(text_.size() + 5 * cells_.size());
  for (std::size_t row = 0; row < ids_.size(); ++row) {
    out += row == 0 ? "[" : ",[";
    for (std::size_t i = 0; i < names_.size(); ++i) {
      const Piece& cell = cells_[row * names_.size() + i];
      if (!used_[i]) continue;
      cell.bytes == 0 ? out += "null" : out.append(text_, cell.begin, cell.bytes);
      out += ',';
    }
    out.back() = ']';
  }
  return out + ']';
}

}  // namespace gradus::results
