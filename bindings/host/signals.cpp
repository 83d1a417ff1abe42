#include "signals.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "host_error.h"

namespace gradus {
namespace {

constexpr double kForChildren = 2;  // seconds that a process waits longer than those it told

std::atomic<int> received{0};
std::atomic<pid_t> told[kMostChildren];

// Returns how many there are.
int tell_others(int signal) {
  int count = 0;
  for (std::atomic<pid_t>& one : told) {
    const pid_t process = one.load();
    if (process > 0) kill(process, signal), ++count;
  }
  return count;
}

double grace_seconds() {
  const char* text = std::getenv("GRADUS_GRACE");
  if (!text || !*text) return 20;
  char* end = nullptr;
  const double seconds = std::strtod(text, &end);
  if (*end || !(seconds >= 0) || seconds > 1e6)
    throw HostError(kUsage, std::string("GRADUS_GRACE: expected seconds from 0 to 1000000, got '") + text + "'");
  return seconds;
}

void say(const char* text) {
  if (write(STDERR_FILENO, text, __builtin_strlen(text)) < 0) return;  // nobody is left to be told
}

[[noreturn]] void end_now() {
  if (ftrylockfile(stdout) == 0) std::fflush(stdout);
  _exit(stop_code());
}

void watch(sigset_t signals, double grace) {
  int first = 0;
  while (sigwait(&signals, &first) != 0) {
  }
  received = first;
  if (tell_others(first) > 0) grace += kForChildren;
  if (isatty(STDERR_FILENO)) say("\ngradus: stopping after this step; Ctrl-C again stops at once\n");

  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::duration<double>(grace);
  for (;;) {
    const double left = std::chrono::duration<double>(deadline - Clock::now()).count();
    if (left <= 0) {
      say("gradus: the script did not stop within its grace period (GRADUS_GRACE); ended\n");
      end_now();
    }
    const timespec wait = {static_cast<time_t>(left), static_cast<long>(std::fmod(left, 1) * 1e9)};
    if (sigtimedwait(&signals, nullptr, &wait) == SIGINT) {
      tell_others(SIGINT);  // each says what becomes of its run
      say("gradus: stopped at once\n");
      end_now();
    }
  }
}

}  // namespace

void watch_signals() {
  const double grace = grace_seconds();
  signal(SIGPIPE, SIG_IGN);  // a reader that left, or a closed terminal, does not end hours of training
  signal(SIGHUP, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread(watch, signals, grace).detach();
}

void watch_signals_anew() {
  received = 0;
  for (std::atomic<pid_t>& one : told) one = 0;
  watch_signals();
}

void forward_signals_to(pid_t process) {
  for (std::atomic<pid_t>& one : told) {
    pid_t free = 0;
    if (!one.compare_exchange_strong(free, process)) continue;
    if (const int signal = received) kill(process, signal);
    return;
  }
}

void forget_signals_to(pid_t process) {
  for (std::atomic<pid_t>& one : told) {
    pid_t known = process;
    one.compare_exchange_strong(known, 0);
  }
}

const char* stopping() {
  switch (received.load(std::memory_order_relaxed)) {
    case SIGINT:
      return "SIGINT";
    case SIGTERM:
      return "SIGTERM";
    default:
      return nullptr;
  }
}

int stop_code() {
  const int signal = received.load(std::memory_order_relaxed);
  return signal ? 128 + signal : 0;
}

}  // namespace gradus
