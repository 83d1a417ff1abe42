// What a script can hand to an operator or to a tensor's method: bytes choose the function and its arguments. It answers or
// raises one line; nothing else.
#include <cstdio>
#include <lua.hpp>

#include "../target.h"

extern "C" int luaopen_gradus_engine(lua_State* L);

namespace {

constexpr const char* kDriver = R"lua(
local engine = ...
local ops, names = engine.ops, engine.op_names()
table.sort(names)
local methods = {}
for name in pairs(engine.tensor_methods) do methods[#methods + 1] = name end
table.sort(methods)
-- No number between a thousand and a terabyte: a size that is asked for is small, or no machine has it.
local odd = { 0, 1, -1, 2, -2, 3, 7, .5, -.5, 0 / 0, 1 / 0, -1 / 0, 2 ^ 40, -2 ^ 40, 2 ^ 53, 2 ^ 53 + 2, 2 ^ 63, -2 ^ 63, 2 ^ 64, 1e300 }
local words = { "", "float32", "int64", "bool", "bfloat16", "float99", "cpu", "cuda:0", "meta", "mean", "none", "sum", "\0", ("x"):rep(300),
  "dim", "size", "dtype", "device", "keepdim", "generator", "out", "requires_grad", "relu", "reduction", "weight", "\255\254" }

local function pool()
  local f = engine.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
  local gone = engine.tensor { 1 }
  gone:release()
  return { engine.tensor(2), engine.tensor { .1, .7, .2 }, f, f:t(), ops.zeros { 0 }, ops.zeros { 2, 0, 3 },
    engine.tensor({ { 0, 1, 2 }, { 2, 1, -1 } }, "int64"), engine.tensor({ 1, 0, 1 }, "bool"), ops.ones { 2, 1, 4, 4 },
    engine.tensor({ 0 / 0, 1 / 0, -1 / 0 }, "float64"), engine.tensor({ 1, 2 }, "bfloat16"), f:clone():requires_grad_(), gone,
    engine.tensor({ -2 ^ 63, -1 }, "int64") }
end

return function(bytes)
  local at, tensors = 0, pool()
  local function byte()
    at = at + 1
    return bytes:byte(at) or 0
  end
  local function pick(list) return list[byte() % #list + 1] end
  local value
  local function list(depth)
    local made = {}
    for i = 1, byte() % 5 do made[i] = value(depth + 1) end
    return made
  end
  function value(depth)
    local kind = byte() % (depth > 3 and 6 or 11)
    if kind == 0 then return nil end
    if kind == 1 then return byte() % 2 == 0 end
    if kind == 2 then return pick(odd) end
    if kind == 3 then return byte() % 5 end
    if kind == 4 then return pick(words) end
    if kind == 5 or kind == 6 then return pick(tensors) end
    if kind == 7 then return list(depth) end
    if kind == 8 then
      local made = {}
      for _ = 1, byte() % 4 do made[pick(words)] = value(depth + 1) end
      return made
    end
    if kind == 9 then return engine.generator(byte()) end
    return byte() % 2 == 0 and print or io.stdout
  end
  for _ = 1, 3 do
    local fn, arguments, count = nil, {}, 0
    if byte() % 4 == 0 then
      fn, count = engine.tensor_methods[pick(methods)], 1
      arguments[1] = pick(tensors)
    else
      fn = ops[names[(byte() + 256 * byte()) % #names + 1]]
    end
    for _ = 1, byte() % 6 do
      count = count + 1
      arguments[count] = value(0)
    end
    local ok, result = pcall(fn, unpack(arguments, 1, count))
    if not ok and (type(result) ~= "string" or result == "" or result:find "\n") then error("no line: " .. tostring(result)) end
    if ok and engine.is_tensor(result) and #tensors < 40 then tensors[#tensors + 1] = result end
  end
  collectgarbage()
end
)lua";

// The driver's function, at the bottom of the stack.
lua_State* driver() {
  lua_State* L = luaL_newstate();
  luaL_openlibs(L);
  if (luaL_loadstring(L, kDriver) != 0) __builtin_trap();
  lua_pushcfunction(L, luaopen_gradus_engine);
  if (lua_pcall(L, 0, 1, 0) != 0 || lua_pcall(L, 1, 1, 0) != 0) __builtin_trap();
  return L;
}

}  // namespace

FUZZ(border) {
  static lua_State* L = driver();
  lua_pushvalue(L, 1);
  lua_pushlstring(L, bytes.data(), bytes.size());
  if (lua_pcall(L, 1, 0, 0) != 0) {
    std::fprintf(stderr, "%s\n", lua_tostring(L, -1));
    __builtin_trap();
  }
  lua_settop(L, 1);
}
