#include "salvage.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "database.h"
#include "error.h"
#include "heartbeat.h"
#include "pages.h"
#include "row_shapes.h"
#include "schema.h"
#include "sha256.h"
#include "spool.h"

namespace gradus::results {

namespace fs = std::filesystem;

namespace {

constexpr const char* kTables[] = {"runs",     "params", "tags",    "keys",        "metric_values", "summary_values",
                                   "progress", "events", "sources", "run_sources", "artifacts"};
constexpr const char* kOfRuns[] = {"params",   "tags",   "metric_values", "summary_values",
                                   "progress", "events", "run_sources",   "artifacts"};

// Every whole row into the table of its shape; what contradicts a row that is there already is left out.
std::uint64_t put_rows(const PageFile& file, Database& database, Json& found) {
  const Trees trees(file);
  const std::unordered_set<std::uint32_t> free = file.free_pages();
  std::map<const Shape*, Statement> puts;
  std::uint64_t rows = 0, sources = 0;
  for (const bool reached : {true, false}) {  // what the trees lead to first: it is certain
    for (std::uint32_t page = 1; page <= file.count(); ++page) {
      if (trees.reached(page) != reached || (!reached && free.count(page) != 0)) continue;
      file.rows(page, [&](RawRow& row) {
        const Shape* shape = trees.table_of(row, page);
        if (shape == nullptr) return;
        if (shape->letters[0] == 'n') row.values[0] = row.rowid;
        if (shape->letters[0] == 's' &&
            sha256(std::get<std::string>(row.values[1])) != std::get<std::string>(row.values[0])) {
          ++sources;
          return;
        }
        Statement& put =
            puts.try_emplace(shape, database.prepare(std::string("INSERT OR IGNORE INTO ") + shape->insert))
                .first->second;
        for (int i = 0; i < static_cast<int>(std::char_traits<char>::length(shape->letters)); ++i) {
          const auto at = static_cast<std::size_t>(i);
          put.bind(i + 1, at < row.values.size() ? row.values[at] : Cell());
        }
        put.run();
        ++rows;
      });
    }
  }
  found["sources"] = sources;
  return rows;
}

Json list(Database& database, const char* sql) {
  Json names = Json::array();
  Statement statement = database.prepare(sql);
  while (statement.step()) names.push_back(to_json(statement.cell(0)));
  return names;
}

// Rows that refer to what is lost get something in its stead; those of a run that there never was are damaged
// themselves.
void mend_references(Database& database, Json& found) {
  std::string of_runs;
  for (const char* table : kOfRuns)
    of_runs += std::string(of_runs.empty() ? "" : " UNION ") + "SELECT run_id FROM " + table;
  database.run(R"sql(
CREATE TEMP TABLE known AS SELECT max(max(n), coalesce((SELECT max(id) FROM runs), 0), coalesce((SELECT max(id) FROM uids), 0)) AS runs
  FROM sequence WHERE name = 'runs' HAVING count(*) > 0;
DELETE FROM names WHERE id IN (SELECT id FROM keys) OR name IN (SELECT name FROM keys) OR name GLOB '*[^A-Za-z0-9_./-]*'
  OR (length(name) = 64 AND name NOT GLOB '*[^0-9a-f]*');  -- of a source, not of a metric
DELETE FROM uids WHERE id IN (SELECT id FROM runs) OR uid IN (SELECT uid FROM runs);
INSERT OR IGNORE INTO run_sources SELECT * FROM either WHERE value IN (SELECT sha256 FROM sources) OR name LIKE '%.lua';
INSERT OR IGNORE INTO tags SELECT * FROM either WHERE value NOT IN (SELECT sha256 FROM sources) AND name NOT LIKE '%.lua';
)sql");
  std::int64_t strays = 0;
  for (const char* table : kOfRuns) {
    const std::string stray =
        std::string("DELETE FROM ") + table + " WHERE run_id < 1 OR run_id > (SELECT runs FROM known)";
    database.run(stray.c_str());
    strays += sqlite3_changes(database.handle());
  }
  found["strays"] = strays;
  const std::string in_their_stead = R"sql(
INSERT OR IGNORE INTO runs (id, uid, name, kind, status, started, error)
  SELECT r.id, coalesce((SELECT uid FROM uids u WHERE u.id = r.id), lower(hex(randomblob(16)))), 'salvaged-' || r.id, 'run', 'interrupted',
    coalesce((SELECT min(time) FROM events e WHERE e.run_id = r.id), '1970-01-01T00:00:00.000Z'),
    'what the store knew of this run itself was damaged'
  FROM (SELECT run_id AS id FROM ()sql" +
                                     of_runs +
                                     R"sql() UNION SELECT id FROM uids) r WHERE r.id NOT IN (SELECT id FROM runs))sql";
  database.run(in_their_stead.c_str());
  database.run(R"sql(
INSERT OR IGNORE INTO keys (id, name) SELECT id, name FROM names;
INSERT OR IGNORE INTO keys (id, name) SELECT DISTINCT key_id, 'salvaged/' || key_id
  FROM (SELECT key_id FROM metric_values UNION SELECT key_id FROM summary_values) WHERE key_id NOT IN (SELECT id FROM keys);
INSERT OR IGNORE INTO params SELECT p.run_id, p.key, p.value,
    coalesce((SELECT type FROM params o WHERE o.key = p.key AND typeof(o.value) = typeof(p.value) LIMIT 1),
      CASE typeof(p.value) WHEN 'integer' THEN 'integer' WHEN 'real' THEN 'number' WHEN 'text' THEN 'string' ELSE 'null' END)
  FROM params_of p WHERE p.run_id IN (SELECT id FROM runs);
INSERT OR IGNORE INTO summary_values SELECT run_id, key_id, (SELECT value FROM metric_values v WHERE v.run_id = s.run_id AND v.key_id =
    s.key_id AND v.step = s.top), low, high,
    (SELECT min(step) FROM metric_values v WHERE v.run_id = s.run_id AND v.key_id = s.key_id AND v.value = s.low),
    (SELECT min(step) FROM metric_values v WHERE v.run_id = s.run_id AND v.key_id = s.key_id AND v.value = s.high), count, top, nans
  FROM (SELECT run_id, key_id, min(value) AS low, max(value) AS high, count(*) AS count, max(step) AS top, sum(value IS NULL) AS nans
    FROM metric_values v WHERE NOT EXISTS (SELECT 1 FROM summary_values o WHERE o.run_id = v.run_id AND o.key_id = v.key_id)
    GROUP BY run_id, key_id) s;
UPDATE sqlite_sequence SET seq = max(seq, coalesce((SELECT runs FROM known), 0)) WHERE name = 'runs';
)sql");
  found["runs"] = list(database, "SELECT name FROM runs WHERE name = 'salvaged-' || id ORDER BY id");
  found["keys"] = list(database, "SELECT name FROM keys WHERE name = 'salvaged/' || id ORDER BY id");
}

// A dead run's spool may hold more. Where its position in it is lost, all that is left of the spool is read again.
void mend_positions(Database& database, const fs::path& folder) {
  Statement running =
      database.prepare("SELECT id, uid FROM runs WHERE status = 'running' AND id NOT IN (SELECT run_id FROM drained)");
  Statement put = database.prepare("INSERT INTO drained VALUES (?1, ?2, 0)");
  Statement forget = database.prepare("DELETE FROM events WHERE run_id = ?1");
  while (running.step()) {
    const std::int64_t first = first_segment((folder / running.text(1)).string());
    if (first == 0) forget.bind(1, running.integer(0)).run();  // all of them come again
    if (first >= 0) put.bind(1, running.integer(0)).bind(2, first).run();
  }
}

void fill(const PageFile& file, const std::string& path, Database& database, Json& found) {
  database.run(
      "PRAGMA temp_store = MEMORY; CREATE TEMP TABLE sequence (name, n); CREATE TEMP TABLE uids (uid, id); CREATE TEMP "
      "TABLE names (name, id); "
      "CREATE TEMP TABLE params_of (key, value, run_id); CREATE TEMP TABLE either (run_id, name, value); BEGIN");
  if (put_rows(file, database, found) == 0)
    throw Error(Exit::data, path + ": nothing to salvage; expected a damaged store; got a file with no row of one");
  mend_references(database, found);
  mend_positions(database, fs::path(path).parent_path());
  for (const char* table : kTables)
    found["rows"][table] = database.integer((std::string("SELECT count(*) FROM ") + table).c_str());
  Statement lacking = database.prepare(
      "SELECT count(*), coalesce(sum(lost), 0) FROM (SELECT s.count - (SELECT count(*) FROM metric_values v WHERE "
      "v.run_id = s.run_id AND "
      "v.key_id = s.key_id) AS lost FROM summary_values s) WHERE lost > 0");
  lacking.step();
  found["curves"] = lacking.integer(0);
  found["values"] = lacking.integer(1);
  lacking.reset();
  database.run("COMMIT");
  if (sqlite3_wal_checkpoint_v2(database.handle(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr) != SQLITE_OK)
    fail(database.handle(), sqlite3_errcode(database.handle()));
}

void refuse_live_runs(const fs::path& folder) {
  std::error_code code;
  for (fs::directory_iterator at(folder, code), end; !code && at != end; at.increment(code)) {
    if (!Heartbeat::is_held(at->path().string())) continue;
    throw Error(Exit::io, folder.string() +
                              ": a run is at work; expected none to write the store while it is salvaged; got " +
                              at->path().filename().string());
  }
}

}  // namespace

Json salvage(const std::string& path, const std::string& into) {
  const std::string from = fs::absolute(path).lexically_normal().string(), part = into + ".part";
  std::error_code code;
  if (fs::exists(into, code)) throw Error(Exit::usage, into + ": is there already; expected a name for a new file");
  refuse_live_runs(fs::path(from).parent_path());
  const auto clean = [&] {
    for (const char* end : {"", "-wal", "-shm", ".lock"}) fs::remove(part + end, code);
  };
  clean();
  Json found = {{"path", from}, {"into", into}, {"rows", Json::object()}};
  try {
    const PageFile file(from);
    Database database(part, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    FileLock lock(part + ".lock");
    create_schema(database, lock);
    fill(file, from, database, found);
  } catch (...) {
    clean();
    throw;
  }
  fs::rename(part, into, code);
  if (code) throw Error(Exit::io, into + ": cannot name the new store; got " + code.message());
  clean();
  return found;
}

}  // namespace gradus::results
