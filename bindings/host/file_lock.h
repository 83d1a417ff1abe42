#pragma once

#include <lua.hpp>

namespace gradus {

// lock(path) -> lock with :unlock(); waits until this process alone holds the file's lock. The system gives it back
// when the process dies.
int lock_file(lua_State* L);

}  // namespace gradus
