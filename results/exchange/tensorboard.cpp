#include "tensorboard.h"

#include <cmath>

#include "exported_run.h"
#include "output_file.h"
#include "protobuf.h"
#include "store/clock.h"
#include "tensorboard_records.h"

namespace gradus::results {

using namespace protobuf;

namespace {

class EventWriter {
 public:
  EventWriter(const std::string& path, double wall_time) : file_(path) {
    record(put(1, wall_time) + put(3, std::string("brain.Event:2")));
  }
  void scalar(const std::string& name, double wall_time, std::int64_t step, double value) {
    summary(wall_time, step, put(1, name) + put(2, static_cast<float>(value)));
  }
  // TensorBoard shows it as Markdown.
  void text(const std::string& name, double wall_time, std::int64_t step, const std::string& markdown) {
    // TensorProto: dtype string, a shape of no dimensions, one value.
    const std::string tensor = put(1, std::uint64_t{7}) + put(2, std::string()) + put(8, markdown);
    summary(wall_time, step, put(1, name) + put(8, tensor) + put(9, plugin("text", "")));
  }
  // HParamsPluginData (plugins/hparams/plugin_data.proto): the start and the end of a session.
  void hyperparameters(const ExportedRun& run, double started, double ended) {
    std::string start;
    for (const ExportedParam& param : run.settings()) {
      const auto* text = std::get_if<std::string>(&param.value);
      std::string value;  // google.protobuf.Value
      if (text != nullptr)
        value = put(3, *text);
      else if (param.type == "boolean")
        value = put(4, static_cast<std::uint64_t>(std::get<std::int64_t>(param.value)));
      else if (param.value.index() == 1)
        value = put(2, static_cast<double>(std::get<std::int64_t>(param.value)));
      else if (param.value.index() == 2)
        value = put(2, std::get<double>(param.value));
      else
        value = put(1, std::uint64_t{0});
      start += put(1, put(1, param.key) + put(2, value));  // an entry of the map
    }
    // Sessions of one group are repetitions: TensorBoard shows their mean.
    start += put(4, run.group()) + put(5, started);
    session("_hparams_/session_start_info", started, put(3, start));
    const std::string status = run.text("status");
    const std::uint64_t code = status == "finished" ? 1 : status == "running" ? 3 : 2;  // hparams Status
    session("_hparams_/session_end_info", ended, put(4, put(1, code) + put(2, ended)));
  }
  void finish() { file_.finish(); }

 private:
  void record(const std::string& event) { file_.write(framed(event)); }
  void summary(double wall_time, std::int64_t step, const std::string& value) {
    record(put(1, wall_time) + put(2, static_cast<std::uint64_t>(step)) + put(5, put(1, value)));
  }
  static std::string plugin(const std::string& name, const std::string& content) {  // SummaryMetadata
    return put(1, put(1, name) + (content.empty() ? "" : put(2, content)));
  }
  void session(const std::string& name, double wall_time, const std::string& data) {
    // A null tensor, as TensorBoard's own writer gives: a float of no dimensions.
    const std::string tensor = put(1, std::uint64_t{1}) + put(2, std::string());
    summary(wall_time, 0, put(1, name) + put(8, tensor) + put(9, plugin("hparams", data)));
  }

  OutputFile file_;
};

// A text inside a table of Markdown.
std::string cell(std::string text) {
  for (char& c : text) {
    if (c == '\n' || c == '\r' || c == '|') c = ' ';
  }
  return text;
}

std::string params_text(const ExportedRun& run) {
  std::string text = "|parameter|value|\n|---|---|\n";
  for (const ExportedParam& param : run.settings()) text += "|" + cell(param.key) + "|" + cell(param.text()) + "|\n";
  return text;
}

std::int64_t write_run(Store& store, const ExportedRun& run, const std::string& folder) {
  const WallClock clock(store, run);
  const double started = unix_time(run.text("started")), ended = unix_time(run.text("ended"));
  const std::string inside = folder + "/" + file_name(run.text("name")) + "-" + run.text("uid").substr(0, 8);
  make_folder(inside);
  const auto seconds = static_cast<std::int64_t>(std::isfinite(started) ? started : 0);
  const std::string host = run.text("host");
  EventWriter out(inside + "/events.out.tfevents." + std::to_string(seconds) + "." +
                      file_name(host.empty() ? "gradus" : host) + "." + run.text("uid").substr(0, 8),
                  std::isfinite(started) ? started : 0);
  out.hyperparameters(run, clock.at(0), std::isfinite(ended) ? ended : clock.at(0));
  if (!run.settings().empty()) out.text("parameters", clock.at(0), 0, params_text(run));
  for (const ExportedEvent& event : read_events(store, run.id)) {
    const auto* step = std::get_if<std::int64_t>(&event.step);
    const double time = unix_time(event.time);
    out.text("events/" + event.kind, std::isfinite(time) ? time : started, step != nullptr ? *step : 0,
             "**" + event.name + "** " + event.detail);
  }
  std::int64_t values = 0;
  for (const std::string& key : run.keys) {
    for_each_point(store, run.id, key, [&](std::int64_t step, double value) {
      out.scalar(key, clock.at(step), step, value);
      ++values;
    });
  }
  out.finish();
  return values;
}

}  // namespace

Exported export_tensorboard(Store& store, const std::vector<std::int64_t>& runs, const std::string& folder) {
  Exported done;
  for (const std::int64_t id : runs) {
    done.values += write_run(store, exported_run(store, id), folder);
    ++done.runs;
  }
  return done;
}

}  // namespace gradus::results
