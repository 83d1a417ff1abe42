// Lua's require: modules in C++, the standard library, the script's folder; LUA_PATH and LUA_CPATH are ignored.
#pragma once

#include <lua.hpp>

namespace gradus {

// Replaces require and package.loaders; removes package.loadlib. Hides ffi from a script, unless it was started with
// --allow-ffi.
void install_require(lua_State* L);

// The standard library's require: as the user's, and it also gives `ffi`.
void push_trusted_require(lua_State* L);

}  // namespace gradus
