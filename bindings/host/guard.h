// Runs C++ that may throw on behalf of Lua: the exception becomes a Lua error at the user's line, raised after the try
// is left, so that no Lua error ever passes through a handler.
#pragma once

#include <exception>
#include <lua.hpp>
#include <string>

#include "../error_code.h"
#include "../one_line.h"
#include "../user_line.h"
#include "host_error.h"

namespace gradus {

// Pushes "file:line: text" and remembers its exit code. What is wrong with the command line is on no line of the
// script.
inline void push_failure(lua_State* L, const std::string& text, int code) {
  const std::string line = code == kUsage ? "" : user_line(L);
  const std::string full = (line.empty() ? "" : line + ": ") + one_line(text);
  remember_error(L, full, code);
  lua_pushlstring(L, full.data(), full.size());
}

[[noreturn]] inline void raise_failure(lua_State* L, const std::string& text, int code) {
  push_failure(L, text, code);
  lua_error(L);
  __builtin_unreachable();
}

// `compute` must not call Lua.
template <class F>
void guard(lua_State* L, F&& compute) {
  bool failed = false;
  try {
    compute();
  } catch (const std::exception& error) {
    const int code = exit_code_of(error);
    push_failure(L, words_of(error),
                 code == kUsage ? kData : code);  // a name that a script got wrong is no usage error
    failed = true;
  }
  if (failed) lua_error(L);
}

}  // namespace gradus
