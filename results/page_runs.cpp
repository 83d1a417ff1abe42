// The table of runs, and one run, as the page shows them.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "database.h"
#include "error.h"
#include "page.h"
#include "where.h"

namespace gradus::results {
namespace {

constexpr double kSeconds = 1;  // of one statement: a reader that stays longer keeps the log from being cut
const Limits kLimits{kSeconds, 2'000'000};

const std::int64_t* integer(const Cell& cell) { return std::get_if<std::int64_t>(&cell); }
const std::string& text(const Cell& cell) { return std::get<std::string>(cell); }

// A column of the table that comes from summaries: "best:val/acc".
struct MetricColumn {
  std::string id, of, key;  // of: last, best, min or max
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

}  // namespace

Json page_runs(Store& store, const PageQuery& query) {
  Condition condition = parse_where(store, query.text("where"));
  if (query.text("children") != "1") condition.sql = "(" + condition.sql + ") AND r.parent IS NULL";
  if (!condition.archived && !query.has("runs")) condition.sql = "(" + condition.sql + ") AND r.archived IS NULL";
  if (query.has("runs")) {
    condition.sql = "(" + condition.sql + ") AND r.id IN (SELECT value FROM json_each(?" +
                    std::to_string(condition.args.size() + 1) + "))";
    condition.args.emplace_back(Json(query.ids("runs", 1000)).dump());
  }
  if (query.has("since")) {
    Json watch = query.ids("watch", 1000);
    const std::string first = std::to_string(condition.args.size() + 1);
    const std::string second = std::to_string(condition.args.size() + 2);
    condition.sql =
        "(" + condition.sql + ") AND (r.id > ?" + first + " OR r.id IN (SELECT value FROM json_each(?" + second + ")))";
    condition.args.emplace_back(query.integer("since", 0, 0, INT64_MAX));
    condition.args.emplace_back(watch.dump());
  }

  Json keys = Json::array(), better = Json::array();
  std::vector<std::string> names;
  for (const auto& row : store.query("SELECT name FROM keys ORDER BY name", {}, kLimits).rows)
    names.push_back(text(row[0]));
  for (const std::string& name : names) {
    keys.push_back(name);
    better.push_back(lower_is_better(name) ? "lower" : "higher");
  }
  std::vector<MetricColumn> metrics;
  for (const std::string& id : query.has("metrics") ? query.list("metrics", 60) : default_columns(names))
    metrics.push_back(metric_column(id));

  // What tells apart two runs, but would make the list of 5,000 twice as long.
  const bool facts = query.text("facts") == "1";
  const Rows runs = store.query(
      std::string("SELECT r.id, r.name, r.status, r.seed, substr(r.started, 1, 16) AS started, r.seconds, r.note, "
                  "(SELECT p.step FROM progress p WHERE p.run_id = r.id ORDER BY p.step DESC LIMIT 1) AS step") +
          (facts ? ", substr(r.config_hash, 1, 8) AS config, r.device, r.git_commit" : "") + " FROM runs r WHERE " +
          condition.sql + " ORDER BY r.id DESC",
      condition.args, kLimits);
  std::unordered_map<std::int64_t, std::size_t> place;
  Json ids = Json::array();
  for (std::size_t i = 0; i < runs.rows.size(); ++i) {
    place[*integer(runs.rows[i][0])] = i;
    ids.push_back(*integer(runs.rows[i][0]));
  }
  const std::string among = ids.dump();
  const Rows params =
      store.query("SELECT run_id, key, value, type FROM params WHERE run_id IN (SELECT value FROM json_each(?1))",
                  {among}, kLimits);
  const Rows tags = store.query(
      "SELECT run_id, name, value FROM tags WHERE run_id IN (SELECT value FROM json_each(?1))", {among}, kLimits);
  std::set<std::string> tag_names;
  for (const auto& row : tags.rows) tag_names.insert(text(row[1]));
  std::set<std::string> param_names;
  for (const auto& row : params.rows) param_names.insert(text(row[1]));

  Json columns = Json::array();
  for (const std::string& name : runs.columns) columns.push_back(name);
  std::unordered_map<std::string, std::size_t> param_place;
  for (const std::string& name : param_names) {
    param_place[name] = columns.size();
    columns.push_back("params." + name);
  }
  std::unordered_map<std::string, std::size_t> tag_place;
  for (const std::string& name : tag_names) {
    tag_place[name] = columns.size();
    columns.push_back("tags." + name);
  }
  const std::size_t first_metric = columns.size();
  for (const MetricColumn& column : metrics) columns.push_back(column.id);

  std::vector<std::vector<Json>> rows;
  rows.reserve(runs.rows.size());
  for (const auto& run : runs.rows) {
    auto& row = rows.emplace_back(columns.size());
    for (std::size_t i = 0; i < run.size(); ++i) row[i] = to_json(run[i]);
  }
  for (const auto& param : params.rows) {
    Json value = text(param[3]) == "boolean" && integer(param[2]) ? Json(*integer(param[2]) != 0) : to_json(param[2]);
    rows[place[*integer(param[0])]][param_place[text(param[1])]] = std::move(value);
  }
  for (const auto& tag : tags.rows)
    rows[place[*integer(tag[0])]][tag_place[text(tag[1])]] = text(tag[2]).empty() ? "✓" : text(tag[2]);
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    const std::string of = metrics[i].of == "best" ? (lower_is_better(metrics[i].key) ? "min" : "max") : metrics[i].of;
    store.read(
        "SELECT s.run_id, s." + of +
            " FROM json_each(?1) j CROSS JOIN summary_values s ON s.run_id = j.value AND s.key_id = (SELECT id FROM "
            "keys WHERE name = ?2)",
        {among, metrics[i].key}, kSeconds, [&](Statement& statement) {
          while (statement.step()) rows[place[statement.integer(0)]][first_metric + i] = to_json(statement.cell(1));
        });
  }
  std::int64_t cursor = query.integer("since", 0, 0, INT64_MAX);
  if (!runs.rows.empty()) cursor = std::max(cursor, *integer(runs.rows[0][0]));
  return {{"store", store.path()}, {"cursor", cursor}, {"columns", columns},
          {"keys", keys},          {"better", better}, {"rows", rows}};
}

Json page_run(Store& store, const PageQuery& query) {
  Json run = show_run(store, query.required("run"));
  const std::int64_t id = run["id"];
  const std::int64_t after = query.integer("event", -1, -1, INT64_MAX);
  Json events = Json::array();
  store.read("SELECT id, step, time, kind, name, detail FROM events WHERE run_id = ?1 AND id > ?2 ORDER BY id",
             {id, after}, kSeconds, [&](Statement& row) {
               while (row.step()) {
                 Json detail = row.null(5) ? Json() : Json::parse(row.text(5), nullptr, false);
                 events.push_back({{"id", row.integer(0)},
                                   {"step", to_json(row.cell(1))},
                                   {"time", row.text(2)},
                                   {"kind", row.text(3)},
                                   {"name", to_json(row.cell(4))},
                                   {"detail", detail.is_discarded() ? Json(row.text(5)) : std::move(detail)}});
               }
             });
  run["events"] = std::move(events);
  for (Json& summary : run["summaries"])
    summary["better"] = lower_is_better(summary["key"].get<std::string>()) ? "lower" : "higher";
  if (run["git_diff"].is_string())
    run["sources"].push_back({{"path", "uncommitted changes (git diff)"}, {"sha256", run["git_diff"]}});
  return run;
}

Json page_log(Store& store, const PageQuery& query) {
  constexpr std::int64_t kMost = 256 << 10;
  const Rows rows = store.query("SELECT uid FROM runs WHERE id = ?1", {store.resolve(query.required("run"))}, kLimits);
  const int file = open_beneath(store.folder(), text(rows.rows[0][0]) + "/log.txt");
  if (file < 0) return {{"from", 0}, {"next", 0}, {"text", ""}};
  struct stat status;
  ::fstat(file, &status);
  std::int64_t from = query.integer("from", std::max<std::int64_t>(0, status.st_size - kMost), 0, INT64_MAX);
  from = std::min<std::int64_t>(from, status.st_size);
  std::string read(static_cast<std::size_t>(std::min<std::int64_t>(kMost, status.st_size - from)), '\0');
  const ssize_t got = ::pread(file, read.data(), read.size(), from);
  ::close(file);
  read.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  return {{"from", from}, {"next", from + static_cast<std::int64_t>(read.size())}, {"text", read}};
}

Answer page_artifact(Store& store, const PageQuery& query) {
  const Rows rows = store.query(
      "SELECT r.uid, a.path FROM artifacts a JOIN runs r ON r.id = a.run_id WHERE a.run_id = ?1 AND a.path = ?2",
      {store.resolve(query.required("run")), query.required("path")}, kLimits);
  if (rows.rows.empty()) throw Error(Exit::missing, "artifact: not found");
  const int file = open_beneath(store.folder() + "/" + text(rows.rows[0][0]), text(rows.rows[0][1]));
  if (file < 0) throw Error(Exit::missing, "artifact: not found");
  struct stat status;
  ::fstat(file, &status);
  return {200, "application/octet-stream", "", file, status.st_size};
}

}  // namespace gradus::results
