#include "commands.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <vector>

#include "error.h"
#include "query.h"
#include "table.h"

namespace gradus {
namespace {

using namespace results;

struct ReadOptions {
  bool json = false;
  RunFilter filter;
  std::string run, sql, by, threshold;
  std::vector<std::string> metrics;
  int rows = 1000;
  bool unfinished = false;
};

bool styled() { return ::isatty(STDOUT_FILENO) == 1; }

void print(const std::string& text) {
  // A full disk or a closed pipe is seen here or never.
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw Error(Exit::io, "standard output: cannot write");
  }
}

void print_json(const Json& json) { print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"); }

// A JSON value as a cell of a table.
std::string shown(const Json& value, int width = 40) {
  if (value.is_null()) return "–";
  if (value.is_number_float()) return number(value.get<double>());
  if (value.is_string()) return printable(value.get<std::string>(), width);
  return printable(value.dump(-1, ' ', false, Json::error_handler_t::replace), width);
}

std::string seconds(const Json& value) { return value.is_number() ? duration(value.get<double>()) : "–"; }

std::string status(const Json& run) {
  const std::string text = shown(run["status"]);
  if (!styled()) return text;
  const char* colour = text == "finished" ? "\033[32m" : text == "running" ? "\033[36m" : "\033[33m";
  return text == "failed" ? "\033[31m" + text + "\033[0m" : colour + text + "\033[0m";
}

std::string spread_cell(const Json& s) {
  if (!s["mean"].is_number()) return shown(s["mean"]);
  return mean_sd(s["mean"].get<double>(), s["sd"].is_number() ? s["sd"].get<double>() : NAN);
}

std::string started(const Json& run) {  // minutes are enough for a list
  std::string text = shown(run["started"]).substr(0, 16);
  if (text.size() == 16) text[10] = ' ';
  return text;
}

void runs_command(const std::string& path, const ReadOptions& options) {
  const auto store = Store::open(path, Store::Mode::read);
  const Json runs = list_runs(*store, options.filter);
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

// As it was given: a parameter is not rounded.
std::string exact(const Json& value) { return value.is_number() ? value.dump() : shown(value, 100); }

std::string pairs(const Json& object) {
  std::string text;
  for (const auto& [key, value] : object.items()) text += "  " + printable(key) + " = " + exact(value) + "\n";
  return text;
}

std::string heading(const std::string& title) {
  return "\n" + (styled() ? "\033[1m" + title + "\033[0m" : title) + "\n";
}

Table table_of(const Json& rows, const std::vector<std::string>& columns, const std::string& right) {
  Table table;
  for (const std::string& column : columns)
    table.column(column, right.find(" " + column + " ") != std::string::npos ? Align::right : Align::left);
  for (const Json& row : rows) {
    std::vector<std::string> cells;
    for (const std::string& column : columns) cells.push_back(shown(row[column], 80));
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
  for (const char* key : {"uid", "kind", "parent", "seed", "started", "ended", "device", "threads", "host", "script",
                          "command", "git_commit", "config_hash", "error", "folder"}) {
    if (run[key].is_null()) continue;
    text += "  " + std::string(key) + std::string(13 - std::string(key).size(), ' ') + shown(run[key], 200);
    if (std::string(key) == "git_commit" && run["git_dirty"] == true)
      text += " (with uncommitted changes, kept among the sources)";
    text += "\n";
  }
  if (run["progress"].is_object()) text += heading("progress") + pairs(run["progress"]);
  if (!run["params"].empty()) text += heading("params") + pairs(run["params"]);
  if (!run["summaries"].empty()) {
    text += heading("metrics") + table_of(run["summaries"], {"key", "last", "min", "argmin", "max", "argmax", "count"},
                                          " last min argmin max argmax count ")
                                     .text(styled());
  }
  if (!run["events"].empty())
    text += heading("events") + table_of(run["events"], {"step", "kind", "name", "detail"}, " step ").text(styled());
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

std::string compare_text(const Json& compared) {
  Table table;
  for (const Json& column : compared["by"]) table.column(column.get<std::string>());
  table.column("runs", Align::right);
  std::vector<std::string> curves;
  for (const Json& metric : compared["metrics"]) {
    const std::string key = metric["key"];
    bool curve = false;
    for (const Json& group : compared["groups"]) curve = curve || group["metrics"][key]["curve"].get<bool>();
    if (curve) curves.push_back(key);
    table.column(curve ? key + " last" : key, Align::right);
    if (curve) table.column("best", Align::right);
  }
  const Json& threshold = compared["threshold"];
  if (threshold.is_object()) {
    table.column("steps to " + threshold["key"].get<std::string>() + threshold["op"].get<std::string>() +
                     threshold["value"].dump(),
                 Align::right);
  }
  for (const Json& group : compared["groups"]) {
    std::vector<std::string> cells;
    for (const Json& column : compared["by"]) cells.push_back(shown(group["label"][column.get<std::string>()]));
    cells.push_back(shown(group["n"]));
    for (const auto& [key, metric] : group["metrics"].items()) {
      cells.push_back(spread_cell(metric["last"]));
      if (std::find(curves.begin(), curves.end(), key) != curves.end()) cells.push_back(spread_cell(metric["best"]));
    }
    if (threshold.is_object()) {
      const Json& steps = group["steps_to"];
      const bool all = steps["reached"] == steps["n"];
      cells.push_back(steps["reached"] == 0
                          ? "never"
                          : spread_cell(steps) +
                                (all ? "" : " (" + shown(steps["reached"]) + " of " + shown(steps["n"]) + ")"));
    }
    table.row(std::move(cells));
  }
  std::string text = table.text(styled());
  int repeated = 0;
  std::string mixed;
  for (const Json& group : compared["groups"]) {
    repeated += group["repeated"].get<int>();
    for (const Json& key : group["mixed"]) {
      if (mixed.find(key.get<std::string>()) == std::string::npos)
        mixed += (mixed.empty() ? "" : ", ") + key.get<std::string>();
    }
  }
  text += "mean ± sample standard deviation over runs";
  if (repeated > 0) text += "; " + std::to_string(repeated) + " repetitions of a seed not counted";
  if (!mixed.empty()) text += "; groups mix different " + mixed;
  return text + "\n";
}

void compare_command(const std::string& path, const ReadOptions& options) {
  CompareOptions compare_options;
  compare_options.filter = options.filter;
  compare_options.metrics = options.metrics;
  compare_options.unfinished = options.unfinished;
  for (std::size_t begin = 0; begin < options.by.size();) {  // a,b,c
    const std::size_t end = std::min(options.by.find(',', begin), options.by.size());
    compare_options.by.push_back(options.by.substr(begin, end - begin));
    begin = end + 1;
  }
  if (!options.threshold.empty()) compare_options.threshold = parse_threshold(options.threshold);
  const auto store = Store::open(path, Store::Mode::read);
  const Json compared = compare(*store, compare_options);
  if (options.json) return print_json(compared);
  if (compared["groups"].empty()) {
    return print("no " + std::string(options.unfinished ? "" : "finished ") + "runs" +
                 (options.filter.where.empty() ? "" : " fit --where") + "\n");
  }
  print(compare_text(compared));
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

void add_reading_commands(CLI::App& app, std::string& store) {
  const auto add = [&](const char* name, const char* what, auto command, auto more) {
    CLI::App* sub = app.add_subcommand(name, what);
    auto options = std::make_shared<ReadOptions>();  // lives as long as the callback below
    sub->add_option("--store", store, "the store (default: $GRADUS_STORE or runs/gradus.db)");
    sub->add_flag("--json", options->json, "one JSON document on standard output");
    more(sub, *options);
    sub->callback([options, command, &store] { command(store.empty() ? default_store() : store, *options); });
  };
  const auto filter = [](CLI::App* sub, ReadOptions& options) {
    sub->add_option("--where", options.filter.where,
                    "only runs that fit, e.g. 'strategy = \"stages\" and last(val/acc) > 0.9'");
    sub->add_flag("--children", options.filter.children, "also runs that other runs started, such as teachers");
  };
  add("runs", "list the runs", runs_command, [&](CLI::App* sub, ReadOptions& options) {
    filter(sub, options);
    sub->add_option("--limit", options.filter.limit, "only the newest N")->check(CLI::NonNegativeNumber);
  });
  add("show", "all that is known of one run", show_command, [](CLI::App* sub, ReadOptions& options) {
    sub->add_option("run", options.run, "an id, the beginning of a uid, or @last")->required();
  });
  add("compare", "mean and spread over seeds, by strategy", compare_command, [&](CLI::App* sub, ReadOptions& options) {
    filter(sub, options);
    sub->add_option("--by", options.by,
                    "group by these parameters only, e.g. strategy,lr (default: by all but the seed)");
    sub->add_option("--metric", options.metrics, "metrics to compare (default: result/*, else val/acc)");
    sub->add_option("--threshold", options.threshold, "count the steps until, e.g. val/acc>=0.9");
    sub->add_flag("--unfinished", options.unfinished, "also runs that are running, failed or interrupted");
  });
  add("sql", "ask the store in SQL", sql_command, [](CLI::App* sub, ReadOptions& options) {
    sub->add_option("query", options.sql, "one statement that reads")->required();
    sub->add_option("--rows", options.rows, "show at most N rows (default: 1000; with --json 100000)")
        ->check(CLI::PositiveNumber);
  });
}

}  // namespace gradus
