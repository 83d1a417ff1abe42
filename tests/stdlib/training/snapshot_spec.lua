-- GRADUS_FULL=1: at each of the 60 steps instead of every 13th.
-- A training saved at a boundary and taken back by a new one that was made of the same options goes on with the same bits.
local g = require "gradus"
local checkpoints = require "gradus.base.checkpoints"
local copy = require "gradus.base.copy"
local host = require "gradus.host"
local support = require "support"
local distill = require "gradus.training.distill"
local schedule, when = g.schedule, g.when

local function points() return support.points():split({ train = .5, val = .5 }, { seed = 3 }) end

-- Runs the options; at step `save` a snapshot is taken, and with `stops` the training ends there. from: a snapshot to go on from.
-- Returns the weights, the rows of all steps after `after`, and the snapshot.
local function outcome(options_of, o)
  local kept, weights, best
  local _, seen = support.with_run({ seed = 7 }, function(run)
    local d = points()
    local options = { student = g.nn.MLP { 6, 8, 3, dropout = .1 }, data = d, batch = 12, budget = { steps = 60 }, lr = .02,
      evaluate = { steps = 7 }, teacher = support.student(4) }
    for key, value in pairs(options_of(d, run, options)) do options[key] = value end
    local training = distill.make(run, options)
    if o.from then training:load_state(copy(o.from)) end
    training.at_boundary = function(self)
      if self.s.step ~= o.save then return false end
      kept = copy(self:state())
      return o.stops
    end
    if o.save then training.ahead.wants = o.save end
    local result = distill.train(training)
    best = result.best and { result.best.value, result.best.step }
    weights = support.weights(options.student)
  end)
  local rows = {}
  for _, key in ipairs { "train/loss", "knob/lr", "knob/temperature", "val/loss", "val/kd_loss",
    "stage/loss", "sample/effective", "knob/share" } do
    rows[key] = {}
    for _, pair in ipairs(seen.metric(key)) do
      if pair[1] > (o.after or 0) then table.insert(rows[key], pair) end
    end
  end
  local events = {}
  for _, list in ipairs { seen.stages, seen.decisions, seen.best } do
    for _, one in ipairs(list) do
      if one.step > (o.after or 0) then events[#events + 1] = { one.step, one.name } end
    end
  end
  for _, one in ipairs(seen.health) do
    if one.step > (o.after or 0) then events[#events + 1] = { one.step, one.name, one.detail } end
  end
  return { weights = weights, rows = rows, events = events, best = best }, kept
end

-- Right about the points.
local function exact()
  local made = g.nn.Linear(6, 3, { bias = false })
  g.no_grad(function() made.weight:copy_(g.cat({ g.eye(3), g.eye(3) * .3 }, 1) * 4) end)
  return made
end

-- What ails a training is told of evaluations and stages before the snapshot: name -> options, and the step at which it is told.
local AILING = {
  stagnant = { at = 48, options = function() return { teacher = exact(), lr = 1e-7, evaluate = { steps = 6 } } end },
  rate_too_high = { at = 10, options = function() return { teacher = exact(), lr = 30, clip = false, evaluate = { steps = 5 } } end },
  difficulty_jump = { at = 50, options = function(d)
    local ranked = d.train:rank(g.score.loss(exact()))
    return { teacher = exact(), lr = .3, student = g.nn.MLP { 6, 8, 3 },
      curriculum = { { "easy", sample = ranked:first(.3), advance = when.steps(30) }, { "hard", sample = ranked:last(.1) } } }
  end },
}

local CASES = {
  ["one stage, augmented"] = function() return { augment = .5, temperature = schedule.linear(6, 2) } end,
  ["stages that go on by what they show"] = function(d)
    return { curriculum = { { "a", sample = d.train:first(.5), temperature = 6,
        advance = when.any(when.plateau("val/loss", 2), when.steps(23)) },
      { "b", temperature = 3, train = { "layers.0" }, advance = when.steps(19) }, { "c", alpha = .5 } } }
  end,
  ["a best that is long past"] = function() return { lr = 1 } end,
  ["an adaptive sampler"] = function() return { curriculum = "confidence" } end,
  ["patience"] = function() return { patience = 2, lr = 2, clip = false } end,
  ["SGD with momentum, in parts"] = function() return { optimizer = { "SGD", momentum = .9, dampening = .1 }, accumulate = 3 } end,
  ["a loss of one's own, with a module"] = function(_, _, o)
    local projector = g.nn.Linear(8, 4)
    return { losses = { kd = 1, hint = { weight = schedule.linear(1, 0), module = projector, student = { "layers.0" },
      teacher = { "layers.0" },
      loss = function(_, out) return g.loss.mse(projector(out.student["layers.0"]), out.teacher["layers.0"]) end } },
      student = o.student }
  end,
  ["an optimizer that trains more than the student"] = function(_, _, o)
    local scale = g.nn.Parameter(g.ones(1))
    local params = o.student:parameters()
    params[#params + 1] = scale
    return { student = o.student, optimizer = g.optim.AdamW(params), losses = { kd = 1, own = { weight = .5,
      loss = function(_, out) return (out.logits * scale - 1):square():mean() end } } }
  end,
  ["a NaN on the way, rolled back"] = function(d)
    local x = d.train.base.x:clone()
    x[d.train.index[5]:item()] = 0 / 0
    return { data = { train = g.data.tensors(x, d.train.base.y, { classes = 3 }):subset(d.train.index), val = d.val },
      non_finite = "roll_back", teacher_cache = false }
  end,
  ["samplers that other stages come back to"] = function(d)
    return { curriculum = { { "a", sample = d.train:first(.5), advance = when.steps(11) },
      { "b", sample = g.sampler.confidence(d.train), advance = when.steps(14) }, { "c", advance = when.steps(9) },
      { "d", sample = d.train:first(.8) } } }
  end,
  ["a ramp"] = function(d)
    local ranked = d.train:rank(g.score.loss(support.student(4)))
    return { curriculum = g.curriculum.linear_ramp(ranked, { full = .6 }), temperature = schedule.linear(6, 2) }
  end,
  ["a function that makes a sampler each epoch"] = function(d)
    return { curriculum = { sample = function(s) return s.epoch < 3 and g.sampler.confidence(d.train) or g.sampler.weighted(d.train,
      g.ones { 120 }) end } }
  end,
  ["checkpoints of the teacher, which share one storage"] = function(_, _, o)
    local kept = checkpoints.new()
    for i = 1, 3 do kept:keep(10 * i, g.nn.MLP { 6, 4, 3 }) end
    return { curriculum = g.curriculum.progressive { teacher = o.teacher, checkpoints = kept, steps = 20 } }
  end,
  ["a layer of the teacher"] = function(_, _, o)
    return { teacher = o.teacher, curriculum = g.curriculum.extraction { teacher = o.teacher,
      layers = { { from = "layers.0", to = "layers.1", steps = 30 } } } }
  end,
  ["a layer that is negative by and by"] = function(_, _, o)  -- what can be reached was told where the stage began
    local student = g.nn.MLP { 6, 8, 3 }
    g.no_grad(function()
      student.layers[0].weight:mul_(.01)
      student.layers[0].bias:fill_(.1)
    end)
    return { student = student, teacher = o.teacher, lr = .1, curriculum = g.curriculum.extraction { teacher = o.teacher,
      layers = { { from = "layers.0", to = "layers.0", steps = 55 } } } }
  end,
  ["a stream"] = function()
    return { data = g.data.parity { d = 6, k = 2, held_out = 64, epoch = 240, seed = 5 },
      student = g.nn.MLP { 6, 8, 2 }, teacher = g.nn.MLP { 6, 4, 2 } }
  end,
}

describe("a training saved and taken back goes on with the same bits:", function()
  for name, options_of in pairs(CASES) do
    it(name, function()
      local whole = outcome(options_of, {})
      for step = 1, 60, os.getenv "GRADUS_FULL" == "1" and 1 or 13 do
        local saved, kept = outcome(options_of, { save = step })
        expect(saved):equals(whole)  -- a snapshot only reads
        if kept then
          local rest = outcome(options_of, { from = kept, after = step })
          local wanted = outcome(options_of, { after = step })
          expect(rest):equals(wanted)
        end
      end
    end)
  end
end)

describe("a training saved at its last step", function()
  it("is over: taken back, it takes no further one", function()
    local options_of = CASES["one stage, augmented"]
    local whole, kept = outcome(options_of, { save = 60 })
    local again = outcome(options_of, { from = kept })
    expect { kept.over, again.rows["train/loss"], again.weights }:equals { true, {}, whole.weights }
  end)
end)

describe("health's window is saved: the same is told, where it was,", function()
  for name, case in pairs(AILING) do
    it(name, function()
      local whole = outcome(case.options, {})
      local told
      for _, event in ipairs(whole.events) do
        if event[2] == name then told = event[1] end
      end
      expect(told):equals(case.at)
      for _, step in ipairs { case.at - 6, case.at - 1 } do
        local _, kept = outcome(case.options, { save = step })
        expect(outcome(case.options, { from = kept, after = step }).events):equals(outcome(case.options, { after = step }).events)
      end
    end)
  end
end)

-- What is kept for other purposes than going on with the same options: a larger budget (gradus resume --set), a look at the file.
-- `over` is of the last step, the knobs of the step before are for an evaluation that somebody asks for at once (gradus attach), and
-- whether the rows have moved is health's alone; what it blames is said where nothing moves (reporter_spec).
local FOR_OTHERS = { ["clock.limits"] = true, ["ended_by_rule"] = true,
  ["data.train"] = true, ["data.val"] = true, over = true, ["stages.last"] = true, ["evaluator.moved_on"] = true,
  ["reporter.blamed"] = true,
  -- No other sampler takes their numbers, so that a snapshot of a run that goes on finds all of them.
  ["feed.uniform_number"] = true, ["feed.numbered"] = true }

-- "part.field" of all that a snapshot holds.
local function places_of(kept)
  local places = {}
  for part, one in pairs(kept) do
    if type(one) == "table" and not g.is_tensor(one) and part ~= "student" then
      for field in pairs(one) do places[#places + 1] = { part, field } end
    else
      places[#places + 1] = { part }
    end
  end
  return places
end

local function without(kept, place)
  local rest = copy(kept)
  if place[2] ~= nil then rest[place[1]][place[2]] = nil else rest[place[1]] = nil end
  return rest
end

local function same(a, b) return tostring(host.json_encode { a }) == tostring(host.json_encode { b }) end

describe("all that a snapshot holds is needed", function()
  it("to go on in at least one of the trainings above: without it other bits follow, or an error", function()
    local needed, known = {}, {}
    for _, options_of in pairs(CASES) do
      for _, step in ipairs { 27, 41 } do
        local _, kept = outcome(options_of, { save = step })
        local wanted = kept and outcome(options_of, { after = step })
        for _, place in ipairs(kept and places_of(kept) or {}) do
          local name = place[1] .. (place[2] ~= nil and "." .. tostring(place[2]) or "")
          known[name] = true
          if not needed[name] then
            local ok, rest = pcall(outcome, options_of, { from = without(kept, place), after = step })
            needed[name] = not ok or not same(rest, wanted)
          end
        end
      end
    end
    local idle = {}
    for name in pairs(known) do
      if not needed[name] and not FOR_OTHERS[name] then idle[#idle + 1] = name end
    end
    table.sort(idle)
    expect(table.concat(idle, " ")):equals ""
  end)
end)
