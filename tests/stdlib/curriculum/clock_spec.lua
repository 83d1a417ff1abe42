-- The counts of a training, and what is left of its budget.
local clock = require "gradus.curriculum.clock"

local function of(steps) return clock.new { budget = { steps = steps }, batch = 4, epoch_size = 8 } end

local function after(steps, budget)
  local one = of(budget)
  for _ = 1, steps do one:count() end
  return one
end

describe("a clock of another budget goes on", function()
  it("with schedules over the whole of it", function()
    local longer = of(20)
    longer:load_state(after(5, 10):state())
    expect { longer.counts.step, longer.counts.epoch, longer.counts.progress, longer.counts.used }:equals { 5, 2.5, .25, .25 }
    longer:count()
    expect(longer.counts.progress):near(.3, 1e-12)
  end)
  it("or with schedules as they were, which then stand still", function()
    local longer = of(20)
    longer:load_state(after(5, 10):state(), true)
    expect { longer.counts.progress, longer.counts.used }:equals { .5, .25 }
    for _ = 1, 10 do longer:count() end
    expect { longer.counts.progress, longer.counts.used }:equals { 1, .75 }
    local again = of(40)
    again:load_state(longer:state())  -- what was kept is kept
    expect { again.counts.progress, again.counts.used }:equals { 1, .375 }
  end)
end)

describe("a clock's seconds", function()
  it("go on from those of the clock whose state it has", function()
    local one = of(10)
    one:start_time()
    one:tick()
    expect(one.counts.seconds >= 0 and one.counts.seconds < 60):is_true()
    one.elapsed = 100
    local other = of(10)
    other:start_time()
    other:load_state(one:state())
    other:tick()
    expect(other.counts.seconds >= 100 and other.counts.seconds < 160):is_true()
  end)
end)

describe("a budget", function()
  it("of more steps than a number counts is none", function()
    expect(function() of(2 ^ 53 + 2) end):fails_with "budget: expected at most 2^53 steps; got 9.0072e+15"
    expect(of(2 ^ 53).total_steps):equals(2 ^ 53)
    expect(function() clock.new { budget = { epochs = 1e18 }, batch = 4, epoch_size = 8 } end):fails_with "2^53 steps"
  end)
end)

-- The counts by name, those of the stage too.
local function counts(one)
  local c = one.counts
  return { c.step, c.epoch, c.samples, c.flops, c.flops_spent, c.used, c.progress, c.stage_steps, c.stage_epochs, c.stage_samples,
    c.stage_flops }
end

describe("the counts", function()
  it("are 0 before the first step", function()
    expect(clock.zero()):equals { step = 0, updates = 0, epoch = 0, samples = 0, flops = 0, flops_spent = 0, seconds = 0, progress = 0,
      used = 0, stage_passes = 0, step_progress = 0, step_epochs = 1, stage_steps = 0, stage_epochs = 0, stage_samples = 0,
      stage_flops = 0, stage_seconds = 0 }
    local fresh = of(10).counts
    expect({ fresh.step_progress, fresh.step_epochs }):equals { .1, .5 }
  end)
  it("grow by a batch, and by what a step costs", function()
    local one = of(10)
    one:costs(100, 30, 7)
    one:count()
    expect(counts(one)):equals { 1, .5, 4, 130, 107, .1, .1, 1, .5, 4, 130 }
    one:charge(1000, 1)
    one:charge(5)
    expect({ one.counts.flops, one.counts.flops_spent }):equals { 1135, 113 }
    one:count()
    expect(counts(one)):equals { 2, 1, 8, 1265, 220, .2, .2, 2, 1, 8, 1265 }
  end)
  it("of a stage begin with it", function()
    local one = of(10)
    one:costs(100, 0, 0)
    one:count()
    one.counts.stage_passes, one.counts.seconds = 3, 5
    one:begin_stage()
    expect(one.counts.stage_passes):equals(0)
    expect(one.counts.stage_seconds):equals(0)
    expect(counts(one)):equals { 1, .5, 4, 100, 100, .1, .1, 0, 0, 0, 0 }
    one.counts.seconds = 7
    one:count()
    expect(counts(one)):equals { 2, 1, 8, 200, 200, .2, .2, 1, .5, 4, 100 }
    expect(one.counts.stage_seconds):equals(2)
  end)
  it("tell traversals of the rows that are drawn from, since the stage began", function()
    local one = of(100)  -- 4 rows of 8 each
    local function passes_after(steps)
      for _ = 1, steps do one:count() end
      return one.counts.stage_passes
    end
    expect(passes_after(3)):equals(1.5)
    one:begin_stage()
    expect({ one.counts.stage_passes, passes_after(2) }):equals { 0, 1 }
    one:draws_from(4)
    expect(passes_after(3)):equals(4)
    one:draws_from(4)
    expect(passes_after(1)):equals(5)
    one:draws_from(12)
    expect(passes_after(3)):equals(6)
    local ahead = one:ahead()
    expect(one:count(ahead).stage_passes):near(6 + 1 / 3)
    local resumed = of(100)
    resumed:load_state(one:state())
    resumed:count()
    expect(resumed.counts.stage_passes):equals(ahead.stage_passes)
    local old, state = of(100), one:state()
    state.start.rows, state.start.passes, state.start.drawn = nil, nil, nil  -- of a library that did not count them
    old:load_state(state)
    old:count()
    expect(old.counts.stage_passes):equals(old.counts.samples / 8)
    one:begin_stage()
    expect(passes_after(2)):equals(1)
  end)
  it("of a look ahead are others", function()
    local one = of(10)
    one:count()
    local ahead = one:ahead()
    expect(rawequal(one:count(ahead), ahead)):is_true()
    expect({ ahead.step, ahead.used, one.counts.step, one.counts.used }):equals { 2, .2, 1, .1 }
  end)
  it("are foreseen as many as there will be, rounding aside", function()
    for _, case in ipairs { { { epochs = .07 }, 1, 100, 7 }, { { epochs = 1.1 }, 1, 110, 121 }, { { epochs = .7 }, 5, 12, 2 },
      { { samples = 9 }, 4, 12, 3 } } do
      local one = clock.new { budget = case[1], batch = case[2], epoch_size = case[3] }
      expect(one.total_steps):equals(case[4])
      local steps = 0
      repeat
        one:count()
        steps = steps + 1
      until clock.is_over(one.counts)
      expect(steps):equals(case[4])
    end
  end)
  it("are over when the budget is, rounding aside", function()
    for used, over in pairs { [0] = false, [.999] = false, [1 - 1e-11] = false, [1 - 1e-13] = true, [1] = true } do
      expect(clock.is_over { used = used }):equals(over)
    end
  end)
  it("are in the epoch that is begun, rounding aside", function()
    for epoch, whole in pairs { [0] = 0, [.5] = 0, [.999] = 0, [1 - 1e-10] = 1, [1] = 1, [2.5] = 2 } do
      expect(clock.epoch_of { epoch = epoch }):equals(whole)
    end
  end)
end)

describe("a budget in", function()
  -- Batches of 4, epochs of 10: steps that are known beforehand, and the share that one step uses.
  local cases = {
    { "steps", { steps = 7 }, 7, 1 / 7 },
    { "steps and a half", { steps = 7.5 }, 8, 1 / 7.5 },
    { "epochs", { epochs = 2 }, 5, .2 },
    { "epochs that end within a step", { epochs = 1 }, 3, .4 },
    { "samples", { samples = 8 }, 2, .5 },
    { "samples that end within a step", { samples = 9 }, 3, 4 / 9 },
    { "the first of several", { steps = 9, epochs = 2, samples = 100 }, 5, .2 },
    { "the first of several, the samples", { steps = 9, epochs = 20, samples = 8 }, 2, .5 },
    { "the first of several, the steps", { steps = 1, epochs = 20, samples = 80 }, 1, 1 },
    { "FLOPs", { flops = 1000 }, nil, .1 },
    { "seconds", { seconds = 50 }, nil, 0 },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local one = clock.new { budget = case[2], batch = 4, epoch_size = 10 }
      expect(one.total_steps):equals(case[3])
      expect(one.counts.step_progress):near(case[3] and 1 / case[3] or 0, 1e-15)
      expect(one.counts.step_epochs):equals(.4)
      one:costs(100, 0, 0)
      expect(one:count().used):near(case[4], 1e-15)
      for _ = 1, 200 do one:count() end
      expect(one.counts.used):equals(case[2].seconds and 0 or 1)  -- never more than all
    end)
  end
  it("seconds is used as they pass", function()
    local one = clock.new { budget = { seconds = 50 }, batch = 4, epoch_size = 10 }
    one:tick()
    expect(one.counts.seconds):equals(0)  -- the time was not started
    one.counts.seconds = 25
    expect(one:count().used):equals(.5)
  end)
  local function check(given) return function() clock.check_budget("distill: budget", given) end end
  it("each unit is taken, and returned", function()
    for _, unit in ipairs { "epochs", "steps", "samples", "seconds", "flops" } do
      local given = { [unit] = .5 }
      expect(rawequal(clock.check_budget("here", given), given)):is_true()
    end
    expect(clock.positive("here", 1e-300)):equals(1e-300)
  end)
  local refused = {
    { "a number", check(5), "distill: budget: expected { epochs = … } or { steps = … }; got 5" },
    { "nil", check(nil), "distill: budget: expected { epochs = … } or { steps = … }; got nil" },
    { "a misspelt unit", check { epoch = 3 }, "distill: budget: no option 'epoch'; did you mean 'epochs'?" },
    { "no step", check { steps = 0 }, "distill: budget.steps: expected a number above 0; got 0" },
    { "fewer", check { steps = -1 }, "distill: budget.steps: expected a number above 0; got -1" },
    { "text", check { epochs = "3" }, "distill: budget.epochs: expected a number above 0; got '3'" },
    { "nothing", check {}, "distill: budget: expected { epochs = … } or { steps = … }; got a table" },
    { "NaN", check { epochs = 0 / 0 }, "distill: budget.epochs: expected a number above 0; got nan" },
    { "infinity", check { seconds = math.huge }, "distill: budget.seconds: expected a number above 0; got inf" },
  }
  for _, case in ipairs(refused) do
    it("is refused of " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)

describe("every so often", function()
  -- Batches of 4, epochs of 10.
  local one = clock.new { budget = { steps = 1 }, batch = 4, epoch_size = 10 }
  it("is a number of steps, one at least", function()
    for _, case in ipairs { { { steps = 3 }, 3 }, { { steps = 1 }, 1 }, { { epochs = 2 }, 5 }, { { epochs = 1 }, 3 }, { { epochs = .9 },
      2 },
      { { epochs = .01 }, 1 }, { { steps = 3, epochs = 2 }, 3 }, { { steps = 9, epochs = 2 }, 5 } } do
      expect(one:steps_of(case[1])):equals(case[2])
    end
  end)
  local function check(given) return function() return clock.check_every("distill: evaluate", given) end end
  it("is taken as it is given", function()
    for _, given in ipairs { { steps = 1 }, { epochs = .1 }, { steps = 2, epochs = 3 } } do
      expect(rawequal(check(given)(), given)):is_true()
    end
  end)
  local refused = {
    { "a number", check(5), "distill: evaluate: expected { epochs = … } or { steps = … }; got 5" },
    { "nothing", check {}, "distill: evaluate: expected { epochs = … } or { steps = … }; got a table" },
    { "another unit", check { samples = 3 }, "distill: evaluate: no option 'samples'" },
    { "half a step", check { steps = .5 }, "distill: evaluate: 'steps': expected a whole number of at least 1; got 0.5" },
    { "no step", check { steps = 0 }, "distill: evaluate: 'steps': expected a whole number of at least 1; got 0" },
    { "no epoch", check { epochs = 0 }, "distill: evaluate.epochs: expected a number above 0; got 0" },
  }
  for _, case in ipairs(refused) do
    it("is refused of " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)

describe("a clock's state", function()
  it("is all that a clock of the same budget needs", function()
    local one = of(10)
    one:costs(100, 30, 7)
    for _ = 1, 3 do one:count() end
    one:begin_stage()
    one:count()
    local state, other = one:state(), of(10)
    other:load_state(state)
    for _ = 1, 2 do
      one:count()
      other:count()
    end
    expect(other.counts):equals(one.counts)
    expect({ state.counts.step, state.start.steps, state.cost.step }):equals { 4, 3, 100 }  -- a copy
    other:costs(1, 1, 1)
    expect(one.cost):equals { step = 100, teacher = 30, spent = 7 }
  end)
  it("has the share that a step is of the longer budget, or of the shorter one that schedules keep", function()
    local state = after(5, 10):state()
    local longer, kept = of(20), of(20)
    longer:load_state(state)
    kept:load_state(state, true)
    expect({ longer.counts.step_progress, kept.counts.step_progress }):equals { .05, .1 }
    local open = clock.new { budget = { seconds = 9 }, batch = 4, epoch_size = 8 }
    open:load_state(state)
    expect(open.counts.step_progress):equals(.1)  -- nobody knows a better one
  end)
  it("does not start a time that was not started", function()
    local one = of(10)
    one.counts.seconds = 100
    local other = of(10)
    other:load_state(one:state())
    other:tick()
    expect({ other.counts.seconds, other.elapsed }):equals { 100, 100 }
    local fresh = of(10)
    fresh:start_time()
    fresh:tick()
    expect(fresh.counts.seconds < 1):is_true()
  end)
end)

describe("a budget's end", function()
  it("is foreseen of all that the steps use, FLOPs where they cost some", function()
    local function ends(budget, step, teacher)
      local one = clock.new { budget = budget, batch = 4, epoch_size = 8 }
      one:costs(step, teacher, 5)
      return one:ends()
    end
    expect({ ends({ flops = 9 }, 0, 0), ends({ flops = 9 }, 1, 0), ends({ flops = 9 }, 0, 1), ends({ seconds = 9 }, 0, 0),
      ends({ steps = 9 }, 0, 0), ends({ flops = 9, seconds = 9 }, 0, 0) }):equals { false, true, true, true, true, true }
  end)
end)
