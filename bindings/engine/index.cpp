// t[i], t[{ {1, 5}, 0 }], t[mask] = v: indices are LibTorch's, from 0; a range {a, b} excludes b, as in Python.
#include <ATen/TensorIndexing.h>

#include "boundary.h"
#include "convert.h"
#include "error.h"
#include "tensor.h"

namespace gradus {
namespace {

using at::indexing::Slice;
using at::indexing::TensorIndex;

std::optional<int64_t> integer_at(lua_State* L, int table, int i) {
  lua_rawgeti(L, table, i);
  std::optional<int64_t> value;
  if (lua_type(L, -1) == LUA_TNUMBER) value = static_cast<int64_t>(lua_tonumber(L, -1));
  lua_pop(L, 1);
  return value;
}

// One entry of an index list: number, {from, to[, step]}, ":" for all, "new" for a new dimension, tensor.
TensorIndex one_index(lua_State* L, int at) {
  if (at::Tensor* tensor = test_tensor(L, at)) return TensorIndex(*tensor);
  switch (lua_type(L, at)) {
    case LUA_TNUMBER:
      return TensorIndex(static_cast<int64_t>(lua_tonumber(L, at)));
    case LUA_TBOOLEAN:
      return TensorIndex(static_cast<bool>(lua_toboolean(L, at)));
    case LUA_TSTRING:
      if (std::string(lua_tostring(L, at)) == ":") return TensorIndex(Slice());
      if (std::string(lua_tostring(L, at)) == "new") return TensorIndex(at::indexing::None);
      break;
    case LUA_TTABLE: {
      const auto from = integer_at(L, at, 1), to = integer_at(L, at, 2), step = integer_at(L, at, 3);
      auto sym = [](std::optional<int64_t> v) { return v ? std::optional<c10::SymInt>(*v) : std::nullopt; };
      return TensorIndex(Slice(sym(from), sym(to), sym(step)));
    }
    default:
      break;
  }
  throw Error(Exit::data, "index: expected an integer, {from, to}, ':', 'new' or a tensor; got " + describe(L, at));
}

std::vector<TensorIndex> read_index(lua_State* L, int key) {
  std::vector<TensorIndex> list;
  if (!lua_istable(L, key)) return {one_index(L, key)};
  for (int i = 1; i <= static_cast<int>(lua_objlen(L, key)); ++i) {
    lua_rawgeti(L, key, i);
    list.push_back(one_index(L, lua_gettop(L)));
    lua_pop(L, 1);
  }
  return list;
}

}  // namespace

int index_tensor(lua_State* L) {
  at::Tensor& tensor = check_tensor(L, 1);
  at::Tensor result;
  guard(L, "index", [&] { result = tensor.index(read_index(L, 2)); });
  push_tensor(L, std::move(result));
  return 1;
}

int assign_tensor(lua_State* L) {
  at::Tensor& tensor = check_tensor(L, 1);
  guard(L, "index", [&] {
    const auto index = read_index(L, 2);
    if (at::Tensor* value = test_tensor(L, 3)) {
      tensor.index_put_(index, *value);
    } else if (lua_type(L, 3) == LUA_TNUMBER) {
      tensor.index_put_(index, at::Scalar(lua_tonumber(L, 3)));
    } else {
      throw Error(Exit::data, "assignment: expected a number or a Tensor; got " + describe(L, 3));
    }
  });
  return 0;
}

}  // namespace gradus
