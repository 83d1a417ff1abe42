-- Curves by stage, and the tools people already use: easy, medium, hard, with temperature and augmentation falling; easy and hard
-- test sets followed along. Then look at it in the terminal, on a page, in TensorBoard, MLflow or a spreadsheet.
--   gradus run scripts/curves_by_stage.lua
local g = require "gradus"
local nn, curriculum, score = g.nn, g.curriculum, g.score

local function build_teacher(train)
  return g.fit { model = nn.MLP { 64, 256, 10 }, data = train, epochs = 60, lr = 2e-3, augment = 1, augmentations = { noise = .1 } }
end

return g.experiment {
  name   = "curves_by_stage",
  params = { width = g.int(12), epochs = g.int(60), lr = 5e-3, alpha = .5 },
  grid   = { seed = { 1, 2, 3 } },
  columns = { { "easy", "easy", "%.1f%%" }, { "hard", "hard", "%.1f%%" } },
  footer = [[
gradus plot easy/acc hard/acc knob/temperature @last      the last run, stage by stage
gradus plot val/acc --by name --output curves.svg         mean and 95 % interval over the seeds
gradus report --output report.html                        one file; gradus serve shows a page
gradus export tensorboard logs/                           then tensorboard --logdir logs
gradus export mlflow mlflow.db                            then mlflow ui --backend-store-uri sqlite:///mlflow.db
gradus export csv -o curves.csv]],

  run = function(run, p)
    local d = g.data.digits():split { train = .5, val = .2, test = .3 }
    local teacher = run:cached("teacher", build_teacher, d.train)
    local suites = d.val:rank(score.loss(teacher))
    local r = run:distill { teacher = teacher, student = nn.MLP { 64, p.width, 10 }, data = d, budget = { epochs = p.epochs }, lr = p.lr,
      alpha = p.alpha, suites = { easy = suites:first(.5), hard = suites:last(.25) }, restore_best = false,
      curriculum = curriculum.multi_stage(d.train:rank(score.loss(teacher))) }
    return { easy = r:last "easy/acc", hard = r:last "hard/acc" }
  end,
}
