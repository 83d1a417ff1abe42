// Lua values as JSON and back. Tables with 1..n are arrays, tables with text keys objects with sorted keys, the empty
// table is {}; NaN and infinities, which JSON lacks, become "nan", "inf" and "-inf"; null becomes nil.
#pragma once

#include <lua.hpp>
#include <nlohmann/json.hpp>

namespace gradus {

// Throws HostError (data) for functions, userdata, mixed keys, and tables that are nested too deeply or hold
// themselves. Calls no Lua and raises no Lua error.
nlohmann::json to_json(lua_State* L, int index);

// Pushes one value.
void push_json(lua_State* L, const nlohmann::json& value);

std::string dump_json(const nlohmann::json& value);  // one line; invalid UTF-8 becomes U+FFFD

}  // namespace gradus
