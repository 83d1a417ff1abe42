#include "csv.h"

#include <algorithm>
#include <functional>
#include <string_view>

#include "exported_run.h"
#include "output_file.h"
#include "query/curves.h"
#include "query/names.h"

namespace gradus::results {

namespace {

std::string csv_cell(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string all = "\"";
  for (const char c : text) {
    if (c == '"') all += '"';
    all += c;
  }
  return all + '"';
}

std::string line(const std::vector<std::string>& cells) {
  std::string text;
  for (const std::string& cell : cells) text += (text.empty() && &cell == &cells.front() ? "" : ",") + csv_cell(cell);
  return text + "\n";
}

constexpr const char* kMetricsHeader = "id,uid,name,key,step,value\n";

// Calls `point` with what a plot of that many points would show.
void for_some_points(Store& store, std::int64_t run, const std::string& key, int points,
                     const std::function<void(std::int64_t step, double value)>& point) {
  const CurveRef curve{run, key};
  const Points some = read_points(store, curve, step_range(store, {curve}), std::max(1, (points - 4) / 2));
  for (std::size_t i = 0; i < some.steps.size(); ++i) point(some.steps[i], some.values[i]);
}

std::int64_t write_metrics(Store& store, const ExportedRun& run, OutputFile& out, const CsvOptions& options) {
  std::int64_t values = 0;
  for (const std::string& key : run.keys) {
    const auto& wanted = options.metrics;
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), key) == wanted.end()) continue;
    const std::string head =
        std::to_string(run.id) + "," + run.text("uid") + "," + csv_cell(run.text("name")) + "," + key;
    const auto write = [&](std::int64_t step, double value) {
      out.write(head + "," + std::to_string(step) + "," + exact(value) + "\n");
      ++values;
    };
    options.points > 0 ? for_some_points(store, run.id, key, options.points, write)
                       : for_each_point(store, run.id, key, write);
  }
  return values;
}

struct CsvFolder {
  explicit CsvFolder(const std::string& folder)
      : runs(folder + "/runs.csv"),
        params(folder + "/params.csv"),
        metrics(folder + "/metrics.csv"),
        progress(folder + "/progress.csv"),
        events(folder + "/events.csv") {
    params.write("id,uid,key,value,type\n");
    metrics.write(kMetricsHeader);
    progress.write("id,uid,step,epoch,samples,flops,seconds\n");
    events.write("id,uid,step,time,kind,name,detail\n");
  }
  void finish() {
    for (OutputFile* file : {&runs, &params, &metrics, &progress, &events}) file->finish();
  }
  OutputFile runs, params, metrics, progress, events;
};

void write_run(Store& store, const ExportedRun& run, CsvFolder& out, bool first) {
  std::vector<std::string> names, cells;
  for (const auto& [name, value] : run.columns) {
    names.push_back(name);
    cells.push_back(text_of(value));
  }
  if (first) out.runs.write(line(names));
  out.runs.write(line(cells));
  const std::string id = std::to_string(run.id), uid = run.text("uid");
  for (const ExportedParam& param : run.params) out.params.write(line({id, uid, param.key, param.text(), param.type}));
  for (const std::vector<Cell>& point : read_progress(store, run.id)) {
    std::vector<std::string> values = {id, uid};
    for (const Cell& cell : point) values.push_back(text_of(cell));
    out.progress.write(line(values));
  }
  for (const ExportedEvent& event : read_events(store, run.id))
    out.events.write(line({id, uid, text_of(event.step), event.time, event.kind, event.name, event.detail}));
}

}  // namespace

Exported export_csv(Store& store, const std::vector<std::int64_t>& runs, const std::string& path,
                    const CsvOptions& given) {
  Exported done;
  CsvOptions options = given;
  for (std::string& key : options.metrics) key = resolve_metric(store, key, "export", nullptr);
  if (!names_folder(path)) {
    OutputFile out(path);
    out.write(kMetricsHeader);
    for (const std::int64_t id : runs) {
      done.values += write_metrics(store, exported_run(store, id), out, options);
      ++done.runs;
    }
    out.finish();
    return done;
  }
  make_folder(path);
  CsvFolder out(path);
  for (const std::int64_t id : runs) {
    const ExportedRun run = exported_run(store, id);
    write_run(store, run, out, done.runs == 0);
    done.values += write_metrics(store, run, out.metrics, options);
    ++done.runs;
  }
  out.finish();
  return done;
}

}  // namespace gradus::results
