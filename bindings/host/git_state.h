// Which commit an experiment ran from, asked from the `git` command without a shell.
#pragma once

#include <optional>
#include <string>

namespace gradus {

struct GitState {
  std::string commit;  // 40 or 64 hex digits; "" before the first commit
  bool dirty = false;
  std::string diff;  // uncommitted changes of tracked files, at most 1 MiB; then its last line says that it was cut
};

// Nothing when `folder` is in no repository, git is missing, or it takes longer than two seconds in all.
std::optional<GitState> read_git_state(const std::string& folder);

}  // namespace gradus
