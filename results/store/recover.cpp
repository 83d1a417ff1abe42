#include "recover.h"

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "error.h"
#include "heartbeat.h"
#include "run_rows.h"

namespace gradus::results {

namespace {

void recover_run(Database& database, FileLock& lock, DrainStatements& statements, std::int64_t id,
                 const std::string& run_folder) {
  std::optional<Heartbeat> heartbeat = Heartbeat::take_over(run_folder);
  if (!heartbeat) return;
  // Its process may have finished it, or another have recovered it, between our look and our lock.
  double started = 0;
  {
    Statement status = database.prepare("SELECT status, unixepoch(started) FROM runs WHERE id = ?1");
    if (!status.bind(1, id).step() || status.text(0) != "running") return;
    started = status.real(1);
  }

  RunDrain drain(statements, id, run_folder);
  for (bool more = true; more;) {
    Transaction transaction(database, lock);
    more = drain.apply(kBatchRecords, true) > 0;
    if (!more) {
      const bool known = heartbeat->unix_time() > 0;
      end_run(database, id, "interrupted", known ? heartbeat->unix_time() : started, heartbeat->seconds(),
              "the process ended without finishing the run");
    }
    transaction.commit();
    drain.committed();
  }
  drain.remove();
  heartbeat->remove();
}

}  // namespace

void recover_dead_runs(Database& database, FileLock& lock, DrainStatements& statements, const std::string& folder) {
  std::vector<std::pair<std::int64_t, std::string>> running;
  Statement find = database.prepare("SELECT id, uid FROM runs WHERE status = 'running'");
  while (find.step()) running.emplace_back(find.integer(0), find.text(1));
  for (const auto& [id, uid] : running) {
    try {
      recover_run(database, lock, statements, id, folder + "/" + uid);
    } catch (const Error& error) {
      // A full disk, say. The store can still be read, and whoever opens it next tries again.
      if (error.code != Exit::io) throw;
    }
  }
}

}  // namespace gradus::results
