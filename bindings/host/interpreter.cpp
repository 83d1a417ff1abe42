#include "interpreter.h"

#include <clocale>
#include <cstdlib>
#include <cstring>
#include <new>

#include "execute.h"
#include "guard.h"
#include "registry.h"
#include "require.h"
#include "source_loader.h"

namespace gradus {
namespace {

char kInterpreter;  // its address is the registry key

struct Call {
  const char* module;
  const char* function;
  const std::function<int(lua_State*)>* push;
};

// What a user's script finds different from Lua's own, before any of it runs.
void install_language(lua_State* L) {
  for (const char* module : {"gradus.base.globals", "gradus.base.lists", "gradus.base.shown"}) {
    push_trusted_require(L);
    lua_pushstring(L, module);
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "install");
    lua_call(L, 0, 0);
    lua_pop(L, 1);
  }
}

int enter(lua_State* L) {
  const auto& call = *static_cast<const Call*>(lua_touserdata(L, 1));
  install_language(L);
  push_trusted_require(L);
  lua_pushstring(L, call.module);
  lua_call(L, 1, 1);
  lua_getfield(L, -1, call.function);
  const int count = (*call.push)(L);
  lua_call(L, count, 1);
  return 1;
}

// os.exit as an error that nobody names, so that whoever holds a run can close it on the way up.
int exit_by_unwinding(lua_State* L) {
  const int code = lua_isboolean(L, 1) ? (lua_toboolean(L, 1) ? 0 : 1) : static_cast<int>(luaL_optinteger(L, 1, 0));
  Interpreter::of(L).exit_code = code & 255;
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, code & 255);
  lua_setfield(L, -2, "exit");
  lua_pushfstring(L, "os.exit(%d)", code & 255);
  lua_setfield(L, -2, "message");
  return lua_error(L);
}

// os.setlocale for what a script may want of it, names of months. Numbers and letters stay C's: conditions, tables and files
// are read and written with them. A script that asks for these two alone is told that it cannot have them.
int set_locale(lua_State* L) {
  static constexpr const char* kNames[] = {"all", "collate", "ctype", "monetary", "numeric", "time", nullptr};
  static constexpr int kCategories[] = {LC_ALL, LC_COLLATE, LC_CTYPE, LC_MONETARY, LC_NUMERIC, LC_TIME};
  const char* wanted = luaL_optstring(L, 1, nullptr);
  const int category = kCategories[luaL_checkoption(L, 2, "all", kNames)];
  const bool kept = category == LC_CTYPE || category == LC_NUMERIC;
  const bool plain = !wanted || std::strcmp(wanted, "C") == 0 || std::strcmp(wanted, "POSIX") == 0;
  const char* set = kept && !plain ? nullptr : std::setlocale(category, wanted);
  if (set && !kept && wanted) {
    std::setlocale(LC_NUMERIC, "C");
    std::setlocale(LC_CTYPE, "C");
    set = std::setlocale(category, nullptr);
  }
  lua_pushstring(L, set);  // nil for null
  return 1;
}

// With --json, standard output is for one document: what the script prints goes to standard error.
constexpr const char* kPrintToStderr = R"(
local err, tostring, select = io.stderr, tostring, select
function print(...)
  local words = { ... }
  for i = 1, select("#", ...) do words[i] = tostring(words[i]) end
  err:write(table.concat(words, "\t"), "\n")
end
io.output(err)
)";

// The LuaJIT of Debian 12 ends a loop over pairs() too early, in silence, once it has given up compiling it (LuaJIT issue 827,
// repaired in April 2022): only where its own `next` is what iterates. These are others, and in C: a Lua function that calls `next`
// is compiled, and the machine code of that ends in a segmentation fault now and then.
int whole_next(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  if (lua_next(L, 1)) return 2;
  lua_pushnil(L);
  return 1;
}

int whole_pairs(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  return 3;
}

// A grid's runs compile what few programs have: at LuaJIT's thousand traces all of them would be thrown away, once a run.
constexpr const char* kRoomForTraces = R"(jit.opt.start("maxtrace=8000", "maxmcode=8192"))";

void replace_pairs(lua_State* L) {
  lua_pushcfunction(L, whole_next);
  lua_pushvalue(L, -1);
  lua_setglobal(L, "next");
  lua_pushcclosure(L, whole_pairs, 1);
  lua_setglobal(L, "pairs");
}

int set_up(lua_State* L) {
  auto* interpreter = static_cast<Interpreter*>(lua_touserdata(L, 1));
  luaL_openlibs(L);
  replace_pairs(L);
  if (luaL_dostring(L, kRoomForTraces)) return lua_error(L);
  lua_pushlightuserdata(L, interpreter);
  set_registry(L, &kInterpreter);
  install_source_loader(L);
  install_execute(L);
  lua_getglobal(L, "os");
  lua_pushcfunction(L, exit_by_unwinding);
  lua_setfield(L, -2, "exit");
  lua_pushcfunction(L, set_locale);
  lua_setfield(L, -2, "setlocale");
  if (interpreter->session.options.json && luaL_dostring(L, kPrintToStderr)) return lua_error(L);
  return 0;
}

}  // namespace

Interpreter::Interpreter(Session& session) : session(session), L_(luaL_newstate()) {
  if (!L_) throw std::bad_alloc();
  if (lua_cpcall(L_, set_up, this) != 0) throw HostError(kBug, std::string("lua: ") + lua_tostring(L_, -1));
}

Interpreter::~Interpreter() { lua_close(L_); }

Interpreter& Interpreter::of(lua_State* L) {
  get_registry(L, &kInterpreter);
  auto* interpreter = static_cast<Interpreter*>(lua_touserdata(L, -1));
  lua_pop(L, 1);
  return *interpreter;
}

bool Interpreter::call(const char* module, const char* function, const std::function<int(lua_State*)>& push,
                       const std::function<void(lua_State*)>& take) {
  const Call call = {module, function, &push};
  lua_settop(L_, 0);
  lua_pushcfunction(L_, record_traceback);
  lua_pushcfunction(L_, enter);
  lua_pushlightuserdata(L_, const_cast<Call*>(&call));
  const bool ok = lua_pcall(L_, 1, 1, 1) == 0;
  if (ok)
    take(L_);
  else if (!exit_code)
    error = describe_error(L_, *this);
  lua_settop(L_, 0);
  return ok && !exit_code;
}

void Interpreter::push_chunk(lua_State* L, const Source& source) {
  const std::string chunk_name = (source.path == "stdin" ? "=" : "@") + source.path;
  bool known = false;
  for (const Source* other : loaded) known = known || other == &source;
  if (!known) loaded.push_back(&source);
  if (!load_user_text(L, source.text, chunk_name, source.path)) lua_error(L);
}

const std::string* Interpreter::find_source(const std::string& name) {
  if (name.starts_with("stdlib/")) return session.stdlib.find(name.substr(7));
  const bool cut = name.starts_with("...");
  for (auto source = loaded.rbegin(); source != loaded.rend(); ++source) {  // the newest version of a file
    if ((*source)->path == name || (cut && (*source)->path.ends_with(name.substr(3)))) return &(*source)->text;
  }
  return nullptr;
}

}  // namespace gradus
