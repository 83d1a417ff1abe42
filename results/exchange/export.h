// Which runs are exported, and what came of it. csv.h, json.h, tensorboard.h, mlflow.h and wandb.h write the formats.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "query/query.h"
#include "store/store.h"

namespace gradus::results {

// The ids of the named runs (id, uid prefix, @last), or of all that fit the filter. Error (missing) when none does.
std::vector<std::int64_t> select_runs(Store& store, const std::vector<std::string>& runs, const RunFilter& filter);

struct Exported {
  std::int64_t runs = 0, values = 0;
  std::int64_t cut = 0;  // names and texts that are longer than the target has room for
};

}  // namespace gradus::results
