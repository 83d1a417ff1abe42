// gradus.store: the results store for Lua.
#include <algorithm>
#include <climits>
#include <cmath>
#include <map>
#include <memory>
#include <mutex>

#include "guard.h"
#include "host_module.h"
#include "json_value.h"
#include "output.h"
#include "query/columns.h"
#include "query/direction.h"
#include "query/query.h"
#include "run_writer.h"
#include "store/database.h"
#include "store/housekeeping.h"
#include "store_arguments.h"
#include "store_object.h"

namespace gradus {
namespace {

using namespace store_arguments;

constexpr const char* kStore = "gradus.Store";

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

results::Store& check_store(lua_State* L) {
  StorePtr& store = check_object<StorePtr>(L, kStore);
  if (!store) luaL_error(L, "the store was released");
  return *store;
}

// open(path, reads) -> the store, made where there is none; reads: nothing is made, and one that may only be read will do
int open(lua_State* L) {
  const std::string path = check_text(L, 1);
  const bool reads = lua_toboolean(L, 2);
  StorePtr store;
  guard(L, [&] {
    using Mode = results::Store::Mode;
    const std::lock_guard one_at_a_time(stores_mutex);
    StorePtr& shared = open_stores()[path];
    if (!shared || (!reads && !shared->writable())) {
      const Mode mode = reads && !results::may_write_store(path) ? Mode::read : Mode::create;
      known_stores().push_back(shared = results::Store::open(path, mode));
    }
    store = shared;
  });
  push_object(L, kStore, std::move(store));
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
  push_run_writer(L, std::move(writer));
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
  push_run_writer(L, std::move(writer));
  return 1;
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

// runs{where =, limit =, sort =, reverse =, children =, archived =} -> list of runs as `gradus runs --json` shows them,
// and the notes.
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
    filter.limit = static_cast<int>(std::clamp<std::int64_t>(integer_field(L, 2, "limit").value_or(0), 0, INT_MAX));
    filter.children = flag_field(L, 2, "children");
    filter.archived = flag_field(L, 2, "archived");
    filter.notes = &notes;
    const std::string sort = text_field(L, 2, "sort");
    found = sort.empty() ? results::list_runs(store, filter)
                         : results::list_sorted(store, filter, sort, flag_field(L, 2, "reverse"));
    for (results::Json& run : found) run.erase("columns");
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

constexpr luaL_Reg kStoreMethods[] = {
    {"begin", begin},     {"query", query},         {"resolve", resolve}, {"resume", resume}, {"runs", runs},
    {"compare", compare}, {"direction", direction}, {"settle", settle},   {"tag", tag},       {nullptr, nullptr}};
}  // namespace

int open_store(lua_State* L) {
  make_type(L, kStore, kStoreMethods, release_object<StorePtr>, store_field);
  make_run_writer_type(L);
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
