// An error of the user's script, as the user should read it: one line, the source line, a short stack.
#pragma once

#include <cstdio>
#include <lua.hpp>
#include <string>
#include <vector>

namespace gradus {

class Interpreter;

struct Frame {
  std::string where;     // "x.lua:12"
  std::string function;  // "function 'build'", "main chunk"
};

// The user's frames when an error was raised, innermost first, and the error's text, to know it again after a rethrow.
struct Traceback {
  std::string message;
  std::vector<Frame> frames;
};

struct ScriptError {
  std::string message;              // first line: "x.lua:12: what…"
  std::vector<std::string> source;  // "  12 | local y = x.z"
  std::vector<std::string> stack;   // "  in function 'build' (x.lua:3)"
  int code = 0;
};

// Line `number`, from 1, of a text, without blanks at its end; cut when very long.
std::string line_of(const std::string& text, int number);

// Text of any error object: strings as they are, __tostring and message fields of tables, else its type.
std::string error_text(lua_State* L, int index);

// Message handler for pcall: notes the stack in the interpreter and returns the error object; a text that habits.lua can
// say better is replaced.
int record_traceback(lua_State* L);

// What to tell about the error object on top of the stack.
ScriptError describe_error(lua_State* L, Interpreter& interpreter);

void print_error(std::FILE* out, const ScriptError& error, bool colour);

}  // namespace gradus
