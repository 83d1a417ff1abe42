#include "children.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "host_error.h"
#include "signals.h"

namespace gradus {
namespace {

constexpr std::size_t kLongestLine = 1 << 16;  // of standard error: longer ones are cut there

// Owns a descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    reset();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  void reset() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

struct Child {
  pid_t pid;
  Descriptor process, channel, errors, output;
  std::string received, lines;  // bytes that make no whole message or line yet
};

std::vector<std::unique_ptr<Child>>& children() {
  static std::vector<std::unique_ptr<Child>> all;
  return all;
}

std::vector<std::pair<pid_t, Descriptor>>& outputs() {  // of children that ended
  static std::vector<std::pair<pid_t, Descriptor>> all;
  return all;
}

Descriptor parent_channel;  // in a child
bool terminal = false;      // in a child: the parent's standard error is one

[[noreturn]] void fail(const char* what) {
  throw HostError(kIo, std::string("-j: ") + what + ": " + std::strerror(errno));
}

Descriptor nameless_file() {
  const char* folder = std::getenv("TMPDIR");
  if (!folder || !*folder) folder = "/tmp";
  Descriptor file(open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file.get() >= 0) return file;
  std::string path = std::string(folder) + "/gradus-output-XXXXXX";  // a file system that knows no nameless files
  file = Descriptor(mkostemp(path.data(), O_CLOEXEC));
  if (file.get() < 0) fail("no file for the output of a run");
  unlink(path.c_str());
  return file;
}

bool write_all(int fd, const char* bytes, std::size_t size) {
  while (size > 0) {
    const ssize_t count = write(fd, bytes, size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    bytes += count;
    size -= static_cast<std::size_t>(count);
  }
  return true;
}

// A message: the sizes of kind and text, then both.
struct Head {
  std::uint32_t kind, text;
};

bool send_message(int fd, const std::string& kind, const std::string& text) {
  const Head head = {static_cast<std::uint32_t>(kind.size()), static_cast<std::uint32_t>(text.size())};
  std::string bytes(reinterpret_cast<const char*>(&head), sizeof head);
  bytes += kind;
  bytes += text;
  return write_all(fd, bytes.data(), bytes.size());
}

// Takes the first whole message off `bytes`.
bool take_message(std::string& bytes, std::string& kind, std::string& text) {
  Head head;
  if (bytes.size() < sizeof head) return false;
  std::memcpy(&head, bytes.data(), sizeof head);
  const std::size_t whole = sizeof head + head.kind + std::size_t{head.text};
  if (bytes.size() < whole) return false;
  kind = bytes.substr(sizeof head, head.kind);
  text = bytes.substr(sizeof head + head.kind, head.text);
  bytes.erase(0, whole);
  return true;
}

// What can be read now, without waiting. False at the end.
bool read_available(int fd, std::string& bytes) {
  char buffer[1 << 14];
  for (;;) {
    const ssize_t count = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    const ssize_t got = count < 0 && errno == ENOTSOCK ? read(fd, buffer, sizeof buffer) : count;
    if (got > 0)
      bytes.append(buffer, static_cast<std::size_t>(got));
    else if (got == 0)
      return false;
    else if (errno != EINTR)
      return errno == EAGAIN;
  }
}

void take_lines(Child& child, std::vector<ChildEvent>& events, bool all) {
  for (;;) {
    std::size_t end = child.lines.find('\n');
    std::size_t next = end + 1;
    if (end == std::string::npos) {
      if (child.lines.empty() || (!all && child.lines.size() < kLongestLine)) return;
      next = end = child.lines.size();
    }
    events.push_back({.child = child.pid, .kind = "line", .text = child.lines.substr(0, end)});
    child.lines.erase(0, next);
  }
}

void read_child(Child& child, std::vector<ChildEvent>& events, bool ended) {
  if (child.channel.get() >= 0 && !read_available(child.channel.get(), child.received)) child.channel.reset();
  if (child.errors.get() >= 0 && !read_available(child.errors.get(), child.lines)) child.errors.reset();
  take_lines(child, events, ended);
  std::string kind, text;
  while (take_message(child.received, kind, text))
    events.push_back({.child = child.pid, .kind = kind, .text = text});
}

// Reaps a child that ended.
void bury(Child& child, std::vector<ChildEvent>& events) {
  forget_signals_to(child.pid);  // before its number may be another's
  int status = 0;
  rusage usage{};
  while (wait4(child.pid, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec); };
  events.push_back({.child = child.pid,
                    .kind = "end",
                    .text = "",
                    .code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
                    .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                    .cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime),
                    .peak_bytes = usage.ru_maxrss * 1024});
  outputs().emplace_back(child.pid, std::move(child.output));
}

// The OpenMP runtime's threads do not exist in a child, which would wait for them for ever: it lets them go.
void release_openmp_threads() {
  using Pause = int (*)(int);
  constexpr int kHard = 2;  // omp_pause_hard
  if (const auto pause = reinterpret_cast<Pause>(dlsym(RTLD_DEFAULT, "omp_pause_resource_all"))) pause(kHard);
}

void become_child(pid_t parent, Descriptor channel, Descriptor errors, const Descriptor& output) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(128 + SIGTERM);  // it died before it could be watched
  setpgid(0, 0);                                  // a terminal's Ctrl-C reaches the parent, which passes it on once
  terminal = isatty(STDERR_FILENO);
  dup2(output.get(), STDOUT_FILENO);
  dup2(errors.get(), STDERR_FILENO);
  const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(nothing, STDIN_FILENO);
  close(nothing);
  children().clear();
  outputs().clear();
  parent_channel = std::move(channel);
  watch_signals_anew();
}

}  // namespace

pid_t fork_child() {
  int channel[2], errors[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) != 0) fail("no socket for a run");
  Descriptor ours(channel[0]), theirs(channel[1]);
  if (pipe2(errors, O_CLOEXEC) != 0) fail("no pipe for a run");
  Descriptor errors_in(errors[0]), errors_out(errors[1]);
  fcntl(errors_in.get(), F_SETFL, O_NONBLOCK);
  Descriptor output = nameless_file();
  std::fflush(stdout);
  std::fflush(stderr);
  release_openmp_threads();
  const pid_t parent = getpid(), pid = fork();
  if (pid < 0) fail("no process for a run");
  if (pid == 0) {
    ours.reset();
    errors_in.reset();
    become_child(parent, std::move(theirs), std::move(errors_out), output);
    return 0;
  }
  setpgid(pid, pid);
  auto child = std::make_unique<Child>(Child{.pid = pid,
                                             .process = Descriptor(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))),
                                             .channel = std::move(ours),
                                             .errors = std::move(errors_in),
                                             .output = std::move(output),
                                             .received = {},
                                             .lines = {}});
  if (child->process.get() < 0) {
    kill(pid, SIGKILL);
    fail("a run cannot be watched");
  }
  children().push_back(std::move(child));
  forward_signals_to(pid);
  return pid;
}

std::vector<ChildEvent> wait_children(double seconds) {
  std::vector<pollfd> watched;
  for (const auto& child : children())
    for (const int fd : {child->process.get(), child->channel.get(), child->errors.get()})
      watched.push_back({fd, POLLIN, 0});
  poll(watched.data(), watched.size(), static_cast<int>(std::clamp(std::ceil(seconds * 1000), 0.0, 1e6)));
  std::vector<ChildEvent> events;
  for (std::size_t i = 0; i < children().size(); ++i) {
    const bool ended = (watched[3 * i].revents & POLLIN) != 0;
    read_child(*children()[i], events, ended);
    if (ended) bury(*children()[i], events);
  }
  std::erase_if(children(), [](const auto& child) { return child->output.get() < 0; });
  return events;
}

void answer_child(pid_t pid, const std::string& text) {
  for (const auto& child : children())
    if (child->pid == pid) send_message(child->channel.get(), "answer", text);
}

void signal_child(pid_t pid, int signal) {
  for (const auto& child : children())
    if (child->pid == pid) kill(pid, signal);
}

void copy_output(pid_t pid) {
  for (auto& [child, file] : outputs()) {
    if (child != pid) continue;
    std::fflush(stdout);
    char buffer[1 << 14];
    off_t at = 0;
    ssize_t count;
    while ((count = pread(file.get(), buffer, sizeof buffer, at)) > 0) {
      std::fwrite(buffer, 1, static_cast<std::size_t>(count), stdout);
      at += count;
    }
    std::fflush(stdout);
  }
  std::erase_if(outputs(), [pid](const auto& one) { return one.first == pid; });
}

bool is_child() { return parent_channel.get() >= 0; }

bool errors_on_terminal() { return is_child() ? terminal : isatty(STDERR_FILENO) == 1; }

void tell_parent(const std::string& kind, const std::string& text) {
  if (is_child()) send_message(parent_channel.get(), kind, text);
}

bool ask_parent(const std::string& kind, const std::string& text, std::string& answer) {
  tell_parent(kind, text);
  std::string bytes, word;
  while (!take_message(bytes, word, answer)) {
    pollfd one = {parent_channel.get(), POLLIN, 0};
    poll(&one, 1, 100);
    if (stopping() || !read_available(parent_channel.get(), bytes)) return false;
  }
  return true;
}

}  // namespace gradus
