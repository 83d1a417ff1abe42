--- Numbers as 0-dim float64 tensors on the CPU, the form in which operators take what may change from step to step.
--- Equal numbers share one tensor, which nobody may change.
local engine = require "gradus.engine"

local LIMIT = 256
local cache, count = {}, 0

---@param value number|Tensor
---@return Tensor
return function(value)
  if type(value) ~= "number" then return value end
  local known = cache[value]
  if known then return known end
  local scope = engine.set_scope(nil)  -- a scope would release what the cache keeps
  local made = engine.tensor(value, { dtype = "float64" })
  engine.set_scope(scope)
  if value ~= value then return made end
  if count >= LIMIT then cache, count = {}, 0 end
  cache[value], count = made, count + 1
  return made
end
