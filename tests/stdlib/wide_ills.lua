--- More trainings for the spec of health.lua, on problems of all kinds (ill_problems.lua): other labels and optimizers, batch
--- normalisation, tiny batches, transformers. Names of their kinds are those of ills.lua.
local g = require "gradus"
local curriculum, sampler, schedule, when = g.curriculum, g.sampler, g.schedule, g.when

local wide = {}

local cases  -- filled for one problem

local function add(kind, name, options) cases[#cases + 1] = { kind = kind, name = name, options = options } end

local function add_well(usual, strength)
  add("well", "one-shot", usual {})
  add("well", "alpha rises", usual { alpha = schedule.linear(.1, .9) })
  add("well", "ramp", function(p)
    return usual { curriculum = curriculum.linear_ramp(p.ranked, { augment = strength(.5) }) }(p)
  end)
  add("well", "multi-stage", function(p)
    return usual { curriculum = curriculum.multi_stage(p.ranked, { augment = { strength(.8), strength(.5), strength(.2) } }) }(p)
  end)
  add("well", "SGD with momentum", usual { optimizer = { "SGD", momentum = .9 }, lr = .05 })
  add("well", "three steps", usual { budget = { steps = 3 }, evaluate = { steps = 1 } })
  add("well", "twelve steps", usual { budget = { steps = 12 }, evaluate = { steps = 1 } })
end

local function add_tiny_batches(usual)
  add("well", "batches of 4, AdamW", usual { batch = 4, lr = 1e-3, budget = { epochs = 6 } })
  add("well", "batches of 4, SGD", usual { batch = 4, lr = 1e-2, optimizer = "SGD", budget = { epochs = 6 } })
  add("well", "batches of 8, constant rate", usual { batch = 8, lr = 1e-3, decay = "constant", budget = { epochs = 8 } })
  add("rate_too_high", "AdamW 1, batches of 8", usual { lr = 1, batch = 8, budget = { epochs = 8 } })
end

local function add_rates(usual, narrow, decay)
  for _, rate in ipairs { 1, 3, 10 } do
    add("rate_too_high", ("AdamW %g, %s"):format(rate, decay), usual({ lr = rate, decay = decay }, narrow))
  end
  for _, rate in ipairs { 5, 20 } do
    add("rate_too_high", ("SGD %g with momentum, %s"):format(rate, decay),
      usual { lr = rate, decay = decay, optimizer = { "SGD", momentum = .9 } })
  end
  add("rate_too_low", ("AdamW 1e-6, %s"):format(decay), usual { lr = 1e-6, decay = decay })
end

local function add_of_classes(usual, strength)
  add("well", "confidence", function(p)
    return usual { curriculum = curriculum.confidence(p.d.train, { augment = strength(.3) }) }(p)
  end)
  add("well", "self-paced", function(p)
    return usual { curriculum = { sample = sampler.self_paced(p.d.train, schedule.linear(.3, 1)) } }(p)
  end)
  for _, width in ipairs { 1, 2 } do
    add("too_small", ("width %d"):format(width), usual({ budget = { steps = 600 } }, width))
  end
  for _, first in ipairs { .1, .2 } do
    add("difficulty_jump", ("first %g"):format(first), function(p)
      return usual { augmentations = p.augmentations, curriculum = {
        { "easiest", sample = p.ranked:first(first), augment = .8, advance = when.progress(.5) },
        { "hardest", sample = p.ranked:last(.05), augment = .2 } } }(p)
    end)
  end
end

--- The cases of a problem: { kind =, name =, options = fn(problem) } each. kind "well": of no ill.
---@param name string  of the problem
function wide.cases(name)
  local text, numbers = name == "text", name == "numbers"
  local function strength(value) return text and 0 or value end
  -- Options over those of all; width: of the student, where it is not the one that is enough.
  local function usual(more, width)
    return function(p)
      local o = { teacher = p.teacher, student = p.student(width or p.width), data = p.d, lr = 5e-3,
        budget = { epochs = text and 14 or 30 }, batch = p.batch, restore_best = false,
        augmentations = not text and { noise = .2 } or nil }
      for key, value in pairs(more) do o[key] = value end
      return o
    end
  end
  cases = {}
  add_well(usual, strength)
  if not text then add_tiny_batches(usual) end
  for _, decay in ipairs { "cosine", "constant" } do add_rates(usual, not text and 12 or nil, decay) end
  if not text and not numbers then add_of_classes(usual, strength) end
  return cases
end

return wide
