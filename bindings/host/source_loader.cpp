#include "source_loader.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "../nearest.h"
#include "guard.h"
#include "host_module.h"
#include "interpreter.h"
#include "length_operator.h"
#include "registry.h"

namespace gradus {
namespace {

constexpr const char* kRefused = "bytecode is refused; expected Lua source text";
char kBeingLoaded;        // its address marks a module that is being loaded
char kTrustedRequire;     // registry key
char kStdlibEnvironment;  // registry key
char kFfi;                // registry key: the ffi module, which package.loaded does not show

[[noreturn]] void fail(lua_State* L, const std::string& text, int code) {
  push_failure(L, text, code);
  lua_error(L);
  __builtin_unreachable();
}

// --- the doors

bool is_bytecode_message(const char* message) {
  return message && (std::strstr(message, "wrong mode") || std::strstr(message, "bytecode"));
}

// Replaces the message of a syntax error, on top of the stack, by one that knows what other languages write there.
void explain_syntax(lua_State* L, const std::string& text) {
  const int top = lua_gettop(L);
  push_trusted_require(L);
  lua_pushliteral(L, "gradus.base.habits");
  if (lua_pcall(L, 1, 1, 0) == 0 && lua_istable(L, -1)) {
    lua_getfield(L, -1, "syntax");
    lua_pushlstring(L, text.data(), text.size());
    lua_pushvalue(L, top);
    if (lua_pcall(L, 2, 1, 0) == 0 && lua_type(L, -1) == LUA_TSTRING) lua_replace(L, top);
  }
  lua_settop(L, top);
}

// load's arguments, of which the first is a text, to the original with its lengths as calls. Pushes the function, or
// nothing.
bool load_with_length_calls(lua_State* L) {
  const int count = lua_gettop(L);
  if (lua_isnil(L, 2)) {  // the text is the name of the chunk then
    lua_pushvalue(L, 1);
    lua_replace(L, 2);
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  {
    std::size_t size = 0;
    const char* bytes = lua_tolstring(L, 1, &size);
    const std::string with = with_length_calls(std::string(bytes, size));
    lua_pushlstring(L, with.data(), with.size());
  }
  for (int i = 2; i <= count; ++i) lua_pushvalue(L, i);
  lua_call(L, count, 1);
  if (lua_isfunction(L, -1)) return true;
  lua_settop(L, count);
  return false;
}

// load "teacher.pt" would compile the name as Lua, and give nil.
void refuse_file_name(lua_State* L, const std::string& text) {
  if (text.size() > 200 || text.find_first_of(" \t\n=(") != std::string::npos) return;
  for (const char* ending : {".pt", ".pth", ".ckpt", ".safetensors", ".npy", ".csv", ".lua"})
    if (text.ends_with(ending))
      fail(L,
           "load: '" + text + "' is the name of a file; load compiles Lua source; expected " +
               (text.ends_with(".lua")                             ? "require or dofile"
                : text.ends_with(".csv") || text.ends_with(".npy") ? "g.data.csv(path) or g.data.npy { x = path }"
                                                                   : "net:load \"weights.safetensors\""),
           kData);
}

// load, loadstring: the original (upvalue 1) with its mode (argument 3) forced to text.
int load_text_only(lua_State* L) {
  constexpr int kMode = 3;
  const char* mode = luaL_optstring(L, kMode, "t");
  if (!std::strchr(mode, 't')) {
    lua_pushnil(L);
    lua_pushstring(L, kRefused);
    return 2;
  }
  if (lua_gettop(L) < kMode) lua_settop(L, kMode);
  lua_pushliteral(L, "t");
  lua_replace(L, kMode);
  const std::string text(lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : "");
  refuse_file_name(L, text);
  if (lua_type(L, 1) == LUA_TSTRING && load_with_length_calls(L)) return 1;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  if (lua_gettop(L) >= 2 && lua_isnil(L, 1) && is_bytecode_message(lua_tostring(L, 2))) {
    lua_pushstring(L, kRefused);
    lua_replace(L, 2);
  } else if (!text.empty() && lua_gettop(L) >= 2 && lua_isnil(L, 1)) {
    explain_syntax(L, text);
  }
  return lua_gettop(L);
}

// Reads and compiles a file and keeps its text among the sources. Pushes the function or the message.
bool load_file(lua_State* L, const char* path) {
  if (!path) return luaL_loadfilex(L, nullptr, "t") == 0;
  Interpreter& interpreter = Interpreter::of(L);
  const Source* source = nullptr;
  bool failed = false;
  try {
    source = &interpreter.session.read_file(path);
  } catch (const HostError& error) {
    lua_pushstring(L, error.what());
    failed = true;
  }
  if (failed) return false;
  interpreter.loaded.push_back(source);
  return load_user_text(L, source->text, "@" + source->path, source->path);
}

int loadfile_text_only(lua_State* L) {
  const char* path = luaL_optstring(L, 1, nullptr);
  const bool has_environment = lua_gettop(L) >= 3;
  if (!std::strchr(luaL_optstring(L, 2, "t"), 't')) {
    lua_pushnil(L);
    lua_pushstring(L, kRefused);
    return 2;
  }
  if (!load_file(L, path)) {
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
  }
  if (has_environment) {
    lua_pushvalue(L, 3);
    lua_setfenv(L, -2);
  }
  return 1;
}

int dofile_text_only(lua_State* L) {
  const char* path = luaL_optstring(L, 1, nullptr);
  lua_settop(L, 1);
  if (!load_file(L, path)) return lua_error(L);
  lua_call(L, 0, LUA_MULTRET);
  return lua_gettop(L) - 1;
}

// --- modules

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
  if (!open) fail(L, failure, kBug);
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
    fail(L,
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
  fail(L, text, kMissing);
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
    fail(L, "module 'ffi' reads and writes memory unchecked; a script may use it only with --allow-ffi", kData);
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
    fail(L, std::string("module '") + name + "' requires itself: " + chain + name, kData);
  }
  if (lua_toboolean(L, -1)) return 1;
  lua_settop(L, 2);

  for (int i = 1; !lua_isfunction(L, -1); ++i) {
    lua_settop(L, 2);
    lua_rawgeti(L, lua_upvalueindex(2), i);
    if (lua_isnil(L, -1)) fail(L, std::string("module '") + name + "' not found", kMissing);
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

void set_text_only_doors(lua_State* L) {
  for (const char* name : {"load", "loadstring"}) {
    lua_getglobal(L, name);
    lua_pushcclosure(L, load_text_only, 1);
    lua_setglobal(L, name);
  }
  lua_pushcfunction(L, loadfile_text_only);
  lua_setglobal(L, "loadfile");
  lua_pushcfunction(L, dofile_text_only);
  lua_setglobal(L, "dofile");
  lua_getglobal(L, "string");
  lua_pushnil(L);
  lua_setfield(L, -2, "dump");
  lua_pop(L, 1);
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

bool load_text(lua_State* L, const std::string& text, const std::string& chunk_name, const std::string& name) {
  if (luaL_loadbufferx(L, text.data(), text.size(), chunk_name.c_str(), "t") == 0) return true;
  if (is_bytecode(text)) {
    lua_pop(L, 1);
    const std::string message = name + ": " + kRefused;
    remember_error(L, message, kData);
    lua_pushlstring(L, message.data(), message.size());
  }
  return false;
}

bool load_user_text(lua_State* L, const std::string& text, const std::string& chunk_name, const std::string& name) {
  if (const std::string with = with_length_calls(text); with != text) {
    if (luaL_loadbufferx(L, with.data(), with.size(), chunk_name.c_str(), "t") == 0) return true;
    lua_pop(L, 1);
  }
  if (load_text(L, text, chunk_name, name)) return true;
  explain_syntax(L, text);
  return false;
}

void install_source_loader(lua_State* L) {
  set_text_only_doors(L);

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
