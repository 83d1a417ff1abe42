--- The keeper of a training: the best weights, early stopping, checkpoints on the way, and what roll_back goes back to.
local check = require "gradus.base.check"
local checkpoints = require "gradus.base.checkpoints"
local clock = require "gradus.curriculum.clock"
local tensor = require "gradus.base.tensor"
local when = require "gradus.curriculum.when"
local host = require "gradus.host"

local keeper = {}

---@class Keeper
---@field monitor string?         what the best weights and patience go by
---@field restores boolean        whether the best weights are put back at the end
---@field early Rule?             early stopping
---@field kept Checkpoints?       on the way, every so many steps
---@field best {value: number, step: number}?
local Keeper = {}
Keeper.__index = Keeper

-- Patience in evaluations, or { epochs = }, { steps = } of the training.
local function evaluations_of(where, patience, time, every)
  if type(patience) ~= "table" then return clock.positive(where .. ": patience", patience) end
  check.options(where .. ": patience", patience, { "epochs", "steps" })
  local unit, amount = next(patience)
  if not unit or next(patience, unit) then
    host.fail(where .. ": patience: expected a number of evaluations, { epochs = } or { steps = }")
  end
  clock.positive(("%s: patience.%s"):format(where, unit), amount)
  return math.max(1, math.ceil(time:steps_of(patience) / every - 1e-9))
end

---@param where string
---@param o table  monitor, restore_best, patience, checkpoints
---@param given {run: Run, student: Module, modules: table<string, Module>, optimizer: Optimizer, evaluator: Evaluator,
---   clock: Clock, policy: string}
---@return Keeper
function keeper.new(where, o, given)
  local self = setmetatable({ run = given.run, student = given.student, modules = given.modules, optimizer = given.optimizer,
    rolls_back = given.policy == "roll_back" }, Keeper)
  local val = given.evaluator.val
  self.monitor = o.monitor or (val and "val/loss" or nil)
  if self.monitor then given.evaluator:check_key(where .. ": monitor", self.monitor) end
  if o.restore_best ~= nil then check.value(where, "restore_best", o.restore_best, check.boolean) end
  if o.restore_best and not self.monitor then
    host.fail(where .. ": restore_best has no effect: no metric says which is best; expected validation data, or suites and monitor")
  end
  self.restores = o.restore_best ~= false and self.monitor ~= nil
  if o.patience then
    if not self.monitor then host.fail(where .. ": patience: expected validation data or monitor") end
    self.early = when.patience(self.monitor, evaluations_of(where, o.patience, given.clock, given.evaluator.every))
  end
  if o.checkpoints then
    self.kept = checkpoints.new()
    self.every = given.clock:steps_of(clock.check_every(where .. ": checkpoints", o.checkpoints))
  end
  return self
end

-- All weights that are trained, by name; those of a loss term's module as "NAME:weight".
local function weights_of(self)
  local all = {}
  for name, one in pairs(self.student:state_dict()) do all[name] = one end
  for term, module in pairs(self.modules) do
    for name, one in pairs(module:state_dict()) do all[term .. ":" .. name] = one end
  end
  return all
end

local function copy_into(copy, state)
  tensor.no_grad(function()
    for name, one in pairs(state) do
      if copy[name] then copy[name]:copy_(one) else copy[name] = one:detach():clone() end
    end
  end)
  return copy
end

local function put_back(self, copy)
  tensor.no_grad(function()
    for name, one in pairs(weights_of(self)) do one:copy_(copy[name]) end
  end)
end

--- After an evaluation: keeps the weights where the monitored metric is at its best. Returns whether.
---@param s State
function Keeper:record(s)
  if not self.monitor then return false end
  local value, step = s:best(self.monitor)
  if not value or step ~= s.step then return false end
  self.best = { value = value, step = step }
  if self.restores then self.weights = copy_into(self.weights or {}, weights_of(self)) end
  self.run:event("best", self.monitor, { value = value })
  return true
end

--- Whether a checkpoint is due after so many steps.
function Keeper:due(step) return self.kept ~= nil and step % self.every == 0 end

function Keeper:keep(step)
  if self.kept then self.kept:keep(step, self.student) end
end

--- What "roll_back" goes back to: the last evaluation, or where the stage began.
function Keeper:keep_safe(step)
  if not self.rolls_back then return end
  local before = self.safe or { weights = {}, optimizer = {} }
  self.safe = { step = step, weights = copy_into(before.weights, weights_of(self)),
    optimizer = copy_into(before.optimizer, self.optimizer:state_dict()) }
end

function Keeper:roll_back()
  if not self.safe then return end
  put_back(self, self.safe.weights)
  self.optimizer:load_state_dict(self.safe.optimizer)
  self.run:event("decision", "roll_back", { to = self.safe.step })
end

--- The training is over: the best weights are the student's again.
function Keeper:finish()
  if not (self.restores and self.weights) then return end
  self.last = copy_into({}, self.student:state_dict())
  put_back(self, self.weights)
end

--- The student's weights after the last step, where it no longer has them; and the best ones.
---@return table<string, Tensor>? last
---@return table<string, Tensor>? best
function Keeper:of_student()
  if not self.weights then return self.last, nil end
  local best = {}
  for name in pairs(self.student:state_dict()) do best[name] = self.weights[name] end
  return self.last, best
end

function Keeper:state()
  return { best = self.best, weights = self.weights, checkpoints = self.kept and self.kept:state_dict(),
    safe = self.safe }
end

function Keeper:load_state(kept)
  self.best, self.weights, self.safe = kept.best, kept.weights, kept.safe
  if self.kept then self.kept:adopt(kept.checkpoints) end
end

return keeper
