-- NAME: a small student learns from a large teacher, in stages from easy to hard, against learning all at once.
--   gradus check NAME.lua                        two steps of each stage: what is wrong, before the run
--   gradus run NAME.lua                          the runs of the grid, and a table of them
--   gradus run NAME.lua --set width=32 --seed 7  one parameter changed, one seed
--   gradus compare --by strategy · gradus serve  which is better, and how sure; all curves as a page
local g = require "gradus"
local nn, when = g.nn, g.when

-- The teacher: trained on labels, once; run:cached below reuses it in all runs.
local function build(train, epochs) return g.fit { model = nn.MLP { 64, 256, 10 }, data = train, epochs = epochs, lr = 2e-3 } end

return g.experiment {
  name = "NAME",
  params = { strategy = g.choice { "stages", "one_shot" }, width = g.int(12), epochs = 40, teacher_epochs = 30, alpha = .7, lr = 3e-3 },
  grid = { strategy = { "stages", "one_shot" }, seed = { 1, 2, 3 } },

  run = function(run, p)
    -- Data of your own: g.data.csv("points.csv", { label = "class" }), g.data.npy { x = "x.npy", y = "y.npy" }.
    local d = g.data.digits():split { train = .5, val = .2, test = .3 }
    local teacher = run:cached("teacher", build, d.train, p.teacher_epochs)
    local ranked = d.train:rank(g.score.loss(teacher))  -- easiest first

    local stages = {
      { "easy", sample = ranked:first(.3), temperature = 6, advance = when.any(when.plateau("val/loss", 3), when.progress(.3)) },
      { "medium", sample = ranked:first(.7), temperature = 4, advance = when.any(when.plateau("val/loss", 3), when.progress(.6)) },
      { "hard", sample = ranked, temperature = 2 },
    }
    local r = run:distill {
      teacher = teacher, student = nn.MLP { 64, p.width, 10 }, data = d, budget = { epochs = p.epochs },
      lr = p.lr, alpha = p.alpha,  -- alpha is the weight of the labels
      curriculum = p.strategy == "stages" and stages or "one_shot",
    }
    return { acc = run:evaluate(r.student, d.test).acc, steps = r.steps }
  end,
}
