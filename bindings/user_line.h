// Whose line is to blame: the innermost frame of the user's own code, past C and the standard library.
//
// A tail call (`return run:distill {…}`) leaves no frame. The standard library therefore tells the host which user
// function it is about to call (gradus.host.entering); when no user frame is left, that function's tail-call line is
// it.
#pragma once

#include <cstring>
#include <lua.hpp>
#include <string>

namespace gradus {

inline bool is_stdlib(const lua_Debug& frame) { return std::strncmp(frame.source, "@stdlib/", 8) == 0; }

// "file.lua:12", or "" when no user code is running.
inline std::string user_line(lua_State* L) {
  lua_Debug frame;
  for (int level = 0; lua_getstack(L, level, &frame); ++level) {
    lua_getinfo(L, "Sl", &frame);
    if (frame.currentline > 0 && !is_stdlib(frame))
      return std::string(frame.short_src) + ":" + std::to_string(frame.currentline);
  }
  std::string line;
  const int top = lua_gettop(L);
  lua_getfield(L, LUA_REGISTRYINDEX, "gradus.tail_line");
  lua_getfield(L, LUA_REGISTRYINDEX, "gradus.entered");
  if (lua_isfunction(L, -2) && lua_isfunction(L, -1) && lua_pcall(L, 1, 1, 0) == 0 && lua_isstring(L, -1))
    line = lua_tostring(L, -1);
  lua_settop(L, top);
  return line;
}

}  // namespace gradus
