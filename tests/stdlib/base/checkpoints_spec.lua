-- Weights at several steps of a training.
local g = require "gradus"
local checkpoints = require "gradus.base.checkpoints"

local function steps(kept)
  local list = {}
  for i = 1, kept:count() do list[i] = kept:step(i) end
  return list
end

-- One at each of the steps; the weight is the step.
local function kept_at(list)
  local kept, model = checkpoints.new(), g.nn.Linear(1, 1, { bias = false })
  for _, step in ipairs(list) do
    g.no_grad(function() model.weight:fill_(step) end)
    kept:keep(step, model)
  end
  return kept, model
end

local function weight(model) return model.weight:item() end

describe("checkpoints", function()
  it("keep copies, and of one step the last", function()
    local kept, model = kept_at { 1, 2, 2, 5 }
    expect(steps(kept)):equals { 1, 2, 5 }
    for i, value in ipairs { 1, 2, 5 } do expect(weight(kept:load(model, i))):equals(value) end
    g.no_grad(function() model.weight:fill_(9) end)
    kept:keep(5, model)
    expect(steps(kept)):equals { 1, 2, 5 }
    g.no_grad(function() model.weight:fill_(0) end)
    expect(weight(kept:load(model, 3))):equals(9)
  end)
  it("are thinned evenly, always with the last", function()
    for count, wanted in ipairs { { 10 }, { 5, 10 }, { 3, 7, 10 }, { 3, 5, 8, 10 }, { 2, 4, 6, 8, 10 } } do
      local all = {}
      for i = 1, 10 do all[i] = i end
      expect(steps(kept_at(all):thin(count))):equals(wanted)
    end
    expect(steps(kept_at({ 1, 2 }):thin(5))):equals { 1, 2 }
    expect(steps(checkpoints.new():thin(3))):equals {}
  end)
  it("are chosen with each one's weights in the model, always with the last", function()
    local kept, model = kept_at { 1, 2, 3, 4 }
    local seen = {}
    local chosen = kept:choose(model, function(with, step)
      seen[#seen + 1] = { weight(with), step }
      return step == 2
    end)
    expect(seen):equals { { 1, 1 }, { 2, 2 }, { 3, 3 }, { 4, 4 } }
    expect(steps(chosen)):equals { 2, 4 }
    expect(steps(kept:choose(model, function() return true end))):equals { 1, 2, 3, 4 }
    expect(steps(kept:choose(model, function() return false end))):equals { 4 }
  end)
  it("go through their state, whatever was kept before", function()
    local kept, model = kept_at { 3, 20, 100 }
    local again = kept_at({ 7 }):adopt(kept:state_dict())
    expect(steps(again)):equals { 3, 20, 100 }
    for i, value in ipairs { 3, 20, 100 } do expect(weight(again:load(model, i))):equals(value) end
    for _, wrong in ipairs { { weight = g.ones(1) }, { ["3.weight"] = 1 }, { [1] = g.ones(1) } } do
      expect(function() kept:adopt(wrong) end):fails_with "not a checkpoint's weight: "
    end
    expect(function() kept:adopt "state" end):fails_with "checkpoints:adopt: 'state': expected"
  end)
  it("refuse what is no module, no step, no place", function()
    local kept, model = kept_at { 1, 2 }
    for _, one in ipairs { false, 3, "net", {}, g.ones(2) } do
      for name, call in pairs { keep = function() kept:keep(5, one) end, load = function() kept:load(one, 1) end,
        choose = function() kept:choose(one, function() return true end) end } do
        expect(call):fails_with(("checkpoints:%s: 'model': expected a module; got "):format(name))
      end
    end
    for _, step in ipairs { -1, 1.5, "1" } do
      expect(function() kept:keep(step, model) end):fails_with "checkpoints:keep: 'step': expected"
    end
    for _, i in ipairs { 0, 3, 1.5 } do
      expect(function() kept:step(i) end):fails_with(("no checkpoint %s; expected 1 to 2"):format(i))
      expect(function() kept:load(model, i) end):fails_with(("no checkpoint %s; expected 1 to 2"):format(i))
    end
    expect(function() kept:thin(0) end):fails_with "checkpoints:thin: 'count': expected"
    expect(function() kept:choose(model, 1) end):fails_with "checkpoints:choose: 'fn': expected"
    expect(steps(kept)):equals { 1, 2 }
  end)
  it("are checkpoints, and nothing else is", function()
    expect(checkpoints.is(checkpoints.new())):is_true()
    for _, one in ipairs { false, 1, "kept", {} } do expect(checkpoints.is(one)):is_false() end
  end)
end)

describe("checkpoints of another model", function()
  it("are not loaded, nothing of them", function()
    local kept, model = kept_at { 1, 2 }
    for _, case in ipairs { { g.nn.Linear(1, 1), "checkpoints:load: missing: bias" }, { g.nn.Sequential { model }, "unexpected: weight" },
      { g.nn.Linear(2, 1, { bias = false }), "different: weight is [1, 1], expected [1, 2]" } } do
      local before = case[1]:state_dict()
      for name, one in pairs(before) do before[name] = one:clone() end
      expect(function() kept:load(case[1], 1) end):fails_with(case[2])
      for name, one in pairs(case[1]:state_dict()) do expect(one:equal(before[name])):is_true() end
    end
    expect(function() kept:choose(g.nn.Linear(1, 1), function() return true end) end):fails_with "checkpoints:load: missing: bias"
  end)
end)
