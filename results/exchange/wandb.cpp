#include "wandb.h"

#include <algorithm>
#include <boost/crc.hpp>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>

#include "error.h"
#include "exported_run.h"
#include "protobuf.h"
#include "query/curves.h"
#include "store/clock.h"
#include "utf8.h"

namespace gradus::results {

using namespace protobuf;

// --- the log

WandbLog::WandbLog(const std::string& path) : file_(path) {
  const std::string head = ":W&B" + raw(std::uint16_t{0xbee1}) + raw(std::uint8_t{0});
  file_.write(head);
  at_ = head.size();
}

void WandbLog::piece(std::string_view bytes, int type) {
  const std::string kind = raw(static_cast<std::uint8_t>(type));
  boost::crc_32_type crc;
  crc.process_bytes(kind.data(), kind.size());
  crc.process_bytes(bytes.data(), bytes.size());
  file_.write(raw(static_cast<std::uint32_t>(crc.checksum())) + raw(static_cast<std::uint16_t>(bytes.size())) + kind);
  file_.write(bytes);
  at_ += kHead + bytes.size();
}

void WandbLog::record(const std::string& message) {
  const std::string all = put(1, static_cast<std::uint64_t>(++count_)) + message;
  std::string_view bytes = all;
  for (bool first = true;; first = false) {
    std::size_t room = kBlock - at_ % kBlock;
    if (room < kHead) {
      file_.write(std::string(room, '\0'));
      at_ += room;
      room = kBlock;
    }
    const std::size_t count = std::min(bytes.size(), room - kHead);
    const bool last = count == bytes.size();
    piece(bytes.substr(0, count), first ? (last ? 1 : 2) : (last ? 4 : 3));
    if (last) return;
    bytes.remove_prefix(count);
  }
}

namespace {

// --- messages: the fields of Record, and what is in them

enum Record { kHistory = 2, kSummary = 3, kOutput = 13, kRun = 17, kExit = 18, kHeader = 21 };

// As Python writes JSON, which is what W&B reads.
std::string json_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return exact(value);
}

std::string json_of(const ExportedParam& param) {
  if (param.type == "boolean" && param.value.index() == 1) return param.text();
  if (const auto* number = std::get_if<double>(&param.value)) return json_text(*number);
  if (const auto* text = std::get_if<std::string>(&param.value)) return dump(utf8(*text));
  return param.value.index() == 0 ? "null" : param.text();
}

std::string timestamp(double unix_seconds) {
  const double time = std::clamp(unix_seconds, -62135596800.0, 253402300799.0),
               whole = std::floor(time);  // the format's years
  return put(1, static_cast<std::uint64_t>(static_cast<std::int64_t>(whole))) +
         put(2, static_cast<std::uint64_t>((time - whole) * 1e9));
}

// An item of history, summary or configuration: the path of its key, and its value as JSON.
std::string item(const std::vector<std::string>& path, const std::string& json) {
  std::string bytes;
  for (const std::string& part : path) bytes += put(2, utf8(part));
  return bytes + put(16, json);
}
std::string item(const std::string& key, const std::string& json) { return item(std::vector{key}, json); }

std::vector<std::string> split(const std::string& key) {
  std::vector<std::string> parts;
  std::size_t from = 0;
  for (std::size_t dot; (dot = key.find('.', from)) != std::string::npos; from = dot + 1)
    parts.push_back(key.substr(from, dot - from));
  parts.push_back(key.substr(from));
  return parts;
}

// A table's parameters, opt.lr, lie within each other, as W&B has them; not where opt is itself a parameter.
std::string configuration(const ExportedRun& run) {
  std::string update;
  const std::vector<ExportedParam> settings = run.settings();
  for (const ExportedParam& param : settings) {
    bool nested = !param.key.starts_with('.') && !param.key.ends_with('.') && param.key.find("..") == std::string::npos;
    for (const ExportedParam& other : settings) nested = nested && !param.key.starts_with(other.key + ".");
    update += put(1, item(nested ? split(param.key) : std::vector{param.key}, json_of(param)));
  }
  return update;
}

// What W&B allows in a project's name.
std::string project_name(const std::string& text) {
  std::string name = file_name(text);
  std::erase_if(name, [](char c) { return (static_cast<unsigned char>(c) & 0x80) != 0; });
  return name.empty() ? "gradus" : name;
}

std::string display_name(const ExportedRun& run) { return run.text("name") + "-" + std::to_string(run.id); }

std::string run_message(Store& store, const ExportedRun& run, double started) {
  std::string bytes = put(1, run.text("uid")) + put(3, project_name(experiment_of(store, run)));
  bytes += put(4, configuration(run)) + put(6, utf8(run.group())) + put(7, utf8(run.text("kind")));
  bytes += put(8, utf8(display_name(run)));
  if (const std::string note = run.text("note"); !note.empty()) bytes += put(9, utf8(note));
  for (const auto& row : store.query("SELECT name, value FROM tags WHERE run_id = ?1 ORDER BY name", {run.id}).rows) {
    const std::string value = std::get<std::string>(row[1]);
    bytes += put(10, utf8(std::get<std::string>(row[0]) + (value.empty() ? "" : "=" + value)));
  }
  bytes += put(13, utf8(run.text("host"))) + put(17, timestamp(started));
  if (const std::string commit = run.text("git_commit"); !commit.empty()) bytes += put(21, put(2, commit));
  return put(kRun, bytes);
}

// --- the curves, step by step

// The points of several curves in the order of their steps, with a piece of each in memory.
class ByStep {
 public:
  ByStep(Store& store, const ExportedRun& run) : store_(store), run_(run), curves_(run.keys.size()) {
    room_ = std::max<std::size_t>(64, 500'000 / std::max<std::size_t>(1, curves_.size()));
  }
  // The next step that has points, and for each curve its value there; false after the last.
  bool next(std::int64_t& step, std::vector<std::optional<double>>& values) {
    bool any = false;
    for (std::size_t i = 0; i < curves_.size(); ++i) {
      Curve& curve = curves_[i];
      if (curve.at == curve.points.size() && !curve.over) refill(i);
      if (curve.at == curve.points.size()) continue;
      step = any ? std::min(step, curve.points[curve.at].first) : curve.points[curve.at].first;
      any = true;
    }
    values.assign(curves_.size(), std::nullopt);
    for (std::size_t i = 0; any && i < curves_.size(); ++i) {
      Curve& curve = curves_[i];
      if (curve.at < curve.points.size() && curve.points[curve.at].first == step)
        values[i] = curve.points[curve.at++].second;
    }
    return any;
  }

 private:
  struct Curve {
    std::vector<std::pair<std::int64_t, double>> points{};
    std::size_t at = 0;
    std::int64_t from = std::numeric_limits<std::int64_t>::min();
    bool over = false;
  };
  void refill(std::size_t i) {
    constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();
    Curve& curve = curves_[i];
    curve.points.clear();
    curve.at = 0;
    read_curve(store_, {run_.id, run_.keys[i]}, curve.from, kLast, [&](std::int64_t step, double value) {
      curve.points.emplace_back(step, value);
      return curve.points.size() < room_;
    });
    curve.over = curve.points.size() < room_ || curve.points.back().first == kLast;
    if (!curve.over) curve.from = curve.points.back().first + 1;
  }

  Store& store_;            // borrowed
  const ExportedRun& run_;  // borrowed
  std::vector<Curve> curves_;
  std::size_t room_;
};

// W&B's own x axis is the step; what had been spent by then is a metric to choose as another.
struct Spent {
  Axis axis;
  Positions positions;
};
std::vector<Spent> axes(Store& store, const ExportedRun& run) {
  std::vector<Spent> all;
  for (const std::string name : {"epoch", "samples", "flops"}) {
    if (std::find(run.keys.begin(), run.keys.end(), "progress/" + name) != run.keys.end()) continue;
    // Nothing of it was spent, or counted: an imported run.
    if (store.query("SELECT 1 FROM progress WHERE run_id = ?1 AND " + name + " > 0 LIMIT 1", {run.id}).rows.empty())
      continue;
    const Axis axis = axis_of(store, {run.id}, name);
    all.push_back({axis, Positions(store, run.id, axis)});
  }
  return all;
}

std::int64_t write_history(Store& store, const ExportedRun& run, const WallClock& clock, double started,
                           WandbLog& log) {
  const std::vector<Spent> spent = axes(store, run);
  std::map<std::string, std::string> last;  // of each key, as JSON
  std::vector<std::optional<double>> values;
  std::int64_t step = 0, count = 0;
  for (ByStep points(store, run); points.next(step, values);) {
    std::string row;
    const auto add = [&](const std::string& key, const std::string& json) {
      row += put(1, item(key, json));
      last[key] = json;
    };
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (!values[i]) continue;
      add(run.keys[i], json_text(*values[i]));
      ++count;
    }
    for (const Spent& one : spent) {
      const auto at = one.positions.of(step);
      if (!at) continue;
      const double unit = one.axis.unit, units = static_cast<double>(*at);
      // Divided by 1000 where the unit is a thousandth: 0.563, not 0.5630000000000001.
      add("progress/" + one.axis.name, json_text(unit < 1 ? units / std::round(1 / unit) : units * unit));
    }
    const double now = clock.at(step);
    add("_step", std::to_string(step));
    add("_timestamp", json_text(now));
    add("_runtime", json_text(now - started));
    log.record(put(kHistory, row + put(2, put(1, static_cast<std::uint64_t>(step)))));
  }
  std::string update;
  for (const auto& [key, json] : last) update += put(1, item(key, json));
  if (!update.empty()) log.record(put(kSummary, update));
  return count;
}

// --- a run

void write_events(Store& store, const ExportedRun& run, double started, WandbLog& log) {
  for (const ExportedEvent& event : read_events(store, run.id)) {
    const auto* step = std::get_if<std::int64_t>(&event.step);
    const std::string line = (step != nullptr ? "step " + std::to_string(*step) + "  " : "") + event.kind + "  " +
                             event.name + (event.detail.empty() ? "" : "  " + event.detail) + "\n";
    const double time = unix_time(event.time);
    log.record(put(kOutput, put(1, std::uint64_t{1}) + put(2, timestamp(std::isfinite(time) ? time : started)) +
                                put(3, utf8(line))));
  }
}

std::string folder_name(const ExportedRun& run, double started) {
  const auto seconds = static_cast<std::time_t>(started);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char time[32];
  std::strftime(time, sizeof time, "%Y%m%d_%H%M%S", &utc);
  return std::string("offline-run-") + time + "-" + run.text("uid");
}

std::int64_t write_run(Store& store, const ExportedRun& run, const std::string& folder) {
  const double start = unix_time(run.text("started")), started = std::isfinite(start) ? std::max(start, 0.0) : 0;
  const std::string inside = folder + "/" + folder_name(run, started);
  make_folder(inside + "/files");  // where `wandb sync` looks for files to upload
  const std::string path = inside + "/run-" + run.text("uid") + ".wandb";
  WandbLog log(path);
  log.record(put(kHeader, put(1, put(1, std::string("gradus")) + put(2, std::string("0.13.0")))));
  log.record(run_message(store, run, started));
  const WallClock clock(store, run);
  const std::int64_t values = write_history(store, run, clock, started, log);
  write_events(store, run, started, log);
  // A run that goes on has no end yet; `wandb sync` takes what there is.
  if (const std::string status = run.text("status"); status != "running") {
    const double seconds = std::clamp(clock.at(std::numeric_limits<std::int64_t>::max()) - started, 0.0, 2e9);
    const std::uint64_t code = status == "finished" ? 0 : status == "failed" ? 1 : 255;  // 255: W&B's of a killed run
    log.record(put(kExit, put(1, code) + put(2, static_cast<std::uint64_t>(seconds))));
  }
  log.finish();
  // What `wandb sync` noted of the log before: this one may say more.
  for (const char* note : {".synced", ".syncstate"}) {
    std::error_code ignored;
    std::filesystem::remove(path + note, ignored);
  }
  return values;
}

}  // namespace

Exported export_wandb(Store& store, const std::vector<std::int64_t>& runs, const std::string& folder) {
  Exported done;
  for (const std::int64_t id : runs) {
    done.values += write_run(store, exported_run(store, id), folder);
    ++done.runs;
  }
  return done;
}

}  // namespace gradus::results
