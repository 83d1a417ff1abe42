// The writer of a run (results/store/store.h) for Lua: the userdata that store:begin() and store:resume() give.
#pragma once

#include <lua.hpp>

#include "store_object.h"

namespace gradus {

void make_run_writer_type(lua_State* L);  // once in each state
void push_run_writer(lua_State* L, WriterPtr writer);

}  // namespace gradus
