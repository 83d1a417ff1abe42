#include "query.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <unordered_map>

#include "error.h"
#include "lineage.h"
#include "stages.h"
#include "store/snapshot_files.h"
#include "utf8.h"
#include "where.h"

namespace gradus::results {

Json to_json(double value) {
  if (std::isnan(value)) return nullptr;
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

Json to_json(const Cell& cell) {
  switch (cell.index()) {
    case 0:
      return nullptr;
    case 1:
      return std::get<std::int64_t>(cell);
    case 2:
      return to_json(std::get<double>(cell));
    default:
      return utf8(std::get<std::string>(cell));
  }
}

Json to_json(const Rows& rows) {
  std::vector<std::string> names;
  for (const std::string& column : rows.columns) {  // the second "a" of a join is "a:1", as SQLite's own shell has it
    std::string name = column;
    for (int k = 1; std::find(names.begin(), names.end(), name) != names.end(); ++k)
      name = column + ":" + std::to_string(k);
    names.push_back(std::move(name));
  }
  Json all = Json::array();
  for (const auto& row : rows.rows) {
    Json object = Json::object();
    for (std::size_t i = 0; i < row.size(); ++i) object[names[i]] = to_json(row[i]);
    all.push_back(std::move(object));
  }
  return all;
}

std::string dump(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

namespace {

std::int64_t integer(const Cell& cell) { return std::get<std::int64_t>(cell); }
std::string text(const Cell& cell) { return utf8(std::get<std::string>(cell)); }

Json typed_value(const Cell& value, const std::string& type) {
  if (type == "boolean" && value.index() == 1) return integer(value) != 0;
  return to_json(value);
}

Json parsed(const Cell& cell) {  // JSON text as JSON; something else stays text
  if (cell.index() != 3) return nullptr;
  Json json = Json::parse(text(cell), nullptr, false);
  return json.is_discarded() ? Json(text(cell)) : json;
}

}  // namespace

Json list_runs(Store& store, const RunFilter& filter) {
  Condition condition = parse_where(store, filter.where);
  if (filter.notes != nullptr) *filter.notes = condition.notes;
  if (!filter.children) condition.sql = "(" + condition.sql + ") AND r.parent IS NULL";
  if (!filter.archived && !condition.archived) condition.sql = "(" + condition.sql + ") AND r.archived IS NULL";
  const std::string limit = filter.limit > 0 ? " LIMIT " + std::to_string(filter.limit) : "";
  const Rows rows = store.query(
      "SELECT r.id, r.uid, r.name, r.kind, r.status, r.seed, r.started, r.ended, r.seconds, r.parent, r.config_hash, "
      "r.device, "
      "(SELECT p.step FROM progress p WHERE p.run_id = r.id ORDER BY p.step DESC LIMIT 1) AS step, r.error, "
      "r.note, r.archived, (SELECT f.origin FROM forks f WHERE f.run_id = r.id) AS origin FROM runs r WHERE " +
          condition.sql + " ORDER BY r.id DESC" + limit,
      condition.args);
  Json ids = Json::array();
  Json runs = Json::array();
  std::unordered_map<std::int64_t, std::size_t> place;
  Json newest = to_json(rows);
  for (auto run = newest.rbegin(); run != newest.rend(); ++run) {
    ids.push_back((*run)["id"]);
    place[(*run)["id"].get<std::int64_t>()] = runs.size();
    (*run)["tags"] = Json::object();
    (*run)["params"] = Json::object();
    (*run)["last"] = Json::object();
    runs.push_back(std::move(*run));
  }
  for (const auto& row :
       store
           .query("SELECT run_id, name, value FROM tags WHERE run_id IN (SELECT value FROM json_each(?1))",
                  {ids.dump()})
           .rows) {
    runs[place[integer(row[0])]]["tags"][text(row[1])] = text(row[2]);
  }
  const auto each = [&](const std::string& select, const std::optional<std::vector<std::string>>& names,
                        const std::function<void(const std::vector<Cell>&)>& body) {
    if (names && names->empty()) return;
    std::vector<Cell> args = {ids.dump()};
    if (names) args.emplace_back(Json(*names).dump());
    const std::string only = names ? " AND key IN (SELECT value FROM json_each(?2))" : "";
    const std::string among = " WHERE run_id IN (SELECT value FROM json_each(?1))" + only + " ORDER BY run_id, key";
    for (const auto& row : store.query(select + among, args).rows) body(row);
  };
  each("SELECT run_id, key, value, type FROM params", filter.params, [&](const auto& row) {
    runs[place[integer(row[0])]]["params"][text(row[1])] = typed_value(row[2], text(row[3]));
  });
  each("SELECT run_id, key, last FROM summaries", filter.metrics,
       [&](const auto& row) { runs[place[integer(row[0])]]["last"][text(row[1])] = to_json(row[2]); });
  return runs;
}

Json show_run(Store& store, const std::string& run) {
  const std::vector<Cell> id = {store.resolve(run)};
  Json shown = to_json(store.query("SELECT * FROM runs WHERE id = ?1", id))[0];
  if (shown["versions"].is_string()) shown["versions"] = parsed(shown["versions"].get<std::string>());
  if (shown["git_dirty"].is_number()) shown["git_dirty"] = shown["git_dirty"] != 0;
  shown["folder"] = utf8(store.folder()) + "/" + shown["uid"].get<std::string>();
  shown["tags"] = Json::object();
  for (const auto& row : store.query("SELECT name, value FROM tags WHERE run_id = ?1 ORDER BY name", id).rows)
    shown["tags"][text(row[0])] = text(row[1]);
  shown["params"] = Json::object();
  for (const auto& row : store.query("SELECT key, value, type FROM params WHERE run_id = ?1 ORDER BY key", id).rows) {
    shown["params"][text(row[0])] = typed_value(row[1], text(row[2]));
  }
  const Json progress = to_json(store.query(
      "SELECT step, epoch, samples, flops, seconds FROM progress WHERE run_id = ?1 ORDER BY step DESC LIMIT 1", id));
  shown["progress"] = progress.empty() ? Json() : progress[0];
  shown["summaries"] =
      to_json(store.query("SELECT key, last, min, max, argmin, argmax, count, last_step, nans FROM summaries WHERE "
                          "run_id = ?1 ORDER BY key",
                          id));
  shown["events"] = Json::array();
  const Rows events =
      store.query("SELECT step, time, kind, name, detail FROM events WHERE run_id = ?1 ORDER BY id", id);
  for (const auto& row : events.rows) {
    shown["events"].push_back({{"step", to_json(row[0])},
                               {"time", to_json(row[1])},
                               {"kind", to_json(row[2])},
                               {"name", to_json(row[3])},
                               {"detail", parsed(row[4])}});
  }
  shown["stages"] = stage_table(store, integer(id[0]));
  shown["children"] = to_json(store.query(
      "SELECT id, name, kind, status, (SELECT min(step) FROM progress WHERE run_id = r.id) AS \"from\", (SELECT "
      "max(step) FROM progress WHERE run_id = r.id) AS \"to\" FROM runs r WHERE parent = ?1 ORDER BY id",
      id));
  shown["origin"] = origin_of(store, integer(id[0]));
  shown["forks"] = forks_of(store, integer(id[0]));
  shown["sources"] =
      to_json(store.query("SELECT path, sha256, length(CAST(text AS BLOB)) AS bytes FROM run_sources JOIN sources "
                          "USING (sha256) WHERE run_id = ?1 ORDER BY path",
                          id));
  shown["artifacts"] =
      to_json(store.query("SELECT kind, path, sha256, bytes FROM artifacts WHERE run_id = ?1 ORDER BY path", id));
  shown["snapshots"] = Json::array();
  for (const SnapshotFile& file : snapshot_files(store.folder() + "/" + shown["uid"].get<std::string>()))
    shown["snapshots"].push_back({{"snapshot", file.name}, {"bytes", file.bytes}});
  return shown;
}

}  // namespace gradus::results
