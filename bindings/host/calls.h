// Which functions of the standard library ran: what a cached result depends on besides the user's own functions.
#pragma once

#include <lua.hpp>

namespace gradus {

// watch_calls(): notes calls from here on. Watches may be nested: what an inner one saw, the outer one sees too. Compiled
// code tells nobody of its calls, so the caller flushes it first.
int watch_calls(lua_State* L);

// watched_calls() -> { "training/distill.lua:120", … }: the functions that ran since the innermost watch_calls, by file
// and first line (0: the file's own chunk), sorted. Ends that watch.
int watched_calls(lua_State* L);

}  // namespace gradus
