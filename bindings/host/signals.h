// SIGINT and SIGTERM end a run between two steps: they set a flag that the training loop reads. Nothing can interrupt
// a compiled Lua loop from inside, so a watchdog ends the process when the loop does not.
#pragma once

#include <sys/types.h>

namespace gradus {

// Blocks the signals in this and all later threads and starts the watchdog. Call it before any other thread exists.
// The second SIGINT, or `grace` seconds after the first signal (GRADUS_GRACE), ends the process at once; what was
// logged is in the runs' spools by then, and the next gradus command finds these runs interrupted.
void watch_signals();

// In a process that was just forked from one that watches: nothing came yet, and no other process is told.
void watch_signals_anew();

// Whoever else is told of each signal, and ended with this process: at most kMostChildren processes.
constexpr int kMostChildren = 1024;
void forward_signals_to(pid_t process);  // one signal that came before is passed on at once
void forget_signals_to(pid_t process);

const char* stopping();  // "SIGINT", "SIGTERM" or null
int stop_code();         // 130, 143, or 0 when no signal came

}  // namespace gradus
