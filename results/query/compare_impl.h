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
  std::map<std::string, Curve> curves;  // by metric, from the summaries
};

struct RunGroup {
  Json label;
  std::vector<const ComparedRun*> runs;  // borrowed
  int repeated = 0;
};

using RunValues = std::map<std::int64_t, double>;  // by run id; a run without the value is absent

// measures.cpp: values that need a curve or the progress of each run.
RunValues areas(Store& store, const std::vector<ComparedRun>& runs, const std::string& key);
// The step at which each run had spent the budget.
RunValues budget_steps(Store& store, const std::vector<ComparedRun>& runs, const Budget& budget);
// The last value of the metric up to that step.
RunValues values_at(Store& store, const std::string& key, const RunValues& steps);
// First step at which each run reached the threshold; runs that never did are absent.
RunValues first_steps(Store& store, const std::vector<ComparedRun>& runs, const Threshold& threshold);
// What had been spent at these steps, by column of progress: samples, flops, seconds.
std::map<std::string, RunValues> spent_at(Store& store, const RunValues& steps);

// One number a run, which groups are compared by.
struct Measure {
  std::string metric, name;  // name: last, best, at, auc, steps_to, …
  Better better;             // unknown: a verdict stays open
  RunValues values;
};
// versus.cpp: VERSUS of query.h. Error (usage) when no group has the value.
Json versus(const std::vector<RunGroup>& groups, const std::vector<std::string>& by,
            const std::vector<Measure>& measures, const CompareOptions& options);

}  // namespace gradus::results
