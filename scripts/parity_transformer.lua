-- Sparse parity with transformers (Gupta & Karmalkar 2025, figure 3b): one-shot, progressive and extraction layer by layer, at
-- equal FLOPs. Tokens are (1 - x) / 2; the last position gives the logits.
--   gradus run scripts/parity_transformer.lua                    d = 16, k = 4
--   gradus run scripts/parity_transformer.lua --set size=paper   the published size
local g = require "gradus"
local equal_flops = require "lib.equal_flops"
local nn, when = g.nn, g.when

-- Heads of 8 dimensions, as published. `steps` are one-shot steps of the student; stage: share of the FLOPs for each layer, the
-- shortest of .1, .2 and .3 after which every student of seeds 101 to 104 learnt the task.
local SIZES = {
  tiny  = { task = { d = 8, k = 3, batch = 32, lr = 1e-3, heads = 2, steps = 400, every = 20 },
    heads = 1, lr = 1e-3, steps = 100, stage = .2 },
  small = { task = { d = 16, k = 4, batch = 32, lr = 1e-3, heads = 8, steps = 20000, every = 25 },
    heads = 2, lr = 1e-3, steps = 1000, stage = .2 },
  paper = { task = { d = 100, k = 6, batch = 32, lr = 3e-4, heads = 32, steps = 250000, every = 5000 },
    heads = 4, lr = 1e-4, steps = 250000, stage = .1 },
}

-- One-shot learns it early or late, so its GFLOPs to 95 % spread widely: differences by 47 in the pilot (seeds 1 to 16). A quarter of
-- what one-shot needs is of interest. (22 seeds, 1 to 22, were too few for two machines to agree; none of these is among them.)
local SEEDS = g.seeds { sd = 47, effect = 20, power = .9, first = 201 }

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

local function layers(stage)
  local list = {}
  for i = 0, 1 do
    local layer = ("encoder.layers.%d"):format(i)
    list[i + 1] = { from = layer, to = layer, share = stage }
  end
  return list
end

return g.experiment {
  name   = "parity_transformer",
  params = { method = g.choice(equal_flops.ALL), size = g.choice { "small", "paper", "tiny" },
    budget = equal_flops.budget, target = equal_flops.target },
  grid   = { method = equal_flops.METHODS, seed = SEEDS },
  columns = equal_flops.columns, versus = equal_flops.versus, footer = equal_flops.footer("parity_transformer", "gflops_to_95"),

  run = function(run, p)
    local size = SIZES[p.size]
    local task = size.task
    local teacher, kept = run:cached("teacher", build_teacher, task, run.seed)
    local _, result = equal_flops.distill(run, p.method, { teacher = teacher, checkpoints = kept, student = transformer(task, size.heads),
      data = g.data.parity { d = task.d, k = task.k, tokens = true, held_out = 1024 }, steps = size.steps,
      distill = published(task, size.lr), shown = { .5, 1 }, layers = layers(size.stage), learning = { .52, .97 } })
    return result
  end,
}
