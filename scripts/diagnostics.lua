-- Diagnostics: runs that go wrong in the ways of the guide, each recognised while it runs, named, and given advice; and one that
-- is well. Curves of training and validation come with each.
--   gradus run scripts/diagnostics.lua
--   gradus sql "select run_id, name, detail from events where kind = 'health'"
local g = require "gradus"
local nn, when, score = g.nn, g.when, g.score

local function build_teacher(train, epochs)
  return g.fit { model = nn.MLP { 64, 256, 10 }, data = train, epochs = epochs, lr = 2e-3, augment = 1, augmentations = { noise = .1 } }
end

-- What each does to a healthy run's options. d: the parts of the data.
local ailments = {
  healthy     = function() end,
  rate_too_high = function(o) o.lr = function() return 3 end end,  -- as a number check refuses it
  too_small   = function(o) o.student, o.budget = nn.MLP { 64, 2, 10 }, { epochs = 60 } end,
  oscillating = function(o)
    o.lr, o.decay, o.warmup = .4, "constant", 0
  end,
  diverging   = function(o)  -- a schedule that rises to the end is refused; a function is taken to be meant
    o.optimizer, o.clip, o.lr = "SGD", false, function(s) return .05 * (60 / .05) ^ s.progress end
  end,
  overfitting = function(o, d)  -- few rows, every fourth with a wrong label, and nothing that regularises
    o.teacher, o.alpha, o.temperature, o.student, o.weight_decay = nil, nil, nil, nn.MLP { 64, 256, 10 }, 0
    local x, y = d.train:first(200):gather()
    local wrong = g.arange(200):remainder(4):eq(0):long()
    o.data, o.budget = { train = g.data.tensors(x, (y + wrong):remainder(10), { classes = 10 }), val = d.val }, { epochs = 100 }
  end,
  stagnant    = function(o) o.lr, o.decay, o.warmup = 1e-7, "constant", 0 end,
  collapsed   = function(o, d)  -- it sees nothing but zeros
    local _, y = d.train:gather()
    o.data = { train = d.train:subset(y:eq(0):nonzero():flatten()), val = d.val }
  end,
  teacher_worse = function(o, d) o.teacher, o.alpha = build_teacher(d.train:first(60), 5), .9 end,
  difficulty_jump = function(o, d)
    local ranked = d.train:rank(score.loss(o.teacher))
    o.curriculum = { { "easiest", sample = ranked:first(.1), advance = when.progress(.5) }, { "hardest", sample = ranked:last(.05) } }
  end,
}
local names = { "healthy", "rate_too_high", "oscillating", "diverging", "too_small", "overfitting", "stagnant",
  "collapsed", "teacher_worse", "difficulty_jump" }

return g.experiment {
  name   = "diagnostics",
  params = { run_is = g.choice(names), width = g.int(24) },
  grid   = { run_is = names },
  columns = { { "recognised", "recognised", "%.0f" }, { "alarms", "alarms", "%.0f" }, { "val", "val", "%.1f%%" } },
  footer = "alarms: how many findings in all. The advice: gradus show RUN. The curves: gradus plot train/loss val/loss val/acc RUN",

  run = function(run, p)
    local d = g.data.digits():split { train = .5, val = .2, test = .3 }
    local options = { teacher = run:cached("teacher", build_teacher, d.train, 60), student = nn.MLP { 64, p.width, 10 }, data = d,
      budget = { epochs = 30 }, lr = 5e-3, alpha = .7, temperature = 4, augment = 0 }
    ailments[p.run_is](options, d)
    local r = run:distill(options)
    local found, recognised = r.state.findings, p.run_is == "healthy" and #r.state.findings == 0
    for _, one in ipairs(found) do recognised = recognised or one.name == p.run_is end
    return { recognised = recognised and 1 or 0, alarms = #found, val = r:last "val/acc" }
  end,
}
