#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "error.h"
#include "query.h"
#include "where.h"

namespace gradus::results {

Spread spread(const std::vector<double>& values) {
  Spread s{0, 0, std::numeric_limits<double>::quiet_NaN()};
  for (const double v : values) {
    if (!std::isnan(v)) s.mean += v, ++s.n;
  }
  s.mean = s.n > 0 ? s.mean / s.n : std::numeric_limits<double>::quiet_NaN();
  double rest = 0;  // of the rounding, so that equal values have no spread at all
  for (const double v : values) {
    if (!std::isnan(v)) rest += v - s.mean;
  }
  if (std::isfinite(rest)) s.mean += rest / s.n;
  if (s.n < 2) return s;
  double squares = 0;
  for (const double v : values) {
    if (!std::isnan(v)) squares += (v - s.mean) * (v - s.mean);
  }
  s.sd = std::sqrt(squares / (s.n - 1));
  return s;
}

bool lower_is_better(const std::string& key) {
  static const std::set<std::string> kLess = {"loss",  "ce",    "kl",      "jsd",        "mse",        "mae",
                                              "nll",   "err",   "error",   "ece",        "perplexity", "seconds",
                                              "steps", "flops", "samples", "forgetting", "nan",        "gap"};
  std::string word;  // any word of the last part of the path
  const std::string part = key.substr(key.rfind('/') + 1) + "_";
  for (const char c : part) {
    if (c != '_' && c != '-' && c != '.') {
      word += c;
    } else if (kLess.count(word) != 0) {
      return true;
    } else {
      word.clear();
    }
  }
  return false;
}

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

namespace {

struct Curve {
  double last, min, max;
  std::int64_t count;
};
using Curves = std::map<std::string, Curve>;  // by metric

struct Run {
  std::int64_t id;
  Json row;  // of list_runs
  Curves curves;
};

struct Group {
  Json label;
  std::vector<const Run*> runs;
  int repeated = 0;
};

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
  filter.last = false;
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
    if (comparable && !seen.insert(row["config_hash"].dump() + row["seed"].dump()).second) {
      ++group.repeated;
    } else {
      kept.push_back(*run);
    }
  }
  group.runs.assign(kept.rbegin(), kept.rend());
}

Json spread_json(const std::vector<double>& values) {
  const Spread s = spread(values);
  return {{"n", s.n}, {"mean", to_json(s.mean)}, {"sd", to_json(s.sd)}};
}

Json metric_json(const Group& group, const std::string& key) {
  const bool lower = lower_is_better(key);
  std::vector<double> last, best;
  double value = std::numeric_limits<double>::quiet_NaN();
  Json where;
  bool curve = false;
  for (const Run* run : group.runs) {
    const auto found = run->curves.find(key);
    if (found == run->curves.end()) continue;
    curve = curve || found->second.count > 1;
    last.push_back(found->second.last);
    best.push_back(lower ? found->second.min : found->second.max);
    if (std::isnan(value) || (lower ? best.back() < value : best.back() > value)) {
      value = best.back();
      where = run->id;
    }
  }
  Json json = {{"last", spread_json(last)}, {"best", spread_json(best)}, {"curve", curve}};
  json["best"]["value"] = to_json(value);
  json["best"]["run"] = where;
  return json;
}

// First step at which each run reached the threshold; runs that never did are absent. One statement: a walk along one
// curve per run.
std::map<std::int64_t, double> first_steps(Store& store, const std::vector<Run>& runs, const Threshold& t) {
  Json ids = Json::array();
  for (const Run& run : runs) {
    const auto found = run.curves.find(t.key);
    const bool reached =
        found != run.curves.end() && (t.at_least ? found->second.max >= t.value : found->second.min <= t.value);
    if (reached) ids.push_back(run.id);  // the summary knows who did
  }
  const Rows rows = store.query(std::string("SELECT j.value, (SELECT v.step FROM metric_values v WHERE v.run_id = "
                                            "j.value AND v.key_id = k.id AND v.value ") +
                                    (t.at_least ? ">=" : "<=") +
                                    " ?3 ORDER BY v.step LIMIT 1) FROM keys k, json_each(?1) j WHERE k.name = ?2",
                                {ids.dump(), t.key, t.value});
  std::map<std::int64_t, double> steps;
  for (const auto& row : rows.rows) {
    if (row[1].index() == 1)
      steps[std::get<std::int64_t>(row[0])] = static_cast<double>(std::get<std::int64_t>(row[1]));
  }
  return steps;
}

Json steps_json(const Group& group, const std::map<std::int64_t, double>& first) {
  std::vector<double> steps;
  for (const Run* run : group.runs) {
    const auto found = first.find(run->id);
    if (found != first.end()) steps.push_back(found->second);
  }
  Json json = spread_json(steps);
  json["reached"] = json["n"];
  json["n"] = group.runs.size();
  return json;
}

}  // namespace

Json compare(Store& store, const CompareOptions& options) {
  const std::vector<Run> runs = load(store, options);
  std::vector<std::string> metrics = options.metrics;
  check_metrics(runs, metrics);
  if (options.threshold) check_metrics(runs, {options.threshold->key});
  if (metrics.empty()) metrics = default_metrics(runs);
  std::vector<std::string> by = options.by;
  for (const std::string& column : by) {
    const bool known = runs.empty() || std::any_of(runs.begin(), runs.end(), [&](const Run& run) {
                         return run.row["params"].contains(column) || run.row.contains(column);
                       });
    if (!known) throw Error(Exit::usage, "compare: --by: no run has the parameter '" + column + "'");
  }
  if (by.empty()) by = default_by(runs);

  std::vector<Group> groups = group(runs, by, !options.by.empty());
  Json json = {{"by", by}, {"metrics", Json::array()}, {"threshold", nullptr}, {"groups", Json::array()}};
  for (const std::string& key : metrics)
    json["metrics"].push_back({{"key", key}, {"better", lower_is_better(key) ? "lower" : "higher"}});
  if (options.threshold) {
    const Threshold& t = *options.threshold;
    json["threshold"] = {{"key", t.key}, {"op", t.at_least ? ">=" : "<="}, {"value", t.value}};
  }
  std::map<std::int64_t, double> first;
  if (options.threshold) first = first_steps(store, runs, *options.threshold);
  for (Group& g : groups) {
    drop_repetitions(g);
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
    for (const std::string& key : metrics) one["metrics"][key] = metric_json(g, key);
    one["steps_to"] = options.threshold ? steps_json(g, first) : Json();
    json["groups"].push_back(std::move(one));
  }
  return json;
}

}  // namespace gradus::results
