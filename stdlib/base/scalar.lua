--- Numbers as 0-dim float64 tensors, the form in which operators take what may change from step to step.
--- Equal numbers share one tensor, which nobody may change.
local engine = require "gradus.engine"

local LIMIT = 256
local caches = {}  -- by device

---@param value number|Tensor
---@param device? string  "cpu" when left out
---@return Tensor
return function(value, device)
  if type(value) ~= "number" then return value end
  device = device or "cpu"
  local cache = caches[device]
  if not cache or cache.count >= LIMIT then
    cache = { count = 0, made = {} }
    caches[device] = cache
  end
  local known = cache.made[value]
  if known then return known end
  local scope = engine.set_scope(nil)  -- a scope would release what the cache keeps
  local made = engine.tensor(value, { dtype = "float64", device = device })
  engine.set_scope(scope)
  if value ~= value then return made end
  cache.made[value], cache.count = made, cache.count + 1
  return made
end
