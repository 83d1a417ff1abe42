--- Knobs as the function of a step sees them: 0-dim float64 tensors (a per-example knob is a tensor [B]) under the names that were
--- given; which of them it asks for is noted.
local check = require "gradus.base.check"
local engine = require "gradus.engine"
local host = require "gradus.host"
local sorted_keys = require "gradus.base.sorted_keys"

local is_tensor = engine.is_tensor
local knobs = {}

--- The knobs under their names: those that were not given are errors, and `asked` keeps those that the function asks for. A loss that
--- takes what is its own of them (loss.lua) asks __knobs.
---@param given table<string, Tensor>
---@param asked table<string, boolean>
function knobs.guard(given, asked)
  local function look(name)
    if given[name] ~= nil then asked[name] = true end
    return given[name]
  end
  return setmetatable({}, { __knobs = look, __pairs = function()
    for name in pairs(given) do asked[name] = true end
    return pairs(given)
  end, __index = function(_, name)
    local value = look(name)
    if value ~= nil then return value end
    host.fail(("step: no knob '%s' was given; %s"):format(tostring(name), check.suggest(name, sorted_keys(given))))
  end })
end

--- A knob that the function has not asked for does nothing: what to tell of each, once, after a call with it.
---@param given table<string, Tensor>
---@param asked table<string, boolean>
---@param told table<string, boolean>  those of which it was told
---@return string[]  "'name'; …"
function knobs.unasked(given, asked, told)
  local texts = {}
  for _, name in ipairs(sorted_keys(given)) do
    if not asked[name] and not told[name] then
      told[name] = true
      local known = sorted_keys(asked)
      local asks = #known == 0 and "it asks for none" or check.suggest(name, known, "it asks for ")
      texts[#texts + 1] = ("'%s'; %s"):format(tostring(name), asks)
    end
  end
  return texts
end

local function check_knob(name, value)
  if type(value) == "number" then return end
  host.fail(("step: knob '%s': expected a number or a tensor; got %s"):format(name, type(value)))
end

-- The tensor of a number: the same one each time, since a recording reads it.
local function tensor_of(tensors, name, value)
  if is_tensor(value) then return value end
  check_knob(name, value)
  local known = tensors[name]
  if known then return known:fill_(value) end
  tensors[name] = engine.tensor(value, "float64")
  return tensors[name]
end

--- The knobs as tensors on the CPU.
---@param tensors table<string, Tensor>  of numbers, by name: made where they are missing
---@param given? table<string, number|Tensor>
---@return table<string, Tensor>
function knobs.tensors(tensors, given)
  local made = {}
  for name, value in pairs(given or {}) do made[name] = tensor_of(tensors, name, value) end
  return made
end

--- The knobs as tensors on an accelerator.
---@param slab Slab
---@param given? table<string, number|Tensor>
---@return table<string, Tensor>
function knobs.on_device(slab, given)
  local made, numbers = {}, {}
  for name, value in pairs(given or {}) do
    if is_tensor(value) then
      made[name] = value:to { device = slab.device, non_blocking = true }
    else
      check_knob(name, value)
      numbers[name] = value
    end
  end
  for name, place in pairs(slab:refresh(numbers)) do made[name] = place end
  return made
end

return knobs
