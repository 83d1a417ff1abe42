// The table of runs of the page.
#include <algorithm>
#include <set>

#include "error.h"
#include "grid.h"
#include "page.h"
#include "query/direction.h"
#include "query/names.h"
#include "query/where.h"

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
    if (key.starts_with("result/") && chosen.size() < 6) chosen.push_back("last:" + key);
  }
  for (const char* key : {"val/acc", "val/loss", "train/loss"}) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) continue;
    chosen.push_back(std::string("best:") + key);
    chosen.push_back(std::string("last:") + key);
    break;
  }
  return chosen;
}

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

// What every run has: the column's name, and SQL over `runs r`.
using Facts = std::vector<std::pair<std::string, std::string>>;

Facts facts_asked(const PageQuery& query, bool archived) {
  Facts facts = {{"id", "r.id"},
                 {"name", "r.name"},
                 {"status", "r.status"},
                 {"seed", "r.seed"},
                 {"started", "substr(r.started, 1, 16)"},
                 {"seconds", "r.seconds"},
                 {"note", "r.note"},
                 {"step", "(SELECT p.step FROM progress p WHERE p.run_id = r.id ORDER BY p.step DESC LIMIT 1)"}};
  if (archived) facts.emplace_back("archived", "substr(r.archived, 1, 16)");
  if (query.text("facts") == "1") {  // what tells apart two runs, but would make the list of 5,000 twice as long
    facts.emplace_back("config", "substr(r.config_hash, 1, 8)");
    facts.emplace_back("device", "r.device");
    facts.emplace_back("git_commit", "r.git_commit");
  }
  return facts;
}

// The rows, and in them the facts, which are the grid's first columns.
void fill_runs(Store& store, Grid& grid, const Facts& facts, const Condition& condition) {
  std::string select;
  for (const auto& [name, sql] : facts) select += (select.empty() ? "SELECT " : ", ") + sql;
  store.read(select + " FROM runs r WHERE " + condition.sql + " ORDER BY r.id DESC", condition.args, kSeconds,
             [&](Statement& row) {
               while (row.step()) {
                 grid.row(row.integer(0));
                 for (std::size_t i = 0; i < facts.size(); ++i) grid.put(i, row, static_cast<int>(i));
               }
             });
}

void fill_params(Store& store, Grid& grid, Named& params) {
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
}

void fill_tags(Store& store, Grid& grid, Named& tags) {
  std::vector<Cell> args;
  const std::string among = grid.among(args);
  store.read("SELECT run_id, name, CASE value WHEN '' THEN '✓' ELSE value END FROM tags WHERE " + among, args, kSeconds,
             [&](Statement& row) {
               while (row.step()) {
                 const std::size_t* column = tags.find(row.view(1));
                 if (column != nullptr && grid.seek(row.integer(0))) grid.put(*column, row, 2);
               }
             });
}

void fill_metric(Store& store, Grid& grid, const MetricColumn& metric) {
  std::string of = metric.of;
  if (of == "best") {
    const Better better = direction(store, metric.key).better;
    if (better == Better::unknown) return;  // an empty column: there is no best
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

// JSON: of each key "higher", "lower" or null.
std::string ways_of(Store& store, const std::vector<std::string>& keys) {
  std::string ways;
  const auto known = directions(store);
  for (const std::string& key : keys) {
    const char* way = to_text(known.at(key).better);
    ways += std::string(ways.empty() ? "" : ",") + (way != nullptr ? "\"" + std::string(way) + "\"" : "null");
  }
  return "[" + ways + "]";
}

}  // namespace

std::string page_runs(Store& store, const PageQuery& query) {
  const Condition condition = asked(store, query);
  const std::vector<std::string> keys = metric_names(store);
  std::vector<MetricColumn> metrics;
  for (const std::string& id : query.has("metrics") ? query.list("metrics", 60) : default_columns(keys))
    metrics.push_back(metric_column(id));

  Grid grid;
  const Facts facts = facts_asked(query, condition.archived);
  for (const auto& [name, sql] : facts) grid.column(name, true);
  Named params, tags;
  for (const std::string& name : param_names(store)) params.add(name, grid.column("params." + name, false));
  for (const auto& row : store.query("SELECT DISTINCT name FROM tags ORDER BY name").rows) {
    const std::string& name = std::get<std::string>(row[0]);
    tags.add(name, grid.column("tags." + name, false));
  }
  for (MetricColumn& metric : metrics) metric.place = grid.column(metric.id, true);

  fill_runs(store, grid, facts, condition);
  fill_params(store, grid, params);
  fill_tags(store, grid, tags);
  for (const MetricColumn& metric : metrics) fill_metric(store, grid, metric);

  std::int64_t cursor = query.integer("since", 0, 0, INT64_MAX);
  if (!grid.ids().empty()) cursor = std::max(cursor, grid.ids()[0]);
  // An id is given once: as many as were given, without those that are there.
  const Rows removed =
      store.query("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'runs'), 0) - count(*) FROM runs");
  std::string path;
  add_string(path, store.path());
  return "{\"store\":" + path + ",\"cursor\":" + std::to_string(cursor) +
         ",\"removed\":" + std::to_string(std::get<std::int64_t>(removed.rows[0][0])) +
         ",\"columns\":" + grid.columns() + ",\"keys\":" + listed(keys) + ",\"better\":" + ways_of(store, keys) +
         ",\"rows\":" + grid.rows() + "}";
}

}  // namespace gradus::results
