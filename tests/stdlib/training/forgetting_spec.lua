local g = require "gradus"
local foreseen = require "foreseen"
local support = require "support"
local forgetting = require "gradus.training.forgetting"

local function distill(options)
  return support.with_run({}, function(run) return run:distill(options) end)
end

local function rows(...) return g.tensor({ ... }, "bool") end

describe("what is forgotten", function()
  it("was right at any evaluation before, and is wrong", function()
    local f, shares = forgetting.new(), {}
    for i, now in ipairs { rows(true, true, false, false), rows(true, false, true, false), rows(false, false, true, true),
      rows(true, true, true, true) } do
      shares[i] = f:look("easy", { now:slice(0, 0, 1), now:slice(0, 1, 4) })
    end
    expect(shares):equals { 0, .25, .5, 0 }
    expect(f:look("hard", { rows(false) })):equals(0)  -- a suite of its own
    expect(f:look("none", {})):equals(nil)
  end)
  it("goes on where it was saved", function()
    local f, other = forgetting.new(), forgetting.new()
    f:look("easy", { rows(true, false) })
    local kept = f:state()
    f:look("easy", { rows(false, true) })
    other:load_state(kept)
    expect(other:look("easy", { rows(false, false) })):equals(.5)
    expect(f:look("easy", { rows(false, false) })):equals(1)
  end)
end)

describe("distill's forgetting", function()
  it("is seen where as many examples were lost as won, by suite", function()
    -- .6 .4 .6: twenty are lost and twenty others won
    local result, seen = distill(foreseen.options({ 50, 60, 40, 60 }, { suites = { easy = foreseen.suite { 50, 90, 90, 100 } } }))
    expect(seen.values "val/acc"):near({ .6, .4, .6 }, 1e-12)
    expect(seen.values "val/forgotten"):near({ 0, .2, .2 }, 1e-12)
    expect(seen.values "easy/forgotten"):near({ 0, 0, 0 }, 1e-12)
    expect({ result:forgetting "val", result:forgetting "easy", result:forgetting "val/acc" }):near({ .2, 0, 0 }, 1e-12)
  end)
  it("counts no row without a label", function()
    local options = foreseen.options { 50, 90, 70 }
    local x, y = options.data.val:gather()
    local unknown = g.tensor({ -100, -100, -100, -100 }, "int64")
    options.data.val = g.data.tensors(g.cat { x, x:slice(0, 0, 4) }, g.cat { y, unknown }, { classes = 2 })
    local result, seen = distill(options)
    expect(seen.values "val/forgotten"):near({ 0, .2 }, 1e-12)
    expect(result:forgetting "val"):near(.2, 1e-12)
  end)
  it("may be ruled by, and has a direction", function()
    local steps = {}
    local _, seen = distill(foreseen.options({ 50, 90, 60, 60, 60 }, { curriculum = { advance = function(s)
      steps[#steps + 1] = s:last "val/forgotten"
      return s:last "val/forgotten" > .2 and "stop"
    end } }))
    expect(steps):near({ 0, .3 }, 1e-12)
    expect(seen.decisions[1].name):equals "stop"
    expect(select(2, pcall(distill, foreseen.options({ 50, 60 }, { curriculum = { advance = g.when.above("val/forgoten", .1) } }))))
      :matches "did you mean 'val/forgotten'"
  end)
  it("counts labels of several, position by position", function()
    local x, y = g.randn({ 64, 4 }, { generator = g.generator(1) }), g.zeros { 64, 3 }
    local d = g.data.tensors(x, y:copy_(x:slice(1, 0, 3):gt(0)), { labels = "multilabel" })
    local result = distill { student = g.nn.Linear(4, 3), data = { train = d, val = d }, batch = 16, budget = { steps = 12 }, lr = 3,
      evaluate = { steps = 1 }, restore_best = false, optimizer = "SGD" }
    local lost = result:forgetting "val" * 64 * 3
    expect(lost):near(math.floor(lost + .5), 1e-9)
    expect(result:forgetting "val" <= 1 - result:last "val/acc" + 1e-9):is_true()
  end)
  it("says nothing of numbers, nor of a layer that is aligned", function()
    local _, seen = distill(foreseen.regression(3, 3))
    expect(seen.values "val/forgotten"):equals {}
    expect(select(2, pcall(distill, foreseen.regression(3, 3, { curriculum = { advance = g.when.below("val/forgotten", .1) } }))))
      :matches "no metric 'val/forgotten'"
  end)
  it("names the data sets there are", function()
    local result = distill(foreseen.options { 50, 60 })
    expect(function() result:forgetting "vall" end)
      :fails_with "no metric 'vall/forgotten' is evaluated in this run; did you mean 'val/forgotten'"
  end)
end)
