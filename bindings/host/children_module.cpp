// require "gradus.children": processes forked from this one (children.h), for Lua. A child is named by its process id.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "children.h"
#include "file_watch.h"
#include "guard.h"
#include "host_module.h"
#include "interpreter.h"
#include "json_value.h"
#include "neighbours.h"
#include "output.h"
#include "signals.h"
#include "store/store.h"

namespace gradus {
namespace {

std::string text_argument(lua_State* L, int index) {
  std::size_t size = 0;
  const char* bytes = luaL_checklstring(L, index, &size);
  return std::string(bytes, size);
}

// The error as the child would have printed it.
std::string printed(const ScriptError& error) {
  char* bytes = nullptr;
  std::size_t size = 0;
  std::FILE* memory = open_memstream(&bytes, &size);
  if (!memory) return error.message;
  print_error(memory, error, errors_on_terminal() && colours_wanted());
  std::fclose(memory);
  std::string text(bytes, size);
  std::free(bytes);
  return text;
}

// The child's whole life: the function at the stack's bottom. It ends as a process of its own would, its runs closed.
[[noreturn]] void live(lua_State* L) {
  Interpreter& interpreter = Interpreter::of(L);
  lua_settop(L, 1);
  lua_pushcfunction(L, record_traceback);
  lua_insert(L, 1);
  int code = 0;
  if (lua_pcall(L, 0, 1, 1) == 0) {
    std::size_t size = 0;
    const char* text = lua_tolstring(L, -1, &size);
    tell_parent("result", text ? std::string(text, size) : "null");
    code = stop_code();
  } else if (interpreter.exit_code) {
    code = *interpreter.exit_code;
    tell_parent("exit", std::to_string(code));
  } else {
    const ScriptError error = describe_error(L, interpreter);
    code = error.code;
    tell_parent("error", dump_json({{"message", error.message}, {"code", code}, {"text", printed(error)}}));
  }
  close_stores();
  leave_cores();
  std::fflush(stdout);
  _exit(code);
}

// A store that is open in parent and child would be closed twice, and its locks with it.
void let_stores_go(lua_State* L) {
  close_stores();
  for (int i = 0; i < 2 && stores_in_use(); ++i) lua_gc(L, LUA_GCCOLLECT, 0);
  if (stores_in_use())
    raise_failure(
        L,
        "runs of the store (g.runs) are kept outside of run, where processes cannot share them; expected them "
        "asked for inside of run, or numbers taken from them",
        kData);
}

// spawn(fn) -> process id. The child calls fn() with all that is here now, sends what it returns as message "result",
// or "error" {message, code, text}, or "exit" after os.exit, and ends.
int spawn(lua_State* L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  let_stores_go(L);
  pid_t pid = 0;
  guard(L, [&] { pid = fork_child(); });
  if (pid == 0) {
    results::leave_settling_to_others();
    live(L);
  }
  lua_pushinteger(L, pid);
  return 1;
}

std::unique_ptr<FileWatch>& file_watch() {
  static std::unique_ptr<FileWatch> watch;
  return watch;
}

// watch(paths): from now on wait gives {kind = "saved", text = path} when one of them is saved.
int watch(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  guard(L, [&] {
    if (!file_watch()) file_watch() = std::make_unique<FileWatch>();
    for (int i = 1; lua_rawgeti(L, 1, i), lua_type(L, -1) == LUA_TSTRING; ++i) {
      file_watch()->add(lua_tostring(L, -1));
      lua_pop(L, 1);
    }
  });
  return 0;
}

// wait(seconds) -> list of {child, kind, text}, of an end with code, signal, seconds, peak
int wait(lua_State* L) {
  const double seconds = luaL_checknumber(L, 1);
  std::vector<ChildEvent> events;
  guard(L, [&] {
    events = wait_children(seconds, file_watch() ? file_watch()->descriptor() : -1);
    if (file_watch())
      for (const std::string& path : file_watch()->saved())
        events.push_back({.child = 0, .kind = "saved", .text = path});
  });
  lua_createtable(L, static_cast<int>(events.size()), 0);
  for (std::size_t i = 0; i < events.size(); ++i) {
    const ChildEvent& event = events[i];
    lua_createtable(L, 0, 7);
    lua_pushinteger(L, event.child);
    lua_setfield(L, -2, "child");
    lua_pushlstring(L, event.kind.data(), event.kind.size());
    lua_setfield(L, -2, "kind");
    lua_pushlstring(L, event.text.data(), event.text.size());
    lua_setfield(L, -2, "text");
    const std::pair<const char*, double> numbers[] = {{"code", event.code},
                                                      {"signal", event.signal},
                                                      {"seconds", event.cpu_seconds},
                                                      {"peak", static_cast<double>(event.peak_bytes)}};
    for (const auto& [name, number] : numbers) {
      lua_pushnumber(L, number);
      lua_setfield(L, -2, name);
    }
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 1;
}

int answer(lua_State* L) {
  const auto child = static_cast<pid_t>(luaL_checkinteger(L, 1));
  const std::string text = text_argument(L, 2);
  guard(L, [&] { answer_child(child, text); });
  return 0;
}

// stop(child, hard): asks it to end after its step, or ends it at once.
int stop(lua_State* L) {
  signal_child(static_cast<pid_t>(luaL_checkinteger(L, 1)), lua_toboolean(L, 2) ? SIGKILL : SIGTERM);
  return 0;
}

int show_output(lua_State* L) {
  const auto child = static_cast<pid_t>(luaL_checkinteger(L, 1));
  guard(L, [&] { copy_output(child); });
  return 0;
}

int inside(lua_State* L) {
  lua_pushboolean(L, is_child());
  return 1;
}

int on_terminal(lua_State* L) {
  lua_pushboolean(L, errors_on_terminal());
  return 1;
}

int tell(lua_State* L) {
  const std::string kind = text_argument(L, 1), text = text_argument(L, 2);
  guard(L, [&] { tell_parent(kind, text); });
  return 0;
}

// ask(kind, text) -> the parent's answer, or nil when the process is to stop
int ask(lua_State* L) {
  const std::string kind = text_argument(L, 1), text = text_argument(L, 2);
  std::string reply;
  bool answered = false;
  guard(L, [&] { answered = ask_parent(kind, text, reply); });
  if (answered)
    lua_pushlstring(L, reply.data(), reply.size());
  else
    lua_pushnil(L);
  return 1;
}

int signal_name(lua_State* L) {
  lua_pushstring(L, strsignal(luaL_checkint(L, 1)));
  return 1;
}

// stop_code() -> 130 or 143 when this process was asked to stop, else 0
int code_of_stop(lua_State* L) {
  lua_pushinteger(L, stop_code());
  return 1;
}

constexpr luaL_Reg kFunctions[] = {{"spawn", spawn},
                                   {"wait", wait},
                                   {"watch", watch},
                                   {"answer", answer},
                                   {"stop", stop},
                                   {"show_output", show_output},
                                   {"inside", inside},
                                   {"on_terminal", on_terminal},
                                   {"tell", tell},
                                   {"ask", ask},
                                   {"signal_name", signal_name},
                                   {"stop_code", code_of_stop},
                                   {nullptr, nullptr}};

}  // namespace

int open_children(lua_State* L) {
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  return 1;
}

}  // namespace gradus
