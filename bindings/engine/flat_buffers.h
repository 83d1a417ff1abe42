// engine.flat: parameters side by side in one buffer (runtime/step/flat.h).
#pragma once

#include <lua.hpp>

namespace gradus {

void open_flat(lua_State* L);  // pushes the table engine.flat

}  // namespace gradus
