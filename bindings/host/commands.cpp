#include "commands.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <vector>

#include "error.h"
#include "output.h"
#include "query/query.h"
#include "query/table.h"
#include "query/words.h"

namespace gradus {
namespace {

using namespace results;

struct ReadOptions {
  bool json = false;
  RunFilter filter;
  std::string run, sql;
  int rows = 1000;
};

std::string seconds(const Json& value) { return value.is_number() ? duration(value.get<double>()) : "–"; }

std::string status(const Json& run) {
  std::string text = shown(run["status"]);
  if (!styled()) return text;
  const char* colour = text == "finished" ? "\033[32m" : text == "running" ? "\033[36m" : "\033[33m";
  return text == "failed" ? "\033[31m" + text + "\033[0m" : colour + text + "\033[0m";
}

std::string started(const Json& run) {  // minutes are enough for a list
  std::string text = shown(run["started"]).substr(0, 16);
  if (text.size() == 16) text[10] = ' ';
  return text;
}

void runs_command(const std::string& path, const ReadOptions& options) {
  const auto store = Store::open(path, Store::Mode::read);
  std::vector<std::string> notes;
  RunFilter filter = options.filter;
  filter.notes = &notes;
  if (!options.json) {  // what the table shows
    filter.params = {"strategy"};
    filter.metrics = {"train/loss", "val/acc"};
  }
  const Json runs = list_runs(*store, filter);
  print_notes(notes);
  if (options.json) return print_json(runs);
  if (runs.empty()) return print("no runs" + std::string(options.filter.where.empty() ? "" : " fit --where") + "\n");
  bool strategies = false, metric = false;
  std::string key = "val/acc";
  for (const Json& run : runs) {
    strategies = strategies || run["params"].contains("strategy");
    metric = metric || run["last"].contains(key);
  }
  if (!metric) key = "train/loss";
  Table table;
  table.column("id", Align::right);
  table.column("uid");
  table.column("name");
  if (strategies) table.column("strategy");
  table.column("seed", Align::right);
  table.column("status");
  table.column("step", Align::right);
  table.column(key, Align::right);
  table.column("time", Align::right);
  table.column("started (UTC)");
  for (const Json& run : runs) {
    std::vector<std::string> cells = {shown(run["id"]), run["uid"].get<std::string>().substr(0, 8), shown(run["name"])};
    if (strategies) cells.push_back(run["params"].contains("strategy") ? shown(run["params"]["strategy"]) : "–");
    for (const std::string& cell :
         {shown(run["seed"]), status(run), shown(run["step"]),
          run["last"].contains(key) ? shown(run["last"][key]) : "–", seconds(run["seconds"]), started(run)}) {
      cells.push_back(cell);
    }
    table.row(std::move(cells));
  }
  print(table.text(styled()));
}

std::string pairs(const Json& object, std::string (*show)(const Json&, int) = exact) {
  std::string text;
  for (const auto& [key, value] : object.items()) text += "  " + printable(key) + " = " + show(value, 100) + "\n";
  return text;
}

Table table_of(const Json& rows, const std::vector<std::string>& columns, const std::string& right) {
  Table table;
  for (const std::string& column : columns)
    table.column(column, right.find(" " + column + " ") != std::string::npos ? Align::right : Align::left);
  for (const Json& row : rows) {
    std::vector<std::string> cells;
    for (const std::string& column : columns) cells.push_back(shown(row[column], 160));
    table.row(std::move(cells));
  }
  return table;
}

void show_command(const std::string& path, const ReadOptions& options) {
  const auto store = Store::open(path, Store::Mode::read);
  Json run = show_run(*store, options.run);
  if (options.json) return print_json(run);
  std::string text = "run " + shown(run["id"]) + "  " + shown(run["name"]) + "  " + status(run) + "  " +
                     seconds(run["seconds"]) + "\n";
  for (const char* key : {"uid", "note", "archived", "kind", "parent", "seed", "started", "ended", "device", "threads",
                          "host", "script", "command", "git_commit", "config_hash", "error", "folder"}) {
    if (run[key].is_null()) continue;
    text += "  " + std::string(key) + std::string(13 - std::string(key).size(), ' ') + shown(run[key], 200);
    if (std::string(key) == "git_commit" && run["git_dirty"] == true)
      text += " (with uncommitted changes, kept among the sources)";
    if (std::string(key) == "git_commit" && run["git_dirty"].is_null())
      text += " (git took too long to say whether there were uncommitted changes)";
    text += "\n";
  }
  if (!run["tags"].empty()) text += heading("tags") + pairs(run["tags"]);
  if (run["progress"].is_object()) text += heading("progress") + pairs(run["progress"], shown);
  if (!run["params"].empty()) text += heading("params") + pairs(run["params"]);
  if (!run["summaries"].empty()) {
    text += heading("metrics") + table_of(run["summaries"], {"key", "last", "min", "argmin", "max", "argmax", "count"},
                                          " last min argmin max argmax count ")
                                     .text(styled());
  }
  // Each best value is an event too: so many that they would hide the decisions.
  Json events = Json::array();
  for (Json& event : run["events"]) {
    event["detail"] = in_words(event["detail"]);
    if (event["kind"] != "best") events.push_back(event);
  }
  if (!events.empty())
    text += heading("events") + table_of(events, {"step", "kind", "name", "detail"}, " step ").text(styled());
  if (!run["children"].empty())
    text += heading("started") + table_of(run["children"], {"id", "name", "kind", "status"}, " id ").text(styled());
  if (!run["sources"].empty()) {
    for (Json& source : run["sources"]) source["sha256"] = source["sha256"].get<std::string>().substr(0, 12);
    text += heading("sources") + table_of(run["sources"], {"path", "sha256", "bytes"}, " bytes ").text(styled());
  }
  if (!run["artifacts"].empty())
    text += heading("artifacts") + table_of(run["artifacts"], {"kind", "path", "bytes"}, " bytes ").text(styled());
  print(text);
}

void sql_command(const std::string& path, const ReadOptions& options) {
  const auto store = Store::open(path, Store::Mode::read);
  Limits limits;
  if (!options.json || options.rows != 1000) limits.rows = options.rows;
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
    print(table.text(styled()));
  }
  if (rows.truncated)
    std::fprintf(stderr, "gradus: there are more rows than %lld; --rows N shows more\n",
                 static_cast<long long>(limits.rows));
}

}  // namespace

void add_filter(CLI::App& command, RunFilter& filter) {
  command.add_option("--where", filter.where,
                     "only runs that fit, e.g. \"strategy == 'stages' and best(val/acc) > 0.9\"");
  command.add_flag("--children", filter.children, "also runs that other runs started, such as teachers");
  command.add_flag("--archived", filter.archived, "also archived runs");
}

void add_reading_commands(CLI::App& app, std::string& store) {
  const auto add = [&](const char* name, const char* what, auto command, auto more) {
    CLI::App* sub = app.add_subcommand(name, what);
    auto options = std::make_shared<ReadOptions>();  // lives as long as the callback below
    sub->add_option("--store", store, "the store (default: $GRADUS_STORE or runs/gradus.db)");
    sub->add_flag("--json", options->json, "one JSON document on standard output");
    more(sub, *options);
    sub->callback([options, command, &store] { command(store.empty() ? default_store() : store, *options); });
  };
  add("runs", "list the runs", runs_command, [&](CLI::App* sub, ReadOptions& options) {
    add_filter(*sub, options.filter);
    sub->add_option("--limit", options.filter.limit, "only the newest N")->check(CLI::NonNegativeNumber);
  });
  add("show", "all that is known of one run", show_command, [](CLI::App* sub, ReadOptions& options) {
    sub->add_option("run", options.run, "an id, the beginning of a uid, or @last")->required();
  });
  add("sql", "ask the store in SQL", sql_command, [](CLI::App* sub, ReadOptions& options) {
    sub->add_option("query", options.sql, "one statement that reads")->required();
    sub->add_option("--rows", options.rows, "show at most N rows (default: 1000; with --json 100000)")
        ->check(CLI::PositiveNumber);
  });
  add_compare_command(app, store);
  add_diff_command(app, store);
  add_housekeeping_commands(app, store);
}

}  // namespace gradus
