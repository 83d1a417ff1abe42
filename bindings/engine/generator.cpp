// The Generator type in Lua: a stream of random numbers, its state and seed.
#include <mutex>

#include "boundary.h"
#include "convert.h"
#include "data.h"
#include "tensor.h"

namespace gradus {
namespace {

int generator_collect(lua_State* L) {
  static_cast<GeneratorBox*>(lua_touserdata(L, 1))->~GeneratorBox();
  return 0;
}

at::Generator& check_generator(lua_State* L, int index) {
  at::Generator* generator = test_generator(L, index);
  if (!generator) raise(L, "expected a generator; got " + describe(L, index));
  return *generator;
}

int generator_get_state(lua_State* L) {
  at::Generator& generator = check_generator(L, 1);
  at::Tensor state;
  guard(L, "get_state", [&] {
    const std::lock_guard<std::mutex> lock(generator.mutex());
    state = generator.get_state();
  });
  push_tensor(L, std::move(state));
  return 1;
}

int generator_set_state(lua_State* L) {
  at::Generator& generator = check_generator(L, 1);
  at::Tensor& state = check_tensor(L, 2, "state");
  guard(L, "set_state", [&] {
    const std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(state);
  });
  return 0;
}

int generator_seed(lua_State* L) {
  at::Generator& generator = check_generator(L, 1);
  guard(L, [&] {
    const uint64_t seed = seed_at(L, 2, "manual_seed");
    const std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_current_seed(seed);
  });
  lua_settop(L, 1);
  return 1;
}

}  // namespace

void open_generator_type(lua_State* L) {
  luaL_newmetatable(L, kGeneratorType);
  constexpr luaL_Reg generator_methods[] = {{"get_state", generator_get_state},
                                            {"set_state", generator_set_state},
                                            {"manual_seed", generator_seed},
                                            {"__gc", generator_collect},
                                            {nullptr, nullptr}};
  luaL_register(L, nullptr, generator_methods);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

}  // namespace gradus
