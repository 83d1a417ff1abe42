#include "source_loader.h"

#include "../error_code.h"
#include "host_error.h"
#include "length_operator.h"
#include "load_functions.h"
#include "require.h"
#include "session.h"

namespace gradus {

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

bool load_text(lua_State* L, const std::string& text, const std::string& chunk_name, const std::string& name) {
  if (luaL_loadbufferx(L, text.data(), text.size(), chunk_name.c_str(), "t") == 0) return true;
  if (is_bytecode(text)) {
    lua_pop(L, 1);
    const std::string message = name + ": " + kBytecodeRefused;
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
  install_load_functions(L);
  install_require(L);
}

}  // namespace gradus
