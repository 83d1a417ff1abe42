#include "export.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <limits>
#include <utility>

#include "error.h"
#include "query/curves.h"
#include "query/names.h"
#include "store/clock.h"
#include "store/database.h"
#include "store/sha256.h"
#include "utf8.h"

namespace gradus::results {

namespace fs = std::filesystem;

namespace {

constexpr double kSeconds = 30;  // of one statement
constexpr std::int64_t kFirst = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();

std::string text_of(const Cell& cell) {
  switch (cell.index()) {
    case 0:
      return {};
    case 1:
      return std::to_string(std::get<std::int64_t>(cell));
    case 2:
      return exact(std::get<double>(cell));
    default:
      return std::get<std::string>(cell);
  }
}

Json json_of(const ExportedParam& param) {
  if (param.type == "boolean" && param.value.index() == 1) return std::get<std::int64_t>(param.value) != 0;
  return to_json(param.value);
}

std::vector<std::vector<Cell>> read_progress(Store& store, std::int64_t run) {
  std::vector<std::vector<Cell>> rows;
  store.read("SELECT step, epoch, samples, flops, seconds FROM progress WHERE run_id = ?1 ORDER BY step", {run},
             kSeconds, [&](Statement& row) {
               while (row.step()) rows.push_back({row.cell(0), row.cell(1), row.cell(2), row.cell(3), row.cell(4)});
             });
  return rows;
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

std::string exact(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char text[40];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

std::string ExportedParam::text() const {
  if (type == "boolean" && value.index() == 1) return std::get<std::int64_t>(value) != 0 ? "true" : "false";
  return text_of(value);
}

std::string ExportedRun::text(const std::string& column) const {
  for (const auto& [name, value] : columns) {
    if (name == column) return text_of(value);
  }
  return {};
}

std::string ExportedRun::group() const {
  std::string config = text("config_hash");
  for (const ExportedParam& param : params) {
    if (param.key != "seed") config += param.key + "=" + param.text() + "\n";
  }
  return text("name") + "-" + sha256(config).substr(0, 8);
}

std::string file_name(const std::string& text) {
  std::string name = utf8(text);
  std::size_t end = std::min<std::size_t>(name.size(), 100);
  while (end < name.size() && (static_cast<unsigned char>(name[end]) & 0xc0) == 0x80) --end;  // not inside a character
  name.resize(end);
  for (char& c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && !std::isalnum(byte) && c != '_' && c != '-' && c != '.') c = '_';
  }
  return name.empty() || name.front() == '.' ? "run" + name : name;
}

// --- reading

void for_each_point(Store& store, std::int64_t run, const std::string& key,
                    const std::function<void(std::int64_t step, double value)>& point) {
  constexpr std::size_t kPiece = 100'000;
  std::vector<std::pair<std::int64_t, double>> piece;
  for (std::int64_t from = kFirst;;) {
    piece.clear();
    read_curve(store, {run, key}, from, kLast, [&](std::int64_t step, double value) {
      piece.emplace_back(step, value);
      return piece.size() < kPiece;
    });
    for (const auto& [step, value] : piece) point(step, value);
    if (piece.size() < kPiece || piece.back().first == kLast) return;
    from = piece.back().first + 1;
  }
}

// --- which runs

std::vector<std::int64_t> select_runs(Store& store, const std::vector<std::string>& runs, const RunFilter& filter) {
  std::vector<std::int64_t> ids;
  if (!runs.empty() && !filter.where.empty()) {
    throw Error(Exit::usage, "export: expected RUN or --where; got both");
  }
  for (const std::string& run : runs) {
    const std::int64_t id = store.resolve(run);
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  if (!runs.empty()) return ids;
  RunFilter bare = filter;
  bare.metrics.emplace();
  for (const Json& run : list_runs(store, bare)) ids.push_back(run["id"].get<std::int64_t>());
  if (ids.empty()) {
    throw Error(Exit::missing, store.path() + ": nothing to export; expected at least one run" +
                                   (filter.where.empty() ? "" : " that fits --where") + "; got none");
  }
  return ids;
}

ExportedRun exported_run(Store& store, std::int64_t id) {
  ExportedRun run;
  run.id = id;
  const Rows rows = store.query("SELECT * FROM runs WHERE id = ?1", {id});
  if (rows.rows.empty()) throw Error(Exit::missing, "run " + std::to_string(id) + ": deleted while it was exported");
  for (std::size_t i = 0; i < rows.columns.size(); ++i) run.columns.emplace_back(rows.columns[i], rows.rows[0][i]);
  for (auto& row : store.query("SELECT key, value, type FROM params WHERE run_id = ?1 ORDER BY key", {id}).rows)
    run.params.push_back({text_of(row[0]), std::move(row[1]), text_of(row[2])});
  for (const auto& row : store.query("SELECT key FROM summaries WHERE run_id = ?1 ORDER BY key", {id}).rows)
    run.keys.push_back(text_of(row[0]));
  return run;
}

std::string experiment_of(Store& store, const ExportedRun& run) {
  const Rows rows = store.query(
      "WITH RECURSIVE up (id, parent, name, depth) AS (SELECT id, parent, name, 0 FROM runs WHERE id = ?1 UNION ALL "
      "SELECT r.id, r.parent, r.name, up.depth + 1 FROM runs r JOIN up ON r.id = up.parent WHERE up.depth < 100) "
      "SELECT name FROM up ORDER BY depth DESC LIMIT 1",
      {run.id});
  return rows.rows.empty() ? run.text("name") : std::get<std::string>(rows.rows[0][0]);
}

std::vector<ExportedEvent> read_events(Store& store, std::int64_t run) {
  std::vector<ExportedEvent> events;
  store.read("SELECT step, time, kind, name, detail FROM events WHERE run_id = ?1 ORDER BY id", {run}, kSeconds,
             [&](Statement& row) {
               while (row.step()) events.push_back({row.cell(0), row.text(1), row.text(2), row.text(3), row.text(4)});
             });
  return events;
}

// --- time

WallClock::WallClock(Store& store, const ExportedRun& run) : started_(unix_time(run.text("started"))) {
  if (std::isnan(started_)) started_ = 0;
  store.read("SELECT step, seconds FROM progress WHERE run_id = ?1 AND seconds IS NOT NULL ORDER BY step", {run.id},
             kSeconds, [&](Statement& row) {
               while (row.step()) seconds_.emplace_back(row.integer(0), row.real(1));
             });
}

double WallClock::at(std::int64_t step) const {
  if (seconds_.empty()) return started_;
  const auto after = std::lower_bound(seconds_.begin(), seconds_.end(), step,
                                      [](const auto& point, std::int64_t wanted) { return point.first < wanted; });
  if (after == seconds_.end()) return started_ + seconds_.back().second;
  const std::pair<std::int64_t, double> before =
      after == seconds_.begin() ? std::pair{std::min<std::int64_t>(step, 0), 0.0} : *(after - 1);
  if (after->first == step || after->first == before.first) return started_ + after->second;
  const double part = (static_cast<double>(step) - static_cast<double>(before.first)) /
                      (static_cast<double>(after->first) - static_cast<double>(before.first));
  return started_ + before.second + part * (after->second - before.second);
}

// --- files

OutputFile::OutputFile(const std::string& path) : path_(path == "-" ? "" : path) {
  if (path_.empty()) {
    file_ = stdout;
    return;
  }
  std::error_code code;
  if (const fs::path target = fs::canonical(path_, code); !code) path_ = target.string();  // a link stays one
  const bool device = fs::exists(path_, code) && !fs::is_regular_file(path_, code);      // and so does /dev/null
  if (!device) temporary_ = path_ + "." + std::to_string(::getpid()) + ".part";
  file_ = std::fopen((device ? path_ : temporary_).c_str(), "wbe");
  if (file_ == nullptr) fail("cannot write");
}

OutputFile::~OutputFile() {
  if (file_ != nullptr && file_ != stdout) std::fclose(file_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutputFile::fail(const char* what) const {
  throw Error(Exit::io, (path_.empty() ? "standard output" : path_) + ": " + what + "; got " + std::strerror(errno));
}

void OutputFile::write(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) == bytes.size()) return;
  fail("cannot write");
}

void OutputFile::finish() {
  if (file_ == stdout) {
    if (std::fflush(file_) != 0) fail("cannot write");
    return;
  }
  const bool closed = std::fclose(std::exchange(file_, nullptr)) == 0;
  if (!closed) fail("cannot write");
  if (!temporary_.empty() && std::rename(temporary_.c_str(), path_.c_str()) != 0) fail("cannot write");
  temporary_.clear();
}

void make_folder(const std::string& folder) {
  std::error_code code;
  fs::create_directories(folder, code);
  if (code) throw Error(Exit::io, folder + ": cannot make the folder; got " + code.message());
}

bool names_folder(const std::string& path) {
  if (path.empty() || path == "-") return false;
  std::error_code code;
  if (fs::is_directory(path, code)) return true;
  return !fs::exists(path, code) && (path.ends_with('/') || !fs::path(path).has_extension());
}

// --- CSV

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

// --- JSON

namespace {

std::int64_t write_run(Store& store, const ExportedRun& run, OutputFile& out) {
  Json head = Json::object();
  for (const auto& [name, value] : run.columns) head[name] = to_json(value);
  if (head["versions"].is_string()) {
    Json versions = Json::parse(head["versions"].get<std::string>(), nullptr, false);
    if (!versions.is_discarded()) head["versions"] = std::move(versions);
  }
  head["params"] = Json::object();
  for (const ExportedParam& param : run.params) head["params"][utf8(param.key)] = json_of(param);
  std::string text = dump(head);
  text.pop_back();  // the brace: the long parts follow
  out.write(text + ",\n\"metrics\":{");
  std::int64_t values = 0;
  for (std::size_t i = 0; i < run.keys.size(); ++i) {
    out.write((i > 0 ? ",\n" : "\n") + dump(run.keys[i]) + ":[");
    bool first = true;
    for_each_point(store, run.id, run.keys[i], [&](std::int64_t step, double value) {
      const std::string number = std::isfinite(value) ? exact(value) : dump(to_json(value));
      out.write((first ? "[" : ",[") + std::to_string(step) + "," + number + "]");
      first = false;
      ++values;
    });
    out.write("]");
  }
  out.write("},\n\"progress\":[");
  const char* comma = "\n";
  for (const std::vector<Cell>& point : read_progress(store, run.id)) {
    out.write(comma + dump({{"step", to_json(point[0])},
                            {"epoch", to_json(point[1])},
                            {"samples", to_json(point[2])},
                            {"flops", to_json(point[3])},
                            {"seconds", to_json(point[4])}}));
    comma = ",\n";
  }
  out.write("],\n\"events\":[");
  comma = "\n";
  for (const ExportedEvent& event : read_events(store, run.id)) {
    Json detail = event.detail.empty() ? Json() : Json::parse(event.detail, nullptr, false);
    if (detail.is_discarded()) detail = utf8(event.detail);
    out.write(comma + dump({{"step", to_json(event.step)},
                            {"time", event.time},
                            {"kind", utf8(event.kind)},
                            {"name", utf8(event.name)},
                            {"detail", std::move(detail)}}));
    comma = ",\n";
  }
  out.write("]}");
  return values;
}

}  // namespace

Exported export_json(Store& store, const std::vector<std::int64_t>& runs, const std::string& path) {
  Exported done;
  OutputFile out(path);
  out.write("{\"runs\":[");
  for (const std::int64_t id : runs) {
    out.write(done.runs > 0 ? ",\n" : "\n");
    done.values += write_run(store, exported_run(store, id), out);
    ++done.runs;
  }
  out.write("\n]}\n");
  out.finish();
  return done;
}

}  // namespace gradus::results
