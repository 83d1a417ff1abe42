// Tensors and generators as userdata of Lua: what is in them, and how they come to Lua and back.
#pragma once

#include <lua.hpp>

#include "torch.h"

namespace gradus {

// A tensor in Lua: userdata that owns one reference. Undefined after t:release().
struct TensorBox {
  at::Tensor tensor;
};
// A stream of random numbers, likewise.
struct GeneratorBox {
  at::Generator generator;
};

inline constexpr const char* kTensorType = "gradus.Tensor";
inline constexpr const char* kGeneratorType = "gradus.Generator";
inline constexpr const char* kSizesType = "gradus.Sizes";  // x.shape; stdlib/base/sizes.lua says what it does

// The tensor at `index`, borrowed; null when the value is none.
at::Tensor* test_tensor(lua_State* L, int index);
// The same, raising at the user's line when it is none, or was released. `what` names the argument.
at::Tensor& check_tensor(lua_State* L, int index, const char* what = "tensor");
at::Generator* test_generator(lua_State* L, int index);  // as test_tensor

// Pushes a new userdata that takes the tensor (nil when undefined). Collects first when tensors hold too many bytes.
void push_tensor(lua_State* L, at::Tensor tensor);
void push_generator(lua_State* L, at::Generator generator);
// Pushes a list of sizes as a Lua list that prints as one.
void push_sizes(lua_State* L, at::IntArrayRef sizes);

}  // namespace gradus
