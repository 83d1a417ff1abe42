-- The guide's three strategies by the columns of its table: what each draws, at which temperature, under how much augmentation.
local g = require "gradus"
local support = require "support"
local curriculum = g.curriculum

-- Ten epochs of ten steps, under a curriculum made of the training rows, whose order is their ranking.
local function distill(make, more)
  return support.with_run(nil, function(run)
    local d = support.points():split { train = .5, val = .5 }
    local options = { student = support.student(), teacher = support.student(4), data = d, batch = 12, budget = { epochs = 10 }, lr = .01,
      augmentations = { noise = .5 } }
    for key, value in pairs(more or {}) do options[key] = value end
    options.curriculum = make(d.train, run, options.student)
    return run:distill(options)
  end)
end

-- The values that a curve has one after the other, and the step at which each begins.
local function levels(seen, key)
  local values, from = {}, {}
  for _, pair in ipairs(seen.metric(key)) do
    if values[#values] ~= pair[2] then values[#values + 1], from[#from + 1] = pair[2], pair[1] end
  end
  return values, from
end

describe("the guide's strategies:", function()
  it("the ramp begins with the easiest alone, and hardens on a fixed schedule", function()
    local _, seen = distill(function(train) return curriculum.linear_ramp(train, { start = .2, full = .8, every = { epochs = 2 } }) end)
    local share, from = levels(seen, "knob/share")
    expect(share):near({ .2, .4, .6, .8, 1 }, 1e-9)
    expect(from):equals { 1, 21, 41, 61, 81 }
    expect(seen.stages[1].detail.rows):equals(24)
  end)
  it("the ramp keeps its temperature, and augments more as it hardens", function()
    local _, seen = distill(function(train) return curriculum.linear_ramp(train, { full = .5 }) end, { temperature = 3 })
    expect((levels(seen, "knob/temperature"))):equals { 3 }
    local augment = seen.values "knob/augment"
    expect({ augment[1], augment[26], augment[51], augment[100] }):near({ 0, .25, .5, .5 }, 1e-9)
  end)
  it("confidence has a temperature that follows the student, and steady augmentation", function()
    local _, seen = distill(function(train) return curriculum.confidence(train) end)
    local t, shown, mean = seen.values "knob/temperature", seen.values "train/confidence", nil
    expect(t[1]):equals(6)
    for i = 1, 99 do
      mean = mean and .9 * mean + .1 * shown[i] or shown[i]
      expect(t[i + 1]):near(6 - 4 * mean, 1e-5)
    end
    expect((levels(seen, "knob/augment"))):equals { .3 }
  end)
  it("multi_stage augments most where it is easiest", function()
    local _, seen = distill(function(train) return curriculum.multi_stage(train) end)
    local augment, from = levels(seen, "knob/augment")
    expect(augment):equals { .8, .5, .2 }
    expect({ seen.stages[2].step + 1, seen.stages[3].step + 1 }):equals { from[2], from[3] }
  end)
end)

describe("the loss on the current subset", function()
  it("is that of the stage's own rows, clean and at no temperature, at each evaluation", function()
    local wanted = {}
    local _, seen = distill(function(train, run, student)
      local easy = train:first(.3)
      local function look(view)
        return function()
          wanted[#wanted + 1] = run:evaluate(student, view).loss
          return #wanted == 4 and "next"
        end
      end
      return { { "easy", sample = easy, temperature = 6, augment = .8, advance = look(easy) },
        { "all", temperature = 2, augment = .8, advance = look(train) } }
    end)
    expect(seen.stages[2].step):equals(40)
    expect(seen.values "stage/loss"):near(wanted, 1e-6)
    expect(seen.values "stage/loss"):differs_from(seen.values "train/mean_loss")
  end)
end)
