--- One training step: a function of a batch and knobs to a loss and named outputs. Knobs (temperature, alpha, lr, loss
--- weights) reach it as 0-dim float64 tensors on the CPU, so that they may change from step to step while the function
--- stays the same; a per-example knob is a tensor [B].
local engine = require "gradus.engine"
local host = require "gradus.host"

local step = {}
local Step = {}
Step.__index = Step

local is_tensor = engine.is_tensor

local function guard_names(knobs)
  return setmetatable(knobs, { __index = function(t, name)
    local names = {}
    for known in pairs(t) do names[#names + 1] = known end
    table.sort(names)
    local near = host.nearest(tostring(name), names)
    host.fail(("step: no knob '%s' was given; %s"):format(tostring(name),
      near and ("did you mean '%s'?"):format(near) or "expected one of " .. table.concat(names, ", ")))
  end })
end

--- A step from a function fn(batch, knobs) -> table of named outputs (or one tensor, the loss).
---@param fn fun(batch: table, knobs: table): table
function step.new(fn)
  if type(fn) ~= "function" then host.fail("step: expected a function(batch, knobs); got " .. type(fn)) end
  return setmetatable({ fn = fn, tensors = {} }, Step)
end

local function knob_tensor(self, name, value)
  if is_tensor(value) then return value end
  if type(value) ~= "number" then
    host.fail(("step: knob '%s': expected a number or a tensor; got %s"):format(name, type(value)))
  end
  local known = self.tensors[name]
  if known then return known:fill_(value) end
  self.tensors[name] = engine.tensor(value, "float64")
  return self.tensors[name]
end

--- Runs one step. Returns the function's outputs, cut off from the graph, so that keeping one keeps no activations.
function Step:__call(batch, knobs)
  local given = {}
  for name, value in pairs(knobs or {}) do given[name] = knob_tensor(self, name, value) end
  local out = self.fn(batch, guard_names(given))
  if is_tensor(out) then return out:detach() end
  if type(out) ~= "table" then host.fail("step: expected a table of outputs or a tensor; got " .. type(out)) end
  local detached = {}
  for name, value in pairs(out) do detached[name] = is_tensor(value) and value:detach() or value end
  return detached
end

return step
