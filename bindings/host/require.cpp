#include "require.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "../nearest.h"
#include "guard.h"
#include "host_module.h"
#include "interpreter.h"
#include "registry.h"
#include "script_error.h"
#include "source_loader.h"

namespace gradus {
namespace {

char kBeingLoaded;        // its address marks a module that is being loaded
char kTrustedRequire;     // registry key
char kStdlibEnvironment;  // registry key
char kFfi;                // registry key: the ffi module, which package.loaded does not show

void push_engine_loader(lua_State* L) {
  std::string failure;
  lua_CFunction open = nullptr;
  {
    std::error_code ignored;
    const auto folder = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
    const std::string library = (folder / "libgradus_engine.so").string();
    // SentencePiece and libc10 each have a FLAGS_minloglevel, of different sizes. Loaded alone, SentencePiece keeps its
    // own; beside libc10 it would write over c10's neighbouring flags, and an allocation that fails would end the
    // process.
    dlopen("libsentencepiece.so.0", RTLD_NOW | RTLD_LOCAL);
    void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (handle) open = reinterpret_cast<lua_CFunction>(dlsym(handle, "luaopen_gradus_engine"));
    if (!open) {
      const char* reason = dlerror();
      failure = std::string("gradus.engine cannot be loaded: ") + (reason ? reason : library.c_str());
    }
  }
  if (!open) raise_failure(L, failure, kBug);
  lua_pushcfunction(L, open);
}

std::string stdlib_file(const std::string& module) {
  if (module == "gradus") return "init.lua";
  std::string file = module.substr(std::strlen("gradus."));
  std::replace(file.begin(), file.end(), '.', '/');
  return file + ".lua";
}

void push_stdlib_chunk(lua_State* L, Interpreter& interpreter, const std::string& module) {
  const std::string file = stdlib_file(module);
  const std::string* text = interpreter.session.stdlib.find(file);
  if (!text) {
    std::vector<std::string> modules = {"gradus",          "gradus.host",   "gradus.store",     "gradus.engine",
                                        "gradus.children", "gradus.editor", "gradus.statistics"};
    for (const std::string& name : interpreter.session.stdlib.files()) {
      std::string dotted = "gradus." + name.substr(0, name.size() - 4);
      std::replace(dotted.begin(), dotted.end(), '/', '.');
      modules.push_back(std::move(dotted));
    }
    const std::string meant = nearest(module, modules);
    raise_failure(L,
                  "module '" + module + "' is not in the standard library" +
                      (meant.empty() ? "" : "; did you mean '" + meant + "'?"),
                  kMissing);
  }
  if (!load_text(L, *text, "@stdlib/" + file, "stdlib/" + file)) lua_error(L);
  get_registry(L, &kStdlibEnvironment);
  lua_setfenv(L, -2);
}

void push_user_chunk(lua_State* L, Interpreter& interpreter, const std::string& module) {
  const Source* source = nullptr;
  guard(L, [&] { source = interpreter.session.user_module(module); });
  if (source) return interpreter.push_chunk(L, *source);
  std::string text = "module '" + module + "' not found; looked for";
  const char* comma = " ";
  for (const std::string& path : interpreter.session.user_module_paths(module)) {
    text += comma + path;
    comma = ", ";
  }
  std::vector<std::string> names = interpreter.session.user_module_names();
  names.emplace_back("gradus");
  const std::string meant = nearest(module, names);
  if (!meant.empty()) text += "; did you mean '" + meant + "'?";
  raise_failure(L, text, kMissing);
}

// The only entry of package.loaders behind package.preload: pushes the function that makes the module, or raises.
int find_module(lua_State* L) {
  const std::string module = luaL_checkstring(L, 1);
  Interpreter& interpreter = Interpreter::of(L);
  if (module == "gradus.host")
    lua_pushcfunction(L, open_host);
  else if (module == "gradus.store")
    lua_pushcfunction(L, open_store);
  else if (module == "gradus.children")
    lua_pushcfunction(L, open_children);
  else if (module == "gradus.editor")
    lua_pushcfunction(L, open_editor);
  else if (module == "gradus.statistics")
    lua_pushcfunction(L, open_statistics);
  else if (module == "gradus.engine")
    push_engine_loader(L);
  else if (module == "gradus" || module.starts_with("gradus."))
    push_stdlib_chunk(L, interpreter, module);
  else
    push_user_chunk(L, interpreter, module);
  return 1;
}

int find_preloaded(lua_State* L) {
  luaL_checkstring(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, "_PRELOAD");
  lua_pushvalue(L, 1);
  lua_gettable(L, -2);
  return 1;
}

int push_ffi(lua_State* L, bool trusted) {
  if (!trusted && !Interpreter::of(L).session.options.allow_ffi)
    raise_failure(L, "module 'ffi' reads and writes memory unchecked; a script may use it only with --allow-ffi",
                  kData);
  get_registry(L, &kFfi);
  return 1;
}

// Upvalue 1: whether the caller is the standard library. Upvalue 2: package.loaders.
int require_module(lua_State* L) {
  const char* name = luaL_checkstring(L, 1);
  lua_settop(L, 1);
  if (std::strcmp(name, "ffi") == 0) return push_ffi(L, lua_toboolean(L, lua_upvalueindex(1)));
  Interpreter& interpreter = Interpreter::of(L);
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");  // 2
  lua_getfield(L, 2, name);
  if (lua_touserdata(L, -1) == &kBeingLoaded) {
    std::string chain;
    for (const std::string& outer : interpreter.requiring) chain += outer + " -> ";
    raise_failure(L, std::string("module '") + name + "' requires itself: " + chain + name, kData);
  }
  if (lua_toboolean(L, -1)) return 1;
  lua_settop(L, 2);

  for (int i = 1; !lua_isfunction(L, -1); ++i) {
    lua_settop(L, 2);
    lua_rawgeti(L, lua_upvalueindex(2), i);
    if (lua_isnil(L, -1)) raise_failure(L, std::string("module '") + name + "' not found", kMissing);
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
  }
  lua_pushlightuserdata(L, &kBeingLoaded);
  lua_setfield(L, 2, name);
  interpreter.requiring.emplace_back(name);
  lua_pushcfunction(L, record_traceback);
  lua_insert(L, 3);
  lua_pushvalue(L, 1);
  const int status = lua_pcall(L, 1, 1, 3);
  interpreter.requiring.pop_back();
  if (status != 0) {
    lua_pushnil(L);
    lua_setfield(L, 2, name);
    return lua_error(L);
  }
  lua_getfield(L, 2, name);
  const bool set_itself = lua_toboolean(L, -1) && lua_touserdata(L, -1) != &kBeingLoaded;
  if (set_itself) return 1;
  lua_pop(L, 1);
  if (lua_isnil(L, -1)) lua_pushboolean(L, 1);
  lua_pushvalue(L, -1);
  lua_setfield(L, 2, name);
  return 1;
}

int refuse_new_global(lua_State* L) {
  return luaL_error(L, "the standard library sets no globals; got '%s'", lua_tostring(L, 2));
}

// The standard library's chunks see the globals through a table of their own, which holds the trusted require.
void set_stdlib_environment(lua_State* L) {
  lua_createtable(L, 0, 3);
  push_trusted_require(L);
  lua_setfield(L, -2, "require");
  for (const char* name : {"ipairs", "pairs"}) {  // Lua's own; scripts get others (stdlib/base/lists.lua)
    lua_getglobal(L, name);
    lua_setfield(L, -2, name);
  }
  lua_createtable(L, 0, 2);
  lua_pushvalue(L, LUA_GLOBALSINDEX);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, refuse_new_global);
  lua_setfield(L, -2, "__newindex");
  lua_setmetatable(L, -2);
  set_registry(L, &kStdlibEnvironment);
}

}  // namespace

void push_trusted_require(lua_State* L) { get_registry(L, &kTrustedRequire); }

void install_require(lua_State* L) {
  // ffi leaves package.preload and package.loaded, so that only require decides who gets it.
  lua_pushcfunction(L, luaopen_ffi);
  lua_call(L, 0, 1);
  set_registry(L, &kFfi);
  for (const char* table : {"_PRELOAD", "_LOADED"}) {
    lua_getfield(L, LUA_REGISTRYINDEX, table);
    lua_pushnil(L);
    lua_setfield(L, -2, "ffi");
    lua_pop(L, 1);
  }

  lua_getglobal(L, "package");
  for (const char* field : {"path", "cpath"}) {
    lua_pushliteral(L, "");
    lua_setfield(L, -2, field);
  }
  for (const char* field : {"loadlib", "searchpath", "searchers"}) {
    lua_pushnil(L);
    lua_setfield(L, -2, field);
  }
  lua_createtable(L, 2, 0);
  lua_pushcfunction(L, find_preloaded);
  lua_rawseti(L, -2, 1);
  lua_pushcfunction(L, find_module);
  lua_rawseti(L, -2, 2);
  for (const bool trusted : {false, true}) {
    lua_pushboolean(L, trusted);
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, require_module, 2);
    if (trusted)
      set_registry(L, &kTrustedRequire);
    else
      lua_setglobal(L, "require");
  }
  lua_setfield(L, -2, "loaders");
  lua_pop(L, 1);
  set_stdlib_environment(L);
}

}  // namespace gradus
