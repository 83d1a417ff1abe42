#include "schema.h"

#include <string>

#include "error.h"

namespace gradus::results {
namespace {

// Rows that are written or read by the million have integer keys and no rowid: 31 bytes a value instead of 182, and one
// curve lies together. The views give them their names back.
constexpr const char* kSchema = R"sql(
CREATE TABLE runs (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  uid         TEXT NOT NULL UNIQUE,                -- 32 hex digits; the run's folder, beside the store, has this name
  name        TEXT NOT NULL,
  kind        TEXT NOT NULL,                       -- run, or what a child run is for (teacher)
  status      TEXT NOT NULL CHECK (status IN ('running', 'finished', 'failed', 'interrupted')),
  seed        INTEGER,
  config_hash TEXT,                                -- sources, data and parameters without the seed: equal for repetitions
  started     TEXT NOT NULL,                       -- ISO-8601 UTC
  ended       TEXT,
  seconds     REAL,                                -- monotonic
  parent      INTEGER REFERENCES runs (id),
  threads     INTEGER,
  device      TEXT,
  host        TEXT,
  script      TEXT,
  command     TEXT,
  git_commit  TEXT,
  git_dirty   INTEGER,
  git_diff    TEXT REFERENCES sources (sha256),    -- the uncommitted difference
  versions    TEXT,                                -- JSON
  error       TEXT,
  note        TEXT,                                -- the user's own
  archived    TEXT                                 -- ISO-8601 UTC; lists leave the run out
);
CREATE INDEX runs_running ON runs (id) WHERE status = 'running';
CREATE INDEX runs_parent ON runs (parent) WHERE parent IS NOT NULL;

CREATE TABLE params (
  run_id INTEGER NOT NULL REFERENCES runs (id),
  key    TEXT NOT NULL,
  value,                                           -- as typed: INTEGER, REAL, TEXT or NULL; booleans are 0 and 1
  type   TEXT NOT NULL CHECK (type IN ('null', 'boolean', 'integer', 'number', 'string')),
  PRIMARY KEY (run_id, key)
) WITHOUT ROWID;
CREATE INDEX params_key ON params (key, value);    -- which parameters there are, without a scan

CREATE TABLE tags (
  run_id INTEGER NOT NULL REFERENCES runs (id),
  name   TEXT NOT NULL,
  value  TEXT NOT NULL,                            -- '' for a tag without one
  PRIMARY KEY (run_id, name)
) WITHOUT ROWID;

CREATE TABLE keys (
  id     INTEGER PRIMARY KEY,
  name   TEXT NOT NULL UNIQUE,
  better TEXT CHECK (better IN ('higher', 'lower'))  -- NULL: nobody said which way
);

CREATE TABLE metric_values (
  run_id INTEGER NOT NULL REFERENCES runs (id),
  key_id INTEGER NOT NULL REFERENCES keys (id),
  step   INTEGER NOT NULL,
  value  REAL,                                     -- NULL: not a number
  PRIMARY KEY (run_id, key_id, step)
) WITHOUT ROWID;
CREATE VIEW metrics (run_id, key, step, value) AS
  SELECT v.run_id, k.name, v.step, v.value FROM metric_values v JOIN keys k ON k.id = v.key_id;

CREATE TABLE summary_values (
  run_id    INTEGER NOT NULL REFERENCES runs (id),
  key_id    INTEGER NOT NULL REFERENCES keys (id),
  last      REAL,                                  -- the value at last_step, the greatest step
  min       REAL,                                  -- NaN takes no part in min and max
  max       REAL,
  argmin    INTEGER,                               -- the first step with that value
  argmax    INTEGER,
  count     INTEGER NOT NULL,                      -- rows, NaN among them
  last_step INTEGER NOT NULL,
  nans      INTEGER NOT NULL,
  PRIMARY KEY (run_id, key_id)
) WITHOUT ROWID;
CREATE VIEW summaries (run_id, key, last, min, max, argmin, argmax, count, last_step, nans) AS
  SELECT s.run_id, k.name, s.last, s.min, s.max, s.argmin, s.argmax, s.count, s.last_step, s.nans
  FROM summary_values s JOIN keys k ON k.id = s.key_id;

CREATE TABLE progress (
  run_id  INTEGER NOT NULL REFERENCES runs (id),
  step    INTEGER NOT NULL,
  epoch   REAL,
  samples INTEGER,
  flops   REAL,
  seconds REAL,
  PRIMARY KEY (run_id, step)
) WITHOUT ROWID;

CREATE TABLE events (
  id     INTEGER PRIMARY KEY,
  run_id INTEGER NOT NULL REFERENCES runs (id),
  step   INTEGER,
  time   TEXT NOT NULL,                            -- ISO-8601 UTC
  kind   TEXT NOT NULL,
  name   TEXT,
  detail TEXT                                      -- JSON
);
CREATE INDEX events_run ON events (run_id, step);
CREATE INDEX events_fork ON events (run_id) WHERE kind = 'resume' AND name = 'fork';
-- Who was forked off whom. A fork has its origin's events until then, those that tell of earlier forks among them: its own came after.
CREATE VIEW forks (run_id, origin, uid, step, changed) AS
  SELECT e.run_id, r.id, json_extract(e.detail, '$.uid'), json_extract(e.detail, '$.at'), coalesce(json_extract(e.detail, '$.set'), '{}')
  FROM events e LEFT JOIN runs r ON r.uid = json_extract(e.detail, '$.uid')
  WHERE e.kind = 'resume' AND e.name = 'fork' AND json_valid(e.detail) AND NOT EXISTS (SELECT 1 FROM events l
    WHERE l.run_id = e.run_id AND l.kind = 'resume' AND l.name = 'fork' AND l.id > e.id);

CREATE TABLE sources (sha256 TEXT PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE run_sources (
  run_id INTEGER NOT NULL REFERENCES runs (id),
  path   TEXT NOT NULL,
  sha256 TEXT NOT NULL REFERENCES sources (sha256),
  PRIMARY KEY (run_id, path)
) WITHOUT ROWID;

CREATE TABLE artifacts (
  run_id INTEGER NOT NULL REFERENCES runs (id),
  kind   TEXT NOT NULL,
  path   TEXT NOT NULL,                            -- relative to the run's folder
  sha256 TEXT,
  bytes  INTEGER,
  PRIMARY KEY (run_id, path)
) WITHOUT ROWID;

-- How far each live run's spool is in the tables, written in the transaction that put it there: nothing is drained twice.
CREATE TABLE drained (run_id INTEGER PRIMARY KEY, segment INTEGER NOT NULL, records INTEGER NOT NULL);
)sql";

enum class State { empty, older, ours };

State state_of(Database& database) {
  std::int64_t application, version, objects;
  try {
    database.run("BEGIN");  // one view of all three: another process may be making the tables right now
    application = database.integer("PRAGMA application_id");
    version = database.integer("PRAGMA user_version");
    objects = database.integer("SELECT count(*) FROM sqlite_master");
    database.run("COMMIT");
  } catch (const Error& error) {
    const int code = sqlite3_errcode(database.handle());
    sqlite3_exec(database.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
    if (code != SQLITE_NOTADB) throw;
    throw Error(Exit::data,
                database.path() +
                    ": not a store; expected a SQLite file made by gradus; got a file that SQLite cannot read" +
                    " (if it was one, `gradus doctor --salvage` saves what is whole)");
  }
  if (application == 0 && version == 0 && objects == 0) return State::empty;
  if (application != kApplicationId) {
    throw Error(
        Exit::data,
        database.path() + ": not a store; expected a SQLite file made by gradus; got another program's SQLite file");
  }
  if (version < 1) {
    throw Error(Exit::data, database.path() + ": damaged; expected store version 1 to " +
                                std::to_string(kSchemaVersion) + "; got " + std::to_string(version));
  }
  if (version > kSchemaVersion) {
    throw Error(Exit::data, database.path() + ": made by a newer gradus; expected store version " +
                                std::to_string(kSchemaVersion) + " or older; got " + std::to_string(version));
  }
  return version < kSchemaVersion ? State::older : State::ours;
}

}  // namespace

void create_schema(Database& database, FileLock& lock) {
  if (state_of(database) == State::ours) return;
  // Switching a file to WAL answers SQLITE_BUSY without asking the busy handler, so everybody else waits outside.
  lock.lock(kLockSeconds);
  try {
    const State state = state_of(database);
    if (state == State::older) migrate(database);
    if (state == State::empty) {
      database.run("PRAGMA page_size = 4096");  // pages.h relies on it
      database.run("PRAGMA journal_mode = WAL");
      database.run("BEGIN IMMEDIATE");
      database.run(kSchema);
      database.run(("PRAGMA application_id = " + std::to_string(kApplicationId)).c_str());
      database.run(("PRAGMA user_version = " + std::to_string(kSchemaVersion)).c_str());
      database.run("COMMIT");
    }
  } catch (...) {
    sqlite3_exec(database.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
    lock.unlock();
    throw;
  }
  lock.unlock();
}

bool check_schema(Database& database) {
  const State state = state_of(database);
  if (state == State::empty) {
    throw Error(Exit::missing,
                database.path() + ": the store is empty; expected at least one run; `gradus run SCRIPT` makes one");
  }
  return state == State::ours;
}

}  // namespace gradus::results
