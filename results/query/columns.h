// Columns of a list of runs that the user chose: `gradus runs --columns`, `--sort`, `--best`.
//
//   a column of runs (seed, seconds, note, …), a parameter (lr, params.lr), tags.NAME, FUNCTION(METRIC) as in where.h,
//   or METRIC alone for its last value
#pragma once

#include <string>
#include <vector>

#include "query.h"

namespace gradus::results {

// Adds to each run `columns`: {column: value}, in the order given. A value that a run lacks is absent, NaN is null.
// Error (usage): a name that no run has, with the nearest one.
void add_columns(Store& store, Json& runs, const std::vector<std::string>& columns);
// Sorts the runs by one of the columns that add_columns() added: a metric's values with the best first, where it is
// known which way is better, all else ascending; numbers before texts. Runs without a number or a text come last.
void sort_runs(Store& store, Json& runs, const std::string& column, bool reverse);

// The runs that fit, in that order, the first filter.limit of them (0: all).
Json list_sorted(Store& store, RunFilter filter, const std::string& column, bool reverse);

}  // namespace gradus::results
