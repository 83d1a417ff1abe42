// engine.data.Sampler
#include "data/sampler.h"

#include <memory>

#include "data.h"
#include "options.h"

namespace gradus {

namespace {

constexpr const char* kType = "gradus.Sampler";
Sampler& self(lua_State* L) { return check_object<Sampler>(L, 1, kType); }

SamplerOptions read_options(const Options& given) {
  SamplerOptions options;
  options.rows = given.whole("rows", 0);
  options.mode = sampling_named(given.text("mode", name_of(options.mode)));
  options.seed = given.seed("seed");
  options.target = given.number("target", options.target);
  options.floor = given.number("floor", options.floor);
  options.decay = given.number("decay", options.decay);
  return options;
}

// Sampler{rows, mode, seed, subset, weights, target, floor, decay}
int make(lua_State* L) {
  push_object(L, kType, [&] {
    const Options given(L, 1, "Sampler", {"rows", "mode", "seed", "subset", "weights", "target", "floor", "decay"});
    const SamplerOptions options = read_options(given);
    for (const char* name : {"target", "floor", "decay"}) {
      if (given.has(name) && options.mode != Sampling::confidence) {
        throw Error(Exit::data, std::string("Sampler: ") + name + " has no effect; expected mode 'confidence'; got '" +
                                    name_of(options.mode) + "'");
      }
    }
    auto sampler = std::make_unique<Sampler>(options);
    if (given.has("weights")) sampler->set_weights(given.tensor("weights"));
    if (given.has("subset")) sampler->set_subset(given.tensor("subset"));
    return sampler;
  });
  return 1;
}

// s:draw(size) -> index int64 [size], visit int32 [size]
int draw(lua_State* L) {
  Sampler& sampler = self(L);
  Sampler::Draw batch;
  guard(L, [&] {
    const double size = lua_tonumber(L, 2);
    if (lua_type(L, 2) != LUA_TNUMBER || !(size >= 1 && size <= 1e9) || size != std::floor(size)) {
      throw Error(Exit::data, "draw: size: expected a whole number from 1; got " + describe(L, 2));
    }
    batch = sampler.draw(static_cast<int64_t>(size));
  });
  push_tensor(L, std::move(batch.index));
  push_tensor(L, std::move(batch.visit));
  return 2;
}

int undo(lua_State* L) {
  Sampler& sampler = self(L);
  at::Tensor& index = check_tensor(L, 2, "undo: index");
  guard(L, [&] { sampler.undo(index); });
  return 0;
}

int set_subset(lua_State* L) {
  Sampler& sampler = self(L);
  at::Tensor& index = check_tensor(L, 2, "set_subset: index");
  guard(L, [&] { sampler.set_subset(index); });
  return 0;
}

// s:set_weights(weights) or s:set_weights(index, weights)
int set_weights(lua_State* L) {
  Sampler& sampler = self(L);
  at::Tensor& first = check_tensor(L, 2, "set_weights");
  at::Tensor* weights = lua_isnoneornil(L, 3) ? nullptr : &check_tensor(L, 3, "set_weights: weights");
  guard(L, [&] { weights ? sampler.set_weights(first, *weights) : sampler.set_weights(first); });
  return 0;
}

int observe(lua_State* L) {
  Sampler& sampler = self(L);
  at::Tensor& index = check_tensor(L, 2, "observe: index");
  at::Tensor& confidence = check_tensor(L, 3, "observe: confidence");
  guard(L, [&] { sampler.observe(index, confidence); });
  return 0;
}

int set_target(lua_State* L) {
  Sampler& sampler = self(L);
  guard(L, [&] {
    if (lua_type(L, 2) != LUA_TNUMBER) throw Error(Exit::data, "set_target: expected a number; got " + describe(L, 2));
    sampler.set_target(lua_tonumber(L, 2));
  });
  return 0;
}

template <at::Tensor (Sampler::*get)() const>
int get_tensor(lua_State* L) {
  Sampler& sampler = self(L);
  at::Tensor tensor;
  guard(L, [&] { tensor = (sampler.*get)(); });
  push_tensor(L, std::move(tensor));
  return 1;
}

int size(lua_State* L) { return lua_pushnumber(L, static_cast<double>(self(L).size())), 1; }
int draws(lua_State* L) { return lua_pushnumber(L, static_cast<double>(self(L).draws())), 1; }
int passes(lua_State* L) { return lua_pushnumber(L, self(L).passes()), 1; }

int effective(lua_State* L) { return lua_pushnumber(L, self(L).effective()), 1; }

// drawn_since(visits, before | nil, difficulty | nil) -> rows drawn, their mean difficulty | nil
int lua_drawn_since(lua_State* L) {
  const at::Tensor none;
  const at::Tensor& visits = check_tensor(L, 1, "drawn_since: visits");
  const at::Tensor& before = lua_isnoneornil(L, 2) ? none : check_tensor(L, 2, "drawn_since: before");
  const at::Tensor& difficulty = lua_isnoneornil(L, 3) ? none : check_tensor(L, 3, "drawn_since: difficulty");
  Drawn drawn;
  guard(L, [&] { drawn = drawn_since(visits, before, difficulty); });
  lua_pushnumber(L, drawn.rows);
  if (std::isnan(drawn.difficulty)) return 1;
  lua_pushnumber(L, drawn.difficulty);
  return 2;
}

// s:state() -> a table of numbers, a text and tensors, for s:restore(state)
int state(lua_State* L) {
  Sampler& sampler = self(L);
  SamplerState s;
  guard(L, [&] { s = sampler.state(); });
  lua_newtable(L);
  lua_pushstring(L, name_of(s.options.mode));
  lua_setfield(L, -2, "mode");
  const std::pair<const char*, double> numbers[] = {{"rows", static_cast<double>(s.options.rows)},
                                                    {"seed", static_cast<double>(s.options.seed)},
                                                    {"target", s.options.target},
                                                    {"floor", s.options.floor},
                                                    {"decay", s.options.decay},
                                                    {"draws", static_cast<double>(s.draws)},
                                                    {"cursor", static_cast<double>(s.cursor)},
                                                    {"passes", static_cast<double>(s.passes)},
                                                    {"order", static_cast<double>(s.order)}};
  for (const auto& [name, value] : numbers) {
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
  }
  const std::pair<const char*, at::Tensor*> tensors[] = {
      {"subset", &s.subset}, {"visits", &s.visits}, {"weights", &s.weights}, {"confidence", &s.confidence}};
  for (const auto& [name, tensor] : tensors) {
    push_tensor(L, std::move(*tensor));
    lua_setfield(L, -2, name);
  }
  return 1;
}

int restore(lua_State* L) {
  Sampler& sampler = self(L);
  guard(L, [&] {
    const Options given(L, 2, "restore",
                        {"mode", "rows", "seed", "target", "floor", "decay", "draws", "cursor", "passes", "order",
                         "subset", "visits", "weights", "confidence"});
    sampler.restore({read_options(given), given.whole("draws", -1), given.whole("cursor", -1),
                     given.whole("passes", -1), given.whole("order", -1), given.tensor("subset"),
                     given.tensor("visits"), given.tensor("weights"), given.tensor("confidence")});
  });
  return 0;
}

constexpr luaL_Reg kMethods[] = {{"draw", draw},
                                 {"undo", undo},
                                 {"set_subset", set_subset},
                                 {"set_weights", set_weights},
                                 {"observe", observe},
                                 {"set_target", set_target},
                                 {"size", size},
                                 {"draws", draws},
                                 {"passes", passes},
                                 {"effective", effective},
                                 {"subset", get_tensor<&Sampler::subset>},
                                 {"visits", get_tensor<&Sampler::visits>},
                                 {"weights", get_tensor<&Sampler::weights>},
                                 {"confidence", get_tensor<&Sampler::confidence>},
                                 {"state", state},
                                 {"restore", restore},
                                 {nullptr, nullptr}};

}  // namespace

void open_sampler(lua_State* L) {
  register_type(L, kType, kMethods, collect_object<Sampler>);
  lua_pushcfunction(L, make);
  lua_setfield(L, -2, "Sampler");
  lua_pushcfunction(L, lua_drawn_since);
  lua_setfield(L, -2, "drawn_since");
}

}  // namespace gradus
