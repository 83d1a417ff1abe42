#include "store_impl.h"

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "error.h"
#include "recover.h"
#include "rewind.h"
#include "run_rows.h"
#include "schema.h"
#include "split.h"
#include "uid.h"

namespace gradus::results {

namespace fs = std::filesystem;

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
  wal_ = std::make_unique<Wal>(*database_, lock_);
  writable = true;
}

void StoreImpl::recover() {
  const std::lock_guard guard(mutex_);
  recover_dead_runs(*database_, lock_, *statements_, folder);
}

void StoreImpl::check_writable() const {
  if (!writable)
    throw Error(Exit::io, path + ": cannot write; expected a store that this user may write; got a read-only one");
}

void StoreImpl::start_draining() {
  try {
    if (!thread_.joinable()) thread_ = std::thread([this] { loop(); });
  } catch (const std::system_error& error) {
    throw Error(Exit::io, path + ": cannot start a thread; got " + error.what());
  }
}

void StoreImpl::follow(const Writer& writer, Heartbeat&& heartbeat, double seconds) {
  live_.push_back(std::make_unique<Live>(*statements_, writer.id_, writer.folder_, std::move(heartbeat)));
  live_.back()->started -= seconds;
  wake_.notify_all();
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
    start_draining();
    {
      Transaction transaction(*database_, lock_);
      writer.id_ = insert_run(*database_, writer.uid_, start);
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
  double seconds = 0;
  {
    Statement find = database_->prepare("SELECT uid, coalesce(seconds, 0) FROM runs WHERE id = ?1");
    if (!find.bind(1, run).step()) throw Error(Exit::missing, path + ": no run " + std::to_string(run));
    writer.uid_ = find.text(0);
    seconds = find.real(1);
  }
  writer.id_ = run;
  writer.folder_ = folder + "/" + writer.uid_;
  std::error_code code;
  fs::create_directories(writer.folder_, code);
  if (code) throw Error(Exit::io, writer.folder_ + ": cannot make the run's folder; got " + code.message());
  std::optional<Heartbeat> heartbeat = Heartbeat::take_over(writer.folder_);
  if (!heartbeat)
    throw Error(Exit::usage,
                "resume: run " + std::to_string(run) + ": expected a run that is over; got one that is running");
  if (heartbeat->unix_time() == 0) {  // there was no file: nobody holds it
    heartbeat.reset();
    heartbeat.emplace(Heartbeat::begin(writer.folder_));
  }
  heartbeat->beat(unix_seconds(), seconds);
  start_draining();
  {
    Transaction transaction(*database_, lock_);
    rewind(*database_, run, point, random_uid());
    transaction.commit();
  }
  writer.spool_ = std::make_unique<Spool>(writer.folder_);
  follow(writer, std::move(*heartbeat), seconds);
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
  if (wal_->due()) wal_->checkpoint();
  return records;
}

void StoreImpl::write(const std::function<void(Database&)>& body) {
  check_writable();
  const std::lock_guard guard(mutex_);
  Transaction transaction(*database_, lock_);
  body(*database_);
  transaction.commit();
  if (wal_->bytes() > kCheckpointBytes) wal_->checkpoint();
}

void StoreImpl::compact() {
  check_writable();
  const std::lock_guard guard(mutex_);
  lock_.lock(kLockSeconds);
  try {
    database_->run("VACUUM");
  } catch (...) {
    lock_.unlock();
    throw;
  }
  lock_.unlock();
  wal_->checkpoint();
}

void StoreImpl::flush(Writer& writer) {
  const double deadline = monotonic_seconds() + 10;
  for (bool more = true; more;) {
    const std::lock_guard guard(mutex_);
    // A reader from outside may pin the WAL for ever; whoever asked to be flushed waits for it, but not for ever.
    if (wal_->full() && monotonic_seconds() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      continue;
    }
    more = drain({&live_of(writer)}) > 0;
  }
}

void StoreImpl::end_live(Live& live, std::string_view status, std::string_view message) {
  {
    Transaction transaction(*database_, lock_);
    end_run(*database_, live.id, status, unix_seconds(), monotonic_seconds() - live.started, message);
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
  if (live_.empty() && !others_settle) wal_->checkpoint_if_idle();
}

bool StoreImpl::others_settle = false;

void StoreImpl::settle() {
  const std::lock_guard guard(mutex_);
  if (database_) wal_->checkpoint_if_idle();
}

SplitRun StoreImpl::split(Writer& writer, std::string_view name, std::string_view kind, std::string_view prefixes) {
  flush(writer);  // most of it, in short transactions
  SplitRun child{.uid = random_uid()};
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

bool StoreImpl::drain_live() {
  for (auto& live : live_) live->heartbeat.beat(unix_seconds(), monotonic_seconds() - live->started);
  std::vector<Live*> pending;
  for (auto& live : live_) {
    if (live->drain.pending()) pending.push_back(live.get());
  }
  return !pending.empty() && !wal_->full() && drain(pending) >= kBatchRecords;
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
    wake_.wait(guard, [this] { return stop_ || !live_.empty(); });  // a store that nobody writes to wakes nobody
  }
}

}  // namespace gradus::results
