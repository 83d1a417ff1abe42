// Where Lua code comes from: the modules in C++, the standard library, the script's folder; and only as source text.
// Bytecode is refused through every door, since LuaJIT runs it unverified: it can corrupt memory.
#pragma once

#include <lua.hpp>
#include <string>

namespace gradus {

// Replaces require, load, loadstring, loadfile, dofile and package.loaders; removes string.dump and package.loadlib.
void install_source_loader(lua_State* L);

// The standard library's require: as the user's, and it also gives `ffi`.
void push_trusted_require(lua_State* L);

// Compiles text; pushes the function and returns true, or pushes the message and returns false. `name` is for the
// message.
bool load_text(lua_State* L, const std::string& text, const std::string& chunk_name, const std::string& name);

// As load_text, for a text of the user's: `#x` asks x (length_operator.h), and a syntax error tells what Lua writes instead.
bool load_user_text(lua_State* L, const std::string& text, const std::string& chunk_name, const std::string& name);

}  // namespace gradus
