-- A batch in parts: the whole batch's update up to rounding, its counts exactly.
local g = require "gradus"
local support = require "support"
local accumulate = require "gradus.training.accumulate"

local function weighted_points()
  local x, y = support.points(96):gather()
  return g.data.tensors(x, y, { classes = 3, weight = g.rand({ 96 }, { generator = g.generator(3) }) + .1 })
end

-- Trains with the batch whole and in parts; returns both students and results, and what the runs logged.
local function both(parts, options_of, run_options)
  local found = {}
  for i, count in ipairs { 1, parts } do
    local one = {}
    one.result, one.seen = support.with_run(run_options, function(run)
      local given = { batch = 24, budget = { steps = 9 }, lr = .01, accumulate = count, restore_best = false, optimizer = "SGD" }
      for key, value in pairs(options_of(run)) do given[key] = value end
      one.student = given.student
      return run:distill(given)
    end)
    found[i] = one
  end
  return found[1], found[2]
end

local function expect_close(a, b, tolerance)
  local theirs = b.student:state_dict()
  for name, value in pairs(a.student:state_dict()) do
    expect((value - theirs[name]):abs():amax():item() / value:abs():amax():item()):near(0, tolerance or 2e-6)
  end
end

local function classifier(more)
  return function()
    local given = { student = support.student(), teacher = support.student(4), data = weighted_points():split { train = .75, val = .25 } }
    for key, value in pairs(more or {}) do given[key] = value end
    return given
  end
end

describe("a batch in parts", function()
  it("gives the whole batch's weights, losses and confidences", function()
    local whole, parts = both(4, classifier())
    expect_close(whole, parts)
    for _, key in ipairs { "train/loss", "train/ce", "train/kl", "train/confidence", "val/loss", "knob/lr" } do
      local ours, theirs = parts.seen.values(key), whole.seen.values(key)
      expect(#ours):equals(#theirs)
      for i, value in ipairs(theirs) do expect(ours[i]):near(value, 1e-5) end
    end
  end)
  it("gives the labels' loss over the rows that have one, however these lie", function()
    for _, weighted in ipairs { false, true } do
      local function some_labels()
        local x, y = support.points(96):gather()
        y[{ { 0, 70 } }]:fill_(-100)
        local train = g.data.tensors(x, y, { classes = 3, weight = weighted and g.arange(96) / 96 + .1 or nil })
        return { data = train, student = support.student(), teacher = support.student(4) }
      end
      local whole, parts = both(12, some_labels)
      expect_close(whole, parts, 1e-5)
      for _, key in ipairs { "train/loss", "train/ce", "train/kl" } do
        local theirs = whole.seen.values(key)
        for i, value in ipairs(parts.seen.values(key)) do expect(value):near(theirs[i], 1e-5) end
      end
    end
  end)
  it("is clipped as a whole, by any optimizer", function()
    expect_close(both(4, classifier { clip = .05, lr = .5 }))
    local whole, parts = both(4, classifier { optimizer = "AdamW", weight_decay = .1 })
    expect_close(whole, parts, 1e-3)  -- Adam divides by what may be as small as the rounding
  end)
  it("counts steps, samples, epochs and FLOPs of the whole", function()
    local whole, parts = both(4, classifier())
    for _, key in ipairs { "steps", "epochs", "flops", "flops_spent" } do expect(parts.result[key]):equals(whole.result[key]) end
    expect(#parts.seen.values "train/loss"):equals(9)
    expect(parts.result.state.samples):equals(9 * 24)
  end)
  it("weighs the hidden positions of token sequences, of which parts have more and less", function()
    local function masked()
      local d = g.data.sentences { grammar = g.cfg.cfg3b { root = 13 }, mask = .2, held_out = 32, seed = 4 }
      local function bert()
        return g.nn.Transformer { vocabulary = d.vocabulary, context = d.length, width = 8, layers = 1, heads = 1, pad_token = d.pad_token }
      end
      return { student = bert(), teacher = bert(), data = d, lr = .5 }
    end
    expect_close(both(4, masked))
    local layer = "encoder.layers.0"
    expect_close(both(3, function()
      local given = masked()
      given.curriculum = { { "layer", target = g.target.layer { teacher = given.teacher, from = layer, to = layer },
        advance = g.when.steps(4) }, { "logits" } }
      return given
    end))
  end)
  it("cuts a knob with one value for each example", function()
    local temperatures = g.rand({ 24 }, { generator = g.generator(5), dtype = "float64" }) + 1
    expect_close(both(4, classifier { temperature = function() return temperatures end }))
    expect_close(both(4, classifier { temperature = g.schedule.by_entropy(2, 6) }))
  end)
  it("trains what a stage trains, and tells adaptive samplers of all rows", function()
    local function frozen() return { { "head", train = { "layers.2" }, advance = g.when.steps(3) }, { "all" } } end
    expect_close(both(4, function(run)
      local given = classifier { curriculum = frozen() }(run)
      return given
    end))
    local whole, parts = both(2, function(run)
      local given = classifier()(run)
      given.curriculum = { sample = g.sampler.confidence(given.data.train) }
      return given
    end)
    expect(#parts.seen.values "train/loss"):equals(#whole.seen.values "train/loss")
  end)
  it("leaves the weights alone after a NaN in one part, and begins anew", function()
    local whole, parts = both(4, function()
      local x, y = support.points(96):gather()
      x:select(0, 5):fill_(0 / 0)
      return { student = support.student(), data = { train = g.data.tensors(x, y, { classes = 3 }), val = support.points(24) },
        non_finite = "skip", budget = { steps = 8 } }
    end)
    expect(#parts.seen.health >= 1):is_true()
    expect(#parts.seen.health):equals(#whole.seen.health)
    expect(#parts.seen.health[1].detail.rows):equals(24)
    expect_close(whole, parts)
  end)
  it("is nothing, and goes on, where no row of a batch counts", function()
    local whole, parts = both(4, function()
      local x, y = support.points(96):gather()
      return { student = support.student(), data = { train = g.data.tensors(x, y, { classes = 3, weight = g.arange(96):eq(0) }),
        val = support.points(24) }, budget = { steps = 4 } }
    end)
    expect(#parts.seen.health):equals(0)
    expect_close(whole, parts)
  end)
  it("is replayed, with the bits of the step as it is", function()
    local weights = {}
    for i, mode in ipairs { "eager", "replay" } do
      g.step_mode(mode)
      local _, one = both(4, classifier())
      weights[i] = support.weights(one.student)
      expect(#one.seen.warnings):equals(0)
    end
    expect(weights[2]):equals(weights[1])
  end)
  it("that fails between its parts leaves nothing of those that were done", function()
    local x, y = support.points(24):gather()
    local function outcome(fails)
      local student
      support.with_run({ seed = 3 }, function(run)
        student = g.nn.Sequential { g.nn.BatchNorm1d(6), g.nn.Linear(6, 3) }
        student[0].bias:requires_grad_(false)
        local parts = accumulate.new { run = run, optimizer = g.optim.SGD(student), pieces = 2, rows = 12, batch = 24, student = student,
          outputs = function(b) return { loss = g.loss.cross_entropy(student(b.x), b.y) } end, mass = function() return 12 end,
          labelled = function() return 12 end }
        local function take(last)
          local at = 0
          local function following()
            at = at + 1
            if at > last then error("no rows", 0) end
            return { x = x:slice(0, 12 * at - 12, 12 * at), y = y:slice(0, 12 * at - 12, 12 * at), index = g.arange(12) }
          end
          return pcall(parts.take, parts, { next = following }, { lr = .1 }, function() return { lr = .1 } end, parts.step)
        end
        assert(take(2))
        if fails then
          local before = support.weights(student)
          expect({ take(1) }):equals { false, "no rows" }
          expect(support.weights(student)):differs_from(before)
          parts:forget()
          expect(support.weights(student)):equals(before)
        end
        assert(take(2))
      end)
      return support.weights(student)
    end
    expect(outcome(true)):equals(outcome(false))
  end)
  it("needs a divisor of the batch", function()
    expect(accumulate.rows(24, 4)):equals(6)
    for _, bad in ipairs { 5, 0, 1.5, "4", 48 } do
      expect(function() accumulate.rows(24, bad) end):fails_with "distill: accumulate: expected a divisor of batch, 24; got"
    end
    expect(function() both(5, classifier()) end):fails_with "accumulate"
  end)
end)
