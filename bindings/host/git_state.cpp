#include "git_state.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <vector>

extern char** environ;

namespace gradus {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kMaxDiff = std::size_t{1} << 20;

struct Output {
  std::string text;
  bool cut = false;
};

pid_t spawn_git(std::vector<std::string> words, int out) {
  // Repositories are other people's: no hooks, no external diff programs, no pager, and no lock on their index.
  std::vector<std::string> all = {"git", "--no-optional-locks",     "--no-pager", "-c", "core.fsmonitor=false",
                                  "-c",  "core.hooksPath=/dev/null"};
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
  if (posix_spawnp(&child, "git", &actions, &attributes, argv.data(), environ) != 0) child = -1;
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

}  // namespace

std::optional<GitState> read_git_state(const std::string& folder) {
  const auto deadline = Clock::now() + std::chrono::seconds(2);
  const auto inside = git({"-C", folder, "rev-parse", "--is-inside-work-tree"}, deadline);
  if (!inside || !inside->text.starts_with("true")) return std::nullopt;

  GitState state;
  if (auto head = git({"-C", folder, "rev-parse", "--verify", "-q", "HEAD"}, deadline))
    state.commit = head->text.substr(0, head->text.find('\n'));
  if (state.commit.empty()) {
    state.dirty = true;
    return state;
  }
  const auto status = git({"-C", folder, "status", "--porcelain"}, deadline);
  if (!status) return std::nullopt;
  state.dirty = !status->text.empty();
  if (state.dirty) {
    auto diff = git({"-C", folder, "diff", "--no-ext-diff", "--no-textconv", "--no-color", "HEAD"}, deadline);
    state.diff = diff ? std::move(diff->text) : "# the difference could not be read within two seconds\n";
    if (diff && diff->cut) {
      state.diff.resize(kMaxDiff);
      state.diff += "\n# cut: the difference is longer than 1 MiB\n";
    }
  }
  return state;
}

}  // namespace gradus
