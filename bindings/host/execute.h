// os.execute, for scripts that are to be stopped.
#pragma once

struct lua_State;

namespace gradus {

// Replaces os.execute: C's system() ignores SIGINT until the program has ended, and a Ctrl-C meanwhile would be lost on the run.
// At a console, and where nobody watches signals, it stays what it is.
void install_execute(lua_State* L);

}  // namespace gradus
