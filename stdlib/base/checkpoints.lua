--- A model's weights at several steps of its training: what progressive distillation walks along.
---   local model, kept = run:fit { …, checkpoints = { steps = 5000 } }      kept:count(), kept:step(i), kept:load(model, i)
local host = require "gradus.host"
local check = require "gradus.base.check"
local engine = require "gradus.engine"
local weights = require "gradus.base.weights"

---@class Checkpoints
local Checkpoints = {}
Checkpoints.__index = Checkpoints

local checkpoints = {}

local function check_module(where, model)
  if type(model) ~= "table" or rawget(model, "_kinds") == nil then
    check.fail(where, "'model': expected a module; got %s", check.describe(model))
  end
end

function checkpoints.new() return setmetatable({ list = {} }, Checkpoints) end
function checkpoints.is(value) return getmetatable(value) == Checkpoints end

--- Keeps a copy of the model's weights as they are now; the same step again replaces it.
---@param step number
---@param model Module
function Checkpoints:keep(step, model)
  check.value("checkpoints:keep", "step", step, check.int(0))
  check_module("checkpoints:keep", model)
  local state = {}
  for name, one in pairs(model:state_dict()) do state[name] = one:clone() end
  if #self.list > 0 and self:step(#self.list) == step then table.remove(self.list) end
  self.list[#self.list + 1] = { step = step, state = state }
end

--- How many checkpoints there are.
function Checkpoints:count() return #self.list end

local function entry(self, i)
  if not self.list[i] then
    check.fail("checkpoints", "no checkpoint %s; expected 1 to %d", tostring(i), #self.list)
  end
  return self.list[i]
end

--- The training step of checkpoint i, from 1.
function Checkpoints:step(i) return entry(self, i).step end

--- Copies the weights of checkpoint i into the model's own storage.
---@param model Module
---@param i number
function Checkpoints:load(model, i)
  check_module("checkpoints:load", model)
  weights.load("checkpoints:load", model:state_dict(), entry(self, i).state, true)
  return model
end

--- At most `count` of them, evenly over the list, always with the last.
---@param count number
function Checkpoints:thin(count)
  check.value("checkpoints:thin", "count", count, check.int(1))
  local thin = checkpoints.new()
  local every = math.max(1, #self.list / count)
  for i = 1, math.min(count, #self.list) do
    thin.list[i] = self.list[math.floor(#self.list - (math.min(count, #self.list) - i) * every + .5)]
  end
  return thin
end

--- Those that fit, in their order, always with the last: fn(model, step) is asked with each one's weights in `model`.
---@param model Module      loses its own weights; a clone
---@param fn fun(model: Module, step: number): boolean
function Checkpoints:choose(model, fn)
  check_module("checkpoints:choose", model)
  check.value("checkpoints:choose", "fn", fn, check.callable)
  local chosen = checkpoints.new()
  for i, one in ipairs(self.list) do
    if fn(self:load(model, i), one.step) or i == #self.list then chosen.list[#chosen.list + 1] = one end
  end
  return chosen
end

--- "3000.layers.0.weight" -> tensor: all weights by step and name, for the cache.
function Checkpoints:state_dict()
  local state = {}
  for _, one in ipairs(self.list) do
    for name, value in pairs(one.state) do state[("%d.%s"):format(one.step, name)] = value end
  end
  return state
end

--- Takes over what state_dict gave, whatever was kept before.
---@param state table<string, Tensor>
function Checkpoints:adopt(state)
  check.value("checkpoints:adopt", "state", state, check.table)
  local by_step = {}
  self.list = {}
  for key, value in pairs(state) do
    local step, name = tostring(key):match "^(%d+)%.(.+)$"
    if not step or not engine.is_tensor(value) then host.fail("checkpoints: not a checkpoint's weight: " .. tostring(key)) end
    step = tonumber(step)
    if not by_step[step] then
      by_step[step] = { step = step, state = {} }
      self.list[#self.list + 1] = by_step[step]
    end
    by_step[step].state[name] = value
  end
  table.sort(self.list, function(a, b) return a.step < b.step end)
  return self
end

return checkpoints
