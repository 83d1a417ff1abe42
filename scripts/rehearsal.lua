-- Rehearsal against forgetting: the student learns the digits 0 to 4, then 5 to 9; a share of the second stage's examples comes
-- from the first. How much of the first is lost?
--   gradus run scripts/rehearsal.lua
--   gradus run scripts/rehearsal.lua --set share=0.5
local g = require "gradus"
local nn, sampler, when = g.nn, g.sampler, g.when

local function build_teacher(train)
  return g.fit { model = nn.MLP { 64, 256, 10 }, data = train, epochs = 60, lr = 2e-3, augment = 1, augmentations = { noise = .1 } }
end

-- The rows whose label is at least `low` and at most `high`.
local function labelled(d, low, high)
  local _, y = d:gather()
  return d:subset((y:ge(low) * y:le(high)):nonzero():flatten())
end

return g.experiment {
  name   = "rehearsal",
  params = { share = g.number(0, { min = 0, max = .9 }), width = g.int(16), epochs = g.int(40), lr = 5e-3, alpha = .5, temperature = 4 },
  grid   = { share = { 0, .05, .2, .5 }, seed = { 1, 2, 3, 4, 5 } },
  columns = { { "first", "0 to 4", "%.1f%%" }, { "second", "5 to 9", "%.1f%%" }, { "all", "all", "%.1f%%" },
    { "forgetting", "forgotten of 0 to 4", "%.1f%%" } },
  versus = { "all", 0, "all vs no rehearsal" },
  metrics = { all = { better = "higher" } },
  footer = "Forgetting by stage: gradus plot first/acc second/acc @last",

  run = function(run, p)
    local d = g.data.digits():split { train = .5, val = .2, test = .3 }
    local teacher = run:cached("teacher", build_teacher, d.train)
    local first, second = labelled(d.train, 0, 4), labelled(d.train, 5, 9)
    local r = run:distill {
      teacher = teacher, student = nn.MLP { 64, p.width, 10 }, data = d, budget = { epochs = p.epochs }, lr = p.lr, decay = "constant",
      alpha = p.alpha, temperature = p.temperature, restore_best = false,
      suites = { first = labelled(d.val, 0, 4), second = labelled(d.val, 5, 9) },
      curriculum = {
        { "0 to 4", sample = first, advance = when.progress(.5) },
        { "5 to 9", sample = p.share > 0 and sampler.rehearsal(second, first, p.share) or second },
      },
    }
    return { first = run:evaluate(r.student, labelled(d.test, 0, 4)).acc, second = run:evaluate(r.student, labelled(d.test, 5, 9)).acc,
      all = run:evaluate(r.student, d.test).acc, forgetting = r:forgetting "first" }
  end,
}
