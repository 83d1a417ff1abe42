// Where Lua code comes from: the modules in C++, the standard library, the script's folder; and only as source text.
// Bytecode is refused through every door, since LuaJIT runs it unverified: it can corrupt memory.
#pragma once

#include <lua.hpp>
#include <string>

namespace gradus {

// Replaces require, load, loadstring, loadfile, dofile and package.loaders; removes string.dump and package.loadlib.
void install_source_loader(lua_State* L);

inline constexpr const char* kBytecodeRefused = "bytecode is refused; expected Lua source text";

// Compiles text; pushes the function and returns true, or pushes the message and returns false. `name` is for the
// message.
bool load_text(lua_State* L, const std::string& text, const std::string& chunk_name, const std::string& name);

// Replaces the message of a syntax error, on top of the stack, by one that knows what other languages write there.
void explain_syntax(lua_State* L, const std::string& text);

// As load_text, for a text of the user's: `#x` asks x (length_operator.h), and a syntax error tells what Lua writes
// instead.
bool load_user_text(lua_State* L, const std::string& text, const std::string& chunk_name, const std::string& name);

}  // namespace gradus
