#include <memory>

#include "commands.h"
#include "compare_text.h"
#include "error.h"
#include "output.h"
#include "query/stage_text.h"
#include "query/stages.h"
#include "query/table.h"
#include "versus_text.h"

namespace gradus {
namespace {

using namespace results;

struct Options {
  CompareOptions compare;
  std::string by, threshold, at;
  std::vector<std::string> margins;
  bool json = false;
};

Table stages_table(const Json& compared) {
  const StageText text = stage_groups_text(compared);
  Table table;
  for (std::size_t i = 0; i < text.titles.size(); ++i) {
    if (i == compared["by"].size()) table.label();
    table.column(text.titles[i], i < compared["by"].size() ? Align::left : Align::right);
  }
  for (const auto& row : text.rows) table.row(row);
  return table;
}

void print_stages(Store& store, const Options& options, std::vector<std::string>& notes) {
  const Json compared = compare_stages(store, options.compare);
  print_notes(notes);
  if (options.json) return print_json(compared);
  if (compared["groups"].empty()) return print("no ended runs with stages\n");
  const int lost = compared["lost"];
  print(fitted(stages_table(compared)) +
        (lost > 0 ? std::to_string(lost) + (lost == 1 ? " run" : " runs") + " failed or interrupted: left out\n" : "") +
        folded(
            "mean ± sample standard deviation over runs; change: since the stage before; forgotten: the share that was "
            "right at some evaluation and is wrong at the stage's end\n",
            0));
}

void compare_command(const std::string& path, Options& options) {
  CompareOptions& given = options.compare;
  given.by = split_commas(options.by);
  given.metrics = split_all(given.metrics);
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
  print(fitted(groups_table(compared)) + folded(groups_footer(compared, given), 0) +
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
      "group by these only, e.g. strategy,lr: parameters, tags.NAME, columns of runs (default: all parameters but the "
      "seed); stage: stage by stage too");
  sub->add_option("--metric", compare.metrics,
                  "metrics to compare, e.g. val/acc,val/loss (default: result/*, else val/acc)");
  CLI::Option* versus = sub->add_option(
      "--versus", compare.versus,
      "the baseline group, by a value of its columns or COLUMN=VALUE,…: differences paired by seed, how sure, how many "
      "more seeds");
  sub->add_option(
         "--margin", options->margins,
         "the largest difference that does not matter, X or METRIC=X: within it the verdict is 'no difference'")
      ->needs(versus);
  sub->add_option("--ci", compare.ci, "confidence intervals of the means: t (default) or bootstrap")
      ->expected(0, 1)
      ->default_str("t");
  sub->add_option("--level", compare.level, "of intervals and verdicts (default: 0.95)")
      ->check(number_from(0.5, 0.9999));
  sub->add_option("--at", options->at, "value at an equal budget: step=N, samples=N, flops=X or seconds=S");
  sub->add_flag("--auc", compare.auc, "area under the curve");
  sub->add_option("--threshold", options->threshold, "steps, samples, FLOPs and seconds until, e.g. val/acc>=0.9");
  sub->add_flag("--unfinished", compare.unfinished, "also the values of runs that are running, failed or interrupted");
  sub->callback([options, &store] { compare_command(store.empty() ? default_store() : store, *options); });
}

}  // namespace gradus
