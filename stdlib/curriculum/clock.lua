--- The clock of a training: the one place that counts. Others read `counts`, or ask what they would be so many steps ahead.
---   used     share of the budget; progress: the same, or of the budget that schedules were made for
---   step     attempts: batches that were drawn and done     updates  those that the optimizer took
---   epoch    samples / size of the full training set        flops    charged; flops_spent: carried out
--- and since the stage began: stage_steps, stage_epochs, stage_samples, stage_flops, stage_seconds, stage_passes.
local host = require "gradus.host"
local check = require "gradus.base.check"

local clock = {}

---@class Clock
---@field counts table<string, number>
---@field budget table         { epochs = | steps = | samples = | seconds = | flops = }
---@field total_steps number?  where it is known beforehand
local Clock = {}
Clock.__index = Clock

local UNITS = { "epochs", "steps", "samples", "seconds", "flops" }
local COUNT_OF = { epochs = "epoch", steps = "step", samples = "samples", seconds = "seconds", flops = "flops" }
local SINCE = { steps = "step", epochs = "epoch", samples = "samples", flops = "flops", seconds = "seconds" }
local ENOUGH = 1 - 1e-12  -- of a limit: sums and quotients of floating-point shares

--- Counts before the first step.
function clock.zero()
  local counts = { step = 0, updates = 0, epoch = 0, samples = 0, flops = 0, flops_spent = 0, seconds = 0, progress = 0, used = 0,
    stage_passes = 0, step_progress = 0, step_epochs = 1 }
  for unit in pairs(SINCE) do counts["stage_" .. unit] = 0 end
  return counts
end

--- Raises unless `given` is a budget: { epochs = … }, { steps = … }, …
function clock.check_budget(where, given)
  if type(given) ~= "table" or not next(given) then
    host.fail(("%s: expected { epochs = … } or { steps = … }; got %s"):format(where, check.describe(given)))
  end
  check.options(where, given, UNITS)
  for unit, amount in pairs(given) do clock.positive(where .. "." .. unit, amount) end
  return given
end

function clock.positive(where, value)
  if type(value) ~= "number" or not (value > 0) or value == math.huge then
    host.fail(("%s: expected a number above 0; got %s"):format(where, check.describe(value)))
  end
  return value
end

--- Steps of `batch` samples each that so many samples take. A product such as .07 · 100, 7.000000000000001, is 7.
function clock.steps_for(samples, batch) return math.ceil(samples / batch * ENOUGH) end

-- Steps of the budget; nil where only FLOPs or a clock will tell.
local function steps_of_budget(budget, batch, epoch_size)
  local total = math.huge
  if budget.steps then total = math.min(total, math.ceil(budget.steps)) end
  if budget.epochs then total = math.min(total, clock.steps_for(budget.epochs * epoch_size, batch)) end
  if budget.samples then total = math.min(total, clock.steps_for(budget.samples, batch)) end
  if total < math.huge and total > 2 ^ 53 then host.fail(("budget: expected at most 2^53 steps; got %g"):format(total)) end
  return total < math.huge and total or nil
end

---@param options {budget: table, batch: number, epoch_size: number}  batch: rows of a step; epoch_size: of the full training set
---@return Clock
function clock.new(options)
  local self = setmetatable({ budget = options.budget, batch = options.batch, epoch_size = options.epoch_size, counts = clock.zero(),
    start = {}, cost = { step = 0, teacher = 0, spent = 0 }, elapsed = 0 }, Clock)
  self.limits = {}
  for _, unit in ipairs(UNITS) do
    if options.budget[unit] then self.limits[#self.limits + 1] = { COUNT_OF[unit], options.budget[unit] } end
  end
  self.total_steps = steps_of_budget(options.budget, options.batch, options.epoch_size)
  self.counts.step_progress = self.total_steps and 1 / self.total_steps or 0
  self.counts.step_epochs = options.batch / options.epoch_size
  self:begin_stage()
  return self
end

--- Raises unless `given` says how often: { steps = … }, { epochs = … }, or both, of which the first reached counts.
function clock.check_every(where, given)
  if type(given) ~= "table" or not next(given) then
    host.fail(("%s: expected { epochs = … } or { steps = … }; got %s"):format(where, check.describe(given)))
  end
  check.options(where, given, { "epochs", "steps" })
  if given.steps ~= nil then check.value(where, "steps", given.steps, check.int(1)) end
  for unit, amount in pairs(given) do clock.positive(where .. "." .. unit, amount) end
  return given
end

--- { steps = }, { epochs = } or both as a number of steps, at least one.
function Clock:steps_of(every)
  local epochs = every.epochs and math.floor(every.epochs * self.epoch_size / self.batch + .5) or math.huge
  return math.max(1, math.min(math.ceil(every.steps or math.huge), epochs))
end

--- Starts the time; that of an earlier attempt is added.
function Clock:start_time() self.began = host.monotonic() end

function Clock:tick()
  if self.began then self.counts.seconds = self.elapsed + host.monotonic() - self.began end
end

--- Marks where the stage begins.
function Clock:begin_stage()
  local c, start = self.counts, {}
  for unit, field in pairs(SINCE) do start[unit], c["stage_" .. unit] = c[field], 0 end
  start.rows, start.passes, start.drawn, c.stage_passes = self.epoch_size, 0, c.samples, 0
  self.start = start
end

--- So many rows are drawn from, from here on; it is the full training set's where nobody says so.
---@param rows number
function Clock:draws_from(rows)
  local c, start = self.counts, self.start
  if rows ~= start.rows then start.rows, start.passes, start.drawn = rows, c.stage_passes, c.samples end
end

--- The floating-point operations of a step from here on: the student's, the teacher's that are charged, and those that are spent.
function Clock:costs(step, teacher, spent) self.cost = { step = step, teacher = teacher, spent = spent } end

--- Whether the budget is used up some time, as steps cost now.
function Clock:ends()
  return self.total_steps ~= nil or self.budget.seconds ~= nil or self.cost.step + self.cost.teacher > 0
end

--- Charges work beside the steps.
function Clock:charge(flops, spent)
  local c = self.counts
  c.flops, c.flops_spent = c.flops + flops, c.flops_spent + (spent or flops)
end

-- limits: of the budget, as { name of the count, limit } each.
local function used(limits, counts)
  local most = 0
  for i = 1, #limits do
    local one = limits[i]
    most = math.max(most, counts[one[1]] / one[2])
  end
  return math.min(1, most)
end

--- One step more, in the given counts or the clock's own.
---@param counts? table  what `ahead` gave
function Clock:count(counts)
  local c, start, cost = counts or self.counts, self.start, self.cost
  c.step, c.samples = c.step + 1, c.samples + self.batch
  c.flops, c.flops_spent = c.flops + (cost.step + cost.teacher), c.flops_spent + (cost.step + cost.spent)
  c.epoch = c.samples / self.epoch_size
  c.used = used(self.limits, c)
  c.progress = self.horizon and used(self.horizon, c) or c.used
  c.stage_steps, c.stage_samples = c.step - start.steps, c.samples - start.samples
  c.stage_epochs = c.stage_samples / self.epoch_size  -- a difference of epochs is rounded: 1.9 - .9 is less than 1
  c.stage_passes = start.passes + (c.samples - start.drawn) / start.rows
  c.stage_flops, c.stage_seconds = c.flops - start.flops, c.seconds - start.seconds
  return c
end

local function copy(from)
  local to = {}
  for key, value in pairs(from) do to[key] = value end
  return to
end

--- A copy of the counts, for those who look ahead.
function Clock:ahead() return copy(self.counts) end

--- Whether a count has come to a limit: 3 of 30 steps, .3 / 3 of an epoch's share, is .1 of the budget, and .1 + .2 is .3.
function clock.reached(count, limit) return count >= limit * ENOUGH end

--- Whether the budget is used up.
function clock.is_over(counts) return clock.reached(counts.used, 1) end

--- Which epoch the counts are in, from 0.
function clock.epoch_of(counts) return math.floor(counts.epoch + 1e-9) end

function Clock:state()
  self:tick()
  return { counts = copy(self.counts), start = copy(self.start), cost = copy(self.cost), limits = self.limits, horizon = self.horizon }
end

--- state: of a clock of the same budget, or of another: then schedules go on over the whole of this one's, or, where they are kept, are
--- what they were for that one, and stand still when it is used up.
---@param state table
---@param keeps_schedules? boolean
function Clock:load_state(state, keeps_schedules)
  local counts, own = self.counts, copy(self.counts)
  for key, value in pairs(state.counts) do counts[key] = value end
  for key, value in pairs(state.start) do self.start[key] = value end  -- an older library's has no rows
  self.horizon = state.horizon or keeps_schedules and state.limits or nil
  if not self.horizon and self.total_steps then counts.step_progress = own.step_progress end
  counts.used = used(self.limits, counts)
  counts.progress = self.horizon and used(self.horizon, counts) or counts.used
  self.cost, self.elapsed = copy(state.cost), counts.seconds
  self.began = self.began and host.monotonic()
end

return clock
