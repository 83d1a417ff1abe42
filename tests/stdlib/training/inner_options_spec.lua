-- The options of batches and step, and what is inside of distill's: heard, told to have no effect, or refused by name.
local g = require "gradus"
local trials = require "trials"
local when = g.when
local NONE, base, rows, wrong, net, exact = trials.NONE, trials.base, trials.rows, trials.wrong, trials.net, trials.exact

local FIRST = "of two that end a training the first that is reached counts"
local SHORT = "teacher_cache is tried on a budget too short for it"

local function batches_base()
  return { source = rows(0, 120), size = 12, steps = 12, teacher = exact(2), augment = .5, augmentations = { noise = .3 } }
end
local BATCHES = {
  { "source: weighted", function() return g.sampler.weighted(rows(0, 120), g.arange(120):float() + 1) end, seen = "x" },
  { "source: a stream", function() return trials.stream().train end, seen = "x" },
  { "size", function() return 24 end, seen = "x" },
  { "steps", function() return 9 end, seen = "x" },
  { "epochs", function() return .5 end, seen = "x" },
  { "teacher: another", function() return exact(1) end, seen = "teacher" },
  { "teacher: none", NONE, seen = "teacher" },
  { "teacher: two", function() return { { exact(1), .5 }, { exact(5), .5 } } end, seen = "teacher" },
  { "augment", function() return .9 end, seen = "x" },
  { "augmentations: noise", function() return { noise = .6 } end, seen = "x" },
  { "augmentations: mixup", function() return { noise = .3, mixup = .4 } end, seen = "x" },
  { "teacher_view", function() return "clean" end, seen = "teacher" },
  { "teacher_cache", function() return true end, seen = "teacher_cache", with = { teacher_view = function() return "clean" end,
    steps = function() return 4 end } },
  { "teacher_cache: top", function() return { top = 1 } end, seen = "teacher", with = { teacher_view = function() return "clean" end } },
  { "teacher_cache: off", function() return false end, seen = "teacher_cache", with = { teacher_view = function() return "clean" end } },
}

local function batches(options)
  return trials.watch(function(run, seen)
    local source = options.source
    options.source = nil
    for _, b in run:batches(source, options) do
      seen.x = (seen.x or "") .. b.x:hash()
      seen.teacher = (seen.teacher or "") .. (b.teacher and b.teacher:hash() or "none")
      seen.train = "begun"
    end
  end)
end
trials.matrix("batches", batches_base, BATCHES, batches, {
  steps = { epochs = FIRST }, epochs = { steps = FIRST, teacher_cache = SHORT },
})

-- options: over distill's base. wanted(seen): whether they were heard.
local function heard_or_refused(name, options, word, wanted)
  it(name, function()
    local given = base()
    for key, value in pairs(options()) do given[key] = value end
    local seen = trials.distill(given)
    if seen.error and not seen.train and seen.error:find(word, 1, true) then return end
    expect(seen.error):equals(nil)
    expect(wanted(seen)):is_true()
  end)
end
local function evaluations(n) return function(seen) return select(2, (seen.val or ""):gsub("val/loss ", "")) == n end end

describe("hears or refuses", function()
  heard_or_refused("evaluate in samples", function() return { evaluate = { samples = 24 } } end, "evaluate", evaluations(6))
  heard_or_refused("evaluate in operations", function() return { evaluate = { flops = 1 } } end, "evaluate", evaluations(12))
  heard_or_refused("evaluate in seconds", function() return { evaluate = { seconds = 1e-9 } } end, "evaluate", evaluations(12))
  heard_or_refused("evaluate in steps and epochs, whichever comes first", function() return { evaluate = { steps = 100, epochs = .2 } } end,
    "evaluate", evaluations(6))
  local function kept(n) return function(seen) return select(2, seen.checkpoints:gsub("%d+", "")) == n end end
  heard_or_refused("checkpoints in samples", function() return { checkpoints = { samples = 24 } } end, "checkpoints", kept(6))
  heard_or_refused("checkpoints in operations", function() return { checkpoints = { flops = 1 } } end, "checkpoints", kept(12))
  heard_or_refused("checkpoints in seconds", function() return { checkpoints = { seconds = 1e-9 } } end, "checkpoints", kept(12))
  heard_or_refused("checkpoints in steps and epochs, whichever comes first", function()
    return { checkpoints = { steps = 100, epochs = .2 } }
  end, "checkpoints", kept(6))
  heard_or_refused("a part of the data that is named otherwise than 'val'", function()
    local d = wrong(rows(0, 120))
    return { data = { train = d.train, validation = d.val } }
  end, "validation", evaluations(3))
  -- two data sets under one name: the curve of one would be lost
  heard_or_refused("a suite that is named as the validation data", function() return { suites = { val = rows(0, 20) } } end, "suites",
    function() return false end)
  heard_or_refused("shift without images", function() return { augmentations = { shift = 1 } } end, "shift", function() return false end)
  heard_or_refused("erase without images", function() return { augmentations = { erase = .5 } } end, "erase", function() return false end)
  heard_or_refused("restore_best without anything to tell the best by", function() return { restore_best = true, data = rows(0, 120) } end,
    "restore_best", function(seen) return seen.warning ~= nil end)
  -- a stage's own answers to questions that its target does not ask
  for _, knob in ipairs { "temperature", "alpha" } do
    heard_or_refused(knob .. " of a stage that learns from labels alone", function()
      return { curriculum = { { "labels", target = "labels", [knob] = .5, advance = when.steps(5) }, { "teacher" } } }
    end, knob, function(seen) return (seen.warning or ""):find(knob) ~= nil end)
  end
  for _, one in ipairs { { "temperature", 2 }, { "alpha", .3 }, { "label_smoothing", .1 }, { "t2", false },
    { "teacher_temperature", 3 } } do
    local option, value = one[1], one[2]
    heard_or_refused(option .. " of a training that only imitates a layer", function()
      local t = net(4, 2, 3, 1.5)
      return { teacher = t, curriculum = { target = g.target.layer { teacher = t, from = "layers.0", to = "layers.0" } }, [option] = value }
    end, option, function(seen) return (seen.warning or ""):find(option) ~= nil end)
  end
end)

describe("a step", function()
  local function step(options, knobs)
    return trials.watch(function(run, seen)
      local model = net(8, 1)
      local opt = g.optim.SGD(model, { lr = .1 })
      local do_step = run:step(function(b, k)
        local loss = g.cross_entropy_loss(model(b.x), b.y)
        opt:minimize(loss, { lr = k.lr })
        return { loss = loss }
      end, options)
      for _, b in run:batches(trials.poisoned().train, { size = 12, steps = 12 }) do
        do_step(b, knobs)
        seen.taken = (seen.taken or 0) + 1
      end
    end)
  end
  it("hears non_finite", function()
    expect(step(nil, { lr = .1 }).error):matches "the loss is %-?nan"
    expect(step({ non_finite = "stop" }, { lr = .1 }).error):matches "the loss is %-?nan"
    expect(step({ non_finite = "skip" }, { lr = .1 }).taken):equals(12)
    expect(step({ non_finite = "skip" }, { lr = .1 }).health):matches "non_finite"
    expect(step({ non_finite = "own" }, { lr = .1 }).health):equals(nil)
  end)
end)

trials.done()
