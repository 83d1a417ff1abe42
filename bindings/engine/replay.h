// engine.record: a step is recorded once (runtime/record.h) and replayed (runtime/plan.h).
#pragma once

#include <lua.hpp>

namespace gradus {

void open_record(lua_State* L);  // pushes the table engine.record

}  // namespace gradus
