#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "compare_impl.h"
#include "error.h"
#include "names.h"
#include "stages.h"

namespace gradus::results {
namespace {

// One stage of a group: the rows of its runs.
struct Place {
  std::string name;
  int visit = 1;
  double from = 0;  // the mean over runs: the order
  std::vector<std::int64_t> runs = {};
  std::vector<Json> rows = {};
};

void check_options(const CompareOptions& options) {
  const std::pair<const char*, bool> given[] = {{"--versus", !options.versus.empty()},
                                                {"--at", options.at.has_value()},
                                                {"--auc", options.auc},
                                                {"--threshold", options.threshold.has_value()},
                                                {"--margin", !options.margins.empty()}};
  for (const auto& [name, is] : given) {
    if (is)
      throw Error(Exit::usage, std::string(name) + ": has no meaning with --by stage; expected other columns for it");
  }
}

std::vector<Place> places_of(Store& store, const RunGroup& group) {
  std::map<std::pair<std::string, int>, Place> places;
  for (const ComparedRun* run : group.runs) {
    const Json table = stage_table(store, run->id);
    for (const Json& row : table) {
      Place& place = places[{row["name"].get<std::string>(), row["visit"].get<int>()}];
      place.name = row["name"], place.visit = row["visit"];
      place.from += row["from"].get<double>();
      place.runs.push_back(run->id);
      place.rows.push_back(row);
    }
  }
  std::vector<Place> sorted;
  for (auto& [key, place] : places) {
    place.from /= static_cast<double>(place.rows.size());
    sorted.push_back(std::move(place));
  }
  std::stable_sort(sorted.begin(), sorted.end(), [](const Place& a, const Place& b) { return a.from < b.from; });
  return sorted;
}

Json spread_of(const std::vector<Json>& rows, const std::function<Json(const Json&)>& value,
               const CompareOptions& options) {
  std::vector<double> numbers;
  for (const Json& row : rows) {
    const Json one = value(row);
    if (one.is_number() && std::isfinite(one.get<double>())) numbers.push_back(one.get<double>());
  }
  return spread_json(numbers, options);
}

Json by_key(const std::vector<Json>& rows, const char* part, const CompareOptions& options) {
  std::set<std::string> keys;
  for (const Json& row : rows) {
    for (const auto& [key, value] : row[part].items()) keys.insert(key);
  }
  Json all = Json::object();
  for (const std::string& key : keys) {
    all[key] = spread_of(
        rows, [&](const Json& row) { return row[part].contains(key) ? row[part][key] : Json(); }, options);
  }
  return all;
}

Json place_json(const RunGroup& group, const Place& place, const CompareOptions& options) {
  Json json = {{"label", group.label},   {"stage", place.name},        {"visit", place.visit},
               {"n", place.rows.size()}, {"total", group.runs.size()}, {"runs", place.runs}};
  for (const char* part : {"steps", "rows", "samples", "flops", "seconds", "loss", "acc"})
    json[part] = spread_of(
        place.rows, [&](const Json& row) { return row[part]; }, options);
  for (const char* part : {"values", "change", "teacher"}) json[part] = by_key(place.rows, part, options);
  return json;
}

}  // namespace

bool is_by_stage(Store& store, const std::vector<std::string>& by) {
  const std::vector<std::string> params = param_names(store);
  return std::find(by.begin(), by.end(), "stage") != by.end() &&
         std::find(params.begin(), params.end(), "stage") == params.end();
}

Json compare_stages(Store& store, const CompareOptions& given) {
  CompareOptions options = given;
  check_options(options);
  std::erase(options.by, "stage");
  const std::vector<ComparedRun> runs = compared_runs(store, options);
  for (std::string& key : options.metrics)
    key = runs.empty() ? key : resolve_metric(store, key, "compare", options.filter.notes);
  const Groups groups = group_runs(store, runs, options.by);
  Json json = {{"by", groups.by}, {"metrics", options.metrics}, {"groups", Json::array()}, {"lost", groups.outdated}};
  json["by"].push_back("stage");
  for (const RunGroup& group : groups.groups) {
    json["lost"] = json["lost"].get<std::size_t>() + group.lost.size();
    for (const Place& place : places_of(store, group)) json["groups"].push_back(place_json(group, place, options));
  }
  if (options.metrics.empty()) {
    for (const Measured& set : measured_sets(json["groups"])) json["metrics"].push_back(set.key);
  }
  return json;
}

}  // namespace gradus::results
