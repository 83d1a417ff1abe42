// The Lua modules that the executable itself provides: gradus.host, gradus.store, gradus.children, gradus.editor and
// gradus.statistics.
#pragma once

#include <functional>
#include <lua.hpp>

#include "session.h"

namespace gradus {

int open_host(lua_State* L);
int open_store(lua_State* L);
int open_children(lua_State* L);
int open_editor(lua_State* L);
int open_statistics(lua_State* L);

// Add to the table on the stack what gradus.host says of the machine, and of the sources that a run is made of.
void add_machine_functions(lua_State* L);
void add_source_functions(lua_State* L);

// Pushes the command line as a table: gradus.host.options, and the argument of plan and execute.
void push_options(lua_State* L, Session& session);

// Drains and closes every store that a script opened.
void close_stores();
// Whether a Lua value still holds a store open after close_stores.
bool stores_in_use();
// From any thread: drains the live runs of these stores; and calls them interrupted, before the process ends, when `freeze` has
// stopped the script. What fails is left to whoever opens the store next.
void flush_stores();
void interrupt_stores(const std::function<void()>& freeze);

}  // namespace gradus
