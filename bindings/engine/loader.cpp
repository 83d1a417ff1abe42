// engine.data.augment, mixup, mask, check and Loader
#include "data/loader.h"

#include <memory>

#include "data.h"
#include "data/augment.h"
#include "options.h"

namespace gradus {

namespace {

constexpr const char* kType = "gradus.Loader";
Loader& self(lua_State* L) { return check_object<Loader>(L, 1, kType); }

Augment read_augment(const Options& given) {
  Augment options;
  options.noise = given.number("noise", 0);
  options.shift = given.whole("shift", 0);
  options.erase = given.number("erase", 0);
  return options;
}

// augment(x, index, visit, {seed, strength, noise, shift, erase}) -> x
int lua_augment(lua_State* L) {
  at::Tensor &x = check_tensor(L, 1, "augment: x"), &index = check_tensor(L, 2, "augment: index"),
             &visit = check_tensor(L, 3, "augment: visit");
  at::Tensor result;
  guard(L, [&] {
    const Options given(L, 4, "augment", {"seed", "strength", "noise", "shift", "erase"});
    result = augment(x, index, visit, given.seed("seed"), read_augment(given), given.number("strength", 1));
  });
  push_tensor(L, std::move(result));
  return 1;
}

// mixup(x, y, index, visit, {alpha, seed, strength, classes}) -> x, y float32 [N, C], lambda [N]
int lua_mixup(lua_State* L) {
  at::Tensor &x = check_tensor(L, 1, "mixup: x"), &y = check_tensor(L, 2, "mixup: y"),
             &index = check_tensor(L, 3, "mixup: index"), &visit = check_tensor(L, 4, "mixup: visit");
  Mixed mixed;
  guard(L, [&] {
    const Options given(L, 5, "mixup", {"alpha", "seed", "strength", "classes"});
    mixed = mixup(x, y, given.whole("classes", 0), index, visit, given.seed("seed"), given.number("alpha", 0.2),
                  given.number("strength", 1));
  });
  push_tensor(L, std::move(mixed.x));
  push_tensor(L, std::move(mixed.y));
  push_tensor(L, std::move(mixed.lambda));
  return 3;
}

Masking read_masking(const Options& given) {
  return {given.number("rate", 0), given.whole("mask", 0), given.whole("low", 0), given.whole("high", 0)};
}

// mask(x, index, visit, {seed, rate, mask, low, high}) -> x, y
int lua_mask(lua_State* L) {
  at::Tensor &x = check_tensor(L, 1, "mask: x"), &index = check_tensor(L, 2, "mask: index"),
             &visit = check_tensor(L, 3, "mask: visit");
  Masked masked;
  guard(L, [&] {
    const Options given(L, 4, "mask", {"seed", "rate", "mask", "low", "high"});
    masked = mask_tokens(x, index, visit, given.seed("seed"), read_masking(given));
  });
  push_tensor(L, std::move(masked.x));
  push_tensor(L, std::move(masked.y));
  return 2;
}

Examples read_examples(const Options& given) {
  return {given.tensor("x"), given.tensor("y"), given.tensor("weight"), given.tensor("teacher")};
}

// check(where, {x, y, weight, teacher, classes}): raises unless the rows fit each other and the labels the classes
int lua_check(lua_State* L) {
  guard(L, [&] {
    const Options given(L, 2, "check", {"x", "y", "weight", "teacher", "classes"});
    check_examples(lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : "data", read_examples(given),
                   given.whole("classes", 0));
  });
  return 0;
}

// Loader{x, y, weight, teacher, classes, depth, seed, noise, shift, erase, mixup, rate, mask, low, high, pin}
int make(lua_State* L) {
  push_object(L, kType, [&] {
    const Options given(L, 1, "Loader",
                        {"x", "y", "weight", "teacher", "classes", "depth", "seed", "noise", "shift", "erase", "mixup",
                         "rate", "mask", "low", "high", "pin"});
    LoaderOptions options;
    options.depth = given.whole("depth", options.depth);
    options.seed = given.seed("seed");
    options.augment = read_augment(given);
    options.augment.mixup = given.number("mixup", 0);
    options.masking = read_masking(given);
    options.classes = given.whole("classes", 0);
    options.pin = given.boolean("pin").value_or(false);
    return std::make_unique<Loader>(read_examples(given), options);
  });
  return 1;
}

// l:submit(index, visit, strength = 1)
int submit(lua_State* L) {
  Loader& loader = self(L);
  at::Tensor &index = check_tensor(L, 2, "submit: index"), &visit = check_tensor(L, 3, "submit: visit");
  guard(L, [&] {
    if (!lua_isnoneornil(L, 4) && lua_type(L, 4) != LUA_TNUMBER)
      throw Error(Exit::data, "submit: strength: expected a number from 0 to 1; got " + describe(L, 4));
    loader.submit(index, visit, lua_isnoneornil(L, 4) ? 1 : lua_tonumber(L, 4));
  });
  return 0;
}

void set_tensor(lua_State* L, const char* name, at::Tensor tensor) {
  push_tensor(L, std::move(tensor));
  lua_setfield(L, -2, name);
}

// l:next() -> {x, y, weight, teacher, index, visit, lambda}
int next(lua_State* L) {
  Loader& loader = self(L);
  Batch batch;
  guard(L, [&] { batch = loader.next(); });
  lua_createtable(L, 0, 8);
  set_tensor(L, "x", std::move(batch.rows.x));
  set_tensor(L, "y", std::move(batch.rows.y));
  set_tensor(L, "weight", std::move(batch.rows.weight));
  set_tensor(L, "teacher", std::move(batch.rows.teacher));
  set_tensor(L, "index", std::move(batch.index));
  set_tensor(L, "visit", std::move(batch.visit));
  set_tensor(L, "lambda", std::move(batch.lambda));
  return 1;
}

// l:pending(), l:drop() -> list of {index, visit, strength}, oldest first
template <std::vector<Loader::Request> list(Loader&)>
int requests(lua_State* L) {
  Loader& loader = self(L);
  std::vector<Loader::Request> all;
  guard(L, [&] { all = list(loader); });
  lua_createtable(L, static_cast<int>(all.size()), 0);
  for (size_t i = 0; i < all.size(); ++i) {
    lua_createtable(L, 0, 3);
    set_tensor(L, "index", std::move(all[i].index));
    set_tensor(L, "visit", std::move(all[i].visit));
    lua_pushnumber(L, all[i].strength);
    lua_setfield(L, -2, "strength");
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 1;
}

std::vector<Loader::Request> pending(Loader& loader) { return loader.pending(); }
std::vector<Loader::Request> drop(Loader& loader) { return loader.drop(); }

constexpr luaL_Reg kMethods[] = {
    {"submit", submit}, {"next", next}, {"pending", requests<pending>}, {"drop", requests<drop>}, {nullptr, nullptr}};
constexpr luaL_Reg kFunctions[] = {{"augment", lua_augment}, {"mixup", lua_mixup}, {"mask", lua_mask},
                                   {"check", lua_check},     {"Loader", make},     {nullptr, nullptr}};

}  // namespace

void open_loader(lua_State* L) {
  register_type(L, kType, kMethods, collect_object<Loader>);
  luaL_register(L, nullptr, kFunctions);
}

}  // namespace gradus
