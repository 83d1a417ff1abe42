#include "boundary.h"

#include <new>
#include <string_view>

#include "../error_code.h"
#include "../one_line.h"
#include "../user_line.h"
#include "error.h"
#include "torch.h"

namespace gradus {
namespace {

// LibTorch appends a C++ backtrace and, for some errors, a page of dispatcher tables: only the first line is for users.
std::string first_line(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error)) return "out of memory";
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

// What LibTorch's words about types mean in a script. The first that is found counts.
struct Mend {
  std::string_view words;
  const char* ours;
};
constexpr Mend kMends[] = {
    {"with two bool tensors", "a:float() - b:float(), or a:ne(b)"},
    {"backward through the graph a second time",
     "one backward pass, of a sum such as (a + b):backward(), or the forward pass again"},
    {"on a bool tensor is not supported", "x:logical_not()"},
    {"floating point", "numbers of a float type: x:float()"},
    {"must be either float or double", "numbers of a float type: x:float()"},
    {"not implemented for 'Bool'", "x:float()"},
    {"not implemented for 'Long'", "x:float()"},
    {"not implemented for 'Int'", "x:float()"},
    {"not implemented for 'Byte'", "x:float()"},
    {"the same dtype", "x:float() of the other"},
    {"must be long, int, byte or bool", "x:long(), or a mask such as x:gt(0)"},
    {"expected BoolTensor for mask", "a mask such as x:gt(0)"},
    {"condition to be a boolean tensor", "a mask such as x:gt(0)"},
    {"int32/int64 for index", "x:long()"},
};

std::string mended(const std::string& reason) {
  for (const auto& [words, ours] : kMends)
    if (reason.find(words) != std::string::npos) return reason + "; expected " + ours;
  return reason;
}

}  // namespace

std::string user_position(lua_State* L) {
  const std::string line = user_line(L);
  return line.empty() ? line : line + ": ";
}

void push_error(lua_State* L, const std::exception& error, const char* what) {
  const auto* ours = dynamic_cast<const Error*>(&error);
  std::string text = user_position(L);
  const std::string reason = ours ? one_line(error.what()) : mended(first_line(error));
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
