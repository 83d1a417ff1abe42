// engine.record: a step is recorded once (runtime/step/record.h) and replayed (replay.h).
#pragma once

#include <lua.hpp>

namespace gradus {

void open_record(lua_State* L);  // pushes the table engine.record

}  // namespace gradus
