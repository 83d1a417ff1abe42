--- What a training will do as far as that is known before it: where each stage lies in the budget, what its knobs and its
--- share of the rows will be there. What depends on how the run goes is nil, not a guess; so is, to a blind plan, what the user's
--- functions say, which may count how often they are asked.
local advice = require "gradus.training.advice"
local data = require "gradus.data.dataset"
local sampler = require "gradus.curriculum.sampler"
local schedule = require "gradus.curriculum.schedule"
local when = require "gradus.curriculum.when"

local plan = {}

---@class Plan
---@field spans table[]  of each stage: from, to (shares of the budget), known, per_step (the share that a step uses), step (at `from`)
---@field total number?  steps of the whole run
---@field last number    the share at which the last step is asked for its knobs
---@field blind boolean   the user's functions are not asked
local Plan = {}
Plan.__index = Plan

local POINTS, FEW = 200, 50  -- of a schedule; to a blind plan, which every run pays for
local SAMPLES = 20     -- of a function that says which rows
local KNOBS = { "lr", "temperature", "alpha", "augment" }

-- What a function may read of the state without depending on how the run goes.
local FIXED = { params = true, seed = true, teacher = true, step_progress = true, step_epochs = true, suites = true }

-- --- where the stages lie --------------------------------------------------------------------------------------------

-- The share of the budget that one step uses; nil where only a clock would tell.
local function share_of_step(run, flops)
  local share = run.total_steps and 1 / run.total_steps or 0
  if run.budget.flops then share = math.max(share, flops / run.budget.flops) end
  return share > 0 and share or nil
end

-- The share at which a stage that began at `from` ends by its rule; nil where that is not known.
local function end_of(run, rule, from, per_step)
  if not when.is(rule) or not rule.unit then return nil end
  if rule.unit == "progress" then return math.max(from, rule.limit) end
  local budget = run.budget[rule.unit]
  if budget then return from + rule.limit / budget end
  local steps = ({ steps = 1, samples = 1 / run.batch, epochs = run.epoch_size / run.batch })[rule.unit]
  return steps and per_step and from + rule.limit * steps * per_step or nil
end

local function spans_of(run, seen)
  local spans, from, step, known = {}, 0, 0, true
  for i, stage in ipairs(run.stages) do
    local per_step = share_of_step(run, seen[i].flops)
    local to = i < #run.stages and end_of(run, stage.advance, from, per_step) or nil
    known = known and (to ~= nil or i == #run.stages)
    spans[i] = { from = from, to = math.min(1, to or 1), known = known, per_step = per_step, step = step }
    if to then
      step = step and per_step and step + (to - from) / per_step
      from = to
    end
  end
  return spans
end

--- What a plan, and those who judge it, want to know of a training.
---@param t Training
function plan.subject(t)
  return { stages = t.stages.list, knobs = t.stages.base, budget = t.clock.budget, total_steps = t.clock.total_steps,
    batch = t.updater.batch,
    epoch_size = t.clock.epoch_size, train = t.train, val = t.val, suites = t.evaluator.suites, state = t.s, given = t.given, o = t.options,
    eval_steps = t.evaluator.every, monitor = t.keeper.monitor, restore_best = t.keeper.restores, early = t.keeper.early,
    plain = t.objective.plain, partial = t.task.labels.partial, rates = advice.rates_of(t), asks = { alpha = t.objective:has { "kd" },
      temperature = t.task.kind ~= "numbers" and t.objective:has { "kd", "kl", "reverse_kl", "jsd" } } }
end

-- What else a function reads of the state: it is asked for thousands of states, so this is made once.
local function others(self)
  return { __index = function(_, key)
    self.depends = self.depends or not FIXED[key]
    return self.run.state[key]
  end }
end

--- The plan of a distillation whose stages were `seen`: { flops = of a full step, target =, source =, rows = } each.
---@param blind? boolean  the user's functions are not asked
function plan.new(run, seen, blind)
  local self = setmetatable({ run = run, seen = seen, spans = spans_of(run, seen), blind = blind or false }, Plan)
  local final = self.spans[#self.spans]
  self.last = math.max(0, 1 - (final.per_step or 1e-6))
  self.total = run.total_steps
  self.unit, self.amount = next(run.budget)
  if next(run.budget, self.unit) ~= nil then self.unit = nil end  -- of several, nobody knows which ends first
  self.others = others(self)
  if not self.total and final.known and final.per_step and final.step and final.from < 1 then
    self.total = math.ceil(final.step + (1 - final.from) / final.per_step)
  end
  for i, one in ipairs(seen) do
    one.knobs = {}
    for _, name in ipairs(KNOBS) do one.knobs[name] = self:knob(i, name) end
  end
  return self
end

-- --- what is asked there ---------------------------------------------------------------------------------------------

-- The state as it would be in stage i at a share of the budget. Sets `depends` when something else of it is read.
local function state_at(self, share, i)
  local run, span = self.run, self.spans[i]
  local s = { progress = share, stage = run.stages[i].name, stage_index = i, step_progress = span.per_step }
  local unit, amount = self.unit, self.amount
  if unit == "seconds" then s.seconds, s.stage_seconds = share * amount, (share - span.from) * amount
  elseif unit == "flops" then s.flops, s.stage_flops = share * amount, (share - span.from) * amount end
  if span.per_step and span.step then
    local since = (share - span.from) / span.per_step
    local step, epochs = span.step + since, run.batch / run.epoch_size
    s.stage_steps, s.stage_samples, s.stage_epochs = since, since * run.batch, since * epochs
    s.step, s.samples, s.epoch = step, step * run.batch, step * epochs
  end
  return setmetatable(s, self.others)
end

-- The stage of a share of the budget.
local function stage_at(self, share)
  local found = 1
  for i, span in ipairs(self.spans) do
    if span.from <= share and self.spans[math.max(1, i - 1)].known then found = i end
  end
  return found
end

-- Whether the answer is a function of the user's, or a warm-up to one.
local function is_users(answer)
  return type(answer) == "function" or schedule.is(answer) and type(answer.after) == "function"
end

-- ask(state) at so many points of a span; nil where it raises, says nothing or depends on how the run goes.
local function over(self, points, from, to, i, ask)
  local values = {}
  self.depends = false
  for k = 1, points do
    local share = from + (to - from) * (k - 1) / (points - 1)
    local ok, value = pcall(ask, state_at(self, share, i or stage_at(self, share)))
    if not ok or value == nil or self.depends then return nil end
    values[k] = value
  end
  return values
end

--- The numbers of a knob's answer over a span, in stage i or, without i, in the stages as they come; nil where not known.
function Plan:values(answer, from, to, i)
  if type(answer) == "number" then return { answer, answer } end
  if schedule.is(answer) and answer.between or self.blind and is_users(answer) then return nil end
  return over(self, self.blind and FEW or POINTS, from, to, i, function(s)
    local value = schedule.value(answer, s)
    return type(value) == "number" and value or nil
  end)
end

--- A knob in stage i: its answer, `values` over the stage, `asked` there by steps alone (the last is before the end),
--- `whole` (of an answer of the run's, over the whole budget), `own`: whether the stage has it from itself.
function Plan:knob(i, name)
  local run, span, stage = self.run, self.spans[i], self.run.stages[i]
  local answer, own = stage.knobs[name], stage.knobs[name] ~= nil
  if not own then answer = run.knobs[name] end
  local base, said = answer, false
  if stage.pressure then
    answer = function(s)
      local one = stage.pressure(s)[name]
      said = said or one ~= nil
      return schedule.value(one == nil and base or one, s)
    end
  end
  local from = math.min(span.from, 1)
  local values = self:values(answer, from, span.to, i)
  if stage.pressure and values and not said then answer = base end
  local asked = values and self:values(answer, math.min(from, self.last), math.min(span.to, self.last), i)
  local whole = values and not (own or said) and self:values(answer, 0, 1) or values
  local goal = self.seen[i].target.kind
  local used = name == "lr" or name == "augment" and answer ~= 0 or goal == "logits" and self.run.asks[name]
  return { name = name, answer = answer, values = values, asked = asked, whole = whole, own = own or said, used = used,
    pressure = said or stage.pressure and not values }
end

-- Of an answer of the sample axis: the share of the training set's rows that it draws from, each as often (nil of those that
-- weigh rows); whether a ranking is behind it; the ranked view.
local function drawn(run, answer, s)
  if answer == nil then return 1, false end
  if data.is(answer) then
    local ranked = answer.difficulty and answer or nil
    return answer.base == run.train.base and answer:size() / run.train:size() or nil, ranked ~= nil, ranked
  end
  if not sampler.is(answer) or answer.mode ~= "shuffle" then return nil end
  local share = rawget(answer, "share")
  local part, view = share and math.min(1, schedule.value(share, s)) or 1, answer.data
  return part * view:size() / run.train:size(), share ~= nil or view.difficulty ~= nil, view.difficulty and view or nil
end

--- The share of the training set's rows that stage i draws from, over its span; whether by a ranking; the ranked view.
function Plan:rows(i)
  local answer, span, ranked, view = self.run.stages[i].sample, self.spans[i], false, nil
  local users = is_users(sampler.is(answer) and rawget(answer, "share") or answer)
  if not data.is(self.run.train) or users and self.blind then return nil end
  local values = over(self, SAMPLES, math.min(span.from, 1), span.to, i, function(s)
    local one = answer
    if type(answer) == "function" then one = answer(s) end
    local part, by_rank, of = drawn(self.run, one, s)
    ranked, view = ranked or by_rank, of
    return part
  end)
  return values, ranked, view
end

--- The share of each source of a mixture, over stage i.
function Plan:mixture(parts, i)
  local span, all, users = self.spans[i], {}, false
  for _, part in ipairs(parts) do users = users or is_users(part[2]) end
  if users and self.blind then return all end
  for k in ipairs(parts) do
    all[k] = over(self, self.blind and FEW or POINTS, math.min(span.from, 1), span.to, i, function(s)
      local sum, mine = 0, nil
      for j, part in ipairs(parts) do
        local share = schedule.value(part[2], s)
        sum = sum + share
        if j == k then mine = share end
      end
      return mine / sum
    end)
  end
  return all
end

-- --- numbers over a span ---------------------------------------------------------------------------------------------

--- The lowest and the highest.
---@param values number[]
---@return number low
---@return number high
function plan.range(values)
  local low, high = math.huge, -math.huge
  for _, v in ipairs(values) do low, high = math.min(low, v), math.max(high, v) end
  return low, high
end

--- Whether they are not all the same, but for rounding.
---@param values number[]
function plan.moves(values)
  local low, high = plan.range(values)
  return high - low > 1e-12 * math.max(1, math.abs(high))
end

--- Whether they are known, and this one throughout.
---@param values number[]?
---@param value number
function plan.throughout(values, value) return values ~= nil and not plan.moves(values) and values[1] == value end

return plan
