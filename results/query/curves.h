// One metric of one run as numbers, for whoever draws or computes: the page, the report, the plots.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "downsample.h"
#include "store/store.h"

namespace gradus::results {

struct CurveRef {
  std::int64_t run;
  std::string key;
};

struct StepRange {
  std::int64_t from = 0, to = 0;  // both inclusive
};
StepRange step_range(Store& store, const std::vector<CurveRef>& curves);                 // of all of them together
std::int64_t step_at_or_before(Store& store, const CurveRef& curve, std::int64_t step);  // `step` when there is none
// Calls `point` for each point in [from, to], ascending, until it returns false. Long curves are read in pieces, so
// that no read transaction lasts long.
void read_curve(Store& store, const CurveRef& curve, std::int64_t from, std::int64_t to,
                const std::function<bool(std::int64_t step, double value)>& point);
// The same for a reader in a hurry: at most `rows` points of each of `columns` equal parts, their first ones. False:
// some were left out.
bool read_glimpses(Store& store, const CurveRef& curve, std::int64_t from, std::int64_t to, int columns,
                   std::int64_t rows, const std::function<void(std::int64_t step, double value)>& point);
// The whole curve, at most about `columns` pixel columns of it.
Points read_points(Store& store, const CurveRef& curve, const StepRange& range, int columns);

// What a curve is drawn over: steps, or what had been spent by then. Positions are whole numbers of `unit`.
struct Axis {
  std::string name = "step";  // or epoch, samples, flops, seconds
  double unit = 1;
};
Axis parse_axis(const std::string& name);  // Error (usage) for another name
// The axis of these runs: FLOPs count in larger units where there are more of them than whole numbers tell apart.
Axis axis_of(Store& store, const std::vector<std::int64_t>& runs, const std::string& name);

// Where the steps of a run lie on an axis: in proportion between the rows of its progress, nowhere past the last one.
class Positions {
 public:
  Positions(Store& store, std::int64_t run, const Axis& axis);
  std::optional<std::int64_t> of(std::int64_t step) const;

 private:
  bool by_step_;
  std::vector<std::pair<std::int64_t, double>> rows_;  // step, units; ascending
};

// Mean over runs and its 95 % confidence interval (Student's t, n − 1 degrees of freedom), at the positions that the
// runs have in common; where they have none, at evenly spaced ones, linear in between. A run takes part only between
// its first and its last. low and high are NaN where fewer than two runs take part.
struct Band {
  std::vector<std::int64_t> steps;  // positions on the axis
  std::vector<double> mean, low, high;
  int runs = 0;  // that have the metric
};
Band mean_band(Store& store, const std::vector<std::int64_t>& runs, const std::string& key, int columns,
               const Axis& axis = {});

// What was decided in a run, for drawing under its curves.
struct Mark {
  std::int64_t step = 0;
  std::string kind, name, detail;  // kind: decision, warning, health or error; detail: JSON or ""
};
std::vector<Mark> marks(Store& store, std::int64_t run);
std::vector<Mark> events_of(Store& store, std::int64_t run, const std::string& kind);  // oldest first

}  // namespace gradus::results
