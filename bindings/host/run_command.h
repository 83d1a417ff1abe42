// `gradus run`, `check`, `sweep`, `watch`, `repl` and `test`: the commands that execute Lua.
#pragma once

#include <string>
#include <vector>

#include "session.h"
#include "signals.h"

namespace gradus {

// One process, one script, the runs of its grid one after another, each in a Lua state of its own. Returns the exit
// code.
int run_command(RunOptions options);

// A command that Lua drives from its first to its last run: require(module)[function](options) gives the exit code.
int drive_script(RunOptions options, const char* module, const char* function, OnHangup hangup = OnHangup::go_on);

// Many runs of one script, their parameters chosen by a search.
int sweep_command(RunOptions options);

// One run after another, begun anew whenever the script or what it requires is saved, until a signal.
int watch_command(RunOptions options);

// A dry run: two steps of each stage, in a store that is thrown away. 65 when a setting was refused.
int check_command(RunOptions options);

// Lines of Lua from a terminal or a pipe, one after the other in one state.
int repl_command(RunOptions options);

// Lua specs, each in a fresh state. 0 when all passed, 1 when any failed.
int test_command(RunOptions options, const std::vector<std::string>& files);

}  // namespace gradus
