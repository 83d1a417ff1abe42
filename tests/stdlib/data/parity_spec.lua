local support = require "support"
local g = require "gradus"
local nn, data = g.nn, g.data

describe("data.parity", function()
  it("labels say whether an odd number of the support is -1", function()
    local x, y = data.parity({ d = 20, k = 3, seed = 1 }).val:gather()
    expect(x.shape):equals { 4096, 20 }
    local product = x:select(1, 0) * x:select(1, 1) * x:select(1, 2)
    expect(((1 - product) / 2):long():eq(y):all():item()):is_true()
    expect(x:abs():eq(g.tensor(1)):all():item()):is_true()
    local parts = data.parity { d = 20, k = 3 }
    expect { parts.train.labels.classes, parts.val.labels.classes }:equals { 2, 2 }
  end)
  it("is a stream that goes on exactly, apart from the held-out rows", function()
    local one, two = data.parity { d = 9, k = 2, seed = 5 }, data.parity { d = 9, k = 2, seed = 5 }
    local whole = one.train:next(30).x
    two.train:next(10)
    local resumed = data.parity { d = 9, k = 2, seed = 5 }
    resumed.train:restore(two.train:state())
    expect(resumed.train:next(20).x:equal(whole:slice(0, 10))):is_true()
    expect(two.train:next(20).x:equal(whole:slice(0, 10))):is_true()
    expect(one.val:gather():slice(0, 0, 30):equal(whole)):is_false()
    expect(data.parity({ d = 9, k = 2, seed = 6 }).train:next(30).x:equal(whole)):is_false()
  end)
  it("gives the same samples as tokens", function()
    local signs, tokens = data.parity { d = 9, k = 2, seed = 5 }, data.parity { d = 9, k = 2, seed = 5, tokens = true }
    local x, t = signs.val:gather(), tokens.val:gather()
    expect(t.dtype):equals "int64"
    expect(t:equal(((1 - x) / 2):long())):is_true()
    expect(tokens.train:next(7).y:equal(signs.train:next(7).y)):is_true()
  end)
  it("refuses what is no task", function()
    expect(function() data.parity { d = 5 } end):fails_with "'k' is missing"
    expect(function() data.parity { d = 5, k = 6, seed = 0 } end):fails_with "k: expected a support of 1 to 5"
    expect(function() data.parity { d = 5, kk = 6 } end):fails_with "did you mean 'k'?"
  end)
end)

describe("forward_taps with stop", function()
  local net = nn.MLP { 4, 8, 8, 2 }
  local x = g.randn { 3, 4 }
  it("gives the tap without what comes after", function()
    local _, whole = net:forward_taps(x, { "layers.1" })
    local count = require("gradus.engine").count_flops()
    local out, taps = net:forward_taps(x, { "layers.1" }, { stop = true })
    expect(count()):equals(2 * 3 * 4 * 8)
    expect(out):equals(nil)
    expect(taps["layers.1"]:equal(whole["layers.1"])):is_true()
    expect(net(x).shape):equals { 3, 2 }
  end)
  it("waits for the last of several, and leaves errors alone", function()
    local _, taps = net:forward_taps(x, { "layers.2", "layers.0" }, { stop = true })
    expect(taps["layers.2"].shape):equals { 3, 8 }
    expect(taps["layers.0"].shape):equals { 3, 8 }
    expect(function() net:forward_taps(g.randn { 3, 5 }, { "layers.2" }, { stop = true }) end):fails_with "expected 4"
  end)
end)

describe("target.layer", function()
  local teacher, student = nn.MLP { 6, 32, 2 }, nn.MLP { 6, 10, 2 }
  local rows = g.randn { 4096, 6 }
  local function made(options)
    options.teacher, options.from, options.to = teacher, "layers.1", "layers.0"
    local one = g.target.layer(options)
    one.prepare(student, function() return rows end)
    return one
  end
  it("is the hidden layer times the seeded matrix", function()
    local one = made { seed = 3, normalise = false }
    local hidden = g.relu(g.linear(rows, teacher.layers:get(0).weight, teacher.layers:get(0).bias))
    expect(one.of(rows):allclose(hidden:matmul(g.projection(32, 10, 3)), 1e-5, 1e-6)):is_true()
    expect(one.detail.teacher_width):equals(32)
    expect(one.detail.student_width):equals(10)
    expect(one.detail.seed):equals(3)
  end)
  it("is centred with unit spread on the rows it was measured on", function()
    local values = made({ seed = 3 }).of(rows)
    expect(values:mean({ dim = { 0 } }):abs():amax():item()):near(0, 1e-4)
    expect((values:std({ dim = { 0 }, correction = 0 }) - 1):abs():amax():item()):near(0, 1e-4)
  end)
  it("is fixed by its seed", function()
    expect(made({ seed = 3 }).of(rows):equal(made({ seed = 3 }).of(rows))):is_true()
    expect(made({ seed = 3 }).of(rows):equal(made({ seed = 4 }).of(rows))):is_false()
  end)
  it("compares with the student's layer before the activation", function()
    local one = made { seed = 1 }
    local linear = student.layers:get(0)
    expect(one.student(student, rows):equal(g.linear(rows, linear.weight, linear.bias))):is_true()
  end)
  it("refuses a layer that says nothing", function()
    local dead = nn.MLP { 6, 32, 2 }
    g.no_grad(function() dead.layers:get(0).weight:zero_() end)
    local one = g.target.layer { teacher = dead, from = "layers.1", to = "layers.0", seed = 0 }
    expect(function() one.prepare(student, function() return rows end) end):fails_with "is constant on 4096 rows"
  end)
end)

describe("nn.init.symmetric_", function()
  it("makes the zero function, and a network that still learns", function()
    local net = nn.MLP { 7, 20, 2 }
    nn.init.symmetric_(net.layers:get(0), net.layers:get(2))
    expect(net(g.randn { 50, 7 }):abs():amax():item()):near(0, 1e-6)
    local weight = net.layers:get(0).weight
    expect(weight:slice(0, 0, 10):equal(weight:slice(0, 10))):is_true()
    expect(weight:std():item() > .1):is_true()
  end)
  it("draws definition 4.2 for a parity of k", function()
    local net = nn.MLP { 30, 400, 1 }
    local inner, outer = net.layers:get(0), net.layers:get(2)
    nn.init.symmetric_(inner, outer, { k = 4 })
    expect(inner.weight:abs():eq(g.tensor(1)):all():item()):is_true()
    expect(inner.weight:mean():item()):near(0, .06)
    local levels = (inner.bias * 4):round()
    expect((inner.bias * 4 - levels):abs():amax():item()):near(0, 1e-6)
    expect(levels:amin():item()):equals(-3)
    expect(levels:amax():item()):equals(3)
    expect((outer.weight:abs() * 400 - 1):abs():amax():item()):near(0, 1e-6)
    expect(outer.weight:sum():item()):near(0, 1e-6)
  end)
  it("refuses an odd width", function()
    local net = nn.MLP { 3, 5, 2 }
    expect(function() nn.init.symmetric_(net.layers:get(0), net.layers:get(2)) end):fails_with "expected an even number"
  end)
end)

describe("checkpoints", function()
  local checkpoints = require "gradus.base.checkpoints"
  local net = nn.Linear(2, 1)
  local function keep(steps)
    local kept = checkpoints.new()
    for _, step in ipairs(steps) do
      g.no_grad(function() net.weight:fill_(step) end)
      kept:keep(step, net)
    end
    return kept
  end
  it("keep copies and load them into the same storage", function()
    local kept = keep { 10, 20, 30 }
    local into = nn.Linear(2, 1)
    local weight = into.weight
    kept:load(into, 2)
    expect(weight:flatten():totable()):equals { 20, 20 }
    expect(net.weight:flatten():totable()):equals { 30, 30 }
    expect(function() kept:load(into, 4) end):fails_with "no checkpoint 4; expected 1 to 3"
  end)
  it("survive the cache's names", function()
    local kept = keep { 5, 100, 20 }
    local again = checkpoints.new():adopt(kept:state_dict())
    expect({ again:step(1), again:step(2), again:step(3) }):equals { 5, 20, 100 }
    expect(again:load(nn.Linear(2, 1), 3).weight:flatten():totable()):equals { 100, 100 }
  end)
  it("thin evenly, the last always in", function()
    local thin = keep({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }):thin(5)
    local steps = {}
    for i = 1, thin:count() do steps[i] = thin:step(i) end
    expect(steps):equals { 2, 4, 6, 8, 10 }
    expect(keep({ 1, 2 }):thin(5):count()):equals(2)
  end)
  it("choose by what each one is, the last always in", function()
    local chosen = keep({ 1, 2, 3, 4, 5 }):choose(nn.Linear(2, 1), function(model, step)
      expect(model.weight:flatten():totable()):equals { step, step }
      return step > 1 and step < 4
    end)
    expect({ chosen:count(), chosen:step(1), chosen:step(2), chosen:step(3) }):equals { 3, 2, 3, 5 }
  end)
end)

describe("when.saturated", function()
  local function verdicts(values, options)
    local s, rule, said = support.state(), g.when.saturated("val/acc", options), {}
    s:begin_stage("a", 1)
    for i, value in ipairs(values) do
      support.count(s, { step = i * 10 })
      s:record { ["val/acc"] = value }
      said[i] = rule(s) or "stay"
    end
    return table.concat(said, " ")
  end
  it("waits for progress, then for its end", function()
    expect(verdicts({ .5, .5, .5, .5 }, { smooth = 1 })):equals "stay stay stay stay"
    expect(verdicts({ .5, .7, .9, .905 }, { smooth = 1 })):equals "stay stay stay next"
    -- means of two: .5 .6 .8 .9025 .905; the gain is small at the last one only
    expect(verdicts({ .5, .7, .9, .905, .905 }, { smooth = 2 })):equals "stay stay stay stay next"
  end)
  it("goes on at the latest after so many steps", function()
    expect(verdicts({ .5, .5, .5 }, { most = 30 })):equals "stay stay next"
  end)
end)

describe("parity's samples", function()
  it("are those of streams of the seed's own: held out from the first on, trained on from where the stream stands", function()
    local files = require("gradus.engine").data
    local function wanted(name, first, size)
      return files.parity { d = 9, k = 2, seed = files.derive_seed(5, name), first = first, size = size }
    end
    local d = data.parity { d = 9, k = 2, seed = 5, held_out = 7 }
    expect(d.val:gather():equal((wanted("parity held out", 0, 7)))):is_true()
    expect(d.train:next(4).x:equal((wanted("parity", 0, 4)))):is_true()
    expect(d.train:next(3).x:equal((wanted("parity", 4, 3)))):is_true()
  end)
end)
