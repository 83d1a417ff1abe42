--- What the scripts of figures 3 and 4 share (Gupta & Karmalkar 2025): one student, distilled in one of three ways within one
--- budget: of FLOPs, in which forward passes of the teacher and of its projection count, or of steps.
local g = require "gradus"
local curriculum, when = g.curriculum, g.when

local equal_flops = {}

equal_flops.METHODS = { "one_shot", "progressive", "extraction" }
equal_flops.ALL = { "one_shot", "progressive", "extraction", "saturated" }

--- Parameters that the scripts share. target: what a layer is aligned with, the bare projection (published), or centred and
--- scaled to unit spread (ours): one learning rate then fits layers and logits, and every unit counts alike. (Bare, units spread by
--- .2 in parity's MLP, by 1 to 6 in cfg3b's BERT; a fifth and a seventh of their squares are their means, which say nothing.)
equal_flops.budget = g.choice { "flops", "steps" }
equal_flops.target = g.choice { "published", "normalised" }

-- The checkpoints from the time in which the teacher learns: those from before guess, and half a budget spent on them teaches
-- noise. Their accuracy is known from the teacher's training, so that asking for it again is not charged.
local function while_learning(run, o)
  local chosen = o.checkpoints:choose(o.teacher:clone(), function(model)
    local acc = run:evaluate(model, o.data.val).acc
    return acc >= o.learning[1] and acc <= o.learning[2]
  end)
  return chosen:count() > 1 and chosen or o.checkpoints
end

-- progressive: four checkpoints over half of the budget (published: each of them for 100,000 steps). saturated: each until the
-- student gains no more, as the authors' code has it, at most as long as that.
local curricula = {
  one_shot    = function() return curriculum.one_shot() end,
  progressive = function(run, o)
    return curriculum.progressive { teacher = o.teacher, checkpoints = while_learning(run, o), count = 4, share = .5 }
  end,
  saturated   = function(run, o)
    return curriculum.progressive { teacher = o.teacher, checkpoints = while_learning(run, o), count = 4,
      advance = when.saturated("val/acc", { most = o.steps / 8 }) }
  end,
  extraction  = function(run, o)
    return curriculum.extraction { teacher = o.teacher, layers = o.layers, projection = o.projection,
      normalise = run.params.target == "normalised" }
  end,
}

-- What an iteration costs for a sample x while a layer is aligned, mean over the layers: forward passes up to the layer, the
-- projection, and backward.
local function cost_of_layers(o, x)
  local sum = 0
  for _, layer in ipairs(o.layers) do
    local theirs, ours
    local function look(model, path)
      local _, taps = model:forward_taps(x, { path }, { stop = true })
      return taps[path]
    end
    sum = sum + g.flops(function() theirs = look(o.teacher, layer.from) end) + 3 * g.flops(function() ours = look(o.student, layer.to) end)
      + 2 * theirs:numel() * ours:size(-1)
  end
  return sum / #o.layers
end

-- What is stored for progressive distillation before it can begin.
local function megabytes(kept)
  local bytes = 0
  for _, one in pairs(kept:state_dict()) do bytes = bytes + one:nbytes() end
  return bytes / 1e6
end

-- The last accuracy within a share of the budget.
local function at(r, share, budget)
  local unit = budget.steps and "step" or "flops"
  local most, found = share * (budget.steps or budget.flops), nil
  for _, one in ipairs(r.state:entries "val/acc") do
    if one[unit] <= most then found = one.value end
  end
  return found
end

--- Distils o.student and returns what it came to, and its results by name. The budget is o.steps, or about what so many one-shot
--- steps cost: a forward pass of the teacher and three of the student, since backward costs about twice the forward.
---@param run Run
---@param method string   one of ALL
---@param o table  teacher, checkpoints, student, data, steps; layers, projection: of curriculum.extraction; learning = { low, high }:
---   the accuracy between which the teacher's checkpoints are of use; shown = { low, high }: of the printed curve; distill: further
---   options of run:distill
function equal_flops.distill(run, method, o)
  local x = o.data.val:gather():slice(0, 0, 1)
  local cost = g.flops(o.teacher, x) + 3 * g.flops(o.student, x)
  local budget = run.params.budget == "steps" and { steps = o.steps } or { flops = o.steps * o.distill.batch * cost }
  local options = { teacher = o.teacher, student = o.student, data = o.data, alpha = 0, temperature = 1, restore_best = false,
    budget = budget, curriculum = curricula[method](run, o) }
  for key, value in pairs(o.distill) do options[key] = value end
  local r = run:distill(options)
  run.line.say("  " .. r:sparkline("val/acc", { over = "flops", low = o.shown[1], high = o.shown[2] }))
  local flops = r:first_flops("val/acc", .95)
  return r, { acc_25 = at(r, .25, budget), acc_50 = at(r, .5, budget), acc_75 = at(r, .75, budget), acc = r:last "val/acc",
    layer_cost = method == "extraction" and g.no_grad(cost_of_layers, o, x) / cost or nil,
    kept_mb = method == "progressive" and megabytes(o.checkpoints) or nil, solved = flops and 1 or 0, steps_to_95 = r:first_step("val/acc", .95) or r.steps, gflops_to_95 = (flops or r.flops) / 1e9, seconds = r.seconds }
end

equal_flops.columns = { { "acc_25", "at 25 %", "%.1f%%" }, { "acc_50", "at 50 %", "%.1f%%" }, { "acc_75", "at 75 %", "%.1f%%" },
  { "acc", "in the end", "%.1f%%" }, { "solved", "solved", "%.1f" }, { "steps_to_95", "steps to 95 %", "%.0f" },
  { "gflops_to_95", "GFLOPs to 95 %", "%.0f" } }
equal_flops.versus = { "gflops_to_95", "one_shot", "GFLOPs vs one-shot" }

--- The footer of an experiment's table: how to draw its figure, and how sure its result is.
---@param name string     the experiment
---@param result string   "acc" or "gflops_to_95"
---@param which? string   which of its runs, as in "stages == 3"
function equal_flops.footer(name, result, which)
  local where = ("name == '%s' and size == 'small' and budget == 'flops' and target == 'published'%s"):format(name,
    which and " and " .. which or "")
  return "Accuracy on held-out samples, at shares of one budget."
    .. (result == "gflops_to_95" and " A run that never reaches 95 % counts with its whole budget.\n" or "\n")
    .. ("The figure: gradus plot val/acc --x flops --by method --where \"%s\" [--output figure.svg]\n"):format(where)
    .. ("How sure?   gradus compare --versus one_shot --metric result/%s --by method --where \"%s\""):format(result, where)
end

return equal_flops
