local g = require "gradus"
local support = require "support"

-- The texts of the warnings that calls of a step with these knobs, one after the other, give.
local function warnings(fn, calls, options)
  local _, seen = support.with_run({}, function(run)
    local step = run:step(fn, options)
    local x = g.ones(2, 2)
    for _, knobs in ipairs(calls) do step({ x = x }, knobs) end
  end)
  local texts = {}
  for i, one in ipairs(seen.warnings) do texts[i] = one.detail.text end
  return texts
end

local function scaled(b, k) return { loss = (b.x * k.alpha):mean() * k.lr } end

describe("a knob that the step does not ask for", function()
  it("is told once, with the nearest of those that it asks for", function()
    local given = { alpha = 1, lr = 2, alfa = 3 }
    local texts = warnings(scaled, { given, given, given, { alpha = 2, lr = 2, alfa = 1 } })
    expect(#texts):equals(1)
    expect(texts[1]):matches "the step at .*knobs_spec.lua:%d+ does not ask for the knob 'alfa'; did you mean 'alpha'%?"
  end)
  it("names what is asked for where none is near, or that nothing is", function()
    expect(warnings(scaled, { { alpha = 1, lr = 2, momentum = .9 } })[1]):matches "'momentum'; it asks for alpha, lr$"
    expect(warnings(function(b) return { loss = b.x:mean() } end, { { alpha = 1 } })[1]):matches "'alpha'; it asks for none$"
  end)
  it("is told in the order of the names, by whatever prints", function()
    local texts = {}
    support.with_run({}, function(run)
      run.line = setmetatable({ say = function(text)
        io.write ""
        texts[#texts + 1] = text:match "the knob '(%w+)'"
      end }, { __index = run.line })
      run:step(scaled)({ x = g.ones(2, 2) }, { alpha = 1, lr = 1, e = 1, d = 1, c = 1, b = 1, a = 1 })
    end)
    expect(texts):equals { "a", "b", "c", "d", "e" }
  end)
  it("is told when it comes later, too", function()
    expect(#warnings(scaled, { { alpha = 1, lr = 2 }, { alpha = 1, lr = 2 }, { alpha = 1, lr = 2, warm = 0 } })):equals(1)
  end)
  it("is an error with --strict", function()
    expect(function()
      support.with_run({ strict = true }, function(run) run:step(scaled)({ x = g.ones(1) }, { alpha = 1, lr = 1, beta = 1 }) end)
    end):fails_with "does not ask for the knob 'beta'"
  end)
  it("is none that a loss of the library takes, that pairs goes over, or that the caller answers for", function()
    local x, y = g.randn { 4, 3 }, g.tensor({ 0, 1, 2, 0 }, "int64")
    local function kd(_, k) return { loss = g.kd_loss(x, x, y, k).loss * k.lr } end
    expect(warnings(kd, { { alpha = .5, temperature = 2, lr = 1 } })):equals {}
    expect(#warnings(kd, { { alpha = .5, temperature = 2, lr = 1, temprature = 2 } })):equals(1)
    expect(warnings(function(b, k)
      local sum = 0
      for _, value in pairs(k) do sum = sum + value end
      return { loss = b.x:mean() * sum }
    end, { { one = 1, two = 2 } })):equals {}
    expect(warnings(scaled, { { alpha = 1, lr = 1, beta = 1 } }, { own_knobs = true })):equals {}
  end)
  it("is none of a training's own steps, in which a layer's target takes no temperature", function()
    local _, seen = support.with_run({}, function(run)
      local d, teacher = support.points():split { train = .5, val = .5 }, support.student(12)
      run:distill { teacher = teacher, student = support.student(), data = d, batch = 12, budget = { steps = 12 }, lr = .01,
        curriculum = g.curriculum.extraction { teacher = teacher, layers = { { from = "layers.1", to = "layers.0", steps = 6 } } } }
    end)
    for _, one in ipairs(seen.warnings) do expect(one.name):differs_from "step_knob" end
  end)
end)

describe("the knobs of a step", function()
  it("that were not given are errors", function()
    expect(function() warnings(function(_, k) return { loss = k.alfa } end, { { alpha = 1 } }) end)
      :fails_with "step: no knob 'alfa' was given; did you mean 'alpha'?"
  end)
end)

describe("a warning of a knob", function()
  it("is given once for each name, to whoever takes it", function()
    local said = {}
    local one = require("gradus.step.step").new(function(b, k) return b.x * k.lr end, function(name, text)
      said[#said + 1] = name .. ": " .. text:match "the knob .*$"
    end)
    for _, knobs in ipairs { { lr = 1, rl = 2 }, { lr = 1, rl = 2, far = 3 }, { lr = 1, rl = 2, far = 3 } } do
      one({ x = g.ones(2) }, knobs)
    end
    expect(said):equals { "step_knob: the knob 'rl'; did you mean 'lr'?", "step_knob: the knob 'far'; it asks for lr" }
  end)
end)
