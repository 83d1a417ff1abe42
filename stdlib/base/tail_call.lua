-- The line of a tail call. `return f(x)` leaves no frame on the stack, so an error inside f would have no line of the
-- user's to blame. The bytecode of the function that made the call still knows it.
local util = require "jit.util"

-- Opcodes differ between versions of LuaJIT: take them from functions that are nothing but a tail call.
local function last_opcode(source)
  local fn = loadstring(source)
  return util.funcbc(fn, util.funcinfo(fn).bytecodes - 1) % 256
end

local tail_opcodes = {
  [last_opcode("local f = ... return f()")] = true,
  [last_opcode("local f = ... return f(...)")] = true,
}

-- "file.lua:12" of fn's tail call; where it has several, of the function itself; nil for functions in C.
return function(fn)
  local info = util.funcinfo(fn)
  if not info.bytecodes then return nil end
  local line
  for pc = 1, info.bytecodes - 1 do
    if tail_opcodes[util.funcbc(fn, pc) % 256] then
      if line then return debug.getinfo(fn, "S").short_src .. ":" .. info.linedefined end
      line = util.funcinfo(fn, pc).currentline
    end
  end
  line = line or info.linedefined
  return line > 0 and debug.getinfo(fn, "S").short_src .. ":" .. line or nil
end
