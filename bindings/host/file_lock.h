#pragma once

#include <lua.hpp>

namespace gradus {

// lock(path, seconds = for ever) -> lock with :unlock(), as soon as this process alone holds the file's lock; nil when it
// did not get it in time. The system gives it back when the process dies.
int lock_file(lua_State* L);

}  // namespace gradus
