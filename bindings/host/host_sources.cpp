// gradus.host: what a run was made of: the script and its modules, the standard library, versions, the working copy.
#include <sqlite3.h>

#include <algorithm>

#include "calls.h"
#include "guard.h"
#include "host_module.h"
#include "interpreter.h"
#include "lua_text.h"
#include "script_error.h"

namespace gradus {
namespace {

int load_script(lua_State* L) {
  Interpreter& interpreter = Interpreter::of(L);
  interpreter.push_chunk(L, interpreter.session.script());
  return 1;
}

// read_script(): the script as it is on the disk now, for load_script. Only before anything of it was loaded.
int read_script(lua_State* L) {
  Session& session = Interpreter::of(L).session;
  guard(L, [&] { session.read_script(session.options.script); });
  return 0;
}

// read_again() -> a mark for put_back: from now on load_script and require give the user's files as they are on the disk.
int read_again(lua_State* L) {
  Interpreter& interpreter = Interpreter::of(L);
  guard(L, [&] { interpreter.session.read_again(); });
  lua_pushinteger(L, static_cast<lua_Integer>(interpreter.loaded.size()));
  return 1;
}

int put_back_sources(lua_State* L) {
  Interpreter& interpreter = Interpreter::of(L);
  interpreter.session.put_back_sources();
  interpreter.loaded.resize(
      std::min<std::size_t>(interpreter.loaded.size(), static_cast<std::size_t>(luaL_checkinteger(L, 1))));
  return 0;
}

int sources(lua_State* L) {
  lua_newtable(L);
  int i = 0;
  for (const Source* source : Interpreter::of(L).loaded) {
    lua_createtable(L, 0, 3);
    set_text(L, "path", source->path);
    set_text(L, "sha256", source->sha256);
    set_text(L, "text", source->text);
    lua_rawseti(L, -2, ++i);
  }
  return 1;
}

int stdlib_hash(lua_State* L) {
  std::string hash;
  guard(L, [&] { hash = Interpreter::of(L).session.stdlib.hash(); });
  push_text(L, hash);
  return 1;
}

// library_text("nn/layers.lua") -> the text of a file of the standard library, or nil.
int library_text(lua_State* L) {
  const std::string file = text_argument(L, 1);
  const std::string* text = nullptr;
  guard(L, [&] { text = Interpreter::of(L).session.stdlib.find(file); });
  if (text)
    push_text(L, *text);
  else
    lua_pushnil(L);
  return 1;
}

int stdlib_files(lua_State* L) {
  lua_newtable(L);
  int i = 0;
  for (const std::string& file : Interpreter::of(L).session.stdlib.files()) {
    push_text(L, file);
    lua_rawseti(L, -2, ++i);
  }
  return 1;
}

// source_line(source, number) -> the line of a script or module of the user's, as debug.getinfo names it; nil for
// others
int source_line(lua_State* L) {
  const std::string name = text_argument(L, 1);
  const std::string* text = name.starts_with("@") ? Interpreter::of(L).find_source(name.substr(1)) : nullptr;
  if (text)
    push_text(L, line_of(*text, luaL_checkint(L, 2)));
  else
    lua_pushnil(L);
  return 1;
}

int git(lua_State* L) {
  const std::optional<GitState>* state = nullptr;
  guard(L, [&] { state = &Interpreter::of(L).session.git(); });
  if (!*state) {
    lua_pushnil(L);
    return 1;
  }
  lua_createtable(L, 0, 3);
  set_text(L, "commit", (*state)->commit);
  if ((*state)->dirty) set_flag(L, "dirty", *(*state)->dirty);
  set_text(L, "diff", (*state)->diff);
  return 1;
}

int versions(lua_State* L) {
  lua_createtable(L, 0, 3);
  set_text(L, "gradus", GRADUS_VERSION);
  set_text(L, "luajit", LUAJIT_VERSION);
  set_text(L, "sqlite", sqlite3_libversion());
  return 1;
}

constexpr luaL_Reg kFunctions[] = {{"load_script", load_script},
                                   {"read_script", read_script},
                                   {"read_again", read_again},
                                   {"put_back_sources", put_back_sources},
                                   {"sources", sources},
                                   {"stdlib_hash", stdlib_hash},
                                   {"library_text", library_text},
                                   {"watch_calls", watch_calls},
                                   {"watched_calls", watched_calls},
                                   {"source_line", source_line},
                                   {"stdlib_files", stdlib_files},
                                   {"git", git},
                                   {"versions", versions},
                                   {nullptr, nullptr}};

}  // namespace

void add_source_functions(lua_State* L) { luaL_register(L, nullptr, kFunctions); }

}  // namespace gradus
