// The Lua modules that the executable itself provides: gradus.host and gradus.store.
#pragma once

#include <lua.hpp>

#include "session.h"

namespace gradus {

int open_host(lua_State* L);
int open_store(lua_State* L);

// Pushes the command line as a table: gradus.host.options, and the argument of plan and execute.
void push_options(lua_State* L, Session& session);

// Drains and closes every store that a script opened.
void close_stores();

}  // namespace gradus
