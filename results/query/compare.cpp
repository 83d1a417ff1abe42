#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "compare_impl.h"
#include "error.h"
#include "names.h"
#include "query.h"

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
  const bool known =
      budget.axis == "step" || budget.axis == "samples" || budget.axis == "flops" || budget.axis == "seconds";
  const std::string amount = at == std::string::npos ? "" : text.substr(at + 1);
  char* end = nullptr;
  budget.value = std::strtod(amount.c_str(), &end);
  if (!known || end == amount.c_str() || *end != '\0' || !std::isfinite(budget.value) || budget.value < 0) {
    throw Error(Exit::usage, "--at: expected step=N, samples=N, flops=X or seconds=S; got '" + text + "'");
  }
  return budget;
}

Margin parse_margin(const std::string& text) {
  const std::size_t at = text.find('=');
  Margin margin{at == std::string::npos ? "" : text.substr(0, at), 0};
  const char* number = text.c_str() + (at == std::string::npos ? 0 : at + 1);
  char* end = nullptr;
  margin.value = std::strtod(number, &end);
  const bool key = at == std::string::npos || valid_key(margin.key);
  if (!key || end == number || *end != '\0' || !std::isfinite(margin.value) || margin.value <= 0) {
    throw Error(Exit::usage,
                "--margin: expected a number above 0, or METRIC=NUMBER: the largest difference that does not matter; "
                "got '" +
                    text + "'");
  }
  return margin;
}

namespace {

using Run = ComparedRun;
using Group = RunGroup;

// At a budget and by area curves are compared: a result came at the end.
std::vector<std::string> default_metrics(const std::vector<Run>& runs, bool of_curves) {
  std::set<std::string> results, validations, all;
  for (const Run& run : runs) {
    for (const auto& [key, curve] : run.curves) {
      all.insert(key);
      if (key.starts_with("result/")) results.insert(key);
      if (key.starts_with("val/")) validations.insert(key);
    }
  }
  if (!results.empty() && !of_curves) return {results.begin(), results.end()};
  if (all.count("val/acc") != 0) return {"val/acc"};
  if (!validations.empty()) return {validations.begin(), validations.end()};
  if (all.count("train/loss") != 0) return {"train/loss"};
  return {results.begin(), results.end()};
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

// The group's numbers. One that is not finite is no number to take a mean of: that run diverged.
std::vector<double> of_group(const Group& group, const RunValues& values) {
  std::vector<double> numbers;
  for (const Run* run : group.runs) {
    const auto found = values.find(run->id);
    if (found != values.end() && std::isfinite(found->second)) numbers.push_back(found->second);
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
  int diverged = 0, missing = 0;
  for (const Run* run : group.runs) {
    const auto found = run->curves.find(key);
    curve = curve || (found != run->curves.end() && found->second.count > 1);
    missing += found == run->curves.end();
    diverged += found != run->curves.end() && !std::isfinite(found->second.last);
  }
  json["curve"] = curve;
  json["diverged"] = diverged;
  json["missing"] = missing;
  return json;
}

// Steps, samples, FLOPs and seconds to the threshold.
std::vector<Measure> threshold_measures(Store& store, const std::vector<Run>& runs, const Threshold& threshold) {
  const RunValues steps = first_steps(store, runs, threshold);
  std::vector<Measure> all = {{threshold.key, "steps_to", Better::lower, steps, true}};
  for (auto& [column, values] : spent_at(store, steps))
    all.push_back({threshold.key, column + "_to", Better::lower, std::move(values), true});
  return all;
}

Json to_threshold_json(const Group& group, const RunValues& values, const CompareOptions& options) {
  Json json = spread_json(of_group(group, values), options);
  json["reached"] = json["n"];
  json["n"] = group.runs.size() + group.lost.size();
  const auto unknown = std::count_if(group.runs.begin(), group.runs.end(), [&](const Run* run) {
    const auto found = values.find(run->id);
    return found != values.end() && std::isnan(found->second);
  });
  if (unknown > 0) json["unknown"] = unknown;
  return json;
}

bool same_values(const RunValues& a, const RunValues& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && (x.second == y.second || (std::isnan(x.second) && std::isnan(y.second)));
  });
}

Json group_json(const Group& g, const std::vector<std::string>& by) {
  Json one = {{"label", g.label},       {"n", g.runs.size()},           {"total", g.runs.size() + g.lost.size()},
              {"runs", Json::array()},  {"seeds", Json::array()},       {"lost", Json::array()},
              {"repeated", g.repeated}, {"mixed", mixed_params(g, by)}, {"metrics", Json::object()}};
  for (const Run* run : g.runs) {
    one["runs"].push_back(run->id);
    one["seeds"].push_back(run->row["seed"]);
  }
  for (const Run* run : g.lost) {
    one["lost"].push_back(
        {{"run", run->id}, {"seed", run->row["seed"]}, {"status", run->row["status"]}, {"error", run->row["error"]}});
  }
  return one;
}

// Where a metric has one value a run, its best is its last: one comparison, not two.
std::vector<Measure> without_duplicates(std::vector<Measure> measures) {
  std::vector<Measure> kept;
  for (Measure& measure : measures) {
    const bool same = measure.name == "best" && !kept.empty() &&
                      (measure.better == Better::unknown || same_values(kept.back().values, measure.values));
    if (!same) kept.push_back(std::move(measure));
  }
  return kept;
}

}  // namespace

Json spread_json(const std::vector<double>& values, const CompareOptions& options) {
  const Spread s = spread(values);
  Json json = {{"n", s.n}, {"mean", to_json(s.mean)}, {"sd", to_json(s.sd)}};
  if (options.ci.empty()) return json;
  const Interval i = options.ci == "t" ? t_interval(s, options.level) : bootstrap_interval(values, options.level);
  json["low"] = to_json(i.low);
  json["high"] = to_json(i.high);
  return json;
}

Json compare(Store& store, const CompareOptions& given) {
  CompareOptions options = given;
  const std::vector<Run> runs = compared_runs(store, options);
  const auto known_metric = [&](const std::string& key) {
    return runs.empty() ? key : resolve_metric(store, key, "compare", options.filter.notes);
  };
  for (std::string& key : options.metrics) key = known_metric(key);
  for (Margin& margin : options.margins) {
    if (!margin.key.empty()) margin.key = known_metric(margin.key);
  }
  if (options.threshold) options.threshold->key = known_metric(options.threshold->key);
  const std::vector<std::string> metrics =
      options.metrics.empty() ? default_metrics(runs, options.at.has_value() || options.auc) : options.metrics;
  check_metrics(runs, metrics);
  if (options.threshold) check_metrics(runs, {options.threshold->key});

  const Groups groups = group_runs(store, runs, options.by);
  std::vector<Measure> measures;
  const RunValues budget = options.at ? budget_steps(store, runs, *options.at) : RunValues();
  for (const std::string& key : metrics) {
    for (Measure& measure : measures_of(store, runs, key, options, budget)) measures.push_back(std::move(measure));
  }
  std::vector<Measure> to_threshold;
  if (options.threshold) to_threshold = threshold_measures(store, runs, *options.threshold);

  Json json = {{"by", groups.by}, {"metrics", Json::array()}, {"threshold", nullptr},
               {"at", nullptr},   {"groups", Json::array()},  {"outdated", groups.outdated}};
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
  for (const Group& g : groups.groups) {
    Json one = group_json(g, groups.by);
    for (const std::string& key : metrics) one["metrics"][key] = metric_json(g, measures, key, options);
    one["steps_to"] = nullptr;
    for (const Measure& measure : to_threshold) one[measure.name] = to_threshold_json(g, measure.values, options);
    json["groups"].push_back(std::move(one));
  }
  json["versus"] = nullptr;
  if (!options.versus.empty() && !groups.groups.empty()) {
    std::vector<Measure> shown = without_duplicates(std::move(measures));
    for (Measure& measure : to_threshold) shown.push_back(std::move(measure));
    json["versus"] = versus(groups, shown, options);
  }
  return json;
}

}  // namespace gradus::results
