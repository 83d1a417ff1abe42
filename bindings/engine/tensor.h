// Tensors and generators as values in Lua.
#pragma once

#include <lua.hpp>

namespace gradus {

// Registers the metatables of Tensor and Generator.
void open_tensor_types(lua_State* L);
void open_generator_type(lua_State* L);  // the second alone
// Into the table at the top: the methods that are no operators.
void add_tensor_methods(lua_State* L);
// Index expressions: t[i], t[{…}], and assignment to them. Called with (tensor, key[, value]).
int index_tensor(lua_State* L);
int assign_tensor(lua_State* L);

}  // namespace gradus
