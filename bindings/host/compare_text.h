// What `gradus compare` prints of groups of runs (results/query/query.h: compare), except the differences to a
// baseline.
#pragma once

#include <string>

#include "query/query.h"
#include "query/table.h"

namespace gradus {

results::Table groups_table(const results::Json& compared);
// What the numbers are; which runs have none, and why; which way of each metric is better.
std::string groups_footer(const results::Json& compared, const results::CompareOptions& options);

double real_of(const results::Json& value);                  // NaN: no number
std::string threshold_name(const results::Json& threshold);  // "val/acc>=0.9"
std::string budget_name(const results::Json& at);            // "at step 1000"

}  // namespace gradus
