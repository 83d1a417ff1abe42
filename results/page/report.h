// Runs as one document that a colleague can open: HTML without network or scripts, or Markdown for an appendix.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/store.h"

namespace gradus::results {

struct ReportOptions {
  std::string title = {};                 // empty: from the runs' names
  std::vector<std::int64_t> runs;         // oldest first
  std::vector<std::string> metrics = {};  // figures of these; empty: val/*, else every curve but the knobs
  std::vector<std::string> by = {};
  bool markdown = false;  // without figures
};
// How the groups did, what differs, figures, then every run's settings, results, stages and decisions, and each script
// once.
std::string report(Store& store, const ReportOptions& options);

}  // namespace gradus::results
