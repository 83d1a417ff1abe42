#include "report.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "document.h"
#include "error.h"
#include "plot/plot.h"
#include "query/lineage.h"
#include "query/query.h"
#include "query/stage_text.h"
#include "query/table.h"
#include "query/words.h"
#include "utf8.h"

namespace gradus::results {
namespace {

constexpr std::size_t kMostRunsInFull = 60;

using Cells = Document::Cells;

std::string shown(const Json& value) {
  if (value.is_null()) return "–";
  if (value.is_number_float()) return number(value.get<double>());
  return value.is_string() ? value.get<std::string>() : dump(value);
}

// A setting as it was given: not rounded.
std::string exact(const Json& value) { return value.is_number_float() ? value.dump() : shown(value); }

std::string minute(const Json& run) {
  std::string text = shown(run["started"]).substr(0, 16);
  if (text.size() == 16) text[10] = ' ';
  return text;
}

std::string without_result(const std::string& key) { return key.starts_with("result/") ? key.substr(7) : key; }

std::string spread_text(const Json& s) {
  if (!s["mean"].is_number()) return "–";
  return mean_sd(s["mean"].get<double>(), s["sd"].is_number() ? s["sd"].get<double>() : NAN);
}

void groups_table(Document& doc, const Json& compared) {
  Cells titles;
  for (const Json& column : compared["by"]) titles.push_back(column.get<std::string>());
  titles.push_back("runs");
  for (const Json& metric : compared["metrics"]) titles.push_back(without_result(metric["key"].get<std::string>()));
  std::vector<Cells> rows;
  for (const Json& group : compared["groups"]) {
    Cells row;
    for (const Json& column : compared["by"]) row.push_back(exact(group["label"][column.get<std::string>()]));
    const Json& total = group["total"];
    const auto of = [&](const Json& n) { return n == total ? "" : " of " + shown(total); };
    row.push_back(shown(group["n"]) + of(group["n"]));
    for (const auto& [key, metric] : group["metrics"].items()) {
      const Json& last = metric["last"];
      row.push_back(spread_text(last) + (last["n"] == total ? "" : " (" + shown(last["n"]) + of(last["n"]) + ")"));
    }
    rows.push_back(std::move(row));
  }
  doc.heading(2, "Results");
  doc.table(titles, rows);
  doc.paragraph(
      "Last value, mean ± sample standard deviation over runs; k of n: the others failed, were interrupted, or came "
      "to no finite value.");
}

// Parameters: those that are the same in all runs once, the others run by run.
void settings(Document& doc, const std::vector<Json>& runs) {
  std::map<std::string, std::set<std::string>> values;
  std::map<std::string, std::size_t> seen;
  for (const Json& run : runs) {
    for (const auto& [key, value] : run["params"].items()) values[key].insert(exact(value)), ++seen[key];
  }
  std::vector<Cells> same;
  Cells titles = {"run", "name", "seed", "status"};
  std::vector<std::string> differing;
  for (const auto& [key, set] : values) {
    if (set.size() == 1 && seen[key] == runs.size()) {
      same.push_back({key, *set.begin()});
    } else {
      differing.push_back(key);
      titles.push_back(key);
    }
  }
  titles.push_back("time");
  std::vector<Cells> rows;
  for (const Json& run : runs) {
    Cells row = {shown(run["id"]), shown(run["name"]), shown(run["seed"]), shown(run["status"])};
    for (const std::string& key : differing)
      row.push_back(run["params"].contains(key) ? exact(run["params"][key]) : "–");
    row.push_back(run["seconds"].is_number() ? duration(run["seconds"].get<double>()) : "–");
    rows.push_back(std::move(row));
  }
  doc.heading(2, "Runs");
  doc.table(titles, rows);
  if (!same.empty()) {
    doc.heading(2, "Settings of all runs");
    doc.table({"parameter", "value"}, same);
  }
}

// Which of the runs were forked off whom, and what was changed there.
void forks(Document& doc, const std::vector<Json>& runs) {
  std::vector<Cells> rows;
  for (const Json& run : runs) {
    const Json& origin = run["origin"];
    if (origin.is_null()) continue;
    const std::string of = origin["origin"].is_number() ? shown(origin["origin"])
                                                        : shown(origin["uid"]).substr(0, 8) + " (not in this store)";
    const std::string change = change_text(origin);
    rows.push_back({shown(run["id"]), of, shown(origin["step"]), change.empty() ? "–" : change});
  }
  if (rows.empty()) return;
  doc.heading(2, "Forks");
  doc.paragraph("Until its step a fork is the run that it comes from; the curves are marked there.");
  doc.table({"run", "fork of", "at step", "with"}, rows);
}

void one_run(Document& doc, Store& store, const Json& run, const ReportOptions& options) {
  doc.open("Run " + shown(run["id"]) + ": " + shown(run["name"]) + ", seed " + shown(run["seed"]));
  std::vector<Cells> metrics, events;
  std::set<std::string> clouds;
  for (const Json& s : run["summaries"]) {
    if (s["key"].get<std::string>().starts_with("knob/")) continue;
    const auto value = [&](const char* of) { return s[of].is_null() ? "nan" : shown(s[of]); };  // NULL is NaN there
    metrics.push_back(
        {shown(s["key"]), value("last"), value("min"), shown(s["argmin"]), value("max"), shown(s["argmax"])});
  }
  for (const Json& event : run["events"]) {
    if (event["kind"] == "best") continue;  // one for every improvement: the curve tells it
    if (event["kind"] == "spread") {
      clouds.insert(event["name"].get<std::string>());
      continue;
    }
    events.push_back({shown(event["step"]), shown(event["kind"]), shown(event["name"]), in_words(event["detail"])});
  }
  PlotOptions plot;
  plot.runs = {run["id"].get<std::int64_t>()};
  plot.metrics = options.metrics;
  if (options.runs.size() > 1) doc.figure(figures(store, plot));
  plot.metrics.assign(clouds.begin(), clouds.end());
  doc.figure(spreads(store, plot));
  if (run["stages"].size() > 1) {
    const StageText stages = stage_text(run["stages"]);
    doc.table(stages.titles, stages.rows);
  }
  doc.table({"metric", "last", "least", "at step", "greatest", "at step"}, metrics);
  doc.table({"step", "event", "name", "numbers"}, events);
  std::vector<Cells> facts;
  for (const char* key :
       {"uid", "started", "ended", "device", "threads", "git_commit", "config_hash", "error", "note"}) {
    if (run.contains(key) && !run[key].is_null()) facts.push_back({key, shown(run[key])});
  }
  if (run["versions"].is_object()) facts.push_back({"versions", in_words(run["versions"])});
  doc.table({"", ""}, facts);
  doc.close();
}

void scripts(Document& doc, Store& store, const std::vector<Json>& runs) {
  std::map<std::string, std::pair<std::string, std::string>> found;  // by hash: path, runs
  for (const Json& run : runs) {
    for (const Json& source : run["sources"]) {
      auto& [path, users] = found[source["sha256"].get<std::string>()];
      path = source["path"].get<std::string>();
      users += (users.empty() ? "" : ", ") + shown(run["id"]);
    }
  }
  if (found.empty()) return;
  doc.heading(2, "Scripts");
  for (const auto& [hash, source] : found) {
    const Rows rows = store.query("SELECT text FROM sources WHERE sha256 = ?1", {hash});
    if (rows.rows.empty()) continue;
    const std::string name = source.first.substr(source.first.rfind('/') + 1);
    doc.open(name + " (" + hash.substr(0, 12) + "), runs " + source.second);
    doc.code(utf8(std::get<std::string>(rows.rows[0][0])));
    doc.close();
  }
}

std::vector<std::string> curve_keys(const std::vector<Json>& runs) {
  std::set<std::string> validation, all;
  for (const Json& run : runs) {
    for (const Json& s : run["summaries"]) {
      const std::string key = s["key"];
      if (s["count"] < 2 || key.starts_with("knob/") || key.starts_with("result/")) continue;
      all.insert(key);
      if (key.starts_with("val/") || key == "train/loss") validation.insert(key);
    }
  }
  const std::set<std::string>& keys = validation.empty() ? all : validation;
  return {keys.begin(), keys.end()};
}

}  // namespace

std::string report(Store& store, const ReportOptions& wanted) {
  ReportOptions options = wanted;
  std::vector<Json> runs;
  std::string where;
  for (const std::int64_t run : options.runs) {
    runs.push_back(show_run(store, std::to_string(run)));
    where += (where.empty() ? "id in (" : ", ") + std::to_string(run);
  }
  if (runs.empty()) throw Error(Exit::missing, "report: no runs; expected at least one");
  if (options.metrics.empty()) options.metrics = curve_keys(runs);
  if (options.title.empty()) {
    std::set<std::string> names;
    for (const Json& run : runs) names.insert(shown(run["name"]));
    constexpr std::size_t kMostNames = 5;
    std::size_t told = 0;
    for (const std::string& name : names) {
      if (++told > kMostNames) break;
      options.title += (told == 1 ? "" : ", ") + name;
    }
    if (names.size() > kMostNames) options.title += " and " + std::to_string(names.size() - kMostNames) + " more";
  }
  CompareOptions compared;
  compared.filter.where = where + ")";
  compared.filter.children = compared.filter.archived = compared.running = true;
  compared.by = options.by;

  Document doc(options.markdown);
  doc.heading(1, options.title);
  doc.paragraph(std::to_string(runs.size()) + (runs.size() == 1 ? " run" : " runs") + ", started " +
                minute(runs.front()) +
                (minute(runs.front()) == minute(runs.back()) ? "" : " to " + minute(runs.back())) + " UTC.");
  groups_table(doc, compare(store, compared));
  PlotOptions plot;
  plot.metrics = options.metrics;
  plot.runs = options.runs;
  plot.by = options.by;
  plot.grouped = runs.size() > 1;
  if (!options.markdown) {
    doc.heading(2, "Curves");
    if (plot.grouped) doc.paragraph("Mean of each group with its 95 % confidence interval (Student's t over runs).");
    doc.figure(figures(store, plot));
  }
  settings(doc, runs);
  forks(doc, runs);
  doc.heading(2, "Run by run");
  for (std::size_t i = 0; i < runs.size() && i < kMostRunsInFull; ++i) one_run(doc, store, runs[i], options);
  if (runs.size() > kMostRunsInFull)
    doc.paragraph("The other " + std::to_string(runs.size() - kMostRunsInFull) + " runs are in the table above only.");
  scripts(doc, store, runs);
  return doc.take_page(options.title);
}

}  // namespace gradus::results
