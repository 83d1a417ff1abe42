// Runs whose process ended without finishing them.
#pragma once

#include <string>

#include "database.h"
#include "drain.h"

namespace gradus::results {

// What their spools still hold goes into the tables, and they end as interrupted. `lock` (not held) is the store's,
// `folder` holds the runs' folders. Errors; but not of a full disk: whoever opens the store next tries again.
void recover_dead_runs(Database& database, FileLock& lock, DrainStatements& statements, const std::string& folder);

}  // namespace gradus::results
