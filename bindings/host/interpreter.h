// One Lua state and what belongs to it. A run, a plan, a spec: each has its own.
#pragma once

#include <functional>
#include <lua.hpp>
#include <optional>
#include <string>
#include <vector>

#include "script_error.h"
#include "session.h"

namespace gradus {

class Interpreter {
 public:
  explicit Interpreter(Session& session);  // borrowed; outlives the interpreter
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  static Interpreter& of(lua_State* L);

  // Calls require(module)[function](…): `push` pushes the arguments and returns their number, `take` reads the one
  // result at the top of the stack. False when it raised; then `error` tells, unless `exit_code` is set.
  bool call(const char* module, const char* function, const std::function<int(lua_State*)>& push,
            const std::function<void(lua_State*)>& take);

  // Compiles a source of the user's (source text only) and pushes the function, or raises.
  void push_chunk(lua_State* L, const Source& source);

  // The text of "x.lua" or "stdlib/x.lua" as an error names it (long paths begin with "..."), or null. Borrowed.
  const std::string* find_source(const std::string& name);

  Session& session;
  ScriptError error;
  Traceback traceback;
  std::optional<int> exit_code;        // os.exit was called: the process ends with this
  std::vector<const Source*> loaded;   // script and user modules of this state, borrowed from the session
  std::vector<std::string> requiring;  // names of the modules that are being loaded, outermost first

 private:
  lua_State* L_;  // owned
};

}  // namespace gradus
