-- Sparse parity: one-shot, progressive and extraction at equal FLOPs (Gupta & Karmalkar 2025, figures 3a and 2).
--   gradus run scripts/parity_mlp.lua                       d = 50, k = 5: minutes
--   gradus run scripts/parity_mlp.lua --set size=medium     d = 100, k = 6, teacher of 4,000
--   gradus run scripts/parity_mlp.lua --set size=paper      the published size
-- The teacher's forward passes, and those of its projection, count as FLOPs of the student.
local g = require "gradus"
local nn, curriculum, when, probe = g.nn, g.curriculum, g.when, g.probe

-- `steps` are one-shot steps; the other methods get as many FLOPs. stage: share of them for the hidden layer.
local SIZES = {
  small  = { task = { d = 50, k = 5, batch = 32, lr = .05, width = 2000, steps = 100000, every = 1000 },
    student = 100, steps = 40000, stage = .1 },
  medium = { task = { d = 100, k = 6, batch = 32, lr = .05, width = 4000, steps = 1000000, every = 5000 },
    student = 100, steps = 300000, stage = .1 },
  paper  = { task = { d = 100, k = 6, batch = 1, lr = .005, width = 50000, steps = 8000000, every = 100000 },
    student = 100, steps = 8000000, stage = .1 },
}

-- Plain SGD as published: constant rate, no momentum, no weight decay, no clipping.
local function plain(task)
  return { batch = task.batch, optimizer = "SGD", weight_decay = 0, clip = false, lr = task.lr, decay = "constant", warmup = 0,
    evaluate = { steps = task.every }, restore_best = false }
end

local function build_teacher(task, seed)
  local options = plain(task)
  options.model, options.data = nn.MLP { task.d, task.width, 2 }, g.data.parity { d = task.d, k = task.k, seed = seed }
  options.steps, options.checkpoints = task.steps, { steps = task.every }
  options.stop = when.above("val/acc", .995)
  return g.fit(options)
end

local methods = {
  one_shot    = function() return curriculum.one_shot() end,
  progressive = function(teacher, kept) return curriculum.progressive { teacher = teacher, checkpoints = kept, count = 10, share = .5 } end,
  extraction  = function(teacher, _, size)  -- the mean over units makes the layer's gradient small: ten times the rate
    return curriculum.extraction { teacher = teacher,
      layers = { { from = "layers.1", to = "layers.0", share = size.stage, lr = 10 * size.task.lr } } }
  end,
}

return g.experiment {
  name   = "parity_mlp",
  params = { method = g.choice { "one_shot", "progressive", "extraction" }, size = g.choice { "small", "medium", "paper" } },
  grid   = { method = { "one_shot", "progressive", "extraction" }, seed = { 1, 2, 3, 4, 5, 6, 7 } },
  columns = { { "acc_25", "at 25 %", "%.1f%%" }, { "acc_50", "at 50 %", "%.1f%%" }, { "acc_75", "at 75 %", "%.1f%%" },
    { "acc", "all FLOPs", "%.1f%%" }, { "solved", "solved", "%.1f" }, { "steps_to_95", "steps to 95 %", "%.0f" },
    { "gflops_to_95", "GFLOPs to 95 %", "%.0f" }, { "probe_ratio", "in/out", "%.1f" } },
  versus = { "gflops_to_95", "one_shot", "GFLOPs vs one-shot" },
  footer = "Accuracy on 4,096 held-out samples, at shares of one FLOP budget. A run that never reaches 95 % counts with its whole budget.\n"
    .. "in/out: how much wider projections of the hidden layer correlate with the support than with other coordinates (figure 2).",

  run = function(run, p)
    local size = SIZES[p.size]
    local task = size.task
    local d = g.data.parity { d = task.d, k = task.k }
    local teacher, kept = run:cached("teacher", build_teacher, task, run.seed)
    local student = nn.MLP { task.d, size.student, 2 }
    local x = d.val:first(task.batch):gather()  -- backward costs twice the forward, less the gradient of the input
    local budget = size.steps * (g.flops(teacher, x) + 3 * g.flops(student, x) - 2 * task.batch * task.d * size.student)

    local options = plain(task)
    options.teacher, options.student, options.data = teacher, student, d
    options.alpha, options.temperature, options.budget = 0, 1, { flops = budget }
    options.curriculum = methods[p.method](teacher, kept, size)
    local r = run:distill(options)
    run.line.say("  " .. r:sparkline("val/acc", { low = .5, high = 1 }))

    local found = probe.correlation(r.student, { d = task.d, k = task.k, layer = "layers.1" })
    run:log { ["probe/inside"] = found.inside, ["probe/outside"] = found.outside }
    for degree, one in ipairs(probe.monomials(r.student, { d = task.d, k = task.k })) do
      run:log { [("probe/degree_%d_inside"):format(degree)] = one.inside, [("probe/degree_%d_outside"):format(degree)] = one.outside }
    end
    local flops = r:first_flops("val/acc", .95)
    return { acc_25 = r:at_flops("val/acc", .25 * budget), acc_50 = r:at_flops("val/acc", .5 * budget),
      acc_75 = r:at_flops("val/acc", .75 * budget), acc = r:last "val/acc", solved = flops and 1 or 0,
      steps_to_95 = r:first_step("val/acc", .95) or r.steps, gflops_to_95 = (flops or r.flops) / 1e9,
      probe_ratio = found.ratio, seconds = r.seconds }
  end,
}
