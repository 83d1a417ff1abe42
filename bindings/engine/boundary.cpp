#include "boundary.h"

#include <string_view>

#include "../error_code.h"
#include "../user_line.h"
#include "error.h"
#include "torch.h"

namespace gradus {
namespace {

// LibTorch appends a C++ backtrace and, for some errors, a page of dispatcher tables: only the first line is for users.
std::string first_line(const std::exception& error) {
  std::string text;
  if (const auto* torch_error = dynamic_cast<const c10::Error*>(&error))
    text = torch_error->what_without_backtrace();
  else
    text = error.what();
  constexpr std::string_view kAsked = "you tried to allocate ";  // behind words about LibTorch's source
  if (const auto asked = text.find(kAsked); asked != std::string::npos)
    return "out of memory: " + text.substr(asked + kAsked.size(), text.find(" bytes", asked) - asked - kAsked.size()) +
           " bytes were asked for";
  const auto end = text.find('\n');
  if (end != std::string::npos) {
    // A heading such as "Error: sizes do not match:" is worth nothing without its next line.
    std::string rest = text.substr(end + 1);
    text.resize(end);
    if (!text.empty() && text.back() == ':') text += " " + rest.substr(0, rest.find('\n'));
  }
  return text;
}

}  // namespace

std::string user_position(lua_State* L) {
  const std::string line = user_line(L);
  return line.empty() ? line : line + ": ";
}

void push_error(lua_State* L, const std::exception& error, const char* what) {
  const auto* ours = dynamic_cast<const Error*>(&error);
  std::string text = user_position(L);
  const std::string reason = first_line(error);
  if (what && !reason.starts_with(std::string(what) + ":")) text += std::string(what) + ": ";
  text += reason;
  remember_error(L, text, static_cast<int>(ours ? ours->code : Exit::data));
  lua_pushlstring(L, text.data(), text.size());
}

void raise(lua_State* L, const std::string& text) {
  push_error(L, Error(Exit::data, text));
  lua_error(L);
  __builtin_unreachable();
}

}  // namespace gradus
