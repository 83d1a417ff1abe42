// The stages of a run: where they begin, and what each came to. The levels of a ramp are stages too.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "query.h"
#include "store/store.h"

namespace gradus::results {

struct Stage {
  std::string name;  // "easy", "level 2", "easy, level 2" where there are several stages
  std::int64_t from = 0, to = 0;
  int visit = 1;   // how often a stage of this name has begun
  Json rows = {};  // that are drawn from; null where they are not known
};
std::vector<Stage> stages(Store& store, std::int64_t run);  // in the order in which they went on

// "easy", or "easy, visit 2" where it was gone back to.
std::string label(const Stage& stage);

// [{name, visit, from, to, steps, rows, samples, flops, seconds, loss, acc, values: {metric: value}, change: {metric:
// value}, teacher: {data set: accuracy}}], one for each stage.
//
// A stage has the steps after `from`, up to `to`; what is measured at `to` is its own. loss, acc: stage/loss and
// stage/acc, of the rows that it draws from. values: the last of each metric of the validation data and the suites
// ("val/acc", "easy/forgotten"); change: what is more than at the end of the stage before. Null or absent: not
// measured.
Json stage_table(Store& store, std::int64_t run);

// The data sets in such rows, "val" first, each with the one metric that tells most: acc, else rmse, else loss.
struct Measured {
  std::string name, key;
};
std::vector<Measured> measured_sets(const Json& rows);

// Groups as compare() has them, each stage by stage: {by: [columns, "stage"], metrics: [key], groups: [{label: {column:
// value}, stage, visit, n, total, runs: [id], steps, rows, samples, flops, seconds, loss, acc: SPREAD,
//  values: {metric: SPREAD}, change: {metric: SPREAD}, teacher: {data set: SPREAD}}], lost: runs that failed or were
//  interrupted and are left out}
// n of `total` runs of the group, as far as they are counted, came to this stage. metrics: those asked for, else those
// of measured_sets. Error (usage): an option of compare that has no meaning by stage.
Json compare_stages(Store& store, const CompareOptions& options);

// Whether `by` asks for that: it has "stage", and no run has a parameter of this name.
bool is_by_stage(Store& store, const std::vector<std::string>& by);

}  // namespace gradus::results
