#include <algorithm>
#include <climits>
#include <memory>
#include <utility>
#include <vector>

#include "commands.h"
#include "output.h"
#include "query/columns.h"
#include "query/names.h"
#include "query/table.h"

namespace gradus {
namespace {

using namespace results;

struct Options {
  RunFilter filter;
  std::string columns, sort, best;
  bool json = false, reverse = false;
};

std::string started(const Json& run) {  // minutes are enough for a list
  std::string text = shown(run["started"]).substr(0, 16);
  if (text.size() == 16) text[10] = ' ';
  return text;
}

// The value of a metric in a list: – where the run has none.
std::string value_cell(const Json& values, const std::string& key) {
  if (!values.contains(key)) return "–";
  return values[key].is_null() ? "nan" : shown(values[key]);
}

// The columns that the user chose, id before them.
Table chosen_columns(const Json& runs, std::vector<std::string> columns) {
  std::erase(columns, "id");
  Table table;
  table.column("id", Align::right);
  for (const std::string& column : columns) {
    bool numbers = true;
    for (const Json& run : runs)
      numbers = numbers && !(run["columns"].contains(column) && run["columns"][column].is_string());
    table.column(column, numbers ? Align::right : Align::left);
  }
  for (const Json& run : runs) {
    std::vector<std::string> cells = {shown(run["id"])};
    for (const std::string& column : columns) cells.push_back(value_cell(run["columns"], column));
    table.row(std::move(cells));
  }
  return table;
}

// The metrics that tell most of a run, the first ones before the others.
constexpr const char* kTelling[] = {"val/acc", "val/loss", "train/loss"};

std::string telling_metric(const Json& runs) {
  for (const char* key : kTelling) {
    if (std::any_of(runs.begin(), runs.end(), [&](const Json& run) { return run["last"].contains(key); })) return key;
  }
  return *std::rbegin(kTelling);
}

// What a list shows when nothing is said; `more` are columns of the user's. start: with when each began.
Table usual_columns(const Json& runs, std::vector<std::string> more, bool start) {
  const bool strategies =
      std::any_of(runs.begin(), runs.end(), [](const Json& run) { return run["params"].contains("strategy"); });
  const std::string key = telling_metric(runs);
  std::erase_if(more, [&](const std::string& column) {  // what the list has anyway
    const bool named = column == "id" || column == "uid" || column == "name" || column == "seed" ||
                       column == "status" || column == "step" || (strategies && column == "strategy");
    return named || column == key || column == "last(" + key + ")";
  });
  Table table;
  table.column("id", Align::right);
  table.column("uid");
  table.column("name");
  if (strategies) table.column("strategy");
  table.column("seed", Align::right);
  table.column("status");
  table.column("step", Align::right);
  table.column(key, Align::right);
  for (const std::string& column : more) table.column(column, Align::right);
  table.column("time", Align::right);
  if (start) table.column("started (UTC)");
  for (const Json& run : runs) {
    std::vector<std::string> cells = {shown(run["id"]), run["uid"].get<std::string>().substr(0, 8), shown(run["name"])};
    if (strategies) cells.push_back(run["params"].contains("strategy") ? shown(run["params"]["strategy"]) : "–");
    for (const std::string& cell :
         {shown(run["seed"]), run_status(run), shown(run["step"]), value_cell(run["last"], key)})
      cells.push_back(cell);
    for (const std::string& column : more) cells.push_back(value_cell(run["columns"], column));
    cells.push_back(run_seconds(run["seconds"]));
    if (start) cells.push_back(started(run));
    table.row(std::move(cells));
  }
  return table;
}

void runs_command(const std::string& path, const Options& options) {
  const auto store = Store::open(path, Store::Mode::read);
  const std::vector<std::string> columns = split_commas(options.columns);
  std::vector<std::string> added = columns, notes;
  std::string sort = options.sort;
  if (!options.best.empty()) sort = "best(" + resolve_metric(*store, options.best, "--best", nullptr) + ")";
  if (sort.empty() && options.reverse) sort = "id";
  const bool shown_anyway = std::find(columns.begin(), columns.end(), sort) != columns.end();
  if (!sort.empty() && !shown_anyway) added.push_back(sort);
  RunFilter filter = options.filter;
  filter.notes = &notes;
  if (!sort.empty()) filter.limit = 0;  // the first N of the order, not the newest
  if (!options.json) {                  // what the table shows
    filter.params = {"strategy"};
    filter.metrics = {std::begin(kTelling), std::end(kTelling)};
  }
  Json runs = list_runs(*store, filter);
  if (!added.empty()) add_columns(*store, runs, added);
  if (!sort.empty()) {
    sort_runs(*store, runs, sort, options.reverse);
    const auto limit = static_cast<std::size_t>(options.filter.limit);
    if (limit > 0 && runs.size() > limit) runs.erase(runs.begin() + options.filter.limit, runs.end());
  }
  print_notes(notes);
  if (options.json) return print_json(runs);
  if (runs.empty()) return print("no runs" + std::string(options.filter.where.empty() ? "" : " fit --where") + "\n");
  Table table = columns.empty() ? usual_columns(runs, added, true) : chosen_columns(runs, added);
  if (columns.empty() && table.width() > terminal_columns(INT_MAX)) table = usual_columns(runs, added, false);
  print(fitted(table));
  print_cuts();
}

}  // namespace

void add_runs_command(CLI::App& app, std::string& store) {
  CLI::App* sub = app.add_subcommand("runs", "list the runs");
  auto options = std::make_shared<Options>();  // lives as long as the callback below
  sub->add_option("--store", store, "the store (default: $GRADUS_STORE or runs/gradus.db)");
  sub->add_flag("--json", options->json, "one JSON document on standard output");
  add_full(*sub);
  add_filter(*sub, options->filter);
  sub->add_option("--limit", options->filter.limit, "only the newest N; of a sorted list the first N")
      ->check(CLI::Range(0, INT_MAX));
  sub->add_option(
      "--columns", options->columns,
      "these, e.g. name,lr,seed,\"best(val/acc)\",val/loss: columns of runs, parameters, tags.NAME, metrics "
      "(their last value) or FUNCTION(METRIC)");
  CLI::Option* sort =
      sub->add_option("--sort", options->sort, "by such a column: metrics best first, all else ascending");
  sub->add_option("--best", options->best, "best first, by the best value of this metric")->excludes(sort);
  sub->add_flag("--reverse", options->reverse, "the other way round; without --sort the newest first");
  sub->callback([options, &store] { runs_command(store.empty() ? default_store() : store, *options); });
}

}  // namespace gradus
