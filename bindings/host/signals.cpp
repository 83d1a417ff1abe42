#include "signals.h"

#include <pthread.h>
#include <semaphore.h>
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
#include "host_module.h"

namespace gradus {
namespace {

using Clock = std::chrono::system_clock;  // sem_timedwait's

// XCPU: the soft limit of CPU time; the hard one kills. HUP: of those who show what goes on, to nobody now.
constexpr int kEnding[] = {SIGINT, SIGTERM, SIGXCPU, SIGHUP};
constexpr int kSaving[] = {SIGUSR1, SIGUSR2};  // what schedulers send before they take the machine away

std::atomic<int> received{0};        // the first of kEnding
std::atomic<int> counts[NSIG] = {};  // that came and were not looked at yet
std::atomic<int> wanted_saves{0};
sem_t came;    // once for each signal
sem_t frozen;  // once the script's thread stands still
pthread_t script_thread;
std::atomic<bool> watching{false};

constexpr double kForChildren = 2;  // seconds that a process waits longer than those it told
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
    throw HostError(kUsage, std::string("GRADUS_GRACE: expected seconds from 0 to 1000000; got '") + text + "'");
  return seconds;
}

void say(const char* text) {
  if (write(STDERR_FILENO, text, __builtin_strlen(text)) < 0) return;  // nobody is left to be told
}

void note(int signal) {
  const int error = errno;
  ++counts[signal];
  sem_post(&came);
  errno = error;
}

void ignore(int) {}

[[noreturn]] void stand_still(int) {
  sem_post(&frozen);
  for (;;) pause();
}

// Handlers, not a mask and not SIG_IGN: both of these go to the programs that a script starts, which could then not be ended.
void handle(int signal, void (*handler)(int)) {
  struct sigaction now {};
  if (sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN) return;  // nohup, or a shell's background job
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

bool take(int signal) {
  int count = counts[signal];
  while (count > 0)
    if (counts[signal].compare_exchange_weak(count, count - 1)) return true;
  return false;
}

timespec time_of(Clock::time_point when) {
  const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()).count();
  return {static_cast<time_t>(ns / 1000000000), static_cast<long>(ns % 1000000000)};
}

// Whether a signal came before the deadline.
bool wait(sem_t& semaphore, Clock::time_point deadline) {
  const timespec until = time_of(deadline);
  while (sem_timedwait(&semaphore, &until) != 0)
    if (errno != EINTR) return false;
  return true;
}

Clock::time_point in(double seconds) {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

// The script's thread stops where it is, so that it logs nothing behind our back.
void freeze_script() {
  static bool done = false;
  if (done) return;
  done = true;
  sem_init(&frozen, 0, 0);
  struct sigaction action {};
  action.sa_handler = stand_still;
  sigfillset(&action.sa_mask);
  sigaction(SIGRTMIN, &action, nullptr);
  pthread_kill(script_thread, SIGRTMIN);
  wait(frozen, in(.1));
}

// False where there is no memory or no thread: what was logged is in the spools, for whoever opens the store next.
bool start_thread(void (*body)()) {
  try {
    std::thread(body).detach();
  } catch (const std::exception&) {
    return false;
  }
  return true;
}

// What was logged goes into the stores and the runs become interrupted. Where that takes too long (another process keeps a store
// locked), whoever opens it next does that.
[[noreturn]] void end_now(double seconds) {
  static sem_t done;
  sem_init(&done, 0, 0);
  const bool started = start_thread([] {
    interrupt_stores(freeze_script);
    sem_post(&done);
  });
  if (started) wait(done, in(seconds));
  if (ftrylockfile(stdout) == 0) std::fflush(stdout);
  _exit(stop_code());
}

void watch(double grace) {
  int ends = 0;  // how many signals asked to end
  Clock::time_point deadline = in(1e9);
  for (;;) {
    const bool signalled = wait(came, deadline);
    if (ends && Clock::now() >= deadline) {
      say("gradus: the script did not stop within its grace period (GRADUS_GRACE); ended\n");
      end_now(5);
    }
    if (!signalled) continue;
    for (const int signal : kSaving) {
      if (!take(signal)) continue;
      ++wanted_saves;
      tell_others(signal);
      start_thread(flush_stores);  // may wait for another process; a signal to end must not
    }
    for (const int signal : kEnding) {
      if (!take(signal)) continue;
      if (ends++ == 0) {
        received = signal;
        // SIGTERM in either case: a process that waits in os.execute ignores SIGINT meanwhile, and would never know of it.
        deadline = in(tell_others(SIGTERM) > 0 ? grace + kForChildren : grace);
        if (isatty(STDERR_FILENO)) say("\ngradus: stopping after this step; Ctrl-C again stops at once\n");
      } else if (signal == SIGINT) {
        tell_others(SIGINT);  // each says what becomes of its run
        say("gradus: stopped at once\n");
        end_now(.5);
      }
    }
  }
}

}  // namespace

void outlive_others() {
  for (const int signal : {SIGPIPE, SIGHUP, SIGXFSZ}) handle(signal, ignore);
}

void watch_signals(OnHangup hangup) {
  const double grace = grace_seconds();
  sem_init(&came, 0, 0);
  script_thread = pthread_self();
  outlive_others();
  for (const int signal : kEnding) {
    if (signal != SIGHUP || hangup == OnHangup::end) handle(signal, note);
  }
  for (const int signal : kSaving) handle(signal, note);
  watching = true;
  std::thread(watch, grace).detach();
}

bool watches_signals() { return watching; }

// What came since the fork is in `counts` and `came` already.
void watch_signals_anew() {
  received = 0;
  wanted_saves = 0;
  for (std::atomic<pid_t>& one : told) one = 0;
  script_thread = pthread_self();
  std::thread(watch, grace_seconds()).detach();
}

namespace {

void (*told_of_interrupt)() = nullptr;

void interrupt(int signal) {
  if (received.exchange(signal)) _exit(128 + signal);  // what goes on does not look; what was logged is in its spool
  told_of_interrupt();
}

}  // namespace

void catch_interrupts(void (*also)()) {
  told_of_interrupt = also;
  outlive_others();
  struct sigaction action {};
  action.sa_handler = interrupt;  // without SA_RESTART: a line that is being read ends
  sigfillset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
}

void forget_interrupts() { received = 0; }

void forward_signals_to(pid_t process) {
  for (std::atomic<pid_t>& one : told) {
    pid_t free = 0;
    if (!one.compare_exchange_strong(free, process)) continue;
    if (received) kill(process, SIGTERM);
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
    case SIGXCPU:
      return "SIGXCPU";
    case SIGHUP:
      return "SIGHUP";
    default:
      return nullptr;
  }
}

int stop_code() {
  const int signal = received.load(std::memory_order_relaxed);
  return signal ? 128 + signal : 0;
}

int saves_wanted() { return wanted_saves.load(std::memory_order_relaxed); }

}  // namespace gradus
