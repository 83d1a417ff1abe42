// The store: one SQLite file that many processes write at once, and beside it one folder per run.
//
//   auto store  = Store::open("runs/gradus.db", Store::Mode::create);
//   auto run    = store->begin({.name = "digits", .seed = 1, .params = {{"lr", 0.003}}});
//   int loss    = run->key("train/loss");
//   run->log(loss, step, value);          // some nanoseconds: appends to a memory-mapped spool, never touches SQLite
//   run->finish("finished");
//
// What log(), progress(), event() and artifact() were given survives `kill -9`: the spool is a shared mapping of a
// file, a background thread of this process drains it into SQLite at least every 100 ms, and whoever opens the store
// next drains the spools of dead runs. Tables: schema.h. All functions throw Error (error.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace gradus::results {

// A typed value of SQLite: NULL, integer, real, text. A query gives and takes these.
using Cell = std::variant<std::monostate, std::int64_t, double, std::string>;

struct Rows {
  std::vector<std::string> columns;
  std::vector<std::vector<Cell>> rows;
  bool truncated = false;  // there was more than Limits::rows
};

// What one query may cost. Exceeding `seconds` is an Error (data). `rows`, and with it 256 MiB of text: where the answer is
// cut; unset: it is whole, or an Error (data) where it is larger than that and than 20 million rows.
struct Limits {
  double seconds = 10;
  std::optional<std::int64_t> rows = {};
};

struct Param {
  std::string key;  // nested tables are dotted: "optimizer.lr"
  std::variant<std::monostate, bool, std::int64_t, double, std::string>
      value;  // type: null, boolean, integer, number, string
};

struct Source {
  std::string path;  // as the user would name it
  std::string sha256;
  std::string text;
};

struct Environment {
  std::optional<std::int64_t> threads = {};
  std::string device = {}, host = {}, command = {}, script = {};
  std::string git_commit = {};          // empty: not in a repository
  std::optional<bool> git_dirty = {};   // nothing: git did not say in time
  std::optional<Source> git_diff = {};  // the uncommitted difference, kept among the sources
  std::string versions = {};            // a JSON object, or empty
};

// Where a run stood when a snapshot of it was taken: what it has written until then.
struct Point {
  std::int64_t step = -1;      // of rows, the greatest
  std::int64_t event = 0;      // of its events' ids, the greatest
  std::int64_t child = 0;      // of its child runs' ids, the greatest
  std::int64_t progress = -1;  // of the steps that it has told its progress at, the greatest
  std::string keys = "[]";     // the metrics that it has logged, as a JSON list
};

struct Past {
  std::int64_t run = 0;
  Point point;
};

struct RunStart {
  std::string name = {};
  std::string kind = "run";  // "run", or what a child run is for: "teacher"
  std::optional<std::int64_t> seed = {};
  std::string config_hash = {};
  std::optional<std::int64_t> parent = {};  // id of the run that started this one
  std::vector<Param> params = {};
  std::vector<Source> sources = {};
  Environment environment = {};
  std::optional<Past> past = {};  // a fork begins with copies of what another run was
};

struct SplitRun {
  std::int64_t id = 0;
  std::string uid;
};

class Spool;
class Database;
class Statement;
struct StoreImpl;

// One live run. log/progress/event/artifact are for one thread at a time (the run's own).
class Writer {
 public:
  ~Writer();  // a run that was never finished is drained and marked interrupted
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  std::int64_t id() const { return id_; }
  const std::string& uid() const { return uid_; }        // 32 hex digits
  const std::string& folder() const { return folder_; }  // exists; ends without a slash

  // The run's number for a metric name; the same name gives the same number. Error (usage) unless
  // [A-Za-z0-9_./-]{1,200}.
  int key(std::string_view name);
  // NaN becomes a row with NULL, infinities stay. Logging a (key, step) twice: the last wins.
  void log(int key, std::int64_t step, double value);
  void progress(std::int64_t step, double epoch, std::int64_t samples, double flops, double seconds);
  // detail_json: a JSON document or empty. kind: stage, decision, best, warning, health, error, data, cache.
  void event(std::int64_t step, std::string_view kind, std::string_view name, std::string_view detail_json);
  // path: relative to the run's folder. The same path again replaces the row.
  void artifact(std::string_view kind, std::string_view path, std::string_view sha256, std::int64_t bytes);
  // Says which way a metric is better ("higher" or "lower"), for the whole store; committed when it returns, and free
  // when it was said before. Error (usage): a bad name or word, or the other way was said before.
  void better(std::string_view name, std::string_view direction);
  // What is known only once the run is under way; committed when it returns. Empty and nothing: as it was.
  // sources: taken up meanwhile, each under a path of its own.
  void amend(std::string_view config_hash, std::optional<std::int64_t> threads, const std::vector<Param>& params = {},
             const std::vector<Source>& sources = {});
  // Ends the first of several trainings: all that was logged so far (metrics, progress, events of the training) moves
  // to a new, finished child run with this run's seed, parameters and sources, and this run goes on empty, from step 0.
  // Committed as a whole when it returns; artifacts and their files stay with this run. Error (usage): an empty name.
  // prefixes: a JSON list; metrics whose names begin with none of them are the script's own and stay.
  SplitRun split(std::string_view name, std::string_view kind = "training", std::string_view prefixes = "[\"\"]");
  // Returns when everything given so far is committed to SQLite.
  void flush();
  // The same, and where the run stands then; the step is the caller's.
  Point point();
  // status: finished, failed or interrupted. Flushes, removes the spool, releases the run. Nothing may be logged after
  // it.
  void finish(std::string_view status, std::string_view message = {});
  bool finished() const { return finished_; }

 private:
  friend class Store;
  friend struct StoreImpl;
  Writer();
  void check_live(const char* what) const;

  std::shared_ptr<StoreImpl> store_;
  std::unique_ptr<Spool> spool_;  // owned
  std::int64_t id_ = 0;
  std::string uid_, folder_;
  bool finished_ = false;
};

class Store {
 public:
  enum class Mode {
    create,  // for `run`: makes folder and file where missing
    read,    // for reading commands: the file must exist; still drains dead runs where it may write
    write,   // for housekeeping: the file must exist and be writable
  };

  // Errors: missing (read: no such file), data (a directory, not SQLite, another program's file, a newer schema), io
  // (no permission, disk).
  static std::shared_ptr<Store> open(const std::string& path, Mode mode);
  ~Store();  // waits for the background thread's last drain
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  const std::string& path() const;    // absolute
  const std::string& folder() const;  // of the file; run folders are in it
  bool writable() const;              // false in a store that was opened to read and had nothing to recover

  std::shared_ptr<Writer> begin(const RunStart& start);  // new; keeps the store's connection alive
  // A run that is over goes on from a point of it: what it wrote after that becomes a child run of kind "attempt". Times add up.
  // Error (usage): the run is running, which another process may have begun just now.
  std::shared_ptr<Writer> resume(std::int64_t run, const Point& point);  // new
  // Any reading statement, on a connection that cannot write. `args` bind to ?1, ?2, …
  Rows query(const std::string& sql, const std::vector<Cell>& args = {}, const Limits& limits = {});
  // The same without a copy of the rows, for long curves: `body` steps the statement itself.
  void read(const std::string& sql, const std::vector<Cell>& args, double seconds,
            const std::function<void(Statement&)>& body);
  // For housekeeping (database.h): one transaction under the store's lock, undone when `body` throws. Every other
  // writer waits for it, so it is short. Error (io): the store cannot be written.
  void write(const std::function<void(Database&)>& body);
  // Of the runs that this process writes, from any of its threads: what was logged by now goes into the store.
  void flush();
  // The same, and they are interrupted: the process is about to end. Stops the threads that write by `freeze` before it looks, at
  // a moment when they hold none of the store's locks. Error (io): the runs stay what they are.
  void interrupt(const std::function<void()>& freeze);
  void compact();  // gives the room of deleted rows back to the file system; needs as much again while it works
  // Leaves a file that is whole without its WAL, unless others are at work. The last run of a process does it, too.
  void settle();
  // RUN of the command line: an id, the beginning of a uid, or @last (the newest run that no other run started). Error
  // (missing) otherwise; an ambiguous beginning is an Error (usage) that names the candidates.
  std::int64_t resolve(const std::string& run);

 private:
  Store() = default;
  std::shared_ptr<StoreImpl> impl_;
};

// This process is one of several whose runs another began: it leaves settling to that one, since each time waits for
// the disk.
void leave_settling_to_others();

// $GRADUS_STORE or "runs/gradus.db".
std::string default_store();
bool valid_key(std::string_view name);

}  // namespace gradus::results
