#include "help_command.h"

#include <cstdio>

#include "host_error.h"
#include "interpreter.h"

namespace gradus {
namespace {

void push_text(lua_State* L, const std::string& text) { lua_pushlstring(L, text.data(), text.size()); }

void push_commands(lua_State* L, const std::vector<CommandHelp>& commands) {
  lua_createtable(L, static_cast<int>(commands.size()), 0);
  int i = 0;
  for (const auto& [name, text] : commands) {
    lua_createtable(L, 0, 2);
    push_text(L, name);
    lua_setfield(L, -2, "name");
    push_text(L, text);
    lua_setfield(L, -2, "text");
    lua_rawseti(L, -2, ++i);
  }
}

}  // namespace

int help_command(RunOptions options, const std::string& topic, bool all, const std::vector<CommandHelp>& commands) {
  Session session(std::move(options));
  Interpreter interpreter(session);
  const bool ok = interpreter.call(
      "gradus.help.help", "command",
      [&](lua_State* L) {
        push_text(L, topic);
        lua_pushboolean(L, all);
        push_commands(L, commands);
        return 3;
      },
      [](lua_State* L) {
        std::size_t size = 0;
        const char* text = lua_tolstring(L, -1, &size);
        std::fwrite(text, 1, size, stdout);
      });
  if (!ok) throw HostError(interpreter.error.code, interpreter.error.message);
  return 0;
}

}  // namespace gradus
