// A run as an export reads it: its row, parameters, events and curves; and when it was at a step.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "store/store.h"

namespace gradus::results {

std::string exact(double value);        // the fewest digits that read back as the same double; nan, inf, -inf
std::string text_of(const Cell& cell);  // "" for NULL

struct ExportedParam {
  std::string key;
  Cell value;
  std::string type;          // of the params table
  std::string text() const;  // true and false for booleans, numbers in the fewest digits that read back as the same
};

// One run without its curves.
struct ExportedRun {
  std::int64_t id = 0;
  std::vector<std::pair<std::string, Cell>> columns;  // all of the runs table, in its order
  std::vector<ExportedParam> params;
  std::vector<std::string> keys;  // of its metrics

  std::string text(const std::string& column) const;  // "" for NULL and for a column that there is not
  // The parameters and, where it is none of them, the seed: other tools have no column for it.
  std::vector<ExportedParam> settings() const;
  std::string group() const;  // its name and a short hash: the same for repetitions
};
ExportedRun exported_run(Store& store, std::int64_t id);
// The name that runs are grouped under: a child's is its first ancestor's.
std::string experiment_of(Store& store, const ExportedRun& run);
struct ExportedEvent {
  Cell step;
  std::string time, kind, name, detail;  // detail: JSON or ""
};
std::vector<ExportedEvent> read_events(Store& store, std::int64_t run);  // in their order
// Of each row of progress, in their order: step, epoch, samples, flops, seconds.
std::vector<std::vector<Cell>> read_progress(Store& store, std::int64_t run);
// The points of a curve in their order. `point` is called while no statement is open: whoever takes the output may be
// slow, and a reading transaction may not last.
void for_each_point(Store& store, std::int64_t run, const std::string& key,
                    const std::function<void(std::int64_t step, double value)>& point);

// When a run was at a step, in Unix seconds: its start plus the seconds of its progress, linear in between.
class WallClock {
 public:
  WallClock(Store& store, const ExportedRun& run);
  double at(std::int64_t step) const;

 private:
  double started_ = 0;
  std::vector<std::pair<std::int64_t, double>> seconds_;  // ascending
};

}  // namespace gradus::results
