#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <set>

#include "commands.h"
#include "error.h"
#include "output.h"
#include "query/direction.h"
#include "query/table.h"

namespace gradus {
namespace {

using namespace results;

struct Options {
  CompareOptions compare;
  std::string by, threshold, at;
  bool json = false;
};

double real(const Json& value) { return value.is_number() ? value.get<double>() : NAN; }

std::string spread_cell(const Json& s) {
  if (!s["mean"].is_number()) return shown(s["mean"]);
  std::string cell = mean_sd(real(s["mean"]), real(s["sd"]));
  if (s.contains("low") && s["low"].is_number()) cell += " " + interval(real(s["low"]), real(s["high"]));
  return cell;
}

std::string reached_cell(const Json& spent) {
  if (spent["reached"] == 0) return "never";
  const bool all = spent["reached"] == spent["n"];
  return spread_cell(spent) + (all ? "" : " (" + shown(spent["reached"]) + " of " + shown(spent["n"]) + ")");
}

std::string threshold_name(const Json& threshold) {
  return threshold["key"].get<std::string>() + threshold["op"].get<std::string>() + threshold["value"].dump();
}

std::string budget_name(const Json& at) {
  char value[32];
  std::snprintf(value, sizeof value, "%g", at["value"].get<double>());
  return "at " + at["axis"].get<std::string>() + " " + value;
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

Table groups_table(const Json& compared) {
  Table table;
  for (const Json& column : compared["by"]) table.column(column.get<std::string>());
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
    cells.push_back(shown(group["n"]));
    for (const auto& [key, metric] : group["metrics"].items()) {
      for (const auto& [measure, title] : columns_of(compared, key))
        cells.push_back(metric.contains(measure) ? spread_cell(metric[measure]) : "–");
    }
    if (threshold.is_object()) {
      for (const char* spent : kSpent) cells.push_back(reached_cell(group[spent]));
    }
    table.row(std::move(cells));
  }
  return table;
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

std::string footer(const Json& compared, const CompareOptions& options) {
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
  return text + "\n" + ways(compared);
}

std::string p_cell(const Json& p) {
  if (!p.is_number()) return "–";
  if (real(p) < 0.0001) return "<0.0001";
  char text[16];
  std::snprintf(text, sizeof text, "%.4f", real(p));
  return text;
}

std::string verdict_cell(const Json& one) {
  if (one["pairs"] < 2) return one["pairs"] == 0 ? "no shared seeds" : "one pair says nothing";
  if (one["verdict"] != "open") return one["verdict"];  // also which way is better, which more seeds do not tell
  if (!one["seeds_needed"].is_number()) return "no difference";
  const int more = one["seeds_needed"].get<int>() - one["pairs"].get<int>();
  return more > 0 ? "open; " + std::to_string(more) + (more == 1 ? " more seed" : " more seeds") : "open";
}

// Differences to the baseline, pair by pair of one seed.
std::string versus_text(const Json& compared) {
  const Json& versus = compared["versus"];
  const std::string level = shown(versus["level"].get<double>() * 100) + " % interval";
  Table table;
  for (const Json& column : compared["by"]) table.column(column.get<std::string>());
  table.column("metric");
  for (const std::string& title : {std::string("pairs"), std::string("difference"), level, std::string("p"),
                                   std::string("p Holm"), std::string("p Wilcoxon")})
    table.column(title, Align::right);
  table.column("verdict");
  for (const Json& one : versus["comparisons"]) {
    const Json& group = compared["groups"][one["group"].get<std::size_t>()];
    std::vector<std::string> cells;
    for (const Json& column : compared["by"]) cells.push_back(exact(group["label"][column.get<std::string>()], 40));
    const bool curve =
        group["metrics"].contains(one["metric"]) && group["metrics"][one["metric"].get<std::string>()]["curve"] == true;
    std::string measure = one["measure"];
    if (measure == "at") measure = budget_name(compared["at"]);
    if (measure.ends_with("_to"))
      cells.push_back(measure.substr(0, measure.size() - 3) + " to " + threshold_name(compared["threshold"]));
    else
      cells.push_back(one["metric"].get<std::string>() + (curve ? " " + measure : ""));
    cells.push_back(shown(one["pairs"]));
    const double mean = real(one["mean"]);
    cells.push_back(std::isnan(mean) ? "–" : (mean > 0 ? "+" : "") + mean_sd(mean, real(one["sd"])));
    cells.push_back(one["low"].is_number() ? interval(real(one["low"]), real(one["high"])) : "–");
    for (const char* p : {"p", "p_holm", "wilcoxon_p"}) cells.push_back(p_cell(one[p]));
    cells.push_back(verdict_cell(one));
    table.row(std::move(cells));
  }
  return heading("difference to " + versus["column"].get<std::string>() + " = " + versus["value"].get<std::string>() +
                 ", paired by seed") +
         table.text(styled()) +
         "p: paired t test; Holm: corrected over the groups of a measure, what the verdict goes by; Wilcoxon: signed "
         "ranks\n"
         "more seeds: until such a difference is found in 80 % of studies\n";
}

void compare_command(const std::string& path, Options& options) {
  CompareOptions& given = options.compare;
  given.by = split_commas(options.by);
  if (!options.threshold.empty()) given.threshold = parse_threshold(options.threshold);
  if (!options.at.empty()) given.at = parse_budget(options.at);
  if (!given.ci.empty() && given.ci != "t" && given.ci != "bootstrap")
    throw Error(Exit::usage, "--ci: expected t or bootstrap; got '" + given.ci + "'");
  std::vector<std::string> notes;
  given.filter.notes = &notes;
  const auto store = Store::open(path, Store::Mode::read);
  const Json compared = compare(*store, given);
  print_notes(notes);
  if (options.json) return print_json(compared);
  if (compared["groups"].empty()) {
    return print("no " + std::string(given.unfinished ? "" : "finished ") + "runs" +
                 (given.filter.where.empty() ? "" : " fit --where") + "\n");
  }
  print(groups_table(compared).text(styled()) + footer(compared, given) +
        (compared["versus"].is_object() ? versus_text(compared) : ""));
}

}  // namespace

void add_compare_command(CLI::App& app, std::string& store) {
  CLI::App* sub = app.add_subcommand("compare", "mean and spread over seeds, by strategy; which is better");
  auto options = std::make_shared<Options>();  // lives as long as the callback below
  CompareOptions& compare = options->compare;
  sub->add_option("--store", store, "the store (default: $GRADUS_STORE or runs/gradus.db)");
  sub->add_flag("--json", options->json, "one JSON document on standard output");
  add_filter(*sub, compare.filter);
  sub->add_option("--by", options->by,
                  "group by these parameters only, e.g. strategy,lr (default: by all but the seed)");
  sub->add_option("--metric", compare.metrics, "metrics to compare (default: result/*, else val/acc)");
  sub->add_option(
      "--versus", compare.versus,
      "the baseline group, by a value of its columns: differences paired by seed, how sure, how many more seeds");
  sub->add_flag("--ci{t}", compare.ci, "confidence intervals of the means: t (default) or bootstrap");
  sub->add_option("--level", compare.level, "of intervals and verdicts (default: 0.95)")
      ->check(CLI::Range(0.5, 0.9999));
  sub->add_option("--at", options->at, "value at an equal budget: step=N, samples=N, flops=X or seconds=S");
  sub->add_flag("--auc", compare.auc, "area under the curve");
  sub->add_option("--threshold", options->threshold, "steps, samples, FLOPs and seconds until, e.g. val/acc>=0.9");
  sub->add_flag("--unfinished", compare.unfinished, "also runs that are running, failed or interrupted");
  sub->callback([options, &store] { compare_command(store.empty() ? default_store() : store, *options); });
}

}  // namespace gradus
