// `--where EXPR` of the reading commands: comparisons joined by and, or, not and parentheses.
//
//   strategy = "stages" and lr < 1e-3 and (last(val/acc) > 0.9 or status != "finished")
//
// A name is a column of runs (id, name, status, seed, seconds, …) or a parameter; params.NAME is always the parameter.
// last(KEY), min(KEY), max(KEY), argmin(KEY), argmax(KEY), count(KEY) ask a run's summary of a metric. Text is quoted.
// A run that lacks the name fails the comparison.
#pragma once

#include <string>
#include <vector>

#include "store.h"

namespace gradus::results {

struct Condition {
  std::string sql;         // over `runs r`
  std::vector<Cell> args;  // of ?1, ?2, …
};

// Error (usage) with the place in the text; a name that no run has names the nearest one. Empty text: always true.
Condition parse_where(Store& store, const std::string& text);

// The word of `known` with the smallest edit distance to `word`, or "" when none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& known);

}  // namespace gradus::results
