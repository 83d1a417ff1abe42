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
