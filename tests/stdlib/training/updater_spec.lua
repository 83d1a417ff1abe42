-- The learning rate that distill and fit make of lr, decay and warmup.
local g = require "gradus"
local updater = require "gradus.training.updater"
local schedule = g.schedule

local function rates(options, own)
  local lr, list = updater.learning_rate("spec", options, own), {}
  for i, progress in ipairs { 0, .025, .05, .1, .2, .5, 1 } do
    list[i] = type(lr) == "number" and lr or schedule.value(lr, { progress = progress, step = 1000 * progress, step_progress = .001 })
  end
  return list
end

describe("a learning rate", function()
  it("of one number warms up over a twentieth, then falls as a cosine", function()
    local list = rates {}
    expect(list[2]):near(5e-4, 5e-5)
    expect(list[3]):near(1e-3, 1e-5)
    for i = 4, 7 do assert(list[i] < list[i - 1]) end
    expect(list[7]):near(0, 1e-6)
    local other = rates({}, .5)
    for i = 1, 7 do expect(other[i]):near(500 * list[i], 1e-9) end
  end)
  it("warms up as long as is said, or not at all", function()
    local list = rates { lr = 2, decay = "constant", warmup = .2 }
    expect(list[4]):near(1, .05)
    for i = 5, 7 do expect(list[i]):near(2) end
    for _, none in ipairs { 0, false } do expect(rates { lr = 2, decay = "constant", warmup = none }):near { 2, 2, 2, 2, 2, 2, 2 } end
    local short = rates { lr = 2, decay = "constant" }
    assert(short[2] < 1.2)
    for i = 3, 7 do expect(short[i]):near(2) end
  end)
  it("that is a schedule is itself, unless a warm-up is asked for", function()
    expect(rates { lr = schedule.linear(1, 0) }):near { 1, .975, .95, .9, .8, .5, 0 }
    local warmed = rates { lr = schedule.linear(1, 0), warmup = .2 }
    assert(warmed[4] < .6)
    expect(warmed[6]):near(.5, .2)
  end)
  it("has one decay", function()
    expect(function() updater.learning_rate("spec", { lr = schedule.linear(1, 0), decay = "cosine" }) end)
      :fails_with "spec: decay: lr is a schedule already; expected decay = 'constant' or a number as lr"
    for _, lr in ipairs { 0, -1, 1 / 0 } do expect(function() updater.learning_rate("spec", { lr = lr }) end):fails_with "spec: lr" end
  end)
end)
