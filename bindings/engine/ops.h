// Operators in Lua: one trampoline for all of them, driven by the dispatcher's schemas.
#pragma once

#include <lua.hpp>
#include <string>
#include <vector>

namespace gradus {

// Pushes a table name -> function of the operators in ops.def.
void open_ops(lua_State* L);

// Adds every operator whose first argument is `self` to the table at the top of the stack.
void add_methods(lua_State* L);

// Names of the operators, sorted.
const std::vector<std::string>& op_names();

// "softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor", one line an overload; "" when unknown.
std::string op_help(const std::string& name);

}  // namespace gradus
