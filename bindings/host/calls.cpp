#include "calls.h"

#include <cstring>
#include <set>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace gradus {
namespace {

constexpr const char* kLibrary = "@stdlib/";

struct Call {
  const char* chunk;  // interned by LuaJIT, and alive as long as the library's functions are: to the state's end
  int line;
  bool operator==(const Call& other) const { return chunk == other.chunk && line == other.line; }
};

struct HashCall {
  std::size_t operator()(const Call& call) const {
    return std::hash<const void*>()(call.chunk) * 31 + static_cast<std::size_t>(call.line);
  }
};

using Calls = std::unordered_set<Call, HashCall>;
thread_local std::vector<Calls> watches;

void note(lua_State* L, lua_Debug* call) {
  lua_getinfo(L, "S", call);
  if (std::strncmp(call->source, kLibrary, std::strlen(kLibrary)) == 0)
    watches.back().insert({call->source, call->linedefined});
}

}  // namespace

int watch_calls(lua_State* L) {
  watches.emplace_back();
  lua_sethook(L, note, LUA_MASKCALL, 0);
  return 0;
}

int watched_calls(lua_State* L) {
  if (watches.empty()) return luaL_error(L, "watched_calls: nothing is watched; expected watch_calls first");
  {
    const Calls seen = std::move(watches.back());
    watches.pop_back();
    if (watches.empty())
      lua_sethook(L, nullptr, 0, 0);
    else
      watches.back().insert(seen.begin(), seen.end());
    std::set<std::string> sorted;
    for (const Call& call : seen) sorted.insert(call.chunk + std::strlen(kLibrary) + (":" + std::to_string(call.line)));
    lua_createtable(L, static_cast<int>(sorted.size()), 0);
    int i = 0;
    for (const std::string& one : sorted) {
      lua_pushlstring(L, one.data(), one.size());
      lua_rawseti(L, -2, ++i);
    }
  }
  return 1;
}

}  // namespace gradus
