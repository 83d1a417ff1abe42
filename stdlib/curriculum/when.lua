--- Advance rules: when a stage ends. A rule is called with the run's state and returns a verdict and the numbers that
--- it was taken from; both become an event in the store. Verdicts: "next" (go on), "stop" (end the run), "back"
--- (to the stage before), "stay" (a decision too), "end" (the budget is used up), false (nothing to say). A plain Lua
--- function(s) does the same; true means "next".
--- Rules over metrics are asked once per evaluation, so patience counts evaluations; those over counts, at every step.
local check = require "gradus.base.check"
local clock = require "gradus.curriculum.clock"
local host = require "gradus.host"
local Rule = require "gradus.curriculum.rule"

local rule = Rule.new
local when = {}

--- Whether a value is a rule.
---@param value any
when.is = Rule.is

local function positive(name, value)
  if type(value) ~= "number" or not (value > 0) then
    host.fail(("when.%s: expected a number above 0; got %s"):format(name, check.describe(value)))
  end
end

local function metric(name, key, value)
  if type(key) ~= "string" then
    host.fail(("when.%s: expected a metric's name such as 'val/acc'; got %s"):format(name, check.describe(key)))
  end
  if type(value) ~= "number" or value ~= value then
    host.fail(("when.%s: expected a number; got %s"):format(name, check.describe(value)))
  end
end

-- Counts since the stage began; `field` of the state.
local function count(name, field)
  when[name] = function(limit)
    positive(name, limit)
    if name == "progress" and limit > 1 then host.fail(("when.progress: expected a share of the budget up to 1; got %g"):format(limit)) end
    return rule(("%g %s"):format(limit, name), "step", function(s)
      local now = s[field]
      return clock.reached(now, limit) and "next", { [name] = now, limit = limit }
    end, name, limit)
  end
end
count("steps", "stage_steps")      --- after so many optimizer updates in the stage
count("epochs", "stage_epochs")    --- after so many full training sets' worth of samples
count("passes", "stage_passes")    --- after so many traversals of the stage's own subset
count("samples", "stage_samples")  --- after so many samples
count("seconds", "stage_seconds")  --- after so much time
count("progress", "progress")      --- once this share of the whole budget is used
count("flops", "stage_flops")      --- after so many floating-point operations, the teacher's included

--- When the metric's last value is at least `value`.
function when.above(key, value)
  metric("above", key, value)
  return rule(("%s >= %g"):format(key, value), "evaluation", function(s)
    local now = s:last(key)
    return now ~= nil and now >= value and "next", { [key] = now, threshold = value }
  end, nil, nil, { key })
end

--- When the metric's last value is at most `value`.
function when.below(key, value)
  metric("below", key, value)
  return rule(("%s <= %g"):format(key, value), "evaluation", function(s)
    local now = s:last(key)
    return now ~= nil and now <= value and "next", { [key] = now, threshold = value }
  end, nil, nil, { key })
end

--- When the metric has not improved by more than `min_delta` for `patience` evaluations of the stage.
---@param key string
---@param patience number
---@param min_delta? number  default 0
function when.plateau(key, patience, min_delta)
  metric("plateau", key, patience)
  positive("plateau", patience)
  if patience % 1 ~= 0 then host.fail(("when.plateau: expected a whole number of evaluations; got %g"):format(patience)) end
  min_delta = min_delta or 0
  if type(min_delta) ~= "number" or not (min_delta >= 0) then
    host.fail("when.plateau: min_delta: expected a number of at least 0, whichever way is better; got " .. check.describe(min_delta))
  end
  return rule(("%s flat for %d evaluations"):format(key, patience), "evaluation", function(s)
    local values = s:stage_history(key)
    if #values == 0 then return false end
    local sign = s:sign(key)
    local best, since = nil, 0
    for i, value in ipairs(values) do
      value = sign * value
      if i == 1 or (value == value and (best == nil or value > best + min_delta)) then since = 0 else since = since + 1 end
      if value == value and (best == nil or value > best + min_delta) then best = value end
    end
    return since >= patience and "next", { [key] = values[#values], best = best and sign * best, evaluations = since }
  end, "evaluations", patience, { key })
end

--- Early stopping: ends the run when its best value of the metric is `patience` evaluations old. As in the callbacks of PyTorch
--- Lightning and Keras the count is the run's, not the stage's: what must be beaten is the best of all, which is what
--- restore_best puts back, and going back a stage gives no new patience. Only a stage that is reached for the first time has
--- `patience` evaluations of its own, or one that a plateau ended would take the run with it.
---@param key string
---@param patience number
function when.patience(key, patience)
  metric("patience", key, patience)
  positive("patience", patience)
  if patience % 1 ~= 0 then host.fail(("when.patience: expected a whole number of evaluations; got %g"):format(patience)) end
  return rule(("stop when %s has not improved for %d evaluations"):format(key, patience), "evaluation", function(s)
    local best, step = s:best(key)
    local from = s.furthest.evaluations
    for _, one in ipairs(s:entries(key)) do
      if one.step == step then from = math.max(from, one.evaluation) end
    end
    local since = s.evaluations - from
    return since >= patience and "stop", { [key] = s:last(key), best = best, evaluations = since }
  end, "evaluations", patience, { key })
end

--- When the metric no longer gains: its mean of the last `smooth` evaluations grew by less than `gain` since the evaluation
--- before, after it has grown by more than `progress` since the stage began. The rule by which the public code of
--- progressive distillation goes to the teacher's next checkpoint.
---@param key string
---@param options? {gain: number, progress: number, smooth: number, most: number}  .01, .01, 5; most: steps after which it goes on anyway
function when.saturated(key, options)
  options = check.options("when.saturated", options, { gain = check.number(0), progress = check.number(0), smooth = check.int(1),
    most = check.above(0) }, { gain = .01, progress = .01, smooth = 5 })
  metric("saturated", key, options.gain)
  local saturated = rule(key .. " saturated", "evaluation", function(s)
    local values, last = {}, s:last(key)
    for _, value in ipairs(s:stage_history(key)) do
      if value == value then values[#values + 1] = value end
    end
    local sign = #values > 0 and s:sign(key) or 1
    local function smoothed(n)
      local sum, first = 0, math.max(1, n - options.smooth + 1)
      for i = first, n do sum = sum + values[i] end
      return sum / (n - first + 1)
    end
    local n = #values
    local numbers = { [key] = last, steps = s.stage_steps }
    if options.most and s.stage_steps >= options.most then return "next", numbers end
    if n < 2 or last ~= last then return false, numbers end
    numbers.gain, numbers.progress = sign * (smoothed(n) - smoothed(n - 1)), sign * (smoothed(n) - values[1])
    return numbers.gain < options.gain and numbers.progress > options.progress and "next", numbers
  end, nil, nil, { key })
  saturated.waits = not options.most
  return saturated
end

--- When student and teacher give the same class on at least this share of the validation set.
function when.agreement(share)
  return when.above("val/agreement", share)
end

--- Goes back a stage when the metric has fallen from its best by more than `bound`: forgetting.
---@param bound number
---@param key? string  default "easy/acc" where the run has an easy suite, else "val/acc"
function when.forgetting(bound, key)
  positive("forgetting", bound)
  return rule(("forgetting above %g"):format(bound), "evaluation", function(s)
    local name = key or (s.series["easy/acc"] and "easy/acc") or "val/acc"
    local best, now = s:best(name), s:last(name)
    local lost = best and now and s:sign(name) * (best - now) or 0
    local all = lost ~= lost  -- NaN after a best: nothing is left
    return (all or lost > bound) and "back", { metric = name, forgotten = not all and lost or nil, bound = bound }
  end, nil, nil, { key or { "easy/acc", "val/acc" } })
end

local FINDINGS = { "diverging", "rate_too_high", "oscillating", "too_small", "overfitting", "stagnant", "collapsed", "teacher_worse",
  "difficulty_jump" }
local VERDICTS = { "next", "back", "stop", "stay" }

local function one_of(where, what, value, known)
  for _, one in ipairs(known) do
    if one == value then return end
  end
  host.fail(("%s: no %s '%s'; %s"):format(where, what, tostring(value), check.suggest(value, known)))
end

--- When the run's health has found something in this visit of the stage: when.found("difficulty_jump", "back") goes back to the stage
--- before. `most`: how often, in one stage; after that it says nothing.
---@param name string     diverging, rate_too_high, oscillating, too_small, overfitting, stagnant, collapsed, teacher_worse, difficulty_jump
---@param verdict? string  "next" (default), "back", "stop" or "stay"
---@param most? number     3
function when.found(name, verdict, most)
  one_of("when.found", "finding", name, FINDINGS)
  verdict, most = verdict or "next", most or 3
  one_of("when.found", "verdict", verdict, VERDICTS)
  positive("found", most)
  return rule(("%s found"):format(name), "evaluation", function(s)
    local began, times, latest = s.step - s.stage_steps, 0, nil
    for _, one in ipairs(s.findings) do
      if one.name == name and one.stage == s.stage then times, latest = times + 1, one end
    end
    return latest ~= nil and latest.step > began and times <= most and verdict, { found = latest and latest.step, times = times }
  end)
end

local function check_rule(where, one)
  if when.is(one) or type(one) == "function" then return end
  host.fail(("%s: expected a rule such as when.epochs(3), or a function of the state; got %s"):format(where, check.describe(one)))
end

when.benchmarked = require "gradus.curriculum.benchmarked"

local function combine(name, count_of, rules, done)
  if count_of == 0 then host.fail(("when.%s: expected rules"):format(name)) end
  for i = 1, count_of do check_rule(("when.%s: rule %d"):format(name, i), rules[i]) end
  local texts, every, metrics, waiting = {}, "evaluation", {}, 0
  for i, one in ipairs(rules) do
    texts[i] = tostring(one)
    if when.is(one) and one.every == "step" then every = "step" end
    for _, key in ipairs(when.is(one) and one.metrics or {}) do metrics[#metrics + 1] = key end
    if when.is(one) and one.waits then waiting = waiting + 1 end
  end
  local combined = rule(name .. "(" .. table.concat(texts, ", ") .. ")", every, function(s)
    local numbers, verdict, agreed = {}, false, 0
    for _, one in ipairs(rules) do
      -- A rule over metrics has nothing new to say between evaluations.
      local asked = s.evaluating or (when.is(one) and one.every == "step")
      local answer, detail
      if asked then answer, detail = one(s) end
      for key, value in pairs(detail or {}) do numbers[key] = value end
      if answer then
        agreed = agreed + 1
        verdict = verdict or (answer == true and "next" or answer)
      end
    end
    return done(agreed, #rules) and verdict, numbers
  end, nil, nil, metrics)
  combined.waits = waiting > 0 and (name == "all" or waiting == #rules)
  return combined
end

--- As soon as one of the rules says so; its verdict.
function when.any(...) return combine("any", select("#", ...), { ... }, function() return true end) end

--- When all rules say so at once; the first one's verdict.
function when.all(...) return combine("all", select("#", ...), { ... }, function(agreed, of) return agreed == of end) end

--- The rule, but its verdict ends the run.
function when.stop(inner)
  check_rule("when.stop", inner)
  local stops = rule("stop when " .. tostring(inner), when.is(inner) and inner.every or "evaluation", function(s)
    local answer, detail = inner(s)
    return answer and "stop", detail
  end, when.is(inner) and inner.unit or nil, when.is(inner) and inner.limit or nil, when.is(inner) and inner.metrics or nil)
  stops.waits = when.is(inner) and inner.waits
  return stops
end

return when
