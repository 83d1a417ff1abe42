-- The full transfer loop of the guide: alpha · CE + (1 − alpha) · T² · KL from a frozen teacher, AdamW, warm-up, then linear or
-- cosine decay, gradients clipped at 1, early stopping with patience 3, the best checkpoint kept.
--   gradus run scripts/transfer_loop.lua
--   gradus run scripts/transfer_loop.lua --set decay=cosine
local g = require "gradus"
local nn = g.nn

local function build_teacher(train)
  return g.fit { model = nn.MLP { 64, 256, 10 }, data = train, epochs = 60, lr = 2e-3, augment = 1, augmentations = { noise = .1 } }
end

return g.experiment {
  name   = "transfer_loop",
  params = { learn = g.choice { "distilled", "labels" }, decay = g.choice { "linear", "cosine" }, temperature = 4, alpha = .7,
    width = g.int(12), epochs = g.int(60), lr = 5e-3 },
  grid   = { learn = { "labels", "distilled" }, seed = { 1, 2, 3, 4, 5 } },
  columns = { { "train", "train loss", "%.3f" }, { "val", "val", "%.1f%%" }, { "test", "test", "%.1f%%" },
    { "epochs", "stopped at epoch", "%.0f" }, { "best", "best at step", "%.0f" } },
  versus = { "test", "labels", "test vs labels" },
  metrics = { test = { better = "higher" } },

  run = function(run, p)
    local d = g.data.digits():split { train = .5, val = .2, test = .3 }
    local teacher = p.learn == "distilled" and run:cached("teacher", build_teacher, d.train) or nil
    local r = run:distill {
      teacher = teacher, student = nn.MLP { 64, p.width, 10 }, data = d, batch = 64, budget = { epochs = p.epochs },
      temperature = teacher and p.temperature, alpha = teacher and p.alpha,
      optimizer = "AdamW", weight_decay = .01, lr = p.lr, warmup = { epochs = 1 }, decay = p.decay, clip = 1,
      evaluate = { epochs = 1 }, monitor = "val/loss", patience = 3, restore_best = true,
    }
    return { train = run:evaluate(r.student, d.train).loss, val = run:evaluate(r.student, d.val).acc,
      test = run:evaluate(r.student, d.test).acc, epochs = r.epochs, best = r.best.step }
  end,
}
