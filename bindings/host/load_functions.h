// Lua's load, loadstring, loadfile and dofile, and what they become here: they take source text only.
#pragma once

#include <lua.hpp>

namespace gradus {

void install_load_functions(lua_State* L);  // also removes string.dump

}  // namespace gradus
