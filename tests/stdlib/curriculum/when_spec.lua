local g = require "gradus"
local clock = require "gradus.curriculum.clock"
local when = g.when
local support = require "support"

-- A state whose metric has had these values, one evaluation each; `before` of them in an earlier stage.
local function after(series, before)
  local s = support.state()
  s:begin_stage("a", 1)
  local count = 0
  for _, values in pairs(series) do count = math.max(count, #values) end
  for i = 1, count do
    if i == (before or 0) + 1 and before then s:begin_stage("b", 2) end
    local numbers = {}
    for key, values in pairs(series) do numbers[key] = values[i] end
    s.counts.step = i * 10
    s:record(numbers)
  end
  s.evaluating = true
  return s
end

local function verdicts(rule, key, values)
  local out = {}
  for i = 1, #values do
    local seen = {}
    for k = 1, i do seen[k] = values[k] end
    out[i] = rule(after { [key] = seen }) or "-"
  end
  return out
end

describe("counts:", function()
  it("steps since the stage began", function()
    local s = support.state()
    support.count(s, { step = 100 })
    s:begin_stage("b", 2)
    support.count(s, { step = 119 })
    expect(when.steps(20)(s)):is_false()
    support.count(s, { step = 120 })
    local verdict, numbers = when.steps(20)(s)
    expect(verdict):equals "next"
    expect(numbers):equals { steps = 20, limit = 20 }
  end)
  it("epochs, samples, seconds, flops, passes and progress", function()
    local s = support.state()
    s:begin_stage("a", 1)
    support.count(s, { epoch = 3, samples = 192, seconds = 1.5, flops = 1e9, progress = .5, stage_passes = 4 })
    for name, limit in pairs { epochs = 3, samples = 192, seconds = 1.5, flops = 1e9, passes = 4, progress = .5 } do
      expect(when[name](limit)(s)):equals "next"
      expect(when[name](limit * 1.01)(s)):is_false()
    end
  end)
  -- Steps, each a tenth of an epoch, until the rule speaks, in a stage that begins after some.
  local function steps_of(rule, before, budget)
    local time = clock.new { budget = budget, batch = 100, epoch_size = 1000 }
    for _ = 1, before do time:count() end
    local s = support.state { clock = time }
    s:begin_stage("a", 1)
    for i = 1, 110 do
      time:count()
      if rule(s) then return i end
    end
  end
  it("end at their step, however a share or an epoch is rounded", function()
    for before = 1, 30 do expect(steps_of(when.epochs(1), before, { steps = 200 })):equals(10) end
    for epochs = 1, 12 do
      for tenths = 1, 9 do expect(steps_of(when.progress(tenths / 10), 0, { epochs = epochs })):equals(tenths * epochs) end
    end
    expect(steps_of(when.progress(.1 + .2), 0, { steps = 10 })):equals(3)
  end)
end)

describe("thresholds:", function()
  it("above and below include the value itself", function()
    expect(verdicts(when.above("val/acc", .8), "val/acc", { .5, .79, .8, .7 })):equals { "-", "-", "next", "-" }
    expect(verdicts(when.below("val/loss", .5), "val/loss", { 1, .5, .4 })):equals { "-", "next", "next" }
  end)
  it("tell their numbers", function()
    local _, numbers = when.above("val/acc", .8)(after { ["val/acc"] = { .9 } })
    expect(numbers):equals { ["val/acc"] = .9, threshold = .8 }
  end)
  it("agreement is val/agreement", function()
    expect(verdicts(when.agreement(.9), "val/agreement", { .89, .9 })):equals { "-", "next" }
  end)
  it("say nothing before the first evaluation", function()
    local s = support.state()
    s:begin_stage("a", 1)
    expect(when.above("val/acc", .8)(s)):is_false()
    expect(when.plateau("val/loss", 2)(s)):is_false()
    expect(when.forgetting(.1)(s)):is_false()
  end)
  it("name the nearest metric", function()
    expect(function() when.above("val/ac", .8)(after { ["val/acc"] = { .9 } }) end)
      :fails_with "no metric 'val/ac' is evaluated in this run; did you mean 'val/acc'?"
  end)
end)

describe("plateau:", function()
  it("counts evaluations without improvement", function()
    expect(verdicts(when.plateau("val/loss", 2), "val/loss", { 3, 2, 2, 2.5, 1 })):equals { "-", "-", "-", "next", "-" }
    expect(verdicts(when.plateau("val/acc", 1), "val/acc", { .1, .2, .2 })):equals { "-", "-", "next" }
  end)
  it("an improvement within min_delta is none, measured from the best", function()
    -- each step is smaller than min_delta, but the second one is further than min_delta from the best
    expect(verdicts(when.plateau("val/loss", 2, .3), "val/loss", { 3, 2.8, 2.6, 2.5 })):equals { "-", "-", "-", "-" }
    expect(verdicts(when.plateau("val/loss", 2, .5), "val/loss", { 3, 2.8, 2.6 })):equals { "-", "-", "next" }
  end)
  it("begins anew with the stage", function()
    expect(when.plateau("val/loss", 2)(after({ ["val/loss"] = { 1, 2, 2, 2 } }, 2))):is_false()
    expect(when.plateau("val/loss", 2)(after({ ["val/loss"] = { 1, 2, 2, 2, 2 } }, 2))):equals "next"
  end)
  it("tells the best and how long ago", function()
    local _, numbers = when.plateau("val/loss", 2)(after { ["val/loss"] = { 3, 2, 2.5, 2.4 } })
    expect(numbers):equals { ["val/loss"] = 2.4, best = 2, evaluations = 2 }
  end)
end)

describe("patience:", function()
  -- The first evaluation at which the run stops, by the values of val/loss and, for each, its stage.
  local function stops_at(patience, values, stages)
    local s, rule = support.state(), when.patience("val/loss", patience)
    s:begin_stage("1", 1)
    for i, value in ipairs(values) do
      if stages and stages[i] ~= s.stage_index then s:begin_stage(tostring(stages[i]), stages[i]) end
      s.counts.step = i * 10
      s:record { ["val/loss"] = value }
      if rule(s) == "stop" then return i end
    end
  end
  it("counts evaluations since the best", function()
    expect(stops_at(2, { 3, 2, 2, 2.5, 1 })):equals(4)
    expect(stops_at(2, { 3, 2, 2, 1.9, 1.95 })):equals(nil)
    expect(stops_at(2, { 0 / 0, 0 / 0 })):equals(2)
  end)
  it("is the run's: a later stage that falls short of the best of all does not begin anew with each improvement", function()
    expect(stops_at(3, { 1, 1.5, 3, 2.5, 2 }, { 1, 1, 2, 2, 2 })):equals(5)
  end)
  it("gives a stage that is reached for the first time its own evaluations", function()
    -- a plateau of 3 has just ended stage 1
    expect(stops_at(3, { 1, 2, 2, 2, 2, 2, 2 }, { 1, 1, 1, 2, 2, 2, 2 })):equals(6)
  end)
  it("gives none to a stage gone back to", function()
    expect(stops_at(4, { 1, 2, 2, 2, 2, 2, 2, 2 }, { 1, 2, 1, 2, 1, 2, 1, 2 })):equals(5)
  end)
  it("tells the best and how long ago", function()
    local s = after { ["val/loss"] = { 3, 2, 2.5, 2.4 } }
    local _, numbers = when.patience("val/loss", 2)(s)
    expect(numbers):equals { ["val/loss"] = 2.4, best = 2, evaluations = 2 }
  end)
end)

describe("saturated:", function()
  it("once it has risen and rises no more", function()
    local rule = when.saturated("val/acc", { gain = .02, progress = .1, smooth = 1 })
    expect(verdicts(rule, "val/acc", { .5, .505, .7, .9, .91 })):equals { "-", "-", "-", "-", "next" }
  end)
  it("says nothing at an evaluation that is not a number", function()
    local rule = when.saturated("val/acc", { gain = .01, progress = .01, smooth = 1 })
    expect(verdicts(rule, "val/acc", { .1, .5, .505, 0 / 0 })):equals { "-", "-", "next", "-" }
  end)
  it("smooths over evaluations", function()
    -- means of two: .5, .6, .75, .8, .8
    local rule = when.saturated("val/acc", { gain = .01, progress = .1, smooth = 2 })
    expect(verdicts(rule, "val/acc", { .5, .7, .8, .8, .8 })):equals { "-", "-", "-", "-", "next" }
  end)
  it("of a loss is a fall", function()
    local rule = when.saturated("val/loss", { gain = .02, progress = .1, smooth = 1 })
    expect(verdicts(rule, "val/loss", { 2, 1, .99 })):equals { "-", "-", "next" }
  end)
end)

describe("forgetting:", function()
  it("goes back when the metric has fallen by more than the bound", function()
    local rule = when.forgetting(.1, "easy/acc")
    expect(verdicts(rule, "easy/acc", { .9, .85, .79, .8 })):equals { "-", "-", "back", "-" }
    local _, numbers = rule(after { ["easy/acc"] = { .9, .75 } })
    expect(numbers.metric):equals "easy/acc"
    expect(numbers.forgotten):near(.15)
    expect(numbers.bound):equals(.1)
  end)
  it("of a loss is a rise", function()
    expect(verdicts(when.forgetting(.5, "val/loss"), "val/loss", { 1, 1.4, 1.6 })):equals { "-", "-", "back" }
  end)
  it("looks at the easy suite where there is one, else at val/acc", function()
    expect(when.forgetting(.1)(after { ["val/acc"] = { .9, .5 } })):equals "back"
    expect(when.forgetting(.1)(after { ["val/acc"] = { .9, .5 }, ["easy/acc"] = { .9, .9 } })):is_false()
  end)
end)

describe("combinations:", function()
  local yes, no = function() return true end, function() return false end
  local function back() return "back", { b = 1 } end
  local function stop() return "stop", { s = 2 } end
  local s = after { ["val/acc"] = { .5 } }

  it("any is the first verdict that there is", function()
    expect((when.any(no, back, stop)(s))):equals "back"
    expect((when.any(no, yes)(s))):equals "next"
    expect((when.any(no, no)(s))):is_false()
    local _, numbers = when.any(back, stop)(s)
    expect(numbers):equals { b = 1, s = 2 }
  end)
  it("all needs every rule", function()
    expect((when.all(yes, back)(s))):equals "next"
    expect((when.all(stop, yes)(s))):equals "stop"
    expect((when.all(yes, no)(s))):is_false()
  end)
  it("stop ends the run", function()
    expect((when.stop(yes)(s))):equals "stop"
    expect((when.stop(no)(s))):is_false()
    local verdict, numbers = when.stop(when.above("val/acc", .5))(s)
    expect(verdict):equals "stop"
    expect(numbers.threshold):equals(.5)
  end)
  it("rules over metrics are asked at evaluations only", function()
    local asked = 0
    local rule = when.any(function() asked = asked + 1 return false end, when.steps(5))
    expect(rule.every):equals "step"
    local now = support.state()
    now:begin_stage("a", 1)
    rule(now)
    expect(asked):equals(0)
    now.evaluating = true
    rule(now)
    expect(asked):equals(1)
    now.evaluating = false
    support.count(now, { step = 5 })
    expect((rule(now))):equals "next"
    expect(when.any(yes, no).every):equals "evaluation"
    expect(when.stop(when.steps(1)).every):equals "step"
  end)
  it("nest, and say so", function()
    local rule = when.any(when.all(when.above("val/acc", .9), when.epochs(2)), when.steps(7))
    expect(tostring(rule)):equals "any(all(val/acc >= 0.9, 2 epochs), 7 steps)"
  end)
end)

describe("a rule refuses", function()
  local cases = {
    { "a count of 0", function() when.steps(0) end, "when.steps: expected a number above 0; got 0" },
    { "more than the budget", function() when.progress(1.5) end,
      "when.progress: expected a share of the budget up to 1; got 1.5" },
    { "text", function() when.epochs("3") end, "when.epochs: expected a number above 0; got '3'" },
    { "a number for a metric", function() when.above(.8) end,
      "when.above: expected a metric's name such as 'val/acc'; got 0.8" },
    { "a metric without a threshold", function() when.below("val/loss") end, "when.below: expected a number; got nil" },
    { "no patience", function() when.patience("val/loss", 0) end, "when.patience: expected a number above 0; got 0" },
    { "half a patience", function() when.patience("val/loss", 1.5) end, "when.patience: expected a whole number of evaluations; got 1.5" },
    { "a patience of 0", function() when.plateau("val/loss", 0) end, "when.plateau: expected a number above 0; got 0" },
    { "half an evaluation", function() when.plateau("val/loss", 1.5) end, "when.plateau: expected a whole number" },
    { "a min_delta with a sign", function() when.plateau("val/loss", 2, -.01) end,
      "when.plateau: min_delta: expected a number of at least 0, whichever way is better; got %-0.01" },
    { "a min_delta of NaN", function() when.plateau("val/loss", 2, 0 / 0) end, "min_delta: expected a number of at least 0" },
    { "text as min_delta", function() when.plateau("val/loss", 2, "x") end,
      "when.plateau: min_delta: expected a number" },
    { "forgetting without a bound", function() when.forgetting() end,
      "when.forgetting: expected a number above 0; got nil" },
    { "a finding that there is none of", function() when.found "difficulty_jum" end,
      "when.found: no finding 'difficulty_jum'; did you mean 'difficulty_jump'?" },
    { "no finding", function() when.found() end, "when.found: no finding 'nil'; expected one of diverging" },
    { "a verdict that there is none of", function() when.found("diverging", "bak") end, "no verdict 'bak'; did you mean 'back'?" },
    { "a finding so often as text", function() when.found("diverging", "stop", "x") end, "when.found: expected a number above 0; got 'x'" },
    { "any of nothing", function() when.any() end, "when.any: expected rules" },
    { "a number among rules", function() when.any(when.steps(3), 5) end, "when.any: rule 2: expected a rule" },
    { "a metric's name among rules", function() when.all("val/acc") end, "when.all: rule 1: expected a rule" },
    { "to stop by a number", function() when.stop(3) end, "when.stop: expected a rule" },
    { "a misspelt rule", function() when.plateu("val/loss", 3) end, "has no 'plateu'; did you mean 'plateau'?" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)

describe("found:", function()
  -- Evaluations at steps 10, 20, … of two stages, the second from step 30; found: { step, stage, name } each.
  local function at(step, stage, found)
    local s = support.state()
    for _, one in ipairs(found) do table.insert(s.findings, { step = one[1], stage = one[2], name = one[3] }) end
    s:begin_stage("a", 1)
    if stage ~= "a" then
      support.count(s, { step = 30 })
      s:begin_stage(stage, 2)
    end
    support.count(s, { step = step })
    return s
  end
  it("says its verdict once the stage's visit has the finding", function()
    local rule = when.found("difficulty_jump", "back")
    expect(rule(at(40, "b", {}))):is_false()
    expect(rule(at(60, "b", { { 50, "b", "difficulty_jump" } }))):equals "back"
    expect(rule(at(60, "b", { { 50, "b", "stagnant" } }))):is_false()
    expect(rule(at(60, "b", { { 20, "b", "difficulty_jump" } }))):is_false()  -- of an earlier visit
    expect(rule(at(20, "a", { { 10, "b", "difficulty_jump" } }))):is_false()
    expect(when.found("stagnant")(at(20, "a", { { 10, "a", "stagnant" } }))):equals "next"
  end)
  it("says it no more than so often", function()
    local found = { { 5, "b", "diverging" }, { 15, "b", "diverging" }, { 50, "b", "diverging" } }
    expect(when.found("diverging", "stop")(at(60, "b", found))):equals "stop"
    expect(when.found("diverging", "stop", 2)(at(60, "b", found))):is_false()
  end)
  it("knows all that health finds", function()
    for name in pairs(require("gradus.training.health").advice) do expect(when.is(when.found(name))):is_true() end
  end)
  it("goes back in a training whose next stage is far harder, three times at most", function()
    local _, seen = support.with_run({}, function(run)
      local d = support.points()
      local x, y = d:gather()
      local hard = g.data.tensors(g.cat { x, x }, g.cat { y, (y + 1):remainder(3) }, { classes = 3 })
      local easy = hard:subset(g.arange(240))
      run:distill { student = support.student(), data = { train = hard, val = d }, batch = 24, budget = { steps = 600 }, lr = .05,
        evaluate = { steps = 10 }, augment = 0, curriculum = {
          { "easy", sample = easy, advance = when.steps(100) },
          { "hard", sample = hard:subset(g.arange(240) + 240), advance = when.found("difficulty_jump", "back") } } }
    end)
    local backs = 0
    for _, one in ipairs(seen.decisions) do
      if one.name == "back" then backs = backs + 1 end
    end
    expect(backs > 0 and backs <= 3):is_true()
  end)
end)

describe("what those who plan ahead are told of", function()
  local function told(rule)
    return { tostring(rule), rule.every, rule.unit or "-", rule.limit or "-", rule.metrics, rule.waits }
  end
  local function f() return false end
  local cases = {
    { "steps", when.steps(7), { "7 steps", "step", "steps", 7, {}, false } },
    { "epochs", when.epochs(.5), { "0.5 epochs", "step", "epochs", .5, {}, false } },
    { "progress", when.progress(1), { "1 progress", "step", "progress", 1, {}, false } },
    { "above", when.above("val/acc", .8), { "val/acc >= 0.8", "evaluation", "-", "-", { "val/acc" }, true } },
    { "below", when.below("val/loss", 2), { "val/loss <= 2", "evaluation", "-", "-", { "val/loss" }, true } },
    { "agreement", when.agreement(.9), { "val/agreement >= 0.9", "evaluation", "-", "-", { "val/agreement" }, true } },
    { "plateau", when.plateau("val/loss", 3), { "val/loss flat for 3 evaluations", "evaluation", "evaluations", 3, { "val/loss" }, true } },
    { "patience", when.patience("val/loss", 2),
      { "stop when val/loss has not improved for 2 evaluations", "evaluation", "evaluations", 2, { "val/loss" }, true } },
    { "saturated", when.saturated "val/acc", { "val/acc saturated", "evaluation", "-", "-", { "val/acc" }, true } },
    { "saturated with an end", when.saturated("val/acc", { most = 5 }), { "val/acc saturated", "evaluation", "-", "-", { "val/acc" },
      false } },
    { "forgetting", when.forgetting(.1), { "forgetting above 0.1", "evaluation", "-", "-", { { "easy/acc", "val/acc" } }, true } },
    { "forgetting of a metric", when.forgetting(.1, "val/f1"), { "forgetting above 0.1", "evaluation", "-", "-", { "val/f1" }, true } },
    { "found", when.found "stagnant", { "stagnant found", "evaluation", "-", "-", {}, false } },
    { "benchmarked", when.benchmarked { steps = 3 }, { "benchmarked", "evaluation", "-", "-", { "hard/acc" }, true } },
    { "benchmarked on schedule", when.benchmarked { decide = false, hard = "old" },
      { "benchmarked, on schedule", "evaluation", "-", "-", { "old/acc" }, true } },
    { "any", when.any(when.above("a", 1), when.steps(2)), { "any(a >= 1, 2 steps)", "step", "-", "-", { "a" }, false } },
    { "any of metrics", when.any(when.above("a", 1), when.below("b", 2)),
      { "any(a >= 1, b <= 2)", "evaluation", "-", "-", { "a", "b" }, true } },
    { "all", when.all(when.above("a", 1), when.steps(2)), { "all(a >= 1, 2 steps)", "step", "-", "-", { "a" }, true } },
    { "all of counts", when.all(when.steps(1), when.steps(2)), { "all(1 steps, 2 steps)", "step", "-", "-", {}, false } },
    { "stop", when.stop(when.steps(4)), { "stop when 4 steps", "step", "steps", 4, {}, false } },
    { "stop by a metric", when.stop(when.above("a", 1)), { "stop when a >= 1", "evaluation", "-", "-", { "a" }, true } },
  }
  for _, case in ipairs(cases) do
    it(case[1], function() expect(told(case[2])):equals(case[3]) end)
  end
  it("a function says nothing", function()
    local any, stop = when.any(f, when.above("a", 1)), when.stop(f)
    expect({ any.every, any.metrics, any.waits }):equals { "evaluation", { "a" }, false }
    expect({ stop.every, stop.unit, stop.limit, stop.metrics, stop.waits }):equals { "evaluation", nil, nil, {}, false }
    expect({ when.is(any), when.is(f), when.is {} }):equals { true, false, false }
  end)
end)

describe("at its limit", function()
  it("a count is reached, short of it not", function()
    local s = support.state()
    s:begin_stage("a", 1)
    support.count(s, { step = 19 })
    local verdict, numbers = when.steps(20)(s)
    expect({ verdict, numbers.steps, numbers.limit }):equals { false, 19, 20 }
    expect(when.steps(19)(s)):equals "next"
    expect(tostring(when.progress(1))):equals "1 progress"
  end)
  it("an improvement of exactly min_delta is none, and NaN is none", function()
    expect(verdicts(when.plateau("val/loss", 1, 1), "val/loss", { 3, 2, 1.5 })):equals { "-", "next", "-" }
    expect(verdicts(when.plateau("val/loss", 2), "val/loss", { 3, 0 / 0, 0 / 0, 2 })):equals { "-", "-", "next", "-" }
    expect(verdicts(when.plateau("val/loss", 2), "val/loss", { 0 / 0, 0 / 0, 0 / 0 })):equals { "-", "-", "next" }
    expect(verdicts(when.plateau("val/loss", 2), "val/loss", { 0 / 0, 3, 4 })):equals { "-", "-", "-" }
    local _, numbers = when.plateau("val/loss", 1)(after { ["val/loss"] = { 0 / 0, 0 / 0 } })
    expect({ numbers.best, numbers.evaluations }):equals { nil, 1 }
  end)
  it("a plateau of one evaluation is the second's", function()
    expect(verdicts(when.plateau("val/loss", 1), "val/loss", { 1, 1, .5 })):equals { "-", "next", "-" }
  end)
  it("a patience of one is the evaluation after the best", function()
    local s = after { ["val/loss"] = { 2, 1, 3 } }
    local verdict, numbers = when.patience("val/loss", 1)(s)
    expect({ verdict, numbers }):equals { "stop", { ["val/loss"] = 3, best = 1, evaluations = 1 } }
    expect(when.patience("val/loss", 2)(s)):is_false()
  end)
  it("a fall of exactly the bound is not forgotten, NaN is", function()
    expect(verdicts(when.forgetting(.5, "easy/acc"), "easy/acc", { 1, .5, .25 })):equals { "-", "-", "back" }
    local verdict, numbers = when.forgetting(.5, "easy/acc")(after { ["easy/acc"] = { 1, 0 / 0 } })
    expect({ verdict, numbers }):equals { "back", { metric = "easy/acc", bound = .5 } }
    expect(when.forgetting(.5, "easy/acc")(after { ["easy/acc"] = { 0 / 0, 0 / 0 } })):is_false()
  end)
  it("a finding of the evaluation where the visit began is the earlier visit's", function()
    local function state(step)
      local s = support.state()
      s:begin_stage("a", 1)
      support.count(s, { step = 30 })
      s:begin_stage("b", 2)
      table.insert(s.findings, { step = step, stage = "b", name = "diverging" })
      support.count(s, { step = 60 })
      return s
    end
    expect(when.found("diverging", "stay")(state(30))):is_false()
    local verdict, numbers = when.found("diverging", "stay")(state(31))
    expect({ verdict, numbers }):equals { "stay", { found = 31, times = 1 } }
    expect(when.found("diverging", "next", 1)(state(31))):equals "next"
    local _, none = when.found "diverging"(support.state())
    expect(none):equals { times = 0 }
  end)
  it("a finding is heard three times unless it is told", function()
    local function state(times)
      local s = support.state()
      s:begin_stage("a", 1)
      for i = 1, times do table.insert(s.findings, { step = i, stage = "a", name = "stagnant" }) end
      support.count(s, { step = times })
      return s
    end
    expect((when.found "stagnant"(state(3)))):equals "next"
    expect((when.found "stagnant"(state(4)))):equals(false)
  end)
end)

describe("saturated, in numbers:", function()
  local function state(values, steps)
    local s = after { ["val/acc"] = values }
    s.counts.stage_steps = steps or 100
    return s
  end
  it("gains less than .01 after more than .01, over means of five, unless it is told", function()
    -- means of the last five: of the first six .5 … .55: .52, .53
    local _, numbers = when.saturated "val/acc"(state { .5, .51, .52, .53, .54, .55 })
    expect(numbers["val/acc"]):equals(.55)
    expect({ numbers.gain, numbers.progress, numbers.steps }):near { .01, .03, 100 }
    local flat = { .5, .6, .6, .6, .6, .6, .6 }
    expect(when.saturated "val/acc"(state(flat))):equals "next"
    expect(when.saturated("val/acc", { progress = .11 })(state(flat))):is_false()
    expect(when.saturated("val/acc", { progress = .09 })(state(flat))):equals "next"
    expect(when.saturated "val/acc"(state { .5, .505, .505, .505, .505, .505, .505 })):is_false()
  end)
  it("at its limits says nothing", function()
    local one = when.saturated("val/acc", { gain = .25, progress = .5, smooth = 1 })
    expect(one(state { 0, .5, .5 })):is_false()          -- no more than the progress
    expect(one(state { 0, .75, 1 })):is_false()          -- as much as the gain
    expect(one(state { 0, .75, .875 })):equals "next"
    expect(one(state { .75 })):is_false()
    expect(when.saturated("val/acc", { gain = 1, progress = 0, smooth = 1 })(state { .5, .75 })):equals "next"
  end)
  it("goes on after the most steps, whatever it has seen", function()
    local one = when.saturated("val/acc", { most = 100 })
    local verdict, numbers = one(state({ .5 }, 100))
    expect({ verdict, numbers }):equals { "next", { ["val/acc"] = .5, steps = 100 } }
    expect(one(state({ .5 }, 99))):is_false()
    expect(one(state({ .1, .2, 0 / 0 }, 100))):equals "next"
  end)
  local cases = {
    { "a gain below 0", { gain = -.1 }, "when.saturated: 'gain': expected a number of at least 0; got -0.1" },
    { "a progress below 0", { progress = -.1 }, "when.saturated: 'progress': expected a number of at least 0; got -0.1" },
    { "a mean of nothing", { smooth = 0 }, "when.saturated: 'smooth': expected a whole number of at least 1; got 0" },
    { "no step", { most = 0 }, "when.saturated: 'most': expected a number > 0; got 0" },
  }
  for _, case in ipairs(cases) do
    it("refuses " .. case[1], function() expect(function() when.saturated("val/acc", case[2]) end):fails_with(case[3]) end)
  end
  it("takes a gain, a progress of 0 and a mean of one", function()
    expect(when.is(when.saturated("val/acc", { gain = 0, progress = 0, smooth = 1, most = .5 }))):is_true()
    expect(function() when.saturated(5) end):fails_with "when.saturated: expected a metric's name"
  end)
end)

describe("combined verdicts", function()
  local s = after { ["val/acc"] = { .5 } }
  it("keep each rule's numbers, though no rule says so", function()
    local verdict, numbers = when.all(when.above("val/acc", .4), when.steps(1e6))(s)
    expect({ verdict, numbers["val/acc"], numbers.threshold, numbers.limit }):equals { false, .5, .4, 1e6 }
  end)
  it("are asked of rules over counts between evaluations, which then have to agree with nobody absent", function()
    local now = after { ["val/acc"] = { .5 } }
    now.evaluating = false
    support.count(now, { step = 50 })
    expect((when.all(when.steps(5), when.above("val/acc", .4))(now))):is_false()
    now.evaluating = true
    expect((when.all(when.steps(5), when.above("val/acc", .4))(now))):equals "next"
  end)
  it("of a rule that is stopped by keep its numbers", function()
    local verdict, numbers = when.stop(when.above("val/acc", .9))(s)
    expect({ verdict, numbers }):equals { false, { ["val/acc"] = .5, threshold = .9 } }
  end)
end)

describe("saturated, of which nothing is told,", function()
  -- each a plateau of means over five evaluations, so far above the first value
  local function risen(by)
    return when.saturated "val/acc"(after { ["val/acc"] = { .5, .5 + by, .5 + by, .5 + by, .5 + by, .5 + by, .5 + by } })
  end
  it("has progressed by more than .01", function()
    expect({ (risen(.009)), (risen(.0101)), (risen(.015)) }):equals { false, "next", "next" }
  end)
  it("gains less than .01", function()
    local function gaining(by) return (when.saturated("val/acc", { smooth = 1 })(after { ["val/acc"] = { .5, .7, .7 + by } })) end
    expect({ gaining(.0099), gaining(.0101), gaining(.015) }):equals { "next", false, false }
  end)
end)
