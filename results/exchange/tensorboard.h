// TensorBoard's event files: records (tensorboard_records.h) of Event messages (tensorboard/compat/proto/event.proto,
// summary.proto), written without protobuf. tensorboard_events.h reads them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "export.h"

namespace gradus::results {

// One folder per run, NAME-UID8, in it one event file: its metrics as scalars (32-bit floats, as the format has them),
// its parameters as hyperparameters and as a text, its events as texts. Written again, it replaces itself.
Exported export_tensorboard(Store& store, const std::vector<std::int64_t>& runs, const std::string& folder);

}  // namespace gradus::results
