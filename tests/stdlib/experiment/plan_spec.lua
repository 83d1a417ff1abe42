-- What is known of a training before it: spans and knobs of stages, exactly, over a run that is a plain table.
local g = require "gradus"
local plan = require "gradus.experiment.plan"
local schedule = require "gradus.curriculum.schedule"
local when = require "gradus.curriculum.when"

-- Stages { name, knobs…, advance =, pressure = }; 100 steps of 10 rows, of 50.
local function planned(stages, more, flops)
  local run = { stages = {}, total_steps = 100, budget = { steps = 100 }, batch = 10, epoch_size = 50,
    state = { teacher = "T", measured = 5 }, knobs = { lr = .5, temperature = 4, alpha = .25, augment = 0 },
    asks = { temperature = true, alpha = true }, train = {} }
  for key, value in pairs(more or {}) do run[key] = value end
  if run.total_steps == 0 then run.total_steps = nil end
  local seen = {}
  for i, stage in ipairs(stages) do
    local knobs = { lr = stage.lr, temperature = stage.temperature, alpha = stage.alpha, augment = stage.augment }
    run.stages[i] = { name = stage[1], knobs = knobs, advance = stage.advance, pressure = stage.pressure, sample = stage.sample }
    seen[i] = { flops = flops or 20, target = { kind = stage.kind or "logits" } }
  end
  return plan.new(run, seen)
end

describe("the spans of stages", function()
  local function spans(stages, more, flops)
    local the, list = planned(stages, more, flops), {}
    for i, one in ipairs(the.spans) do list[i] = { one.from, one.to, one.known, one.per_step or false, one.step or false } end
    return list, the
  end
  for name, case in pairs {
    steps = { when.steps(25), .25 }, samples = { when.samples(100), .1 }, epochs = { when.epochs(2), .1 },
  } do
    it("are known by " .. name, function()
      expect((spans { { "a", advance = case[1] }, { "b" } }))
        :equals { { 0, case[2], true, .01, 0 }, { case[2], 1, true, .01, 100 * case[2] } }
    end)
  end
  it("follow each other, also by shares of the budget", function()
    expect((spans { { "a", advance = when.steps(25) }, { "b", advance = when.steps(25) }, { "c" } })):equals
      { { 0, .25, true, .01, 0 }, { .25, .5, true, .01, 25 }, { .5, 1, true, .01, 50 } }
    local progress = when.progress(.25)
    expect((spans { { "a", advance = progress }, { "b", advance = progress }, { "c" } })):equals
      { { 0, .25, true, .01, 0 }, { .25, .25, true, .01, 25 }, { .25, 1, true, .01, 25 } }
  end)
  it("are those of the dearest of steps and floating-point operations", function()
    local list, the = spans({ { "a", advance = when.steps(25) }, { "b" } }, { budget = { flops = 1000 }, total_steps = 0 })
    expect(list):equals { { 0, .5, true, .02, 0 }, { .5, 1, true, .02, 25 } }
    expect({ the.total, the.last }):equals { 50, .98 }
    expect((spans({ { "a", advance = when.steps(25) }, { "b" } }, { budget = { flops = 1000, steps = 100 } }))[1])
      :equals { 0, .25, true, .02, 0 }
    expect((spans({ { "a", advance = when.flops(250) }, { "b" } }, { budget = { flops = 1000 }, total_steps = 0 }))[1])
      :equals { 0, .25, true, .02, 0 }
    list, the = spans({ { "a", advance = when.steps(25) }, { "b" } }, { budget = { flops = 30 }, total_steps = 0 })
    expect({ list[1][2], list[2][1] }):near { 1, 25 * 20 / 30 }  -- it never begins
    expect(the.total):equals(nil)
  end)
  it("end nowhere where the run decides, or only a clock does", function()
    local list, the = spans { { "a", advance = when.above("val/acc", .5) }, { "b", advance = when.steps(10) }, { "c" } }
    expect(list):equals { { 0, 1, false, .01, 0 }, { 0, .1, false, .01, 0 }, { .1, 1, false, .01, 10 } }
    expect({ the.total, the.last }):equals { 100, .99 }
    list, the = spans({ { "a", advance = when.seconds(2) }, { "b", advance = when.steps(1) }, { "c" } },
      { budget = { seconds = 8 }, total_steps = 0 })
    expect(list):equals { { 0, .25, true, false, 0 }, { .25, 1, false, false, false }, { .25, 1, false, false, false } }
    expect({ the.total, the.last }):equals { nil, 1 - 1e-6 }
    expect(spans { { "a" } }):equals { { 0, 1, true, .01, 0 } }
  end)
end)

describe("a knob of a plan", function()
  local function knob(name, stages, more, i) return planned(stages, more).seen[i or 1].knobs[name] end
  it("that is a number is that throughout, the run's or the stage's own", function()
    local one = knob("lr", { { "a" } })
    expect({ one.name, one.answer, one.values, one.asked, one.whole, one.own, one.used, one.pressure }):equals
      { "lr", .5, { .5, .5 }, { .5, .5 }, { .5, .5 }, false, true, nil }
    one = knob("lr", { { "a", lr = .25 } })
    expect({ one.answer, one.values, one.own }):equals { .25, { .25, .25 }, true }
  end)
  it("that is a schedule has 200 points, of the stage, of what is asked there, and of the whole", function()
    local two, falls = { { "a", advance = when.steps(50) }, { "b" } }, { knobs = { temperature = schedule.linear(10, 0), lr = 1 } }
    local one = knob("temperature", two, falls)
    expect({ #one.values, one.values[1], one.values[200], one.asked[200], one.whole[200], #one.whole }):near { 200, 10, 5, 5, 0, 200 }
    expect(one.values[101]):near(10 - 5 * 100 / 199)
    one = knob("temperature", two, falls, 2)
    expect({ one.values[1], one.values[200], one.asked[200], one.whole[1] }):near { 5, 0, .1, 10 }
    one = knob("temperature", { { "a", advance = when.steps(50) }, { "b", temperature = schedule.linear(10, 0) } }, {}, 2)
    expect(#one.whole):equals(200)
    expect({ one.whole[1], one.values[1] }):near { one.values[1], one.whole[1] }
  end)
  it("that a function answers knows what is counted, and nothing that the run shows", function()
    local two = { { "a", advance = when.steps(20) }, { "b" } }
    local function of(fn, budget)
      return knob("temperature", two, { knobs = { temperature = fn, lr = 1 }, budget = budget or { steps = 100 } }, 2)
    end
    for name, ends in pairs { step = { 20, 100 }, samples = { 200, 1000 }, epoch = { 4, 20 }, stage_steps = { 0, 80 },
      stage_samples = { 0, 800 }, stage_epochs = { 0, 16 }, progress = { .2, 1 }, stage_index = { 2, 2 } } do
      local values = of(function(s) return s[name] end).values
      expect({ values[1], values[200] }):near(ends)
    end
    expect(of(function(s) return #s.stage end).values[1]):equals(1)
    expect(of(function(s) return s.teacher == "T" and 1 or 2 end).values[1]):equals(1)
    for _, name in ipairs { "params", "seed", "step_epochs", "suites" } do
      expect(of(function(s) return s[name] == nil and 1 or 2 end).values[1]):equals(1)
    end
    expect({ of(function(s) return s.step_progress end).values[1], of(function(s) return s.step_progress end, { flops = 1000 }).values[1] })
      :near { .01, .02 }
    expect(of(function(s) return s.measured end).values):equals(nil)
    expect(of(function() return nil end).values):equals(nil)
    expect(of(function() error "no" end).values):equals(nil)
    expect(of(function() return "text" end).values):equals(nil)
    expect(of(function(s) return s.seconds end).values):equals(nil)
    local values = of(function(s) return s.seconds end, { seconds = 50 }).values
    expect({ values[1], values[200] }):near { 10, 50 }
    values = of(function(s) return s.stage_flops end, { flops = 1000 }).values
    expect({ values[1], values[200] }):near { 0, 600 }
    expect(of(function(s) return s.seconds end, { seconds = 50, steps = 100 }).values):equals(nil)
  end)
  it("that a stage's pressure answers is its own, where it says something", function()
    local one = knob("temperature", { { "a", pressure = function(s) return { temperature = 2 + s.progress } end } })
    expect({ one.values[1], one.values[200], one.own, one.pressure, type(one.answer) }):equals { 2, 3, true, true, "function" }
    expect(#one.whole):equals(200)
    one = knob("temperature", { { "a", pressure = function() return {} end } })
    expect({ one.answer, one.values[1], one.own, one.pressure }):equals { 4, 4, false, false }
    one = knob("temperature", { { "a", pressure = function(s) return { lr = s.measured } end } })
    expect({ one.values, one.asked, one.whole, one.own, one.pressure, type(one.answer) }):equals { nil, nil, nil, false, true, "function" }
  end)
  it("is used where the loss asks for it", function()
    local function used(name, more, stage) return knob(name, { stage or { "a" } }, more).used and true or false end
    expect({ used "lr", used "temperature", used "alpha", used "augment" }):equals { true, true, true, false }
    expect({ used("augment", { knobs = { augment = .5, lr = 1 } }), used("augment", { knobs = { augment = 0 } }, { "a", augment = .5 }) })
      :equals { true, true }
    local labels = { "a", kind = "labels" }
    expect({ used("temperature", { asks = {} }), used("temperature", {}, labels), used("lr", {}, labels) }):equals { false, false, true }
  end)
end)

describe("the sources of a mixture", function()
  it("have shares of all", function()
    local the = planned { { "a" } }
    local all = the:mixture({ { nil, schedule.linear(3, 1) }, { nil, 1 } }, 1)
    expect({ all[1][1], all[1][200], all[2][1], all[2][200] }):near { .75, .5, .25, .5 }
  end)
end)

describe("the rows that a stage draws from", function()
  local d = g.data.tensors(g.randn(20, 3), g.zeros({ 20 }, { dtype = "int64" }), { classes = 2 })
  local ranked = d:rank(g.arange(20):double())
  local function rows(sample, more, i)
    local the = planned({ { "a", sample = sample, advance = when.steps(50) }, { "b", sample = sample } }, more or { train = d })
    local values, by_rank, view = the:rows(i or 1)
    local function rounded(value) return tonumber(("%.9f"):format(value)) end
    return values and { #values, rounded(values[1]), rounded(values[#values]) }, by_rank, view ~= nil
  end
  it("are all of them, or a view's share", function()
    expect({ rows(nil) }):equals { { 20, 1, 1 }, false, false }
    expect({ rows(d:first(5)) }):equals { { 20, .25, .25 }, false, false }
    expect({ rows(ranked) }):equals { { 20, 1, 1 }, true, true }
    expect({ rows(ranked:first(5)) }):equals { { 20, .25, .25 }, true, true }
    expect({ rows(g.data.tensors(g.randn(20, 3), g.zeros({ 20 }, { dtype = "int64" }), { classes = 2 })) }):equals { nil, false, false }
    expect({ rows(d, { train = {} }) }):equals { nil, nil, false }
    expect({ rows(g.sampler.weighted(d, g.ones(20))) }):equals { nil, nil, false }
  end)
  it("are a sampler's share, as it grows over the stage", function()
    expect({ rows(g.sampler.easiest(ranked, .5)) }):equals { { 20, .5, .5 }, true, true }
    expect({ rows(g.sampler.easiest(ranked, g.schedule.linear(.2, 1))) }):equals { { 20, .2, .6 }, true, true }
    expect({ rows(g.sampler.easiest(ranked, g.schedule.linear(.2, 1)), nil, 2) }):equals { { 20, .6, 1 }, true, true }
    expect({ rows(g.sampler.easiest(ranked:first(10), g.schedule.linear(.2, 3))) }):equals { { 20, .1, .5 }, true, true }
    expect({ rows(g.sampler.easiest(ranked, .5), { train = d:first(10) }) }):equals { { 20, 1, 1 }, true, true }
  end)
  it("are what a function says", function()
    expect({ rows(function(s) return ranked:first(s.progress < .26 and 5 or 10) end) }):equals { { 20, .25, .5 }, true, true }
    expect((rows(function(s) return s.measured and ranked end))):equals(nil)
  end)
end)

describe("numbers over a span", function()
  it("are one throughout, or move, but for rounding", function()
    expect({ plan.range { 2, -1, 5 } }):equals { -1, 5 }
    expect({ plan.moves { 1, 1 }, plan.moves { 1, 1 + 1e-13 }, plan.moves { 1, 1 + 1e-11 }, plan.moves { 100, 100 + 5e-11 },
      plan.moves { 100, 100 + 5e-10 }, plan.moves { 0, 5e-13 }, plan.moves { 0, 2e-12 }, plan.moves { -100, -100 + 5e-11 } })
      :equals { false, false, true, false, true, false, true, false }
    expect({ plan.throughout({ 2, 2 }, 2), plan.throughout({ 2, 2 }, 3), plan.throughout({ 2, 3 }, 2), plan.throughout(nil, 2) })
      :equals { true, false, false, false }
  end)
end)

describe("a step's share of the budget", function()
  it("is nothing that depends on the run, though only a clock would tell it", function()
    local one = planned({ { "a" } }, { total_steps = 0, budget = { seconds = 8 },
      knobs = { temperature = function(s) return s.step_progress == nil and 3 or 2 end, lr = 1 } }).seen[1].knobs.temperature
    expect({ one.values[1], one.values[200] }):equals { 3, 3 }
  end)
end)

describe("an answer of the whole run", function()
  it("is asked in the stages as they come, in the first one as long as nobody knows where that ends", function()
    local function whole(rule)
      return planned({ { "a", advance = rule }, { "b" } }, { knobs = { temperature = function(s) return s.stage_index end, lr = 1 } })
        .seen[1].knobs.temperature.whole
    end
    local known, unknown = whole(when.steps(50)), whole(when.above("val/acc", .5))
    expect({ known[1], known[100], known[101], known[200] }):equals { 1, 1, 2, 2 }
    expect({ unknown[1], unknown[200] }):equals { 1, 1 }
  end)
end)

describe("a blind plan", function()
  it("asks no function of the user's, of a knob, of rows or of a mixture", function()
    local asked = 0
    local function users()
      asked = asked + 1
      return 1
    end
    local d = g.data.tensors(g.randn(20, 3), g.zeros({ 20 }, { dtype = "int64" }), { classes = 2 })
    local stage = { name = "a", knobs = { temperature = users, alpha = schedule.linear(0, 1) }, sample = users }
    local run = { stages = { stage }, total_steps = 100, budget = { steps = 100 }, batch = 10, epoch_size = 20, state = {},
      knobs = { lr = .5 }, asks = {}, train = d }
    local the = plan.new(run, { { flops = 20, target = { kind = "logits" } } }, true)
    expect({ the.seen[1].knobs.temperature.values, #the.seen[1].knobs.alpha.values, the:rows(1) }):equals { nil, 50, nil }
    expect(the:mixture({ { nil, 1 }, { nil, users } }, 1)):equals {}
    expect(the:mixture({ { nil, users }, { nil, 1 } }, 1)):equals {}
    local shares = the:mixture({ { nil, 3 }, { nil, schedule.linear(1, 3) } }, 1)
    expect({ #shares[1], shares[1][1], shares[2][1], shares[1][50] }):equals { 50, .75, .25, .5 }
    expect(asked):equals(0)
  end)
end)

describe("the rows of a sampler of all rows", function()
  it("are those of its view", function()
    local d = g.data.tensors(g.randn(20, 3), g.zeros({ 20 }, { dtype = "int64" }), { classes = 2 })
    for size, share in pairs { [20] = 1, [5] = .25 } do
      local values, by_rank, view = planned({ { "a", sample = g.sampler.uniform(d:first(size)) } }, { train = d }):rows(1)
      expect({ values[1], values[20], by_rank, view }):equals { share, share, false, nil }
    end
  end)
end)

describe("the state that a knob is asked with in a second stage", function()
  -- What the stage from a quarter on sees at its beginning and end.
  local function seen(name, more)
    local one = planned({ { "a", advance = when.progress(.25) }, { "b", temperature = function(s) return s[name] end } }, more).seen[2]
    local values = one.knobs.temperature.values
    return values and { values[1], values[#values] } or {}
  end
  for budget, cases in pairs {
    steps = { progress = { .25, 1 }, stage_index = { 2, 2 }, step_progress = { .01, .01 }, step = { 25, 100 }, samples = { 250, 1000 },
      epoch = { 5, 20 }, stage_steps = { 0, 75 }, stage_samples = { 0, 750 }, stage_epochs = { 0, 15 }, seconds = {}, flops = {} },
    seconds = { seconds = { 2, 8 }, stage_seconds = { 0, 6 }, progress = { .25, 1 }, flops = {}, stage_flops = {}, step = {} },
    flops = { flops = { 250, 1000 }, stage_flops = { 0, 750 }, seconds = {}, stage_seconds = {}, stage_steps = { 0, 37.5 } },
  } do
    it("counts in " .. budget, function()
      local amount = ({ steps = 100, seconds = 8, flops = 1000 })[budget]
      for name, wanted in pairs(cases) do
        local got = seen(name, { budget = { [budget] = amount }, total_steps = budget == "steps" and 100 or 0 })
        expect({ name, #got }):equals { name, #wanted }
        expect(got):near(wanted, 1e-9)
      end
    end)
  end
end)
