// Files of data, weights and snapshots, in engine.data.
#include <map>
#include <string>
#include <vector>

#include "data.h"
#include "files/csv.h"
#include "files/idx.h"
#include "files/npy.h"
#include "files/safetensors.h"
#include "files/snapshot.h"
#include "options.h"

namespace gradus {

namespace {

void push_texts(lua_State* L, const std::vector<std::string>& texts) {
  lua_createtable(L, static_cast<int>(texts.size()), 0);
  for (size_t i = 0; i < texts.size(); ++i) {
    lua_pushlstring(L, texts[i].data(), texts[i].size());
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
}

// read_csv(path, {header, label, separator, labels, classes, skip, categories, missing}) -> {x, y?, columns, classes?,
// levels, dropped, unlabelled?}: levels is {column of x from 0 = sorted words}; missing: "drop", "unlabelled", or both
int lua_read_csv(lua_State* L) {
  Csv csv;
  guard(L, [&] {
    const Options given(L, 2, "read_csv",
                        {"header", "label", "separator", "labels", "classes", "skip", "categories", "missing"});
    CsvOptions options;
    options.header = given.boolean("header");
    if (given.is_number("label")) {
      options.label_index = given.whole("label", 0);
    } else if (given.has("label")) {
      options.label = given.text("label", "");
    }
    const std::string separator = given.text("separator", ",");
    if (separator.size() != 1)
      throw Error(Exit::data, "read_csv: separator: expected one character; got '" + separator + "'");
    options.delimiter = separator[0];
    options.labels = given.text("labels", "auto");
    options.classes = given.texts("classes");
    options.skip = given.texts("skip");
    options.categories = given.texts("categories");
    const std::string missing = given.text("missing", "");
    options.drop_missing = missing.find("drop") != std::string::npos;
    options.keep_unlabelled = missing.find("unlabelled") != std::string::npos;
    csv = read_csv(text_at(L, 1, "read_csv: path"), options);
  });
  lua_createtable(L, 0, 6);
  push_tensor(L, csv.x);
  lua_setfield(L, -2, "x");
  push_tensor(L, csv.y);
  lua_setfield(L, -2, "y");
  push_tensor(L, csv.unlabelled);
  lua_setfield(L, -2, "unlabelled");
  push_texts(L, csv.columns);
  lua_setfield(L, -2, "columns");
  lua_createtable(L, 0, static_cast<int>(csv.levels.size()));
  for (const auto& [column, words] : csv.levels) {
    push_texts(L, words);
    lua_rawseti(L, -2, static_cast<int>(column));
  }
  lua_setfield(L, -2, "levels");
  lua_pushnumber(L, static_cast<double>(csv.dropped));
  lua_setfield(L, -2, "dropped");
  if (!csv.classes.empty()) {
    push_texts(L, csv.classes);
    lua_setfield(L, -2, "classes");
  }
  return 1;
}

template <at::Tensor read(const std::string&)>
int lua_read_array(lua_State* L) {
  at::Tensor tensor;
  guard(L, [&] { tensor = read(text_at(L, 1, "path")); });
  push_tensor(L, std::move(tensor));
  return 1;
}

// Pushes {name = Tensor}; takes the tensors.
void push_tensors(lua_State* L, std::map<std::string, at::Tensor>& tensors) {
  lua_createtable(L, 0, static_cast<int>(tensors.size()));
  for (auto& [name, tensor] : tensors) {
    lua_pushlstring(L, name.data(), name.size());
    push_tensor(L, std::move(tensor));
    lua_rawset(L, -3);
  }
}

// Pushes {name = Tensor}, {key = text}.
void push_safetensors(lua_State* L, SafeTensors& read) {
  push_tensors(L, read.tensors);
  lua_createtable(L, 0, static_cast<int>(read.metadata.size()));
  for (const auto& [key, value] : read.metadata) {
    lua_pushlstring(L, key.data(), key.size());
    lua_pushlstring(L, value.data(), value.size());
    lua_rawset(L, -3);
  }
}

// read_safetensors(path, {strict, names}) -> {name = Tensor}, {key = text}, number of values that are not finite;
// names: only these
int lua_read_safetensors(lua_State* L) {
  SafeTensors read;
  guard(L, [&] {
    const Options given(L, 2, "read_safetensors", {"strict", "names"});
    read = read_safetensors(text_at(L, 1, "read_safetensors: path"), given.boolean("strict").value_or(false),
                            given.texts("names"));
  });
  push_safetensors(L, read);
  lua_pushnumber(L, static_cast<double>(read.non_finite));
  return 3;
}

// map_safetensors(path) -> {name = Tensor}, {key = text}: the tensors are the file
int lua_map_safetensors(lua_State* L) {
  SafeTensors read;
  guard(L, [&] { read = map_safetensors(text_at(L, 1, "map_safetensors: path")); });
  push_safetensors(L, read);
  return 2;
}

// The {key = text} at index 3; inside guard().
std::map<std::string, std::string> read_metadata(lua_State* L, const std::string& where) {
  std::map<std::string, std::string> metadata;
  if (lua_isnil(L, 3)) return metadata;
  if (!lua_istable(L, 3))
    throw Error(Exit::data, where + ": metadata: expected a table of texts; got " + describe(L, 3));
  for (lua_pushnil(L); lua_next(L, 3); lua_pop(L, 1)) {
    std::string key = text_at(L, 4, (where + ": a metadata key").c_str());
    metadata.emplace(std::move(key), text_at(L, 5, (where + ": a metadata value").c_str()));
  }
  return metadata;
}

// The {name = Tensor} at index 2; inside guard().
std::map<std::string, at::Tensor> read_tensors(lua_State* L, const std::string& where) {
  if (!lua_istable(L, 2)) throw Error(Exit::data, where + ": expected a table of tensors; got " + describe(L, 2));
  std::map<std::string, at::Tensor> tensors;
  for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
    const std::string name = text_at(L, 4, (where + ": a tensor's name").c_str());
    at::Tensor* tensor = test_tensor(L, 5);
    if (!tensor || !tensor->defined())
      throw Error(Exit::data, where + ": '" + name + "': expected a Tensor; got " + describe(L, 5));
    tensors.emplace(name, *tensor);
  }
  return tensors;
}

// write_safetensors(path, {name = Tensor}, {key = text})
int lua_write_safetensors(lua_State* L) {
  lua_settop(L, 3);
  guard(L, [&] {
    const std::string path = text_at(L, 1, "write_safetensors: path");
    write_safetensors(path, read_tensors(L, "write_safetensors"), read_metadata(L, "write_safetensors"));
  });
  return 0;
}

// create_safetensors(path, {name = Tensor}, {key = text}) -> {name = Tensor}: a new file of zeros with tensors of these
// types and shapes; what is written to them is in the file
int lua_create_safetensors(lua_State* L) {
  lua_settop(L, 3);
  SafeTensors made;
  guard(L, [&] {
    std::map<std::string, TensorLayout> layout;
    for (const auto& [name, like] : read_tensors(L, "create_safetensors"))
      layout.emplace(name, TensorLayout{like.scalar_type(), like.sizes().vec()});
    made.tensors =
        create_safetensors(text_at(L, 1, "create_safetensors: path"), layout, read_metadata(L, "create_safetensors"));
  });
  push_safetensors(L, made);
  lua_pop(L, 1);
  return 1;
}

SnapshotWriter& snapshot_writer() {
  static SnapshotWriter writer;
  return writer;
}

// save_snapshot(path, {name = Tensor}, {key = text}, plain): begins to write, in another thread; nobody may change the tensors any
// more, which are contiguous and on the CPU. Waits for the one before, and raises its error.
int lua_save_snapshot(lua_State* L) {
  lua_settop(L, 4);
  guard(L, [&] {
    const std::string path = text_at(L, 1, "save_snapshot: path");
    Snapshot snapshot;
    snapshot.plain = text_at(L, 4, "save_snapshot: plain");
    lua_settop(L, 3);  // where read_tensors and read_metadata look
    snapshot.tensors = read_tensors(L, "save_snapshot");
    auto about = read_metadata(L, "save_snapshot");
    snapshot_writer().start(path, std::move(snapshot), std::move(about));
  });
  return 0;
}

// snapshot_saved(wait) -> false while one is being written; raises the error of one that could not be.
int lua_snapshot_saved(lua_State* L) {
  bool saved = false;
  guard(L, [&] {
    saved = lua_toboolean(L, 1) || !snapshot_writer().busy();
    if (saved) snapshot_writer().wait();
  });
  lua_pushboolean(L, saved);
  return 1;
}

// read_snapshot(path) -> {name = Tensor}, plain
int lua_read_snapshot(lua_State* L) {
  Snapshot read;
  guard(L, [&] { read = read_snapshot(text_at(L, 1, "read_snapshot: path")); });
  push_tensors(L, read.tensors);
  lua_pushlstring(L, read.plain.data(), read.plain.size());
  return 2;
}

constexpr luaL_Reg kFunctions[] = {{"read_csv", lua_read_csv},
                                   {"read_npy", lua_read_array<read_npy>},
                                   {"read_idx", lua_read_array<read_idx>},
                                   {"read_safetensors", lua_read_safetensors},
                                   {"map_safetensors", lua_map_safetensors},
                                   {"write_safetensors", lua_write_safetensors},
                                   {"create_safetensors", lua_create_safetensors},
                                   {"save_snapshot", lua_save_snapshot},
                                   {"snapshot_saved", lua_snapshot_saved},
                                   {"read_snapshot", lua_read_snapshot},
                                   {nullptr, nullptr}};

}  // namespace

void open_files(lua_State* L) { luaL_register(L, nullptr, kFunctions); }

}  // namespace gradus
