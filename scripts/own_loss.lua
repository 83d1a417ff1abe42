-- Losses of your own beside the distillation loss: what the student's hidden layer, or its logits, should have of the teacher's.
-- A term is a weight (a number, a schedule or a function) and a function of the batch to a number; `module` is trained along.
--   gradus run scripts/own_loss.lua
--   gradus run scripts/own_loss.lua --set term=hint --set scale=.1      at a tenth of its weight
local g = require "gradus"
local own = require "lib.own_losses"
local nn = g.nn

local HIDDEN, WIDE = "layers.1", 256  -- after the first ReLU, of student and teacher; the teacher's units
local WEIGHT = { hint = 3, relational = 30, cosine = 1, decoupled = 1 }  -- of 1, 3, 10, 30, by validation on seeds 101 to 105

local function build_teacher(train)
  return g.fit { model = nn.MLP { 64, WIDE, 10 }, data = train, epochs = 60, lr = 2e-3, augment = 1, augmentations = { noise = .1 } }
end

-- b: the batch (x, y, index, weight; teacher: its logits); out: the student's logits, and the layers that the term asks for, of
-- both; k: the step's knobs (temperature, alpha, lr, and each term's weight by its name). A term that is not listed is absent.
local function of_hidden(weight, module, loss)
  return { weight = weight, module = module, student = { HIDDEN }, teacher = { HIDDEN },
    loss = function(_, out) return loss(out.student[HIDDEN], out.teacher[HIDDEN]) end }
end

local terms = {
  none = function() return { kd = 1 } end,
  hint = function(p, weight)         -- FitNets (Romero et al. 2015): a learnt map of the student's layer foretells the teacher's.
    local map = nn.Linear(p.width, WIDE)  -- Theirs comes before the distillation; here its weight falls to nothing
    return { kd = 1, hint = of_hidden(g.schedule.linear(weight, 0), map, function(s, t) return own.hint(map, s, t) end) }
  end,
  relational = function(_, weight)   -- Park et al. 2019: distances and angles between the rows; angles count twice
    return { kd = 1, relational = of_hidden(weight, nil, function(s, t) return own.distance_wise(s, t) + 2 * own.angle_wise(s, t) end) }
  end,
  cosine = function(p, weight)       -- DistilBERT (Sanh et al. 2019); the map is for the widths
    local map = nn.Linear(p.width, WIDE)
    return { kd = 1, cosine = of_hidden(weight, map, function(s, t) return own.cosine(map, s, t) end) }
  end,
  decoupled = function(p, weight)    -- Zhao et al. 2022: the labels' loss, TCKD and `beta` times NCKD
    return { labels = 1, decoupled = { weight = weight, loss = function(b, out, k)
      return own.decoupled(out.logits, b.teacher, b.y, { temperature = k.temperature, alpha = 1, beta = p.beta })
    end } }
  end,
}
local names = { "none", "hint", "relational", "cosine", "decoupled" }

return g.experiment {
  name   = "own_loss",
  params = { term = g.choice(names), scale = 1, beta = 2, width = g.int(12), epochs = g.int(40), alpha = .5, temperature = 4,
    lr = 5e-3 },
  grid   = { term = names, seed = { 1, 2, 3, 4, 5, 6, 7, 8 } },
  columns = { { "test", "test", "%.1f%%" }, { "agreement", "as teacher", "%.1f%%" }, { "seconds", "seconds", "%.1f" } },
  versus = { "test", "none", "vs none" },
  metrics = { test = { better = "higher" } },

  run = function(run, p)
    local d = g.data.digits():split { train = .5, val = .2, test = .3 }
    local teacher = run:cached("teacher", build_teacher, d.train)
    local student = nn.MLP { 64, p.width, 10 }  -- drawn before the maps, so that all terms begin with the same weights
    local r = run:distill { teacher = teacher, student = student, data = d, losses = terms[p.term](p, p.scale * (WEIGHT[p.term] or 0)),
      budget = { epochs = p.epochs }, lr = p.lr, alpha = p.alpha, temperature = p.temperature }
    local test = run:evaluate(r.student, d.test, teacher)
    return { test = test.acc, agreement = test.agreement, seconds = r.seconds }
  end,
}
