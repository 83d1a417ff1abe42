#include "run_writer.h"

#include <cmath>
#include <cstring>

#include "guard.h"
#include "store_arguments.h"
#include "store_object.h"

namespace gradus {
namespace {

using namespace store_arguments;

constexpr const char* kWriter = "gradus.Run";

results::Writer& check_writer(lua_State* L) {
  WriterPtr& writer = check_object<WriterPtr>(L, kWriter);
  if (!writer) luaL_error(L, "the run was released");
  return *writer;
}

int key(lua_State* L) {
  results::Writer& writer = check_writer(L);
  std::size_t size = 0;
  const char* name = luaL_checklstring(L, 2, &size);
  int number = 0;
  guard(L, [&] { number = writer.key({name, size}); });
  lua_pushinteger(L, number);
  return 1;
}

// The hot one: no allocation, no table, and the exception path costs nothing until it is taken.
int log_value(lua_State* L) {
  results::Writer& writer = check_writer(L);
  const int number = luaL_checkint(L, 2);
  const double step = luaL_checknumber(L, 3);
  luaL_argcheck(L, step >= -0x1p63 && step < 0x1p63 && step == std::floor(step), 3,
                "expected a whole number that 64 bits hold");
  const double value = luaL_checknumber(L, 4);
  guard(L, [&] { writer.log(number, static_cast<std::int64_t>(step), value); });
  return 0;
}

int progress(lua_State* L) {
  results::Writer& writer = check_writer(L);
  const std::int64_t step = check_integer(L, 2);
  const double epoch = luaL_checknumber(L, 3);
  const std::int64_t samples = check_integer(L, 4);
  const double flops = luaL_checknumber(L, 5), seconds = luaL_checknumber(L, 6);
  guard(L, [&] { writer.progress(step, epoch, samples, flops, seconds); });
  return 0;
}

int event(lua_State* L) {
  results::Writer& writer = check_writer(L);
  const std::int64_t step = check_integer(L, 2);
  const std::string kind = check_text(L, 3), name = check_text(L, 4);
  const std::string detail = lua_isnoneornil(L, 5) ? "" : check_text(L, 5);
  guard(L, [&] { writer.event(step, kind, name, detail); });
  return 0;
}

int artifact(lua_State* L) {
  results::Writer& writer = check_writer(L);
  const std::string kind = check_text(L, 2), path = check_text(L, 3), hash = check_text(L, 4);
  const std::int64_t bytes = check_integer(L, 5);
  guard(L, [&] { writer.artifact(kind, path, hash, bytes); });
  return 0;
}

// better(name, "higher" or "lower"): which way a metric is better, for the whole store. Again is harmless; the other
// way is an error.
int better(lua_State* L) {
  results::Writer& writer = check_writer(L);
  const std::string name = check_text(L, 2), direction = check_text(L, 3);
  guard(L, [&] { writer.better(name, direction); });
  return 0;
}

// amend{config_hash =, threads =, params =}
int amend(lua_State* L) {
  results::Writer& writer = check_writer(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checkstack(L, 20, "store");
  guard(L, [&] {
    writer.amend(text_field(L, 2, "config_hash"), integer_field(L, 2, "threads"),
                 list_field(L, 2, "params", read_param), list_field(L, 2, "sources", read_source));
  });
  return 0;
}

// split{name =, kind =, prefixes = JSON} -> id and uid of the child run that has what was logged so far; this run goes
// on empty, from step 0.
int split(lua_State* L) {
  results::Writer& writer = check_writer(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  results::SplitRun child;
  guard(L, [&] {
    const std::string kind = text_field(L, 2, "kind");
    const std::string prefixes = text_field(L, 2, "prefixes");
    child = writer.split(text_field(L, 2, "name"), kind.empty() ? "training" : kind,
                         prefixes.empty() ? "[\"\"]" : prefixes);
  });
  lua_pushnumber(L, static_cast<double>(child.id));
  lua_pushstring(L, child.uid.c_str());
  return 2;
}

// point() -> {event =, child =, progress =, keys = JSON}: all that was given so far is in the tables.
int point(lua_State* L) {
  results::Writer& writer = check_writer(L);
  results::Point found;
  guard(L, [&] { found = writer.point(); });
  lua_createtable(L, 0, 4);
  lua_pushnumber(L, static_cast<double>(found.progress));
  lua_setfield(L, -2, "progress");
  lua_pushnumber(L, static_cast<double>(found.event));
  lua_setfield(L, -2, "event");
  lua_pushnumber(L, static_cast<double>(found.child));
  lua_setfield(L, -2, "child");
  lua_pushlstring(L, found.keys.data(), found.keys.size());
  lua_setfield(L, -2, "keys");
  return 1;
}

int flush(lua_State* L) {
  results::Writer& writer = check_writer(L);
  guard(L, [&] { writer.flush(); });
  return 0;
}

int finish(lua_State* L) {
  results::Writer& writer = check_writer(L);
  const std::string status = check_text(L, 2), message = lua_isnoneornil(L, 3) ? "" : check_text(L, 3);
  guard(L, [&] { writer.finish(status, message); });
  return 0;
}

int writer_field(lua_State* L) {
  results::Writer& writer = check_writer(L);
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(1));  // methods first: they are called every step
  if (!lua_isnil(L, -1)) return 1;
  const char* field = luaL_checkstring(L, 2);
  if (std::strcmp(field, "id") == 0)
    lua_pushnumber(L, static_cast<double>(writer.id()));
  else if (std::strcmp(field, "uid") == 0)
    lua_pushstring(L, writer.uid().c_str());
  else if (std::strcmp(field, "folder") == 0)
    lua_pushstring(L, writer.folder().c_str());
  else if (std::strcmp(field, "finished") == 0)
    lua_pushboolean(L, writer.finished());
  return 1;
}

constexpr luaL_Reg kWriterMethods[] = {{"key", key},       {"log", log_value},     {"progress", progress},
                                       {"event", event},   {"artifact", artifact}, {"amend", amend},
                                       {"better", better}, {"split", split},       {"flush", flush},
                                       {"point", point},   {"finish", finish},     {nullptr, nullptr}};

}  // namespace

void make_run_writer_type(lua_State* L) {
  make_type(L, kWriter, kWriterMethods, release_object<WriterPtr>, writer_field);
}

void push_run_writer(lua_State* L, WriterPtr writer) { push_object(L, kWriter, std::move(writer)); }

}  // namespace gradus
