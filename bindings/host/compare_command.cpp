#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <set>

#include "commands.h"
#include "error.h"
#include "output.h"
#include "query/direction.h"
#include "query/stage_text.h"
#include "query/stages.h"
#include "query/table.h"

namespace gradus {
namespace {

using namespace results;

struct Options {
  CompareOptions compare;
  std::string by, threshold, at;
  std::vector<std::string> margins;
  bool json = false;
};

double real(const Json& value) { return value.is_number() ? value.get<double>() : NAN; }

// "0.905 ± 0.007 (2 of 3)": of `total` runs, where not all have a finite value.
std::string spread_cell(const Json& s, const Json& total) {
  const std::string of = s["n"] == total ? "" : " (" + shown(s["n"]) + " of " + shown(total) + ")";
  if (!s["mean"].is_number()) return shown(s["mean"]) + of;
  std::string cell = mean_sd(real(s["mean"]), real(s["sd"]));
  if (s.contains("low") && s["low"].is_number()) cell += " " + interval(real(s["low"]), real(s["high"]));
  return cell + of;
}

std::string reached_cell(const Json& spent) {
  if (spent["reached"] == 0) return "never";
  Json reached = spent;
  reached["n"] = spent["reached"];
  return spread_cell(reached, spent["n"]);
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
    text += std::to_string(outdated) + " runs of other code failed or were interrupted, and are left out\n";
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
  return text + "\n" + lost(compared) + ways(compared);
}

std::string p_cell(const Json& p) {
  if (!p.is_number()) return "–";
  if (real(p) < 0.0001) return "<0.0001";
  char text[16];
  std::snprintf(text, sizeof text, "%.4f", real(p));
  return text;
}

std::string verdict_cell(const Json& one) {
  const int pairs = one["pairs"], ours = one["lost"]["group"], theirs = one["lost"]["baseline"];
  const int both = one["lost"]["both"], seeds = pairs + ours + theirs + both;
  std::string cell = one["verdict"];
  if (seeds == 0) return "no shared seeds";
  if (ours + theirs + both > 0) {
    std::string who;
    for (const auto& [count, text] :
         {std::pair(ours, " lost"), {theirs, " of the baseline lost"}, {both, " lost by both"}}) {
      if (count > 0) who += (who.empty() ? "" : ", ") + std::to_string(count) + " of " + std::to_string(seeds) + text;
    }
    return cell + "; " + who;
  }
  if (cell != "open") return cell;
  if (pairs == 1) return "one pair says nothing";
  if (!one["seeds_needed"].is_number())
    return one["margin"].is_number() ? "open" : "open; --margin X tests for no difference";
  const int more = one["seeds_needed"].get<int>() - pairs;
  return more > 0 ? "open; " + std::to_string(more) + (more == 1 ? " more seed" : " more seeds") : "open";
}

// What the columns mean, as far as they are there.
std::string legend(const Json& versus) {
  bool margin = false, lost = false, more = false;
  for (const Json& one : versus["comparisons"]) {
    margin = margin || one["margin"].is_number();
    lost = lost || one["test"] == "signs";
    more = more || (one["verdict"] == "open" && one["seeds_needed"].is_number());
  }
  std::string text =
      "p: paired t test; Holm: corrected over the groups of a measure, what the verdict goes by; Wilcoxon: signed "
      "ranks\n";
  if (margin) text += "p equal: two one-sided t tests for a difference within the margin, corrected like p\n";
  if (lost)
    text += "lost: failed, interrupted, not finite or never reached: the worst outcome; then p is that of the signs\n";
  if (more) text += "more seeds: until such differences end the question in 80 % of studies\n";
  return text;
}

// Whether its finished runs do without the metric: they are of another experiment.
bool nobody_logged(const Json& group, const std::string& metric) {
  const Json& metrics = group["metrics"];
  return group["n"] != 0 && metrics.contains(metric) && metrics[metric]["missing"] == group["n"];
}

// Differences to the baseline, pair by pair of one seed.
std::string versus_text(const Json& compared) {
  const Json& versus = compared["versus"];
  const std::string level = shown(versus["level"].get<double>() * 100) + " % interval";
  const bool margin = std::any_of(versus["comparisons"].begin(), versus["comparisons"].end(),
                                  [](const Json& one) { return one["margin"].is_number(); });
  Table table;
  for (const Json& column : compared["by"]) table.column(column.get<std::string>());
  table.column("metric");
  for (const std::string& title : {std::string("pairs"), std::string("difference"), level, std::string("p"),
                                   std::string("p Holm"), std::string("p Wilcoxon")})
    table.column(title, Align::right);
  if (margin) table.column("p equal", Align::right);
  table.column("verdict");
  bool left_out = false;
  for (const Json& one : versus["comparisons"]) {
    const Json& group = compared["groups"][one["group"].get<std::size_t>()];
    if (nobody_logged(group, one["metric"])) {
      left_out = true;
      continue;
    }
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
    if (margin) cells.push_back(p_cell(one["p_equal"]));
    cells.push_back(group["n"] == 0 ? "no run finished" : verdict_cell(one));
    table.row(std::move(cells));
  }
  return heading("difference to " + versus["column"].get<std::string>() + " = " + versus["value"].get<std::string>() +
                 ", paired by seed") +
         (table.empty() ? "no group has what it could be compared by\n" : table.text(styled())) +
         (left_out ? "groups that never logged a metric are left out there\n" : "") + legend(versus);
}

Table stages_table(const Json& compared) {
  const StageText text = stage_groups_text(compared);
  Table table;
  for (std::size_t i = 0; i < text.titles.size(); ++i)
    table.column(text.titles[i], i < compared["by"].size() ? Align::left : Align::right);
  for (const auto& row : text.rows) table.row(row);
  return table;
}

void print_stages(Store& store, const Options& options, std::vector<std::string>& notes) {
  const Json compared = compare_stages(store, options.compare);
  print_notes(notes);
  if (options.json) return print_json(compared);
  if (compared["groups"].empty()) return print("no ended runs with stages\n");
  const int lost = compared["lost"];
  print(
      stages_table(compared).text(styled()) +
      (lost > 0 ? std::to_string(lost) + (lost == 1 ? " run" : " runs") + " failed or interrupted: left out\n" : "") +
      "mean ± sample standard deviation over runs; change: since the stage before; forgotten: the share that was right "
      "at some evaluation and is wrong at the stage's end\n");
}

void compare_command(const std::string& path, Options& options) {
  CompareOptions& given = options.compare;
  given.by = split_commas(options.by);
  if (!options.threshold.empty()) given.threshold = parse_threshold(options.threshold);
  if (!options.at.empty()) given.at = parse_budget(options.at);
  for (const std::string& margin : options.margins) given.margins.push_back(parse_margin(margin));
  if (!given.ci.empty() && given.ci != "t" && given.ci != "bootstrap")
    throw Error(Exit::usage, "--ci: expected t or bootstrap; got '" + given.ci + "'");
  std::vector<std::string> notes;
  given.filter.notes = &notes;
  const auto store = Store::open(path, Store::Mode::read);
  if (is_by_stage(*store, given.by)) return print_stages(*store, options, notes);
  const Json compared = compare(*store, given);
  print_notes(notes);
  if (options.json) return print_json(compared);
  if (compared["groups"].empty()) {
    return print("no " + std::string(given.unfinished ? "" : "ended ") + "runs" +
                 (given.filter.where.empty() ? "" : " fit --where") + "\n");
  }
  print(groups_table(compared).text(styled()) + footer(compared, given) +
        (compared["versus"].is_object() ? versus_text(compared) : ""));
  print_cuts();
}

}  // namespace

void add_compare_command(CLI::App& app, std::string& store) {
  CLI::App* sub = app.add_subcommand("compare", "mean and spread over seeds, by strategy; which is better");
  auto options = std::make_shared<Options>();  // lives as long as the callback below
  CompareOptions& compare = options->compare;
  sub->add_option("--store", store, "the store (default: $GRADUS_STORE or runs/gradus.db)");
  sub->add_flag("--json", options->json, "one JSON document on standard output");
  add_full(*sub);
  add_filter(*sub, compare.filter);
  sub->add_option(
      "--by", options->by,
      "group by these parameters only, e.g. strategy,lr (default: by all but the seed); stage: stage by stage too");
  sub->add_option("--metric", compare.metrics, "metrics to compare (default: result/*, else val/acc)");
  sub->add_option(
      "--versus", compare.versus,
      "the baseline group, by a value of its columns or COLUMN=VALUE,…: differences paired by seed, how sure, how many "
      "more seeds");
  sub->add_option(
      "--margin", options->margins,
      "the largest difference that does not matter, X or METRIC=X: within it the verdict is 'no difference'");
  sub->add_flag("--ci{t}", compare.ci, "confidence intervals of the means: t (default) or bootstrap");
  sub->add_option("--level", compare.level, "of intervals and verdicts (default: 0.95)")
      ->check(CLI::Range(0.5, 0.9999));
  sub->add_option("--at", options->at, "value at an equal budget: step=N, samples=N, flops=X or seconds=S");
  sub->add_flag("--auc", compare.auc, "area under the curve");
  sub->add_option("--threshold", options->threshold, "steps, samples, FLOPs and seconds until, e.g. val/acc>=0.9");
  sub->add_flag("--unfinished", compare.unfinished, "also the values of runs that are running, failed or interrupted");
  sub->callback([options, &store] { compare_command(store.empty() ? default_store() : store, *options); });
}

}  // namespace gradus
