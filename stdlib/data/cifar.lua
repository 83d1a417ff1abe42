--- CIFAR-10 as its authors give it out, binary version: records of one byte for the class and 3 × 32 × 32 for the image.
local engine = require "gradus.engine"
local host = require "gradus.host"
local ffi = require "ffi"

local ops = engine.ops
local RECORD = 1 + 3 * 32 * 32
local FORMAT = "expected CIFAR-10's binary version, records of 3,073 bytes"

-- uint8 [N, 3073]
local function records(path)
  if type(path) ~= "string" then host.fail("data.cifar10: expected paths; got " .. type(path)) end
  local file, why = io.open(path, "rb")
  if not file then host.fail(("data.cifar10: %s; expected a file such as data_batch_1.bin"):format(why), 66) end
  local bytes = file:read "*a"
  file:close()
  if not bytes or #bytes == 0 or #bytes % RECORD ~= 0 then
    host.fail(("data.cifar10: %s: %s; got %d bytes"):format(path, FORMAT, bytes and #bytes or 0))
  end
  local t = ops.zeros({ #bytes / RECORD, RECORD }, { dtype = "uint8" })
  ffi.copy(t:data().values, bytes, #bytes)
  local class = t:select(1, 0):amax():item()
  if class > 9 then host.fail(("data.cifar10: %s: %s, each beginning with a class from 0 to 9; got %d"):format(path, FORMAT, class)) end
  return t
end

--- The images of the files, in their order: x [N, 3, 32, 32] from 0 to 1, y [N].
---@param paths string[]
---@return Tensor, Tensor
return function(paths)
  if type(paths) ~= "table" or #paths == 0 then host.fail('data.cifar10: expected { "data_batch_1.bin", … }; got ' .. tostring(paths)) end
  local parts = {}
  for i, path in ipairs(paths) do parts[i] = records(path) end
  local all = ops.cat(parts, 0)
  return all:slice(1, 1):reshape { all:size(0), 3, 32, 32 }:float() / 255, all:select(1, 0):long()
end
