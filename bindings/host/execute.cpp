#include "execute.h"

#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdlib>

#include "interpreter.h"
#include "signals.h"

extern char** environ;

namespace gradus {
namespace {

// What system() gives, for a process whose signals are handled as ever.
int run_shell(const char* command) {
  const char* arguments[] = {"sh", "-c", command, nullptr};
  pid_t child = 0;
  if (posix_spawn(&child, "/bin/sh", nullptr, nullptr, const_cast<char* const*>(arguments), environ) != 0) return -1;
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return -1;
  return status;
}

// execute([command]) -> status; without a command whether there is a shell
int execute(lua_State* L) {
  const char* command = luaL_optstring(L, 1, nullptr);
  lua_pushinteger(L, command && watches_signals() ? run_shell(command) : std::system(command));
  return 1;
}

}  // namespace

void install_execute(lua_State* L) {
  lua_getglobal(L, "os");
  lua_pushcfunction(L, execute);
  lua_setfield(L, -2, "execute");
  lua_pop(L, 1);
}

}  // namespace gradus
