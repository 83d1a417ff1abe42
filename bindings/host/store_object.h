// Userdata that share ownership of a C++ object of the results store with Lua: at index 1 of each of their methods.
#pragma once

#include <lua.hpp>
#include <memory>

#include "store/store.h"

namespace gradus {

using StorePtr = std::shared_ptr<results::Store>;
using WriterPtr = std::shared_ptr<results::Writer>;

template <class T>
T& check_object(lua_State* L, const char* type) {
  return *static_cast<T*>(luaL_checkudata(L, 1, type));
}

template <class T>
void push_object(lua_State* L, const char* type, T value) {
  new (lua_newuserdata(L, sizeof(T))) T(std::move(value));
  luaL_getmetatable(L, type);
  lua_setmetatable(L, -2);
}

template <class T>
int release_object(lua_State* L) {
  static_cast<T*>(lua_touserdata(L, 1))->reset();
  return 0;
}

inline void make_type(lua_State* L, const char* type, const luaL_Reg* methods, lua_CFunction gc, lua_CFunction index) {
  luaL_newmetatable(L, type);
  lua_pushcfunction(L, gc);
  lua_setfield(L, -2, "__gc");
  lua_newtable(L);
  luaL_register(L, nullptr, methods);
  lua_pushcclosure(L, index, 1);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

}  // namespace gradus
