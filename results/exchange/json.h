// Runs as one JSON document.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "export.h"

namespace gradus::results {

// {"runs": [{every column of runs, tags: {name: value}, params: {key: value}, metrics: {key: [[step, value], …]},
// progress: [{step, epoch, samples, flops, seconds}], events: [{step, time, kind, name, detail}]}]}. Not a number is
// null, infinities are texts.
Exported export_json(Store& store, const std::vector<std::int64_t>& runs, const std::string& path);

}  // namespace gradus::results
