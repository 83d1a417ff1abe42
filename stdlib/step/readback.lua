--- Measured values on their way back from a device. On the CPU they are at hand; on an accelerator they are read one step
--- late, so that the device always has the next step to do.
---   local queue = readback(device, function(numbers, at) … numbers.loss … end)
---   queue:push({ loss = out.loss, norm = out.norm }, { step = 5 })
---   queue:settle()            -- before what was pushed last is needed
--- What waits is plain data, so that a snapshot can have it: `at` and the numbers, which are delivered at their own time.
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

-- The numbers of one that waits.
local function arrived(one)
  if one.numbers then return one.numbers end
  local values, numbers = one.transfer:wait():totable(), {}
  for i, name in ipairs(one.names) do numbers[name] = values[i] end
  one.numbers = numbers
  return numbers
end

-- Hands over the oldest.
local function deliver(self)
  local one = table.remove(self.waiting, 1)
  self.use(arrived(one), one.at)
end

--- Delivers the values of tensors of one number each: now on the CPU, at the next push on an accelerator.
---@param tensors table<any, Tensor>
---@param at any
function Readback:push(tensors, at)
  if self.device == "cpu" then return self.use(numbers_of(tensors), at) end
  local names, transfer = begin(tensors)
  table.insert(self.waiting, { names = names, transfer = transfer, at = at })
  if #self.waiting > 1 then deliver(self) end
end

--- Waits for what is under way and delivers it.
function Readback:settle()
  while #self.waiting > 0 do deliver(self) end
end

--- What waits, without delivering it.
function Readback:state()
  local waiting = {}
  for i, one in ipairs(self.waiting) do waiting[i] = { numbers = arrived(one), at = one.at } end
  return waiting
end

function Readback:load_state(waiting)
  self.waiting = {}
  for i, one in ipairs(waiting) do self.waiting[i] = { numbers = one.numbers, at = one.at } end
end

---@param device string
---@param use fun(numbers: table<any, number>, at: any)
---@return Readback
return function(device, use) return setmetatable({ device = device, use = use, waiting = {} }, Readback) end
