--- What a run says of its own settings before its first step, as `gradus check` says it (honest.lua): warnings, and events of kind
--- "advice". Nothing is tried and none of the user's functions asked, which may count how often they are; what these say is judged as
--- the run goes on.
local advice = require "gradus.training.advice"
local clock = require "gradus.curriculum.clock"
local honest = require "gradus.experiment.honest"
local is_news = require "gradus.base.news"
local knobs = require "gradus.experiment.honest_knobs"
local plan = require "gradus.experiment.plan"
local sampler = require "gradus.curriculum.sampler"
local target = require "gradus.curriculum.target"

local beforehand = {}

local HALF = .5  -- of the budget, by which a rate has been as high as it will be
local UNKNOWN = { kind = "unknown", text = "what a function says" }

-- What is known of a stage before it begins.
local function foreseen(t, stage)
  local goal, counts = stage.target, t.clock.counts
  if goal == nil then goal = t.given_teacher end
  local known = type(goal) ~= "function"
  local alike = #t.stages.list == 1  -- a stage of layers costs less than the others
  return { target = known and target.resolve(("stage '%s': target"):format(stage.name), goal) or UNKNOWN,
    source = sampler.is(stage.sample) and stage.sample or nil,
    flops = alike and t.clock.budget.flops and (counts.step_progress or 0) * t.clock.budget.flops or 0 }
end

local function outside(run, t, text) run:advise("settings", text, nil, t.where .. ": ") end

-- Collects what is said, each text once. What the training was told of its settings before is no news, but refused where it is strict.
local function reporter(run, t)
  local told = {}
  local function saying(say, blames)
    return function(text, ...)
      text = text:format(...)
      if not is_news(told, text) then return end
      if blames then t.reporter:blame(text) end
      if t.reporter:is_news(text) or run.options.strict then say(run, t, text) end
    end
  end
  local refuse = saying(function(_, _, text) run:warn("settings", t.where .. ": " .. text) end)
  return { refuse = refuse, stops = function(share, ...) if share > 0 then refuse(...) end end, outside = saying(outside, true),
    advise = saying(function(_, _, text) run:advise("settings", text) end) }
end

--- Judges a training whose first stage was entered.
---@param run Run
---@param t Training
function beforehand.judge(run, t)
  local seen = {}
  for i, stage in ipairs(t.stages.list) do seen[i] = foreseen(t, stage) end
  local report, the = reporter(run, t), plan.new(plan.subject(t), seen, true)
  for i in ipairs(t.stages.list) do honest.stage(report, the, i) end
  honest.whole(report, the)
end

--- Judges a training that goes on with other settings, as one that begins is (beginning.lua).
---@param run Run
---@param t Training
---@param as_it_was? boolean  nobody has set anything: that its budget is used up is nothing new
function beforehand.judge_anew(run, t, as_it_was)
  t.reporter:absolve()
  advice.store(t, advice.on(t), true)
  beforehand.judge(run, t)
  if as_it_was or not clock.is_over(t.clock.counts) then return end
  t.reporter:warn("budget_over", t.where .. ": the budget is used up by now; expected a larger one")
end

-- Whether only the run tells what a knob is, in this stage.
local function is_asked(t, name) return type(t.stages:answer_of(name)) == "function" or t.stages.stage.pressure ~= nil end

-- What is out of the guides' ranges of what functions gave the last step, by knob.
local function outside_now(t)
  local last, found = t.stages.last, {}
  local rates, highest = is_asked(t, "lr") and advice.rates_of(t) or nil, t.reporter:highest_rate()
  if rates and (t.s.progress >= HALF or highest > rates.high) then found.lr = knobs.rate_outside(rates, highest) end
  if t.teacher.target.kind ~= "logits" or last.alpha == 0 and last.temperature == 1 then return found end
  for _, name in ipairs { "temperature", "alpha" } do
    local value = last[name]
    if is_asked(t, name) and type(value) == "number" then found[name] = knobs.outside(name, value, value) end
  end
  return found
end

--- Judges at an evaluation what functions gave the last step, once in a stage.
---@param run Run
---@param t Training
function beforehand.look(run, t)
  local stage, step = t.s.stage, t.s.step
  local found = outside_now(t)
  for _, name in ipairs { "lr", "temperature", "alpha" } do
    local text = found[name]
    if text and t.reporter:is_news(("%s of '%s'"):format(name, stage)) then
      text = ("stage '%s': %s %s (step %d)"):format(stage, name, text, step)
      t.reporter:blame(text)
      outside(run, t, text)
    end
  end
end

--- What a person is about to set is judged as a script's settings are: what is amiss with it, in words, and whether it is a mistake.
---@param t Training
---@param numbers table<string, number>  by knob
---@return {text: string, mistake: boolean?}[]
function beforehand.of_hand(t, numbers)
  local rate, found = numbers.lr and numbers.lr > 0 and advice.on_rate(t, numbers.lr), {}
  if rate and rate.amiss then found[1] = { text = rate.text, mistake = rate.mistake } end
  if t.teacher.target.kind ~= "logits" then return found end
  for _, name in ipairs { "temperature", "alpha" } do
    local text = numbers[name] and knobs.outside(name, numbers[name], numbers[name])
    if text then found[#found + 1] = { text = ("%s %s"):format(name, text) } end
  end
  return found
end

return beforehand
