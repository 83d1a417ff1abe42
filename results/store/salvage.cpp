#include "salvage.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "database.h"
#include "error.h"
#include "heartbeat.h"
#include "pages.h"
#include "schema.h"
#include "sha256.h"
#include "spool.h"

namespace gradus::results {

namespace fs = std::filesystem;

namespace {

// How a row of each table lies in the file: one letter a column. n: NULL, the rowid stands for it; i: an integer; r: a
// number; t: a text; u, s: a text of 32 or 64 hex digits; a: anything; capitals: or NULL. An older store has fewer
// columns (`least`).
struct Shape {
  const char* tree;  // the name in sqlite_schema
  bool index;
  const char* letters;
  std::size_t least;
  const char* insert;  // with as many parameters as there are letters
};
constexpr const char *kUids = "sqlite_autoindex_runs_1", *kKeys = "sqlite_autoindex_keys_1", *kParams = "params_key";
constexpr Shape kShapes[] = {
    {"runs", false, "nutttITtTRIITTTTTITTTTT", 21,
     "runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, "
     "?22, ?23)"},
    {"keys", false, "ntT", 2, "keys VALUES (?1, ?2, ?3)"},
    {"events", false, "niIttTT", 7, "events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"},
    {"sources", false, "st", 2, "sources VALUES (?1, ?2)"},
    {"drained", false, "nii", 3, "drained VALUES (?1, ?2, ?3)"},
    {"sqlite_sequence", false, "ti", 2, "temp.sequence VALUES (?1, ?2)"},
    {"metric_values", true, "iiiR", 4, "metric_values VALUES (?1, ?2, ?3, ?4)"},
    {"summary_values", true, "iiRRRIIiii", 10, "summary_values VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"},
    {"progress", true, "iiRIRR", 6, "progress VALUES (?1, ?2, ?3, ?4, ?5, ?6)"},
    {"params", true, "itat", 4, "params VALUES (?1, ?2, ?3, ?4)"},
    {"", true, "its", 3, "temp.either VALUES (?1, ?2, ?3)"},  // a source's or a tag's, of a page that no tree leads to
    {"run_sources", true, "its", 3, "run_sources VALUES (?1, ?2, ?3)"},
    {"tags", true, "itt", 3, "tags VALUES (?1, ?2, ?3)"},
    {"artifacts", true, "ittTI", 5, "artifacts (run_id, path, kind, sha256, bytes) VALUES (?1, ?2, ?3, ?4, ?5)"},
    // Indexes know some of it a second time.
    {kUids, true, "ui", 2, "temp.uids VALUES (?1, ?2)"},
    {kKeys, true, "ti", 2, "temp.names VALUES (?1, ?2)"},
    {kParams, true, "tai", 3, "temp.params_of VALUES (?1, ?2, ?3)"},
};
constexpr const char* kTables[] = {"runs",     "params", "tags",    "keys",        "metric_values", "summary_values",
                                   "progress", "events", "sources", "run_sources", "artifacts"};
constexpr const char* kOfRuns[] = {"params",   "tags",   "metric_values", "summary_values",
                                   "progress", "events", "run_sources",   "artifacts"};

bool is_hex(const Cell& cell, std::size_t digits) {
  const auto* text = std::get_if<std::string>(&cell);
  return text && text->size() == digits && text->find_first_not_of("0123456789abcdef") == std::string::npos;
}

bool fits(const Cell& cell, char letter) {
  const char kind = static_cast<char>(letter | 0x20);
  if (cell.index() == 0) return kind != letter || letter == 'n' || letter == 'a';
  switch (kind) {
    case 'i':
      return cell.index() == 1;
    case 'r':
      return cell.index() == 1 || cell.index() == 2;
    case 't':
      return cell.index() == 3;
    case 'u':
      return is_hex(cell, 32);
    case 's':
      return is_hex(cell, 64);
    default:
      return kind == 'a';
  }
}

bool fits(const RawRow& row, const Shape& shape) {
  const std::size_t columns = std::char_traits<char>::length(shape.letters);
  if (row.index != shape.index || row.values.size() > columns || row.values.size() < shape.least) return false;
  for (std::size_t i = 0; i < row.values.size(); ++i) {
    if (!fits(row.values[i], shape.letters[i])) return false;
  }
  return true;
}

// Which tree each page belongs to, as far as the way down from the roots is whole.
class Trees {
 public:
  explicit Trees(const PageFile& file) : file_(file), tree_(file.count() + 1, kNone) {
    for (std::uint32_t page = 1; page <= file.count(); ++page) {
      file.rows(page, [&](RawRow& row) {  // of sqlite_schema: type, name, table, root, SQL
        if (row.index || row.values.size() != 5 || row.values[1].index() != 3 || row.values[3].index() != 1) return;
        const std::string& name = std::get<std::string>(row.values[1]);
        const auto* found =
            std::find_if(std::begin(kShapes), std::end(kShapes), [&](const Shape& s) { return s.tree == name; });
        descend(std::get<std::int64_t>(row.values[3]), static_cast<int>(found - kShapes));
      });
    }
  }

  // The table that a row on this page is of; null: of none of ours.
  const Shape* table_of(const RawRow& row, std::uint32_t page) const {
    const int tree = tree_[page];
    if (tree == static_cast<int>(std::size(kShapes)))
      return nullptr;  // somebody else's table, or an index that tells nothing new
    if (tree >= 0 && fits(row, kShapes[tree])) return &kShapes[tree];
    for (const Shape& shape : kShapes) {
      if (fits(row, shape)) return &shape;
    }
    return nullptr;
  }
  bool reached(std::uint32_t page) const { return tree_[page] >= 0; }

 private:
  static constexpr int kNone = -1, kDisputed = -2;

  void descend(std::int64_t root, int tree) {
    std::vector<std::uint32_t> todo;
    if (root > 1 && root <= file_.count()) todo.push_back(static_cast<std::uint32_t>(root));
    while (!todo.empty()) {
      const std::uint32_t page = todo.back();
      todo.pop_back();
      if (tree_[page] == tree || tree_[page] == kDisputed) continue;
      tree_[page] = tree_[page] == kNone ? tree : kDisputed;
      for (const std::uint32_t below : file_.children(page)) todo.push_back(below);
    }
  }

  const PageFile& file_;   // borrowed
  std::vector<int> tree_;  // place in kShapes; their number: another's
};

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
    const std::string stray = std::string("DELETE FROM ") + table + " WHERE run_id < 1 OR run_id > (SELECT runs FROM known)";
    database.run(stray.c_str());
    strays += sqlite3_changes(database.handle());
  }
  found["strays"] = strays;
  const std::string in_their_stead = R"sql(
INSERT OR IGNORE INTO runs (id, uid, name, kind, status, started, error)
  SELECT r.id, coalesce((SELECT uid FROM uids u WHERE u.id = r.id), lower(hex(randomblob(16)))), 'salvaged-' || r.id, 'run', 'interrupted',
    coalesce((SELECT min(time) FROM events e WHERE e.run_id = r.id), '1970-01-01T00:00:00.000Z'),
    'what the store knew of this run itself was damaged'
  FROM (SELECT run_id AS id FROM ()sql" + of_runs + R"sql() UNION SELECT id FROM uids) r WHERE r.id NOT IN (SELECT id FROM runs))sql";
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
    std::error_code code;
    std::int64_t first = -1;
    for (fs::directory_iterator at(folder / running.text(1), code), end; !code && at != end; at.increment(code)) {
      const std::string name = at->path().filename().string();
      if (!name.starts_with("spool.") || name.find_first_not_of("0123456789", 6) != std::string::npos ||
          name.size() == 6)
        continue;
      const std::int64_t segment = std::stoll(name.substr(6));
      first = first < 0 ? segment : std::min(first, segment);
    }
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
