// require "gradus.editor": what the console (`gradus repl`) needs of its terminal, and of Lua.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "guard.h"
#include "host_module.h"
#include "interpreter.h"
#include "length_operator.h"
#include "line_editor.h"
#include "output.h"
#include "plot/plot.h"
#include "script_error.h"
#include "signals.h"
#include "source_loader.h"

namespace gradus {
namespace {

std::unique_ptr<LineEditor>& editor() {
  static std::unique_ptr<LineEditor> one;
  return one;
}

std::string text_argument(lua_State* L, int index) {
  std::size_t size = 0;
  const char* bytes = luaL_checklstring(L, index, &size);
  return {bytes, size};
}

// open(history) -> true; nil and why not, where libedit is missing: lines are read plainly then.
int open(lua_State* L) {
  const std::string history = text_argument(L, 1);
  std::string why;
  try {
    editor() = std::make_unique<LineEditor>(history);
  } catch (const HostError& error) {
    why = error.what();
  }
  if (why.empty()) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushnil(L);
  lua_pushlstring(L, why.data(), why.size());
  return 2;
}

// The function at index 2 of read's stack: fn(before) -> how many bytes are replaced, list of words. What fails in it
// is no answer.
LineEditor::Completion complete(void* context, const std::string& before) {
  auto* L = static_cast<lua_State*>(context);
  LineEditor::Completion found;
  const int top = lua_gettop(L);
  lua_pushvalue(L, 2);
  lua_pushlstring(L, before.data(), before.size());
  if (lua_pcall(L, 1, 2, 0) == 0 && lua_isnumber(L, -2) && lua_istable(L, -1)) {
    found.replaced = static_cast<std::size_t>(lua_tointeger(L, -2));
    for (int i = 1; lua_rawgeti(L, -1, i), lua_type(L, -1) == LUA_TSTRING; ++i) {
      found.words.emplace_back(lua_tostring(L, -1));
      lua_pop(L, 1);
    }
  }
  lua_settop(L, top);
  return found;
}

// read(prompt, complete) -> a line; nil at the end; false after Ctrl-C
int read(lua_State* L) {
  const std::string prompt = text_argument(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  std::string line;
  LineEditor::Read what = LineEditor::Read::end;
  forget_interrupts();
  guard(L, [&] { what = editor()->read(prompt, complete, L, line); });
  if (what == LineEditor::Read::line)
    lua_pushlstring(L, line.data(), line.size());
  else if (what == LineEditor::Read::interrupted)
    lua_pushboolean(L, 0);
  else
    lua_pushnil(L);
  return 1;
}

int remember(lua_State* L) {
  const std::string entry = text_argument(L, 1);
  guard(L, [&] { editor()->remember(entry); });
  return 0;
}

bool ends_too_early(lua_State* L, const std::string& text, const std::string& chunk_name) {
  const bool failed = luaL_loadbufferx(L, text.data(), text.size(), chunk_name.c_str(), "t") != 0;
  const bool early = failed && lua_isstring(L, -1) && std::strstr(lua_tostring(L, -1), "<eof>");
  lua_pop(L, 1);
  return early;
}

// compile(text, name) -> a function, of an expression one that returns it; else nil, the message, and whether more
// lines could make it whole
int compile(lua_State* L) {
  const std::string text = text_argument(L, 1), name = text_argument(L, 2), chunk_name = "=" + name;
  // As arguments, so that the entry is not gone from the stack by a tail call, and errors know its line: the one that the
  // bracket is in, which has one of its own only after a comment.
  for (const char* end : {")", "\n)"}) {
    const std::string expression = with_length_calls("return select(1, " + text + end);
    if (luaL_loadbufferx(L, expression.data(), expression.size(), chunk_name.c_str(), "t") == 0) return 1;
    lua_pop(L, 1);
  }
  const bool early = ends_too_early(L, text, chunk_name);
  if (load_user_text(L, text, chunk_name, name)) return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  lua_pushboolean(L, early);
  return 3;
}

// --- Ctrl-C, while an entry is called

lua_State* volatile called_state = nullptr;

void raise_interrupted(lua_State* L, lua_Debug*) {
  lua_sethook(L, nullptr, 0, 0);
  luaL_error(L, "interrupted");
}

// What LuaJIT allows in a signal's handler. A compiled loop does not look; the second Ctrl-C is for it.
void interrupt_lua() {
  if (lua_State* L = called_state) lua_sethook(L, raise_interrupted, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

int called(lua_State* L) {
  forget_interrupts();
  called_state = L;
  const int status = lua_pcall(L, 0, LUA_MULTRET, 1);
  called_state = nullptr;
  lua_sethook(L, nullptr, 0, 0);
  return status;
}

// call(fn) -> true and what it returns; false, the error as it is printed, and its exit code. os.exit goes through.
int call(lua_State* L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_pushcfunction(L, record_traceback);
  lua_insert(L, 1);
  Interpreter& interpreter = Interpreter::of(L);
  if (called(L) == 0) {
    lua_pushboolean(L, 1);
    lua_replace(L, 1);
    return lua_gettop(L);
  }
  if (interpreter.exit_code) return lua_error(L);
  const ScriptError error = describe_error(L, interpreter);
  char* bytes = nullptr;
  std::size_t size = 0;
  std::FILE* memory = open_memstream(&bytes, &size);
  if (memory) {
    print_error(memory, error, isatty(STDERR_FILENO) && colours_wanted());
    std::fclose(memory);
  }
  lua_settop(L, 0);
  lua_pushboolean(L, 0);
  lua_pushlstring(L, bytes ? bytes : "", size);
  std::free(bytes);
  lua_pushinteger(L, error.code);
  return 3;
}

std::vector<double> numbers_field(lua_State* L, const char* field) {
  std::vector<double> numbers;
  lua_getfield(L, -1, field);
  for (int i = 1; lua_rawgeti(L, -1, i), lua_type(L, -1) == LUA_TNUMBER; ++i) {
    numbers.push_back(lua_tonumber(L, -1));
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
  return numbers;
}

// plot({ { label =, x = {…}, y = {…} }, … }, title, columns, rows) -> curves of braille dots
int plot(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  results::Figure figure;
  figure.title = text_argument(L, 2);
  figure.axis = "step";
  const int columns = luaL_checkint(L, 3), rows = luaL_checkint(L, 4);
  for (int i = 1; lua_rawgeti(L, 1, i), lua_istable(L, -1); ++i) {
    results::Line line;
    lua_getfield(L, -1, "label");
    line.label = lua_isstring(L, -1) ? lua_tostring(L, -1) : "";
    lua_pop(L, 1);
    line.x = numbers_field(L, "x");
    line.y = numbers_field(L, "y");
    line.color = i - 1;
    figure.lines.push_back(std::move(line));
    lua_pop(L, 1);
  }
  std::string text;
  guard(L, [&] { text = results::terminal_plot({figure}, columns, rows, styled()); });
  lua_pushlstring(L, text.data(), text.size());
  return 1;
}

// catch_interrupts(): from now on Ctrl-C ends what goes on, and not the process.
int catch_ctrl_c(lua_State*) {
  catch_interrupts(interrupt_lua);
  return 0;
}

constexpr luaL_Reg kFunctions[] = {{"open", open},
                                   {"read", read},
                                   {"remember", remember},
                                   {"compile", compile},
                                   {"call", call},
                                   {"plot", plot},
                                   {"catch_interrupts", catch_ctrl_c},
                                   {nullptr, nullptr}};

}  // namespace

int open_editor(lua_State* L) {
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  return 1;
}

}  // namespace gradus
