// engine.data, and in it the data sets that need no file, and named seeds.
#include "data.h"

#include <cmath>
#include <utility>

#include "data/digits.h"
#include "data/parity.h"
#include "options.h"
#include "random.h"

namespace gradus {

namespace {

// digits() -> x [1797, 1, 8, 8], y [1797]
int lua_digits(lua_State* L) {
  std::pair<at::Tensor, at::Tensor> data;
  guard(L, [&] { data = digits(); });
  push_tensor(L, std::move(data.first));
  push_tensor(L, std::move(data.second));
  return 2;
}

// parity{d, k, seed, first, size} -> x [size, d], y [size]
int lua_parity(lua_State* L) {
  std::pair<at::Tensor, at::Tensor> data;
  guard(L, [&] {
    const Options given(L, 1, "parity", {"d", "k", "seed", "first", "size"});
    data = parity({given.whole("d", 0), given.whole("k", 0), given.seed("seed")}, given.whole("first", 0),
                  given.whole("size", 0));
  });
  push_tensor(L, std::move(data.first));
  push_tensor(L, std::move(data.second));
  return 2;
}

// derive_seed(seed, name, sub = 0) -> a whole number below 2^53
int lua_derive_seed(lua_State* L) {
  uint64_t seed = 0;
  guard(L, [&] {
    const uint64_t sub = lua_isnoneornil(L, 3) ? 0 : seed_at(L, 3, "derive_seed: sub");
    seed = derive_seed(seed_at(L, 1, "derive_seed: seed"), text_at(L, 2, "derive_seed: name"), sub);
  });
  lua_pushnumber(L, static_cast<double>(seed));
  return 1;
}

constexpr luaL_Reg kFunctions[] = {
    {"digits", lua_digits}, {"parity", lua_parity}, {"derive_seed", lua_derive_seed}, {nullptr, nullptr}};

}  // namespace

std::string text_at(lua_State* L, int index, const char* what) {
  if (lua_type(L, index) != LUA_TSTRING)
    throw Error(Exit::data, std::string(what) + ": expected a text; got " + describe(L, index));
  size_t length;
  const char* bytes = lua_tolstring(L, index, &length);
  return {bytes, length};
}

uint64_t seed_at(lua_State* L, int index, const char* what) {
  const double value = lua_tonumber(L, index);
  if (lua_type(L, index) != LUA_TNUMBER || value < 0 || value != std::floor(value) || value > kMaxWhole) {
    throw Error(Exit::data, std::string(what) + ": expected a whole number from 0 to 2^53; got " + describe(L, index));
  }
  return static_cast<uint64_t>(value);
}

void register_type(lua_State* L, const char* type, const luaL_Reg* methods, lua_CFunction collect) {
  luaL_newmetatable(L, type);
  lua_newtable(L);
  luaL_register(L, nullptr, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  lua_pushstring(L, type);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

void open_data(lua_State* L) {
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  open_files(L);
  open_sampler(L);
  open_loader(L);
  open_tokenizer(L);
}

}  // namespace gradus
