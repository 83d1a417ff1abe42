// What Store and Writer share: the connections that write and read, the live runs, and the thread that drains them.
// Inside results/store only.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "clock.h"
#include "database.h"
#include "drain.h"
#include "heartbeat.h"
#include "reader.h"
#include "store.h"
#include "wal.h"

namespace gradus::results {

struct StoreImpl {
  ~StoreImpl();

  struct Live {
    Live(DrainStatements& statements, std::int64_t run_id, const std::string& folder, Heartbeat&& heartbeat)
        : id(run_id), drain(statements, run_id, folder), heartbeat(std::move(heartbeat)) {}
    std::int64_t id;
    RunDrain drain;
    Heartbeat heartbeat;
    double started = monotonic_seconds(), part_started = started;  // part: since the last split
  };

  void open_writing();  // lock file, connection, schema
  void recover();       // drains dead runs
  void begin(Writer& writer, const RunStart& start);
  void resume(Writer& writer, std::int64_t run, const Point& point);
  void flush(Writer& writer);  // all of one run, in the caller's thread
  void finish(Writer& writer, std::string_view status, std::string_view message);
  SplitRun split(Writer& writer, std::string_view name, std::string_view kind, std::string_view prefixes);

  std::string path, folder;
  bool writable = false;

  void flush_live();  // of all runs, what was logged by now
  void interrupt_live(const std::function<void()>& freeze, std::string_view message);  // and ends them
  void write(const std::function<void(Database&)>& body);                              // one transaction
  void compact();
  void settle();
  static bool others_settle;  // leave_settling_to_others was called

  std::unique_ptr<Reader> reader;

 private:
  friend class Store;
  friend class Writer;
  void check_writable() const;  // Error (io)
  void start_draining();        // before a run is begun. Error (io): the system gives no thread
  void follow(const Writer& writer, Heartbeat&& heartbeat,
              double seconds);                          // drains what it logs from here on; seconds: it took before
  std::uint64_t drain(const std::vector<Live*>& runs);  // one transaction; returns records
  bool drain_live();                                    // true: there is more than one batch to do
  void end_live(Live& live, std::string_view status, std::string_view message);
  void abandon(const Writer& writer);  // leaves the run to whoever opens the store next
  Live& live_of(const Writer& writer);
  void loop();

  std::mutex mutex_;  // guards everything below
  std::unique_ptr<Database> database_;
  FileLock lock_;
  std::unique_ptr<DrainStatements> statements_;
  std::unique_ptr<Wal> wal_;
  std::vector<std::unique_ptr<Live>> live_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace gradus::results
