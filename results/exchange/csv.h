// Runs as CSV, as in RFC 4180 with a header line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "export.h"

namespace gradus::results {

struct CsvOptions {
  std::vector<std::string> metrics = {};  // only these; empty: all
  int points = 0;                         // about so many of each curve at most, extremes kept (downsample.h); 0: all
};
// To a folder: runs, params, metrics, progress and events, each as NAME.csv; to a file or standard output: the metrics.
// Columns: id,uid,name,key,step,value. Error (usage): a metric that no run has.
Exported export_csv(Store& store, const std::vector<std::int64_t>& runs, const std::string& path,
                    const CsvOptions& options = {});

}  // namespace gradus::results
