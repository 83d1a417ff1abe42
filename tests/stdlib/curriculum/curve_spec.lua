-- What follows from a curve that is known beforehand, in a training: rules, stages, the result's questions.
local g = require "gradus"
local foreseen = require "foreseen"
local support = require "support"
local curriculum, when = g.curriculum, g.when

local function distill(options) return support.with_run(nil, function(run) return run:distill(options) end) end

-- A function of the state that asks a rule and keeps what it says, evaluation by evaluation, without following it.
local function listening(rule)
  local said, numbers = {}, {}
  return function(s)
    local verdict, told = rule(s)
    said[#said + 1], numbers[#numbers + 1] = verdict or "-", told
    return false
  end, said, numbers
end

local function stages_of(seen)
  local names = {}
  for i, one in ipairs(seen.stages) do names[i] = ("%s@%d"):format(one.name, one.step) end
  return names
end

describe("a foreseen training", function()
  it("is what was foreseen", function()
    local _, seen = distill(foreseen.options({ 50, 90, 70, 71, 71, 41 }))
    expect(seen.values "val/acc"):near({ .9, .7, .71, .71, .41 }, 1e-12)
    _, seen = distill(foreseen.regression(2, 4))
    expect(seen.values "val/loss"):near({ 1, 0, 1, 4 }, 1e-9)
  end)
end)

describe("when.forgetting", function()
  it("is measured against the best, not against where the curve began", function()
    local advance, said, numbers = listening(when.forgetting(.1))
    distill(foreseen.options({ 50, 50, 90, 70 }, { curriculum = { advance = advance } }))
    expect(said):equals { "-", "-", "back" }
    expect(numbers[3].forgotten):near(.2, 1e-12)
  end)
  it("of a suite where there is an easy one", function()
    local advance, said = listening(when.forgetting(.1))
    distill(foreseen.options({ 50, 90, 50, 50 }, { suites = { easy = foreseen.suite { 50, 60, 70, 55 } },
      curriculum = { advance = advance } }))
    expect(said):equals { "-", "-", "back" }
  end)
end)

describe("going back", function()
  it("begins the stage before, not the first", function()
    local gone = false
    local _, seen = distill(foreseen.options({ 50, 50, 50, 50, 50, 50, 50 }, { curriculum = {
      { "one", advance = when.steps(1) }, { "two", advance = when.steps(1) },
      { "three", advance = function()
        if gone then return false end
        gone = true
        return "back"
      end } } }))
    expect(stages_of(seen)):equals { "one@0", "two@1", "three@2", "two@3", "three@4" }
  end)
  it("of a stage that loses a little at each of its turns is told by all that it lost", function()
    -- 3 points a turn: each turn alone is within the bound of 5, both together are not
    local suites = { easy = foreseen.suite { 10, 90, 87, 84, 90 }, hard = foreseen.suite { 10, 50, 50, 50, 70 } }
    local control = when.benchmarked { steps = 1, forget = .05 }
    local _, seen = distill(foreseen.options({ 10, 50, 50, 50, 50 }, { suites = suites, curriculum = {
      { "one", advance = control }, { "two", advance = control } } }))
    local said = {}
    for i, one in ipairs(seen.decisions) do said[i] = one.name end
    expect({ said[1], said[2], said[3] }):equals { "next", "stay", "back" }
    local numbers = seen.decisions[3].detail.numbers
    expect({ numbers.forgotten, numbers.easy_previous, numbers.turn }):near({ .06, .9, 2 }, 1e-12)
  end)
end)

describe("multi_stage", function()
  it("ends a stage whose validation loss is flat, long before its share of the budget", function()
    local result, seen = support.with_run(nil, function(run)
      local d = support.points():split { train = .5, val = .5 }
      local ranked = d.train:rank(g.score.loss(support.student(4)))
      return run:distill { student = support.student(), data = d, batch = 12, budget = { steps = 100 }, evaluate = { steps = 2 },
        lr = function() return 0 end, curriculum = curriculum.multi_stage(ranked) }
    end)
    local first = seen.decisions[1]
    expect({ first.name, first.step, first.detail.to }):equals { "next", 8, "medium" }
    expect(first.detail.numbers.evaluations):equals(3)
    expect(stages_of(seen)):equals { "easy@0", "medium@8", "hard@16" }
    expect(result.steps):equals(100)
  end)
end)

describe("a result", function()
  it("tells the value at a budget between two evaluations: the earlier one's", function()
    local flops = {}
    local result = distill(foreseen.options({ 10, 20, 30, 40 }, { curriculum = { advance = function(s)
      flops[#flops + 1] = s.flops
      if #flops == 3 then expect(s:at_flops("val/acc", (flops[1] + flops[2]) / 2)):near(.2, 1e-12) end
      return false
    end } }))
    expect(flops[1] > 0 and flops[2] > flops[1]):is_true()
    expect(result:at_flops("val/acc", flops[1] / 2)):equals(nil)
    expect(result:at_flops("val/acc", flops[1])):near(.2, 1e-12)
    expect(result:at_flops("val/acc", (flops[1] + flops[2]) / 2)):near(.2, 1e-12)
    expect(result:at_flops("val/acc", flops[2])):near(.3, 1e-12)
    expect(result:at_flops("val/acc", 2 * flops[3])):near(.4, 1e-12)
  end)
  it("tells how far a loss rose from its best, and an accuracy fell", function()
    -- losses 2.25, .25, .25, 2.25 and, one step later, 6.25
    local result = distill(foreseen.regression(2.5, 5))
    expect(result:forgetting "val/loss"):near(6, 1e-6)
    expect(distill(foreseen.regression(3, 3)):forgetting "val/loss"):near(0, 1e-9)
    expect(distill(foreseen.options { 50, 60, 90, 70 }):forgetting "val/acc"):near(.2, 1e-12)
  end)
end)

describe("health", function()
  -- Answers of both classes, then of class 0 alone: the rows of class 1 are wrong from the step `turn` on.
  local function collapses(turn, steps)
    local percent = { 90 }
    for i = 2, steps + 1 do percent[i] = i - 1 < turn and 90 or 50 end
    local x, y = {}, {}
    for i = 1, 100 do
      local never = i <= 45
      x[i], y[i] = { 1, never and -1 or turn - .5 }, (never or i > 90) and 0 or 1
    end
    local val = g.data.tensors(g.tensor(x), g.tensor(y, "int64"), { classes = 2 })
    local options = foreseen.options(percent)
    options.data.val = val
    local _, seen = distill(options)
    local told = {}
    for _, one in ipairs(seen.health) do
      if one.name == "collapsed" then told[#told + 1] = one.step end
    end
    return told, seen.values "val/acc"
  end
  it("tells that a student has collapsed at the third evaluation in a row, not at the second", function()
    local told, acc = collapses(3, 4)
    expect(acc):near({ .9, .9, .55, .55 }, 1e-12)
    expect(told):equals {}
    expect((collapses(3, 6))):equals { 5 }
  end)
end)
