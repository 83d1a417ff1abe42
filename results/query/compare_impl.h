// What the parts of compare() share. Inside results/ only.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "direction.h"
#include "query.h"

namespace gradus::results {

struct ComparedRun {
  struct Curve {
    double last, min, max;
    std::int64_t count;
  };
  std::int64_t id;
  Json row;                             // of list_runs
  bool counted;                         // finished, or asked for: its values are compared
  std::map<std::string, Curve> curves;  // by metric, from the summaries
};

struct RunGroup {
  Json label;
  std::vector<const ComparedRun*> runs, lost;  // borrowed; lost: failed or interrupted, an outcome without a value
  int repeated = 0;

  std::vector<const ComparedRun*> all() const;
};

struct Groups {
  std::vector<std::string> by;
  std::vector<RunGroup> groups;
  int outdated;  // lost runs of other code than the group's, which are left out
};
// groups.cpp
std::vector<ComparedRun> compared_runs(Store& store, const CompareOptions& options);
// `by`: as given; empty: by all that differs. Error (usage): a column that no run has.
Groups group_runs(Store& store, const std::vector<ComparedRun>& runs, const std::vector<std::string>& by);
std::vector<std::string> mixed_params(const RunGroup& group, const std::vector<std::string>& by);  // differ within it

using RunValues = std::map<std::int64_t, double>;  // by run id; a run without the value is absent

// measures.cpp: values that need a curve or the progress of each run.
RunValues areas(Store& store, const std::vector<ComparedRun>& runs, const std::string& key);
// The step at which each run had spent the budget.
RunValues budget_steps(Store& store, const std::vector<ComparedRun>& runs, const Budget& budget);
// The last value of the metric up to that step.
RunValues values_at(Store& store, const std::string& key, const RunValues& steps);
// First step at which each run reached the threshold; runs that never did are absent.
RunValues first_steps(Store& store, const std::vector<ComparedRun>& runs, const Threshold& threshold);
// What had been spent at these steps, by column of progress: samples, flops, seconds. NaN: nobody measured it there.
std::map<std::string, RunValues> spent_at(Store& store, const RunValues& steps);

Json spread_json(const std::vector<double>& values, const CompareOptions& options);  // SPREAD of query.h

// One number a run, which groups are compared by.
struct Measure {
  std::string metric, name;  // name: last, best, at, auc, steps_to, …
  Better better;             // unknown: a verdict stays open
  RunValues values;
  bool reached = false;  // a run without the value never got there, with NaN nobody measured it; else that is no value
};
// versus.cpp: VERSUS of query.h. Error (usage) when no group has the value.
Json versus(const Groups& groups, const std::vector<Measure>& measures, const CompareOptions& options);

}  // namespace gradus::results
