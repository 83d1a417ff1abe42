-- NAME: a masked language model learns from a larger one.
--   gradus run NAME.lua                          on sentences of a grammar
--   gradus run NAME.lua --set text=corpus.txt    on a text of your own, in UTF-8, cut into subword tokens
local g = require "gradus"
local nn = g.nn

local function bert(like, width, layers)
  return nn.Transformer { vocabulary = like.vocabulary, context = like.length, width = width, layers = layers, heads = 4,
    pad_token = like.pad_token }
end

local function build(like, d, p)
  return g.fit { model = bert(like, p.teacher_width, p.layers), data = d, steps = p.teacher_steps, lr = p.lr }
end

return g.experiment {
  name = "NAME",
  params = { text = "", width = g.int(16), teacher_width = g.int(64), layers = g.int(2), steps = g.int(400), teacher_steps = g.int(800),
    lr = 3e-3, vocabulary = g.int(256), length = g.int(32) },
  grid = { seed = { 1, 2 } },

  run = function(run, p)
    local d, like
    if p.text == "" then
      d = g.data.sentences { grammar = g.cfg.cfg3b { root = 15 } }  -- fresh sentences without end, and held-out ones
      like = { vocabulary = d.vocabulary, length = d.length, pad_token = d.pad_token }
    else
      d = g.data.text(p.text, { vocabulary = p.vocabulary, length = p.length }):split { train = .9, val = .1 }
      like = { vocabulary = d.train.vocabulary, length = p.length }  -- a small text gives fewer tokens than p.vocabulary
    end
    local sizes = { layers = p.layers, teacher_width = p.teacher_width, teacher_steps = p.teacher_steps, lr = p.lr }
    local teacher = run:cached("teacher", build, like, { train = d.train, val = d.val }, sizes)
    local r = run:distill {
      teacher = teacher, student = bert(like, p.width, p.layers), data = { train = d.train, val = d.val }, budget = { steps = p.steps },
      lr = p.lr, evaluate = { steps = math.max(1, math.floor(p.steps / 10)) }, temperature = 2,
    }
    return { acc = r:last "val/acc", loss = r:last "val/loss" }
  end,
}
