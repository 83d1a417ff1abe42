// Whose line is to blame: the innermost frame of the user's own code, past C and the standard library.
//
// A tail call (`return run:distill {…}`) leaves no frame: the caller's own, further out, would be blamed. A function of
// the standard library therefore tells the host which of the user's it is about to call (gradus.host.entering). While
// its own frame is there and none of the user's within it, that function's tail-call line is it.
#pragma once

#include <cstring>
#include <lua.hpp>
#include <string>

namespace gradus {

inline bool is_stdlib(const lua_Debug& frame) { return std::strncmp(frame.source, "@stdlib/", 8) == 0; }

// Functions that were told: a list of { function, who told it, at which depth }, flat, the outermost first.
constexpr const char* kEntered = "gradus.entered";

inline int stack_depth(lua_State* L) {
  lua_Debug frame;
  int there = -1, beyond = 16;
  while (lua_getstack(L, beyond, &frame)) beyond *= 2;
  while (beyond - there > 1) {
    const int middle = there + (beyond - there) / 2;
    (lua_getstack(L, middle, &frame) ? there : beyond) = middle;
  }
  return beyond;
}

// Pushes the function that the frame at this depth has told it would call; pushes nothing where it told of none.
// entered: where the list is on the stack.
inline bool push_entered(lua_State* L, int entered, lua_Debug* frame, int depth) {
  for (int i = static_cast<int>(lua_objlen(L, entered)); i >= 3; i -= 3) {
    lua_rawgeti(L, entered, i);
    const auto told = static_cast<int>(lua_tointeger(L, -1));
    lua_pop(L, 1);
    if (told < depth) return false;
    if (told > depth) continue;  // has ended
    lua_rawgeti(L, entered, i - 1);
    lua_getinfo(L, "f", frame);
    const bool same = lua_rawequal(L, -1, -2) != 0;
    lua_pop(L, 2);
    if (same) lua_rawgeti(L, entered, i - 2);
    return same;
  }
  return false;
}

// The line of a function's tail call, which is on top of the stack and popped; "" where there is none.
inline std::string pop_tail_line(lua_State* L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "gradus.tail_line");
  lua_insert(L, -2);
  const bool found = lua_pcall(L, 1, 1, 0) == 0 && lua_isstring(L, -1);
  const std::string line = found ? lua_tostring(L, -1) : "";
  lua_pop(L, 1);
  return line;
}

// "file.lua:12", or "" when no user code is running.
inline std::string user_line(lua_State* L) {
  const int top = lua_gettop(L);
  lua_getfield(L, LUA_REGISTRYINDEX, kEntered);
  const int count = lua_istable(L, -1) ? static_cast<int>(lua_objlen(L, -1)) : 0;
  const int depth = count > 0 ? stack_depth(L) : 0;
  std::string line;
  lua_Debug frame;
  for (int level = 0; line.empty() && lua_getstack(L, level, &frame); ++level) {
    lua_getinfo(L, "Sl", &frame);
    if (frame.currentline > 0 && !is_stdlib(frame))
      line = std::string(frame.short_src) + ":" + std::to_string(frame.currentline);
    else if (count > 0 && push_entered(L, top + 1, &frame, depth - level))
      line = pop_tail_line(L);
  }
  if (line.empty() && count > 0) {
    lua_rawgeti(L, top + 1, count - 2);
    line = pop_tail_line(L);
  }
  lua_settop(L, top);
  return line;
}

}  // namespace gradus
