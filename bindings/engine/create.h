#pragma once

#include <lua.hpp>
#include <optional>

#include "torch.h"

namespace gradus {

struct TensorOptions {
  std::optional<at::ScalarType> dtype;
  std::optional<c10::Device> device;
  bool requires_grad = false;
  bool pin_memory = false;    // tensor() only
  bool non_blocking = false;  // to() only
};

// A dtype name or {dtype=, device=, …} at `index`; moves: of to(), else of tensor(). Throws Error naming what is wrong.
TensorOptions read_tensor_options(lua_State* L, int index, const char* what, bool moves);

int make_tensor(lua_State* L);      // tensor(nested lists | number | Tensor, options) -> new Tensor, float32 by default
int tensor_to_table(lua_State* L);  // nested Lua lists of the values
int tensor_item(lua_State* L);      // the one value

}  // namespace gradus
