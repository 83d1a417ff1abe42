-- Four ways to teach a small student what a teacher knows of handwritten digits, three seeds each.
--   gradus run scripts/quickstart.lua
--   gradus run scripts/quickstart.lua --set width=16 --set epochs=60
local g = require "gradus"
local nn, curriculum, score = g.nn, g.curriculum, g.score

local function build_teacher(train)
  return g.fit { model = nn.MLP { 64, 256, 10 }, data = train, epochs = 30, lr = 2e-3 }
end

-- Each strategy is one line: how the ranked training set becomes a curriculum.
local strategies = {
  one_shot    = function() return curriculum.one_shot() end,
  linear_ramp = function(ranked) return curriculum.linear_ramp(ranked) end,
  confidence  = function(ranked) return curriculum.confidence(ranked) end,
  multi_stage = function(ranked) return curriculum.multi_stage(ranked) end,
}

return g.experiment {
  name   = "quickstart",
  params = { strategy = g.choice { "one_shot", "linear_ramp", "confidence", "multi_stage" }, width = g.int(12), epochs = g.int(150),
    alpha = .7, lr = 5e-3 },
  grid   = { strategy = { "one_shot", "linear_ramp", "confidence", "multi_stage" }, seed = { 1, 2, 3 } },
  columns = { { "easy_acc", "easy", "%.1f%%" }, { "hard_acc", "hard", "%.1f%%" }, { "steps_to_90", "steps to 90 %", "%.0f" },
    { "forgetting", "forgetting", "%.1f%%" }, { "seconds", "seconds", "%.1f" } },
  versus = { "hard_acc", "one_shot", "hard vs one_shot" },
  footer = "How sure is that?  gradus compare --versus one_shot --metric result/hard_acc",

  run = function(run, p)
    local d = g.data.digits():split { train = .5, val = .2, test = .3 }
    local teacher = run:cached("teacher", build_teacher, d.train)
    local ranked = d.train:rank(score.loss(teacher))
    local test = d.test:rank(score.loss(teacher))
    local easy, hard = test:first(.5), test:last(.25)

    local r = run:distill {
      teacher = teacher, student = nn.MLP { 64, p.width, 10 }, data = d, budget = { epochs = p.epochs },
      lr = p.lr, alpha = p.alpha, suites = { easy = easy, hard = hard },
      curriculum = strategies[p.strategy](ranked),
    }
    return { easy_acc = run:evaluate(r.student, easy).acc, hard_acc = run:evaluate(r.student, hard).acc,
      steps_to_90 = r:first_step("val/acc", .9), forgetting = r:forgetting "hard", seconds = r.seconds }
  end,
}
