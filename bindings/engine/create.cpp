// Tensors from Lua values and back: engine.tensor({{1, 2}, {3, 4}}), t:totable(), t:item().
#include "create.h"

#include <cmath>
#include <cstdio>

#include "boundary.h"
#include "convert.h"
#include "device.h"
#include "error.h"
#include "step/record.h"
#include "transfer.h"

namespace gradus {
namespace {

constexpr int kMaxDepth = 16;

struct Gathered {
  std::vector<int64_t> sizes;
  std::vector<double> values;
  bool numbers = false, booleans = false;  // what kinds of values there were
};

std::string path_text(const std::vector<int>& path) {
  std::string text;
  for (int i : path) text += "[" + std::to_string(i) + "]";
  return text;
}

std::string place_text(const std::vector<int>& path) {
  return path.empty() ? "argument 1" : "value " + path_text(path);
}

// Reads nested lists depth first; every list of one depth must be as long as the first one there.
void gather(lua_State* L, int index, std::vector<int>& path, Gathered& out) {
  const std::size_t depth = path.size();
  if (depth > kMaxDepth) throw Error(Exit::data, "tensor: lists nested deeper than " + std::to_string(kMaxDepth));
  if (!lua_istable(L, index)) {
    if (lua_type(L, index) != LUA_TNUMBER && !lua_isboolean(L, index))
      throw Error(Exit::data, "tensor: " + place_text(path) + ": expected a number; got " + describe(L, index));
    if (depth < out.sizes.size())
      throw Error(Exit::data, "tensor: ragged: " + path_text(path) + " is a number; expected a list of " +
                                  std::to_string(out.sizes[depth]));
    (lua_isboolean(L, index) ? out.booleans : out.numbers) = true;
    out.values.push_back(lua_isboolean(L, index) ? lua_toboolean(L, index) : lua_tonumber(L, index));
    return;
  }
  const auto length = static_cast<int64_t>(lua_objlen(L, index));
  if (length == 0 && lua_next(L, (lua_pushnil(L), index)))
    throw Error(Exit::data, "tensor: " + place_text(path) + ": expected a list; got a table with names");
  try {
    check_list(L, index, length);
  } catch (const Error& error) {
    throw Error(error.code, std::string("tensor: ") + error.what());
  }
  if (depth == out.sizes.size() && out.values.empty()) {
    out.sizes.push_back(length);
  } else if (depth >= out.sizes.size() || out.sizes[depth] != length) {
    const std::string want = depth < out.sizes.size() ? std::to_string(out.sizes[depth]) + " values" : "a number";
    throw Error(Exit::data, "tensor: ragged: " + path_text(path) + " holds " + std::to_string(length) +
                                " values; expected " + want);
  }
  if (!lua_checkstack(L, 4)) throw Error(Exit::data, "tensor: lists nested too deep");
  for (int64_t i = 1; i <= length; ++i) {
    lua_rawgeti(L, index, static_cast<int>(i));
    path.push_back(static_cast<int>(i));
    gather(L, lua_gettop(L), path, out);
    path.pop_back();
    lua_pop(L, 1);
  }
}

// Refuses numbers that a type of whole numbers cannot hold; a fraction is cut off, as in PyTorch.
void check_range(const std::vector<double>& values, at::ScalarType type) {
  if (!at::isIntegralType(type, false)) return;
  const int bits = static_cast<int>(8 * at::elementSize(type)), sign = at::isSignedType(type);
  const double top = std::ldexp(1.0, bits - sign), low = sign ? -top : 0;
  for (const double value : values)
    if (!(std::trunc(value) >= low && value < top)) {
      char text[32];
      std::snprintf(text, sizeof text, "%.17g", value);
      throw Error(Exit::data, std::string("tensor: ") + text + " does not fit " + dtype_name(type));
    }
}

void push_nested(lua_State* L, const double* data, at::IntArrayRef sizes, int64_t stride, bool boolean) {
  if (sizes.empty()) {
    boolean ? lua_pushboolean(L, *data != 0) : lua_pushnumber(L, *data);
    return;
  }
  lua_createtable(L, static_cast<int>(sizes[0]), 0);
  stride /= std::max<int64_t>(sizes[0], 1);
  for (int64_t i = 0; i < sizes[0]; ++i) {
    push_nested(L, data + i * stride, sizes.slice(1), stride, boolean);
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
}

}  // namespace

TensorOptions read_tensor_options(lua_State* L, int index, const char* what, bool moves) {
  TensorOptions options;
  if (lua_isnoneornil(L, index)) return options;
  const std::string where = std::string(what) + ": ", last = moves ? "non_blocking" : "requires_grad";
  auto set_dtype = [&](const std::string& name) {
    options.dtype = parse_dtype(name);
    if (!options.dtype) throw Error(Exit::data, where + "dtype '" + name + "' is unknown; expected " + dtype_names());
  };
  if (lua_type(L, index) == LUA_TSTRING) {
    set_dtype(lua_tostring(L, index));
    return options;
  }
  if (!lua_istable(L, index))
    throw Error(Exit::data,
                where + "expected a dtype name or {dtype=, device=, " + last + "=}; got " + describe(L, index));
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    const bool named = lua_type(L, -2) == LUA_TSTRING;
    const std::string key = named ? lua_tostring(L, -2) : "";
    bool* const flag = key == "requires_grad" && !moves ? &options.requires_grad
                       : key == "pin_memory" && !moves  ? &options.pin_memory
                       : key == "non_blocking" && moves ? &options.non_blocking
                                                        : nullptr;
    const bool of_text = key == "dtype" || key == "device";
    if (!flag && !of_text)
      throw Error(Exit::data, where + "no option " + (named ? "'" + key + "'" : describe(L, lua_gettop(L) - 1)) +
                                  "; expected dtype, device or " + last);
    if (flag ? !lua_isboolean(L, -1) : !lua_isstring(L, -1))
      throw Error(Exit::data, where + key + ": expected " + (flag ? "true or false" : "a name") + "; got " +
                                  describe(L, lua_gettop(L)));
    if (flag)
      *flag = lua_toboolean(L, -1);
    else if (key == "dtype")
      set_dtype(lua_tostring(L, -1));
    else
      options.device = resolve_device(lua_tostring(L, -1));
  }
  return options;
}

int make_tensor(lua_State* L) {
  at::Tensor result;
  guard(L, [&] {
    const TensorOptions options = read_tensor_options(L, 2, "tensor", false);
    Gathered gathered;
    std::vector<int> path;
    if (at::Tensor* given = test_tensor(L, 1)) {
      result = given->detach().clone();
      if (options.dtype) result = result.to(*options.dtype);
    } else {
      gather(L, 1, path, gathered);
      result = at::empty(gathered.sizes, at::kDouble);
      std::copy(gathered.values.begin(), gathered.values.end(), result.mutable_data_ptr<double>());
      const bool boolean = gathered.booleans && !gathered.numbers;
      const at::ScalarType type = options.dtype.value_or(boolean ? at::kBool : at::kFloat);
      check_range(gathered.values, type);
      result = result.to(type);
    }
    if (options.device) result = result.to(*options.device);
    if (options.pin_memory) result = pinned(result);
    if (options.requires_grad) result.requires_grad_(true);
  });
  push_tensor(L, std::move(result));
  return 1;
}

int tensor_to_table(lua_State* L) {
  at::Tensor& tensor = check_tensor(L, 1);
  at::Tensor flat;
  guard(L, "totable", [&] {
    Recorder::value_read("totable");
    flat = tensor.detach().to(at::kCPU, at::kDouble).contiguous();
  });
  luaL_checkstack(L, static_cast<int>(flat.dim()) + 4, "tensor too deep");
  push_nested(L, flat.const_data_ptr<double>(), flat.sizes(), flat.numel(), tensor.scalar_type() == at::kBool);
  return 1;
}

int tensor_item(lua_State* L) {
  at::Tensor& tensor = check_tensor(L, 1);
  double value = 0;
  guard(L, "item", [&] {
    if (tensor.numel() != 1) throw Error(Exit::data, "expected a tensor of one value; got " + c10::str(tensor.sizes()));
    value = tensor.item().toDouble();
  });
  if (tensor.scalar_type() == at::kBool)
    lua_pushboolean(L, value != 0);
  else
    lua_pushnumber(L, value);
  return 1;
}

}  // namespace gradus
