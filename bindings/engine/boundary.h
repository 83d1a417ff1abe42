// Where C++ and Lua meet: an error crosses once, and blames the user's line.
#pragma once

#include <exception>
#include <lua.hpp>
#include <string>

namespace gradus {

// "file.lua:12: " of the innermost frame that is the user's (not C, not the standard library), or "".
std::string user_position(lua_State* L);

// Pushes the text of `error` behind the user's position (and "what: " where given) and remembers its exit code.
void push_error(lua_State* L, const std::exception& error, const char* what = nullptr);

// Raises "position: text" for misuse. Never returns.
[[noreturn]] void raise(lua_State* L, const std::string& text);

// Runs `compute`, which must not call Lua. An exception becomes a Lua error after the try is left: raising from
// inside would unwind through C++ frames, and LuaJIT's own errors must never be caught here.
template <class F>
void guard(lua_State* L, const char* what, F&& compute) {
  bool failed = false;
  try {
    compute();
  } catch (const std::exception& error) {
    push_error(L, error, what);
    failed = true;
  }
  if (failed) lua_error(L);
}

template <class F>
void guard(lua_State* L, F&& compute) {
  guard(L, nullptr, static_cast<F&&>(compute));
}

}  // namespace gradus
