// What gradus.store's functions are given, read from Lua's stack: numbers and texts at an index, fields of the table at `table`. Each
// leaves the stack as it was.
#pragma once

#include <cstdint>
#include <lua.hpp>
#include <optional>
#include <string>
#include <vector>

#include "store/store.h"

namespace gradus::store_arguments {

// Errors: luaL's own, for another type or a number with a fraction.
std::string check_text(lua_State* L, int index);
std::int64_t check_integer(lua_State* L, int index);
results::Cell check_cell(lua_State* L, int index);  // what a query binds: nil, a number, a text; a boolean as 0 or 1

// "" or nullopt where the field is not there or of another type. Error (data): a number that is not whole.
std::string text_field(lua_State* L, int table, const char* field);
std::optional<std::int64_t> integer_field(lua_State* L, int table, const char* field);
bool flag_field(lua_State* L, int table, const char* field);

// A parameter {key=, value=, type=}; type "number" keeps a whole number real, else whole numbers are integers.
results::Param read_param(lua_State* L, int table);
results::Source read_source(lua_State* L, int table);  // {path =, sha256 =, text =}
// {step =, event =, child =, progress =, keys = JSON}, as Writer:point() gives it.
results::Point read_point(lua_State* L, int table);
results::RunStart read_run_start(lua_State* L, int table);

// Of each table in the list `field`, up to the first thing that is none.
template <class T>
std::vector<T> list_field(lua_State* L, int table, const char* field, T (*read)(lua_State*, int)) {
  std::vector<T> items;
  lua_getfield(L, table, field);
  const int list = lua_gettop(L);
  for (int i = 1; lua_istable(L, list); ++i) {
    lua_rawgeti(L, list, i);
    const bool more = lua_istable(L, -1);
    if (more) items.push_back(read(L, lua_gettop(L)));
    lua_pop(L, 1);
    if (!more) break;
  }
  lua_pop(L, 1);
  return items;
}

}  // namespace gradus::store_arguments
