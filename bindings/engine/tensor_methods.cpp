// The methods of Tensor that are no operators: sizes, other dtypes and devices, gradients, memory.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "boundary.h"
#include "convert.h"
#include "create.h"
#include "device.h"
#include "error.h"
#include "step/record.h"
#include "tensor.h"
#include "transfer.h"

namespace gradus {
namespace {

int tensor_size(lua_State* L) {
  at::Tensor& tensor = check_tensor(L, 1);
  if (lua_isnoneornil(L, 2)) {
    push_sizes(L, tensor.sizes());
    return 1;
  }
  int64_t dimension = 0, size = 0;
  if (!is_integer(L, 2, &dimension)) raise(L, "size: expected a dimension, an integer; got " + describe(L, 2));
  guard(L, "size", [&] { size = tensor.size(dimension); });
  lua_pushnumber(L, static_cast<double>(size));
  return 1;
}

int tensor_numel(lua_State* L) {
  lua_pushnumber(L, static_cast<double>(check_tensor(L, 1).numel()));
  return 1;
}

int tensor_dim(lua_State* L) {
  lua_pushnumber(L, static_cast<double>(check_tensor(L, 1).dim()));
  return 1;
}

// t:to("float64"), t:to("cuda"), t:to{dtype=, device=, non_blocking=}
int tensor_to(lua_State* L) {
  at::Tensor& tensor = check_tensor(L, 1);
  at::Tensor result = tensor;
  guard(L, "to", [&] {
    if (!lua_isnoneornil(L, 3))
      throw Error(Exit::data, "expected one argument; got " + describe(L, 3) +
                                  " as another; x:to { dtype = \"float64\", device = \"cpu\" } takes both");
    const std::string name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (!name.empty() && !parse_dtype(name)) {
      if (!is_device_name(name))
        throw Error(Exit::data,
                    "'" + name + "' is no dtype (" + dtype_names() + ") and no device (cpu, cuda, cuda:N, mps or xpu)");
      lua_createtable(L, 0, 1);
      lua_pushvalue(L, 2);
      lua_setfield(L, -2, "device");
      lua_replace(L, 2);
    }
    const TensorOptions options = read_tensor_options(L, 2, "to", true);
    if (options.dtype) result = result.to(*options.dtype);
    // Only from pinned memory does a copy to an accelerator not block.
    const bool stage = options.device && !options.device->is_cpu() && options.non_blocking && result.is_cpu() &&
                       !result.requires_grad();
    if (stage && !result.is_pinned()) result = pinned(result);
    if (options.device) result = result.to(*options.device, options.non_blocking);
  });
  push_tensor(L, std::move(result));
  return 1;
}

template <at::ScalarType type>
int tensor_cast(lua_State* L) {
  at::Tensor& tensor = check_tensor(L, 1);
  at::Tensor result;
  guard(L, [&] { result = tensor.to(type); });
  push_tensor(L, std::move(result));
  return 1;
}

int tensor_cpu(lua_State* L) {
  at::Tensor& tensor = check_tensor(L, 1);
  at::Tensor result;
  guard(L, "cpu", [&] { result = tensor.cpu(); });
  push_tensor(L, std::move(result));
  return 1;
}

int tensor_requires_grad(lua_State* L) {
  at::Tensor& tensor = check_tensor(L, 1);
  if (!lua_isnoneornil(L, 2) && !lua_isboolean(L, 2))
    raise(L, "requires_grad_: expected true or false; got " + describe(L, 2));
  const bool wanted = lua_isnoneornil(L, 2) || lua_toboolean(L, 2);
  guard(L, "requires_grad_", [&] { tensor.requires_grad_(wanted); });
  lua_settop(L, 1);
  return 1;
}

int tensor_backward(lua_State* L) {
  at::Tensor& tensor = check_tensor(L, 1);
  at::Tensor* seed = lua_isnoneornil(L, 2) ? nullptr : &check_tensor(L, 2, "backward: gradient");
  guard(L, "backward", [&] {
    torch::autograd::backward({tensor}, seed ? std::vector<at::Tensor>{*seed} : std::vector<at::Tensor>{});
  });
  return 0;
}

int tensor_release(lua_State* L) {
  if (at::Tensor* tensor = test_tensor(L, 1)) tensor->reset();
  return 0;
}

// Points this tensor at another's storage: how flat buffers and checkpoints are put under a live parameter.
int tensor_set_data(lua_State* L) {
  at::Tensor& tensor = check_tensor(L, 1);
  at::Tensor& other = check_tensor(L, 2, "set_data");
  guard(L, "set_data", [&] {
    if (Recorder* recorder = Recorder::current()) recorder->cannot("a tensor is given other memory (set_data)");
    tensor.set_data(other);
  });
  lua_settop(L, 1);
  return 1;
}

// -> address (light userdata), number of values, dtype: for the typed views of stdlib/base/tensor.lua.
int tensor_data_pointer(lua_State* L) {
  at::Tensor& tensor = check_tensor(L, 1);
  guard(L, "data", [&] {
    Recorder::value_read("data");
    if (!tensor.device().is_cpu())
      throw Error(Exit::data,
                  "the tensor is on " + tensor.device().str() + "; expected one on the cpu (t:cpu():data())");
    if (!tensor.is_contiguous())
      throw Error(Exit::data, "the tensor is not contiguous; expected t:contiguous():data()");
  });
  lua_pushlightuserdata(L, tensor.numel() ? tensor.mutable_data_ptr() : nullptr);
  lua_pushnumber(L, static_cast<double>(tensor.numel()));
  lua_pushstring(L, dtype_name(tensor.scalar_type()).c_str());
  return 3;
}

// 32 hex digits over dtype, shape and values: what identifies a tensor's content (XXH3).
int tensor_hash(lua_State* L) {
  at::Tensor& tensor = check_tensor(L, 1);
  std::string text;
  guard(L, "hash", [&] {
    Recorder::value_read("hash");
    const at::Tensor plain = tensor.detach().cpu().contiguous();
    const std::string head = dtype_name(plain.scalar_type()) + c10::str(plain.sizes());
    const auto seed = XXH3_64bits(head.data(), head.size());
    const auto hash = XXH3_128bits_withSeed(plain.numel() ? plain.const_data_ptr() : nullptr, plain.nbytes(), seed);
    char digits[33];
    std::snprintf(digits, sizeof digits, "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                  static_cast<unsigned long long>(hash.low64));
    text = digits;
  });
  lua_pushstring(L, text.c_str());
  return 1;
}

int tensor_is_contiguous(lua_State* L) {
  lua_pushboolean(L, check_tensor(L, 1).is_contiguous());
  return 1;
}

int tensor_nbytes(lua_State* L) {
  lua_pushnumber(L, static_cast<double>(check_tensor(L, 1).nbytes()));
  return 1;
}

constexpr luaL_Reg kMethods[] = {{"size", tensor_size},
                                 {"numel", tensor_numel},
                                 {"dim", tensor_dim},
                                 {"to", tensor_to},
                                 {"cpu", tensor_cpu},
                                 {"float", tensor_cast<at::kFloat>},
                                 {"double", tensor_cast<at::kDouble>},
                                 {"long", tensor_cast<at::kLong>},
                                 {"bool", tensor_cast<at::kBool>},
                                 {"requires_grad_", tensor_requires_grad},
                                 {"backward", tensor_backward},
                                 {"release", tensor_release},
                                 {"set_data", tensor_set_data},
                                 {"data_pointer", tensor_data_pointer},
                                 {"is_contiguous", tensor_is_contiguous},
                                 {"hash", tensor_hash},
                                 {"nbytes", tensor_nbytes},
                                 {"item", tensor_item},
                                 {"totable", tensor_to_table},
                                 {nullptr, nullptr}};

}  // namespace

void add_tensor_methods(lua_State* L) { luaL_register(L, nullptr, kMethods); }

}  // namespace gradus
