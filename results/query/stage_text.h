// The table by stage as text, for `show`, `compare --by stage` and the report.
#pragma once

#include <string>
#include <vector>

#include "query.h"

namespace gradus::results {

// Titles, and as many cells in each row: stage, rows, steps, FLOPs, loss on its rows; for each metric its value, the
// change since the stage before and, of a data set, what is forgotten; at last the teacher.
struct StageText {
  std::vector<std::string> titles = {};
  std::vector<std::vector<std::string>> rows = {};
};

StageText stage_text(const Json& rows);             // what stage_table gave
StageText stage_groups_text(const Json& compared);  // what compare_stages gave: the columns of `by` first, then runs

}  // namespace gradus::results
