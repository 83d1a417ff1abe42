local g = require "gradus"
local support = require "support"
local schedule, sampler, when = g.schedule, g.sampler, g.when

-- 120 rows in batches of 12: ten steps an epoch. Returns the levels' { step, name, rows } and what was seen.
local function levels(curriculum, options)
  local _, seen = support.with_run({}, function(run)
    local d = support.points():split { train = .5, val = .5 }
    local ranked = d.train:rank(g.score.loss(support.student(4)))
    local given = { student = support.student(), data = d, batch = 12, budget = { epochs = 10 }, lr = .01, augment = 0,
      curriculum = curriculum(ranked) }
    for name, value in pairs(options or {}) do given[name] = value end
    run:distill(given)
  end)
  local list = {}
  for i, one in ipairs(seen.levels) do list[i] = { one.step, one.name, one.detail.rows } end
  return list, seen
end

describe("the levels of a ramp", function()
  it("are told where each begins, the first with its stage", function()
    local list, seen = levels(function(ranked)
      return g.curriculum.linear_ramp(ranked, { levels = 3, start = .2, full = .6, augment = 0 })
    end)
    expect(list):equals { { 0, "level 1", 24 }, { 20, "level 2", 72 }, { 40, "level 3", 120 } }
    expect(seen.levels[2].detail.stage):equals "all"
    expect(#seen.stages):equals(1)
  end)
  it("are those of a schedule that holds: pieces, and what moves every so often", function()
    expect((levels(function(ranked) return { sample = sampler.easiest(ranked, schedule.pieces { { 0, .5 }, { .5, 1 } }) } end)))
      :equals { { 0, "level 1", 60 }, { 50, "level 2", 120 } }
    expect((levels(function(ranked)
      return { sample = sampler.self_paced(ranked, schedule.linear(.5, 1, { to = { epochs = 8 }, every = { epochs = 4 } })) }
    end))):equals { { 0, "level 1", 60 }, { 40, "level 2", 90 }, { 80, "level 3", 120 } }
  end)
  it("are none where the share moves all the time, is a function, or does not move", function()
    for _, share in ipairs { schedule.linear(.2, 1), .5, function(s) return s.epoch < 5 and .5 or 1 end } do
      expect((levels(function(ranked) return { sample = sampler.easiest(ranked, share) } end))):equals {}
    end
    expect((levels(function() return {} end))):equals {}
  end)
  it("begin anew with each stage that has a ramp", function()
    expect((levels(function(ranked)
      local ramp = sampler.easiest(ranked, schedule.staircase(.5, 1, 2, { to = .4 }))
      return { { "one", sample = ramp, advance = when.steps(30) }, { "two", sample = ranked, advance = when.steps(10) },
        { "three", sample = ramp } }
    end))):equals { { 0, "level 1", 60 }, { 20, "level 2", 120 }, { 40, "level 1", 120 } }
  end)
  it("end with an evaluation, and a row of progress, whenever the next one is due", function()
    local _, seen = levels(function(ranked) return g.curriculum.linear_ramp(ranked, { levels = 2, full = .6, augment = 0 }) end,
      { evaluate = { epochs = 7 } })
    local steps = {}
    for i, pair in ipairs(seen.metric "val/acc") do steps[i] = pair[1] end
    expect(steps):equals { 30, 70, 100 }
  end)
end)
