// require "gradus.engine": what of the runtime Lua can reach.
#include <ATen/CPUGeneratorImpl.h>
#include <torch/headeronly/version.h>

#include "boundary.h"
#include "convert.h"
#include "create.h"
#include "data.h"
#include "device.h"
#include "error.h"
#include "flat_buffers.h"
#include "flops.h"
#include "modes.h"
#include "ops.h"
#include "ops/gemm.h"
#include "recorder.h"
#include "step/memory.h"
#include "tensor.h"

namespace gradus {

namespace {

int set_grad_enabled(lua_State* L) {
  const bool before = at::GradMode::is_enabled();
  at::GradMode::set_enabled(lua_toboolean(L, 1));
  lua_pushboolean(L, before);
  return 1;
}

int is_grad_enabled(lua_State* L) {
  lua_pushboolean(L, at::GradMode::is_enabled());
  return 1;
}

// Gradients go to their places as soon as they are there, so that not all of them exist twice at a time.
class Placing {
 public:
  ~Placing() {
    for (const auto& [parameter, hook] : hooks_) parameter.remove_hook(hook);
  }
  void add(const at::Tensor& parameter, const at::Tensor& place) {
    const auto hook = parameter.register_hook([place](const at::Tensor& gradient) {
      const at::NoGradGuard no_grad;
      return at::Tensor(place).copy_(gradient);
    });
    hooks_.emplace_back(parameter, hook);
  }

 private:
  std::vector<std::pair<at::Tensor, unsigned>> hooks_;
};

// grad(loss, {p1, p2, …}, places) -> list of gradients; false for a parameter that is frozen or that the loss does not
// depend on. places[i]: false, or the tensor that takes the gradient of parameter i and is then given in its stead.
int gradients(lua_State* L) {
  lua_settop(L, 3);
  at::Tensor& loss = check_tensor(L, 1, "grad: loss");
  torch::autograd::variable_list result;
  guard(L, "grad", [&] {
    if (!lua_istable(L, 2)) throw Error(Exit::data, "argument 2: expected a list of parameters; got " + describe(L, 2));
    if (!loss.requires_grad()) throw Error(Exit::data, "the loss depends on no parameter that requires a gradient");
    torch::autograd::variable_list parameters;
    std::vector<bool> trained;
    Placing placing;
    for (int i = 1; i <= static_cast<int>(lua_objlen(L, 2)); ++i) {
      lua_rawgeti(L, 2, i);
      at::Tensor* tensor = test_tensor(L, -1);
      if (!tensor || !tensor->defined())
        throw Error(Exit::data, "parameter " + std::to_string(i) + ": expected a Tensor; got " + describe(L, -1));
      trained.push_back(tensor->requires_grad());
      if (trained.back()) parameters.push_back(*tensor);
      lua_pop(L, 1);
      if (!trained.back() || !lua_istable(L, 3)) continue;
      lua_rawgeti(L, 3, i);
      if (const at::Tensor* place = test_tensor(L, -1)) placing.add(parameters.back(), *place);
      lua_pop(L, 1);
    }
    torch::autograd::variable_list found;  // LibTorch calls it a bug of its own where none is asked for
    if (!parameters.empty())
      found = torch::autograd::grad({loss}, parameters, {}, std::nullopt, false, /*allow_unused=*/true);
    auto next = found.begin();
    for (const bool one : trained) result.push_back(one ? std::move(*next++) : at::Tensor());
  });
  lua_createtable(L, static_cast<int>(result.size()), 0);
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (!result[i].defined() || !lua_istable(L, 3))
      lua_pushboolean(L, false);
    else
      lua_rawgeti(L, 3, static_cast<int>(i) + 1);
    if (result[i].defined() && !lua_toboolean(L, -1)) {
      lua_pop(L, 1);
      push_tensor(L, std::move(result[i]));
    }
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 1;
}

// generator(seed = 0): a new stream of random numbers
int make_generator(lua_State* L) {
  at::Generator generator;
  guard(L, [&] {
    const uint64_t seed = lua_isnoneornil(L, 1) ? 0 : seed_at(L, 1, "generator");
    generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  });
  push_generator(L, std::move(generator));
  return 1;
}

// default_generator(device = "cpu"): the one that operators on the device use when none is given (dropout, randn, …).
int default_generator(lua_State* L) {
  const std::string name = luaL_optstring(L, 1, "cpu");
  at::Generator generator;
  guard(L, [&] { generator = at::globalContext().defaultGenerator(resolve_device(name)); });
  push_generator(L, std::move(generator));
  return 1;
}

int manual_seed(lua_State* L) {
  guard(L, [&] { at::manual_seed(seed_at(L, 1, "manual_seed")); });
  return 0;
}

int device(lua_State* L) {
  std::string name = luaL_checkstring(L, 1);
  guard(L, [&] { name = resolve_device(name).str(); });
  lua_pushstring(L, name.c_str());
  return 1;
}

int set_thread_count(lua_State* L) {
  const int count = static_cast<int>(luaL_checkinteger(L, 1));
  guard(L, [&] { set_threads(count); });
  return 0;
}

int thread_count(lua_State* L) {
  lua_pushnumber(L, threads());
  return 1;
}

int core_count(lua_State* L) {
  lua_pushnumber(L, cores());
  return 1;
}

int memory_use(lua_State* L) {
  lua_pushnumber(L, static_cast<double>(memory::live_bytes()));
  lua_pushnumber(L, static_cast<double>(memory::peak_bytes()));
  lua_pushnumber(L, static_cast<double>(memory::allocations()));
  return 3;
}

int help(lua_State* L) {
  const std::string text = op_help(luaL_checkstring(L, 1));
  text.empty() ? lua_pushnil(L) : lua_pushstring(L, text.c_str());
  return 1;
}

int names(lua_State* L) {
  lua_newtable(L);
  int i = 0;
  for (const std::string& name : op_names()) {
    lua_pushstring(L, name.c_str());
    lua_rawseti(L, -2, ++i);
  }
  return 1;
}

int is_tensor(lua_State* L) {
  lua_pushboolean(L, test_tensor(L, 1) != nullptr);
  return 1;
}

int stop_counting(lua_State* L) {
  auto* counter = static_cast<FlopCounter*>(lua_touserdata(L, lua_upvalueindex(1)));
  lua_pushnumber(L, counter->stop());
  return 1;
}

int destroy_counter(lua_State* L) {
  static_cast<FlopCounter*>(lua_touserdata(L, 1))->~FlopCounter();
  return 0;
}

// count_flops() -> function that ends the counting and returns the floating-point operations since.
int count_flops(lua_State* L) {
  new (lua_newuserdata(L, sizeof(FlopCounter))) FlopCounter();
  lua_newtable(L);
  lua_pushcfunction(L, destroy_counter);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_pushcclosure(L, stop_counting, 1);
  return 1;
}

// large_share() -> of the operations counted since the last call, the share in operators that gain from threads, or nil.
int share_of_large(lua_State* L) {
  if (const auto share = large_share())
    lua_pushnumber(L, *share);
  else
    lua_pushnil(L);
  return 1;
}

// set_scope(list | nil) -> the list before: new tensors are appended to the open scope's list.
int set_scope(lua_State* L) {
  lua_settop(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, "gradus.scope");
  lua_insert(L, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, "gradus.scope");
  return 1;
}

constexpr luaL_Reg kFunctions[] = {{"tensor", make_tensor},
                                   {"is_tensor", is_tensor},
                                   {"set_grad_enabled", set_grad_enabled},
                                   {"is_grad_enabled", is_grad_enabled},
                                   {"grad", gradients},
                                   {"generator", make_generator},
                                   {"default_generator", default_generator},
                                   {"manual_seed", manual_seed},
                                   {"device", device},
                                   {"set_threads", set_thread_count},
                                   {"threads", thread_count},
                                   {"cores", core_count},
                                   {"memory", memory_use},
                                   {"set_scope", set_scope},
                                   {"count_flops", count_flops},
                                   {"large_share", share_of_large},
                                   {"gemm", gemm_rule},
                                   {"set_autocast", set_autocast},
                                   {"help", help},
                                   {"op_names", names},
                                   {nullptr, nullptr}};

}  // namespace
}  // namespace gradus

extern "C" __attribute__((visibility("default"))) int luaopen_gradus_engine(lua_State* L) {
  using namespace gradus;
  memory::install();
  guard(L, "engine", [] { gemm::install(gemm::choose()); });
  at::set_num_threads(1);  // small steps belong on one thread; a run raises it (engine.set_threads)
  open_tensor_types(L);
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  open_ops(L);
  lua_setfield(L, -2, "ops");
  luaL_getmetatable(L, kTensorType);
  lua_getfield(L, -1, "methods");
  lua_setfield(L, -3, "tensor_methods");
  lua_pop(L, 1);
  lua_pushliteral(L, TORCH_VERSION);
  lua_setfield(L, -2, "torch_version");
  open_data(L);
  lua_setfield(L, -2, "data");
  open_transfer(L);
  lua_setfield(L, -2, "transfer");
  open_record(L);
  lua_setfield(L, -2, "record");
  open_flat(L);
  lua_setfield(L, -2, "flat");
  return 1;
}
