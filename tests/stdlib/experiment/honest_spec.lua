-- The judgements of a dry run, each edge of them, over plans of a few numbers.
local g = require "gradus"
local honest = require "gradus.experiment.honest"
local plan = require "gradus.experiment.plan"
local schedule = require "gradus.curriculum.schedule"
local when = require "gradus.curriculum.when"

-- A plan of stages { name, knobs…, advance =, target =, kind =, pressure = }: 100 steps of 10 rows of 50, evaluated each ten steps.
local function planned(stages, more)
  local run = { stages = {}, total_steps = 100, budget = { steps = 100 }, batch = 10, epoch_size = 50, eval_steps = 10,
    suites = {}, val = {}, state = { teacher = "T" }, knobs = { lr = .5, temperature = 4, alpha = .5, augment = 0 },
    asks = { temperature = true, alpha = true }, train = {}, given = {}, o = {}, restore_best = true, monitor = "val/loss" }
  for key, value in pairs(more or {}) do run[key] = value end
  local seen = {}
  for i, stage in ipairs(stages) do
    local knobs = { lr = stage.lr, temperature = stage.temperature, alpha = stage.alpha, augment = stage.augment }
    run.stages[i] = { name = stage[1], knobs = knobs, advance = stage.advance, pressure = stage.pressure, target = stage.target,
      sample = stage.sample }
    seen[i] = { flops = 1, source = stage.sample, target = { kind = stage.kind or "logits", text = "what it says", doubt = stage.doubt,
      detail = stage.detail } }
  end
  return plan.new(run, seen)
end

-- All that is said: "refuse: …", "outside: …" and "advise: …".
local function said(stages, more)
  local the, list = planned(stages, more), {}
  local report = {}
  for _, kind in ipairs { "refuse", "outside", "advise" } do
    report[kind] = function(text, ...) list[#list + 1] = kind .. ": " .. text:format(...) end
  end
  function report.stops(_, ...) report.refuse(...) end
  for i, stage in ipairs(the.run.stages) do
    honest.stage(report, the, i)
    honest.reach(report, stage, the.seen[i].target)
  end
  honest.whole(report, the)
  return list
end

local function with(knobs)
  local all = { lr = .5, temperature = 4, alpha = .5, augment = 0 }
  for key, value in pairs(knobs) do all[key] = value end
  return { knobs = all }
end

local USUAL_T = "; below 2 the teacher is as good as hard labels, above 20 its signal is too diffuse: 4 to 8 is usual"
local USUAL_ALPHA = "; outside of 0.2 to 0.95 one side has nearly no say: 0.5 to 0.8 is usual"
local WAY = "; the guides go the other way: temperature high early and low late, alpha towards the labels"
local BACK = "; expected it to fall after its warm-up, or a function of the state"

describe("a plan's samples", function()
  local sampler = g.sampler
  local d = g.data.tensors(g.randn(20, 3), g.zeros({ 20 }, { dtype = "int64" }), { classes = 2 })
  local ranked = d:rank(g.arange(20):double())
  local function easiest(...) return { "a", sample = sampler.easiest(ranked, ...) } end
  local function mixed(...) return { "a", sample = sampler.mixture { { d:first(5), 1 }, { d:last(5), schedule.linear(...) } } } end
  local function after(stage, share) return { stage, { "b", sample = sampler.easiest(ranked, share) } } end
  local half = { "a", sample = sampler.easiest(ranked, .5), advance = when.steps(50) }
  local BEGINS = "; expected it to grow (ranked:reversed() begins with the hardest)"
  local cases = {
    { "all at last", { easiest(schedule.linear(.2, 1)) }, {} },
    { "less and less", { easiest(schedule.linear(1, .5)) },
      { "refuse: stage 'a': sample: the share of the ranking runs backwards, from 1 to 0.5" .. BEGINS } },
    { "nothing at first", { easiest(schedule.linear(0, 1)) }, { "refuse: stage 'a': sample: the share falls to 0; expected above 0" } },
    { "never all", { easiest(.75) }, { "advise: stage 'a': sample: the hardest 25 % are never shown" } },
    { "more in the next stage", after(half, 1), {} },
    { "less in the last stage", after(half, .25), { "advise: stage 'b': sample: the hardest 75 % are never shown",
      "refuse: stage 'b': sample: the share of the ranking runs backwards, from 0.5 in stage 'a' to 0.25" .. BEGINS } },
    { "all, in any order", { { "a", sample = ranked } },
      { "refuse: the ranking has no effect: every stage draws all rows in random order; expected sampler.easiest, "
        .. "or ranked:first(share)" } },
    { "what nobody ranked", { { "a", sample = sampler.easiest(d, schedule.linear(.2, 1)) } },
      { "refuse: stage 'a': sample: nothing has ranked these 20 rows, the easiest are those that come first; expected d:rank(score), "
        .. "or d:shuffled() as the random control" } },
    { "a random part", { { "a", sample = sampler.easiest(d:shuffled(), schedule.linear(.2, 1)) } }, {} },
    { "parts of a mixture", { mixed(1, 0) }, {} },
    { "a part below nothing", { mixed(-.5, 1) },
      { "refuse: stage 'a': sample: part 2: expected a share of at least 0, and one above 0 among all; got -1 of the whole at 0 % "
        .. "of the stage" } },
  }
  for _, case in ipairs(cases) do
    it("are told: " .. case[1], function() expect(said(case[2], { train = d })):equals(case[3]) end)
  end
end)

describe("a plan's knobs", function()
  it("are fine as they are by default, and at the ends of what is usual", function()
    expect(said { { "a" } }):equals {}
    for _, knobs in ipairs { { temperature = 2 }, { temperature = 20 }, { alpha = .2 }, { alpha = .95 } } do
      expect(said({ { "a" } }, with(knobs))):equals {}
    end
  end)
  for _, case in ipairs {
    { { temperature = 1.9 }, "outside: stage 'a': temperature is 1.9" .. USUAL_T },
    { { temperature = 21 }, "outside: stage 'a': temperature is 21" .. USUAL_T },
    { { alpha = .19 }, "outside: stage 'a': alpha is 0.19" .. USUAL_ALPHA },
    { { alpha = .96 }, "outside: stage 'a': alpha is 0.96" .. USUAL_ALPHA },
    { { temperature = schedule.linear(4, 6) }, "advise: stage 'a': temperature goes from 4 to 6" .. WAY },
    { { alpha = schedule.linear(.7, .5) }, "advise: stage 'a': alpha goes from 0.7 to 0.5" .. WAY },
    { { temperature = schedule.by_confidence(30, 4) }, "outside: stage 'a': temperature is 4 to 30" .. USUAL_T },
    { { temperature = schedule.by_confidence(4, 0) }, "refuse: stage 'a': temperature: expected a number above 0; got 0 at one end" },
    { { temperature = schedule.pieces { { 0, 4 }, { .5, 0 } } },
      "refuse: stage 'a': temperature: expected a number above 0; got 0 at 50.2 % of the budget" },
    { { lr = 0 }, "refuse: stage 'a': lr is 0 throughout: nothing is learnt; expected above 0" },
  } do
    it("get: " .. case[2]:sub(1, 50), function() expect(said({ { "a" } }, with(case[1]))):equals { case[2] } end)
  end
  it("that the run would stop at say where: at which share of the budget", function()
    local function stops(temperature)
      local the, found = planned({ { "a" } }, with { temperature = temperature }), {}
      local function ignored() return function() end end
      local report = setmetatable({ stops = function(share) found[#found + 1] = share end }, { __index = ignored })
      honest.stage(report, the, 1)
      return found
    end
    expect(stops(schedule.by_confidence(4, 0))):equals { 1 }
    expect(stops(schedule.pieces { { 0, 4 }, { .5, 0 } })):near({ .5 }, .01)
    expect(stops(schedule.pieces { { 0, 0 }, { .5, 4 } })):equals { 0 }
    expect(stops(4)):equals {}
  end)
  it("may fall, and alpha rise", function()
    local knobs = with { temperature = schedule.linear(6, 4), alpha = schedule.linear(.5, .7), lr = schedule.linear(.5, .1) }
    expect(said({ { "a" } }, knobs)):equals {}
  end)
  it("have an effect within the budget", function()
    local late = { from = { steps = 150 }, to = { steps = 200 } }
    local text = said({ { "a" } }, with { temperature = schedule.linear(6, 4, late) })
    expect(#text):equals(1)
    expect(text[1]):matches "^refuse: stage 'a': temperature: .* has no effect: it is 6 throughout; expected a span within the budget$"
  end)
  it("are not judged where a stage never begins", function()
    expect(said { { "a", advance = when.steps(100) }, { "b", temperature = 1 } })
      :equals { "refuse: stage 'b' never begins: the stages before it take the whole budget" }
  end)
  it("go one way from stage to stage, where both ends are known", function()
    local function turn(first, second, rule)
      return said { { "a", temperature = first, advance = rule or when.steps(50) }, { "b", temperature = second } }
    end
    expect(turn(4, 6)):equals { "advise: stage 'b' after 'a': temperature goes from 4 to 6" .. WAY }
    expect(turn(6, 4)):equals {}
    expect(turn(4, 4)):equals {}
    expect(turn(3, schedule.linear(10, 2))):equals { "advise: stage 'b' after 'a': temperature goes from 3 to 6" .. WAY }
    expect(turn(4, 6, when.above("val/acc", .5))):equals { "advise: stage 'b' after 'a': temperature goes from 4 to 6" .. WAY }
    expect(turn(schedule.linear(8, 4), 7, when.above("val/acc", .5))):equals {}
    expect(turn(schedule.linear(8, 4), 7)):equals { "advise: stage 'b' after 'a': temperature goes from 6 to 7" .. WAY }
    expect(said { { "a", alpha = .7, advance = when.steps(50) }, { "b", alpha = .5 } })
      :equals { "advise: stage 'b' after 'a': alpha goes from 0.7 to 0.5" .. WAY }
    expect(said { { "a", temperature = 4, advance = when.steps(40) }, { "x", kind = "layer", advance = when.steps(20) },
      { "b", temperature = 6 } })
      :equals { "advise: stage 'b' after 'a': temperature goes from 4 to 6" .. WAY }
  end)
end)

describe("a plan's rate", function()
  it("falls after its warm-up", function()
    local function rising(from, to, more) return said({ { "a" } }, with { lr = schedule.linear(from, to, more) }) end
    expect(rising(.1, .5)):equals {
      "refuse: stage 'a': lr runs backwards: it rises to the end, from 0.399497 at three quarters of the stage to 0.5" .. BACK }
    expect(rising(.1, .5, { to = .7 })):equals {}
    expect(said({ { "a" } }, with { lr = function(s) return .1 + s.progress end })[1]):matches "^advise: stage 'a': lr runs backwards"
    expect(said({ { "a" } }, with { lr = schedule.pieces { { 0, 1 }, { .5, .1 }, { .9, .5 } } })):equals {}
  end)
  it("leaves its warm-up within the budget", function()
    local never = "refuse: lr never leaves its warm-up: it still rises when the budget ends; expected a shorter warmup or a longer budget"
    local function warm(steps, stages)
      return said(stages or { { "a" } }, with { lr = schedule.warmup(schedule.constant(.5), { steps = steps }) })
    end
    expect(warm(150)):equals { never }
    expect(warm(90)):equals {}
    expect(warm(150, { { "a", lr = .25 } })):equals {}  -- it has one of its own
  end)
  it("of a stage alone is named", function()
    expect(said { { "a", lr = .1, advance = when.steps(50) }, { "b" } })
      :equals { "advise: stage 'a' has a learning rate of its own; a gain may be the rate's: tune the baseline's as well "
        .. "(arXiv 2308.12202)" }
    expect(said { { "a", lr = .1 } }):equals {}
  end)
end)

describe("a plan's rules", function()
  local function until_(rule) return said { { "a", advance = rule }, { "b" } } end
  local more = "; expected evaluate = { steps = … } more often, or less patience"
  it("can come true", function()
    expect(until_(when.plateau("val/loss", 9))):equals {}
    expect(until_(when.plateau("val/loss", 10))[1])
      :matches("^refuse: stage 'a': advance: '.*' can never come true: the budget has 10 evaluations" .. more)
    expect(until_(when.above("val/acc", 1))):equals {}
    expect(until_(when.above("val/acc", 1.1))[1])
      :matches "^refuse: stage 'a': advance: '.*' can never come true: an accuracy is at most 1; expected val/acc >= 0.9, say; got 1.1$"
    expect(until_(when.above("val/loss", 2))):equals {}
    expect(said({ { "a" } }, { early = when.patience("val/loss", 9) })):equals {}
    expect(said({ { "a" } }, { early = when.patience("val/loss", 10) })[1]):matches "^refuse: patience: "
  end)
  it("have something to look at", function()
    local nothing = { "refuse: evaluate has no effect: nothing is evaluated; expected validation data or suites" }
    local asked = { given = { evaluate = { steps = 5 } } }
    local function blind(stage, suites) return said({ stage, { "b" } }, { given = asked.given, val = false, suites = suites or {} }) end
    expect(blind { "a", advance = when.steps(5) }):equals(nothing)
    expect(blind({ "a", advance = when.steps(5) }, { x = {} })):equals {}
    expect(blind { "a", advance = function() end }):equals {}
    expect(said({ { "a" } }, asked)):equals {}
    local best = "refuse: restore_best has no effect: no metric says which is best; expected validation data, or suites and monitor"
    expect(said({ { "a" } }, { given = { restore_best = true }, monitor = false })):equals { best }
    expect(said({ { "a" } }, { given = { restore_best = true } })):equals {}
    expect(said({ { "a" } }, { given = { restore_best = false }, monitor = false })):equals {}
    local monitor = "advise: monitor decides nothing here: restore_best is false and there is no patience"
    expect(said({ { "a" } }, { given = { monitor = "x" }, restore_best = false })):equals { monitor }
    expect(said({ { "a" } }, { given = { monitor = "x" } })):equals {}
    expect(said({ { "a" } }, { given = { monitor = "x" }, restore_best = false, early = when.patience("val/loss", 3) })):equals {}
  end)
end)

describe("a plan's settings without effect", function()
  it("are a stage's, by its target", function()
    local function of(stage) return said({ stage, { "b" } }) end
    local steps = when.steps(50)
    local why = " has no effect: the target is what it says; expected a teacher's logits"
    expect(of { "a", kind = "labels", target = "labels", temperature = 4, advance = steps })
      :equals { "refuse: stage 'a': temperature" .. why }
    expect(of { "a", kind = "labels", temperature = 4, advance = steps }):equals { "advise: stage 'a': temperature" .. why }
    expect(of { "a", kind = "labels", alpha = .5, advance = steps }):equals { "advise: stage 'a': alpha" .. why }
    expect(of { "a", kind = "labels", alpha = 1, advance = steps }):equals {}
    expect(of { "a", kind = "labels", temperature = 1, advance = steps }):equals { "advise: stage 'a': temperature" .. why }
    expect(of { "a", kind = "layer", doubt = "it dies", advance = steps }):equals { "refuse: stage 'a': target: it dies" }
    local cut = { cut = true, out_of_reach = .25, to = "layers.1" }
    expect(of { "a", kind = "layer", detail = cut, advance = steps }):equals {
      "advise: stage 'a': 'layers.1' of the student is never negative and 25 % of the target is, so the target is cut at 0; the "
        .. "layer before the activation can learn all of it" }
    cut.out_of_reach = 0
    expect(of { "a", kind = "layer", detail = cut, advance = steps }):equals {}
  end)
  it("are distill's, where every stage has its own or none learns from logits", function()
    local all = ", as given to distill, has no effect: "
    local function given(name, stage, more)
      more = more or {}
      more.given = { [name] = 4 }
      return said({ stage }, more)
    end
    expect(given("temperature", { "a", temperature = 4 })):equals { "advise: temperature" .. all .. "every stage has its own" }
    expect(given("temperature", { "a" })):equals {}
    expect(given("lr", { "a", lr = .5 })):equals { "advise: lr" .. all .. "every stage has its own" }
    expect(given("augment", { "a", augment = .5 })):equals { "advise: augment" .. all .. "every stage has its own" }
    expect(given("temperature", { "a", kind = "labels", target = "labels" }))
      :equals { "advise: temperature" .. all .. "no stage learns from logits" }
    expect(given("temperature", { "a", kind = "labels", target = "labels" }, { state = {} })):equals {}
    expect(said({ { "a", temperature = 4, advance = when.steps(50) }, { "b" } }, { given = { temperature = 5 } })):equals {}
  end)
  it("are those of the loss", function()
    local smooth = "refuse: label_smoothing has no effect: alpha is 0 in every stage; expected alpha above 0"
    local function loss(stage, o, more)
      more = more or {}
      more.o = o
      local list = {}
      for _, text in ipairs(said({ stage }, more)) do
        if text:find "^refuse" then list[#list + 1] = text end
      end
      return list
    end
    expect(loss({ "a", alpha = 0 }, { label_smoothing = .1 })):equals { smooth }
    expect(loss({ "a", alpha = 0 }, { label_smoothing = 0 })):equals {}
    expect(loss({ "a", alpha = .5 }, { label_smoothing = .1 })):equals {}
    expect(loss({ "a", kind = "layer" }, { label_smoothing = .1 })):equals { smooth }
    expect(loss({ "a", kind = "labels", target = "labels" }, { label_smoothing = .1 })):equals {}
    expect(loss({ "a", alpha = 1 }, {}))
      :equals { "refuse: the teacher has no effect: alpha is 1 in every stage; expected alpha below 1, or no teacher" }
    expect(loss({ "a", alpha = 1, target = {} }, {})):equals {}
    expect(loss({ "a", alpha = 1 }, {}, { partial = true })):equals {}  -- rows without a label are the teacher's
    expect(loss({ "a", alpha = 1 }, {}, { state = {} })):equals {}
    for _, name in ipairs { "alpha", "temperature", "teacher_temperature", "t2" } do
      local none = { state = {} }
      expect(loss({ "a" }, { [name] = .5 }, none)):equals { ("refuse: %s has no effect without a teacher"):format(name) }
      expect(loss({ "a", target = {} }, { [name] = .5 }, none)):equals {}
      expect(loss({ "a" }, { [name] = .5 })):equals {}
    end
    expect(loss({ "a" }, { alpha = 1 }, { state = {} })):equals {}
    expect(#loss({ "a" }, { temperature = 1 }, { state = {} })):equals(1)
  end)
end)

describe("a highest learning rate", function()
  it("is usual from a factor below the range to a factor above it; 0, or an unknown optimizer, is another matter", function()
    local outside = require "gradus.experiment.honest_knobs".rate_outside
    local rates = { low = .25, high = .5, factor = 4, whose = "those of sgd", parameters = 12 }
    local function words(highest) return ("is %s at its highest; 0.25 to 0.5 (those of sgd) suit 12 parameters"):format(highest) end
    for highest, text in pairs { [0] = false, [.0624] = words "0.0624", [.0625] = false, [.3] = false, [2] = false,
      [2.5] = words "2.5", [.001] = words "0.001" } do
      expect({ highest, outside(rates, highest) }):equals { highest, text or nil }
    end
    expect(outside(nil, 9)):equals(nil)
    rates.high = .25
    expect(outside(rates, 2)):equals "is 2 at its highest; 0.25 (those of sgd) suit 12 parameters"
  end)
end)
