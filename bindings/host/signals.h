// SIGINT, SIGTERM and SIGXCPU end a run between two steps: they set a flag that the training loop reads. Nothing can
// interrupt a compiled Lua loop from inside, so a watchdog ends the process when the loop does not. SIGUSR1 and SIGUSR2
// ask for a save. A reader that left is SIGPIPE, a lost terminal SIGHUP, a file at its limit SIGXFSZ.
#pragma once

#include <sys/types.h>

namespace gradus {

enum class OnHangup { go_on, end };

// A reader that left, a lost terminal and a file at its limit end nothing from here on.
void outlive_others();

// That, and the watchdog. A second SIGINT, or `grace` seconds after the first signal (GRADUS_GRACE, 20), ends the process at
// once: what was logged is in the store by then and its runs are interrupted, and where the store is locked for longer
// than that, the next gradus command does it. SIGUSR1 and SIGUSR2 bring what was logged into the store; the run goes on.
// hangup: whether a lost terminal ends the process as SIGTERM does; under nohup it never does.
void watch_signals(OnHangup hangup = OnHangup::go_on);
bool watches_signals();

// In a process that was just forked from one that watches: nothing came yet, and no other process is told.
void watch_signals_anew();

// Instead of watch_signals, for a console: SIGINT ends what goes on (stopping() tells a training) and not the process; a second
// one before forget_interrupts does. `also` is called in the handler.
void catch_interrupts(void (*also)());
void forget_interrupts();

// Whoever else is told of each signal, and ended with this process: at most kMostChildren processes.
constexpr int kMostChildren = 1024;
void forward_signals_to(pid_t process);  // one signal that came before is passed on at once
void forget_signals_to(pid_t process);

const char* stopping();  // "SIGINT", "SIGTERM", "SIGXCPU" or null
int stop_code();         // 128 + the signal's number, or 0 when none came
int saves_wanted();      // how often a save was asked for by now

}  // namespace gradus
