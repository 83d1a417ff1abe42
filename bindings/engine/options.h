// Named options of one call, read from a Lua table: an unknown name is refused and the right one named.
// For use inside guard(): everything here throws Error and never raises in Lua.
#pragma once

#include <algorithm>
#include <cmath>
#include <lua.hpp>
#include <optional>
#include <string>
#include <vector>

#include "../nearest.h"
#include "convert.h"
#include "error.h"

namespace gradus {

// What a whole number in Lua may be: beyond this, doubles skip some.
inline constexpr double kMaxWhole = 9007199254740992.0;

class Options {
 public:
  // Borrows the table at `index` (nil: no options), which must stay on the stack. `where` begins each message.
  Options(lua_State* L, int index, std::string where, std::vector<std::string> names)
      : L_(L), index_(index), where_(std::move(where)) {
    if (lua_isnoneornil(L, index)) {
      index_ = 0;
      return;
    }
    if (!lua_istable(L, index))
      throw Error(Exit::data, where_ + ": expected a table of options; got " + describe(L, index));
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
      const std::string key =
          lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "[" + describe(L, lua_gettop(L) - 1) + "]";
      if (std::find(names.begin(), names.end(), key) != names.end()) continue;
      std::string all;
      for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
      const std::string near = nearest(key, names);
      throw Error(Exit::data, where_ + ": no option '" + key + "'; expected one of " + all +
                                  (near.empty() ? "" : "; did you mean '" + near + "'?"));
    }
  }

  bool has(const char* name) const {
    const Value value(*this, name);
    return !lua_isnil(L_, -1);
  }
  double number(const char* name, double otherwise) const {
    const Value value(*this, name);
    if (lua_isnil(L_, -1)) return otherwise;
    if (lua_type(L_, -1) != LUA_TNUMBER) fail(name, "a number");
    return lua_tonumber(L_, -1);
  }
  int64_t whole(const char* name, int64_t otherwise) const {
    const Value value(*this, name);
    if (lua_isnil(L_, -1)) return otherwise;
    const double given = lua_tonumber(L_, -1);
    if (lua_type(L_, -1) != LUA_TNUMBER || given != std::floor(given) || std::fabs(given) > kMaxWhole)
      fail(name, "a whole number");
    return static_cast<int64_t>(given);
  }
  uint64_t seed(const char* name) const {
    const int64_t given = whole(name, 0);
    if (given < 0)
      throw Error(Exit::data,
                  where_ + ": " + name + ": expected a whole number from 0 to 2^53; got " + std::to_string(given));
    return static_cast<uint64_t>(given);
  }
  std::string text(const char* name, const std::string& otherwise) const {
    const Value value(*this, name);
    if (lua_isnil(L_, -1)) return otherwise;
    if (lua_type(L_, -1) != LUA_TSTRING) fail(name, "a text");
    size_t length;
    const char* bytes = lua_tolstring(L_, -1, &length);
    return {bytes, length};
  }
  std::optional<bool> boolean(const char* name) const {
    const Value value(*this, name);
    if (lua_isnil(L_, -1)) return std::nullopt;
    if (!lua_isboolean(L_, -1)) fail(name, "true or false");
    return lua_toboolean(L_, -1);
  }
  std::vector<std::string> texts(const char* name) const {
    const Value value(*this, name);
    std::vector<std::string> list;
    if (lua_isnil(L_, -1)) return list;
    if (!lua_istable(L_, -1)) fail(name, "a list of texts");
    for (int i = 1; i <= static_cast<int>(lua_objlen(L_, -1)); ++i) {
      lua_rawgeti(L_, -1, i);
      const bool fine = lua_type(L_, -1) == LUA_TSTRING;
      if (fine) list.emplace_back(lua_tostring(L_, -1));
      lua_pop(L_, 1);
      if (!fine) fail(name, "a list of texts");
    }
    return list;
  }
  bool is_number(const char* name) const {
    const Value value(*this, name);
    return lua_type(L_, -1) == LUA_TNUMBER;
  }
  at::Tensor tensor(const char* name) const {  // undefined when not given
    const Value value(*this, name);
    if (lua_isnil(L_, -1)) return {};
    at::Tensor* tensor = test_tensor(L_, lua_gettop(L_));
    if (!tensor || !tensor->defined()) fail(name, "a Tensor");
    return *tensor;
  }

 private:
  // The named value on the top of the stack, for as long as this lives.
  struct Value {
    Value(const Options& options, const char* name) : L(options.L_) {
      if (!options.index_) {
        lua_pushnil(L);
        return;
      }
      lua_pushstring(L, name);
      lua_rawget(L, options.index_);
    }
    ~Value() { lua_pop(L, 1); }
    lua_State* L;
  };
  [[noreturn]] void fail(const char* name, const char* expected) const {
    throw Error(Exit::data, where_ + ": " + name + ": expected " + expected + "; got " + describe(L_, lua_gettop(L_)));
  }

  lua_State* L_;
  int index_;
  std::string where_;
};

}  // namespace gradus
