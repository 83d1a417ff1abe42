// Values in Lua's registry under the address of a static variable, which no other library can use by chance.
#pragma once

#include <lua.hpp>

namespace gradus {

// Pops a value and keeps it under `key`.
inline void set_registry(lua_State* L, void* key) {
  lua_pushlightuserdata(L, key);
  lua_insert(L, -2);
  lua_rawset(L, LUA_REGISTRYINDEX);
}

inline void get_registry(lua_State* L, void* key) {
  lua_pushlightuserdata(L, key);
  lua_rawget(L, LUA_REGISTRYINDEX);
}

}  // namespace gradus
