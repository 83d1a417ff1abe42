#include "run_rows.h"

#include <optional>
#include <string>

#include "clock.h"

namespace gradus::results {

ParamRow param_row(const Param& param) {
  switch (param.value.index()) {
    case 0:
      return {"null", {}};
    case 1:
      return {"boolean", std::int64_t{std::get<bool>(param.value)}};
    case 2:
      return {"integer", std::get<std::int64_t>(param.value)};
    case 3:
      return {"number", std::get<double>(param.value)};
    default:
      return {"string", std::get<std::string>(param.value)};
  }
}

void put_params(Database& database, std::int64_t run, const std::vector<Param>& params) {
  Statement param = database.prepare("INSERT OR REPLACE INTO params VALUES (?1, ?2, ?3, ?4)");
  for (const Param& p : params) {
    const ParamRow row = param_row(p);
    param.bind(1, run).bind(2, std::string_view(p.key)).bind(3, row.value).bind(4, std::string_view(row.type)).run();
  }
}

void put_sources(Database& database, std::int64_t run, const std::vector<Source>& sources) {
  Statement source = database.prepare("INSERT OR IGNORE INTO sources VALUES (?1, ?2)");
  Statement link = database.prepare("INSERT OR REPLACE INTO run_sources VALUES (?1, ?2, ?3)");
  for (const Source& s : sources) {
    source.bind(1, std::string_view(s.sha256)).bind(2, std::string_view(s.text)).run();
    link.bind(1, run).bind(2, std::string_view(s.path)).bind(3, std::string_view(s.sha256)).run();
  }
}

std::int64_t insert_run(Database& database, std::string_view uid, const RunStart& start) {
  const Environment& e = start.environment;
  Statement run = database.prepare(
      "INSERT INTO runs (uid, name, kind, status, seed, config_hash, started, parent, threads, device, host, script, "
      "command, "
      "git_commit, git_dirty, git_diff, versions) VALUES (?1, ?2, ?3, 'running', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, "
      "?12, ?13, ?14, ?15, ?16)");
  const auto optional = [](const std::optional<std::int64_t>& value) { return value ? Cell(*value) : Cell(); };
  run.bind(1, uid).bind(2, std::string_view(start.name.empty() ? "run" : start.name));
  run.bind(3, std::string_view(start.kind)).bind(4, optional(start.seed)).bind_text(5, start.config_hash);
  run.bind(6, std::string_view(iso_time(unix_seconds()))).bind(7, optional(start.parent)).bind(8, optional(e.threads));
  run.bind_text(9, e.device)
      .bind_text(10, e.host)
      .bind_text(11, e.script)
      .bind_text(12, e.command)
      .bind_text(13, e.git_commit);
  run.bind(14, e.git_commit.empty() || !e.git_dirty ? Cell() : Cell(std::int64_t{*e.git_dirty}));
  run.bind_text(15, e.git_diff ? std::string_view(e.git_diff->sha256) : std::string_view())
      .bind_text(16, e.versions)
      .run();
  const std::int64_t id = database.last_id();

  put_params(database, id, start.params);
  put_sources(database, id, start.sources);
  if (e.git_diff)
    database.prepare("INSERT OR IGNORE INTO sources VALUES (?1, ?2)")
        .bind(1, std::string_view(e.git_diff->sha256))
        .bind(2, std::string_view(e.git_diff->text))
        .run();
  return id;
}

void end_run(Database& database, std::int64_t id, std::string_view status, double unix_time, double seconds,
             std::string_view message) {
  // Its last sign of life may be older than its row, by the milliseconds of its beginning.
  Statement update =
      database.prepare("UPDATE runs SET status = ?2, ended = max(started, ?3), seconds = ?4, error = ?5 WHERE id = ?1");
  update.bind(1, id)
      .bind(2, status)
      .bind(3, std::string_view(iso_time(unix_time)))
      .bind(4, seconds)
      .bind_text(5, message)
      .run();
  Statement forget = database.prepare("DELETE FROM drained WHERE run_id = ?1");
  forget.bind(1, id).run();
}

}  // namespace gradus::results
