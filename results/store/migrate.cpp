#include <cstdio>
#include <filesystem>
#include <string>

#include "error.h"
#include "schema.h"

namespace gradus::results {
namespace {

// kSteps[i] turns version i + 1 into i + 2. A step is never edited once a release has it.
constexpr const char* kSteps[] = {
    R"sql(
ALTER TABLE runs ADD COLUMN note TEXT;
ALTER TABLE runs ADD COLUMN archived TEXT;
CREATE INDEX params_key ON params (key, value);
CREATE TABLE tags (
  run_id INTEGER NOT NULL REFERENCES runs (id),
  name   TEXT NOT NULL,
  value  TEXT NOT NULL,
  PRIMARY KEY (run_id, name)
) WITHOUT ROWID;
)sql",
    "ALTER TABLE keys ADD COLUMN better TEXT CHECK (better IN ('higher', 'lower'));",
    R"sql(
CREATE INDEX events_fork ON events (run_id) WHERE kind = 'resume' AND name = 'fork';
CREATE VIEW forks (run_id, origin, uid, step, changed) AS
  SELECT e.run_id, r.id, json_extract(e.detail, '$.uid'), json_extract(e.detail, '$.at'), coalesce(json_extract(e.detail, '$.set'), '{}')
  FROM events e LEFT JOIN runs r ON r.uid = json_extract(e.detail, '$.uid')
  WHERE e.kind = 'resume' AND e.name = 'fork' AND json_valid(e.detail) AND NOT EXISTS (SELECT 1 FROM events l
    WHERE l.run_id = e.run_id AND l.kind = 'resume' AND l.name = 'fork' AND l.id > e.id);
)sql",
};
static_assert(std::size(kSteps) + 1 == kSchemaVersion);

// A whole copy under its final name, or an Error and no copy.
void copy_store(Database& database, const std::string& to) {
  const std::string part = to + ".part";
  std::error_code ignored;
  std::filesystem::remove(part, ignored);
  {
    Database copy(part, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    sqlite3_backup* backup = sqlite3_backup_init(copy.handle(), "main", database.handle(), "main");
    if (backup == nullptr) fail(copy.handle(), sqlite3_errcode(copy.handle()));
    sqlite3_backup_step(backup, -1);
    if (const int code = sqlite3_backup_finish(backup); code != SQLITE_OK) {
      std::filesystem::remove(part, ignored);
      throw Error(Exit::io,
                  to + ": cannot copy the store before it is brought up to date; got " + sqlite3_errstr(code));
    }
  }
  std::error_code code;
  std::filesystem::rename(part, to, code);
  if (code) throw Error(Exit::io, to + ": cannot name the store's copy; got " + code.message());
}

}  // namespace

void migrate(Database& database) {
  const auto version = static_cast<int>(database.integer("PRAGMA user_version"));
  const std::string backup = database.path() + ".v" + std::to_string(version) + "-backup";
  copy_store(database, backup);
  database.run("BEGIN IMMEDIATE");
  for (int from = version; from < kSchemaVersion; ++from) database.run(kSteps[from - 1]);
  database.run(("PRAGMA user_version = " + std::to_string(kSchemaVersion)).c_str());
  database.run("COMMIT");  // create_schema rolls back when anything above throws
  std::fprintf(stderr, "gradus: %s: brought from store version %d to %d; the old one is kept as %s\n",
               database.path().c_str(), version, kSchemaVersion, backup.c_str());
}

}  // namespace gradus::results
