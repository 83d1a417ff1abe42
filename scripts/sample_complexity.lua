-- How many samples a student needs as the parity grows (Gupta & Karmalkar 2025, theorems 1.1 and 4.3: after extraction a small power
-- of d, one-shot d to a power that grows with k). gradus run scripts/claims.lua fits the exponents.
--   gradus run scripts/sample_complexity.lua
--   gradus run scripts/sample_complexity.lua --set d=64
--   gradus run scripts/sample_complexity.lua --set d=32 --set k=3
-- Three seeds at each of four d: the two slopes had standard errors of .12 and .11 in the pilot, so that exponents .5 apart are found
-- in nine studies of ten.
local g = require "gradus"
local nn, when = g.nn, g.when

-- Plain SGD, batches of 32, as parity_mlp.lua.
local PLAIN = { batch = 32, lr = .05, optimizer = "SGD", weight_decay = 0, clip = false, decay = "constant", warmup = 0,
  restore_best = false }
local function plain(more)
  for key, value in pairs(PLAIN) do more[key] = value end
  return more
end

local function build_teacher(d, k, width, seed)
  return g.fit(plain { model = nn.MLP { d, width, 2 }, data = g.data.parity { d = d, k = k, seed = seed }, steps = 100000,
    evaluate = { steps = 500 }, stop = when.above("val/acc", .995) })
end

return g.experiment {
  name   = "sample_complexity",
  params = { method = g.choice { "one_shot", "extraction" }, d = g.int(16), k = g.int(4), teacher_width = g.int(1000), width = g.int(100),
    stage = g.int(1000), steps = g.int(80000) },
  grid   = { d = { 16, 24, 32, 48 }, method = { "one_shot", "extraction" }, seed = { 1, 2, 3 } },
  columns = { { "samples", "samples to 95 %", "%.0f" }, { "solved", "solved", "%.1f" } },
  metrics = { samples = { better = "lower" } },
  footer = "A run that never reaches 95 % counts with all its samples.",

  run = function(run, p)
    local teacher = run:cached("teacher", build_teacher, p.d, p.k, p.teacher_width, run.seed)
    local stages = p.method == "one_shot" and { { "logits" } } or g.curriculum.extraction { teacher = teacher, normalise = false,
      layers = { { from = "layers.1", to = "layers.0", steps = p.stage } } }
    stages[#stages].advance = when.stop(when.above("val/acc", .95))
    local r = run:distill(plain { teacher = teacher, student = nn.MLP { p.d, p.width, 2 }, data = g.data.parity { d = p.d, k = p.k },
      budget = { steps = p.steps }, alpha = 0, temperature = 1, evaluate = { steps = 100 }, curriculum = stages })
    local reached = r:first_step("val/acc", .95)
    return { samples = (reached or r.steps) * PLAIN.batch, solved = reached and 1 or 0 }
  end,
}
