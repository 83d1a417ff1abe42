#include "git_state.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string_view>
#include <vector>

#include "store/uid.h"

extern char** environ;

namespace gradus {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kMaxDiff = std::size_t{1} << 20;

struct Output {
  std::string text;
  bool cut = false;
};

// The environment without what would lead git to another repository than the folder's, or change what it prints.
std::vector<char*> environment_for_git() {
  // clang-format off
  static constexpr std::string_view kDropped[] = {
      "GIT_DIR=", "GIT_WORK_TREE=", "GIT_COMMON_DIR=", "GIT_INDEX_FILE=", "GIT_OBJECT_DIRECTORY=", "GIT_NAMESPACE=",
      "GIT_PREFIX=", "GIT_ALTERNATE_OBJECT_DIRECTORIES=", "GIT_DIFF_OPTS=", "GIT_EXTERNAL_DIFF=",
      "GIT_LITERAL_PATHSPECS=", "GIT_GLOB_PATHSPECS=", "GIT_NOGLOB_PATHSPECS=", "GIT_ICASE_PATHSPECS=", "GIT_TRACE"};
  // clang-format on
  std::vector<char*> kept;
  for (char** one = environ; *one; ++one) {
    const std::string_view text = *one;
    if (std::none_of(std::begin(kDropped), std::end(kDropped), [&](std::string_view d) { return text.starts_with(d); }))
      kept.push_back(*one);
  }
  kept.push_back(nullptr);
  return kept;
}

pid_t spawn_git(std::vector<std::string> words, int out) {
  // Repositories are other people's: no hooks, no external diff programs, no pager, and no lock on their index.
  std::vector<std::string> all = {"git", "--no-optional-locks",  "--no-pager", "--literal-pathspecs",
                                  "-c",  "core.fsmonitor=false", "-c",         "core.hooksPath=/dev/null"};
  all.insert(all.end(), words.begin(), words.end());
  std::vector<char*> argv;
  for (std::string& word : all) argv.push_back(word.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, defaults;  // the host blocks and ignores signals; a child must not inherit that
  sigemptyset(&none);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t child = -1;
  std::vector<char*> environment = environment_for_git();
  if (posix_spawnp(&child, "git", &actions, &attributes, argv.data(), environment.data()) != 0) child = -1;
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return child;
}

// The command's standard output, or nothing when it failed or passed the deadline.
std::optional<Output> git(const std::vector<std::string>& words, Clock::time_point deadline) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
  const pid_t child = spawn_git(words, ends[1]);
  close(ends[1]);
  Output output;
  bool stopped = child < 0;
  while (!stopped) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd ready = {ends[0], POLLIN, 0};
    if (left <= 0 || poll(&ready, 1, static_cast<int>(left)) == 0) {
      stopped = true;
      break;
    }
    char buffer[1 << 16];
    const ssize_t count = read(ends[0], buffer, sizeof buffer);
    if (count <= 0) break;
    output.text.append(buffer, static_cast<std::size_t>(count));
    if (output.text.size() > kMaxDiff) {
      output.cut = true;
      break;
    }
  }
  close(ends[0]);
  if (child < 0) return std::nullopt;
  if (stopped || output.cut) kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  if (stopped || (!output.cut && status != 0)) return std::nullopt;
  return output;
}

// --- what the store adds

// Whether `path` is the store at `store`, of its kind's files beside it, or in a run's folder or the cache there.
bool is_of_store(const fs::path& path, const fs::path& store) {
  const fs::path relative = path.lexically_relative(store.parent_path());
  if (relative.empty() || *relative.begin() == "..") return false;
  const std::string first = relative.begin()->string(), name = store.filename().string();
  if (std::next(relative.begin()) != relative.end()) return results::is_uid(first) || first == "cache";
  return first == name || first.starts_with(name + "-") || first.starts_with(name + ".");
}

// The paths of `git status --porcelain -z`, whole, and whether each is one that git does not know.
struct Changed {
  fs::path path;
  bool untracked;
};

std::vector<Changed> parse_status(const std::string& text, const fs::path& top) {
  std::vector<Changed> list;
  for (std::size_t at = 0; at + 3 < text.size();) {
    const std::size_t end = std::min(text.find('\0', at), text.size());
    const bool untracked = text.compare(at, 2, "??") == 0;
    const bool renamed = text[at] == 'R' || text[at] == 'C';
    list.push_back({(top / text.substr(at + 3, end - at - 3)).lexically_normal(), untracked});
    at = end + 1;
    if (renamed) at = std::min(text.find('\0', at), text.size()) + 1;  // the old name follows
  }
  return list;
}

// A folder that git knows nothing of is one line, ending with a slash; --untracked-files=all lists what lies in it.
std::vector<std::string> status_of(const std::string& folder, const char* untracked, const fs::path& inside = {}) {
  std::vector<std::string> words = {"-C",
                                    folder,
                                    "status",
                                    "--porcelain",
                                    "-z",
                                    "--no-renames",
                                    "--ignore-submodules=none",
                                    std::string("--untracked-files=") + untracked};
  if (!inside.empty()) words.insert(words.end(), {"--", inside.string()});
  return words;
}

std::optional<bool> is_dirty(const std::string& folder, const fs::path& top, const fs::path& store,
                             Clock::time_point deadline) {
  const auto status = git(status_of(folder, "normal"), deadline);
  if (!status) return std::nullopt;
  for (const Changed& one : parse_status(status->text, top)) {
    if (!one.untracked) return true;
    if (is_of_store(one.path, store)) continue;
    const fs::path around = one.path.has_filename() ? one.path : one.path.parent_path();
    const fs::path rest = store.lexically_relative(around);
    if (rest.empty() || *rest.begin() == "..") return true;
    const auto all = git(status_of(folder, "all", around), deadline);
    if (!all) return std::nullopt;
    for (const Changed& file : parse_status(all->text, top))
      if (!is_of_store(file.path, store)) return true;
  }
  return false;
}

// The patch, in the one form that does not depend on anybody's settings.
std::string diff_of(const std::string& folder, Clock::time_point deadline) {
  // clang-format off
  auto diff = git({"-C", folder, "-c", "diff.suppressBlankEmpty=false", "-c", "diff.wsErrorHighlight=none", "-c",
                   "core.quotePath=true", "diff", "--patch", "--no-ext-diff", "--no-textconv", "--no-color",
                   "--no-color-moved", "--word-diff=none", "--src-prefix=a/", "--dst-prefix=b/", "--unified=3",
                   "--inter-hunk-context=0", "--diff-algorithm=myers", "--indent-heuristic", "--no-renames",
                   "--no-relative", "--full-index", "--submodule=short", "--ignore-submodules=none", "-O/dev/null",
                   "HEAD"}, deadline);
  // clang-format on
  if (!diff) return "# the difference could not be read within two seconds\n";
  if (!diff->cut) return std::move(diff->text);
  diff->text.resize(kMaxDiff);
  return std::move(diff->text) + "\n# cut: the difference is longer than 1 MiB\n";
}

std::string first_line(const std::optional<Output>& output) {
  return output ? output->text.substr(0, output->text.find('\n')) : "";
}

}  // namespace

std::optional<GitState> read_git_state(const std::string& folder, const std::string& store) {
  const auto deadline = Clock::now() + std::chrono::seconds(2);
  const auto top = git({"-C", folder, "rev-parse", "--show-toplevel"}, deadline);
  if (!top) return std::nullopt;

  GitState state;
  state.commit = first_line(git({"-C", folder, "rev-parse", "--verify", "-q", "HEAD"}, deadline));
  if (state.commit.empty()) {
    state.dirty = true;
    return state;
  }
  std::error_code ignored;
  state.dirty =
      is_dirty(folder, top->text.substr(0, top->text.size() - 1), fs::weakly_canonical(store, ignored), deadline);
  if (state.dirty && *state.dirty) state.diff = diff_of(folder, deadline);
  return state;
}

}  // namespace gradus
