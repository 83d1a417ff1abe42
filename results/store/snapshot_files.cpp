#include "snapshot_files.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <limits>
#include <set>
#include <tuple>

#include "error.h"
#include "heartbeat.h"
#include "store.h"

namespace gradus::results {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kEnd = std::numeric_limits<std::int64_t>::max();

// A whole number that fills the text; nothing else.
bool read_number(std::string_view text, std::int64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

bool read_name(std::string_view name, SnapshotFile& file) {
  const std::size_t dash = name.find('-');
  if (dash == std::string_view::npos || !read_number(name.substr(0, dash), file.training)) return false;
  const std::string_view step = name.substr(dash + 1);
  if (step == "end") file.step = kEnd;
  return step == "end" || read_number(step, file.step);
}

}  // namespace

std::vector<SnapshotFile> snapshot_files(const std::string& run_folder) {
  std::vector<SnapshotFile> found;
  std::error_code code;
  for (fs::directory_iterator at(run_folder + "/snapshots", code), end; !code && at != end; at.increment(code)) {
    SnapshotFile file{at->path().string(), at->path().stem().string()};
    std::error_code gone;
    if (at->path().extension() != ".safetensors" || !read_name(file.name, file)) continue;
    file.bytes = static_cast<std::int64_t>(at->file_size(gone));
    if (!gone) found.push_back(std::move(file));
  }
  std::sort(found.begin(), found.end(), [](const SnapshotFile& a, const SnapshotFile& b) {
    return std::tie(a.training, a.step) < std::tie(b.training, b.step);
  });
  return found;
}

SnapshotsKept parse_keep(std::string_view text) {
  SnapshotsKept kept;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view word = text.substr(begin, end - begin);
    std::int64_t* number = word.starts_with("last=") ? &kept.last : word.starts_with("every=") ? &kept.every : nullptr;
    const bool good =
        word == "best" || (number != nullptr && read_number(word.substr(word.find('=') + 1), *number) && *number > 0);
    if (!good)
      throw Error(Exit::usage, "gc: --keep: expected last=N, best or every=STEPS, joined by commas; got '" +
                                   std::string(word) + "'");
    kept.best = kept.best || word == "best";
    begin = end + 1;
  }
  return kept;
}

std::vector<SnapshotFile> snapshots_to_remove(Store& store, const SnapshotsKept& kept) {
  std::vector<SnapshotFile> doomed;
  const Rows runs = store.query(
      "SELECT uid, (SELECT max(step) FROM events e WHERE e.run_id = r.id AND e.kind = 'best') FROM runs r WHERE status "
      "<> 'running'");
  for (const auto& row : runs.rows) {
    const std::string folder = store.folder() + "/" + std::get<std::string>(row[0]);
    if (Heartbeat::is_held(folder)) continue;
    const std::vector<SnapshotFile> files = snapshot_files(folder);
    const auto* best = std::get_if<std::int64_t>(&row[1]);
    bool best_kept = !kept.best || best == nullptr;
    for (std::size_t i = 0; i < files.size(); ++i) {
      const bool is_last = files.size() - i <= static_cast<std::size_t>(kept.last);
      const bool is_even = kept.every > 0 && files[i].step != kEnd && files[i].step % kept.every == 0;
      const bool is_best = !best_kept && files[i].training == files.back().training && files[i].step >= *best;
      best_kept = best_kept || is_best;
      if (!is_last && !is_even && !is_best) doomed.push_back(files[i]);
    }
  }
  return doomed;
}

}  // namespace gradus::results
