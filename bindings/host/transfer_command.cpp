#include "transfer_command.h"

#include <climits>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <vector>

#include "error.h"
#include "exchange/csv.h"
#include "exchange/import.h"
#include "exchange/json.h"
#include "exchange/mlflow.h"
#include "exchange/tensorboard.h"
#include "exchange/wandb.h"
#include "output.h"

namespace gradus {
namespace {

using namespace results;

struct ExportLine {
  RunFilter filter;
  std::vector<std::string> runs;
  std::string target;
  CsvOptions csv;
};
struct ImportLine {
  ImportOptions options;
  std::string source;
  bool json = false;
};

std::string count(std::int64_t number, const char* what) {
  return std::to_string(number) + " " + what + (number == 1 ? "" : "s");
}

using ExportFunction = Exported (*)(Store&, const std::vector<std::int64_t>&, const ExportLine&);

template <Exported (*function)(Store&, const std::vector<std::int64_t>&, const std::string&)>
Exported to_target(Store& store, const std::vector<std::int64_t>& runs, const ExportLine& line) {
  return function(store, runs, line.target);
}

Exported to_csv(Store& store, const std::vector<std::int64_t>& runs, const ExportLine& line) {
  CsvOptions options = line.csv;
  options.metrics = split_all(options.metrics);
  return export_csv(store, runs, line.target, options);
}

void export_runs(const std::string& path, const ExportLine& line, ExportFunction function) {
  const auto store = Store::open(path, Store::Mode::read);
  std::vector<std::string> notes;
  RunFilter filter = line.filter;
  filter.notes = &notes;
  const std::vector<std::int64_t> runs = select_runs(*store, line.runs, filter);
  print_notes(notes);
  const Exported done = function(*store, runs, line);
  // What goes to standard output is the document and nothing else.
  if (line.target.empty() || line.target == "-") return;
  const std::string cut =
      count(done.cut, "text") + (done.cut == 1 ? " is" : " are") + " longer than fits there, and cut";
  print(count(done.runs, "run") + " with " + count(done.values, "value") + " in " + line.target +
        (done.cut > 0 ? "; " + cut : "") + "\n");
}

using ImportFunction = Imported (*)(Store&, const std::string&, const ImportOptions&);

void import_runs(const std::string& path, const ImportLine& line, ImportFunction function) {
  // Before a store is made for it.
  if (!std::filesystem::exists(line.source))
    throw Error(Exit::missing, line.source + ": no such file or folder; expected something to import; got nothing");
  const auto store = Store::open(path, Store::Mode::create);
  const Imported done = function(*store, line.source, line.options);
  if (line.json) {
    Json json = {{"added", done.added},   {"updated", done.updated}, {"unchanged", done.unchanged},
                 {"values", done.values}, {"skipped", done.skipped}, {"children", done.children},
                 {"empty", done.empty}};
    if (done.replaced > 0) json["replaced"] = done.replaced;
    if (done.numbered > 0) json["numbered"] = done.numbered;
    return print(json.dump(2) + "\n");
  }
  std::string text = count(done.added, "run") + " added";
  if (done.updated > 0) text += ", " + std::to_string(done.updated) + " updated";
  if (done.unchanged > 0) text += ", " + std::to_string(done.unchanged) + " already there";
  text += "; " + count(done.values, "value");
  if (done.replaced > 0)
    text += "; " + std::to_string(done.replaced) + " of them replaced by a later one of the same metric and step";
  if (done.numbered > 0) text += "; " + count(done.numbered, "metric") + " without steps, numbered as they came";
  if (done.skipped > 0) text += "; " + std::to_string(done.skipped) + " left out (no scalars, or deleted)";
  if (done.empty > 0) text += "; " + count(done.empty, "source") + " with nothing to take";
  if (done.children > 0)
    text += "; " + std::to_string(done.children) +
            (done.children == 1 ? " belongs to another run" : " belong to other runs") +
            " (`gradus runs --children` lists them)";
  print(text + "\n");
}

void add_export(CLI::App& app, std::string& store) {
  CLI::App* root = app.add_subcommand("export", "Write runs as other tools' files");
  root->require_subcommand(1);
  const auto add = [&](const char* name, const char* what, const char* target, const char* target_help,
                       ExportFunction function) {
    CLI::App* sub = root->add_subcommand(name, what);
    auto line = std::make_shared<ExportLine>();  // lives as long as the callback below
    CLI::Option* option = sub->add_option(target, line->target, target_help);
    if (target[0] != '-') option->required();
    sub->add_option("RUN", line->runs, "ids, beginnings of uids, or @last (default: all runs)");
    sub->add_option("--store", store, "the store (default: $GRADUS_STORE or runs/gradus.db)");
    sub->add_option("--where", line->filter.where, "only runs that fit, e.g. 'strategy == \"stages\"'");
    sub->add_flag("--children", line->filter.children, "also runs that other runs started, such as teachers");
    sub->callback([line, function, &store] { export_runs(store.empty() ? default_store() : store, *line, function); });
    return std::pair(sub, line);
  };
  add("tensorboard", "event files that TensorBoard shows, one folder per run", "DIR,-o,--output", "the folder",
      to_target<export_tensorboard>);
  add("mlflow", "a SQLite store that MLflow opens (sqlite:///FILE)", "FILE,-o,--output",
      "the file; runs in it are replaced", to_target<export_mlflow>);
  add("wandb", "offline runs that `wandb sync` uploads, one folder per run", "DIR,-o,--output",
      "the folder; wandb is where `wandb sync` looks", to_target<export_wandb>);
  const auto [csv, line] = add("csv", "metrics as CSV; to a folder also runs, params, progress and events",
                               "-o,--output", "a file or a folder (default: standard output)", to_csv);
  csv->add_option("--metric", line->csv.metrics, "only these metrics; may be repeated")->allow_extra_args(false);
  csv->add_option("--points", line->csv.points, "at most about N points of a curve, its extremes kept (default: all)")
      ->check(CLI::Range(1, INT_MAX));
  add("json", "everything but files as one JSON document", "-o,--output", "a file (default: standard output)",
      to_target<export_json>);
}

void add_import(CLI::App& app, std::string& store) {
  CLI::App* root = app.add_subcommand("import", "Take runs from other tools' files");
  root->require_subcommand(1);
  const auto add = [&](const char* name, const char* what, const char* source, ImportFunction function) {
    CLI::App* sub = root->add_subcommand(name, what);
    auto line = std::make_shared<ImportLine>();
    sub->add_option(source, line->source, "what to read")->required();
    sub->add_option("--store", store, "the store (default: $GRADUS_STORE or runs/gradus.db)");
    sub->add_option("--name", line->options.name, "name of the runs in the store");
    sub->add_flag("--json", line->json, "one JSON document on standard output");
    sub->callback([line, function, &store] { import_runs(store.empty() ? default_store() : store, *line, function); });
    return std::pair(sub, line);
  };
  const auto [sub, line] = add("tensorboard", "event files; each folder with some is a run", "DIR", import_tensorboard);
  sub->add_flag("--partial", line->options.partial, "take what is before the damage of a damaged file");
  add("mlflow", "an MLflow store in SQLite", "FILE", import_mlflow);
  add("trackio", "a Trackio project: PROJECT.db", "FILE", import_trackio);
}

}  // namespace

void add_transfer_commands(CLI::App& app, std::string& store) {
  add_export(app, store);
  add_import(app, store);
}

}  // namespace gradus
