// A run that trains twice: what it logged so far becomes a child run, with an axis of its own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "database.h"

namespace gradus::results {

struct SplitRow {
  std::string_view uid, name, kind;
  std::string_view prefixes =
      "[\"\"]";  // JSON: of the metrics that are the training's; those of the script's own stay with the run
  std::string started, ended;  // ISO-8601 UTC
  double seconds = 0;          // monotonic
};

// Inside the caller's transaction: makes a finished child of the run, with its seed, configuration, parameters and
// sources, moves the run's metrics, summaries, progress and events to it, and returns its id. What was found before the
// first step (data, cache, and warnings and errors at step 0) stays: it is the run's, whatever trains next.
std::int64_t split_off(Database& database, std::int64_t run, const SplitRow& child);

}  // namespace gradus::results
