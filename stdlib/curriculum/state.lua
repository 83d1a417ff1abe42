--- What a curriculum's functions see of a training: s.step, s.epoch, …, s:last "val/acc", s:best "val/acc". It holds what the rules
--- have seen, so that a rule is a function of stored history and has nothing of its own to lose; its counts are the clock's.
---@class State
---@field step number          batches done, from 0; updates: those of them that the optimizer took
---@field epoch number         samples seen / size of the full training set
---@field samples number
---@field flops number         floating-point operations charged, the teacher's included
---@field flops_spent number   those that were carried out: a teacher's cached answers cost none
---@field seconds number
---@field progress number      share of the budget that is used, 0 to 1; of a run that goes on longer, of the budget of its schedules
---@field used number          share of the whole budget
---@field stage string         name of the stage, stage_index from 1
---@field stage_steps number   since the stage began, as are these:
---@field stage_epochs number
---@field stage_samples number
---@field stage_flops number
---@field stage_seconds number
---@field stage_passes number  traversals of the stage's own rows
---@field student Module
---@field teacher Module?
---@field params table         the run's parameters
---@field confidence number?   exponential mean of the student's probability for the right class
---@field furthest table       the last stage of all that were reached: { index =, evaluations = before it began }
---@field evaluating boolean   whether an evaluation has just been made
---@field directions table<string, string>  metric -> "higher" or "lower": which is better
---@field suites table         name -> data set, as distill was given them; teacher_acc: name -> the teacher's accuracy there
---@field untrained_acc table  name -> that of the student as the training began
---@field benchmarks table[]   what when.benchmarked found, oldest first
---@field findings table[]     what health.lua recognised, oldest first: { name =, step =, stage = }
local check = require "gradus.base.check"
local copy = require "gradus.base.copy"
local elsewhere = require "gradus.base.elsewhere"
local host = require "gradus.host"
local clock = require "gradus.curriculum.clock"
local sorted_keys = require "gradus.base.sorted_keys"

local INSTEAD = elsewhere.table_of {
  ['s:last "val/acc", s:best "val/acc" or s:history "val/acc"'] = "metrics logs results acc accuracy val_accuracy callback_metrics",
  ['s:last "val/loss", or s:last "train/mean_loss" of the rows trained on'] = "loss losses",
  ["s.step"] = "steps global_step iteration iterations iter i",
  ["s.epoch"] = "epochs current_epoch",
  ["s.seconds"] = "time elapsed",
  ["s.student"] = "model net network",
  ["a local of the script, such as d.train: functions see what is above them"] = "data dataset d train val test optimizer",
  ["a value from s.progress or s.step: knobs are what these functions give, and are logged as knob/temperature"] =
    "temperature T alpha lr augment knobs",
}
local State = check.methods("the state", {}, { instead = function(name)
  if INSTEAD[name] then return INSTEAD[name] end
  if name:find "/" then return ('s:last "%s", s:best "%s" or s:history "%s"'):format(name, name, name) end
  if name:find "^val_" or name:find "^train_" then return ('s:last "%s"'):format((name:gsub("_", "/", 1))) end
end })
local COUNTS = clock.zero()

function State.__index(self, key)
  if COUNTS[key] then return rawget(self, "counts")[key] end
  return State[key]
end

function State.__newindex(self, key, value)
  if COUNTS[key] then host.fail(("the state: %s is counted by the training; expected a field of your own"):format(key)) end
  rawset(self, key, value)
end

--- Which way a metric of this training is better: "higher" or "lower".
---@param key string
function State:direction(key)
  local known = self.directions[key]
  if known then return known end
  host.fail(("which way is '%s' better? expected metrics = { %s = { better = 'higher', of = function(model, d) … end } }"):format(key,
    tostring(key):match "[%w_.-]+$" or "name"))
end

-- 1 where higher is better, -1 where lower is.
function State:sign(key) return self:direction(key) == "higher" and 1 or -1 end

--- Whether value a of the metric is better than b. NaN is better than nothing and worse than everything.
function State:is_better(key, a, b)
  if a ~= a then return false end
  if b ~= b then return true end
  local sign = self:sign(key)
  return sign * a > sign * b
end

--- clock: whose counts these are; one of its own when left out.
---@param fields {clock: Clock?}
function State.new(fields)
  local time = fields.clock or clock.new { budget = { steps = math.huge }, batch = 1, epoch_size = 1 }
  local self = { counts = time.counts, stage_index = 1, evaluations = 0, evaluating = false, series = {}, suites = {}, teacher_acc = {},
    untrained_acc = {}, benchmarks = {}, findings = {}, directions = {} }
  for key, value in pairs(fields) do self[key] = value end
  self.clock = time
  return setmetatable(self, State)
end

--- Marks where the stage begins, for the counts that start with it.
function State:begin_stage(name, index)
  self.stage, self.stage_index, self.stage_evaluations = name, index, self.evaluations
  if not self.furthest or index > self.furthest.index then self.furthest = { index = index, evaluations = self.evaluations } end
  self.clock:begin_stage()
end

-- What steps leave in the state that counts cannot tell beforehand.
local UNKNOWN = { student = true, teacher = true, run = true, confidence = true, seconds = true, stage_seconds = true, findings = true,
  updates = true }

--- The state as it will be at these counts, for those who plan ahead, and whether somebody has asked it for what nobody knows yet.
---@param counts table  what clock:ahead gave, which the caller moves on
---@return State view
---@return {unknown: boolean} asked
function State:ahead(counts)
  local asked, real = { unknown = false }, self
  return setmetatable({}, {
    __index = function(_, key)
      if UNKNOWN[key] then asked.unknown = true end
      local count = counts[key]
      if count ~= nil then return count end
      return real[key]
    end,
    __newindex = function(_, key, value) real[key] = value end,
  }), asked
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
  if type(key) ~= "string" then host.fail("the state: expected a metric, such as \"val/acc\"; got " .. check.describe(key)) end
  local list = self.series[key]
  if list or self.evaluations == 0 then return list end
  host.fail(("no metric '%s' is evaluated in this run; %s"):format(key, check.suggest(key, sorted_keys(self.series))))
end

--- The metric's latest value; nil before the first evaluation.
function State:last(key)
  local list = known(self, key)
  return list and list[#list].value
end

--- The metric's best value so far and its step, by its direction; NaN is never the best. Nil before the first.
function State:best(key)
  local best
  for _, one in ipairs(known(self, key) or {}) do
    if one.value == one.value and (not best or self:is_better(key, one.value, best.value)) then best = one end
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
    if one.evaluation > self.stage_evaluations then values[#values + 1] = one.value end
  end
  return values
end

-- The first evaluation at which the metric reached the threshold.
local function first(self, key, threshold)
  for _, one in ipairs(known(self, key) or {}) do
    if self:sign(key) * one.value >= self:sign(key) * threshold then return one end
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

-- What moves while a training goes on, beside the clock's counts.
local MOVING = { "stage", "stage_index", "stage_evaluations", "evaluations", "confidence", "furthest" }
local TABLES = { "series", "teacher_acc", "untrained_acc", "benchmarks", "findings" }

function State:save()
  local kept = {}
  for _, name in ipairs(MOVING) do kept[name] = copy(self[name]) end
  for _, name in ipairs(TABLES) do kept[name] = copy(self[name]) end
  return kept
end

function State:load(kept)
  for _, name in ipairs(MOVING) do rawset(self, name, copy(kept[name])) end
  for _, name in ipairs(TABLES) do rawset(self, name, copy(kept[name])) end
end

return State
