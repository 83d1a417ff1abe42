#include "commands.h"

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <vector>

#include "error.h"
#include "output.h"
#include "query/query.h"
#include "query/table.h"

namespace gradus {
namespace {

using namespace results;

struct SqlOptions {
  std::string sql;
  std::optional<int> rows = {};
  bool json = false;
};

void sql_command(const std::string& path, const SqlOptions& options) {
  const auto store = Store::open(path, Store::Mode::read);
  Limits limits;
  limits.rows = options.rows.value_or(options.json ? 100'000 : 1000);
  const Rows rows = store->query(options.sql, {}, limits);
  if (options.json) {
    print_json(to_json(rows));
  } else {
    Table table;
    for (std::size_t i = 0; i < rows.columns.size(); ++i) {
      bool numbers = false, texts = false;
      for (const auto& row : rows.rows) {
        numbers = numbers || row[i].index() == 1 || row[i].index() == 2;
        texts = texts || row[i].index() == 3;
      }
      table.column(rows.columns[i], numbers && !texts ? Align::right : Align::left);
    }
    for (const auto& row : rows.rows) {
      std::vector<std::string> cells;
      for (const Cell& cell : row) cells.push_back(shown(to_json(cell), 80));
      table.row(std::move(cells));
    }
    print(fitted(table));
    print_cuts();
  }
  if (rows.truncated)
    std::fprintf(stderr, "gradus: there are more rows than %lld; --rows N shows more\n",
                 static_cast<long long>(*limits.rows));
}

}  // namespace

void add_filter(CLI::App& command, RunFilter& filter) {
  command.add_option("--where", filter.where,
                     "only runs that fit, e.g. \"strategy == 'stages' and best(val/acc) > 0.9\"");
  command.add_flag("--children", filter.children, "also runs that other runs started, such as teachers");
  command.add_flag("--archived", filter.archived, "also archived runs");
}

CLI::Validator number_from(double low, double high) {
  return CLI::Validator(
      [low, high](std::string& text) {
        char* end = nullptr;
        const double value = std::strtod(text.c_str(), &end);
        const bool within = end != text.c_str() && *end == '\0' && value >= low && value <= high;
        return within ? "" : "Value " + text + " not in range " + std::to_string(low) + " to " + std::to_string(high);
      },
      CLI::Range(low, high).get_description());
}

void add_full(CLI::App& command) {
  command.add_flag_callback(
      "--full", [] { show_in_full(true); }, "cut no text");
}

std::string run_seconds(const Json& value) { return value.is_number() ? duration(value.get<double>()) : "–"; }

std::string run_status(const Json& run) {
  std::string text = shown(run["status"]);
  if (!styled()) return text;
  const char* colour = text == "finished" ? "\033[32m" : text == "running" ? "\033[36m" : "\033[33m";
  return text == "failed" ? "\033[31m" + text + "\033[0m" : colour + text + "\033[0m";
}

void add_reading_commands(CLI::App& app, std::string& store) {
  add_runs_command(app, store);
  add_show_command(app, store);
  CLI::App* sub = app.add_subcommand("sql", "ask the store in SQL");
  auto options = std::make_shared<SqlOptions>();  // lives as long as the callback below
  sub->add_option("--store", store, "the store (default: $GRADUS_STORE or runs/gradus.db)");
  sub->add_flag("--json", options->json, "one JSON document on standard output");
  add_full(*sub);
  sub->add_option("query", options->sql, "one statement that reads")->required();
  sub->add_option("--rows", options->rows, "show at most N rows (default: 1000; with --json 100000)")
      ->check(CLI::Range(1, INT_MAX));
  sub->callback([options, &store] { sql_command(store.empty() ? default_store() : store, *options); });
  add_compare_command(app, store);
  add_diff_command(app, store);
  add_housekeeping_commands(app, store);
}

}  // namespace gradus
