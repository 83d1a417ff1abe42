#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "compare_impl.h"
#include "error.h"
#include "query.h"
#include "where.h"

namespace gradus::results {

Threshold parse_threshold(const std::string& text) {
  const std::size_t at = text.find_first_of("<>");
  const bool shaped = at != std::string::npos && at + 1 < text.size() && text[at + 1] == '=';
  char* end = nullptr;
  Threshold t;
  if (shaped) {
    t.key = text.substr(0, text.find_last_not_of(' ', at - 1) + 1);
    t.at_least = text[at] == '>';
    t.value = std::strtod(text.c_str() + at + 2, &end);
  }
  if (!shaped || !valid_key(t.key) || end == text.c_str() + at + 2 || *end != '\0' || !std::isfinite(t.value)) {
    throw Error(Exit::usage, "--threshold: expected METRIC>=NUMBER or METRIC<=NUMBER; got '" + text + "'");
  }
  return t;
}

Budget parse_budget(const std::string& text) {
  const std::size_t at = text.find('=');
  Budget budget{text.substr(0, std::min(at, text.size())), 0};
  char* end = nullptr;
  if (at != std::string::npos) budget.value = std::strtod(text.c_str() + at + 1, &end);
  const bool known =
      budget.axis == "step" || budget.axis == "samples" || budget.axis == "flops" || budget.axis == "seconds";
  if (!known || end == text.c_str() + at + 1 || *end != '\0' || !std::isfinite(budget.value)) {
    throw Error(Exit::usage, "--at: expected step=N, samples=N, flops=X or seconds=S; got '" + text + "'");
  }
  return budget;
}

namespace {

using Run = ComparedRun;
using Group = RunGroup;

Json param(const Run& run, const std::string& key) {
  const Json& params = run.row["params"];
  if (params.contains(key)) return params[key];
  return run.row.contains(key) ? run.row[key] : Json();
}

std::vector<Run> load(Store& store, const CompareOptions& options) {
  std::vector<Run> runs;
  std::map<std::int64_t, std::size_t> place;
  Json ids = Json::array();
  RunFilter filter = options.filter;
  filter.metrics.emplace();
  Json rows_of_runs = list_runs(store, filter);
  for (Json& row : rows_of_runs) {
    if (!options.unfinished && row["status"] != "finished") continue;
    const std::int64_t id = row["id"];
    place[id] = runs.size();
    ids.push_back(id);
    runs.push_back({id, std::move(row), {}});
  }
  const Rows rows = store.query(
      "SELECT run_id, key, last, min, max, count FROM summaries WHERE run_id IN (SELECT value FROM json_each(?1))",
      {ids.dump()});
  const auto real = [](const Cell& cell) {
    const double* value = std::get_if<double>(&cell);
    return value != nullptr ? *value : std::numeric_limits<double>::quiet_NaN();
  };
  for (const auto& row : rows.rows) {
    runs[place[std::get<std::int64_t>(row[0])]].curves[std::get<std::string>(row[1])] = {
        real(row[2]), real(row[3]), real(row[4]), std::get<std::int64_t>(row[5])};
  }
  return runs;
}

std::vector<std::string> default_metrics(const std::vector<Run>& runs) {
  std::set<std::string> results, validations, all;
  for (const Run& run : runs) {
    for (const auto& [key, curve] : run.curves) {
      all.insert(key);
      if (key.rfind("result/", 0) == 0) results.insert(key);
      if (key.rfind("val/", 0) == 0) validations.insert(key);
    }
  }
  if (!results.empty()) return {results.begin(), results.end()};
  if (all.count("val/acc") != 0) return {"val/acc"};
  if (!validations.empty()) return {validations.begin(), validations.end()};
  if (all.count("train/loss") != 0) return {"train/loss"};
  return {};
}

void check_metrics(const std::vector<Run>& runs, const std::vector<std::string>& metrics) {
  std::set<std::string> known;
  for (const Run& run : runs) {
    for (const auto& [key, curve] : run.curves) known.insert(key);
  }
  for (const std::string& metric : metrics) {
    if (known.count(metric) != 0 || runs.empty()) continue;
    const std::string near = nearest(metric, {known.begin(), known.end()});
    throw Error(Exit::usage, "compare: no run has the metric '" + metric + "'" +
                                 (near.empty() ? "" : " (did you mean '" + near + "'?)"));
  }
}

// Parameters (never the seed) that are not the same in all of these runs.
std::vector<std::string> differing(const std::vector<const Run*>& runs) {
  std::map<std::string, std::set<std::string>> values;
  std::map<std::string, std::size_t> seen;
  for (const Run* run : runs) {
    for (const auto& [key, value] : run->row["params"].items()) {
      if (key == "seed") continue;
      values[key].insert(value.dump());
      ++seen[key];
    }
  }
  std::vector<std::string> keys;
  for (const auto& [key, set] : values) {
    if (set.size() > 1 || seen[key] != runs.size()) keys.push_back(key);
  }
  return keys;
}

std::vector<const Run*> pointers(const std::vector<Run>& runs) {
  std::vector<const Run*> all;
  for (const Run& run : runs) all.push_back(&run);
  return all;
}

// The columns that tell the groups apart when the user names none: strategy (or name), then whatever else differs.
std::vector<std::string> default_by(const std::vector<Run>& runs) {
  const bool strategies =
      std::any_of(runs.begin(), runs.end(), [](const Run& run) { return run.row["params"].contains("strategy"); });
  std::set<std::string> names, configs;
  for (const Run& run : runs) names.insert(run.row["name"].get<std::string>());
  std::vector<std::string> by;
  if (names.size() > 1 || !strategies) by.push_back("name");
  if (strategies) by.push_back("strategy");
  for (const std::string& key : differing(pointers(runs))) {
    if (key != "strategy") by.push_back(key);
  }
  return by;
}

std::vector<Group> group(const std::vector<Run>& runs, std::vector<std::string>& by, bool exact) {
  std::vector<Group> groups;
  std::map<std::string, std::size_t> place;
  for (const Run& run : runs) {
    Json label = Json::object();
    for (const std::string& column : by) label[column] = param(run, column);
    const std::string key = label.dump() + (exact ? "" : run.row["config_hash"].dump());
    const auto [found, fresh] = place.emplace(key, groups.size());
    if (fresh) groups.push_back({label, {}, 0});
    groups[found->second].runs.push_back(&run);
  }
  // The same parameters under different code or data: the configuration's hash tells them apart.
  std::set<std::string> labels;
  for (const Group& g : groups) labels.insert(g.label.dump());
  if (labels.size() < groups.size()) {
    by.push_back("config");
    for (Group& g : groups) {
      const Json& hash = g.runs[0]->row["config_hash"];
      g.label["config"] = hash.is_string() ? Json(hash.get<std::string>().substr(0, 8)) : Json();
    }
  }
  return groups;
}

void drop_repetitions(Group& group) {
  std::set<std::string> seen;
  std::vector<const Run*> kept;
  for (auto run = group.runs.rbegin(); run != group.runs.rend(); ++run) {
    const Json& row = (*run)->row;
    const bool comparable = row["config_hash"].is_string() && row["seed"].is_number();
    if (comparable && !seen.insert(row["config_hash"].dump() + row["seed"].dump() + row["kind"].dump()).second) {
      ++group.repeated;
    } else {
      kept.push_back(*run);
    }
  }
  group.runs.assign(kept.rbegin(), kept.rend());
}

Json spread_json(const std::vector<double>& values, const CompareOptions& options) {
  const Spread s = spread(values);
  Json json = {{"n", s.n}, {"mean", to_json(s.mean)}, {"sd", to_json(s.sd)}};
  if (options.ci.empty()) return json;
  const Interval i = options.ci == "t" ? t_interval(s, options.level) : bootstrap_interval(values, options.level);
  json["low"] = to_json(i.low);
  json["high"] = to_json(i.high);
  return json;
}

// The group's numbers that are not NaN.
std::vector<double> of_group(const Group& group, const RunValues& values) {
  std::vector<double> numbers;
  for (const Run* run : group.runs) {
    const auto found = values.find(run->id);
    if (found != values.end() && !std::isnan(found->second)) numbers.push_back(found->second);
  }
  return numbers;
}

// What a metric is compared by: last, best of curves, and what was asked for.
std::vector<Measure> measures_of(Store& store, const std::vector<Run>& runs, const std::string& key,
                                 const CompareOptions& options, const RunValues& budget) {
  const Better better = direction(store, key).better;
  Measure last{key, "last", better, {}}, best{key, "best", better, {}};
  bool curve = false;
  for (const Run& run : runs) {
    const auto found = run.curves.find(key);
    if (found == run.curves.end()) continue;
    curve = curve || found->second.count > 1;
    last.values[run.id] = found->second.last;
    if (better != Better::unknown)
      best.values[run.id] = better == Better::lower ? found->second.min : found->second.max;
  }
  std::vector<Measure> all = {last, best};
  if (options.at && curve) all.push_back({key, "at", better, values_at(store, key, budget)});
  if (options.auc && curve) all.push_back({key, "auc", better, areas(store, runs, key)});
  return all;
}

Json metric_json(const Group& group, const std::vector<Measure>& measures, const std::string& key,
                 const CompareOptions& options) {
  Json json = Json::object();
  for (const Measure& measure : measures) {
    if (measure.metric == key && measure.name.find("_to") == std::string::npos)
      json[measure.name] = spread_json(of_group(group, measure.values), options);
    if (measure.metric != key || measure.name != "best") continue;
    double value = std::numeric_limits<double>::quiet_NaN();
    Json where;
    for (const Run* run : group.runs) {
      const auto found = measure.values.find(run->id);
      if (found == measure.values.end() || !improves(measure.better, found->second, value)) continue;
      value = found->second;
      where = run->id;
    }
    json["best"]["value"] = to_json(value);
    json["best"]["run"] = where;
  }
  bool curve = false;
  for (const Run* run : group.runs) {
    const auto found = run->curves.find(key);
    curve = curve || (found != run->curves.end() && found->second.count > 1);
  }
  json["curve"] = curve;
  return json;
}

// Steps, samples, FLOPs and seconds to the threshold.
std::vector<Measure> threshold_measures(Store& store, const std::vector<Run>& runs, const Threshold& threshold) {
  const RunValues steps = first_steps(store, runs, threshold);
  std::vector<Measure> all = {{threshold.key, "steps_to", Better::lower, steps}};
  for (auto& [column, values] : spent_at(store, steps))
    all.push_back({threshold.key, column + "_to", Better::lower, std::move(values)});
  return all;
}

Json to_threshold_json(const Group& group, const RunValues& values, const CompareOptions& options) {
  Json json = spread_json(of_group(group, values), options);
  json["reached"] = json["n"];
  json["n"] = group.runs.size();
  return json;
}

// Where a metric has one value a run, its best is its last: one comparison, not two.
std::vector<Measure> without_duplicates(std::vector<Measure> measures) {
  std::vector<Measure> kept;
  for (Measure& measure : measures) {
    const bool same = measure.name == "best" && !kept.empty() &&
                      (measure.better == Better::unknown || kept.back().values == measure.values);
    if (!same) kept.push_back(std::move(measure));
  }
  return kept;
}

}  // namespace

Json compare(Store& store, const CompareOptions& given) {
  CompareOptions options = given;
  const std::vector<Run> runs = load(store, options);
  const auto known_metric = [&](const std::string& key) {
    return runs.empty() ? key : resolve_metric(store, key, "compare", options.filter.notes);
  };
  for (std::string& key : options.metrics) key = known_metric(key);
  if (options.threshold) options.threshold->key = known_metric(options.threshold->key);
  std::vector<std::string> metrics = options.metrics.empty() ? default_metrics(runs) : options.metrics;
  check_metrics(runs, metrics);
  if (options.threshold) check_metrics(runs, {options.threshold->key});
  std::vector<std::string> by = options.by;
  for (const std::string& column : by) {
    const bool known = runs.empty() || std::any_of(runs.begin(), runs.end(), [&](const Run& run) {
                         return run.row["params"].contains(column) || run.row.contains(column);
                       });
    if (known) continue;
    const std::string near = nearest(column, param_names(store));
    throw Error(Exit::usage, "--by: no run has the parameter '" + column + "'" +
                                 (near.empty() ? "" : " (did you mean '" + near + "'?)"));
  }
  if (by.empty()) by = default_by(runs);

  std::vector<Group> groups = group(runs, by, !options.by.empty());
  for (Group& g : groups) drop_repetitions(g);
  std::vector<Measure> measures;
  const RunValues budget = options.at ? budget_steps(store, runs, *options.at) : RunValues();
  for (const std::string& key : metrics) {
    for (Measure& measure : measures_of(store, runs, key, options, budget)) measures.push_back(std::move(measure));
  }
  std::vector<Measure> to_threshold;
  if (options.threshold) to_threshold = threshold_measures(store, runs, *options.threshold);

  Json json = {
      {"by", by}, {"metrics", Json::array()}, {"threshold", nullptr}, {"at", nullptr}, {"groups", Json::array()}};
  for (const std::string& key : metrics) {
    const Direction known = direction(store, key);
    const char* better = to_text(known.better);
    json["metrics"].push_back({{"key", key},
                               {"better", better != nullptr ? Json(better) : Json()},
                               {"source", better == nullptr ? Json() : Json(known.said ? "said" : "name")}});
  }
  if (options.threshold) {
    const Threshold& t = *options.threshold;
    json["threshold"] = {{"key", t.key}, {"op", t.at_least ? ">=" : "<="}, {"value", t.value}};
  }
  if (options.at) json["at"] = {{"axis", options.at->axis}, {"value", options.at->value}};
  for (const Group& g : groups) {
    Json one = {{"label", g.label},
                {"n", g.runs.size()},
                {"runs", Json::array()},
                {"seeds", Json::array()},
                {"repeated", g.repeated}};
    for (const Run* run : g.runs) {
      one["runs"].push_back(run->id);
      one["seeds"].push_back(run->row["seed"]);
    }
    one["mixed"] = Json::array();
    for (const std::string& key : differing(g.runs)) {
      if (std::find(by.begin(), by.end(), key) == by.end()) one["mixed"].push_back(key);
    }
    one["metrics"] = Json::object();
    for (const std::string& key : metrics) one["metrics"][key] = metric_json(g, measures, key, options);
    one["steps_to"] = nullptr;
    for (const Measure& measure : to_threshold) one[measure.name] = to_threshold_json(g, measure.values, options);
    json["groups"].push_back(std::move(one));
  }
  json["versus"] = nullptr;
  if (!options.versus.empty() && !groups.empty()) {
    std::vector<Measure> shown = without_duplicates(std::move(measures));
    for (Measure& measure : to_threshold) shown.push_back(std::move(measure));
    json["versus"] = versus(groups, by, shown, options);
  }
  return json;
}

}  // namespace gradus::results
