-- Sparse parity with transformers (Gupta & Karmalkar 2025, figure 3b): one-shot, progressive and extraction layer by layer,
-- at equal FLOPs, teacher forwards counted. Tokens are (1 - x) / 2; the last position gives the logits.
--   gradus run scripts/parity_transformer.lua                    d = 16, k = 4
--   gradus run scripts/parity_transformer.lua --set size=paper   the published size
local g = require "gradus"
local nn, curriculum, when = g.nn, g.curriculum, g.when

-- Heads of 8 dimensions, as published. `steps` are one-shot steps of the student; stage: share of the FLOPs for each layer.
local SIZES = {
  small = { task = { d = 16, k = 4, batch = 32, lr = 1e-3, heads = 8, steps = 20000, every = 250 },
    heads = 2, lr = 1e-3, steps = 3000, stage = .1 },
  paper = { task = { d = 100, k = 6, batch = 32, lr = 3e-4, heads = 32, steps = 250000, every = 5000 },
    heads = 4, lr = 1e-4, steps = 250000, stage = .1 },
}

local function transformer(task, heads)
  return nn.Transformer { vocabulary = 2, context = task.d, width = 8 * heads, layers = 2, heads = heads, outputs = 2, causal = true,
    pool = "last" }
end

local function published(task, lr)
  return { batch = task.batch, optimizer = "Adam", weight_decay = 0, lr = lr, warmup = .06, decay = "cosine",
    evaluate = { steps = task.every }, restore_best = false }
end

local function build_teacher(task, seed)
  local options = published(task, task.lr)
  options.model = transformer(task, task.heads)
  options.data = g.data.parity { d = task.d, k = task.k, seed = seed, tokens = true, held_out = 1024 }
  options.steps, options.checkpoints = task.steps, { steps = task.every }
  options.stop = when.above("val/acc", .995)
  return g.fit(options)
end

local methods = {
  one_shot    = function() return curriculum.one_shot() end,
  progressive = function(teacher, kept) return curriculum.progressive { teacher = teacher, checkpoints = kept, count = 8, share = .5 } end,
  extraction  = function(teacher, _, stage)
    local layers = {}
    for i = 0, 1 do
      local layer = ("encoder.layers.%d"):format(i)
      layers[i + 1] = { from = layer, to = layer, share = stage }
    end
    return curriculum.extraction { teacher = teacher, layers = layers }
  end,
}

return g.experiment {
  name   = "parity_transformer",
  params = { method = g.choice { "one_shot", "progressive", "extraction" }, size = g.choice { "small", "paper" } },
  grid   = { method = { "one_shot", "progressive", "extraction" }, seed = { 1, 2, 3, 4, 5 } },
  columns = { { "acc_50", "at 50 %", "%.1f%%" }, { "acc", "all FLOPs", "%.1f%%" }, { "solved", "solved", "%.1f" },
    { "steps_to_95", "steps to 95 %", "%.0f" }, { "gflops_to_95", "GFLOPs to 95 %", "%.0f" } },
  versus = { "gflops_to_95", "one_shot", "GFLOPs vs one-shot" },
  footer = "Accuracy on 1,024 held-out samples. A run that never reaches 95 % counts with its whole budget.",

  run = function(run, p)
    local size = SIZES[p.size]
    local task = size.task
    local d = g.data.parity { d = task.d, k = task.k, tokens = true, held_out = 1024 }
    local teacher, kept = run:cached("teacher", build_teacher, task, run.seed)
    local student = transformer(task, size.heads)
    local x = d.val:first(task.batch):gather()  -- backward costs twice the forward
    local budget = size.steps * (g.flops(teacher, x) + 3 * g.flops(student, x))

    local options = published(task, size.lr)
    options.teacher, options.student, options.data = teacher, student, d
    options.alpha, options.temperature, options.budget = 0, 1, { flops = budget }
    options.curriculum = methods[p.method](teacher, kept, size.stage)
    local r = run:distill(options)
    run.line.say("  " .. r:sparkline("val/acc", { low = .5, high = 1 }))
    local flops = r:first_flops("val/acc", .95)
    return { acc_50 = r:at_flops("val/acc", .5 * budget), acc = r:last "val/acc", solved = flops and 1 or 0,
      steps_to_95 = r:first_step("val/acc", .95) or r.steps, gflops_to_95 = (flops or r.flops) / 1e9, seconds = r.seconds }
  end,
}
