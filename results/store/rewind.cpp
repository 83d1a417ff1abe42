#include "rewind.h"

#include <limits>
#include <string>
#include <vector>

#include "drain.h"
#include "error.h"

namespace gradus::results {
namespace {

// Numbered parameters: ?1 run, ?2 the other run, ?3 step, ?4 event, ?5 keys (JSON), ?6 child, ?7 progress.
struct Call {
  std::int64_t run, other;
  const Point& point;
};

void call(Database& database, const char* sql, const Call& given) {
  Statement statement = database.prepare(sql);
  const int used = sqlite3_bind_parameter_count(statement.handle());
  const Point& p = given.point;
  if (used >= 1) statement.bind(1, given.run);
  if (used >= 2) statement.bind(2, given.other);
  if (used >= 3) statement.bind(3, p.step);
  if (used >= 4) statement.bind(4, p.event);
  if (used >= 5) statement.bind(5, std::string_view(p.keys));
  if (used >= 6) statement.bind(6, p.child);
  if (used >= 7) statement.bind(7, p.progress);
  statement.run();
}

// The summaries of a run, from its rows.
void summarize(Database& database, std::int64_t run) {
  Statement drop = database.prepare("DELETE FROM summary_values WHERE run_id = ?1");
  drop.bind(1, run).run();
  Statement rows =
      database.prepare("SELECT key_id, step, value FROM metric_values WHERE run_id = ?1 ORDER BY key_id, step");
  Statement add = database.prepare("INSERT INTO summary_values VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
  Summary summary;
  std::int64_t key = -1;
  const auto finish = [&] {
    if (key >= 0) put_summary(add, run, key, summary);
    summary = {};
  };
  for (rows.bind(1, run); rows.step();) {
    if (rows.integer(0) != key) finish();
    key = rows.integer(0);
    summary.add(rows.integer(1), rows.null(2) ? std::numeric_limits<double>::quiet_NaN() : rows.real(2));
  }
  finish();
}

// The first training that was split off after the point, 0 of none; later ones are the attempt's.
std::int64_t split_since(Database& database, const Call& given) {
  Statement find = database.prepare("SELECT min(id) FROM runs WHERE parent = ?1 AND kind = 'training' AND id > ?2");
  find.bind(1, given.run).bind(2, given.point.child);
  const std::int64_t id = find.step() && !find.null(0) ? find.integer(0) : 0;
  find.reset();
  return id;
}

// Rows of a training that was split off come back, once what the run has logged since under its names is the attempt's.
void take_back(Database& database, std::int64_t training, const Call& attempt) {
  const Point& point = attempt.point;
  const Call after{attempt.run, attempt.other, point}, back{training, attempt.run, point};
  Statement since = database.prepare(
      "UPDATE metric_values SET run_id = ?2 WHERE run_id = ?1 AND key_id IN (SELECT key_id FROM metric_values WHERE "
      "run_id = ?3)");
  since.bind(1, attempt.run).bind(2, attempt.other).bind(3, training).run();
  call(database, "UPDATE progress SET run_id = ?2 WHERE run_id = ?1", after);
  for (const char* table : {"metric_values", "progress", "events"})
    call(database, (std::string("UPDATE ") + table + " SET run_id = ?2 WHERE run_id = ?1").c_str(), back);
  for (const char* table : {"summary_values", "params", "run_sources", "tags"})
    call(database, (std::string("DELETE FROM ") + table + " WHERE run_id = ?1").c_str(), back);
  call(database, "UPDATE runs SET parent = ?2 WHERE parent = ?1 AND kind = 'training' AND id > ?6", after);
  call(database, "DELETE FROM runs WHERE id = ?1", back);
}

std::int64_t insert_attempt(Database& database, std::int64_t run, std::string_view uid) {
  Statement row = database.prepare(
      "INSERT INTO runs (uid, name, kind, status, seed, config_hash, started, ended, seconds, parent, threads, device, "
      "host, script, "
      "command, git_commit, git_dirty, git_diff, versions, error) SELECT ?2, name, 'attempt', status, seed, "
      "config_hash, started, ended, "
      "seconds, id, threads, device, host, script, command, git_commit, git_dirty, git_diff, versions, error FROM runs "
      "WHERE id = ?1 AND status <> 'running'");
  row.bind(1, run).bind(2, uid).run();
  if (sqlite3_changes(database.handle()) == 0)
    throw Error(Exit::usage,
                "resume: run " + std::to_string(run) + ": expected a run that is over; got one that is running");
  return database.last_id();
}

}  // namespace

std::int64_t rewind(Database& database, std::int64_t run, const Point& point, std::string_view attempt_uid) {
  const Call given{run, insert_attempt(database, run, attempt_uid), point};
  if (const std::int64_t training = split_since(database, given)) take_back(database, training, given);
  // A row may be there from a training of the attempt that was split off: that one was logged later.
  call(database,
       "UPDATE OR IGNORE metric_values SET run_id = ?2 WHERE run_id = ?1 AND (step > ?3 OR key_id NOT IN (SELECT k.id "
       "FROM keys k, "
       "json_each(?5) j WHERE j.value = k.name))",
       given);
  call(database,
       "DELETE FROM metric_values WHERE run_id = ?1 AND (step > ?3 OR key_id NOT IN (SELECT k.id FROM keys k, "
       "json_each(?5) j WHERE j.value = k.name))",
       given);
  call(database, "UPDATE OR IGNORE progress SET run_id = ?2 WHERE run_id = ?1 AND step > ?7", given);
  call(database, "DELETE FROM progress WHERE run_id = ?1 AND step > ?7", given);
  call(database, "UPDATE events SET run_id = ?2 WHERE run_id = ?1 AND id > ?4", given);
  summarize(database, run);
  summarize(database, given.other);
  call(database, "UPDATE runs SET status = 'running', ended = NULL, error = NULL WHERE id = ?1", given);
  return given.other;
}

void copy_past(Database& database, std::int64_t from, const Point& point, std::int64_t run) {
  // What a training logged that was split off since is in its own run; under its names `from` has something else.
  const std::int64_t split = split_since(database, {from, run, point});
  const Call own{from, run, point}, training{split, run, point};
  call(database,
       "INSERT INTO metric_values SELECT ?2, key_id, step, value FROM metric_values WHERE run_id = ?1 AND step <= ?3 "
       "AND key_id IN "
       "(SELECT k.id FROM keys k, json_each(?5) j WHERE j.value = k.name)",
       training);
  call(database,
       "INSERT INTO metric_values SELECT ?2, key_id, step, value FROM metric_values WHERE run_id = ?1 AND step <= ?3 "
       "AND key_id IN "
       "(SELECT k.id FROM keys k, json_each(?5) j WHERE j.value = k.name) AND key_id NOT IN (SELECT key_id FROM "
       "metric_values WHERE "
       "run_id = ?2)",
       own);
  call(database,
       "INSERT INTO progress SELECT ?2, step, epoch, samples, flops, seconds FROM progress WHERE run_id = ?1 AND step "
       "<= ?7",
       split > 0 ? training : own);
  for (const Call& part : {own, training})
    call(database,
         "INSERT INTO events (run_id, step, time, kind, name, detail) SELECT ?2, step, time, kind, name, detail FROM "
         "events "
         "WHERE run_id = ?1 AND id <= ?4 ORDER BY id",
         part);
  summarize(database, run);
}

}  // namespace gradus::results
