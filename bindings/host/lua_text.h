// Texts between Lua's stack and C++: with all their bytes, zeros too.
#pragma once

#include <lua.hpp>
#include <string>

namespace gradus {

inline std::string text_argument(lua_State* L, int index) {
  std::size_t size = 0;
  const char* bytes = luaL_checklstring(L, index, &size);
  return std::string(bytes, size);
}

inline void push_text(lua_State* L, const std::string& text) { lua_pushlstring(L, text.data(), text.size()); }

inline void set_text(lua_State* L, const char* field, const std::string& text) {
  push_text(L, text);
  lua_setfield(L, -2, field);
}

inline void set_flag(lua_State* L, const char* field, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, field);
}

}  // namespace gradus
