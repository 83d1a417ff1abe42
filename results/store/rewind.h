// A run goes on from a snapshot: what it wrote after the snapshot was taken is a dead attempt's, and becomes a child run's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "database.h"

namespace gradus::results {

// Inside the caller's transaction. The run's rows after `point` move to a new child run of kind "attempt", which has the run's name,
// times, status and error; what the run was before stays, and the run is "running" again. Trainings that were split off after the
// point become rows of this run again. Error (usage): the run is running. Returns the attempt's id.
std::int64_t rewind(Database& database, std::int64_t run, const Point& point, std::string_view attempt_uid);

// Inside the caller's transaction: gives the run copies of what another one was at `point`: metrics, progress, events.
void copy_past(Database& database, std::int64_t from, const Point& point, std::int64_t run);

}  // namespace gradus::results
