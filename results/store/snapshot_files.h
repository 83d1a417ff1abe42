// The files that runs can go on from: <run folder>/snapshots/N-STEP.safetensors and N-end.safetensors.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gradus::results {

class Store;

struct SnapshotFile {
  std::string path, name;               // name: "2-1200"
  std::int64_t training = 0, step = 0;  // of "2-end": the greatest number
  std::int64_t bytes = 0;
};

std::vector<SnapshotFile> snapshot_files(const std::string& run_folder);  // oldest first

// What `gc --keep` leaves of each run that is over: "last=2,best,every=10000" are the newest two, the first one at or after the run's
// best value, and those at multiples of 10,000 steps.
struct SnapshotsKept {
  std::int64_t last = 0, every = 0;
  bool best = false;
};
SnapshotsKept parse_keep(std::string_view text);  // Error (usage)
std::vector<SnapshotFile> snapshots_to_remove(Store& store, const SnapshotsKept& kept);

}  // namespace gradus::results
