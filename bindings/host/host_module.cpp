#include "host_module.h"

#include <cstdlib>

#include "../nearest.h"
#include "guard.h"
#include "interpreter.h"
#include "json_value.h"
#include "lua_text.h"
#include "require.h"
#include "run_log.h"
#include "script_error.h"
#include "signals.h"
#include "store/sha256.h"

namespace gradus {
namespace {

// --- texts

int sha256_of(lua_State* L) {
  std::size_t size = 0;
  const char* bytes = luaL_checklstring(L, 1, &size);
  push_text(L, sha256({bytes, size}));
  return 1;
}

int json_encode(lua_State* L) {
  luaL_checkany(L, 1);
  std::string text;
  guard(L, [&] { text = dump_json(to_json(L, 1)); });
  push_text(L, text);
  return 1;
}

int json_decode(lua_State* L) {
  const std::string text = text_argument(L, 1);
  nlohmann::json value;
  guard(L, [&] {
    try {
      value = nlohmann::json::parse(text);
    } catch (const nlohmann::json::exception& error) {
      throw HostError(kData, std::string("json: ") + error.what());
    }
  });
  push_json(L, value);
  return 1;
}

int nearest_word(lua_State* L) {
  if (lua_type(L, 1) != LUA_TSTRING) return lua_pushnil(L), 1;  // nothing is near what is no word
  const std::string word = text_argument(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  std::vector<std::string> words;
  for (int i = 1; lua_rawgeti(L, 2, i), !lua_isnil(L, -1); ++i) {
    if (lua_isstring(L, -1)) words.emplace_back(lua_tostring(L, -1));
    lua_pop(L, 1);
  }
  const std::string best = nearest(word, words);
  if (best.empty())
    lua_pushnil(L);
  else
    push_text(L, best);
  return 1;
}

// --- errors

int where(lua_State* L) {
  const std::string line = user_line(L);
  if (line.empty())
    lua_pushnil(L);
  else
    push_text(L, line);
  return 1;
}

int fail(lua_State* L) {
  push_failure(L, text_argument(L, 1), luaL_optint(L, 2, kData));
  return lua_error(L);
}

// entering(fn): the standard library is about to call this function of the user's; see user_line.h.
int entering(lua_State* L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, "gradus.entered");
  return 0;
}

int traceback(lua_State* L) {
  lua_settop(L, 1);
  return record_traceback(L);
}

int exiting(lua_State* L) {
  const auto& code = Interpreter::of(L).exit_code;
  if (code)
    lua_pushinteger(L, *code);
  else
    lua_pushnil(L);
  return 1;
}

// error_text(value) -> what an error object says, whatever it is.
int text_of_error(lua_State* L) {
  luaL_checkany(L, 1);
  push_text(L, error_text(L, 1));
  return 1;
}

int stopping_signal(lua_State* L) {
  if (const char* name = stopping())
    lua_pushstring(L, name);
  else
    lua_pushnil(L);
  return 1;
}

int wanted_saves(lua_State* L) {
  lua_pushinteger(L, saves_wanted());
  return 1;
}

// --- the run

int log_line(lua_State* L) {
  const std::string level = text_argument(L, 1), text = text_argument(L, 2);
  guard(L, [&] { write_run_log(level, text); });
  return 0;
}

int open_log(lua_State* L) {
  const std::string path = lua_isnoneornil(L, 1) ? "" : text_argument(L, 1);
  guard(L, [&] { open_run_log(path); });
  return 0;
}

// Pushes the line that user_line falls back on when a tail call left no frame: the standard library's own analysis.
int tail_line(lua_State* L) {
  push_trusted_require(L);
  lua_pushliteral(L, "gradus.base.tail_call");
  lua_call(L, 1, 1);
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

constexpr luaL_Reg kFunctions[] = {{"sha256", sha256_of},
                                   {"json_encode", json_encode},
                                   {"json_decode", json_decode},
                                   {"nearest", nearest_word},
                                   {"where", where},
                                   {"fail", fail},
                                   {"entering", entering},
                                   {"traceback", traceback},
                                   {"exiting", exiting},
                                   {"error_text", text_of_error},
                                   {"stopping", stopping_signal},
                                   {"saves_wanted", wanted_saves},
                                   {"log", log_line},
                                   {"open_log", open_log},
                                   {nullptr, nullptr}};

}  // namespace

void push_options(lua_State* L, Session& session) {
  const RunOptions& options = session.options;
  lua_newtable(L);
  set_text(L, "script", options.script);
  set_text(L, "script_dir", session.script_dir().empty() ? "." : session.script_dir());
  set_text(L, "store", options.store);
  if (!options.name.empty()) set_text(L, "name", options.name);
  if (!options.device.empty()) set_text(L, "device", options.device);
  if (!options.seeds.empty()) {
    lua_pushnumber(L, static_cast<double>(options.seeds.front()));
    lua_setfield(L, -2, "seed");
    lua_createtable(L, static_cast<int>(options.seeds.size()), 0);
    for (std::size_t i = 0; i < options.seeds.size(); ++i) {
      lua_pushnumber(L, static_cast<double>(options.seeds[i]));
      lua_rawseti(L, -2, static_cast<int>(i) + 1);
    }
    lua_setfield(L, -2, "seeds");
  }
  if (options.threads) {
    lua_pushinteger(L, *options.threads);
    lua_setfield(L, -2, "threads");
  }
  if (options.jobs) {
    if (*options.jobs > 0)
      lua_pushinteger(L, *options.jobs);
    else
      lua_pushliteral(L, "auto");
    lua_setfield(L, -2, "jobs");
  }
  for (const auto& [name, value] : options.more) set_text(L, name.c_str(), value);
  set_flag(L, "halving", options.halving);
  set_flag(L, "resume", options.resume);
  set_flag(L, "live", options.live);
  set_flag(L, "quiet", options.quiet);
  set_flag(L, "json", options.json);
  set_flag(L, "strict", options.strict);
  lua_createtable(L, static_cast<int>(options.set.size()), 0);
  int i = 0;
  for (const auto& [key, value] : options.set) {
    lua_createtable(L, 2, 0);
    push_text(L, key);
    lua_rawseti(L, -2, 1);
    push_text(L, value);
    lua_rawseti(L, -2, 2);
    lua_rawseti(L, -2, ++i);
  }
  lua_setfield(L, -2, "set");
}

int open_host(lua_State* L) {
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  add_machine_functions(L);
  add_source_functions(L);
  push_options(L, Interpreter::of(L).session);
  lua_setfield(L, -2, "options");
  lua_pushcfunction(L, tail_line);
  lua_setfield(L, LUA_REGISTRYINDEX, "gradus.tail_line");
  return 1;
}

}  // namespace gradus
