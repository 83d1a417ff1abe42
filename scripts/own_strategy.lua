-- A strategy of your own is four functions of the run's state: which examples, what is imitated, how strongly, when to go on.
--   gradus run scripts/own_strategy.lua
--   gradus compare --where 'name = "own_strategy"' --threshold 'val/acc>=0.9'
local g = require "gradus"
local nn = g.nn

local function build_teacher(train) return g.fit { model = nn.MLP { 64, 256, 10 }, data = train, epochs = 30, lr = 2e-3 } end

local function mine(ranked)
  return {
    sample = function(s) return ranked:first { share = math.min(1, .3 + .05 * s.epoch) } end,             -- asked once per epoch
    target = function(s) return s.teacher end,                                                 -- once per stage
    pressure = function(s) return { temperature = math.max(2, 6 - s.epoch / 5), alpha = .5 + .4 * s.progress } end,  -- once per step
    advance = function(s) return s:best "val/acc" > .97 and "stop" end,                        -- once per evaluation
  }
end

return g.experiment {
  name = "own_strategy",
  params = { strategy = g.choice { "mine", "one_shot" }, epochs = g.int(60) },
  grid = { strategy = { "mine", "one_shot" }, seed = { 1, 2, 3 } },
  columns = { { "acc", "accuracy", "%.1f%%" }, { "epochs", "epochs", "%.0f" } },
  run = function(run, p)
    local d = g.data.digits():split { train = .5, val = .2, test = .3 }
    local teacher = run:cached("teacher", build_teacher, d.train)
    local r = run:distill { teacher = teacher, student = nn.MLP { 64, 12, 10 }, data = d, budget = { epochs = p.epochs }, lr = 5e-3,
      curriculum = p.strategy == "mine" and mine(d.train:rank(g.score.loss(teacher))) or "one_shot" }
    return { acc = run:evaluate(r.student, d.test).acc, epochs = r.epochs }
  end,
}
