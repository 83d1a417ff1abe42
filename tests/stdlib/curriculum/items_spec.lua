-- Lists that have more than their items: names beside them, which nobody would read, and items after a hole, which Lua does not count.
local g = require "gradus"
local a_run = require "a_run"
local support = require "support"
local nn, when = g.nn, g.when

local function refused(what, curriculum, text)
  it("refuses " .. what, function()
    a_run(function(run)
      expect(function()
        run:distill { student = support.student(), data = support.points(24), budget = { steps = 2 }, batch = 8, curriculum = curriculum }
      end):fails_with(text)
    end)
  end)
end

describe("a list of stages", function()
  refused("a knob beside them", { { "a", advance = when.steps(1) }, { "b" }, temperature = 3 },
    "curriculum: 'temperature' beside the items has no effect; expected it in each of them")
  refused("a stage that is nil", { { "a", advance = when.steps(1) }, nil, { "b" } }, "curriculum: item 2 is missing, before item 3")
  refused("defaults that are none", { temperature = 3, defaults = { lerning_rate = .1 } },
    "distill: curriculum: defaults: no option 'lerning_rate'")
  it("trains what the script lets be trained, and something", function()
    a_run(function(run)
      local student = support.student()
      student.layers[0]:freeze()
      expect(function()
        run:distill { student = student, data = support.points(24), budget = { steps = 2 }, curriculum = { train = { "layers.0" } } }
      end):fails_with "stage 'all': train: the student has no parameters to train under 'layers.0'"
    end)
  end)
end)

describe("lists of parts", function()
  local d = support.points(24)
  local hole = { { d:first(12), 1 }, { d:last(12), 1 } }
  hole[4] = { d, 1 }
  for text, make in pairs {
    ["sampler.mixture: 'share' beside the items"] = function() g.sampler.mixture { { d:first(12), 1 }, { d:last(12), 1 }, share = .3 } end,
    ["sampler.mixture: item 3 is missing, before item 4"] = function() g.sampler.mixture(hole) end,
    ["schedule.by_part: 'default' beside the items"] = function() g.schedule.by_part { { d, .5 }, default = 1 } end,
    ["schedule.pieces: 'every' beside the items"] = function() g.schedule.pieces { { 0, 1 }, every = 3 } end,
    ["curriculum.extraction: layers: 'lr' beside the items"] = function()
      g.curriculum.extraction { teacher = nn.Linear(2, 2), layers = { { from = "a", to = "b", steps = 1 }, lr = .1 } }
    end,
    ["target: 'weights' beside the items"] = function()
      g.target.resolve("target", { nn.Linear(2, 2), nn.Linear(2, 2), weights = { 1, 2 } })
    end,
  } do
    it("refuse what would not be heard: " .. text, function() expect(make):fails_with(text) end)
  end
end)

describe("what would never come", function()
  for text, make in pairs {
    ["schedule.pieces: share 2 is never reached; expected shares of the budget, up to 1"] = function()
      g.schedule.pieces { { 0, 1 }, { 2, 3 } }
    end,
    ["schedule.linear: to: expected a share of the budget"] = function() g.schedule.linear(1, 0, { to = { epochs = math.huge } }) end,
    ["when.above: expected a number; got"] = function() when.above("val/acc", 0 / 0) end,
    ["when.below: expected a number; got"] = function() when.below("val/acc", 0 / 0) end,
  } do
    it("is refused: " .. text, function() expect(make):fails_with(text) end)
  end
end)
