-- NAME: which temperature, which alpha? Every combination of the grid is a run of its own, with the same data and teacher.
--   gradus run NAME.lua
--   gradus compare --by temperature,alpha
--   gradus runs --where "temperature == 4 and best(val/acc) > .9"
local g = require "gradus"
local nn = g.nn

local function build(train, epochs) return g.fit { model = nn.MLP { 64, 256, 10 }, data = train, epochs = epochs, lr = 2e-3 } end

return g.experiment {
  name = "NAME",
  params = { temperature = 4, alpha = .7, width = g.int(12), epochs = 40, teacher_epochs = 30, lr = 5e-3 },
  grid = { temperature = { 1, 2, 4, 8 }, alpha = { 0, .3, .7, .9 }, seed = { 1, 2 } },  -- alpha: the labels' weight
  columns = { { "val", "val", "%.1f%%" }, { "test", "test", "%.1f%%" } },
  footer = "Choose by val, report test.",

  run = function(run, p)
    local d = g.data.digits():split { train = .5, val = .2, test = .3 }
    local teacher = run:cached("teacher", build, d.train, p.teacher_epochs)
    local r = run:distill {
      teacher = teacher, student = nn.MLP { 64, p.width, 10 }, data = d, budget = { epochs = p.epochs }, lr = p.lr,
      temperature = p.temperature, alpha = p.alpha,
    }
    return { val = r:best "val/acc", test = run:evaluate(r.student, d.test).acc }
  end,
}
