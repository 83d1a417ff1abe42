#include "modes.h"

#include <ATen/DeviceAccelerator.h>
#include <ATen/autocast_mode.h>

#include "boundary.h"
#include "convert.h"
#include "error.h"
#include "ops/gemm.h"

namespace gradus {

int gemm_rule(lua_State* L) {
  lua_pushstring(L, gemm::describe().c_str());
  return 1;
}

int set_autocast(lua_State* L) {
  const char* before = nullptr;
  guard(L, "autocast", [&] {
    const bool on = !lua_isnoneornil(L, 1);
    const std::string name = lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : "";
    if (on && name != "bfloat16" && name != "float16")
      throw Error(Exit::data, "expected 'bfloat16' or 'float16'; got " + describe(L, 1));
    if (at::autocast::is_autocast_enabled(at::kCPU))
      before = at::autocast::get_autocast_dtype(at::kCPU) == at::kHalf ? "float16" : "bfloat16";
    for (const auto type : {std::optional(c10::DeviceType::CPU), at::getAccelerator()}) {
      if (!type) continue;
      at::autocast::set_autocast_enabled(*type, on);
      if (on) at::autocast::set_autocast_dtype(*type, name == "float16" ? at::kHalf : at::kBFloat16);
    }
    if (!on)
      at::autocast::clear_cache();  // casts of weights are shared within one stretch only: then the weights change
  });
  before ? lua_pushstring(L, before) : lua_pushnil(L);
  return 1;
}

}  // namespace gradus
