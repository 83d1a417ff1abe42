#include "compare_text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>
#include <utility>
#include <vector>

#include "output.h"
#include "query/direction.h"

namespace gradus {

using namespace results;

double real_of(const Json& value) { return value.is_number() ? value.get<double>() : NAN; }

std::string threshold_name(const Json& threshold) {
  return threshold["key"].get<std::string>() + threshold["op"].get<std::string>() + threshold["value"].dump();
}

std::string budget_name(const Json& at) {
  char value[32];
  std::snprintf(value, sizeof value, "%g", at["value"].get<double>());
  return "at " + at["axis"].get<std::string>() + " " + value;
}

namespace {

// "0.905 ± 0.007 (2 of 3)": of `total` runs, where not all have a finite value.
std::string spread_cell(const Json& s, const Json& total) {
  const std::string of = s["n"] == total ? "" : " (" + shown(s["n"]) + " of " + shown(total) + ")";
  if (!s["mean"].is_number()) return shown(s["mean"]) + of;
  std::string cell = mean_sd(real_of(s["mean"]), real_of(s["sd"]));
  if (s.contains("low") && s["low"].is_number()) cell += " " + interval(real_of(s["low"]), real_of(s["high"]));
  return cell + of;
}

std::string reached_cell(const Json& spent) {
  const int unknown = spent.value("unknown", 0);
  if (spent["reached"] == 0) return unknown > 0 ? "–" : "never";
  Json reached = spent;
  reached["n"] = spent["reached"];
  return spread_cell(reached, spent["n"].get<int>() - unknown);
}

constexpr const char* kSpent[] = {"steps_to", "samples_to", "flops_to", "seconds_to"};

bool has_way(const Json& compared, const std::string& key) {
  return std::any_of(compared["metrics"].begin(), compared["metrics"].end(),
                     [&](const Json& metric) { return metric["key"] == key && metric["better"].is_string(); });
}

// The measures that a metric's columns show, with their headings.
std::vector<std::pair<std::string, std::string>> columns_of(const Json& compared, const std::string& key) {
  bool curve = false, at = false, auc = false;
  for (const Json& group : compared["groups"]) {
    const Json& metric = group["metrics"][key];
    curve = curve || metric["curve"].get<bool>();
    at = at || metric.contains("at");
    auc = auc || metric.contains("auc");
  }
  if (!curve) return {{"last", key}};
  std::vector<std::pair<std::string, std::string>> columns = {{"last", key + " last"}};
  if (has_way(compared, key)) columns.emplace_back("best", "best");
  if (at) columns.emplace_back("at", budget_name(compared["at"]));
  if (auc) columns.emplace_back("auc", "auc");
  return columns;
}

std::string name_of(const Json& group) {
  std::string name;
  for (const auto& [column, value] : group["label"].items()) name += (name.empty() ? "" : " ") + exact(value, 40);
  return name;
}

// The outcomes without a value: who they are and why.
std::string lost(const Json& compared) {
  constexpr std::size_t kMost = 8;
  std::vector<std::string> lines;
  for (const Json& group : compared["groups"]) {
    for (const Json& run : group["lost"]) {
      lines.push_back("run " + shown(run["run"]) + " (" + name_of(group) + ", seed " + shown(run["seed"]) + ") " +
                      shown(run["status"]) + (run["error"].is_null() ? "" : ": " + shown(run["error"], 80)));
    }
    for (const auto& [key, metric] : group["metrics"].items()) {
      if (metric["diverged"] != 0)
        lines.push_back(name_of(group) + ": " + key + " of " + shown(metric["diverged"]) + " of " +
                        shown(group["total"]) + " runs is not finite: diverged, in no mean");
      if (metric["missing"] != 0 && metric["missing"] != group["n"])
        lines.push_back(name_of(group) + ": " + shown(metric["missing"]) + " of " + shown(group["total"]) +
                        " runs never logged " + key);
    }
  }
  std::string text;
  for (std::size_t i = 0; i < lines.size() && i < kMost; ++i) text += lines[i] + "\n";
  if (lines.size() > kMost) text += "… and " + std::to_string(lines.size() - kMost) + " more; --json names all\n";
  if (const auto outdated = compared["outdated"].get<int>(); outdated > 0)
    text += std::to_string(outdated) + (outdated == 1
                                            ? " run of other code has failed or was interrupted, and is left out\n"
                                            : " runs of other code failed or were interrupted, and are left out\n");
  return text;
}

// Which way was taken of each metric, and how to say it where none is known.
std::string ways(const Json& compared) {
  std::string lower, higher, unknown;
  for (const Json& metric : compared["metrics"]) {
    const std::string key = metric["key"];
    if (!metric["better"].is_string()) {
      unknown += "which way is better of " + key + "? " + how_to_say(key) + " says it\n";
      continue;
    }
    std::string& list = metric["better"] == "lower" ? lower : higher;
    list += (list.empty() ? "" : ", ") + key + (metric["source"] == "said" ? " (as said)" : "");
  }
  std::string text;
  if (!higher.empty()) text += "higher is better: " + higher;
  if (!lower.empty()) text += (text.empty() ? "" : "; ") + ("lower is better: " + lower);
  return (text.empty() ? "" : text + "\n") + unknown;
}

}  // namespace

Table groups_table(const Json& compared) {
  Table table;
  for (const Json& column : compared["by"]) table.column(column.get<std::string>());
  table.label();
  table.column("runs", Align::right);
  for (const Json& metric : compared["metrics"]) {
    for (const auto& [measure, title] : columns_of(compared, metric["key"])) table.column(title, Align::right);
  }
  const Json& threshold = compared["threshold"];
  if (threshold.is_object()) {
    table.column("steps to " + threshold_name(threshold), Align::right);
    for (const char* title : {"samples", "flops", "seconds"}) table.column(title, Align::right);
  }
  for (const Json& group : compared["groups"]) {
    std::vector<std::string> cells;
    for (const Json& column : compared["by"]) cells.push_back(exact(group["label"][column.get<std::string>()], 40));
    cells.push_back(shown(group["n"]) + (group["n"] == group["total"] ? "" : " of " + shown(group["total"])));
    for (const auto& [key, metric] : group["metrics"].items()) {
      for (const auto& [measure, title] : columns_of(compared, key))
        cells.push_back(metric.contains(measure) ? spread_cell(metric[measure], group["total"]) : "–");
    }
    if (threshold.is_object()) {
      for (const char* spent : kSpent) cells.push_back(reached_cell(group[spent]));
    }
    table.row(std::move(cells));
  }
  return table;
}

std::string groups_footer(const Json& compared, const CompareOptions& options) {
  std::string text = "mean ± sample standard deviation over runs";
  if (!options.ci.empty())
    text += "; [" + shown(options.level * 100) + " % confidence interval of the mean, " +
            (options.ci == "t" ? "Student's t" : "bootstrap") + "]";
  int repeated = 0;
  std::set<std::string> mixed;
  for (const Json& group : compared["groups"]) {
    repeated += group["repeated"].get<int>();
    for (const Json& key : group["mixed"]) mixed.insert(key.get<std::string>());
  }
  if (repeated > 0) text += "; " + std::to_string(repeated) + " repetitions of a seed not counted";
  std::string list;
  for (const std::string& key : mixed) list += (list.empty() ? "" : ", ") + key;
  if (!list.empty()) text += "; groups mix different " + list;
  if (options.at)
    text += "\n" + budget_name(compared["at"]) + ": the last value by then; a run that ended earlier keeps its last";
  if (options.auc) text += "\nauc: area under the curve over steps, divided by their span";
  return text + "\n" + lost(compared) + ways(compared);
}

}  // namespace gradus
