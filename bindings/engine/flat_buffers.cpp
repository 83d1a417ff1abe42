#include "flat_buffers.h"

#include "boundary.h"
#include "convert.h"
#include "error.h"
#include "step/flat.h"
#include "step/record.h"

namespace gradus {
namespace {

std::vector<at::Tensor> read_list(lua_State* L, int index) {
  std::vector<at::Tensor> list;
  for (int i = 1; i <= static_cast<int>(lua_objlen(L, index)); ++i) {
    lua_rawgeti(L, index, i);
    at::Tensor* tensor = test_tensor(L, lua_gettop(L));
    lua_pop(L, 1);
    if (!tensor || !tensor->defined()) throw Error(Exit::data, "item " + std::to_string(i) + ": expected a Tensor");
    list.push_back(*tensor);
  }
  return list;
}

// join(parameters) -> the flat buffer that they are parts of from now on; nil where they cannot be.
int join(lua_State* L) {
  std::optional<at::Tensor> flat;
  guard(L, "flat", [&] {
    if (Recorder* recorder = Recorder::current()) recorder->cannot("an optimizer is made inside of the step");
    flat = flatten(read_list(L, 1));
  });
  if (!flat) return 0;
  push_tensor(L, std::move(*flat));
  return 1;
}

// parts(flat, like) -> views of a flat buffer, with the shapes of the tensors `like`.
int list_parts(lua_State* L) {
  std::vector<at::Tensor> views;
  guard(L, "flat", [&] { views = parts(check_tensor(L, 1), read_list(L, 2)); });
  lua_createtable(L, static_cast<int>(views.size()), 0);
  for (std::size_t i = 0; i < views.size(); ++i) {
    push_tensor(L, std::move(views[i]));
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
  return 1;
}

int holds_parts(lua_State* L) {
  bool result = false;
  guard(L, "flat", [&] { result = holds(check_tensor(L, 1), read_list(L, 2)); });
  lua_pushboolean(L, result);
  return 1;
}

// gather(parts, gradients): copies each gradient to its place.
int gather_parts(lua_State* L) {
  guard(L, "flat", [&] { at::_foreach_copy_(read_list(L, 1), read_list(L, 2)); });
  return 0;
}

// changed(parameters): their values were changed through the flat buffer, which autograd cannot see.
int changed(lua_State* L) {
  guard(L, "flat", [&] {
    for (const at::Tensor& tensor : read_list(L, 1)) tensor.unsafeGetTensorImpl()->bump_version();
  });
  return 0;
}

}  // namespace

void open_flat(lua_State* L) {
  constexpr luaL_Reg functions[] = {{"join", join},           {"parts", list_parts}, {"holds", holds_parts},
                                    {"gather", gather_parts}, {"changed", changed},  {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, functions);
}

}  // namespace gradus
