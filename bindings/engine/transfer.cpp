// engine.transfer(tensor) -> Transfer; transfer:wait() -> the tensor on the CPU. See runtime/transfer.h.
#include "transfer.h"

#include <memory>

#include "data.h"

namespace gradus {
namespace {

constexpr const char* kType = "gradus.Transfer";

int make(lua_State* L) {
  const at::Tensor& tensor = check_tensor(L, 1, "transfer");
  push_object(L, kType, [&] { return std::make_unique<Transfer>(tensor); });
  return 1;
}

int wait(lua_State* L) {
  Transfer& transfer = check_object<Transfer>(L, 1, kType);
  at::Tensor values;
  guard(L, "transfer", [&] { values = transfer.wait(); });
  push_tensor(L, std::move(values));
  return 1;
}

constexpr luaL_Reg kMethods[] = {{"wait", wait}, {nullptr, nullptr}};

}  // namespace

void open_transfer(lua_State* L) {
  register_type(L, kType, kMethods, collect_object<Transfer>);
  lua_pushcfunction(L, make);
}

}  // namespace gradus
