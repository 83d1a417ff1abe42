// engine.data.train_tokenizer, load_tokenizer and read_text
#include "data/tokenizer.h"

#include <memory>

#include "data.h"
#include "options.h"

namespace gradus {

namespace {

constexpr const char* kType = "gradus.Tokenizer";
Tokenizer& self(lua_State* L) { return check_object<Tokenizer>(L, 1, kType); }

// train_tokenizer(path, {vocabulary, model})
int train(lua_State* L) {
  lua_settop(L, 2);
  push_object(L, kType, [&] {
    const Options given(L, 2, "tokenizer.train", {"vocabulary", "model"});
    if (!given.has("vocabulary"))
      throw Error(Exit::data, "tokenizer.train: expected vocabulary = the number of tokens; got none");
    return std::make_unique<Tokenizer>(Tokenizer::train(text_at(L, 1, "tokenizer.train: path"),
                                                        given.whole("vocabulary", 0), given.text("model", "unigram")));
  });
  return 1;
}

int load(lua_State* L) {
  push_object(L, kType,
              [&] { return std::make_unique<Tokenizer>(Tokenizer::load(text_at(L, 1, "tokenizer.load: path"))); });
  return 1;
}

// t:encode(text) -> int64 [n]
int encode(lua_State* L) {
  Tokenizer& tokenizer = self(L);
  at::Tensor tokens;
  guard(L, [&] { tokens = tokenizer.encode(text_at(L, 2, "encode")); });
  push_tensor(L, std::move(tokens));
  return 1;
}

void push_text(lua_State* L, const std::string& text) { lua_pushlstring(L, text.data(), text.size()); }

// t:decode(tokens) -> text
int decode(lua_State* L) {
  Tokenizer& tokenizer = self(L);
  at::Tensor& tokens = check_tensor(L, 2, "decode: tokens");
  std::string text;
  guard(L, [&] { text = tokenizer.decode(tokens); });
  push_text(L, text);
  return 1;
}

// t:save(path)
int save(lua_State* L) {
  Tokenizer& tokenizer = self(L);
  guard(L, [&] { tokenizer.save(text_at(L, 2, "save: path")); });
  return 0;
}

int size(lua_State* L) { return lua_pushnumber(L, static_cast<double>(self(L).size())), 1; }
int bytes(lua_State* L) { return push_text(L, self(L).bytes()), 1; }

// read_text(path) -> text
int lua_read_text(lua_State* L) {
  std::string text;
  guard(L, [&] { text = read_text(text_at(L, 1, "text: path")); });
  push_text(L, text);
  return 1;
}

constexpr luaL_Reg kMethods[] = {{"encode", encode}, {"decode", decode}, {"save", save},
                                 {"size", size},     {"bytes", bytes},   {nullptr, nullptr}};
constexpr luaL_Reg kFunctions[] = {
    {"train_tokenizer", train}, {"load_tokenizer", load}, {"read_text", lua_read_text}, {nullptr, nullptr}};

}  // namespace

void open_tokenizer(lua_State* L) {
  register_type(L, kType, kMethods, collect_object<Tokenizer>);
  luaL_register(L, nullptr, kFunctions);
}

}  // namespace gradus
