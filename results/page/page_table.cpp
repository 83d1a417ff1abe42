// The table of runs of the page. Its answer is written as text, cell by cell: for thousands of runs a tree of JSON
// values costs several times what SQLite does.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <unordered_map>

#include "error.h"
#include "page.h"
#include "query/direction.h"
#include "query/names.h"
#include "query/where.h"
#include "store/database.h"
#include "utf8.h"

namespace gradus::results {
namespace {

constexpr double kSeconds = 1;  // of one statement: a reader that stays longer keeps the log from being cut

// A column of the table that comes from summaries: "best:val/acc".
struct MetricColumn {
  std::string id, of, key;  // of: last, best, min or max
  std::size_t place = 0;    // in the grid
};

MetricColumn metric_column(const std::string& id) {
  const std::size_t colon = id.find(':');
  MetricColumn column{id, id.substr(0, std::min(colon, id.size())),
                      colon == std::string::npos ? "" : id.substr(colon + 1)};
  static const std::set<std::string> kOf = {"last", "best", "min", "max"};
  if (kOf.count(column.of) == 0 || !valid_key(column.key))
    throw Error(Exit::usage, "metrics: expected last:KEY, best:KEY, min:KEY or max:KEY; got '" + id + "'");
  return column;
}

std::vector<std::string> default_columns(const std::vector<std::string>& keys) {
  std::vector<std::string> chosen;
  for (const std::string& key : keys) {
    if (key.rfind("result/", 0) == 0 && chosen.size() < 6) chosen.push_back("last:" + key);
  }
  for (const char* key : {"val/acc", "val/loss", "train/loss"}) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) continue;
    chosen.push_back(std::string("best:") + key);
    chosen.push_back(std::string("last:") + key);
    break;
  }
  return chosen;
}

void add_string(std::string& out, std::string_view text) {
  const auto plain = [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; };
  if (std::all_of(text.begin(), text.end(), plain)) {
    ((out += '"') += text) += '"';
  } else {
    out += Json(utf8(text)).dump();
  }
}

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

std::string listed(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) add_string(text += text.empty() ? "" : ",", item);
  return '[' + text + ']';
}

// One row a run, one cell a column. A column that nobody put anything into is not shown, unless it was begun with
// `keep`.
class Grid {
 public:
  std::size_t column(const std::string& name, bool keep) {
    names_.push_back(name);
    used_.push_back(keep);
    return names_.size() - 1;
  }
  void row(std::int64_t id) {  // after the last column; the next put() goes there
    place_[id] = ids_.size();
    ids_.push_back(id);
    cells_.resize(cells_.size() + names_.size());
    at_id_ = id;
    at_ = &cells_[cells_.size() - names_.size()];
  }
  // Where the run's next put() goes; false: it has no row.
  bool seek(std::int64_t id) {
    if (id == at_id_) return true;
    const auto found = place_.find(id);
    if (found == place_.end()) return false;
    at_id_ = id;
    at_ = &cells_[found->second * names_.size()];
    return true;
  }
  void put(std::size_t column, Statement& row, int from) {
    const std::size_t begin = text_.size();
    add_value(text_, row, from);
    end(column, begin);
  }
  void put(std::size_t column, std::string_view json) {
    text_ += json;
    end(column, text_.size() - json.size());
  }
  const std::vector<std::int64_t>& ids() const { return ids_; }

  // SQL of a statement's rows, by their column run_id: those of the grid's runs, and few others; ?1 and ?2.
  std::string among(std::vector<Cell>& args) const {
    args = {std::int64_t{0}, std::int64_t{-1}};
    if (ids_.empty()) return "run_id BETWEEN ?1 AND ?2";
    const auto [low, high] = std::minmax_element(ids_.begin(), ids_.end());
    args = {*low, *high};
    // One walk along the table is cheaper than looking up every second of its runs.
    if (static_cast<std::size_t>(*high - *low) < 2 * ids_.size()) return "run_id BETWEEN ?1 AND ?2";
    args[0] = Json(ids_).dump();
    return "run_id IN (SELECT value FROM json_each(?1)) AND ?2 IS NOT NULL";
  }

  std::string columns() const {
    std::vector<std::string> shown;
    for (std::size_t i = 0; i < names_.size(); ++i) {
      if (used_[i]) shown.push_back(names_[i]);
    }
    return listed(shown);
  }
  std::string rows() const {
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

 private:
  struct Piece {
    std::size_t begin = 0, bytes = 0;
  };
  void end(std::size_t column, std::size_t begin) {
    at_[column] = {begin, text_.size() - begin};
    used_[column] = true;
  }

  std::vector<std::string> names_;
  std::vector<char> used_;
  std::string text_;  // of all cells, one after the other
  std::vector<Piece> cells_;
  std::vector<std::int64_t> ids_;
  std::unordered_map<std::int64_t, std::size_t> place_;
  std::int64_t at_id_ = -1;
  Piece* at_ = nullptr;
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

// Which runs: --where, and what the page leaves out unless it is asked for.
Condition asked(Store& store, const PageQuery& query) {
  Condition condition = parse_where(store, query.text("where"));
  const auto also = [&](const std::string& sql) { condition.sql = "(" + condition.sql + ") AND " + sql; };
  const auto bind = [&](Cell value) {
    condition.args.push_back(std::move(value));
    return "?" + std::to_string(condition.args.size());
  };
  condition.archived = condition.archived || query.text("archived") == "1";
  if (query.text("children") != "1") also("r.parent IS NULL");
  if (query.has("runs")) {
    also("r.id IN (SELECT value FROM json_each(" + bind(Json(query.ids("runs", 1000)).dump()) + "))");
  } else if (!condition.archived) {
    also("r.archived IS NULL");
  }
  if (query.has("since")) {
    also("(r.id > " + bind(query.integer("since", 0, 0, INT64_MAX)) + " OR r.id IN (SELECT value FROM json_each(" +
         bind(Json(query.ids("watch", 1000)).dump()) + ")))");
  }
  return condition;
}

}  // namespace

std::string page_runs(Store& store, const PageQuery& query) {
  const Condition condition = asked(store, query);
  const std::vector<std::string> keys = metric_names(store);
  std::vector<MetricColumn> metrics;
  for (const std::string& id : query.has("metrics") ? query.list("metrics", 60) : default_columns(keys))
    metrics.push_back(metric_column(id));

  std::vector<std::pair<std::string, std::string>> facts = {
      {"id", "r.id"},
      {"name", "r.name"},
      {"status", "r.status"},
      {"seed", "r.seed"},
      {"started", "substr(r.started, 1, 16)"},
      {"seconds", "r.seconds"},
      {"note", "r.note"},
      {"step", "(SELECT p.step FROM progress p WHERE p.run_id = r.id ORDER BY p.step DESC LIMIT 1)"}};
  if (condition.archived) facts.emplace_back("archived", "substr(r.archived, 1, 16)");
  if (query.text("facts") == "1") {  // what tells apart two runs, but would make the list of 5,000 twice as long
    facts.emplace_back("config", "substr(r.config_hash, 1, 8)");
    facts.emplace_back("device", "r.device");
    facts.emplace_back("git_commit", "r.git_commit");
  }
  Grid grid;
  std::string select;
  for (const auto& [name, sql] : facts) {
    grid.column(name, true);
    select += (select.empty() ? "SELECT " : ", ") + sql;
  }
  Named params, tags;
  for (const std::string& name : param_names(store)) params.add(name, grid.column("params." + name, false));
  for (const auto& row : store.query("SELECT DISTINCT name FROM tags ORDER BY name").rows) {
    const std::string& name = std::get<std::string>(row[0]);
    tags.add(name, grid.column("tags." + name, false));
  }
  for (MetricColumn& metric : metrics) metric.place = grid.column(metric.id, true);

  store.read(select + " FROM runs r WHERE " + condition.sql + " ORDER BY r.id DESC", condition.args, kSeconds,
             [&](Statement& row) {
               while (row.step()) {
                 grid.row(row.integer(0));
                 for (std::size_t i = 0; i < facts.size(); ++i) grid.put(i, row, static_cast<int>(i));
               }
             });
  std::vector<Cell> args;
  const std::string among = grid.among(args);
  store.read("SELECT run_id, key, value, CASE WHEN type = 'boolean' THEN value END FROM params WHERE " + among, args,
             kSeconds, [&](Statement& row) {
               while (row.step()) {
                 const std::size_t* column = params.find(row.view(1));
                 if (column == nullptr || !grid.seek(row.integer(0))) continue;
                 if (row.null(3)) {
                   grid.put(*column, row, 2);
                 } else {
                   grid.put(*column, row.integer(3) != 0 ? "true" : "false");
                 }
               }
             });
  store.read("SELECT run_id, name, CASE value WHEN '' THEN '✓' ELSE value END FROM tags WHERE " + among, args, kSeconds,
             [&](Statement& row) {
               while (row.step()) {
                 const std::size_t* column = tags.find(row.view(1));
                 if (column != nullptr && grid.seek(row.integer(0))) grid.put(*column, row, 2);
               }
             });
  for (const MetricColumn& metric : metrics) {
    std::string of = metric.of;
    if (of == "best") {
      const Better better = direction(store, metric.key).better;
      if (better == Better::unknown) continue;  // an empty column: there is no best
      of = better == Better::lower ? "min" : "max";
    }
    store.read("SELECT s.run_id, s." + of +
                   " FROM json_each(?1) j CROSS JOIN summary_values s ON s.run_id = j.value AND s.key_id = (SELECT id "
                   "FROM keys WHERE name = ?2)",
               {Json(grid.ids()).dump(), metric.key}, kSeconds, [&](Statement& row) {
                 while (row.step()) {
                   if (grid.seek(row.integer(0))) grid.put(metric.place, row, 1);
                 }
               });
  }

  std::int64_t cursor = query.integer("since", 0, 0, INT64_MAX);
  if (!grid.ids().empty()) cursor = std::max(cursor, grid.ids()[0]);
  std::string better, path;
  const auto ways = directions(store);
  for (const std::string& key : keys) {
    const char* way = to_text(ways.at(key).better);
    better += std::string(better.empty() ? "" : ",") + (way != nullptr ? "\"" + std::string(way) + "\"" : "null");
  }
  add_string(path, store.path());
  return "{\"store\":" + path + ",\"cursor\":" + std::to_string(cursor) + ",\"columns\":" + grid.columns() +
         ",\"keys\":" + listed(keys) + ",\"better\":[" + better + "],\"rows\":" + grid.rows() + "}";
}

}  // namespace gradus::results
