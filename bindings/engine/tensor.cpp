// The Tensor type in Lua: properties, arithmetic, life time.
#include "tensor.h"

#include <map>
#include <string_view>

#include "../nearest.h"
#include "boundary.h"
#include "convert.h"
#include "create.h"
#include "error.h"
#include "ops.h"
#include "print.h"
#include "step/record.h"

namespace gradus {
namespace {

// --- properties: t.shape, t.dtype, …

void push_property(lua_State* L, const at::Tensor& tensor, const std::string& name) {
  if (name == "shape") return push_sizes(L, tensor.sizes());
  if (name == "dtype") return lua_pushstring(L, dtype_name(tensor.scalar_type()).c_str());
  if (name == "device") return lua_pushstring(L, tensor.device().str().c_str());
  if (name == "requires_grad") return lua_pushboolean(L, tensor.requires_grad());
  if (name == "is_leaf") return lua_pushboolean(L, tensor.is_leaf());
  if (name == "ndim") return lua_pushnumber(L, static_cast<double>(tensor.dim()));
  if (name == "grad") return push_tensor(L, tensor.grad());
  if (name == "T") {
    at::Tensor transposed;
    guard(L, "T", [&] { transposed = tensor.t(); });
    return push_tensor(L, std::move(transposed));
  }
  std::vector<std::string> names = {"shape", "dtype", "device", "requires_grad", "is_leaf", "ndim", "grad", "T"};
  luaL_getmetatable(L, kTensorType);
  lua_getfield(L, -1, "methods");
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) names.push_back(lua_tostring(L, -2));
  // What other libraries call it.
  static const std::map<std::string_view, const char*> kElsewhere = {
      {"bfloat16", "x:to { dtype = \"bfloat16\" }"},
      {"cat", "g.cat({ x, y }, 0)"},
      {"clip", "x:clamp(min, max)"},
      {"copy", "x:clone()"},
      {"deepcopy", "x:clone()"},
      {"diag", "x:diagonal()"},
      {"half", "x:to { dtype = \"float16\" }"},
      {"int", "x:to { dtype = \"int32\" }"},
      {"is_cuda", "x.device"},
      {"len", "#x, or x:size(0)"},
      {"nelement", "x:numel()"},
      {"ravel", "x:flatten()"},
      {"repeat", "x:tile({ 2, 1 })"},
      {"stack", "g.stack({ x, y }, 0)"},
      {"to_list", "x:totable()"},
      {"tolist", "x:totable()"},
      {"where", "g.where(condition, x, y)"},
      {"numpy", "x:totable(), or x:data() for its numbers"},
      {"cuda", "x:to(\"cuda\"), or --device cuda on the command line, which moves all"},
      {"astype", "x:to { dtype = \"float32\" }"},
      {"type", "x:to { dtype = \"float32\" }, or x.dtype"}};
  if (const auto found = kElsewhere.find(name); found != kElsewhere.end())
    raise(L, "Tensor has no method or property '" + name + "'; expected " + found->second);
  const std::string near = nearest(name, names);
  raise(L, "Tensor has no method or property '" + name + "'" + (near.empty() ? "" : "; did you mean '" + near + "'?"));
}

int tensor_get(lua_State* L) {
  if (lua_type(L, 2) != LUA_TSTRING || (lua_objlen(L, 2) == 1 && *lua_tostring(L, 2) == ':')) return index_tensor(L);
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  if (!lua_isnil(L, -1)) return 1;
  push_property(L, check_tensor(L, 1), lua_tostring(L, 2));
  return 1;
}

// One of another shape would be broadcast by an optimizer.
void check_gradient(lua_State* L, const at::Tensor& tensor, const at::Tensor& gradient) {
  if (gradient.defined() && gradient.sizes() == tensor.sizes() && gradient.scalar_type() == tensor.scalar_type() &&
      gradient.device() == tensor.device())
    return;
  throw Error(Exit::data, "expected " + describe(L, 1) + " on " + tensor.device().str() + "; got " + describe(L, 3) +
                              (gradient.defined() ? " on " + gradient.device().str() : ""));
}

int tensor_set(lua_State* L) {
  if (lua_type(L, 2) != LUA_TSTRING) return assign_tensor(L);
  const std::string name = lua_tostring(L, 2);
  at::Tensor& tensor = check_tensor(L, 1);
  if (name == ":") return assign_tensor(L);
  if (name != "grad" && name != "requires_grad")
    raise(L, "Tensor has no property '" + name + "' to set; expected grad or requires_grad, or an index");
  if (name == "requires_grad") {
    if (!lua_isboolean(L, 3)) raise(L, "requires_grad: expected true or false; got " + describe(L, 3));
    guard(L, "requires_grad", [&] { tensor.requires_grad_(lua_toboolean(L, 3)); });
  } else {
    if (!lua_isnil(L, 3) && !test_tensor(L, 3)) raise(L, "grad: expected a Tensor or nil; got " + describe(L, 3));
    guard(L, "grad", [&] {
      if (const at::Tensor* given = test_tensor(L, 3)) check_gradient(L, tensor, *given);
      if (Recorder* recorder = Recorder::current(); recorder && lua_isnil(L, 3)) recorder->grad_cleared(tensor);
      tensor.mutable_grad() = lua_isnil(L, 3) ? at::Tensor() : *test_tensor(L, 3);
    });
  }
  return 0;
}

// --- what Lua asks of a value

int tensor_length(lua_State* L) {
  at::Tensor& tensor = check_tensor(L, 1);
  if (tensor.dim() == 0) raise(L, "a 0-dim tensor has no length");
  lua_pushnumber(L, static_cast<double>(tensor.size(0)));
  return 1;
}

int tensor_to_string(lua_State* L) {
  at::Tensor* tensor = test_tensor(L, 1);
  if (!tensor || !tensor->defined()) {
    lua_pushliteral(L, "tensor(released)");
    return 1;
  }
  std::string text;
  guard(L, "print", [&] {
    Recorder::value_read("tostring");
    text = print_tensor(*tensor);
  });
  lua_pushlstring(L, text.data(), text.size());
  return 1;
}

int tensor_equal(lua_State* L) {
  at::Tensor* a = test_tensor(L, 1);
  at::Tensor* b = test_tensor(L, 2);
  lua_pushboolean(L, a && b && a->is_same(*b));
  return 1;
}

// What Lua asks only of two tensors; a tensor beside a number it refuses by itself (stdlib/base/habits.lua).
int refuse_comparison(lua_State* L) {
  raise(L,
        "a tensor has no order in Lua; expected x:lt(y), x:le(y), x:gt(y), x:ge(y) (of each value), or x:item() < "
        "y:item()");
}

int refuse_call(lua_State* L) {
  raise(L, "a tensor is no function; expected an index from 0, x[i], or for i, row in ipairs(x) do … end");
}

// "loss " .. x: the number of a tensor that holds one.
void push_text(lua_State* L, int index) {
  at::Tensor* tensor = test_tensor(L, index);
  if (!tensor) {
    if (!lua_isstring(L, index)) raise(L, "..: expected texts and numbers beside a tensor; got " + describe(L, index));
    return lua_pushvalue(L, index);
  }
  if (!tensor->defined() || tensor->numel() != 1)
    raise(L, "..: expected a tensor of one value; got " + describe(L, index) + " (tostring(x))");
  lua_pushcfunction(L, tensor_item);
  lua_pushvalue(L, index);
  lua_call(L, 1, 1);
  if (lua_isboolean(L, -1)) lua_pushstring(L, lua_toboolean(L, -1) ? "true" : "false");
}

int tensor_concatenate(lua_State* L) {
  push_text(L, 1);
  const int first = lua_gettop(L);
  push_text(L, 2);
  lua_pushvalue(L, first);
  lua_insert(L, -2);
  lua_concat(L, 2);
  return 1;
}

int tensor_collect(lua_State* L) {
  static_cast<TensorBox*>(lua_touserdata(L, 1))->~TensorBox();
  return 0;
}

struct Arithmetic {
  const char* event;
  const char* op;
};
constexpr Arithmetic kArithmetic[] = {{"__add", "add"}, {"__sub", "sub"},       {"__mul", "mul"},
                                      {"__div", "div"}, {"__mod", "remainder"}, {"__pow", "pow"}};

int tensor_negate(lua_State* L) {
  at::Tensor& tensor = check_tensor(L, 1);
  at::Tensor result;
  guard(L, "neg", [&] { result = tensor.neg(); });
  push_tensor(L, std::move(result));
  return 1;
}

}  // namespace

void open_tensor_types(lua_State* L) {
  luaL_newmetatable(L, kTensorType);
  lua_newtable(L);  // methods
  add_methods(L);
  add_tensor_methods(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "methods");  // stdlib/base/tensor.lua adds to it
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, &tensor_get, 1);
  lua_setfield(L, -3, "__index");
  lua_pop(L, 1);
  constexpr luaL_Reg events[] = {
      {"__newindex", tensor_set},       {"__len", tensor_length},    {"__tostring", tensor_to_string},
      {"__eq", tensor_equal},           {"__gc", tensor_collect},    {"__unm", tensor_negate},
      {"__lt", refuse_comparison},      {"__le", refuse_comparison}, {"__call", refuse_call},
      {"__concat", tensor_concatenate}, {nullptr, nullptr}};
  luaL_register(L, nullptr, events);
  open_ops(L);
  for (const auto& [event, op] : kArithmetic) {
    lua_getfield(L, -1, op);
    lua_setfield(L, -3, event);
  }
  lua_pop(L, 2);

  luaL_newmetatable(L, kSizesType);
  lua_pop(L, 1);
  open_generator_type(L);
}

}  // namespace gradus
