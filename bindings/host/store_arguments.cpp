#include "store_arguments.h"

#include <cmath>

#include "host_error.h"
#include "json_value.h"
#include "store/sha256.h"

namespace gradus::store_arguments {

std::string check_text(lua_State* L, int index) {
  std::size_t size = 0;
  const char* text = luaL_checklstring(L, index, &size);
  return std::string(text, size);
}

namespace {

// That a double holds exactly.
bool is_whole(double number) { return number == std::floor(number) && std::fabs(number) <= 9007199254740992.0; }

}  // namespace

std::int64_t check_integer(lua_State* L, int index) {
  const double number = luaL_checknumber(L, index);
  luaL_argcheck(L, is_whole(number), index, "expected a whole number");
  return static_cast<std::int64_t>(number);
}

results::Cell check_cell(lua_State* L, int index) {
  switch (lua_type(L, index)) {
    case LUA_TNIL:
      return {};
    case LUA_TBOOLEAN:
      return static_cast<std::int64_t>(lua_toboolean(L, index));
    case LUA_TNUMBER: {
      const double number = lua_tonumber(L, index);
      if (number == std::floor(number) && std::fabs(number) < 9007199254740992.0)
        return static_cast<std::int64_t>(number);
      return number;
    }
    default:
      return check_text(L, index);
  }
}

std::string text_field(lua_State* L, int table, const char* field) {
  lua_getfield(L, table, field);
  std::string text;
  std::size_t size = 0;
  if (const char* bytes = lua_isstring(L, -1) ? lua_tolstring(L, -1, &size) : nullptr) text.assign(bytes, size);
  lua_pop(L, 1);
  return text;
}

std::optional<std::int64_t> integer_field(lua_State* L, int table, const char* field) {
  lua_getfield(L, table, field);
  std::optional<std::int64_t> whole;
  std::string other;
  if (lua_isnumber(L, -1)) {
    if (const double number = lua_tonumber(L, -1); is_whole(number))
      whole = static_cast<std::int64_t>(number);
    else
      other = lua_tostring(L, -1);
  }
  lua_pop(L, 1);
  if (!other.empty())
    throw HostError(kData, std::string("store: ") + field + ": expected a whole number; got " + other);
  return whole;
}

bool flag_field(lua_State* L, int table, const char* field) {
  lua_getfield(L, table, field);
  const bool flag = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return flag;
}

results::Param read_param(lua_State* L, int table) {
  results::Param param;
  param.key = text_field(L, table, "key");
  const bool real = text_field(L, table, "type") == "number";
  lua_getfield(L, table, "value");
  switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN:
      param.value = lua_toboolean(L, -1) != 0;
      break;
    case LUA_TNUMBER: {
      const double number = lua_tonumber(L, -1);
      if (!real && number == std::floor(number) && std::fabs(number) < 9007199254740992.0)
        param.value = static_cast<std::int64_t>(number);
      else
        param.value = number;
      break;
    }
    case LUA_TSTRING:
      param.value = text_field(L, table, "value");
      break;
    case LUA_TNIL:
      break;
    default:
      lua_pop(L, 1);
      throw HostError(kData, "store: parameter '" + param.key + "': expected a number, text or boolean");
  }
  lua_pop(L, 1);
  return param;
}

results::Source read_source(lua_State* L, int table) {
  return {text_field(L, table, "path"), text_field(L, table, "sha256"), text_field(L, table, "text")};
}

namespace {

results::Environment read_environment(lua_State* L, int table) {
  results::Environment environment;
  environment.threads = integer_field(L, table, "threads");
  environment.device = text_field(L, table, "device");
  environment.host = text_field(L, table, "host");
  environment.command = text_field(L, table, "command");
  environment.script = text_field(L, table, "script");
  lua_getfield(L, table, "git");
  if (lua_istable(L, -1)) {
    const int git = lua_gettop(L);
    environment.git_commit = text_field(L, git, "commit");
    lua_getfield(L, git, "dirty");
    if (!lua_isnil(L, -1)) environment.git_dirty = lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
    results::Source diff{"git.diff", "", text_field(L, git, "diff")};
    if (!diff.text.empty()) {
      diff.sha256 = sha256(diff.text);
      environment.git_diff = std::move(diff);
    }
  }
  lua_pop(L, 1);
  lua_getfield(L, table, "versions");
  if (lua_istable(L, -1)) environment.versions = dump_json(to_json(L, -1));
  lua_pop(L, 1);
  return environment;
}

}  // namespace

results::Point read_point(lua_State* L, int table) {
  const auto number = [&](const char* field, std::int64_t otherwise) {
    return integer_field(L, table, field).value_or(otherwise);
  };
  const std::string keys = text_field(L, table, "keys");
  const std::int64_t step = number("step", -1);
  return {step, number("event", 0), number("child", 0), number("progress", step), keys.empty() ? "[]" : keys};
}

results::RunStart read_run_start(lua_State* L, int table) {
  results::RunStart start;
  start.name = text_field(L, table, "name");
  if (std::string kind = text_field(L, table, "kind"); !kind.empty()) start.kind = kind;
  start.seed = integer_field(L, table, "seed");
  start.config_hash = text_field(L, table, "config_hash");
  start.parent = integer_field(L, table, "parent");
  start.params = list_field(L, table, "params", read_param);
  start.sources = list_field(L, table, "sources", read_source);
  lua_getfield(L, table, "environment");
  if (lua_istable(L, -1)) start.environment = read_environment(L, lua_gettop(L));
  lua_pop(L, 1);
  lua_getfield(L, table, "past");
  if (lua_istable(L, -1)) {
    const int past = lua_gettop(L);
    start.past = results::Past{integer_field(L, past, "run").value_or(0), read_point(L, past)};
  }
  lua_pop(L, 1);
  return start;
}

}  // namespace gradus::store_arguments
