-- Where a curriculum wins on real data: digits, a fifth of the training labels wrong. Rows near even chances are drawn, or the
-- easiest 80 % by the teacher's loss kept; wrong labels are mostly not among them. The teacher learns from the same labels. One-shot's
-- alpha, temperature and learning rate are its best of 36 settings by validation (seeds 1 to 10); the curricula take them as they are.
--   gradus run scripts/noisy_digits.lua
--   gradus run scripts/noisy_digits.lua --set noise=0        clean labels: the easiest 80 % lose (one-shot is not tuned for these)
local g = require "gradus"
local nn, curriculum, score = g.nn, g.curriculum, g.score

-- One point is of interest, to be found in nine studies of ten; differences to one-shot spread by up to .82 points in the pilot (seeds 1
-- to 10, which chose the settings): 10 seeds, others.
local SEEDS = g.seeds { sd = .0082, effect = .01, power = .9, first = 201 }

local function build_teacher(train, val)
  return g.fit { model = nn.MLP { 64, 256, 10 }, data = { train = train, val = val }, epochs = 15, lr = 2e-3 }
end

local strategies = {
  one_shot   = function() return curriculum.one_shot() end,
  random_80  = function(d) return { sample = d:shuffled():first(.8) } end,  -- the control: as few rows, by chance
  easiest_80 = function(d, teacher) return { sample = d:rank(score.loss(teacher)):first(.8) } end,
  confidence = function(d) return { sample = g.sampler.confidence(d) } end,
}
local names = { "one_shot", "random_80", "easiest_80", "confidence" }

return g.experiment {
  name   = "noisy_digits",
  params = { strategy = g.choice(names), noise = g.number(.2, { min = 0, max = 1 }), epochs = g.int(60), width = g.int(32), lr = 5e-3,
    alpha = .7, temperature = 4 },
  grid   = { strategy = names, seed = SEEDS },
  columns = { { "teacher", "teacher", "%.1f%%" }, { "test", "test", "%.1f%%" } },
  versus = { "test", "one_shot", "vs one_shot" },
  metrics = { test = { better = "higher" } },

  run = function(run, p)
    local d = g.data.digits():split { train = .6, val = .15, test = .25 }
    local train = d.train:mislabel(p.noise)
    local teacher = run:cached("teacher", build_teacher, train, d.val)
    local r = run:distill { teacher = teacher, student = nn.MLP { 64, p.width, 10 }, data = { train = train, val = d.val },
      budget = { epochs = p.epochs }, lr = p.lr, alpha = p.alpha, temperature = p.temperature,
      curriculum = strategies[p.strategy](train, teacher) }
    return { teacher = run:evaluate(teacher, d.test).acc, test = run:evaluate(r.student, d.test).acc }
  end,
}
