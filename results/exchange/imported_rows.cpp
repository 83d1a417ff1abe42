#include "imported_rows.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <string_view>

#include "error.h"
#include "store/clock.h"
#include "store/database.h"
#include "store/drain.h"
#include "store/run_rows.h"

namespace gradus::results {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kBatch = 50'000;  // points of one transaction: others wait a tenth of a second at most

std::optional<std::int64_t> seed_of(const ImportedRun& run) {
  for (const Param& param : run.params) {
    const auto* seed = std::get_if<std::int64_t>(&param.value);
    if (seed != nullptr && (param.key == "seed" || param.key == "random_seed")) return *seed;
  }
  return {};
}

}  // namespace

void ImportedRows::begin(std::int64_t old) {
  std::error_code code;
  fs::create_directories(store_.folder() + "/" + uid_, code);
  if (code)
    throw Error(Exit::io, store_.folder() + "/" + uid_ + ": cannot make the run's folder; got " + code.message());
  store_.write([&](Database& database) {
    if (old != 0) {
      for (const char* table : {"metric_values", "summary_values", "params", "progress", "events"})
        database.prepare(std::string("DELETE FROM ") + table + " WHERE run_id = ?1").bind(1, old).run();
    } else {
      database
          .prepare("INSERT INTO runs (uid, name, kind, status, started) VALUES (?1, ?2, 'import', 'interrupted', ?3)")
          .bind(1, std::string_view(uid_))
          .bind(2, std::string_view(run_.name))
          .bind(3, std::string_view(iso_time(run_.started)))
          .run();
    }
    id_ = old != 0 ? old : database.last_id();
    Statement update = database.prepare(
        "UPDATE runs SET name = ?2, status = 'interrupted', seed = ?3, started = ?4, ended = ?5, seconds = ?6, "
        "script = ?7, git_commit = ?8, note = coalesce(note, ?9), error = NULL WHERE id = ?1");
    const std::optional<std::int64_t> seed = seed_of(run_);
    update.bind(1, id_).bind(2, std::string_view(run_.name)).bind(3, seed ? Cell(*seed) : Cell());
    update.bind(4, std::string_view(iso_time(run_.started))).bind(5, std::string_view(iso_time(run_.ended)));
    update.bind(6, run_.ended - run_.started).bind_text(7, run_.script).bind_text(8, run_.git_commit);
    update.bind_text(9, run_.note).run();
    put_params(database, id_, run_.params);
    Statement tag = database.prepare("INSERT OR IGNORE INTO tags (run_id, name, value) VALUES (?1, ?2, ?3)");
    for (const auto& [name, value] : run_.tags)
      tag.bind(1, id_).bind(2, std::string_view(name)).bind(3, std::string_view(value)).run();
  });
}

void ImportedRows::point(const std::string& key, std::int64_t step, double time, double value) {
  auto found = ids_.find(key);
  if (found == ids_.end()) found = ids_.emplace(key, key_id(key)).first;
  points_.push_back({found->second, step, time, value});
  if (points_.size() >= kBatch) flush();
}

void ImportedRows::end(const std::string& tool, const Json& detail) {
  flush();
  for (const auto& [key, id] : ids_)
    store_.write([&, key_id = id](Database& database) { summarize(database, key_id); });
  store_.write([&](Database& database) {
    // A result that was logged in the end, at step 0, did not take the whole run: a step is no later than those after it.
    database
        .prepare(
            "UPDATE progress SET seconds = later.least FROM (SELECT step, min(seconds) OVER (ORDER BY step DESC) AS "
            "least "
            "FROM progress WHERE run_id = ?1) AS later WHERE run_id = ?1 AND progress.step = later.step")
        .bind(1, id_)
        .run();
    database.prepare("INSERT INTO events (run_id, time, kind, name, detail) VALUES (?1, ?2, 'import', ?3, ?4)")
        .bind(1, id_)
        .bind(2, std::string_view(iso_time(run_.ended)))
        .bind(3, std::string_view(tool))
        .bind(4, std::string_view(dump(detail)))
        .run();
    database.prepare("UPDATE runs SET status = ?2 WHERE id = ?1")
        .bind(1, id_)
        .bind(2, std::string_view(run_.status))
        .run();
  });
}

std::int64_t ImportedRows::key_id(const std::string& key) {
  std::int64_t id = 0;
  store_.write([&](Database& database) {
    database.prepare("INSERT OR IGNORE INTO keys (name) VALUES (?1)").bind(1, std::string_view(key)).run();
    Statement find = database.prepare("SELECT id FROM keys WHERE name = ?1");
    if (find.bind(1, std::string_view(key)).step()) id = find.integer(0);
  });
  return id;
}

void ImportedRows::flush() {
  if (points_.empty()) return;
  store_.write([&](Database& database) {
    Statement put = database.prepare(
        "INSERT INTO metric_values (run_id, key_id, step, value) VALUES (?1, ?2, ?3, ?4) "
        "ON CONFLICT DO UPDATE SET value = excluded.value");
    Statement progress = database.prepare(
        "INSERT INTO progress (run_id, step, seconds) VALUES (?1, ?2, ?3) "
        "ON CONFLICT DO UPDATE SET seconds = max(seconds, excluded.seconds)");
    std::int64_t step = 0;
    double time = std::numeric_limits<double>::quiet_NaN();
    for (const Point& p : points_) {
      put.bind(1, id_).bind(2, p.key).bind(3, p.step).bind(4, p.value).run();
      // Metrics of one step come one after the other, mostly with one time.
      if (p.step == step && p.time == time) continue;
      step = p.step;
      time = p.time;
      if (std::isfinite(p.time))
        progress.bind(1, id_).bind(2, p.step).bind(3, std::max(0.0, p.time - run_.started)).run();
    }
  });
  points_.clear();
}

void ImportedRows::summarize(Database& database, std::int64_t key) {
  Summary s;
  Statement curve =
      database.prepare("SELECT step, value FROM metric_values WHERE run_id = ?1 AND key_id = ?2 ORDER BY step");
  curve.bind(1, id_).bind(2, key);
  while (curve.step())
    s.add(curve.integer(0), curve.null(1) ? std::numeric_limits<double>::quiet_NaN() : curve.real(1));
  Statement put =
      database.prepare("INSERT OR REPLACE INTO summary_values VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
  put_summary(put, id_, key, s);
}

}  // namespace gradus::results
