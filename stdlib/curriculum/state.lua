--- What a curriculum's functions see of a run: s.step, s.epoch, …, s:last "val/acc", s:best "val/acc".
---@class State
---@field step number          optimizer updates done
---@field epoch number         samples seen / size of the full training set
---@field samples number
---@field flops number         floating-point operations charged, the teacher's included
---@field flops_spent number   those that were carried out: a teacher's cached answers cost none
---@field seconds number
---@field progress number      share of the budget that is used, 0 to 1
---@field stage string         name of the stage, stage_index from 1
---@field stage_steps number   since the stage began; stage_epochs, stage_samples, stage_seconds, stage_passes too
---@field teacher Module?      student too
---@field params table         the run's parameters
---@field confidence number?   exponential mean of the student's probability for the right class
---@field furthest table        the last stage of all that were reached: { index =, evaluations = before it began }
---@field evaluating boolean   whether an evaluation has just been made
---@field suites table         name -> data set, as distill was given them; teacher_acc: name -> the teacher's accuracy there
---@field untrained_acc table  name -> that of the student as the training began
---@field benchmarks table[]   what when.benchmarked found, oldest first
---@field findings table[]     what health.lua recognised, oldest first: { name =, step =, stage = }
local check = require "gradus.base.check"
local host = require "gradus.host"

local State = check.methods("the state", {})
State.__index = State

--- Losses and errors get better downwards, everything else upwards.
function State.lower_is_better(key)
  return key:find "loss$" ~= nil or key:find "error$" ~= nil or key:find "/ce$" ~= nil or key:find "/kl$" ~= nil
end

function State.new(fields)
  local self = { step = 0, epoch = 0, samples = 0, flops = 0, flops_spent = 0, seconds = 0, progress = 0, stage_index = 1,
    evaluations = 0, evaluating = false, series = {}, suites = {}, teacher_acc = {}, untrained_acc = {}, benchmarks = {}, findings = {},
    step_progress = 1, step_epochs = 1 }
  for key, value in pairs(fields) do self[key] = value end
  return setmetatable(self, State)
end

--- Marks where the stage begins, for the counts that start with it.
function State:begin_stage(name, index)
  self.stage, self.stage_index = name, index
  self.start = { step = self.step, epoch = self.epoch, samples = self.samples, flops = self.flops,
    seconds = self.seconds, evaluations = self.evaluations }
  if not self.furthest or index > self.furthest.index then self.furthest = { index = index, evaluations = self.evaluations } end
  self.stage_passes = 0
  self:count()
end

function State:count()
  local start = self.start
  self.stage_steps = self.step - start.step
  self.stage_epochs = self.epoch - start.epoch
  self.stage_samples = self.samples - start.samples
  self.stage_flops = self.flops - start.flops
  self.stage_seconds = self.seconds - start.seconds
end

--- Adds the numbers of an evaluation, by metric name.
function State:record(numbers)
  self.evaluations = self.evaluations + 1
  for key, value in pairs(numbers) do
    local list = self.series[key]
    if not list then
      list = {}
      self.series[key] = list
    end
    list[#list + 1] = { step = self.step, value = value, evaluation = self.evaluations, flops = self.flops, stage = self.stage_index }
  end
end

local function known(self, key)
  local list = self.series[key]
  if list or self.evaluations == 0 then return list end
  local keys = {}
  for name in pairs(self.series) do keys[#keys + 1] = name end
  table.sort(keys)
  local near = host.nearest(key, keys)
  host.fail(("no metric '%s' is evaluated in this run; %s"):format(key,
    near and ("did you mean '%s'?"):format(near) or "expected one of " .. table.concat(keys, ", ")))
end

--- The metric's latest value; nil before the first evaluation.
function State:last(key)
  local list = known(self, key)
  return list and list[#list].value
end

--- The metric's best value so far and its step: the lowest of losses and errors, the highest of everything else.
function State:best(key)
  local best
  for _, one in ipairs(known(self, key) or {}) do
    local better = not best or (self.lower_is_better(key) and one.value < best.value)
      or (not self.lower_is_better(key) and one.value > best.value)
    if better and one.value == one.value then best = one end  -- NaN is never the best
  end
  if best then return best.value, best.step end
end

--- All values of the metric, oldest first.
function State:history(key)
  local values = {}
  for i, one in ipairs(known(self, key) or {}) do values[i] = one.value end
  return values
end

--- All evaluations of the metric, oldest first: { step =, value =, flops =, stage = } each.
function State:entries(key) return known(self, key) or {} end

--- The values of this stage's evaluations.
function State:stage_history(key)
  local values = {}
  for _, one in ipairs(known(self, key) or {}) do
    if one.evaluation > self.start.evaluations then values[#values + 1] = one.value end
  end
  return values
end

-- The first evaluation at which the metric reached the threshold.
local function first(self, key, threshold)
  for _, one in ipairs(known(self, key) or {}) do
    if self.lower_is_better(key) and one.value <= threshold or not self.lower_is_better(key) and one.value >= threshold then
      return one
    end
  end
end

--- The first step at which the metric reached the threshold; nil when it never did.
function State:first_step(key, threshold)
  local one = first(self, key, threshold)
  return one and one.step
end

--- The FLOPs charged until the metric first reached the threshold; nil when it never did.
function State:first_flops(key, threshold)
  local one = first(self, key, threshold)
  return one and one.flops
end

--- The metric's value at the last evaluation within so many FLOPs; nil before the first.
function State:at_flops(key, flops)
  local value
  for _, one in ipairs(known(self, key) or {}) do
    if one.flops <= flops * (1 + 1e-9) then value = one.value end
  end
  return value
end

return State
