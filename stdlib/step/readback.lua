--- Measured values on their way back from a device. On the CPU they are at hand; on an accelerator they are read one step
--- late, so that the device always has the next step to do.
---   readback:push({ loss = out.loss, norm = out.norm }, function(numbers) … numbers.loss … end)
---   readback:settle()            -- before what was pushed last is needed
local engine = require "gradus.engine"

local ops = engine.ops

---@class Readback
local Readback = {}
Readback.__index = Readback

local function numbers_of(tensors)
  local numbers = {}
  for name, value in pairs(tensors) do numbers[name] = value:item() end
  return numbers
end

local function begin(tensors)
  local names, list = {}, {}
  for name, value in pairs(tensors) do
    names[#names + 1] = name
    list[#list + 1] = value:detach():double():reshape {}
  end
  return names, engine.transfer(ops.stack(list))
end

-- Hands over the oldest.
local function deliver(self)
  local one = table.remove(self.waiting, 1)
  local values, numbers = one.transfer:wait():totable(), {}
  for i, name in ipairs(one.names) do numbers[name] = values[i] end
  one.use(numbers)
end

--- Calls use(numbers) with the values of tensors of one number each: now on the CPU, at the next push on an accelerator.
---@param tensors table<any, Tensor>
---@param use fun(numbers: table<any, number>)
function Readback:push(tensors, use)
  if self.device == "cpu" then return use(numbers_of(tensors)) end
  local names, transfer = begin(tensors)
  table.insert(self.waiting, { names = names, transfer = transfer, use = use })
  if #self.waiting > 1 then deliver(self) end
end

--- Waits for what is under way.
function Readback:settle()
  while #self.waiting > 0 do deliver(self) end
end

---@param device string
---@return Readback
return function(device) return setmetatable({ device = device, waiting = {} }, Readback) end
