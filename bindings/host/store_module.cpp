// gradus.store: the results store for Lua. A store and a run writer are userdata that share ownership of the C++
// object.
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "guard.h"
#include "host_module.h"
#include "json_value.h"
#include "output.h"
#include "query/direction.h"
#include "query/query.h"
#include "store/housekeeping.h"
#include "store/sha256.h"
#include "store/store.h"

namespace gradus {
namespace {

using StorePtr = std::shared_ptr<results::Store>;
using WriterPtr = std::shared_ptr<results::Writer>;
constexpr const char* kStore = "gradus.Store";
constexpr const char* kWriter = "gradus.Run";

// Stores stay open between the runs of a grid: their background thread and schema check are paid once.
std::map<std::string, StorePtr>& open_stores() {
  static std::map<std::string, StorePtr> stores;
  return stores;
}
std::mutex stores_mutex;  // guards the map: signals are answered from another thread

// Every store that was opened, whoever holds it.
std::vector<std::weak_ptr<results::Store>>& known_stores() {
  static std::vector<std::weak_ptr<results::Store>> stores;
  return stores;
}

template <class T>
T& check(lua_State* L, const char* type) {
  return *static_cast<T*>(luaL_checkudata(L, 1, type));
}

template <class T>
void push(lua_State* L, const char* type, T value) {
  new (lua_newuserdata(L, sizeof(T))) T(std::move(value));
  luaL_getmetatable(L, type);
  lua_setmetatable(L, -2);
}

results::Writer& check_writer(lua_State* L) {
  WriterPtr& writer = check<WriterPtr>(L, kWriter);
  if (!writer) luaL_error(L, "the run was released");
  return *writer;
}

results::Store& check_store(lua_State* L) {
  StorePtr& store = check<StorePtr>(L, kStore);
  if (!store) luaL_error(L, "the store was released");
  return *store;
}

template <class T>
int release(lua_State* L) {
  static_cast<T*>(lua_touserdata(L, 1))->reset();
  return 0;
}

std::string check_text(lua_State* L, int index) {
  std::size_t size = 0;
  const char* text = luaL_checklstring(L, index, &size);
  return std::string(text, size);
}

std::int64_t check_integer(lua_State* L, int index) {
  const double number = luaL_checknumber(L, index);
  luaL_argcheck(L, number == std::floor(number) && std::fabs(number) <= 9007199254740992.0, index,
                "expected a whole number");
  return static_cast<std::int64_t>(number);
}

// --- reading tables: the caller's table is at `table`; every function leaves the stack as it was

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
  std::optional<std::int64_t> number;
  if (lua_isnumber(L, -1)) number = static_cast<std::int64_t>(lua_tonumber(L, -1));
  lua_pop(L, 1);
  return number;
}

bool flag_field(lua_State* L, int table, const char* field) {
  lua_getfield(L, table, field);
  const bool flag = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return flag;
}

// A parameter {key=, value=, type=}; type "number" keeps a whole number real, else whole numbers are integers.
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

// {step =, event =, child =, progress =, keys = JSON}, as Writer:point() gives it.
results::Point read_point(lua_State* L, int table) {
  const auto number = [&](const char* field, std::int64_t otherwise) { return integer_field(L, table, field).value_or(otherwise); };
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

// --- store

int open(lua_State* L) {
  const std::string path = check_text(L, 1);
  StorePtr store;
  guard(L, [&] {
    const std::lock_guard one_at_a_time(stores_mutex);
    StorePtr& shared = open_stores()[path];
    if (!shared) known_stores().push_back(shared = results::Store::open(path, results::Store::Mode::create));
    store = shared;
  });
  push(L, kStore, std::move(store));
  return 1;
}

int settle(lua_State* L) {
  results::Store& store = check_store(L);
  guard(L, [&] { store.settle(); });
  return 0;
}

// tag(run, name, value)
int tag(lua_State* L) {
  results::Store& store = check_store(L);
  const std::int64_t run = check_integer(L, 2);
  const std::string name = check_text(L, 3), value = check_text(L, 4);
  guard(L, [&] { results::set_tag(store, run, name, value); });
  return 0;
}

int begin(lua_State* L) {
  results::Store& store = check_store(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  luaL_checkstack(L, 20, "store");
  WriterPtr writer;
  guard(L, [&] { writer = store.begin(read_run_start(L, 2)); });
  push(L, kWriter, std::move(writer));
  return 1;
}

// resume(id, point) -> the writer of a run that goes on from there
int resume(lua_State* L) {
  results::Store& store = check_store(L);
  const std::int64_t run = check_integer(L, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  luaL_checkstack(L, 20, "store");
  WriterPtr writer;
  guard(L, [&] { writer = store.resume(run, read_point(L, 3)); });
  push(L, kWriter, std::move(writer));
  return 1;
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

void push_cell(lua_State* L, const results::Cell& cell) {
  if (const auto* integer = std::get_if<std::int64_t>(&cell))
    lua_pushnumber(L, static_cast<double>(*integer));
  else if (const auto* real = std::get_if<double>(&cell))
    lua_pushnumber(L, *real);
  else if (const auto* text = std::get_if<std::string>(&cell))
    lua_pushlstring(L, text->data(), text->size());
  else
    lua_pushnil(L);
}

// query(sql, …) -> list of rows by column name (NULL is nil), and the column names in order.
int query(lua_State* L) {
  results::Store& store = check_store(L);
  const std::string sql = check_text(L, 2);
  std::vector<results::Cell> arguments;
  for (int i = 3; i <= lua_gettop(L); ++i) arguments.push_back(check_cell(L, i));
  results::Rows rows;
  guard(L, [&] { rows = store.query(sql, arguments); });
  lua_createtable(L, static_cast<int>(rows.rows.size()), 0);
  for (std::size_t i = 0; i < rows.rows.size(); ++i) {
    lua_createtable(L, 0, static_cast<int>(rows.columns.size()));
    for (std::size_t j = 0; j < rows.columns.size(); ++j) {
      push_cell(L, rows.rows[i][j]);
      lua_setfield(L, -2, rows.columns[j].c_str());
    }
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  lua_createtable(L, static_cast<int>(rows.columns.size()), 0);
  for (std::size_t j = 0; j < rows.columns.size(); ++j) {
    lua_pushlstring(L, rows.columns[j].data(), rows.columns[j].size());
    lua_rawseti(L, -2, static_cast<int>(j) + 1);
  }
  return 2;
}

int resolve(lua_State* L) {
  results::Store& store = check_store(L);
  const std::string run = check_text(L, 2);
  std::int64_t id = 0;
  guard(L, [&] { id = store.resolve(run); });
  lua_pushnumber(L, static_cast<double>(id));
  return 1;
}

// JSON has neither NaN (its null becomes nil) nor infinity (a text): writes both among the runs' last values into the
// list on the stack.
void push_unusual(lua_State* L, const results::Json& runs) {
  for (std::size_t i = 0; i < runs.size(); ++i) {
    for (const auto& [key, value] : runs[i]["last"].items()) {
      if (value.is_number()) continue;
      lua_rawgeti(L, -1, static_cast<int>(i) + 1);
      lua_getfield(L, -1, "last");
      lua_pushnumber(L, value.is_null() ? std::nan("") : value == "inf" ? HUGE_VAL : -HUGE_VAL);
      lua_setfield(L, -2, key.c_str());
      lua_pop(L, 2);
    }
  }
}

// runs{where =, limit =, children =, archived =} -> list of runs as `gradus runs --json` shows them, and the notes.
int runs(lua_State* L) {
  results::Store& store = check_store(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  luaL_checkstack(L, 20, "store");
  results::Json found;
  std::vector<std::string> notes;
  guard(L, [&] {
    results::RunFilter filter;
    filter.where = text_field(L, 2, "where");
    filter.limit = static_cast<int>(integer_field(L, 2, "limit").value_or(0));
    filter.children = flag_field(L, 2, "children");
    filter.archived = flag_field(L, 2, "archived");
    filter.notes = &notes;
    found = results::list_runs(store, filter);
  });
  push_json(L, nlohmann::json(found));
  push_unusual(L, found);
  lua_createtable(L, static_cast<int>(notes.size()), 0);
  for (std::size_t i = 0; i < notes.size(); ++i) {
    lua_pushlstring(L, notes[i].data(), notes[i].size());
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 2;
}

// compare{where =, by = "a,b", metrics = "a,b", versus =, margin = "0.1" or "a=0.1,b=2"} -> what `gradus compare
// --json` prints, as tables.
int compare(lua_State* L) {
  results::Store& store = check_store(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checkstack(L, 20, "store");
  results::Json compared;
  guard(L, [&] {
    results::CompareOptions options;
    options.filter.where = text_field(L, 2, "where");
    options.by = split_commas(text_field(L, 2, "by"));
    options.metrics = split_commas(text_field(L, 2, "metrics"));
    options.versus = text_field(L, 2, "versus");
    for (const std::string& margin : split_commas(text_field(L, 2, "margin")))
      options.margins.push_back(results::parse_margin(margin));
    compared = results::compare(store, options);
  });
  push_json(L, nlohmann::json(compared));
  return 1;
}

// direction(name) -> "higher", "lower" or nil, and whether that was said (else it is by the name).
int direction(lua_State* L) {
  results::Store& store = check_store(L);
  const std::string name = check_text(L, 2);
  results::Direction found;
  guard(L, [&] { found = results::direction(store, name); });
  lua_pushstring(L, results::to_text(found.better));  // nil for nullptr
  lua_pushboolean(L, found.said);
  return 2;
}

int store_field(lua_State* L) {
  results::Store& store = check_store(L);
  const std::string field = check_text(L, 2);
  if (field == "path")
    lua_pushstring(L, store.path().c_str());
  else if (field == "folder")
    lua_pushstring(L, store.folder().c_str());
  else
    lua_getfield(L, lua_upvalueindex(1), field.c_str());
  return 1;
}

// --- run writer

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
  luaL_argcheck(L, step >= -0x1p63 && step < 0x1p63 && step == std::floor(step), 3, "expected a whole number that 64 bits hold");
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
  guard(L, [&] { writer.amend(text_field(L, 2, "config_hash"), integer_field(L, 2, "threads"), list_field(L, 2, "params", read_param),
                               list_field(L, 2, "sources", read_source)); });
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

void make_type(lua_State* L, const char* type, const luaL_Reg* methods, lua_CFunction gc, lua_CFunction index) {
  luaL_newmetatable(L, type);
  lua_pushcfunction(L, gc);
  lua_setfield(L, -2, "__gc");
  lua_newtable(L);
  luaL_register(L, nullptr, methods);
  lua_pushcclosure(L, index, 1);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

constexpr luaL_Reg kStoreMethods[] = {{"begin", begin},   {"query", query},     {"resolve", resolve}, {"resume", resume},
                                      {"runs", runs},     {"compare", compare}, {"direction", direction},
                                      {"settle", settle}, {"tag", tag},         {nullptr, nullptr}};
constexpr luaL_Reg kWriterMethods[] = {{"key", key},       {"log", log_value},     {"progress", progress},
                                       {"event", event},   {"artifact", artifact}, {"amend", amend},
                                       {"better", better}, {"split", split},       {"flush", flush},       {"point", point},
                                       {"finish", finish}, {nullptr, nullptr}};

}  // namespace

int open_store(lua_State* L) {
  make_type(L, kStore, kStoreMethods, release<StorePtr>, store_field);
  make_type(L, kWriter, kWriterMethods, release<WriterPtr>, writer_field);
  lua_newtable(L);
  lua_pushcfunction(L, open);
  lua_setfield(L, -2, "open");
  return 1;
}

void close_stores() {
  const std::lock_guard one_at_a_time(stores_mutex);
  open_stores().clear();
}

namespace {

template <class Act>
void with_stores(Act&& act) {
  const std::lock_guard one_at_a_time(stores_mutex);
  for (const auto& [path, store] : open_stores()) {
    try {
      if (store) act(*store);
    } catch (const std::exception&) {
      // A full disk, a foreign lock: what is in the spools stays there.
    }
  }
}

}  // namespace

void flush_stores() {
  with_stores([](results::Store& store) { store.flush(); });
}

void interrupt_stores(const std::function<void()>& freeze) {
  with_stores([&](results::Store& store) { store.interrupt(freeze); });
}

bool stores_in_use() {
  std::erase_if(known_stores(), [](const auto& store) { return store.expired(); });
  return !known_stores().empty();
}

}  // namespace gradus
