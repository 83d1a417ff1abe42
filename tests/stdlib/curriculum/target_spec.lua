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
    for _, case in ipairs { { Moved "a", { "a to cuda" } }, { { Moved "a", Moved "b" }, { "a to cuda", "b to cuda" } },
      { "labels", {} } } do
      local one = g.target.resolve("target", case[1])
      expect(rawequal(one:on "cpu", one)):is_true()
      expect(asked):equals {}
      expect(rawequal(one:on "cuda", one)):is_true()
      expect(asked):equals(case[2])
      asked = {}
    end
  end)
end)

describe("a layer's target in numbers", function()
  local teacher, student = nn.Sequential { nn.Embedding(5, 3) }, nn.Sequential { nn.Embedding(5, 4) }
  local padded = nn.Sequential { teacher[0] }
  padded.pad_token = 0
  local x = g.tensor({ { 1, 2, 0 }, { 3, 0, 0 } }, "int64")
  local places = { { 1, 1, 0 }, { 1, 0, 0 } }
  local P = g.loss.projection(3, 4, 7)

  local function goal(of, more)
    local options = { teacher = of, from = "0", to = "0", seed = 7 }
    for key, value in pairs(more or {}) do options[key] = value end
    local made = target.layer(options)
    made.prepare(student, function() return x end)
    return made
  end
  -- The mean of each position's squared error, by these weights of positions.
  local function by_hand(wanted, weights)
    local squares, sum, total = (student[0](x) - wanted):square():mean({ dim = { -1 } }):detach():totable(), 0, 0
    for n, row in ipairs(weights) do
      for i, weight in ipairs(row) do sum, total = sum + weight * squares[n][i], total + weight end
    end
    return sum / total
  end
  it("is centred and scaled by the positions that are no padding", function()
    local projected = teacher[0](x):detach():matmul(P)
    for _, case in ipairs { { padded, { 0, 1, 3 } }, { teacher, { 0, 1, 2, 3, 4, 5 } } } do
      local rows = projected:reshape({ 6, 4 }):index_select(0, g.tensor(case[2], "int64"))
      local mean, sd = rows:mean { dim = { 0 } }, rows:std { dim = { 0 }, correction = 0 }
      expect(goal(case[1]).of(x):allclose((projected - mean) / sd, { rtol = 1e-4, atol = 1e-4 })):is_true()
    end
  end)
  it("has the mean over positions that are no padding, by the rows' weights, and their mass", function()
    local weight = g.tensor { 3, 1 }
    local apart, alike = goal(padded), goal(teacher)
    local b = { x = x, teacher = apart.of(x) }
    expect(apart.loss(student, b):item()):near(by_hand(b.teacher, places), 1e-5)
    expect(apart.mass(b):item()):equals(3)
    b.weight = weight
    expect(apart.loss(student, b):item()):near(by_hand(b.teacher, { { 3, 3, 0 }, { 1, 0, 0 } }), 1e-5)
    expect(apart.mass(b):item()):equals(7)
    b = { x = x, teacher = alike.of(x) }
    expect(alike.loss(student, b):item()):near(by_hand(b.teacher, { { 1, 1, 1 }, { 1, 1, 1 } }), 1e-5)
    expect(alike.mass(b)):equals(2)
    b.weight = weight
    expect(alike.loss(student, b):item()):near(by_hand(b.teacher, { { 3, 3, 3 }, { 1, 1, 1 } }), 1e-5)
    expect(alike.mass(b):item()):equals(4)
  end)
  it("takes channels and places of an image together", function()
    local theirs, ours = nn.Sequential { nn.Conv2d(1, 2, 3) }, nn.Sequential { nn.Conv2d(1, 3, 3) }
    local images = g.randn { 4, 1, 4, 4 }
    local one = target.layer { teacher = theirs, from = "0", to = "0", seed = 7, normalise = false }
    one.prepare(ours, function() return images end)
    expect({ one.of(images).shape == g.zeros(4, 12).shape, one.student(ours, images).shape == g.zeros(4, 12).shape }):equals { true, true }
    expect(one.of(images):allclose(theirs[0](images):detach():flatten(1):matmul(g.loss.projection(8, 12, 7)))):is_true()
  end)
  it("tells what it is", function()
    expect(goal(teacher).detail):equals { from = "0", to = "0", seed = 7, teacher_width = 3, student_width = 4, normalise = true, rows = 2 }
    expect(goal(padded, { normalise = false }).detail.normalise):is_false()
    expect({ goal(teacher).text, goal(teacher).kind }):equals { "layer 0 -> 0", "layer" }
  end)
  it("is none of a layer that is constant", function()
    local dead = scaled(0)
    local one = target.layer { teacher = nn.Sequential { dead }, from = "0", to = "0", seed = 7 }
    expect(function() one.prepare(nn.Sequential { nn.Linear(3, 2) }, function() return g.randn(6, 3) end) end):fails_with
      "target.layer: '0' of the teacher is constant on 6 rows; it teaches nothing"
  end)
  it("is in doubt only where some of it is out of reach", function()
    local positive = nn.Sequential { nn.Linear(3, 2), nn.ReLU() }
    local drawn = g.randn(200, 3)
    local above = drawn:index_select(0, drawn:matmul(g.loss.projection(3, 2, 7)):amin({ dim = { 1 } }):gt(0):nonzero():flatten())
    for sign, doubt in pairs { [1] = false, [-1] = true } do
      local theirs = nn.Sequential { scaled(sign) }
      local one = target.layer { teacher = theirs, from = "0", to = "1", seed = 7, normalise = false, reach = false }
      one.prepare(positive, function() return above end)
      expect({ one.doubt ~= nil, one.detail.out_of_reach, one.detail.cut }):equals { doubt, doubt and 1 or 0 }
    end
  end)
end)

describe("what a layer's target depends on", function()
  it("is the teacher, the layer, and all that was measured", function()
    local teacher, x = nn.MLP { 4, 8, 3 }, g.randn(64, 4)
    local function identity(more)
      local options = { teacher = teacher, from = "layers.1", to = "layers.1", seed = 7 }
      for key, value in pairs(more) do options[key] = value end
      local made = target.layer(options)
      made.prepare(nn.MLP { 4, 5, 3 }, function() return x end)
      return made.identity(), made
    end
    local function words(list)
      local said = { rawequal(list[1], teacher), list[2] }
      for i = 3, 5 do said[i] = g.is_tensor(list[i]) and tostring(list[i].shape) or list[i] end
      return said
    end
    expect(words((identity {}))):equals { true, "layers.1", "{8, 5}", "{5}", true }
    expect(words((identity { reach = false }))):equals { true, "layers.1", "{8, 5}", "{5}", false }
    expect(words((identity { normalise = false }))):equals { true, "layers.1", "{8, 5}", false, true }
    local list, made = identity {}
    local wide = x * 2
    local _, taps = teacher:forward_taps(wide, { "layers.1" })
    expect(made.of(wide):allclose((taps["layers.1"]:detach():matmul(list[3]) + list[4]):relu())):is_true()
  end)
end)
