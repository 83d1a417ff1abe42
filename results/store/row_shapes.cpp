#include "row_shapes.h"

#include <algorithm>
#include <iterator>
#include <string>

namespace gradus::results {
namespace {

constexpr const char *kUids = "sqlite_autoindex_runs_1", *kKeys = "sqlite_autoindex_keys_1", *kParams = "params_key";
constexpr Shape kShapes[] = {
    {"runs", false, "nutttITtTRIITTTTTITTTTT", 21,
     "runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, "
     "?22, ?23)"},
    {"keys", false, "ntT", 2, "keys VALUES (?1, ?2, ?3)"},
    {"events", false, "niIttTT", 7, "events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"},
    {"sources", false, "st", 2, "sources VALUES (?1, ?2)"},
    {"drained", false, "nii", 3, "drained VALUES (?1, ?2, ?3)"},
    {"sqlite_sequence", false, "ti", 2, "temp.sequence VALUES (?1, ?2)"},
    {"metric_values", true, "iiiR", 4, "metric_values VALUES (?1, ?2, ?3, ?4)"},
    {"summary_values", true, "iiRRRIIiii", 10, "summary_values VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"},
    {"progress", true, "iiRIRR", 6, "progress VALUES (?1, ?2, ?3, ?4, ?5, ?6)"},
    {"params", true, "itat", 4, "params VALUES (?1, ?2, ?3, ?4)"},
    {"", true, "its", 3, "temp.either VALUES (?1, ?2, ?3)"},  // a source's or a tag's, of a page that no tree leads to
    {"run_sources", true, "its", 3, "run_sources VALUES (?1, ?2, ?3)"},
    {"tags", true, "itt", 3, "tags VALUES (?1, ?2, ?3)"},
    {"artifacts", true, "ittTI", 5, "artifacts (run_id, path, kind, sha256, bytes) VALUES (?1, ?2, ?3, ?4, ?5)"},
    // Indexes know some of it a second time.
    {kUids, true, "ui", 2, "temp.uids VALUES (?1, ?2)"},
    {kKeys, true, "ti", 2, "temp.names VALUES (?1, ?2)"},
    {kParams, true, "tai", 3, "temp.params_of VALUES (?1, ?2, ?3)"},
};

bool is_hex(const Cell& cell, std::size_t digits) {
  const auto* text = std::get_if<std::string>(&cell);
  return text && text->size() == digits && text->find_first_not_of("0123456789abcdef") == std::string::npos;
}

bool fits(const Cell& cell, char letter) {
  const char kind = static_cast<char>(letter | 0x20);
  if (cell.index() == 0) return kind != letter || letter == 'n' || letter == 'a';
  switch (kind) {
    case 'i':
      return cell.index() == 1;
    case 'r':
      return cell.index() == 1 || cell.index() == 2;
    case 't':
      return cell.index() == 3;
    case 'u':
      return is_hex(cell, 32);
    case 's':
      return is_hex(cell, 64);
    default:
      return kind == 'a';
  }
}

bool fits(const RawRow& row, const Shape& shape) {
  const std::size_t columns = std::char_traits<char>::length(shape.letters);
  if (row.index != shape.index || row.values.size() > columns || row.values.size() < shape.least) return false;
  for (std::size_t i = 0; i < row.values.size(); ++i) {
    if (!fits(row.values[i], shape.letters[i])) return false;
  }
  return true;
}

}  // namespace

Trees::Trees(const PageFile& file) : file_(file), tree_(file.count() + 1, kNone) {
  for (std::uint32_t page = 1; page <= file.count(); ++page) {
    file.rows(page, [&](RawRow& row) {  // of sqlite_schema: type, name, table, root, SQL
      if (row.index || row.values.size() != 5 || row.values[1].index() != 3 || row.values[3].index() != 1) return;
      const std::string& name = std::get<std::string>(row.values[1]);
      const auto* found =
          std::find_if(std::begin(kShapes), std::end(kShapes), [&](const Shape& s) { return s.tree == name; });
      descend(std::get<std::int64_t>(row.values[3]), static_cast<int>(found - kShapes));
    });
  }
}

void Trees::descend(std::int64_t root, int tree) {
  std::vector<std::uint32_t> todo;
  if (root > 1 && root <= file_.count()) todo.push_back(static_cast<std::uint32_t>(root));
  while (!todo.empty()) {
    const std::uint32_t page = todo.back();
    todo.pop_back();
    if (tree_[page] == tree || tree_[page] == kDisputed) continue;
    tree_[page] = tree_[page] == kNone ? tree : kDisputed;
    for (const std::uint32_t below : file_.children(page)) todo.push_back(below);
  }
}

const Shape* Trees::table_of(const RawRow& row, std::uint32_t page) const {
  const int tree = tree_[page];
  if (tree == static_cast<int>(std::size(kShapes)))
    return nullptr;  // somebody else's, or an index that tells nothing new
  if (tree >= 0 && fits(row, kShapes[tree])) return &kShapes[tree];
  const auto* found =
      std::find_if(std::begin(kShapes), std::end(kShapes), [&](const Shape& shape) { return fits(row, shape); });
  return found == std::end(kShapes) ? nullptr : found;
}

}  // namespace gradus::results
