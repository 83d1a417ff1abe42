#include "json_value.h"

#include <cmath>

#include "host_error.h"

namespace gradus {
namespace {

constexpr int kMaxDepth = 100;

nlohmann::json table_to_json(lua_State* L, int index, int depth);

nlohmann::json value_to_json(lua_State* L, int index, int depth) {
  switch (lua_type(L, index)) {
    case LUA_TNIL:
      return nullptr;
    case LUA_TBOOLEAN:
      return lua_toboolean(L, index) != 0;
    case LUA_TNUMBER: {
      const double number = lua_tonumber(L, index);
      if (std::isnan(number)) return "nan";  // JSON has no such numbers; null would be nothing at all
      if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
      if (number == std::floor(number) && std::fabs(number) < 9007199254740992.0)
        return static_cast<std::int64_t>(number);
      return number;
    }
    case LUA_TSTRING: {
      std::size_t size = 0;
      const char* text = lua_tolstring(L, index, &size);
      return std::string(text, size);
    }
    case LUA_TTABLE:
      return table_to_json(L, index, depth);
    default:
      throw HostError(kData, std::string("json: a ") + luaL_typename(L, index) + " has no JSON form");
  }
}

nlohmann::json table_to_json(lua_State* L, int index, int depth) {
  if (depth >= kMaxDepth || !lua_checkstack(L, 4))
    throw HostError(kData,
                    "json: tables nested more than " + std::to_string(kMaxDepth) + " deep; does a table hold itself?");
  const std::size_t length = lua_objlen(L, index);
  if (length > 0) {
    nlohmann::json list = nlohmann::json::array();
    for (std::size_t i = 1; i <= length; ++i) {
      lua_rawgeti(L, index, static_cast<int>(i));
      list.push_back(value_to_json(L, lua_gettop(L), depth + 1));
      lua_pop(L, 1);
    }
    lua_pushnil(L);
    while (lua_next(L, index)) {
      lua_pop(L, 1);
      if (lua_type(L, -1) == LUA_TSTRING)
        throw HostError(
            kData, std::string("json: a table has both list items and the named field '") + lua_tostring(L, -1) + "'");
    }
    return list;
  }
  nlohmann::json object = nlohmann::json::object();
  lua_pushnil(L);
  while (lua_next(L, index)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      throw HostError(kData, std::string("json: a table key is a ") + luaL_typename(L, -2) +
                                 "; expected text keys, or the list 1..n");
    std::size_t size = 0;
    const char* key = lua_tolstring(L, -2, &size);
    object[std::string(key, size)] = value_to_json(L, lua_gettop(L), depth + 1);
    lua_pop(L, 1);
  }
  return object;
}

void push_value(lua_State* L, const nlohmann::json& value, int depth) {
  if (depth > kMaxDepth) luaL_error(L, "json: nested more than %d deep", kMaxDepth);
  luaL_checkstack(L, 4, "json");
  if (value.is_boolean()) {
    lua_pushboolean(L, value.get<bool>());
  } else if (value.is_number()) {
    lua_pushnumber(L, value.get<double>());
  } else if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    lua_pushlstring(L, text.data(), text.size());
  } else if (value.is_array()) {
    lua_createtable(L, static_cast<int>(value.size()), 0);
    int i = 0;
    for (const auto& item : value) {
      push_value(L, item, depth + 1);
      lua_rawseti(L, -2, ++i);
    }
  } else if (value.is_object()) {
    lua_createtable(L, 0, static_cast<int>(value.size()));
    for (const auto& [key, item] : value.items()) {
      lua_pushlstring(L, key.data(), key.size());
      push_value(L, item, depth + 1);
      lua_rawset(L, -3);
    }
  } else {
    lua_pushnil(L);
  }
}

}  // namespace

nlohmann::json to_json(lua_State* L, int index) {
  if (index < 0) index = lua_gettop(L) + index + 1;
  return value_to_json(L, index, 0);
}

void push_json(lua_State* L, const nlohmann::json& value) { push_value(L, value, 0); }

std::string dump_json(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace gradus
