#include "load_functions.h"

#include <cstring>
#include <string>

#include "guard.h"
#include "interpreter.h"
#include "length_operator.h"
#include "source_loader.h"

namespace gradus {
namespace {

bool is_bytecode_message(const char* message) {
  return message && (std::strstr(message, "wrong mode") || std::strstr(message, "bytecode"));
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
      raise_failure(
          L,
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
    lua_pushstring(L, kBytecodeRefused);
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
    lua_pushstring(L, kBytecodeRefused);
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
    lua_pushstring(L, kBytecodeRefused);
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

}  // namespace

void install_load_functions(lua_State* L) {
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

}  // namespace gradus
