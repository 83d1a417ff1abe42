// Keeping a store in order: tags, notes, archive, delete, what nobody needs any more, and its health. `gradus tag`,
// `note`, `archive`, `delete`, `gc` and `doctor` are these.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "query/query.h"

namespace gradus::results {

// The store is one that was opened to write. Runs are ids.
void set_tag(Store& store, std::int64_t run, const std::string& name, const std::string& value);  // value may be empty
bool remove_tag(Store& store, std::int64_t run, const std::string& name);                         // false: had none
void set_note(Store& store, std::int64_t run, const std::string& text);                           // empty: removes it
void archive_runs(Store& store, const std::vector<std::int64_t>& runs, bool archived);  // lists leave archived runs out

// Sets which way a metric is better, "higher" or "lower", inside the caller's transaction; makes the key where it is
// new. Returns what was said before ("": nothing). Error (usage): a bad name or word.
std::string put_better(Database& database, std::string_view key, std::string_view better);
// The same in its own transaction; "" forgets what was said.
std::string set_better(Store& store, const std::string& key, const std::string& better);

// What delete_runs() would take away, itself and the runs it started: [{id, uid, name, status, parent, values, bytes}];
// bytes are those of its folder. Error (usage): one of them is still running.
Json plan_delete(Store& store, const std::vector<std::int64_t>& runs);
// Rows and folder of each run of the plan, one transaction a run. Sources that only they had are left to gc.
void delete_runs(Store& store, const Json& plan);

struct GcOptions {
  double cache_days = 30;   // files in the cache that nobody has used for so long
  double orphan_hours = 1;  // a run's folder is made before its row: younger ones are left alone
  std::string keep;         // of snapshots (snapshot_files.h); empty: all of them
};
// {folders: [{path, bytes}], cache: [{path, bytes}], snapshots: [{path, bytes}], sources: {count, bytes}, bytes}: folders of runs that no store in
// this folder knows, stale cache entries, and texts that no run refers to.
Json plan_gc(Store& store, const GcOptions& options);
void collect(Store& store, const Json& plan);  // sources are looked at again: a run may have begun since

// {path, version, bytes, wal_bytes, free_bytes, runs, values, live, dead, archived, backups: [path], check, checked}:
// free_bytes is room that deleted rows left; live runs hold their lock, dead ones wait to be recovered. check is "ok",
// SQLite's first complaint, or null when the file is larger than `quick_limit` and not `full`; checked is "quick" or
// "full" (which also compares indexes with their tables, and summaries with their values). Opens nothing for writing.
Json inspect(const std::string& path, bool full, std::int64_t quick_limit = std::int64_t{256} << 20);

}  // namespace gradus::results
