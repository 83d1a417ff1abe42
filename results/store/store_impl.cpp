#include "store_impl.h"

#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "error.h"
#include "rewind.h"
#include "schema.h"
#include "split.h"

namespace gradus::results {

namespace fs = std::filesystem;

double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double unix_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

namespace {

std::string random_uid() {
  unsigned char bytes[16];
  if (::getrandom(bytes, sizeof bytes, 0) != sizeof bytes) {
    throw Error(Exit::io, std::string("store: no random numbers from the system; got ") + std::strerror(errno));
  }
  std::string uid;
  for (const unsigned char byte : bytes) {
    uid += "0123456789abcdef"[byte >> 4];
    uid += "0123456789abcdef"[byte & 15];
  }
  return uid;
}

struct TypedParam {
  const char* type;
  Cell value;
};

TypedParam typed(const Param& param) {
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

}  // namespace

void put_params(Database& database, std::int64_t run, const std::vector<Param>& params) {
  Statement param = database.prepare("INSERT OR REPLACE INTO params VALUES (?1, ?2, ?3, ?4)");
  for (const Param& p : params) {
    const TypedParam value = typed(p);
    param.bind(1, run).bind(2, std::string_view(p.key)).bind(3, value.value).bind(4, std::string_view(value.type)).run();
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

StoreImpl::~StoreImpl() {
  {
    const std::lock_guard guard(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void StoreImpl::open_writing() {
  database_ = std::make_unique<Database>(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  if (sqlite3_db_readonly(database_->handle(), "main") == 1) {
    throw Error(Exit::io, path + ": cannot write; expected a file that this user may write; got a read-only one");
  }
  lock_ = FileLock(path + ".lock");
  create_schema(*database_, lock_);
  database_->run("PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY");
  statements_ = std::make_unique<DrainStatements>(*database_);
  writable = true;
}

void StoreImpl::recover() {
  const std::lock_guard guard(mutex_);
  std::vector<std::pair<std::int64_t, std::string>> running;
  Statement find = database_->prepare("SELECT id, uid FROM runs WHERE status = 'running'");
  while (find.step()) running.emplace_back(find.integer(0), find.text(1));
  for (const auto& [id, uid] : running) {
    try {
      recover_run(id, uid);
    } catch (const Error& error) {
      // A full disk, say. The store can still be read, and whoever opens it next tries again.
      if (error.code != Exit::io) throw;
    }
  }
}

void StoreImpl::recover_run(std::int64_t id, const std::string& uid) {
  const std::string run_folder = folder + "/" + uid;
  std::optional<Heartbeat> heartbeat = Heartbeat::take_over(run_folder);
  if (!heartbeat) return;
  // Its process may have finished it, or another have recovered it, between our look and our lock.
  Statement status = database_->prepare("SELECT status, unixepoch(started) FROM runs WHERE id = ?1");
  if (!status.bind(1, id).step() || status.text(0) != "running") return;
  const double started = status.real(1);
  status.reset();

  RunDrain drain(*statements_, id, run_folder);
  for (bool more = true; more;) {
    Transaction transaction(*database_, lock_);
    more = drain.apply(kBatchRecords, true) > 0;
    if (!more) {
      const bool known = heartbeat->unix_time() > 0;
      end_run(id, "interrupted", known ? heartbeat->unix_time() : started, heartbeat->seconds(),
              "the process ended without finishing the run");
    }
    transaction.commit();
    drain.committed();
  }
  drain.remove();
  heartbeat->remove();
}

void StoreImpl::end_run(std::int64_t id, std::string_view status, double unix_time, double seconds,
                        std::string_view message) {
  Statement update =
      // Its last sign of life may be older than its row, by the milliseconds of its beginning.
      database_->prepare(
          "UPDATE runs SET status = ?2, ended = max(started, ?3), seconds = ?4, error = ?5 WHERE id = ?1");
  update.bind(1, id)
      .bind(2, status)
      .bind(3, std::string_view(iso_time(unix_time)))
      .bind(4, seconds)
      .bind_text(5, message)
      .run();
  Statement forget = database_->prepare("DELETE FROM drained WHERE run_id = ?1");
  forget.bind(1, id).run();
}

void StoreImpl::check_writable() const {
  if (!writable)
    throw Error(Exit::io, path + ": cannot write; expected a store that this user may write; got a read-only one");
}

void StoreImpl::follow(const Writer& writer, Heartbeat&& heartbeat, double seconds) {
  live_.push_back(std::make_unique<Live>(*statements_, writer.id_, writer.folder_, std::move(heartbeat)));
  live_.back()->started -= seconds;
  if (!thread_.joinable()) thread_ = std::thread([this] { loop(); });
}

void StoreImpl::begin(Writer& writer, const RunStart& start) {
  check_writable();
  writer.uid_ = random_uid();
  writer.folder_ = folder + "/" + writer.uid_;
  std::error_code code;
  if (!fs::create_directory(writer.folder_, code)) {
    throw Error(Exit::io, writer.folder_ + ": cannot make the run's folder; got " + code.message());
  }
  try {
    // The lock is held before the row is visible: a run in the table without a lock is dead.
    Heartbeat heartbeat = Heartbeat::begin(writer.folder_);
    heartbeat.beat(unix_seconds(), 0);
    writer.spool_ = std::make_unique<Spool>(writer.folder_);
    const std::lock_guard guard(mutex_);
    {
      Transaction transaction(*database_, lock_);
      insert_run(writer, start);
      if (start.past) copy_past(*database_, start.past->run, start.past->point, writer.id_);
      transaction.commit();
    }
    follow(writer, std::move(heartbeat), 0);
  } catch (...) {
    fs::remove_all(writer.folder_, code);
    throw;
  }
}

void StoreImpl::resume(Writer& writer, std::int64_t run, const Point& point) {
  check_writable();
  recover();  // it may have died since the store was opened
  const std::lock_guard guard(mutex_);
  Statement find = database_->prepare("SELECT uid, coalesce(seconds, 0) FROM runs WHERE id = ?1");
  if (!find.bind(1, run).step()) throw Error(Exit::missing, path + ": no run " + std::to_string(run));
  writer.uid_ = find.text(0);
  const double seconds = find.real(1);
  find.reset();
  writer.id_ = run;
  writer.folder_ = folder + "/" + writer.uid_;
  std::error_code code;
  fs::create_directories(writer.folder_, code);
  if (code) throw Error(Exit::io, writer.folder_ + ": cannot make the run's folder; got " + code.message());
  std::optional<Heartbeat> heartbeat = Heartbeat::take_over(writer.folder_);
  if (!heartbeat)
    throw Error(Exit::usage, "resume: run " + std::to_string(run) + ": expected a run that is over; got one that is running");
  if (heartbeat->unix_time() == 0) {  // there was no file: nobody holds it
    heartbeat.reset();
    heartbeat.emplace(Heartbeat::begin(writer.folder_));
  }
  heartbeat->beat(unix_seconds(), seconds);
  {
    Transaction transaction(*database_, lock_);
    rewind(*database_, run, point, random_uid());
    transaction.commit();
  }
  writer.spool_ = std::make_unique<Spool>(writer.folder_);
  follow(writer, std::move(*heartbeat), seconds);
}

void StoreImpl::insert_run(Writer& writer, const RunStart& start) {
  const Environment& e = start.environment;
  Statement run = database_->prepare(
      "INSERT INTO runs (uid, name, kind, status, seed, config_hash, started, parent, threads, device, host, script, "
      "command, "
      "git_commit, git_dirty, git_diff, versions) VALUES (?1, ?2, ?3, 'running', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, "
      "?12, ?13, ?14, ?15, ?16)");
  const auto optional = [](const std::optional<std::int64_t>& value) { return value ? Cell(*value) : Cell(); };
  run.bind(1, std::string_view(writer.uid_)).bind(2, std::string_view(start.name.empty() ? "run" : start.name));
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
  writer.id_ = database_->last_id();

  put_params(*database_, writer.id_, start.params);
  put_sources(*database_, writer.id_, start.sources);
  if (e.git_diff)
    database_->prepare("INSERT OR IGNORE INTO sources VALUES (?1, ?2)")
        .bind(1, std::string_view(e.git_diff->sha256))
        .bind(2, std::string_view(e.git_diff->text))
        .run();
}

StoreImpl::Live& StoreImpl::live_of(const Writer& writer) {
  for (auto& live : live_) {
    if (live->id == writer.id_) return *live;
  }
  throw Error(Exit::bug, path + ": run " + std::to_string(writer.id_) + " is not live");
}

std::uint64_t StoreImpl::drain(const std::vector<Live*>& runs) {
  std::uint64_t records = 0;
  try {
    Transaction transaction(*database_, lock_);
    for (Live* run : runs) records += run->drain.apply(kBatchRecords, false);
    transaction.commit();
  } catch (...) {
    for (Live* run : runs) run->drain.rolled_back();
    throw;
  }
  for (Live* run : runs) run->drain.committed();
  if (wal_bytes() > kCheckpointBytes && monotonic_seconds() > next_checkpoint_) checkpoint();
  return records;
}

void StoreImpl::write(const std::function<void(Database&)>& body) {
  check_writable();
  const std::lock_guard guard(mutex_);
  Transaction transaction(*database_, lock_);
  body(*database_);
  transaction.commit();
  if (wal_bytes() > kCheckpointBytes) checkpoint();
}

void StoreImpl::compact() {
  const std::lock_guard guard(mutex_);
  lock_.lock(kLockSeconds);
  try {
    database_->run("VACUUM");
  } catch (...) {
    lock_.unlock();
    throw;
  }
  lock_.unlock();
  checkpoint();
}

void StoreImpl::flush(Writer& writer) {
  const double deadline = monotonic_seconds() + 10;
  for (bool more = true; more;) {
    const std::lock_guard guard(mutex_);
    // A reader from outside may pin the WAL for ever; whoever asked to be flushed waits for it, but not for ever.
    if (wal_full() && monotonic_seconds() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      continue;
    }
    more = drain({&live_of(writer)}) > 0;
  }
}

void StoreImpl::end_live(Live& live, std::string_view status, std::string_view message) {
  {
    Transaction transaction(*database_, lock_);
    end_run(live.id, status, unix_seconds(), monotonic_seconds() - live.started, message);
    transaction.commit();
  }
  live.drain.remove();
  live.heartbeat.remove();
  std::erase_if(live_, [&](const auto& other) { return other.get() == &live; });
}

void StoreImpl::flush_live() {
  const double deadline = monotonic_seconds() + 10;  // a script may log faster than this
  for (bool more = true; more && monotonic_seconds() < deadline;) {
    const std::lock_guard guard(mutex_);
    std::vector<Live*> all;
    for (auto& live : live_) all.push_back(live.get());
    more = !all.empty() && drain(all) >= kBatchRecords;
  }
}

void StoreImpl::interrupt_live(const std::function<void()>& freeze, std::string_view message) {
  const std::lock_guard guard(mutex_);
  freeze();
  for (auto& live : live_)
    while (drain({live.get()}) > 0) {
    }
  while (!live_.empty()) end_live(*live_.back(), "interrupted", message);
}

void StoreImpl::finish(Writer& writer, std::string_view status, std::string_view message) {
  flush(writer);
  const std::lock_guard guard(mutex_);
  end_live(live_of(writer), status, message);
  // The last run of this process leaves a file that is whole without its WAL, unless others are at work.
  if (live_.empty() && !others_settle) checkpoint_if_idle();
}

bool StoreImpl::others_settle = false;

void StoreImpl::settle() {
  const std::lock_guard guard(mutex_);
  if (database_) checkpoint_if_idle();
}

void StoreImpl::checkpoint_if_idle() {
  if (wal_bytes() == 0 || !lock_.try_lock()) return;
  lock_.unlock();
  checkpoint();
}

SplitRun StoreImpl::split(Writer& writer, std::string_view name, std::string_view kind, std::string_view prefixes) {
  flush(writer);  // most of it, in short transactions
  SplitRun child{0, random_uid()};
  const std::string child_folder = folder + "/" + child.uid;
  std::error_code code;
  if (!fs::create_directory(child_folder, code))
    throw Error(Exit::io, child_folder + ": cannot make the run's folder; got " + code.message());
  const std::lock_guard guard(mutex_);
  Live& live = live_of(writer);
  const double seconds = monotonic_seconds() - live.part_started, now = unix_seconds();
  try {
    Transaction transaction(*database_, lock_);
    while (live.drain.apply(kBatchRecords, false) > 0) {
    }
    child.id = split_off(*database_, live.id,
                         {child.uid, name, kind, prefixes, iso_time(now - seconds), iso_time(now), seconds});
    transaction.commit();
  } catch (...) {
    live.drain.rolled_back();
    fs::remove_all(child_folder, code);
    throw;
  }
  live.drain.committed();
  live.drain.rolled_back();  // forgets the summaries that it knew: they are the child's
  live.part_started = monotonic_seconds();
  return child;
}

void StoreImpl::abandon(const Writer& writer) {
  const std::lock_guard guard(mutex_);
  std::erase_if(live_, [&](const auto& live) { return live->id == writer.id_; });
}

std::uint64_t StoreImpl::wal_bytes() const {
  struct stat info {};  // asks the folder, does not open the file
  return ::stat((path + "-wal").c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

bool StoreImpl::wal_full() {
  if (wal_bytes() <= kWalLimitBytes) return false;
  if (monotonic_seconds() > next_checkpoint_) checkpoint();
  return wal_bytes() > kWalLimitBytes;
}

void StoreImpl::checkpoint() {
  lock_.lock(kLockSeconds);
  // TRUNCATE, because with it the WAL restarts while we hold the write lock and never between two checkpoints. It
  // copies what it can when a reader is at work, and waits for that reader only once the WAL has grown: writers wait
  // with it.
  const bool grown = wal_bytes() > kWalLimitBytes / 2;
  sqlite3_busy_timeout(database_->handle(), grown ? 100 : 5);
  int pages = 0, copied = 0;
  const int code = sqlite3_wal_checkpoint_v2(database_->handle(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, &pages, &copied);
  database_->wait_when_busy();
  lock_.unlock();
  next_checkpoint_ = monotonic_seconds() + (code == SQLITE_OK ? 0 : grown ? 0.5 : 0.1);
}

bool StoreImpl::drain_live() {
  for (auto& live : live_) live->heartbeat.beat(unix_seconds(), monotonic_seconds() - live->started);
  std::vector<Live*> pending;
  for (auto& live : live_) {
    if (live->drain.pending()) pending.push_back(live.get());
  }
  return !pending.empty() && !wal_full() && drain(pending) >= kBatchRecords;
}

void StoreImpl::loop() {
  (void)::nice(5);  // Linux: of this thread. The training comes first where cores are short.
  std::unique_lock guard(mutex_);
  while (!stop_) {
    bool more = false;
    try {
      more = drain_live();
    } catch (const std::exception&) {
      // A full disk or a stuck lock: what was logged stays in the spools and is tried again; flush() and finish() tell
      // the caller.
    }
    // Between two full batches too: begin() and flush() of other threads want their turn.
    wake_.wait_for(guard, std::chrono::milliseconds(more ? 1 : 50), [this] { return stop_; });
  }
}

}  // namespace gradus::results
