#include "file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "guard.h"
#include "host_error.h"

namespace gradus {
namespace {

constexpr const char* kLock = "gradus.Lock";

int unlock(lua_State* L) {
  int& file = *static_cast<int*>(luaL_checkudata(L, 1, kLock));
  if (file >= 0) close(file);
  file = -1;
  return 0;
}

}  // namespace

int lock_file(lua_State* L) {
  const char* path = luaL_checkstring(L, 1);
  int& file = *static_cast<int*>(lua_newuserdata(L, sizeof(int)));
  file = -1;
  if (luaL_newmetatable(L, kLock)) {
    constexpr luaL_Reg methods[] = {{"unlock", unlock}, {"__gc", unlock}, {nullptr, nullptr}};
    luaL_register(L, nullptr, methods);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
  }
  lua_setmetatable(L, -2);
  guard(L, [&] {
    file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    int result = file < 0 ? -1 : 0;
    while (file >= 0 && (result = flock(file, LOCK_EX)) != 0 && errno == EINTR) {
    }
    if (result != 0) throw HostError(kIo, std::string(path) + ": cannot lock: " + std::strerror(errno));
  });
  return 1;
}

}  // namespace gradus
