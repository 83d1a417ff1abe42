// t[i], t[{ {1, 5}, 0 }], t[mask] = v: indices are LibTorch's, from 0; a range {a, b} excludes b, as in Python.
#include <ATen/TensorIndexing.h>

#include <cmath>

#include "boundary.h"
#include "convert.h"
#include "error.h"
#include "tensor.h"

namespace gradus {
namespace {

using at::indexing::Slice;
using at::indexing::TensorIndex;

// A whole number at `at`: a fraction is an error, not a neighbour's value.
int64_t whole_number(lua_State* L, int at) {
  int64_t number = 0;
  if (!is_integer(L, at, &number)) throw Error(Exit::data, "expected an integer; got " + describe(L, at));
  return number;
}

// {from, to[, step]}; {} is all of the dimension, {from} its end.
TensorIndex range(lua_State* L, int table) {
  std::optional<c10::SymInt> parts[3];
  const auto length = static_cast<int>(lua_objlen(L, table));
  check_list(L, table, length);
  if (length > 3)
    throw Error(Exit::data, "expected a range {from, to, step}; got a list of " + std::to_string(length) +
                                " (a tensor takes several rows)");
  for (int i = 0; i < length; ++i) {
    lua_rawgeti(L, table, i + 1);
    parts[i] = whole_number(L, lua_gettop(L));
    lua_pop(L, 1);
  }
  return TensorIndex(Slice(parts[0], parts[1], parts[2]));
}

// One entry of an index list: number, {from, to[, step]}, ":" for all, "new" for a new dimension, tensor.
TensorIndex one_index(lua_State* L, int at) {
  if (at::Tensor* tensor = test_tensor(L, at)) {
    if (!tensor->defined()) throw Error(Exit::data, "a tensor was used after release()");
    return TensorIndex(*tensor);
  }
  switch (lua_type(L, at)) {
    case LUA_TNUMBER:
      return TensorIndex(whole_number(L, at));
    case LUA_TBOOLEAN:
      throw Error(Exit::data, "expected a mask, such as x:gt(0); got " + describe(L, at) + kComparison);
    case LUA_TSTRING:
      if (std::string(lua_tostring(L, at)) == ":") return TensorIndex(Slice());
      if (std::string(lua_tostring(L, at)) == "new") return TensorIndex(at::indexing::None);
      break;
    case LUA_TTABLE:
      return range(L, at);
    default:
      break;
  }
  throw Error(Exit::data, "expected an integer, {from, to}, ':', 'new' or a tensor; got " + describe(L, at));
}

std::vector<TensorIndex> read_index(lua_State* L, int key) {
  std::vector<TensorIndex> list;
  if (!lua_istable(L, key)) return {one_index(L, key)};
  const auto length = static_cast<int>(lua_objlen(L, key));
  check_list(L, key, length);
  for (int i = 1; i <= length; ++i) {
    lua_rawgeti(L, key, i);
    list.push_back(one_index(L, lua_gettop(L)));
    lua_pop(L, 1);
  }
  return list;
}

}  // namespace

namespace {

// A number beyond the first dimension, told with where indices begin.
void check_range(lua_State* L, const at::Tensor& tensor, int key) {
  if (lua_type(L, key) != LUA_TNUMBER || tensor.dim() == 0) return;
  const int64_t i = whole_number(L, key), rows = tensor.size(0);
  if (i < -rows || i >= rows)
    throw Error(Exit::data, "no row " + std::to_string(i) + " of " + std::to_string(rows) +
                                (rows ? "; expected 0 to " + std::to_string(rows - 1) : "") +
                                ": indices are counted from 0");
}

}  // namespace

int index_tensor(lua_State* L) {
  at::Tensor& tensor = check_tensor(L, 1);
  at::Tensor result;
  guard(L, "index", [&] {
    check_range(L, tensor, 2);
    result = tensor.index(read_index(L, 2));
  });
  push_tensor(L, std::move(result));
  return 1;
}

int assign_tensor(lua_State* L) {
  at::Tensor& tensor = check_tensor(L, 1);
  guard(L, "index", [&] {
    check_range(L, tensor, 2);
    const auto index = read_index(L, 2);
    if (at::Tensor* value = test_tensor(L, 3)) {
      if (!value->defined()) throw Error(Exit::data, "a tensor was used after release()");
      tensor.index_put_(index, *value);
    } else if (lua_isboolean(L, 3)) {
      tensor.index_put_(index, at::Scalar(static_cast<bool>(lua_toboolean(L, 3))));
    } else if (lua_type(L, 3) == LUA_TNUMBER) {
      tensor.index_put_(index, at::Scalar(lua_tonumber(L, 3)));
    } else {
      throw Error(Exit::data, "assignment: expected a number or a Tensor; got " + describe(L, 3));
    }
  });
  return 0;
}

}  // namespace gradus
