-- BERT on a text (Gupta & Karmalkar 2025, figure 3c): a masked language model of subword tokens, at equal FLOPs.
--   gradus run scripts/text_bert.lua                               300 KB of English prose that Debian's perl brings along
--   gradus run scripts/text_bert.lua --set text=FILE               any text file in UTF-8
--   gradus run scripts/text_bert.lua --set size=paper --set text=wikipedia.txt     the published size
local g = require "gradus"
local equal_flops = require "lib.equal_flops"
local nn = g.nn

-- Published: the text (Wikipedia) and the widths, heads and blocks of teacher (768, 12, 12) and student (256, 4). All else is
-- BERT's own (Devlin et al. 2019: 30,522 tokens, blocks of 512, masks of 15 %, batches of 256, lr 1e-4, 1 % warm-up, linear
-- decay, weight decay .01) or, for the small size, ours. `steps` are one-shot steps: after 1,500 a one-shot student is within two
-- points of its teacher and extraction gains 0.3; at 800 it gains 1.4, at 400 3.4 (seeds 101 to 103).
local SIZES = {
  tiny  = { text = { vocabulary = 128, length = 16, mask = .3 }, layers = 2, teacher = { width = 16, heads = 2 },
    student = { width = 8, heads = 2 }, batch = 16, lr = 3e-3, warmup = .06, teacher_steps = 60, steps = 60, stage = .2, every = 10 },
  small = { text = { vocabulary = 256, length = 32, mask = .3 }, layers = 3, teacher = { width = 64, heads = 4 },
    student = { width = 32, heads = 4 }, batch = 32, lr = 3e-3, warmup = .06, teacher_steps = 1200, steps = 800,
    stage = .1, every = 50 },
  paper = { text = { vocabulary = 30522, length = 512, mask = .15 }, layers = 12, teacher = { width = 768, heads = 12 },
    student = { width = 256, heads = 4 }, batch = 256, accumulate = 32, lr = 1e-4, warmup = .01, teacher_steps = 1000000, steps = 100000,
    stage = .025, every = 1000 },
}

-- One point of accuracy is of interest; differences to one-shot spread by .9 points in the pilot (seeds 1 to 6): 9 seeds.
local SEEDS = g.seeds { sd = .009, effect = .01 }

local PROSE = "/usr/share/perl/5.36/pod/perldiag.pod"  -- of Debian 12

local function bert(size, net)
  return nn.Transformer { vocabulary = size.text.vocabulary, context = size.text.length, width = net.width, layers = size.layers,
    heads = net.heads }
end

local function options_of(size)
  return { batch = size.batch, accumulate = size.accumulate, lr = size.lr, warmup = size.warmup, decay = "linear",
    evaluate = { steps = size.every }, restore_best = false }
end

local function build_teacher(size, train, val, _)  -- the last: of which there are several, each from its own key's seed
  local options = options_of(size)
  options.model, options.data, options.steps = bert(size, size.teacher), { train = train, val = val }, size.teacher_steps
  options.checkpoints = { steps = size.teacher_steps / 10 }
  return g.fit(options)
end

local function layers(size)  -- all but the last, whose projection would come close to the logits
  local list = {}
  for i = 1, size.layers - 1 do
    local layer = ("encoder.layers.%d"):format(i - 1)
    list[i] = { from = layer, to = layer, share = size.stage }
  end
  return list
end

return g.experiment {
  name   = "text_bert",
  params = { method = g.choice(equal_flops.ALL), size = g.choice { "small", "paper", "tiny" }, text = PROSE,
    budget = equal_flops.budget, target = equal_flops.target },
  grid   = { method = equal_flops.METHODS, seed = SEEDS },
  columns = { { "acc_50", "at 50 %", "%.1f%%" }, { "acc", "in the end", "%.1f%%" }, { "loss", "loss", "%.3f" },
    { "agreement", "as teacher", "%.1f%%" } },
  versus = { "acc", "one_shot", "vs one-shot" },
  footer = equal_flops.footer("text_bert", "acc"),

  run = function(run, p)
    local size = SIZES[p.size]
    if p.size == "paper" and p.text == PROSE then
      error("text_bert: 300 KB have no 30,522 tokens; expected --set text=FILE of 10 MB or more with size=paper", 0)
    end
    local d = g.data.text(p.text, size.text):split({ train = .9, val = .1 }, { seed = 0 })  -- one split for all seeds
    local teacher, kept = run:cached("teacher", build_teacher, size, d.train, d.val, (run.seed - 1) % 3 + 1)  -- three, in turn
    local r, result = equal_flops.distill(run, p.method, { teacher = teacher, checkpoints = kept, student = bert(size, size.student),
      data = d, steps = size.steps, distill = options_of(size), layers = layers(size), learning = { .1, 1 }, shown = { 0, .35 } })
    result.loss, result.agreement = r:last "val/loss", r:last "val/agreement"
    return result
  end,
}
