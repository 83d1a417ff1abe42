#include "diff.h"

#include <algorithm>
#include <map>
#include <set>

#include "lineage.h"
#include "text_diff.h"
#include "utf8.h"

namespace gradus::results {
namespace {

struct Side {
  std::int64_t id;
  Json run;  // of show_run
};

// Entries of two objects that are not the same.
Json pairs(const Json& a, const Json& b) {
  std::set<std::string> keys;
  for (const Json* side : {&a, &b}) {
    for (const auto& [key, value] : side->items()) keys.insert(key);
  }
  Json different = Json::array();
  for (const std::string& key : keys) {
    const Json left = a.contains(key) ? a[key] : Json(), right = b.contains(key) ? b[key] : Json();
    if (left != right) different.push_back({{"key", key}, {"a", left}, {"b", right}});
  }
  return different;
}

Json environment(const Json& run) {
  Json all = Json::object();
  for (const char* key : {"script", "command", "device", "threads", "host", "git_commit", "git_dirty"})
    all[key] = run[key];
  if (run["versions"].is_object()) {
    for (const auto& [key, value] : run["versions"].items()) all["versions." + key] = value;
  }
  return all;
}

// Path to sha256 of every text that a run was made from.
std::map<std::string, std::string> sources(const Json& run) {
  std::map<std::string, std::string> all;
  for (const Json& source : run["sources"]) all[source["path"]] = source["sha256"];
  if (run["git_diff"].is_string()) all["uncommitted changes (git diff)"] = run["git_diff"];
  return all;
}

std::string source_text(Store& store, const std::string& sha256) {
  if (sha256.empty()) return "";
  const Rows rows = store.query("SELECT text FROM sources WHERE sha256 = ?1", {sha256});
  return rows.rows.empty() ? "" : utf8(std::get<std::string>(rows.rows[0][0]));
}

Json source_differences(Store& store, const Side& a, const Side& b) {
  std::map<std::string, std::string> left = sources(a.run), right = sources(b.run);
  // One script at two paths is one source.
  const auto& script_a = a.run["script"];
  const auto& script_b = b.run["script"];
  if (script_a.is_string() && script_b.is_string() && script_a != script_b && left.count(script_a) &&
      right.count(script_b)) {
    const auto moved = right.extract(script_b.get<std::string>());
    right[script_a] = moved.mapped();
  }
  std::set<std::string> paths;
  for (const auto& [path, sha256] : left) paths.insert(path);
  for (const auto& [path, sha256] : right) paths.insert(path);
  Json all = Json::array();
  for (const std::string& path : paths) {
    const std::string one = left[path], other = right[path];
    if (one == other) continue;
    all.push_back({{"path", path},
                   {"a", one.empty() ? Json() : Json(one)},
                   {"b", other.empty() ? Json() : Json(other)},
                   {"diff", unified_diff(source_text(store, one), source_text(store, other),
                                         "run " + std::to_string(a.id) + "/" + path,
                                         "run " + std::to_string(b.id) + "/" + path)}});
  }
  return all;
}

// Steps and names of one kind of event.
Json events(const Json& run, const std::string& kind) {
  Json all = Json::array();
  for (const Json& event : run["events"]) {
    if (event["kind"] == kind) all.push_back({{"step", event["step"]}, {"name", event["name"]}});
  }
  return all;
}

Json data_sets(const Json& run) {
  Json all = Json::object();
  for (const Json& event : run["events"]) {
    if (event["kind"] == "data" && event["name"].is_string()) all[event["name"].get<std::string>()] = event["detail"];
  }
  return all;
}

Json last_event(const Json& run, std::int64_t step) {
  Json last;
  for (const Json& event : run["events"]) {
    const bool decides = event["kind"] == "stage" || event["kind"] == "decision";
    if (!decides || !event["step"].is_number() || event["step"].get<std::int64_t>() > step) continue;
    if (last.is_null() || event["step"] >= last["step"]) last = event;
  }
  if (last.is_object()) last.erase("time");
  return last;
}

bool measures_time(const std::string& key) {
  for (const char* word : {"seconds", "wall", "per_second"}) {
    if (key.find(word) != std::string::npos) return true;
  }
  return false;
}

// Shared metrics that part, earliest first, and the names of those that are the same wherever both have them.
void compare_curves(Store& store, const Side& a, const Side& b, Json& different, Json& identical) {
  std::map<std::string, const Json*> other;
  for (const Json& summary : b.run["summaries"]) other[summary["key"]] = &summary;
  different = identical = Json::array();
  for (const Json& summary : a.run["summaries"]) {
    const std::string key = summary["key"];
    if (other.count(key) == 0 || measures_time(key)) continue;
    const auto first = [&](const char* where) {
      return store.query(
          "SELECT x.step, x.value, y.value FROM metric_values x JOIN metric_values y ON y.run_id = ?2 AND y.key_id = "
          "x.key_id AND y.step = x.step WHERE x.run_id = ?1 AND x.key_id = (SELECT id FROM keys WHERE name = ?3)" +
              std::string(where) + " ORDER BY x.step LIMIT 1",
          {a.id, b.id, key});
    };
    const Rows rows = first(" AND x.value IS NOT y.value");
    if (rows.rows.empty()) {
      if (!first("").rows.empty()) identical.push_back(key);
      continue;
    }
    different.push_back({{"key", key},
                         {"step", to_json(rows.rows[0][0])},
                         {"a", to_json(rows.rows[0][1])},
                         {"b", to_json(rows.rows[0][2])},
                         {"last_a", summary["last"]},
                         {"last_b", (*other[key])["last"]}});
  }
  std::stable_sort(different.begin(), different.end(),
                   [](const Json& x, const Json& y) { return x["step"] < y["step"]; });
}

}  // namespace

Json diff_runs(Store& store, const std::string& first, const std::string& second) {
  const Side a{store.resolve(first), show_run(store, first)}, b{store.resolve(second), show_run(store, second)};
  Json json = Json::object();
  json["a"] = {{"id", a.id}, {"uid", a.run["uid"]}, {"name", a.run["name"]}};
  json["b"] = {{"id", b.id}, {"uid", b.run["uid"]}, {"name", b.run["name"]}};
  json["lineage"] = common_past(store, a.id, b.id);
  if (json["lineage"].is_object()) json["lineage"]["text"] = common_past_text(json["lineage"]);
  Json params_a = a.run["params"], params_b = b.run["params"];
  params_a["seed"] = a.run["seed"];
  params_b["seed"] = b.run["seed"];
  json["params"] = pairs(params_a, params_b);
  json["environment"] = pairs(environment(a.run), environment(b.run));
  json["data"] = pairs(data_sets(a.run), data_sets(b.run));
  json["sources"] = source_differences(store, a, b);
  json["same_code"] =
      json["sources"].empty() && std::none_of(json["environment"].begin(), json["environment"].end(),
                                              [](const Json& pair) { return pair["key"] == "versions.stdlib"; });

  Json different, identical, knobs = Json::array(), metrics = Json::array();
  compare_curves(store, a, b, different, identical);
  for (const Json& one : different) {
    const bool knob = one["key"].get<std::string>().starts_with("knob/");
    (knob ? knobs : metrics).push_back(one);
  }
  Json schedule = {{"stages", {{"a", events(a.run, "stage")}, {"b", events(b.run, "stage")}}},
                   {"decisions", {{"a", events(a.run, "decision")}, {"b", events(b.run, "decision")}}}};
  schedule["same"] = schedule["stages"]["a"] == schedule["stages"]["b"] &&
                     schedule["decisions"]["a"] == schedule["decisions"]["b"] && knobs.empty();
  schedule["knobs"] = knobs;
  json["schedule"] = schedule;
  json["metrics"] = metrics;
  json["identical"] = identical;
  json["parts"] = nullptr;
  json["before"] = {{"a", nullptr}, {"b", nullptr}};
  if (!different.empty()) {
    const Json& one = different[0];
    json["parts"] = {{"step", one["step"]}, {"key", one["key"]}, {"a", one["a"]}, {"b", one["b"]}};
    json["before"] = {{"a", last_event(a.run, one["step"])}, {"b", last_event(b.run, one["step"])}};
  }
  return json;
}

}  // namespace gradus::results
