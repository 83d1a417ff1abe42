-- A linear difficulty ramp beside its controls: the same ramp over a random order, from hard to easy, and no ramp at all; each
-- within one budget, counted in samples, in FLOPs (the teacher's forward passes included) or in seconds.
--   gradus run scripts/controls.lua
--   gradus run scripts/controls.lua --set budget=seconds
local g = require "gradus"
local nn, curriculum, score = g.nn, g.curriculum, g.score

local function build_teacher(train)
  return g.fit { model = nn.MLP { 64, 256, 10 }, data = train, epochs = 60, lr = 2e-3, augment = 1, augmentations = { noise = .1 } }
end

local orders = {
  one_shot     = function() return curriculum.one_shot() end,
  linear_ramp  = function(ranked) return curriculum.linear_ramp(ranked, { augment = 0 }) end,
  random_order = function(ranked) return curriculum.random_order(ranked, { augment = 0 }) end,
  anti         = function(ranked) return curriculum.anti(ranked, { augment = 0 }) end,
}
local names = { "one_shot", "linear_ramp", "random_order", "anti" }

return g.experiment {
  name   = "controls",
  params = { order = g.choice(names), budget = g.choice { "samples", "flops", "seconds" }, samples = g.int(60000), flops = 2.5e9,
    seconds = .5, width = g.int(12), lr = 5e-3, alpha = .5, temperature = 4 },
  grid   = { order = names, seed = { 1, 2, 3, 4, 5 } },
  columns = { { "easy", "easy", "%.1f%%" }, { "hard", "hard", "%.1f%%" }, { "samples", "samples", "%.0f" }, { "gflops", "GFLOPs", "%.2f" },
    { "seconds", "seconds", "%.2f" } },
  versus = { "hard", "one_shot", "hard vs one_shot" },
  metrics = { hard = { better = "higher" } },

  run = function(run, p)
    local d = g.data.digits():split { train = .5, val = .2, test = .3 }
    local teacher = run:cached("teacher", build_teacher, d.train)
    local ranked, test = d.train:rank(score.loss(teacher)), d.test:rank(score.loss(teacher))
    local r = run:distill { teacher = teacher, student = nn.MLP { 64, p.width, 10 }, data = d, lr = p.lr, alpha = p.alpha,
      temperature = p.temperature, budget = { [p.budget] = p[p.budget] }, curriculum = orders[p.order](ranked) }
    return { easy = run:evaluate(r.student, test:first(.5)).acc, hard = run:evaluate(r.student, test:last(.25)).acc,
      samples = r.state.samples, gflops = r.flops / 1e9, seconds = r.seconds }
  end,
}
