#include "script_error.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <string_view>

#include "../error_code.h"
#include "../user_line.h"
#include "host_error.h"
#include "interpreter.h"
#include "require.h"

namespace gradus {
namespace {

constexpr int kMaxLevels = 200;        // of a deep recursion
constexpr std::size_t kMaxFrames = 8;  // shown

struct Position {
  std::string file;
  int line = 0;
  std::size_t length = 0;  // of "file:line"
};

// "x.lua:12: …" -> {x.lua, 12}; line 0 when the text has no such beginning.
Position parse_position(const std::string& text) {
  const std::size_t end_of_line = std::min(text.find('\n'), text.size());
  for (std::size_t colon = text.find(':'); colon < end_of_line; colon = text.find(':', colon + 1)) {
    std::size_t end = colon + 1;
    while (end < end_of_line && std::isdigit(static_cast<unsigned char>(text[end]))) ++end;
    const bool position = colon > 0 && end > colon + 1 && end - colon < 9 && (end == text.size() || text[end] == ':');
    if (position && text.find(' ') > 0) return {text.substr(0, colon), std::stoi(text.substr(colon + 1)), end};
  }
  return {};
}

std::string function_name(const lua_Debug& frame) {
  if (*frame.what == 'm') return "main chunk";
  if (frame.name) return std::string(*frame.namewhat == 'm' ? "method '" : "function '") + frame.name + "'";
  return "function at line " + std::to_string(frame.linedefined);
}

// coroutine.wrap, and error(err), put their own position before that of the error: "x.lua:9: x.lua:3: what". Leaves the
// innermost, where it happened, and returns the others, inner first.
std::vector<std::string> strip_rethrows(std::string& message, Interpreter& interpreter) {
  std::vector<std::string> passed;
  for (;;) {
    const Position outer = parse_position(message);
    if (outer.line == 0 || !interpreter.find_source(outer.file) || message.compare(outer.length, 2, ": ") != 0) break;
    const std::string rest = message.substr(outer.length + 2);
    const Position inner = parse_position(rest);
    if (inner.line == 0 || !interpreter.find_source(inner.file)) break;
    passed.insert(passed.begin(), message.substr(0, outer.length));
    message = rest;
  }
  return passed;
}

std::string one_word(const char* type) { return std::string("error object is a ") + type + " without a message"; }

}  // namespace

std::string line_of(const std::string& text, int number) {
  std::size_t begin = 0;
  for (int i = 1; i < number && begin != std::string::npos; ++i) {
    begin = text.find('\n', begin);
    if (begin != std::string::npos) ++begin;
  }
  if (begin == std::string::npos || begin >= text.size()) return "";
  std::string line = text.substr(begin, text.find('\n', begin) - begin);
  if (number == 1 && line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);
  while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back()))) line.pop_back();
  if (line.size() > 160) line = line.substr(0, 160) + " …";
  return line;
}

std::string error_text(lua_State* L, int index) {
  if (index < 0) index = lua_gettop(L) + index + 1;
  const int top = lua_gettop(L);
  std::string text;
  if (lua_isstring(L, index)) {
    lua_pushvalue(L, index);  // tolstring would turn a number in place
    std::size_t size = 0;
    const char* bytes = lua_tolstring(L, -1, &size);
    text.assign(bytes, size);
    if (lua_type(L, index) == LUA_TNUMBER) text = "error object is the number " + text;
  } else if (lua_isnil(L, index)) {
    text = "error object is nil";
  } else {
    if (luaL_getmetafield(L, index, "__tostring")) {
      lua_pushvalue(L, index);
      if (lua_pcall(L, 1, 1, 0) == 0 && lua_isstring(L, -1)) text = lua_tostring(L, -1);
    }
    for (const char* field : {"message", "msg", "error"}) {
      if (!text.empty() || !lua_istable(L, index)) break;
      lua_pushstring(L, field);
      lua_rawget(L, index);
      if (lua_type(L, -1) == LUA_TSTRING) text = lua_tostring(L, -1);
    }
    if (text.empty()) text = one_word(luaL_typename(L, index));
  }
  lua_settop(L, top);
  if (text.empty()) text = "error object is an empty string";
  return text;
}

// Replaces a text at index 1 by what habits.lua has to say about it, which has the same exit code.
void explain(lua_State* L) {
  if (lua_type(L, 1) != LUA_TSTRING || std::strstr(lua_tostring(L, 1), "stack overflow") ||
      std::strstr(lua_tostring(L, 1), "not enough memory"))
    return;
  push_trusted_require(L);
  lua_pushliteral(L, "gradus.base.habits");
  if (lua_pcall(L, 1, 1, 0) == 0 && lua_istable(L, -1)) {
    lua_getfield(L, -1, "explain");
    lua_pushvalue(L, 1);
    if (lua_pcall(L, 1, 1, 0) == 0 && lua_type(L, -1) == LUA_TSTRING) {
      const int code = recall_error(L, lua_tostring(L, 1));
      remember_error(L, lua_tostring(L, -1), code ? code : kData);
      lua_replace(L, 1);
    }
  }
  lua_settop(L, 1);
}

int record_traceback(lua_State* L) {
  Interpreter& interpreter = Interpreter::of(L);
  explain(L);
  Traceback traceback;
  traceback.message = error_text(L, 1);
  // A rethrow passes here again with a shorter stack: keep the first one.
  if (!interpreter.traceback.frames.empty() &&
      traceback.message.find(interpreter.traceback.message) != std::string::npos)
    return 1;
  lua_Debug frame;
  for (int level = 1; level < kMaxLevels && lua_getstack(L, level, &frame); ++level) {
    lua_getinfo(L, "Sln", &frame);
    if (frame.currentline <= 0 || is_stdlib(frame)) continue;
    traceback.frames.push_back(
        {std::string(frame.short_src) + ":" + std::to_string(frame.currentline), function_name(frame)});
  }
  if (traceback.frames.empty()) {
    const std::string line = user_line(L);
    if (!line.empty()) traceback.frames.push_back({line, "function that was called last"});
  }
  interpreter.traceback = std::move(traceback);
  lua_settop(L, 1);
  return 1;
}

ScriptError describe_error(lua_State* L, Interpreter& interpreter) {
  ScriptError error;
  error.message = error_text(L, -1);
  error.code = recall_error(L, error.message.c_str());
  if (error.code == 0) error.code = kData;

  std::vector<Frame> frames;
  if (error.message.find(interpreter.traceback.message) != std::string::npos) frames = interpreter.traceback.frames;
  const std::vector<std::string> passed = strip_rethrows(error.message, interpreter);
  if (error.code == kUsage) return error;  // the command line is to blame, no line of the script
  Position position = parse_position(error.message);
  const std::string* text = position.line > 0 ? interpreter.find_source(position.file) : nullptr;
  const bool in_stdlib = text && position.file.starts_with("stdlib/");
  if (!text && !frames.empty()) {  // a message without position, such as error({}): the frame tells
    const bool foreign = position.line > 0;
    position = parse_position(frames.front().where);
    text = interpreter.find_source(position.file);
    if (!foreign && error.code != kMissing) error.message = frames.front().where + ": " + error.message;
  } else if (in_stdlib && !frames.empty()) {
    position = parse_position(frames.front().where);  // show the user's line, not ours
    text = interpreter.find_source(position.file);
  }
  if (text) {
    const std::string line = line_of(*text, position.line);
    if (!line.empty()) error.source.push_back("  " + std::to_string(position.line) + " | " + line);
  }

  const std::string here = position.file + ":" + std::to_string(position.line);
  for (const std::string& line : passed)
    if (frames.empty() || line != frames.front().where) error.stack.push_back("  passed on at " + line);
  const bool only_here = frames.size() == 1 && frames[0].where == here && frames[0].function == "main chunk";
  if (!only_here) {
    for (std::size_t i = 0; i < std::min(frames.size(), kMaxFrames); ++i)
      error.stack.push_back("  in " + frames[i].function + " (" + frames[i].where + ")");
    if (frames.size() > kMaxFrames)
      error.stack.push_back("  … and " + std::to_string(frames.size() - kMaxFrames) + " more");
  }
  return error;
}

void print_error(std::FILE* out, const ScriptError& error, bool colour) {
  const char* strong = colour ? "\x1b[1;31m" : "";
  const char* faint = colour ? "\x1b[2m" : "";
  const char* plain = colour ? "\x1b[0m" : "";
  // The first line, then what it points at, then the rest of a longer message.
  const std::size_t end = error.message.find('\n');
  std::fprintf(out, "%s%s%s\n", strong, error.message.substr(0, end).c_str(), plain);
  for (const std::string& line : error.source) std::fprintf(out, "%s\n", line.c_str());
  if (end != std::string::npos) std::fprintf(out, "%s\n", error.message.substr(end + 1).c_str());
  for (const std::string& line : error.stack) std::fprintf(out, "%s%s%s\n", faint, line.c_str(), plain);
  std::fflush(out);
}

}  // namespace gradus
