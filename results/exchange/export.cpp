#include "export.h"

#include <algorithm>

#include "error.h"

namespace gradus::results {

std::vector<std::int64_t> select_runs(Store& store, const std::vector<std::string>& runs, const RunFilter& filter) {
  std::vector<std::int64_t> ids;
  if (!runs.empty() && !filter.where.empty()) {
    throw Error(Exit::usage, "export: expected RUN or --where; got both");
  }
  for (const std::string& run : runs) {
    const std::int64_t id = store.resolve(run);
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  if (!runs.empty()) return ids;
  RunFilter bare = filter;
  bare.metrics.emplace();
  for (const Json& run : list_runs(store, bare)) ids.push_back(run["id"].get<std::int64_t>());
  if (ids.empty()) {
    throw Error(Exit::missing, store.path() + ": nothing to export; expected at least one run" +
                                   (filter.where.empty() ? "" : " that fits --where") + "; got none");
  }
  return ids;
}

}  // namespace gradus::results
