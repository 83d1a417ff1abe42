#include "file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>

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
  const double seconds = luaL_optnumber(L, 2, 1e8);
  int& file = *static_cast<int*>(lua_newuserdata(L, sizeof(int)));
  file = -1;
  if (luaL_newmetatable(L, kLock)) {
    constexpr luaL_Reg methods[] = {{"unlock", unlock}, {"__gc", unlock}, {nullptr, nullptr}};
    luaL_register(L, nullptr, methods);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
  }
  lua_setmetatable(L, -2);
  bool locked = false;
  guard(L, [&] {
    file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) throw HostError(kIo, std::string(path) + ": cannot lock: " + std::strerror(errno));
    // By looking again and again: a signal does not end a wait in flock, since another thread takes all signals.
    using Clock = std::chrono::steady_clock;
    const auto deadline = Clock::now() + std::chrono::duration<double>(seconds);
    while (!(locked = flock(file, LOCK_EX | LOCK_NB) == 0)) {
      if (errno != EWOULDBLOCK && errno != EINTR)
        throw HostError(kIo, std::string(path) + ": cannot lock: " + std::strerror(errno));
      if (Clock::now() >= deadline) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  });
  if (locked) return 1;
  close(file);
  file = -1;
  lua_pushnil(L);
  return 1;
}

}  // namespace gradus
