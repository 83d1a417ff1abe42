// From a run's spool into the tables. Exactly once: the position in the spool is committed with the rows.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <unordered_map>
#include <vector>

#include "database.h"
#include "spool.h"

namespace gradus::results {

constexpr std::uint64_t kBatchRecords = 20'000;  // per run and transaction: others wait some 30 ms at most

// One row of summary_values, kept up to date value by value.
struct Summary {
  double last = std::numeric_limits<double>::quiet_NaN();
  double min = std::numeric_limits<double>::quiet_NaN(), max = std::numeric_limits<double>::quiet_NaN();
  std::int64_t argmin = 0, argmax = 0, count = 0, last_step = 0, nans = 0;

  void add(std::int64_t step, double value);  // a step that has no row yet
  // A step whose row had `old`. False: an extreme was overwritten by something milder, so the curve must be read again.
  bool replace(std::int64_t step, double old, double value);
};

// Binds run, key and the summary to the ten columns of summary_values, and runs the statement.
void put_summary(Statement& put, std::int64_t run, std::int64_t key, const Summary& summary);

// Prepared once for a connection (borrowed).
struct DrainStatements {
  explicit DrainStatements(Database& database);
  Statement put, put_many, old, key_find, key_add, summary_get, summary_put, curve, progress, event, artifact,
      position_get, position_put;
};

class RunDrain {
 public:
  RunDrain(DrainStatements& statements, std::int64_t run_id, std::string folder);  // statements: borrowed

  bool pending() { return reader_.pending(); }
  // Applies up to about `limit` records inside the caller's transaction; returns how many. dead: see SpoolReader::read.
  std::uint64_t apply(std::uint64_t limit, bool dead);
  void committed();    // deletes the segments that are wholly in the tables
  void rolled_back();  // goes on from what the tables say
  void remove();       // the run is over, and committed() was called: deletes the spool

 private:
  struct Key {
    std::int64_t id = 0;
    Summary summary;
    bool dirty = false, recount = false;
  };
  Key* key(std::uint32_t number);
  void apply_metrics();
  void put_fresh(std::int64_t key_id);
  void apply_text(const Record* head);
  void write_summary(Key& key);
  SpoolPosition stored_position();

  DrainStatements& statements_;  // borrowed
  std::int64_t run_id_;
  std::string folder_;
  SpoolReader reader_;
  std::int64_t oldest_ = 0;  // first segment that may still exist
  std::unordered_map<std::uint32_t, Key> keys_;
  std::vector<Record> metrics_, fresh_;  // of this batch, and those of one key that lie after its last step; kept for
                                         // their memory
};

}  // namespace gradus::results
