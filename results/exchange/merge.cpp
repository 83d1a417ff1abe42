#include "merge.h"

#include <filesystem>
#include <map>

#include "error.h"
#include "store/database.h"

namespace gradus::results {

namespace fs = std::filesystem;

namespace {

constexpr double kSeconds = 3600;  // of one statement over one run
const Limits kAll{kSeconds};

// The folder under its final name, or not at all.
void copy_folder(const std::string& from, const std::string& to) {
  std::error_code code;
  if (!fs::exists(from, code) || fs::equivalent(from, to, code)) return;
  const std::string part = to + ".part";
  fs::remove_all(part, code);
  fs::copy(from, part, fs::copy_options::recursive | fs::copy_options::copy_symlinks, code);
  if (!code) fs::remove_all(to, code);
  if (!code) fs::rename(part, to, code);
  if (!code) return;
  const std::string reason = code.message();
  fs::remove_all(part, code);
  throw Error(Exit::io, to + ": cannot copy the run's folder; got " + reason);
}

// INSERT INTO table (columns) VALUES (?1, …). A tag that is there stays.
Statement insertion(Database& database, const std::string& table, const std::vector<std::string>& columns) {
  std::string names, places;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    names += (i ? ", " : "") + columns[i];
    places += (i ? ", ?" : "?") + std::to_string(i + 1);
  }
  const std::string known = table == "tags" ? "IGNORE" : "REPLACE";
  return database.prepare("INSERT OR " + known + " INTO " + table + " (" + names + ") VALUES (" + places + ")");
}

std::vector<std::string> names_of(const Statement& row) {
  std::vector<std::string> names;
  for (int i = 0; i < sqlite3_column_count(row.handle()); ++i) names.emplace_back(sqlite3_column_name(row.handle(), i));
  return names;
}

class Merger {
 public:
  Merger(Store& into, Store& from) : into_(into), from_(from) {}  // borrowed

  Json all() {
    Json counts = {{"from", from_.path()}, {"added", 0}, {"updated", 0}, {"present", 0}, {"running", 0}};
    const Rows runs = from_.query("SELECT id, uid, status, ended FROM runs ORDER BY id", {}, kAll);
    for (const auto& row :
         from_.query("SELECT id, name, better FROM keys").rows) {  // after the runs: those that are over have theirs
      names_[std::get<std::int64_t>(row[0])] = std::get<std::string>(row[1]);
      better_[std::get<std::int64_t>(row[0])] = row[2];
    }
    for (const auto& run : runs.rows) {
      const char* outcome = one(std::get<std::int64_t>(run[0]), std::get<std::string>(run[1]),
                                std::get<std::string>(run[2]) == "running", run[3]);
      counts[outcome] = counts[outcome].get<int>() + 1;
    }
    parents();
    return counts;
  }

 private:
  const char* one(std::int64_t id, const std::string& uid, bool running, const Cell& ended) {
    if (running) return "running";
    const Rows known = into_.query("SELECT id, coalesce(ended, '') FROM runs WHERE uid = ?1", {uid});
    const auto* end = std::get_if<std::string>(&ended);
    const bool newer = !known.rows.empty() && end != nullptr && *end > std::get<std::string>(known.rows[0][1]);
    if (!known.rows.empty() && !newer) {
      marks(id, std::get<std::int64_t>(known.rows[0][0]));
      return "present";
    }
    copy_folder(from_.folder() + "/" + uid, into_.folder() + "/" + uid);
    copy_cached(id);
    into_.write([&](Database& database) {
      std::int64_t own = newer ? std::get<std::int64_t>(known.rows[0][0]) : 0;
      if (newer) forget(database, own);
      own = copy_run(database, id, own);
      copy_sources(database, id);
      for (const char* table : {"params", "progress", "run_sources", "artifacts", "events", "tags"})
        copy_rows(database, table, id, own);
      copy_keyed(database, "summary_values", id, own);
      copy_keyed(database, "metric_values", id, own);
    });
    return newer ? "updated" : "added";
  }

  // Artifacts that runs share lie in the store's cache.
  void copy_cached(std::int64_t id) {
    const Rows files =
        from_.query("SELECT substr(path, 4) FROM artifacts WHERE run_id = ?1 AND path LIKE '../cache/%'", {id});
    for (const auto& row : files.rows) {
      const std::string& path = std::get<std::string>(row[0]);
      std::error_code code;
      const fs::path name = fs::path(path).lexically_normal(), to = fs::path(into_.folder()) / name;
      const fs::path from = fs::path(from_.folder()) / name;
      if (*name.begin() != "cache" || fs::exists(to, code) || !fs::exists(from, code)) continue;
      fs::create_directories(to.parent_path(), code);
      const fs::path part = to.string() + ".part";
      if (fs::copy_file(from, part, fs::copy_options::overwrite_existing, code)) fs::rename(part, to, code);
      if (!code) continue;
      const std::string reason = code.message();
      fs::remove(part, code);
      throw Error(Exit::io, to.string() + ": cannot copy what the run took from the cache; got " + reason);
    }
  }

  // All but its tags, and its row, which is replaced under the same id but for its marks.
  static void forget(Database& database, std::int64_t own) {
    for (const char* table :
         {"metric_values", "summary_values", "progress", "events", "run_sources", "artifacts", "params"}) {
      Statement drop = database.prepare(std::string("DELETE FROM ") + table + " WHERE run_id = ?1");
      drop.bind(1, own).run();
    }
  }

  std::int64_t copy_run(Database& database, std::int64_t id, std::int64_t own) {
    const Rows rows = from_.query("SELECT * FROM runs WHERE id = ?1", {id});
    const Rows ours = into_.query("SELECT note, archived FROM runs WHERE id = ?1", {own});
    const auto value = [&](std::size_t i) {
      const std::string& name = rows.columns[i];
      if (name == "id") return own == 0 ? Cell() : Cell(own);
      if (name == "parent") return Cell();  // ids differ: parents() sets it
      const bool mark = !ours.rows.empty() && (name == "note" || name == "archived");
      const Cell mine = mark ? ours.rows[0][name == "note" ? 0 : 1] : Cell();
      return mine.index() != 0 ? mine : rows.rows[0][i];
    };
    Statement put = insertion(database, "runs", rows.columns);
    for (std::size_t i = 0; i < rows.columns.size(); ++i) put.bind(static_cast<int>(i) + 1, value(i));
    put.run();
    return own == 0 ? database.last_id() : own;
  }

  // Row by row: all of a run's texts together may be more than memory has room for.
  void copy_sources(Database& database, std::int64_t id) {
    Statement put = insertion(database, "sources", {"sha256", "text"});
    from_.read(
        "SELECT sha256, text FROM sources WHERE sha256 IN (SELECT sha256 FROM run_sources WHERE run_id = ?1 UNION "
        "SELECT git_diff FROM runs WHERE id = ?1)",
        {id}, kSeconds, [&](Statement& row) {
          while (row.step()) put.bind(1, row.cell(0)).bind(2, row.cell(1)).run();
        });
  }

  void copy_rows(Database& database, const std::string& table, std::int64_t id, std::int64_t own) {
    const std::string order = table == "events" ? " ORDER BY id" : "";  // they are told in the order in which they came
    from_.read("SELECT * FROM " + table + " WHERE run_id = ?1" + order, {id}, kSeconds, [&](Statement& row) {
      const std::vector<std::string> names = names_of(row);
      Statement put = insertion(database, table, names);
      while (row.step()) {
        for (std::size_t i = 0; i < names.size(); ++i) {
          const int at = static_cast<int>(i);
          const bool event = names[i] == "id";  // of events: new here
          put.bind(at + 1, event ? Cell() : names[i] == "run_id" ? Cell(own) : row.cell(at));
        }
        put.run();
      }
    });
  }

  // Tables whose rows have a key's number, which every store counts for itself.
  void copy_keyed(Database& database, const std::string& table, std::int64_t id, std::int64_t own) {
    from_.read("SELECT * FROM " + table + " WHERE run_id = ?1", {id}, kSeconds, [&](Statement& row) {
      const std::vector<std::string> names = names_of(row);
      Statement put = insertion(database, table, names);
      while (row.step()) {
        put.bind(1, own).bind(2, key(database, row.integer(1)));
        for (int i = 2; i < static_cast<int>(names.size()); ++i)
          sqlite3_bind_value(put.handle(), i + 1, sqlite3_column_value(row.handle(), i));
        put.run();
      }
    });
  }

  std::int64_t key(Database& database, std::int64_t theirs) {
    const auto found = keys_.find(theirs);
    if (found != keys_.end()) return found->second;
    const std::string& name = names_.at(theirs);
    Statement add = database.prepare(  // which way is better: what was said here counts
        "INSERT INTO keys (name, better) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET better = coalesce(better, "
        "excluded.better)");
    add.bind(1, std::string_view(name)).bind(2, better_.at(theirs)).run();
    Statement get = database.prepare("SELECT id FROM keys WHERE name = ?1");
    get.bind(1, std::string_view(name)).step();
    const std::int64_t own = get.integer(0);
    return keys_[theirs] = own;
  }

  // Tags, note and archive mark of a run that both have.
  void marks(std::int64_t id, std::int64_t own) {
    const Rows tags = from_.query("SELECT name, value FROM tags WHERE run_id = ?1", {id});
    const Rows run = from_.query("SELECT note, archived FROM runs WHERE id = ?1", {id});
    if (tags.rows.empty() && run.rows[0][0].index() == 0 && run.rows[0][1].index() == 0) return;
    into_.write([&](Database& database) {
      Statement tag = database.prepare("INSERT OR IGNORE INTO tags VALUES (?1, ?2, ?3)");
      for (const auto& row : tags.rows) tag.bind(1, own).bind(2, row[0]).bind(3, row[1]).run();
      Statement mark = database.prepare(
          "UPDATE runs SET note = coalesce(note, ?2), archived = coalesce(archived, ?3) WHERE id = ?1");
      mark.bind(1, own).bind(2, run.rows[0][0]).bind(3, run.rows[0][1]).run();
    });
  }

  void parents() {
    const Rows pairs = from_.query(
        "SELECT c.uid, p.uid FROM runs c JOIN runs p ON p.id = c.parent WHERE c.status != 'running'", {}, kAll);
    if (pairs.rows.empty()) return;
    into_.write([&](Database& database) {
      Statement set = database.prepare(
          "UPDATE runs SET parent = (SELECT id FROM runs WHERE uid = ?2) WHERE uid = ?1 AND parent IS NULL");
      for (const auto& row : pairs.rows) set.bind(1, row[0]).bind(2, row[1]).run();
    });
  }

  Store &into_, &from_;
  std::map<std::int64_t, std::int64_t> keys_;  // theirs to ours
  std::map<std::int64_t, std::string> names_;  // of their keys
  std::map<std::int64_t, Cell> better_;        // which way, as was said there
};

}  // namespace

Json merge(Store& into, Store& from) {
  std::error_code code;
  if (fs::equivalent(into.path(), from.path(), code))
    throw Error(Exit::usage, "merge: expected another store than " + into.path() + "; got the same file");
  const FileLock mine = FileLock::of_who_takes_runs(into.folder());
  return Merger(into, from).all();
}

}  // namespace gradus::results
