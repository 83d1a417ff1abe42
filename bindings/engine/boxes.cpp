#include "boxes.h"

#include <algorithm>
#include <string>
#include <utility>

#include "boundary.h"
#include "convert.h"
#include "step/memory.h"

namespace gradus {
namespace {

// Tensor bytes that may be garbage before a full collection: small enough to keep memory warm in caches.
constexpr std::size_t kFreeBytes = 64u << 20;
std::size_t collect_above = kFreeBytes;
// An accelerator's bytes are counted as they come to Lua; how many of them have gone, nobody says.
constexpr std::size_t kFreeDeviceBytes = 1u << 30;
std::size_t device_bytes = 0;

void collect_when_heavy(lua_State* L, const at::Tensor& made) {
  if (!made.is_cpu() && made.has_storage() && (device_bytes += made.storage().nbytes()) > kFreeDeviceBytes) {
    device_bytes = 0;
    lua_gc(L, LUA_GCCOLLECT, 0);
  }
  if (memory::live_bytes() < collect_above) return;
  lua_gc(L, LUA_GCCOLLECT, 0);
  // What is left is in use; wait until it has grown by half, or a program with large tensors would collect for ever.
  collect_above = memory::live_bytes() + std::max(kFreeBytes, memory::live_bytes() / 2);
}

}  // namespace

at::Tensor* test_tensor(lua_State* L, int index) {
  auto* box = static_cast<TensorBox*>(luaL_testudata(L, index, kTensorType));
  return box ? &box->tensor : nullptr;
}

at::Tensor& check_tensor(lua_State* L, int index, const char* what) {
  at::Tensor* tensor = test_tensor(L, index);
  if (!tensor) raise(L, std::string(what) + ": expected a Tensor; got " + describe(L, index));
  if (!tensor->defined()) raise(L, std::string(what) + ": the tensor was used after release()");
  return *tensor;
}

at::Generator* test_generator(lua_State* L, int index) {
  auto* box = static_cast<GeneratorBox*>(luaL_testudata(L, index, kGeneratorType));
  return box ? &box->generator : nullptr;
}

void push_tensor(lua_State* L, at::Tensor tensor) {
  if (!tensor.defined()) {
    lua_pushnil(L);
    return;
  }
  collect_when_heavy(L, tensor);
  auto* box = static_cast<TensorBox*>(lua_newuserdata(L, sizeof(TensorBox)));
  new (box) TensorBox{std::move(tensor)};
  luaL_getmetatable(L, kTensorType);
  lua_setmetatable(L, -2);
  lua_getfield(L, LUA_REGISTRYINDEX, "gradus.scope");  // open scopes remember what is made inside them
  if (lua_istable(L, -1)) {
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, static_cast<int>(lua_objlen(L, -2)) + 1);
  }
  lua_pop(L, 1);
}

void push_generator(lua_State* L, at::Generator generator) {
  auto* box = static_cast<GeneratorBox*>(lua_newuserdata(L, sizeof(GeneratorBox)));
  new (box) GeneratorBox{std::move(generator)};
  luaL_getmetatable(L, kGeneratorType);
  lua_setmetatable(L, -2);
}

void push_sizes(lua_State* L, at::IntArrayRef sizes) {
  lua_createtable(L, static_cast<int>(sizes.size()), 0);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    lua_pushnumber(L, static_cast<double>(sizes[i]));
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  luaL_getmetatable(L, kSizesType);
  lua_setmetatable(L, -2);
}

}  // namespace gradus
