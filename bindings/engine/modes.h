// Modes of the process that a script may set: the kernels of matrix products, automatic mixed precision.
#pragma once

#include <lua.hpp>

namespace gradus {

int gemm_rule(lua_State* L);     // gemm() -> the rule in force, in words
int set_autocast(lua_State* L);  // set_autocast(dtype | nil) -> the dtype before, nil when it was off

}  // namespace gradus
