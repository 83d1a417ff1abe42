// require "gradus.statistics": what of results/query/statistics.h scripts ask for.
#include "host_module.h"
#include "query/statistics.h"

namespace gradus {
namespace {

// pairs_needed(effect, power, level): the fewest pairs, or nil where no number up to 100000 will do.
int pairs_needed(lua_State* L) {
  const int pairs = results::pairs_needed(luaL_checknumber(L, 1), luaL_checknumber(L, 2), luaL_checknumber(L, 3));
  if (pairs == 0) return 0;
  lua_pushinteger(L, pairs);
  return 1;
}

constexpr luaL_Reg kFunctions[] = {{"pairs_needed", pairs_needed}, {nullptr, nullptr}};

}  // namespace

int open_statistics(lua_State* L) {
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  return 1;
}

}  // namespace gradus
