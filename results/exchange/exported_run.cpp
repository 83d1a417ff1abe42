#include "exported_run.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "error.h"
#include "query/curves.h"
#include "store/clock.h"
#include "store/database.h"
#include "store/sha256.h"

namespace gradus::results {

namespace {

constexpr double kSeconds = 30;  // of one statement

}  // namespace

std::string exact(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char text[40];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

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

std::vector<ExportedParam> ExportedRun::settings() const {
  std::vector<ExportedParam> all = params;
  const bool named =
      std::any_of(params.begin(), params.end(), [](const ExportedParam& param) { return param.key == "seed"; });
  for (const auto& [name, value] : columns) {
    if (name == "seed" && value.index() == 1 && !named) all.push_back({"seed", value, "integer"});
  }
  return all;
}

std::string ExportedRun::group() const {
  std::string config = text("config_hash");
  for (const ExportedParam& param : params) {
    if (param.key != "seed") config += param.key + "=" + param.text() + "\n";
  }
  return text("name") + "-" + sha256(config).substr(0, 8);
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

std::vector<std::vector<Cell>> read_progress(Store& store, std::int64_t run) {
  std::vector<std::vector<Cell>> rows;
  store.read("SELECT step, epoch, samples, flops, seconds FROM progress WHERE run_id = ?1 ORDER BY step", {run},
             kSeconds, [&](Statement& row) {
               while (row.step()) rows.push_back({row.cell(0), row.cell(1), row.cell(2), row.cell(3), row.cell(4)});
             });
  return rows;
}

void for_each_point(Store& store, std::int64_t run, const std::string& key,
                    const std::function<void(std::int64_t step, double value)>& point) {
  constexpr std::size_t kPiece = 100'000;
  constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();
  std::vector<std::pair<std::int64_t, double>> piece;
  for (std::int64_t from = std::numeric_limits<std::int64_t>::min();;) {
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

}  // namespace gradus::results
