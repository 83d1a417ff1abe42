// Which commit an experiment ran from, asked from the `git` command without a shell.
#pragma once

#include <optional>
#include <string>

namespace gradus {

struct GitState {
  std::string commit;         // 40 or 64 hex digits; "" before the first commit
  std::optional<bool> dirty;  // nothing when git did not say within two seconds
  std::string diff;  // uncommitted changes of tracked files, at most 1 MiB; then its last line says that it was cut
};

// Nothing when `folder` is in no repository, git is missing, or it takes longer than two seconds to name the commit. What
// the results store at `store` adds to a checkout (itself, its runs' folders, its cache) leaves it clean. The user's settings
// of git (diff.noprefix …) and its environment (GIT_DIR …) do not show in what is returned.
std::optional<GitState> read_git_state(const std::string& folder, const std::string& store);

}  // namespace gradus
