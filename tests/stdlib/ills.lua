--- Short trainings of classes for the spec of health.lua: those that are well whatever their curriculum does, and those that are ill in
--- one way. wide_ills.lua has more. A case is given a problem (ill_problems.lua).
local g = require "gradus"
local sorted_keys = require "gradus.base.sorted_keys"
local curriculum, sampler, schedule, when = g.curriculum, g.sampler, g.schedule, g.when

local ills = {}

-- --- the trainings -------------------------------------------------------------------------------------------------------

local function with(base, more)
  local all = {}
  for key, value in pairs(base) do all[key] = value end
  for key, value in pairs(more) do all[key] = value end
  return all
end

-- What all trainings have in common; `teacher` false: labels alone.
local function usual(p, more)
  return with({ teacher = p.teacher, student = p.student(p.width), data = p.d, budget = { epochs = 30 }, lr = 5e-3,
    restore_best = false, augmentations = { noise = .2 } }, more or {})
end

-- Names of what a training does -> its options. All of these are well.
local WELL = {
  ["one-shot"] = function(p) return usual(p) end,
  ["labels alone"] = function(p) return with(usual(p, { weight_decay = .1 }), { teacher = false }) end,
  ["alpha rises"] = function(p) return usual(p, { alpha = schedule.linear(.1, .9) }) end,
  ["alpha falls"] = function(p) return usual(p, { alpha = schedule.linear(.9, .1) }) end,
  ["temperature falls"] = function(p) return usual(p, { temperature = schedule.linear(8, 2) }) end,
  ["KL alone"] = function(p) return usual(p, { alpha = 0, temperature = 1 }) end,
  ["ramp"] = function(p) return usual(p, { curriculum = curriculum.linear_ramp(p.ranked) }) end,
  ["ramp without augmentation"] = function(p) return usual(p, { curriculum = curriculum.linear_ramp(p.ranked, { augment = 0 }) }) end,
  ["long ramp, labels"] = function(p)
    return usual(p, { alpha = .9, curriculum = { sample = sampler.easiest(p.ranked, schedule.linear(.2, 1)) } })
  end,
  ["confidence"] = function(p) return usual(p, { curriculum = curriculum.confidence(p.d.train) }) end,
  ["multi-stage"] = function(p) return usual(p, { curriculum = curriculum.multi_stage(p.ranked) }) end,
  ["multi-stage by labels"] = function(p)
    return usual(p, { alpha = .9, curriculum = curriculum.multi_stage(p.ranked, { augment = { 0, 0, 0 } }) })
  end,
  ["self-paced"] = function(p) return usual(p, { curriculum = { sample = sampler.self_paced(p.d.train, schedule.linear(.3, 1)) } }) end,
  ["competence"] = function(p) return usual(p, { curriculum = { sample = sampler.competence(p.ranked) } }) end,
  ["random order"] = function(p) return usual(p, { curriculum = curriculum.random_order(p.d.train) }) end,
  ["SGD"] = function(p) return usual(p, { optimizer = { "SGD", momentum = .9 }, lr = .05 }) end,
  ["SGD, constant rate"] = function(p) return usual(p, { optimizer = "SGD", lr = .2, decay = "constant", warmup = 0 }) end,
  ["small batches"] = function(p) return usual(p, { batch = 16, lr = 2e-3, budget = { epochs = 15 } }) end,
  ["narrow"] = function(p) return usual(p, { student = p.student(12), budget = { epochs = 50 } }) end,
  ["narrow ramp, augmented"] = function(p)
    return usual(p, { student = p.student(12), budget = { epochs = 60 }, augmentations = p.augmentations,
      curriculum = curriculum.linear_ramp(p.ranked) })
  end,
  ["heavy augmentation"] = function(p) return usual(p, { augment = 1, augmentations = { noise = .5 } }) end,
  ["augmentation rises"] = function(p) return usual(p, { augment = schedule.linear(0, 1), augmentations = { noise = .5 } }) end,
  ["a high rate"] = function(p) return usual(p, { lr = .02 }) end,
  ["constant rate"] = function(p) return usual(p, { lr = 3e-3, decay = "constant", warmup = 0 }) end,
  ["anti-curriculum"] = function(p) return usual(p, { curriculum = curriculum.anti(p.ranked) }) end,
  ["rehearsal"] = function(p)
    return usual(p, { curriculum = { { "easy", sample = p.ranked:first(.3), advance = when.progress(.4) },
      { "all", sample = sampler.rehearsal(p.ranked, p.ranked:first(.3), .2) } } })
  end,
  ["without augmentation"] = function(p) return usual(p, { augment = 0, budget = { epochs = 20 } }) end,
  ["few epochs"] = function(p) return usual(p, { budget = { epochs = 8 } }) end,
  ["a low rate"] = function(p) return usual(p, { lr = 1e-3 }) end,
  ["layer, then logits"] = function(p)
    return usual(p, { curriculum = curriculum.extraction { teacher = p.teacher,
      layers = { { from = "layers.1", to = "layers.0", share = .3 } } } })
  end,
}

-- Rates at which nothing stands still, and nothing is well either.
local SLOW = {
  ["AdamW 5e-4, labels"] = function(p) return usual(p, { lr = 5e-4, alpha = .95, budget = { epochs = 20 } }) end,
  ["AdamW 1e-4"] = function(p) return usual(p, { lr = 1e-4 }) end,
  ["AdamW 1e-4, constant"] = function(p) return usual(p, { lr = 1e-4, decay = "constant" }) end,
}

-- Ills -> names of what makes them -> the training's options.
local ILL = { rate_too_high = {}, too_small = {}, difficulty_jump = {}, rate_too_low = {}, overfitting = {}, teacher_worse = {} }

-- Adds a case for each combination of the values: add(ill, "%s of %g", { { "a", "b" }, { 1, 2 } }, fn(p, a, b)).
local function add(ill, text, values, fn)
  local function fill(chosen)
    if #chosen < #values then
      for _, value in ipairs(values[#chosen + 1]) do
        local more = { unpack(chosen) }
        more[#more + 1] = value
        fill(more)
      end
      return
    end
    ILL[ill][text:format(unpack(chosen))] = function(p) return fn(p, unpack(chosen)) end
  end
  fill {}
end

local DECAYS = { "cosine", "constant" }
local function at_rate(optimizer)
  return function(p, rate, width, decay)
    return usual(p, { optimizer = optimizer, lr = rate, student = p.student(width), decay = decay })
  end
end
add("rate_too_high", "AdamW %g, width %d, %s", { { 3, 10 }, { 2, 12, 24 }, DECAYS }, at_rate "AdamW")
add("rate_too_high", "AdamW %g, width %d, %s", { { 1 }, { 12, 24 }, DECAYS }, at_rate "AdamW")
add("rate_too_high", "SGD %g, width %d, %s", { { 5, 20 }, { 12, 24 }, DECAYS }, at_rate "SGD")
add("rate_too_high", "AdamW to %g", { { 1, 10 } }, function(p, top)
  return usual(p, { lr = function(s) return 5e-3 * (top / 5e-3) ^ s.progress end })
end)
add("rate_too_low", "AdamW %g, %s", { { 1e-6, 1e-5 }, DECAYS }, function(p, rate, decay) return usual(p, { lr = rate, decay = decay }) end)
-- In less than some 500 steps nobody can tell a small student from one that needs more of them.
add("too_small", "width %d, %d steps, %s", { { 1, 2, 3 }, { 500, 800 }, { "one-shot", "ramp", "labels" } }, function(p, width, steps, how)
  return usual(p, { student = p.student(width), budget = { steps = steps }, alpha = how == "labels" and .95 or nil,
    curriculum = how == "ramp" and curriculum.linear_ramp(p.ranked) or nil })
end)
add("difficulty_jump", "%s, first %g, by %s", { { "plain", "augmented", "augmented, T falls" }, { .1, .2 }, { "progress", "plateau" } },
  function(p, how, first, by)
    local plain, falls = how == "plain", how:find "falls"
    local rule = by == "progress" and when.progress(.5) or when.any(when.plateau("val/loss", 3), when.progress(.6))
    return usual(p, { augmentations = p.augmentations, curriculum = {
      { "easiest", sample = p.ranked:first(first), augment = plain and 0 or .8, temperature = falls and 6 or 4, advance = rule },
      { "hardest", sample = p.ranked:last(.05), augment = plain and 0 or .2, temperature = falls and 2 or 4 } } })
  end)
add("overfitting", "%d rows, width %d", { { 60, 120 }, { 192, 256 } }, function(p, rows, width)
  local few = p.d.train:first(rows):mislabel(.2, { seed = 1 })
  return with(usual(p, { student = p.student(width), data = { train = few, val = p.d.val }, weight_decay = 0, budget = { epochs = 100 } }),
    { teacher = false })
end)
add("teacher_worse", "width %d, %d epochs", { { 2, 4 }, { 0, 3 } }, function(p, width, epochs)
  local teacher = p.student(width)
  if epochs > 0 then p.run:fit { model = teacher, data = p.d.train, epochs = epochs, lr = 2e-3 } end
  return usual(p, { teacher = teacher, alpha = .9 })
end)

--- Cases of an ill; "well": of none; "slow": of rates at which it is neither: { name =, options = fn(problem) } each.
---@param ill string
function ills.cases(ill)
  local list, of = {}, ({ well = WELL, slow = SLOW })[ill] or ILL[ill]
  for i, name in ipairs(sorted_keys(of)) do list[i] = { name = name, options = of[name] } end
  return list
end
ills.names = sorted_keys(ILL)

return ills
