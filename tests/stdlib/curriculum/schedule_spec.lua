local g = require "gradus"
local schedule = g.schedule

local function at(progress, more)
  local s = { progress = progress, step = 0, epoch = 0, step_progress = .01, step_epochs = .1 }
  for key, value in pairs(more or {}) do s[key] = value end
  return s
end

local function curve(one, points)
  local values = {}
  for i, p in ipairs(points) do values[i] = one(at(p)) end
  return values
end

describe("schedules in closed form:", function()
  it("constant", function() expect(curve(schedule.constant(3), { 0, .5, 1 })):equals { 3, 3, 3 } end)
  it("linear", function() expect(curve(schedule.linear(6, 2), { 0, .25, .5, 1 })):near { 6, 5, 4, 2 } end)
  it("linear over a part of the budget", function()
    local one = schedule.linear(0, 1, { from = .2, to = .6 })
    expect(curve(one, { 0, .2, .3, .4, .6, 1 })):near { 0, 0, .25, .5, 1, 1 }
  end)
  it("in epochs and in steps", function()
    local epochs = schedule.linear(10, 0, { from = { epochs = 5 }, to = { epochs = 15 } })
    expect(epochs(at(.9, { epoch = 4 }))):near(10)
    expect(epochs(at(.9, { epoch = 7.5 }))):near(7.5)
    local steps = schedule.linear(0, 100, { to = { steps = 50 } })
    expect(steps(at(.9, { step = 10 }))):near(20)
    expect(steps(at(0, { step = 500 }))):near(100)
  end)
  it("from a step or an epoch to the end of the budget", function()
    for _, from in ipairs { { steps = 4 }, { epochs = .4 } } do
      local one = schedule.linear(1, 0, { from = from })
      local function after(steps) return one(at(steps / 20, { step = steps, epoch = steps / 10, step_progress = 1 / 20 })) end
      expect({ after(0), after(4), after(12), after(20) }):near { 1, 1, .5, 0 }
      expect(schedule.linear(1, 0, { from = { steps = 30 } }) { progress = .5, step = 10, step_progress = 1 / 20 }):equals(1)
    end
  end)
  it("hold and begin exactly where the last step lies within the budget in part only", function()
    -- Batches of 8 of 50 rows for 5 epochs: 31.25 steps, so 32.
    local function after(one, steps)
      return one(at(steps * .032, { step = steps, epoch = steps * .16, step_progress = 1 / 32, step_epochs = .16 }))
    end
    local held = schedule.linear(.1, 1, { to = .6, every = { epochs = 2 } })
    for _, pair in ipairs { { 0, .1 }, { 7, .1 }, { 12, .1 }, { 13, .7 }, { 24, .7 }, { 25, 1 } } do
      expect(after(held, pair[1])):near(pair[2], 1e-12)
    end
    expect(after(schedule.linear(1, 0, { from = { steps = 4 } }), 4)):near(1, 1e-12)
    expect(after(schedule.linear(1, 0, { from = { epochs = 1 } }), 25)):near(.25, 1e-12)
  end)
  it("that move every so often stand where the budget that they are of ends, however long the run goes on", function()
    local function beyond(options, step)
      return schedule.linear(0, 1, options) { progress = 1, step = step, epoch = step / 2, step_progress = .1, step_epochs = .5 }
    end
    for _, step in ipairs { 10, 11, 12, 14, 20 } do
      expect(beyond({ every = { steps = 3 } }, step)):near(.9, 1e-12)
      expect(beyond({ every = { epochs = 1.5 } }, step)):near(.9, 1e-12)
    end
    expect(beyond({ to = { steps = 30 }, every = { steps = 3 } }, 20)):near(.6, 1e-12)
    expect(beyond({ to = { epochs = 15 }, every = { epochs = 1.5 } }, 20)):near(.6, 1e-12)
  end)
  it("that move every so often hold in between", function()
    local function after(one, steps, more)
      more = more or {}
      more.step, more.epoch, more.step_progress = steps, steps / 10, more.step_progress or 1 / 200
      return one(at(steps / 200, more))
    end
    local one = schedule.linear(0, 200, { every = { epochs = 3 } })
    for _, pair in ipairs { { 0, 0 }, { 29, 0 }, { 30, 30 }, { 59, 30 }, { 60, 60 }, { 199, 180 }, { 200, 180 } } do
      expect(after(one, pair[1])):near(pair[2], 1e-9)
    end
    one = schedule.linear(0, 1, { from = { epochs = 5 }, to = { epochs = 15 }, every = { epochs = 4 } })
    for _, pair in ipairs { { 49, 0 }, { 89, 0 }, { 90, .4 }, { 129, .4 }, { 130, .8 }, { 170, 1 } } do
      expect(after(one, pair[1])):near(pair[2], 1e-9)
    end
    one = schedule.cosine(1, 0, { to = { steps = 100 }, every = { steps = 25 } })
    expect(after(one, 49)):near(.5 * (1 + math.cos(math.pi / 4)), 1e-12)
    one = schedule.competence(.1, { every = { steps = 100 } })
    expect(after(one, 199)):near(math.sqrt(.5 * .99 + .01), 1e-12)
    expect(after(schedule.exponential(8, 2, { every = { steps = 100 } }), 150)):near(4, 1e-12)
    expect(function() after(schedule.linear(0, 1, { every = { epochs = 3 } }), 5, { step_progress = 0 }) end):fails_with
      "schedule.linear: every: how much of the budget a step is, is not known; expected to = { epochs = } or { steps = }"
  end)
  it("cosine is Loshchilov and Hutter's equation 5", function()
    local one = schedule.cosine(3e-3, 1e-4)
    for _, t in ipairs { 0, .1, .37, .5, .9, 1 } do
      expect(one(at(t))):near(1e-4 + .5 * (3e-3 - 1e-4) * (1 + math.cos(math.pi * t)), 1e-15)
    end
    expect(one(at(.5))):near((3e-3 + 1e-4) / 2, 1e-15)
  end)
  it("exponential has a constant ratio", function()
    local one = schedule.exponential(8, 1)
    expect(curve(one, { 0, 1 / 3, 2 / 3, 1 })):near { 8, 4, 2, 1 }
  end)
  it("staircase: equal levels, equally long, both ends among them", function()
    local one = schedule.staircase(.2, 1, 5)
    expect(curve(one, { 0, .199, .2, .399, .4, .6, .8, 1 })):near { .2, .2, .4, .4, .6, .8, 1, 1 }
    local counts = {}
    for i = 0, 999 do
      local level = ("%.3f"):format(one(at(i / 1000)))
      counts[level] = (counts[level] or 0) + 1
    end
    expect(counts):equals { ["0.200"] = 200, ["0.400"] = 200, ["0.600"] = 200, ["0.800"] = 200, ["1.000"] = 200 }
  end)
  it("staircase: a level begins at its share, whatever rounding makes of it", function()
    local one = schedule.staircase(0, 3, 4, { from = .2, to = .8 })
    expect(curve(one, { 6 / 20, 7 / 20, 9 / 20, 10 / 20, 12 / 20, 13 / 20 })):near { 0, 1, 1, 2, 2, 3 }
  end)
  it("competence is Platanios' formula", function()
    -- c(t) = min(1, sqrt(t (1 - c0²) / T + c0²)), NAACL 2019, eq. 7
    local root = schedule.competence(.1)
    for _, t in ipairs { 0, .2, .5, .99, 1 } do expect(root(at(t))):near(math.sqrt(t * (1 - .01) + .01)) end
    local linear = schedule.competence(.1, { power = 1, to = .5 })
    expect(curve(linear, { 0, .25, .5, .8 })):near { .1, .55, 1, 1 }
  end)
  it("pieces hold from their share on", function()
    local one = schedule.pieces { { 0, 6 }, { .5, 4 }, { .8, 2 } }
    expect(curve(one, { 0, .49, .5, .79, .8, 1 })):equals { 6, 6, 4, 4, 2, 2 }
    expect(schedule.pieces { { 0, 6 }, { .1, 4 } }(at(.3 / 3))):equals(4)  -- 3 of 30 steps, rounded to just below
  end)
  it("by confidence", function()
    local one = schedule.by_confidence(6, 2)
    expect(one(at(0))):equals(6)
    expect(one(at(0, { confidence = .25 }))):near(5)
    expect(one(at(0, { confidence = 1 }))):near(2)
  end)
  it("by the teacher's entropy, one value per example", function()
    local one = schedule.by_entropy(1, 5)
    local logits = g.tensor { { 0, 0, 0, 0 }, { 1000, 0, 0, 0 }, { 0, 0, -math.huge, -math.huge } }
    local t = one.of_batch { teacher = logits }
    expect(t.dtype):equals "float64"
    expect(t:totable()):near({ 5, 1, 3 }, 1e-6)  -- uniform: all of it; certain: none; one of two: half of log 4
  end)
end)

describe("a schedule that holds", function()
  local every = { every = { steps = 10 } }
  for name, case in pairs {
    constant = { schedule.constant(1), false }, linear = { schedule.linear(0, 1), false }, cosine = { schedule.cosine(0, 1), false },
    ["linear with an end"] = { schedule.linear(0, 1, { to = .5 }), false }, ["linear every"] = { schedule.linear(0, 1, every), true },
    ["cosine with an end"] = { schedule.cosine(0, 1, { to = .5 }), false }, ["cosine every"] = { schedule.cosine(0, 1, every), true },
    exponential = { schedule.exponential(1, 2), false }, ["exponential with an end"] = { schedule.exponential(1, 2, { to = .5 }), false },
    ["exponential every"] = { schedule.exponential(1, 2, every), true }, staircase = { schedule.staircase(0, 1, 2), true },
    competence = { schedule.competence(.1), false }, ["competence every"] = { schedule.competence(.1, every), true },
    pieces = { schedule.pieces { { 0, 1 } }, true }, warmup = { schedule.warmup(schedule.pieces { { 0, 1 } }, .1), false },
    by_confidence = { schedule.by_confidence(6, 2), false }, by_entropy = { schedule.by_entropy(1, 2), false },
  } do
    it("says so: " .. name, function() expect(case[1].holds):equals(case[2]) end)
  end
end)

describe("a schedule's ends", function()
  it("are taken up to themselves", function()
    expect(curve(schedule.linear(0, 1, { from = 0, to = 1 }), { 0, 1 })):equals { 0, 1 }
    expect(schedule.linear(0, 1, { from = { steps = 0 }, to = { steps = 2 } })(at(0, { step = 1 }))):equals(.5)
    expect(schedule.linear(0, 1, { from = { epochs = 0 }, to = { steps = 2 } })(at(0, { step = 1 }))):equals(.5)
    expect(schedule.staircase(0, 1, 2)(at(.5))):equals(1)
    expect(schedule.competence(1)(at(0))):equals(1)
    expect(schedule.warmup(1, 1)(at(.49))):near(.5, 1e-12)
    expect(schedule.warmup(1, 0)(at(0))):equals(1)
    expect(schedule.warmup(1, .015)(at(.01))):equals(1)  -- no more than the inner value, though the step is more than is left
  end)
  it("that begin where the budget ends are reached there", function()
    local one = schedule.linear(1, 0, { from = { steps = 10 } })
    for progress, value in pairs { [0] = 1, [.9] = 1, [1] = 0 } do
      expect(one { progress = progress, step = 10 * progress, step_progress = .1 }):equals(value)
    end
  end)
  local refused = {
    { "a share below 0", function() schedule.linear(0, 1, { from = -.1 }) end,
      "schedule.linear: from: expected a share of the budget from 0 to 1, { epochs = } or { steps = }; got -0.1" },
    { "steps below 0", function() schedule.linear(0, 1, { to = { steps = -1 } }) end, "schedule.linear: to: expected a share" },
    { "a text", function() schedule.linear(0, 1, { to = "end" }) end, "schedule.linear: to: expected a share of the budget" },
    { "steps of text", function() schedule.linear(0, 1, { to = { steps = "5" } }) end,
      "schedule.linear: to: expected a share of the budget" },
    { "every of two units", function() schedule.linear(0, 1, { every = { steps = 1, epochs = 1 } }) end,
      "schedule.linear: every: expected" },
    { "every of text", function() schedule.linear(0, 1, { every = { steps = "1" } }) end, "schedule.linear: every: expected" },
    { "every of another unit", function() schedule.linear(0, 1, { every = { samples = 1 } }) end, "schedule.linear: every: expected" },
    { "every below 0", function() schedule.linear(0, 1, { every = { steps = -1 } }) end, "schedule.linear: every: expected" },
    { "constant ratio from below 0", function() schedule.exponential(-1, 1) end, "schedule.exponential: expected values above 0" },
    { "constant ratio from 0", function() schedule.exponential(0, 1) end, "schedule.exponential: expected values above 0" },
    { "more than all", function() schedule.competence(1.1) end, "schedule.competence: expected a share above 0, up to 1; got 1.1" },
    { "a power of text", function() schedule.competence(.1, { power = "2" }) end, "schedule.competence: power: expected a number above 0" },
    { "a misspelt option of competence", function() schedule.competence(.1, { powr = 2 }) end, "no option 'powr'; did you mean 'power'?" },
    { "pieces of nothing", function() schedule.pieces {} end, "schedule.pieces: expected { { 0, value }" },
    { "pieces that are no table", function() schedule.pieces(5) end, "schedule.pieces: expected { { 0, value }" },
    { "a piece of NaN", function() schedule.pieces { { 0, 0 / 0 } } end, "schedule.pieces: expected a number; got nan" },
    { "a piece of infinity", function() schedule.pieces { { 0, math.huge } } end, "schedule.pieces: expected a number; got inf" },
    { "a piece of infinity below 0", function() schedule.pieces { { 0, -math.huge } } end, "schedule.pieces: expected a number; got -inf" },
    { "NaN as a knob", function() schedule.check("lr", 0 / 0) end, "lr: expected a number; got nan" },
  }
  for _, case in ipairs(refused) do
    it("are refused: " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)

describe("a schedule in words", function()
  for text, one in pairs {
    ["2.5"] = schedule.constant(2.5), ["linear 0 to 1"] = schedule.linear(0, 1), ["cosine 0 to 1"] = schedule.cosine(0, 1),
    ["exponential 1 to 2"] = schedule.exponential(1, 2), ["3 levels 0 to 1"] = schedule.staircase(0, 1, 3),
    ["competence from 0.1"] = schedule.competence(.1), pieces = schedule.pieces { { 0, 1 } },
    ["6 to 2 with confidence"] = schedule.by_confidence(6, 2), ["1 to 2 with the teacher's entropy"] = schedule.by_entropy(1, 2),
    ["warm-up, then linear 0 to 1"] = schedule.warmup(schedule.linear(0, 1), .1),
  } do
    it("is " .. text, function() expect(tostring(one)):equals(text) end)
  end
  it("tells between which values it is, where only the run tells", function()
    local confidence, entropy = schedule.by_confidence(6, 2), schedule.by_entropy(1, 2)
    expect({ confidence.between, confidence.wants_confidence, entropy.between, entropy.wants_confidence, entropy(at(0)) }):equals
      { { 6, 2 }, true, { 1, 2 }, nil, 2 }
    local inner = schedule.linear(0, 1)
    expect(schedule.warmup(inner, .1).after == inner):is_true()
  end)
  it("is asked alike, whatever the answer is", function()
    for _, answer in ipairs { 3, schedule.constant(3), function() return 3 end } do expect(schedule.value(answer, at(0))):equals(3) end
    expect({ schedule.check("lr", 3), schedule.check("lr", print) }):equals { 3, print }
  end)
end)

describe("warm-up", function()
  it("moves at the first step and ends at the inner schedule", function()
    local one = schedule.warmup(.1, { steps = 4 })
    local values = {}
    for step = 0, 5 do values[step + 1] = one(at(0, { step = step })) end
    expect(values):near { .025, .05, .075, .1, .1, .1 }
  end)
  it("as a share of the budget", function()
    local one = schedule.warmup(1, .1)  -- a step is .01 of the budget: ten steps
    expect(one(at(0))):near(.1)
    expect(one(at(.05))):near(.6)
    expect(one(at(.09))):near(1)
    expect(one(at(.5))):near(1)
  end)
  it("in epochs", function()
    local one = schedule.warmup(1, { epochs = 1 })  -- a step is .1 epochs
    expect(one(at(0, { epoch = 0 }))):near(.1)
    expect(one(at(0, { epoch = .5 }))):near(.6)
    expect(one(at(0, { epoch = 2 }))):near(1)
  end)
  it("scales a schedule that moves meanwhile", function()
    local one = schedule.warmup(schedule.linear(1, 0), .1)
    expect(one(at(.05))):near(.95 * .6)
    expect(one(at(.6))):near(.4)
  end)
  it("takes a function", function()
    local one = schedule.warmup(function(s) return s.step * 2 end, { steps = 2 })
    expect(one(at(0, { step = 1 }))):near(2)
  end)
end)

describe("a schedule refuses", function()
  local cases = {
    { "text for a number", function() schedule.linear("6", 2) end, "schedule.linear: argument 1 'first': expected a number; got '6'" },
    { "a value left out", function() schedule.cosine(8) end,
      "schedule.cosine: argument 2 'last' is missing; expected schedule.cosine(first, last)" },
    { "values by name", function() schedule.linear { from = 8, to = 2 } end,
      "schedule.linear: its values stand in their places: expected schedule.linear(8, 2)" },
    { "values in a list", function() schedule.cosine { 8, 2 } end, "expected schedule.cosine(8, 2)" },
    { "no levels", function() schedule.staircase(1, 2) end,
      "argument 3 'levels' is missing; expected schedule.staircase(first, last, levels)" },
    { "a table of something else", function() schedule.linear { a = 1 } end, "argument 1 'first': expected a number; got a table" },
    { "NaN", function() schedule.cosine(0 / 0, 1) end, "schedule.cosine: argument 1 'first': expected a number; got nan" },
    { "infinity", function() schedule.constant(math.huge) end, "schedule.constant: argument 1 'value': expected a number; got inf" },
    { "a misspelt option", function() schedule.linear(1, 0, { form = .2 }) end,
      "schedule.linear: no option 'form'; did you mean 'from'?" },
    { "holding for nothing", function() schedule.linear(1, 0, { every = { epochs = 0 } }) end,
      "schedule.linear: every: expected { epochs = } or { steps = } above 0; got a table" },
    { "holding for a share", function() schedule.cosine(1, 0, { every = .1 }) end, "schedule.cosine: every: expected { epochs = }" },
    { "levels that hold", function() schedule.staircase(1, 0, 3, { every = { steps = 1 } }) end, "schedule.staircase: every: its levels" },
    { "a share above 1", function() schedule.linear(1, 0, { to = 1.5 }) end,
      "to: expected a share of the budget from 0 to 1" },
    { "a misspelt unit", function() schedule.linear(1, 0, { to = { epoch = 5 } }) end,
      "to: expected a share of the budget" },
    { "two units at once", function() schedule.linear(1, 0, { to = { epochs = 5, steps = 3 } }) end,
      "to: expected a share of the budget" },
    { "to go backwards", function() schedule.linear(1, 0, { from = .8, to = .2 }) end,
      "runs backwards: from 0.8 to 0.2" },
    { "an end in steps after a start that is a share", function() schedule.linear(1, 0, { from = .5, to = { steps = 9 } }) end,
      "from is in share and to in steps" },
    { "an empty span", function() schedule.cosine(1, 0, { from = .5, to = .5 }) end, "runs backwards" },
    { "a negative point", function() schedule.linear(1, 0, { from = { epochs = -2 }, to = { epochs = 5 } }) end,
      "from: expected a share of the budget" },
    { "two units at its ends", function() schedule.linear(1, 0, { from = .1, to = { epochs = 5 } }) end,
      "from is in share and to in epochs" },
    { "zero in constant ratio", function() schedule.exponential(1, 0) end, "expected values above 0" },
    { "one level", function() schedule.staircase(0, 1, 1) end, "expected 2 levels or more; got 1" },
    { "half a level", function() schedule.staircase(0, 1, 2.5) end, "expected 2 levels or more; got 2.5" },
    { "no competence", function() schedule.competence(0) end, "expected a share above 0, up to 1; got 0" },
    { "a power of 0", function() schedule.competence(.1, { power = 0 }) end,
      "power: expected a number above 0; got 0" },
    { "pieces without a beginning", function() schedule.pieces { { .1, 6 } } end, "expected { { 0, value }" },
    { "pieces in disorder", function() schedule.pieces { { 0, 6 }, { .5, 4 }, { .4, 2 } } end,
      "share 0.4 does not come after 0.5" },
    { "two pieces from one share on", function() schedule.pieces { { 0, 6 }, { .5, 4 }, { .5, 2 } } end,
      "share 0.5 does not come after 0.5" },
    { "a piece without a value", function() schedule.pieces { { 0, 6 }, { .5 } } end,
      "schedule.pieces: expected a number; got nil" },
    { "a piece that is none", function() schedule.pieces { { 0, 6 }, .5 } end,
      "schedule.pieces: expected { { 0, value }" },
    { "a warm-up of nothing", function() schedule.warmup("fast", .1) end,
      "schedule.warmup: expected a number, a schedule or a function" },
    { "a warm-up longer than the budget", function() schedule.warmup(1, 2) end,
      "schedule.warmup: length: expected a share" },
    { "a table as a knob", function() schedule.check("distill: lr", { 1, 2 }) end,
      "distill: lr: expected a number, a schedule or a function of the state; got a table" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
  it("and blames the user's line", function()
    expect(function() schedule.linear(1, "x") end):fails_with "schedule_spec.lua:%d+: schedule.linear"
  end)
end)

describe("a schedule tells what it is:", function()
  it("in words", function()
    expect(tostring(schedule.linear(6, 2))):equals "linear 6 to 2"
    expect(tostring(schedule.warmup(.1, .05))):equals "warm-up, then 0.1"
    expect(schedule.is(schedule.constant(1))):is_true()
    expect(schedule.is(1)):is_false()
  end)
end)

describe("a value by part", function()
  local support = require "support"
  local function points() return support.points(40) end
  it("is each row's own, by view or by row", function()
    local d = points()
    local few, rest = d:first(10), d:subset(g.arange(10, 30))
    local one = schedule.by_part { { few, .7 }, { rest, g.linspace(0, 1, 20, { dtype = "float64" }) } }
    local got = one.of_batch { x = g.zeros(3, 6), index = g.tensor({ 9, 10, 29 }, "int64") }
    expect(got:totable()):equals { .7, 0, 1 }
    expect(tostring(one)):equals "0 to 1 by part"
    expect(function() one.of_batch { x = g.zeros(1, 6), index = g.tensor({ 35 }, "int64") } end):fails_with "row 35 is of no part"
  end)
  it("leaves the labels of rows with alpha 0 without a say, and those of others as they are", function()
    local function weights(shift, alpha_of)
      local result
      support.with_run({ seed = 7 }, function(run)
        local x, y = points():gather()
        local wrong = g.cat({ y:slice(0, 0, 20), y:slice(0, 20, 40):add(shift):remainder(3) }, 0)
        local d = g.data.tensors(x, wrong, { classes = 3 })
        local student = g.nn.MLP { 6, 8, 3 }
        run:distill { student = student, teacher = support.student(5), data = d, batch = 8, budget = { steps = 30 }, lr = .01,
          alpha = alpha_of(d) }
        result = support.weights(student)
      end)
      return result
    end
    local function by_part(d) return schedule.by_part { { d:first(20), .7 }, { d:last(20), 0 } } end
    expect(weights(1, by_part)):equals(weights(0, by_part))
    local function all(d) return schedule.by_part { { d, .7 } } end
    expect(weights(1, all)):differs_from(weights(0, all))
    expect(weights(0, by_part)):differs_from(weights(0, all))
  end)
  local d = points()
  local cases = {
    { "no list", function() schedule.by_part(5) end, "schedule.by_part: 'parts': expected a table; got 5" },
    { "no part", function() schedule.by_part {} end, "expected { { data, value }, … }; got no part" },
    { "a part of nothing", function() schedule.by_part { { 5, .7 } } end, "part 1: expected { data, value }; got 5" },
    { "parts of two data sets", function() schedule.by_part { { d, .7 }, { points(), 0 } } end, "part 2: is of another data set" },
    { "too few values", function() schedule.by_part { { d, g.zeros(3) } } end, "part 1: expected a number, or a tensor of 40; got" },
    { "NaN", function() schedule.by_part { { d, 0 / 0 } } end, "part 1: expected finite values" },
  }
  for _, case in ipairs(cases) do
    it("refuses " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
  local function distill(more)
    return function()
      support.with_run({}, function(run)
        local o = { student = support.student(), teacher = support.student(), data = d, budget = { steps = 2 }, batch = 8 }
        for key, value in pairs(more) do o[key] = value end
        run:distill(o)
      end)
    end
  end
  it("is refused of other rows than are trained on, as another knob, and out of an alpha's range", function()
    expect(distill { alpha = schedule.by_part { { points(), .5 } } }):fails_with "is of other rows than the training data"
    expect(distill { augment = schedule.by_part { { d, .5 } } }):fails_with "which only the temperature and alpha take"
    expect(distill { alpha = schedule.by_part { { d, 2 } } }):fails_with "expected a number from 0 to 1; got 2"
    expect(distill { temperature = schedule.by_part { { d, 0 } } }):fails_with "expected a number above 0; got 0"
    local x = g.randn(40, 6)
    local numbers = g.data.tensors(x, x:sum(1))
    expect(distill { data = numbers, student = g.nn.MLP { 6, 4, 1 }, teacher = g.nn.MLP { 6, 4, 1 },
      alpha = schedule.by_part { { numbers, .5 } } }):fails_with "expected classes as labels"
  end)
end)

describe("a value by part, for those who plan", function()
  local support = require "support"
  local d = support.points(40)
  it("tells its ends, its rows and its parts, and is its lowest where nobody is asked", function()
    local parts = { { d:first(10), .7 }, { d:last(30), g.linspace(.2, .5, 30) } }
    local one = schedule.by_part(parts)
    expect(one.between):near({ .2, .7 }, 1e-6)
    expect({ rawequal(one.of_rows, d.base), rawequal(one.parts, parts), one.holds, tostring(one) }):equals
      { true, true, false, "0.2 to 0.7 by part" }
    expect(one(at(.5))):near(.2, 1e-6)
    expect(one.of_batch({ x = g.zeros(1), index = g.tensor({ 0 }, "int64") }).dtype):equals "float64"
  end)
  it("goes by the last part that has the row", function()
    local one = schedule.by_part { { d, .7 }, { d:first(2), .1 } }
    expect(one.of_batch({ x = g.zeros(2), index = g.tensor({ 0, 2 }, "int64") }):totable()):equals { .1, .7 }
  end)
  for what, case in pairs {
    ["a number for a part"] = { { 5 }, "schedule.by_part: part 1: expected { data, value }; got 5" },
    ["a table of values"] = { { { d, .1 }, { d, {} } }, "part 2: expected a number, or a tensor of 40; got a table" },
    ["a column of values"] = { { { d, g.zeros(40, 1) } }, "part 1: expected a number, or a tensor of 40; got Tensor [40, 1] float32" },
    ["a value that is infinite"] = { { { d, g.full({ 40 }, math.huge) } }, "part 1: expected finite values" },
  } do
    it("refuses " .. what, function() expect(function() schedule.by_part(case[1]) end):fails_with(case[2]) end)
  end
  it("by the teacher's entropy is that of no idea where there is none", function()
    local t = schedule.by_entropy(1, 5).of_batch { x = g.zeros(3, 2) }
    expect({ t.dtype, t:totable() }):equals { "float64", { 5, 5, 5 } }
  end)
end)

describe("pieces that do not come one after the other", function()
  it("are refused from the second on, and told", function()
    for text, list in pairs { ["share 0 does not come after 0"] = { { 0, 6 }, { 0, 4 } }, ["share -0.5 does not come after 0"] = { { 0, 6 },
      { -.5, 4 } }, ["share 1.5 is never reached"] = { { 0, 6 }, { 1.5, 4 } } } do
      expect(function() schedule.pieces(list) end):fails_with("schedule.pieces: " .. text)
    end
    expect(curve(schedule.pieces { { 0, 6 }, { 1, 4 } }, { 0, .99, 1 })):equals { 6, 6, 4 }
  end)
end)
