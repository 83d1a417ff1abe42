// engine.data: files, named seeds, samplers, tokenizers, augmentation, batches ahead of use.
#pragma once

#include <cstdint>
#include <lua.hpp>
#include <memory>
#include <string>
#include <type_traits>

#include "boundary.h"
#include "convert.h"

namespace gradus {

void open_transfer(lua_State* L);   // pushes the function transfer(tensor)
void open_data(lua_State* L);       // pushes the table engine.data
void open_files(lua_State* L);      // adds what reads and writes files to the table on the top
void open_sampler(lua_State* L);    // adds Sampler to it
void open_loader(lua_State* L);     // adds augment, mixup, mask, check and Loader to it
void open_tokenizer(lua_State* L);  // adds train_tokenizer, load_tokenizer and read_text to it

// The text at `index`, or an Error; zero bytes are kept, so that the runtime can refuse them.
std::string text_at(lua_State* L, int index, const char* what);
// The whole number from 0 to 2^53 at `index`, or an Error: a seed.
uint64_t seed_at(lua_State* L, int index, const char* what);

// Registers a userdata type with these methods; they find each other through __index.
void register_type(lua_State* L, const char* type, const luaL_Reg* methods, lua_CFunction collect);

// The C++ object of a userdata made by push_object, or an error that blames the user's line.
template <class T>
T& check_object(lua_State* L, int index, const char* type) {
  void* box = luaL_testudata(L, index, type);
  if (!box) raise(L, std::string("expected a ") + type + " (call its methods with ':'); got " + describe(L, index));
  return **static_cast<T**>(box);
}

// Pushes a userdata that takes what `make` returns, an std::unique_ptr<T>. `make` runs inside guard.
template <class F>
void push_object(lua_State* L, const char* type, F&& make) {
  using T = typename std::invoke_result_t<F>::element_type;
  auto** box = static_cast<T**>(lua_newuserdata(L, sizeof(T*)));  // before `make`, so that nothing leaks
  *box = nullptr;
  guard(L, [&] { *box = make().release(); });
  luaL_getmetatable(L, type);
  lua_setmetatable(L, -2);
}

template <class T>
int collect_object(lua_State* L) {
  T** box = static_cast<T**>(lua_touserdata(L, 1));
  delete *box;
  *box = nullptr;
  return 0;
}

}  // namespace gradus
