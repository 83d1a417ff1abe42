// Which exit code an error text stands for. Lua errors are strings, so the code travels beside them: both the
// engine and the host write the registry's "gradus.error" = {text, code} when they raise, and the host reads it
// when an error reaches the top. A text that was wrapped on its way up still counts, since we search inside it.
#pragma once

#include <cstring>
#include <lua.hpp>
#include <string>

namespace gradus {

inline void remember_error(lua_State* L, const std::string& text, int code) {
  lua_createtable(L, 0, 2);
  lua_pushlstring(L, text.data(), text.size());
  lua_setfield(L, -2, "text");
  lua_pushinteger(L, code);
  lua_setfield(L, -2, "code");
  lua_setfield(L, LUA_REGISTRYINDEX, "gradus.error");
}

// The remembered code when `final` holds the remembered text, else 0.
inline int recall_error(lua_State* L, const char* final) {
  int code = 0;
  lua_getfield(L, LUA_REGISTRYINDEX, "gradus.error");
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, "text");
    const char* text = lua_tostring(L, -1);
    if (text && final && std::strstr(final, text)) {
      lua_getfield(L, -2, "code");
      code = static_cast<int>(lua_tointeger(L, -1));
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return code;
}

}  // namespace gradus
