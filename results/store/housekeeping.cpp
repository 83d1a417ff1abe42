#include "housekeeping.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "clock.h"
#include "database.h"
#include "error.h"
#include "heartbeat.h"
#include "schema.h"
#include "snapshot_files.h"
#include "uid.h"

namespace gradus::results {

namespace fs = std::filesystem;

namespace {

std::int64_t bytes_of(const fs::path& path) {
  std::error_code code;
  if (fs::is_regular_file(fs::symlink_status(path, code))) return static_cast<std::int64_t>(fs::file_size(path, code));
  std::int64_t bytes = 0;
  for (fs::recursive_directory_iterator at(path, code), end; !code && at != end; at.increment(code)) {
    if (fs::is_regular_file(at->symlink_status(code))) bytes += static_cast<std::int64_t>(at->file_size(code));
  }
  return bytes;
}

// Seconds since the newest of an entry's times, and for a folder those of what lies in it. Whoever lists a folder reads
// it: that is no use of it.
double idle_seconds(const fs::path& path) {
  double newest = 0;
  const auto look = [&](const fs::path& file) {
    struct stat info {};
    if (::lstat(file.c_str(), &info) != 0) return;
    newest = std::max(
        newest, static_cast<double>(S_ISDIR(info.st_mode) ? info.st_mtime : std::max(info.st_mtime, info.st_atime)));
  };
  look(path);
  std::error_code code;
  if (fs::is_directory(fs::symlink_status(path, code))) {
    for (fs::directory_iterator at(path, code), end; !code && at != end; at.increment(code)) look(at->path());
  }
  return unix_seconds() - newest;
}

std::string id_text(std::int64_t id) { return "run " + std::to_string(id); }

}  // namespace

// --- marks

void set_tag(Store& store, std::int64_t run, const std::string& name, const std::string& value) {
  if (!valid_key(name))
    throw Error(Exit::usage, "tag: expected a name of 1 to 200 of A-Z a-z 0-9 _ . / -; got '" + name + "'");
  store.write([&](Database& database) {
    Statement put = database.prepare("INSERT OR REPLACE INTO tags VALUES (?1, ?2, ?3)");
    put.bind(1, run).bind(2, std::string_view(name)).bind(3, std::string_view(value)).run();
  });
}

bool remove_tag(Store& store, std::int64_t run, const std::string& name) {
  bool removed = false;
  store.write([&](Database& database) {
    Statement drop = database.prepare("DELETE FROM tags WHERE run_id = ?1 AND name = ?2");
    drop.bind(1, run).bind(2, std::string_view(name)).run();
    removed = sqlite3_changes(database.handle()) > 0;
  });
  return removed;
}

void set_note(Store& store, std::int64_t run, const std::string& text) {
  store.write([&](Database& database) {
    Statement put = database.prepare("UPDATE runs SET note = ?2 WHERE id = ?1");
    put.bind(1, run).bind_text(2, text).run();
  });
}

void archive_runs(Store& store, const std::vector<std::int64_t>& runs, bool archived) {
  const std::string now = iso_time(unix_seconds());
  store.write([&](Database& database) {
    Statement put = database.prepare(archived ? "UPDATE runs SET archived = coalesce(archived, ?2) WHERE id = ?1"
                                              : "UPDATE runs SET archived = ?2 WHERE id = ?1");
    for (const std::int64_t run : runs) put.bind(1, run).bind_text(2, archived ? now : "").run();
  });
}

std::string put_better(Database& database, std::string_view key, std::string_view better) {
  if (!valid_key(key)) {
    throw Error(Exit::usage, "better: bad metric name; expected 1 to 200 of A-Z a-z 0-9 _ . / -; got '" +
                                 std::string(key.substr(0, 200)) + "'");
  }
  if (better != "higher" && better != "lower")
    throw Error(Exit::usage,
                "better: " + std::string(key) + ": expected higher or lower; got '" + std::string(better) + "'");
  Statement get = database.prepare("SELECT better FROM keys WHERE name = ?1");
  const std::string before = get.bind(1, key).step() && !get.null(0) ? get.text(0) : "";
  Statement put = database.prepare(
      "INSERT INTO keys (name, better) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET better = excluded.better");
  put.bind(1, key).bind(2, better).run();
  return before;
}

std::string set_better(Store& store, const std::string& key, const std::string& better) {
  std::string before;
  store.write([&](Database& database) {
    if (!better.empty()) {
      before = put_better(database, key, better);
      return;
    }
    Statement get = database.prepare("SELECT better FROM keys WHERE name = ?1");
    if (get.bind(1, std::string_view(key)).step() && !get.null(0)) before = get.text(0);
    Statement forget = database.prepare("UPDATE keys SET better = NULL WHERE name = ?1");
    forget.bind(1, std::string_view(key)).run();
  });
  return before;
}

// --- delete

Json plan_delete(Store& store, const std::vector<std::int64_t>& runs) {
  Json ids = runs;
  Json plan = to_json(store.query(
      "WITH RECURSIVE doomed(id) AS (SELECT value FROM json_each(?1) UNION SELECT r.id FROM runs r JOIN doomed d ON "
      "r.parent = d.id) SELECT r.id, r.uid, r.name, r.status, r.parent, (SELECT coalesce(sum(count), 0) FROM "
      "summary_values WHERE run_id = r.id) AS \"values\" FROM runs r JOIN doomed USING (id) ORDER BY r.id",
      {ids.dump()}));
  for (Json& run : plan) {
    if (run["status"] == "running") {
      throw Error(Exit::usage,
                  "delete: " + id_text(run["id"]) + ": expected a run that is over; got one that is running");
    }
    run["bytes"] = bytes_of(store.folder() + "/" + run["uid"].get<std::string>());
  }
  return plan;
}

void delete_runs(Store& store, const Json& plan) {
  static constexpr const char* kTables[] = {"metric_values", "summary_values", "progress", "events", "run_sources",
                                            "artifacts",     "params",         "tags",     "drained"};
  for (auto run = plan.rbegin(); run != plan.rend(); ++run) {  // children first
    const std::int64_t id = (*run)["id"];
    store.write([&](Database& database) {
      Statement status = database.prepare("SELECT status = 'running' FROM runs WHERE id = ?1");
      const bool running = status.bind(1, id).step() && status.integer(0) != 0;
      if (running)
        throw Error(Exit::usage, "delete: " + id_text(id) + " has been resumed since; nothing of it is gone");
      for (const char* table : kTables) {
        Statement drop = database.prepare(std::string("DELETE FROM ") + table + " WHERE run_id = ?1");
        drop.bind(1, id).run();
      }
      Statement drop = database.prepare("DELETE FROM runs WHERE id = ?1");
      drop.bind(1, id).run();
    });
    std::error_code code;  // a folder that stays is an orphan, which gc finds
    fs::remove_all(store.folder() + "/" + (*run)["uid"].get<std::string>(), code);
  }
}

// --- gc

namespace {

// The runs of every store in the folder: two stores may share it, and each one's runs are no orphans to the other.
std::set<std::string> known_uids(const std::string& folder) {
  std::set<std::string> uids;
  std::error_code code;
  for (fs::directory_iterator at(folder, code), end; !code && at != end; at.increment(code)) {
    if (!at->is_regular_file(code) || at->path().string().ends_with("-backup")) continue;
    Database database(at->path().string(), SQLITE_OPEN_READONLY);
    try {
      if (database.integer("PRAGMA application_id") != kApplicationId) continue;
    } catch (const Error& error) {
      if (error.code != Exit::data) throw;  // a lock or the disk: better no answer than a wrong one
      continue;
    }
    Statement all = database.prepare("SELECT uid FROM runs");  // a damaged store of ours is an error, too
    while (all.step()) uids.insert(all.text(0));
  }
  return uids;
}

constexpr const char* kUnusedSources =
    "FROM sources WHERE sha256 NOT IN (SELECT sha256 FROM run_sources) AND sha256 NOT IN (SELECT git_diff FROM runs "
    "WHERE "
    "git_diff IS NOT NULL)";

}  // namespace

Json plan_gc(Store& store, const GcOptions& options) {
  Json plan = {{"folders", Json::array()}, {"cache", Json::array()}, {"snapshots", Json::array()}};
  std::int64_t bytes = 0;
  const auto add = [&](const char* list, const fs::path& path) {
    plan[list].push_back({{"path", path.string()}, {"bytes", bytes_of(path)}});
    bytes += plan[list].back()["bytes"].get<std::int64_t>();
  };
  const std::set<std::string> known = known_uids(store.folder());
  std::error_code code;
  for (fs::directory_iterator at(store.folder(), code), end; !code && at != end; at.increment(code)) {
    std::string name = at->path().filename().string();
    const bool half_copied = name.ends_with(".part");  // a merge that was cut short
    if (half_copied) name.resize(name.size() - 5);
    if (!is_uid(name) || !fs::is_directory(at->symlink_status(code)) || (known.count(name) != 0 && !half_copied))
      continue;
    if (idle_seconds(at->path()) < options.orphan_hours * 3600) continue;
    if (!Heartbeat::is_held(at->path().string())) add("folders", at->path());
  }
  for (fs::directory_iterator at(store.folder() + "/cache", code), end; !code && at != end; at.increment(code)) {
    if (idle_seconds(at->path()) > options.cache_days * 86400) add("cache", at->path());
  }
  if (!options.keep.empty()) {
    for (const SnapshotFile& file : snapshots_to_remove(store, parse_keep(options.keep))) add("snapshots", file.path);
  }
  const Rows sources =
      store.query(std::string("SELECT count(*), coalesce(sum(length(CAST(text AS BLOB))), 0) ") + kUnusedSources);
  plan["sources"] = {{"count", to_json(sources.rows[0][0])}, {"bytes", to_json(sources.rows[0][1])}};
  plan["bytes"] = bytes + plan["sources"]["bytes"].get<std::int64_t>();
  return plan;
}

void collect(Store& store, const Json& plan) {
  std::error_code code;
  for (const char* list : {"folders", "cache", "snapshots"}) {
    for (const Json& entry : plan[list]) fs::remove_all(entry["path"].get<std::string>(), code);
  }
  if (plan["sources"]["count"] == 0) return;
  store.write([](Database& database) { database.run((std::string("DELETE ") + kUnusedSources).c_str()); });
}

// --- health

namespace {

// "ok", or the first complaint.
std::string check_file(Database& database, bool full) {
  try {
    Statement check = database.prepare(full ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)");
    std::string verdict = check.step() ? check.text(0) : "no answer";
    if (verdict != "ok") {
      std::replace(verdict.begin(), verdict.end(), '\n', ' ');
      return verdict + "; `gradus doctor --salvage` saves what is whole into a new file";
    }
    if (!full) return verdict;
    Statement wrong = database.prepare(
        "SELECT s.run_id, k.name FROM summary_values s JOIN keys k ON k.id = s.key_id WHERE s.count != (SELECT "
        "count(*) "
        "FROM metric_values v WHERE v.run_id = s.run_id AND v.key_id = s.key_id) LIMIT 1");
    if (wrong.step())
      return "the summary of " + wrong.text(1) + " in " + id_text(wrong.integer(0)) + " does not count its values";
    return "ok";
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

Json inspect(const std::string& path, bool full, std::int64_t quick_limit) {
  const auto opened = open_to_read(path);
  Database& database = *opened;
  check_schema(database);
  std::error_code code;
  const fs::path file = fs::absolute(path);
  const std::int64_t bytes = bytes_of(file);
  Json found = {{"path", file.string()}, {"version", database.integer("PRAGMA user_version")}, {"bytes", bytes}};
  found["wal_bytes"] = bytes_of(file.string() + "-wal");
  found["free_bytes"] = database.integer("PRAGMA freelist_count") * database.integer("PRAGMA page_size");
  found["runs"] = database.integer("SELECT count(*) FROM runs");
  found["values"] = database.integer("SELECT coalesce(sum(count), 0) FROM summary_values");
  std::int64_t live = 0, dead = 0;
  Statement running = database.prepare("SELECT uid FROM runs WHERE status = 'running'");
  while (running.step()) {
    ++(Heartbeat::is_held((file.parent_path() / running.text(0)).string()) ? live : dead);
  }
  found["live"] = live;
  found["dead"] = dead;
  const bool current = database.integer("PRAGMA user_version") == kSchemaVersion;
  found["archived"] = current ? database.integer("SELECT count(*) FROM runs WHERE archived IS NOT NULL") : 0;
  found["backups"] = Json::array();
  for (fs::directory_iterator at(file.parent_path(), code), end; !code && at != end; at.increment(code)) {
    const std::string name = at->path().filename().string();
    if (name.starts_with(file.filename().string() + ".v") && name.ends_with("-backup"))
      found["backups"].push_back(at->path().string());
  }
  const bool check = full || bytes <= quick_limit;
  found["check"] = check ? Json(check_file(database, full)) : Json();
  found["checked"] = !check ? Json() : full ? Json("full") : Json("quick");
  return found;
}

}  // namespace gradus::results
