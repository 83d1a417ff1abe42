-- Temperature and alpha: T in {2, 4, 8, 16}, alpha in {.3, .5, .7, .9} or rising from .3 to .9 (progressive distillation of
-- the guides), on digits.
--   gradus run scripts/sweep_temperature_alpha.lua
--   gradus run scripts/sweep_temperature_alpha.lua --set alpha=progressive
local g = require "gradus"
local nn, schedule = g.nn, g.schedule

local function build_teacher(train)
  return g.fit { model = nn.MLP { 64, 256, 10 }, data = train, epochs = 60, lr = 2e-3, augment = 1, augmentations = { noise = .1 } }
end

return g.experiment {
  name   = "sweep_temperature_alpha",
  params = { temperature = g.choice { 4, 2, 8, 16 }, alpha = g.choice { "0.7", "0.3", "0.5", "0.9", "progressive" }, width = g.int(12),
    epochs = g.int(40), lr = 5e-3 },
  grid   = { temperature = { 2, 4, 8, 16 }, alpha = { "0.3", "0.5", "0.7", "0.9", "progressive" }, seed = { 1, 2, 3 } },
  columns = { { "val", "val", "%.1f%%" }, { "test", "test", "%.1f%%" }, { "agreement", "agrees with teacher", "%.1f%%" } },
  footer = "Choose by val, report test.",

  run = function(run, p)
    local d = g.data.digits():split { train = .5, val = .2, test = .3 }
    local teacher = run:cached("teacher", build_teacher, d.train)
    local r = run:distill {
      teacher = teacher, student = nn.MLP { 64, p.width, 10 }, data = d, budget = { epochs = p.epochs }, lr = p.lr,
      temperature = p.temperature, alpha = p.alpha == "progressive" and schedule.linear(.3, .9) or tonumber(p.alpha),
    }
    local test = run:evaluate(r.student, d.test, teacher)
    return { val = r:best "val/acc", test = test.acc, agreement = test.agreement }
  end,
}
