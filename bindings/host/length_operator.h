// `#x` of a user's script as a call that asks x's metatable, as Lua 5.2 does and LuaJIT does not: without it a data set or
// a list of modules would have length 0, without a word.
#pragma once

#include <string>

namespace gradus {

// The text with every `#x` of a name or a parenthesis written as ("x"):__len(x), on the same lines (stdlib/base/lists.lua).
// A text that is not Lua comes back in some form: whoever compiles it compiles the original for the message.
std::string with_length_calls(const std::string& text);

}  // namespace gradus
