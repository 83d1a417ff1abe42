#include <map>
#include <memory>
#include <vector>

#include "commands.h"
#include "exchange/exported_run.h"
#include "output.h"
#include "query/lineage.h"
#include "query/names.h"
#include "query/stage_text.h"
#include "query/table.h"
#include "query/words.h"

namespace gradus {
namespace {

using namespace results;

struct Options {
  std::string run;
  std::vector<std::string> curves;
  bool json = false, code = false;
};

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

Table table_of(const StageText& stages) {
  Table table;
  for (const std::string& title : stages.titles) table.column(title, title == "stage" ? Align::left : Align::right);
  for (const auto& row : stages.rows) table.row(row);
  return table;
}

// What was forked off the run.
Table forks_table(const Json& forks) {
  Table table;
  table.column("id", Align::right);
  for (const char* title : {"name", "status"}) table.column(title);
  table.column("at step", Align::right);
  table.column("with");
  for (const Json& fork : forks)
    table.row({shown(fork["run"]), shown(fork["name"], 160), shown(fork["status"]), shown(fork["step"]),
               printable(change_text(fork), 160)});
  return table;
}

// Runs that it started; of a part that did not go on (an attempt), also its steps.
Table children_table(const Json& children) {
  bool attempts = false;
  for (const Json& child : children) attempts = attempts || child["kind"] == "attempt";
  return attempts ? table_of(children, {"id", "name", "kind", "status", "from", "to"}, " id from to ")
                  : table_of(children, {"id", "name", "kind", "status"}, " id ");
}

// The sources of a run, each under its path.
void show_code(Store& store, const Json& run, bool json) {
  Json all = Json::array();
  std::string text;
  for (const Json& source : run["sources"]) {
    const Rows rows = store.query("SELECT text FROM sources WHERE sha256 = ?1", {source["sha256"].get<std::string>()});
    if (rows.rows.empty()) continue;
    const Json code = to_json(rows.rows[0][0]);
    all.push_back({{"path", source["path"]}, {"text", code}});
    text += "-- " + printable(source["path"].get<std::string>()) + "\n" + code.get<std::string>();
    if (!text.ends_with('\n')) text += '\n';
  }
  json ? print_json(all) : print(text);
}

// All values of some metrics of a run, by step.
void show_curves(Store& store, std::int64_t run, const Options& options) {
  Json all = Json::object();
  std::vector<std::string> keys, notes;
  std::map<std::int64_t, std::map<std::string, double>> rows;
  for (const std::string& name : options.curves) {
    const std::string key = resolve_metric(store, name, "show: --curve", &notes);
    keys.push_back(key);
    all[key] = Json::array();
    for_each_point(store, run, key, [&](std::int64_t step, double value) {
      all[key].push_back({step, to_json(value)});
      rows[step][key] = value;
    });
  }
  print_notes(notes);
  if (options.json) return print_json(all);
  Table table;
  table.column("step", Align::right);
  for (const std::string& key : keys) table.column(key, Align::right);
  for (const auto& [step, values] : rows) {
    std::vector<std::string> cells = {std::to_string(step)};
    for (const std::string& key : keys) cells.push_back(values.count(key) == 0 ? "–" : number(values.at(key)));
    table.row(std::move(cells));
  }
  print(fitted(table));
}

void show_command(const std::string& path, const Options& options) {
  const auto store = Store::open(path, Store::Mode::read);
  if (!options.curves.empty()) return show_curves(*store, store->resolve(options.run), options);
  Json run = show_run(*store, options.run);
  if (options.code) return show_code(*store, run, options.json);
  if (options.json) return print_json(run);
  std::string text = "run " + shown(run["id"]) + "  " + shown(run["name"]) + "  " + run_status(run) + "  " +
                     run_seconds(run["seconds"]) + "\n";
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
  if (!run["origin"].is_null()) text += "  origin       " + printable(fork_text(run["origin"]), 200) + "\n";
  if (!run["tags"].empty()) text += heading("tags") + pairs(run["tags"]);
  if (run["progress"].is_object()) text += heading("progress") + pairs(run["progress"], shown);
  if (!run["params"].empty()) text += heading("params") + pairs(run["params"]);
  for (Json& summary : run["summaries"]) {  // NULL is NaN there
    for (const char* value : {"last", "min", "max"}) {
      if (summary[value].is_null()) summary[value] = "nan";
    }
  }
  if (!run["summaries"].empty()) {
    text += heading("metrics") +
            fitted(table_of(run["summaries"], {"key", "last", "min", "argmin", "max", "argmax", "count"},
                            " last min argmin max argmax count "));
  }
  if (run["stages"].size() > 1) text += heading("stages") + fitted(table_of(stage_text(run["stages"])));
  // Each best value is an event too: so many that they would hide the decisions. And spreads are for a figure.
  Json events = Json::array();
  for (Json& event : run["events"]) {
    event["detail"] = in_words(event["detail"]);
    if (event["kind"] != "best" && event["kind"] != "spread") events.push_back(event);
  }
  if (!events.empty())
    text += heading("events") + fitted(table_of(events, {"step", "kind", "name", "detail"}, " step "));
  if (!run["children"].empty()) text += heading("started") + fitted(children_table(run["children"]));
  if (!run["forks"].empty()) text += heading("forks") + fitted(forks_table(run["forks"]));
  if (!run["sources"].empty()) {
    for (Json& source : run["sources"]) source["sha256"] = source["sha256"].get<std::string>().substr(0, 12);
    text += heading("sources") + fitted(table_of(run["sources"], {"path", "sha256", "bytes"}, " bytes "));
  }
  if (!run["artifacts"].empty())
    text += heading("artifacts") + fitted(table_of(run["artifacts"], {"kind", "path", "bytes"}, " bytes "));
  if (!run["snapshots"].empty())
    text += heading("snapshots") + fitted(table_of(run["snapshots"], {"snapshot", "bytes"}, " bytes "));
  print(text);
  print_cuts();
}

}  // namespace

void add_show_command(CLI::App& app, std::string& store) {
  CLI::App* sub = app.add_subcommand("show", "all that is known of one run");
  auto options = std::make_shared<Options>();  // lives as long as the callback below
  sub->add_option("--store", store, "the store (default: $GRADUS_STORE or runs/gradus.db)");
  sub->add_flag("--json", options->json, "one JSON document on standard output");
  add_full(*sub);
  sub->add_option("run", options->run, "an id, the beginning of a uid, or @last")->required();
  CLI::Option* curve = sub->add_option("--curve", options->curves, "all values of a metric by step; may be repeated");
  curve->allow_extra_args(false);
  sub->add_flag("--code", options->code, "its sources")->excludes(curve);
  sub->callback([options, &store] { show_command(store.empty() ? default_store() : store, *options); });
}

}  // namespace gradus
