-- Every option of distill and fit, alone and in pairs: each changes what it is there for, or is told to have no effect, or refused
-- before the first step by an error that names it. None is dropped in silence.
local g = require "gradus"
local trials = require "trials"
local when = g.when
local NONE, rows, wrong, net, stream, poisoned, steep = trials.NONE, trials.rows, trials.wrong, trials.net, trials.stream,
  trials.poisoned, trials.steep
local x, y, likely = trials.x, trials.y, trials.likely

-- option (and, after a colon, which of its kinds) -> value, made anew for each training; seen: where its effect is; with: what it
-- needs beside it.
local DISTILL = {
  { "student: narrower", function(o) return net(5, 1, trials.outputs(o.student)) end, seen = "train" },
  { "teacher: another", function(o) return trials.other_teacher(o) end, seen = "train" },
  { "teacher: two", function(o) return { { o.teacher, .5 }, { trials.other_teacher(o), .5 } } end, seen = "train" },
  { "teacher: none", NONE, seen = "train" },
  { "data: weighted", function() return wrong(rows(0, 120, { classes = 3, weight = g.arange(120):float() / 60 })) end, seen = "train" },
  { "data: distributions", function() return trials.of_labels(likely(y), likely(y:add(1):remainder(3))) end, seen = "train" },
  { "data: numbers", function() return trials.of_labels(x:sum(1), x:sum(1) * -1) end, seen = "train",
    with = { student = function() return net(8, 1, 1) end, teacher = function() return net(4, 2, 1, .5) end } },
  { "data: a stream", stream, seen = "train" },
  { "data: no validation", function() return rows(0, 120) end, seen = "val" },
  { "curriculum: stages", function() return { { "one", advance = when.steps(5) }, { "two", temperature = 2 } } end, seen = "stage" },
  { "curriculum: confidence", function() return "confidence" end, seen = "train" },
  { "curriculum: transfer_loop", function() return "transfer_loop" end, seen = "train" },
  { "budget", function() return { steps = 10 } end, seen = "result" },
  { "batch", function() return 24 end, seen = "train" },
  { "accumulate", function() return 2 end, seen = "asked", with = { data = stream } },
  { "lr", function() return .02 end, seen = "train" },
  { "lr: a schedule", function() return g.schedule.linear(.05, .01) end, seen = "train" },
  { "warmup", function() return .5 end, seen = "train" },
  { "decay", function() return "step" end, seen = "train" },
  { "temperature", function() return 2 end, seen = "train" },
  { "teacher_temperature", function() return 3 end, seen = "train" },
  { "alpha", function() return .3 end, seen = "train" },
  { "t2", function() return false end, seen = "train" },
  { "label_smoothing", function() return .2 end, seen = "train" },
  { "augment", function() return .9 end, seen = "train" },
  { "augmentations: noise", function() return { noise = .6 } end, seen = "train" },
  { "augmentations: mixup", function() return { noise = .3, mixup = .4 } end, seen = "train" },
  { "optimizer", function() return "SGD" end, seen = "train" },
  { "optimizer: an object", function(o) return g.optim.SGD(o.student, { lr = .05, momentum = .9 }) end, seen = "train" },
  { "weight_decay", function() return .5 end, seen = "train" },
  { "clip", function() return 1e-3 end, seen = "train", with = { optimizer = function() return "SGD" end } },
  { "clip: none", function() return false end, seen = "train", with = { optimizer = function() return "SGD" end, data = steep } },
  { "evaluate", function() return { steps = 3 } end, seen = "val" },
  { "suites", function(o) return { easy = rawget(o.data, "val") or rows(0, 20) } end, seen = "easy" },
  { "monitor", function() return "val/acc" end, seen = "best" },
  { "patience", function() return 1 end, seen = "result" },
  { "restore_best: no", function() return false end, seen = "weights" },
  { "checkpoints", function() return { steps = 5 } end, seen = "checkpoints" },
  { "non_finite: skip", function() return "skip" end, seen = "result", with = { data = poisoned } },
  { "non_finite: roll_back", function() return "roll_back" end, seen = "result", with = { data = poisoned } },
  { "teacher_view", function() return "clean" end, seen = "train" },
  { "teacher_cache", function() return true end, seen = "teacher_cache", with = { teacher_view = function() return "clean" end,
    budget = function() return { steps = 4 } end } },  -- fewer samples than rows: not worth it unasked
  { "teacher_cache: top", function() return { top = 1 } end, seen = "train", with = { teacher_view = function() return "clean" end } },
  { "teacher_cache: off", function() return false end, seen = "teacher_cache", with = { teacher_view = function() return "clean" end } },
}

-- Beside which others an option has nothing to say, and why that is as it should be.
local FIRST = "of two that end a training the first that is reached counts"
local SHORT = "teacher_cache is tried on a budget too short for it"
local RULES = "when rules, health and safe points are asked, which this training does not show"
local AS_TOLD = "there are no best weights to put back, and none are asked for"
trials.matrix("distill", trials.base, DISTILL, trials.distill, {
  budget = { patience = FIRST }, patience = { budget = FIRST, teacher_cache = SHORT },
  evaluate = { ["data: no validation"] = RULES }, ["restore_best: no"] = { ["data: no validation"] = AS_TOLD, teacher_cache = SHORT },
  ["non_finite: skip"] = { teacher_cache = SHORT }, ["non_finite: roll_back"] = { teacher_cache = SHORT },
})

-- --- fit ---

local function fit_base()
  return { model = net(8, 1), data = wrong(rows(0, 120)), batch = 12, steps = 12, lr = .05, evaluate = { steps = 4 }, augment = .5,
    augmentations = { noise = .3 } }
end

-- What fit alone has; the others are distill's, whose pairs are tried there.
local FIT = { { "model: narrower", function() return net(5, 1) end, seen = "train", own = true },
  { "steps", function() return 10 end, seen = "progress", own = true },
  { "epochs", function() return .8 end, seen = "progress", own = true },
  { "stop", function() return when.steps(5) end, seen = "progress", own = true } }
local OF_DISTILL = { data = true, batch = true, lr = true, warmup = true, decay = true, augment = true, augmentations = true,
  optimizer = true, weight_decay = true, clip = true, label_smoothing = true, evaluate = true, monitor = true, patience = true,
  restore_best = true, checkpoints = true }
for _, entry in ipairs(DISTILL) do
  if OF_DISTILL[trials.name_of(entry)] then
    local own = { entry[1], entry[2], seen = entry.seen == "result" and "progress" or entry.seen, with = {} }
    if entry[1] == "optimizer: an object" then own[2] = function(o) return g.optim.SGD(o.model, { lr = .05, momentum = .9 }) end end
    if entry[1] == "data: numbers" then own.with.model = function() return net(8, 1, 1) end
    else
      for name, make in pairs(entry.with or {}) do
        if OF_DISTILL[name] then own.with[name] = make end
      end
    end
    FIT[#FIT + 1] = own
  end
end

local function fit(options)
  return trials.watch(function(run, seen)
    local model, kept = run:fit(options)
    trials.add_weights(seen, model)
    for i = 1, kept and kept:count() or 0 do seen.checkpoints = (seen.checkpoints or "") .. kept:step(i) .. " " end
    seen.progress = tostring(run.step_number)
  end)
end
trials.matrix("fit", fit_base, FIT, fit, {
  steps = { epochs = FIRST, stop = FIRST, patience = FIRST }, epochs = { steps = FIRST, stop = FIRST, patience = FIRST },
  stop = { steps = FIRST, epochs = FIRST, patience = FIRST }, patience = { steps = FIRST, epochs = FIRST, stop = FIRST },
  evaluate = { ["data: no validation"] = RULES }, ["restore_best: no"] = { ["data: no validation"] = AS_TOLD },
}, 4)

trials.done()
