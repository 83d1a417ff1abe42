#include <cstdio>
#include <memory>
#include <string>

#include "commands.h"
#include "output.h"
#include "query/diff.h"
#include "query/lineage.h"
#include "query/table.h"
#include "query/words.h"

namespace gradus {
namespace {

using namespace results;

struct Options {
  std::string a, b;
  bool json = false;
};

// A parameter's value, or what is known of a data set.
std::string side_text(const Json& value) {
  return value.is_object() ? printable(in_words(value), 60) : exact(value, 60);
}

Table pairs_table(const Json& diff, const Json& rows) {
  Table table;
  table.column("");
  table.column("run " + exact(diff["a"]["id"]));
  table.column("run " + exact(diff["b"]["id"]));
  for (const Json& row : rows) table.row({exact(row["key"]), side_text(row["a"]), side_text(row["b"])});
  return table;
}

std::string event_text(const Json& event) {
  if (event.is_null()) return "none";
  std::string text = exact(event["kind"]) + " " + exact(event["name"]) + " at step " + exact(event["step"]);
  const std::string detail = in_words(event["detail"]);
  if (!detail.empty()) text += "  " + printable(detail, 160);
  return text;
}

std::string coloured(const std::string& text) {
  std::string out;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = printable(std::string_view(text).substr(begin, end - begin));
    const char* colour = line.rfind("@@", 0) == 0 ? "\033[36m"
                         : line[0] == '+'         ? "\033[32m"
                         : line[0] == '-'         ? "\033[31m"
                                                  : "";
    out += styled() && *colour ? colour + line + "\033[0m\n" : line + "\n";
    begin = end + 1;
  }
  return out;
}

std::string steps(const Json& events) {
  std::string text;
  for (const Json& event : events)
    text += (text.empty() ? "" : ", ") + exact(event["name"]) + " at " + exact(event["step"]);
  return text.empty() ? "none" : text;
}

// A metric's value at a step that both have: null is NaN there.
std::string value_text(const Json& value, std::string (*show)(const Json&, int)) {
  return value.is_null() ? "nan" : show(value, 0);
}

std::string schedule_text(const Json& diff) {
  const Json& schedule = diff["schedule"];
  std::string text;
  for (const char* kind : {"stages", "decisions"}) {
    if (schedule[kind]["a"] == schedule[kind]["b"]) continue;
    for (const char* side : {"a", "b"})
      text += std::string(kind) + " of run " + exact(diff[side]["id"]) + ": " + steps(schedule[kind][side]) + "\n";
  }
  for (const Json& knob : schedule["knobs"])
    text += exact(knob["key"]) + " from step " + exact(knob["step"]) + ": " + value_text(knob["a"], exact) + " and " +
            value_text(knob["b"], exact) + "\n";
  return text;
}

std::string metrics_text(const Json& diff) {
  Table table;
  table.column("metric");
  for (const char* title : {"parts at step", "a", "b", "last a", "last b"}) table.column(title, Align::right);
  for (const Json& one : diff["metrics"])
    table.row({exact(one["key"]), exact(one["step"]), value_text(one["a"], shown), value_text(one["b"], shown),
               value_text(one["last_a"], shown), value_text(one["last_b"], shown)});
  return table.empty() ? "" : fitted(table);
}

std::string diff_text(const Json& diff) {
  std::string text = "a: run " + exact(diff["a"]["id"]) + "  " + exact(diff["a"]["name"]) + "\nb: run " +
                     exact(diff["b"]["id"]) + "  " + exact(diff["b"]["name"]) + "\n";
  if (!diff["lineage"].is_null()) text += printable(common_past_text(diff["lineage"])) + "\n";
  const std::pair<const char*, const char*> sections[] = {
      {"params", "parameters"}, {"data", "data"}, {"environment", "environment"}};
  for (const auto& [key, title] : sections) {
    if (!diff[key].empty()) text += heading(title) + fitted(pairs_table(diff, diff[key]));
  }
  for (const Json& source : diff["sources"])
    text += heading("source " + exact(source["path"])) + coloured(source["diff"]);
  if (const std::string schedule = schedule_text(diff); !schedule.empty()) text += heading("schedule") + schedule;
  if (const std::string metrics = metrics_text(diff); !metrics.empty()) text += heading("metrics") + metrics;
  if (diff["same_code"] == true) text += "\nthe same code";
  if (diff["parts"].is_null()) {
    if (diff["same_code"] == true)
      text += "; ";
    else
      text += "\n";
    return text + (diff["identical"].empty() ? "no step that both logged" : "every shared value is the same") + "\n";
  }
  const Json& parts = diff["parts"];
  std::string where = "\nthe curves part at step " + exact(parts["step"]) + ": " + exact(parts["key"]) + " is " +
                      value_text(parts["a"], exact) + " and " + value_text(parts["b"], exact) + "\n";
  for (const char* side : {"a", "b"})
    where += std::string("  ") + side + ", last before it: " + event_text(diff["before"][side]) + "\n";
  return text + folded(where, 4);
}

}  // namespace

void add_diff_command(CLI::App& app, std::string& store) {
  CLI::App* sub = app.add_subcommand("diff", "what is different between two runs, and where their curves part");
  auto options = std::make_shared<Options>();  // lives as long as the callback below
  sub->add_option("--store", store, "the store (default: $GRADUS_STORE or runs/gradus.db)");
  sub->add_flag("--json", options->json, "one JSON document on standard output");
  add_full(*sub);
  sub->add_option("A", options->a, "an id, the beginning of a uid, or @last")->required();
  sub->add_option("B", options->b, "another")->required();
  sub->callback([options, &store] {
    const auto opened = Store::open(store.empty() ? default_store() : store, Store::Mode::read);
    const Json diff = diff_runs(*opened, options->a, options->b);
    options->json ? print_json(diff) : print(diff_text(diff));
    if (!options->json) print_cuts();
  });
}

}  // namespace gradus
