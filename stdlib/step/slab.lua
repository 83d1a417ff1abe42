--- The knobs of a step on an accelerator: places in one small buffer there, which one copy refreshes before each step.
local engine = require "gradus.engine"

local ops = engine.ops

---@class Slab
local Slab = {}
Slab.__index = Slab

local function same_names(self, names)
  for i = 1, math.max(#names, #self.names) do
    if names[i] ~= self.names[i] then return false end
  end
  return true
end

-- A buffer with a place for each name.
local function arrange(self, names)
  self.names, self.places = names, {}
  self.buffer = ops.zeros({ #names }, { dtype = "float64", device = self.device })
  for i, name in ipairs(names) do self.places[name] = self.buffer:select(0, i - 1) end
end

--- The numbers as 0-dim float64 tensors on the device, by name; until the next call.
---@param numbers table<string, number>
---@return table<string, Tensor>
function Slab:refresh(numbers)
  local names, values = {}, {}
  for name in pairs(numbers) do names[#names + 1] = name end
  if #names == 0 then return {} end
  table.sort(names)
  if not same_names(self, names) then arrange(self, names) end
  for i, name in ipairs(names) do values[i] = numbers[name] end
  -- New pinned memory each time: the device may not have read the last step's yet.
  self.buffer:copy_(engine.tensor(values, { dtype = "float64", pin_memory = true }), { non_blocking = true })
  return self.places
end

---@param device string
---@return Slab
return function(device) return setmetatable({ device = device, names = {} }, Slab) end
