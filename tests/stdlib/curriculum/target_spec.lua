local g = require "gradus"
local a_run = require "a_run"
local nn, target = g.nn, g.target

local function scaled(factor)
  local t = nn.Linear(3, 3, { bias = false })
  g.no_grad(function() t.weight:copy_(g.eye(3) * factor) end)
  return t
end

describe("a target", function()
  it("of a module is its logits, without gradient and in evaluation mode", function()
    local t = nn.Sequential { scaled(2), nn.Dropout(.5) }
    t:train()
    local goal = target.resolve("t", t)
    local out = goal.of(g.tensor { { 1, 2, 3 } })
    expect(out:totable()):equals { { 2, 4, 6 } }
    expect(out.requires_grad):is_false()
    expect({ goal.kind, goal.teacher == t }):equals { "logits", true }
  end)
  it("of several modules is the weighted mean of their logits", function()
    local goal = target.resolve("t", { { scaled(1), 3 }, { scaled(5), 1 } })
    expect(goal.of(g.tensor { { 1, 2, 3 } }):totable()):equals { { 2, 4, 6 } }
    expect(goal.text):equals "2 teachers"
  end)
  it("of several modules refuses those that would be broadcast", function()
    local goal = target.resolve("t", { scaled(1), nn.Linear(3, 1) })
    expect(function() goal.of(g.ones(2, 3)) end):fails_with "t: teacher 2 gives [2, 1], the first [2, 3]; expected the same classes of all"
  end)
  it("of labels asks nobody", function()
    for _, answer in ipairs { "labels", false } do
      local goal = target.resolve("t", answer or nil)
      expect({ goal.kind, goal.of == nil }):equals { "labels", true }
    end
  end)
  it("of a layer is the layer through a fixed matrix, centred and scaled by what it is on the rows given", function()
    local teacher, student = nn.MLP { 4, 8, 3 }, nn.MLP { 4, 5, 3 }
    local x = g.randn(64, 4)
    local _, taps = teacher:forward_taps(x, { "layers.0" })
    local projected = taps["layers.0"]:detach():matmul(g.loss.projection(8, 5, 7))
    local plain = target.layer { teacher = teacher, from = "layers.0", to = "layers.0", seed = 7, normalise = false }
    expect(target.resolve("t", plain) == plain):is_true()
    plain.prepare(student, function() return x end)
    expect(plain.of(x):allclose(projected)):is_true()
    local scaled_one = target.layer { teacher = teacher, from = "layers.0", to = "layers.0", seed = 7 }
    scaled_one.prepare(student, function() return x end)
    local out = scaled_one.of(x)
    local wanted = (projected - projected:mean { dim = { 0 } }) / projected:std { dim = { 0 }, correction = 0 }
    expect((out - wanted):abs():amax():item() < 1e-4):is_true()
    expect({ scaled_one.kind, out.requires_grad, scaled_one.detail.student_width }):equals { "layer", false, 5 }
  end)
  describe("of a layer that is never negative", function()
    local teacher, student, x = nn.MLP { 4, 8, 3 }, nn.MLP { 4, 5, 3 }, g.randn(256, 4)
    local function goal(more)
      local options = { teacher = teacher, from = "layers.1", to = "layers.1", seed = 7 }
      for key, value in pairs(more) do options[key] = value end
      local made = target.layer(options)
      made.prepare(student, function() return x end)
      return made
    end
    it("is cut at 0, of what it would be without; how much that is is told", function()
      for _, normalise in ipairs { true, false } do
        local plain, cut = goal { reach = false, normalise = normalise }, goal { normalise = normalise }
        expect(cut.of(x):allclose(plain.of(x):relu())):is_true()
        expect(cut.detail.out_of_reach):near(plain.of(x):lt(0):double():mean():item(), 1e-3)
        expect({ cut.detail.cut, cut.doubt, plain.detail.cut }):equals { true, nil, nil }
        expect(plain.doubt):matches "%% of the target is negative, and 'layers.1' of the student never is"
        expect(plain.identity()):differs_from(cut.identity())
      end
    end)
    it("is the whole where the layer may be negative", function()
      local before = goal { to = "layers.0" }
      expect({ before.detail.out_of_reach, before.detail.cut, before.doubt }):equals {}
      expect(before.of(x):lt(0):any():item()):is_true()
    end)
    it("is taken back from a snapshot as it was", function()
      local one = goal {}
      local other = target.layer { teacher = teacher, from = "layers.1", to = "layers.1", seed = 7 }
      expect(other.load_state(one.state())):is_true()
      expect(other.of(x):equal(one.of(x))):is_true()
      for _, more in ipairs { { from = "layers.0" }, { to = "layers.0" }, { seed = 8 }, { normalise = false }, { reach = false } } do
        local third, before = goal(more), goal(more)
        expect({ third.load_state(one.state()), third.of(x):equal(before.of(x)) }):equals { false, true }
      end
    end)
  end)
  it("of a layer after a ReLU keeps the units alive, which the plain one kills", function()
    local d = g.data.digits():split({ train = .6, val = .4 }, { seed = 1 })
    local function build() return nn.ConvNet { channels = { 16, 32 }, classes = 10, input = { 1, 8, 8 } } end
    local function silent(reach)
      local zero
      a_run(function(run)
        local teacher = run:fit { model = build(), data = d, epochs = 4, lr = 2e-3 }
        local student = nn.ConvNet { channels = { 4, 8 }, classes = 10, input = { 1, 8, 8 } }
        run:distill { teacher = teacher, student = student, data = d, budget = { epochs = 40 }, lr = 2e-2, restore_best = false,
          curriculum = g.curriculum.extraction { teacher = teacher, reach = reach, layers = {
            { from = "features.3", to = "features.3", share = .4 }, { from = "features.7", to = "features.7", share = .4 } } } }
        local _, taps = student:forward_taps((d.val:gather()), { "features.7" }, { stop = true })
        zero = taps["features.7"]:eq(0):double():mean():item()
      end, { seed = 3 })
      return zero
    end
    expect(silent(true) < .4):is_true()
    expect(silent(false) > .9):is_true()
  end)
  it("is the mean of several teachers that are given without weights", function()
    local a, b = scaled(1), scaled(3)
    local x = g.randn { 4, 3 }
    local alike, weighted = target.resolve("t", { a, b }), target.resolve("t", { { a, 2 }, { b, 2 } })
    expect(alike.of(x):equal(weighted.of(x))):is_true()
    expect({ alike.text, #alike.teachers }):equals { "2 teachers", 2 }
    local list = target.resolve("t", nn.ModuleList { a, b })
    expect({ list.text, list.of(x):equal(alike.of(x)) }):equals { "2 teachers", true }
    expect(target.resolve("t", { a, { b, 3 } }).of(x):allclose(target.resolve("t", { { a, 1 }, { b, 3 } }).of(x))):is_true()
  end)
  local cases = {
    { "a number", function() target.resolve("stage 'a': target", 5) end,
      "stage 'a': target: expected a module, { module, … }, { { module, weight }, … }, 'labels' or target.layer; got 5" },
    { "teachers by name", function() target.resolve("t", { a = scaled(1) }) end,
      "t: expected a module, { module, … }, { { module, weight }, … }, 'labels' or target.layer; got a table" },
    { "a misspelt word", function() target.resolve("t", "label") end,
      "t: expected a module, { module, … }, { { module, weight }, … }, 'labels' or target.layer; got 'label'" },
    { "a teacher without weight", function() target.resolve("t", { { scaled(1) } }) end,
      "t: teacher 1: expected a module, or { module, weight above 0 }" },
    { "a weight of 0", function() target.resolve("t", { { scaled(1), 1 }, { scaled(1), 0 } }) end,
      "t: teacher 2: expected a module, or { module, weight above 0 }" },
    { "an infinite weight", function() target.resolve("t", { { scaled(1), 1 / 0 } }) end, "t: teacher 1: expected a module, or" },
    { "a name among teachers", function() target.resolve("t", { scaled(1), "labels" }) end, "t: teacher 2: expected a module, or" },
    { "a layer of nobody", function() target.layer { from = "a", to = "b" } end,
      "target.layer: teacher: expected a module" },
    { "a layer without a path", function() target.layer { teacher = scaled(1), from = "a" } end,
      "target.layer: to: expected a layer's path" },
    { "a reach that is a number", function() target.layer { teacher = scaled(1), from = "a", to = "b", reach = .5 } end,
      "target.layer: 'reach': expected true or false; got 0.5" },
    { "a misspelt option", function() target.layer { teacher = scaled(1), form = "a", to = "b" } end,
      "target.layer: no option 'form'; did you mean 'from'?" },
  }
  for _, case in ipairs(cases) do
    it("refuses " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)

describe("a target on a device", function()
  it("has its teachers there; on the CPU they stay what they are", function()
    local asked = {}
    local Moved = g.nn.class "Moved"
    function Moved:init(name) self.name = name end
    function Moved:forward(x) return x end
    function Moved:to(device)
      asked[#asked + 1] = self.name .. " to " .. device
      return self
    end
    for _, case in ipairs { { Moved "a", { "a to cuda" } }, { { Moved "a", Moved "b" }, { "a to cuda", "b to cuda" } }, { "labels", {} } } do
      local one = g.target.resolve("target", case[1])
      expect(rawequal(one:on "cpu", one)):is_true()
      expect(asked):equals {}
      expect(rawequal(one:on "cuda", one)):is_true()
      expect(asked):equals(case[2])
      asked = {}
    end
  end)
end)
