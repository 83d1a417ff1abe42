-- BERT on a text (Gupta & Karmalkar 2025, figure 3c): a masked language model of subword tokens. One-shot, progressive and
-- extraction at equal FLOPs, teacher forwards counted.
--   gradus run scripts/text_bert.lua                               300 KB of English prose that Debian's perl brings along
--   gradus run scripts/text_bert.lua --set text=FILE               any text file in UTF-8
--   gradus run scripts/text_bert.lua --set size=paper --set text=wikipedia.txt     the published size
local g = require "gradus"
local nn, curriculum = g.nn, g.curriculum

-- Published: the text (Wikipedia) and the widths, heads and blocks of teacher (768, 12, 12) and student (256, 4). All else is
-- BERT's own (Devlin et al. 2019: 30,522 tokens, blocks of 512, masks of 15 %, batches of 256, lr 1e-4, 1 % warm-up, linear
-- decay, weight decay .01) or, for the small size, ours.
local SIZES = {
  small = { text = { vocabulary = 256, length = 32, mask = .3 }, layers = 3, teacher = { width = 64, heads = 4 },
    student = { width = 16, heads = 4 }, batch = 32, lr = 3e-3, warmup = .06, teacher_steps = 1200, steps = 500,
    stage = .1, every = 50 },
  paper = { text = { vocabulary = 30522, length = 512, mask = .15 }, layers = 12, teacher = { width = 768, heads = 12 },
    student = { width = 256, heads = 4 }, batch = 256, lr = 1e-4, warmup = .01, teacher_steps = 1000000, steps = 100000,
    stage = .025, every = 1000 },
}

local function bert(size, net)
  return nn.Transformer { vocabulary = size.text.vocabulary, context = size.text.length, width = net.width, layers = size.layers,
    heads = net.heads }
end

local function options_of(size)
  return { batch = size.batch, lr = size.lr, warmup = size.warmup, decay = "linear",
    evaluate = { steps = size.every }, restore_best = false }
end

local function build_teacher(size, train, val)
  local options = options_of(size)
  options.model, options.data, options.steps = bert(size, size.teacher), { train = train, val = val }, size.teacher_steps
  options.checkpoints = { steps = size.teacher_steps / 10 }
  return g.fit(options)
end

local methods = {
  one_shot    = function() return curriculum.one_shot() end,
  progressive = function(teacher, kept) return curriculum.progressive { teacher = teacher, checkpoints = kept, count = 8, share = .5 } end,
  extraction  = function(teacher, _, size)
    local layers = {}
    for i = 1, size.layers - 1 do
      local layer = ("encoder.layers.%d"):format(i - 1)
      layers[i] = { from = layer, to = layer, share = size.stage }
    end
    return curriculum.extraction { teacher = teacher, layers = layers }
  end,
}

return g.experiment {
  name   = "text_bert",
  params = { method = g.choice { "one_shot", "progressive", "extraction" }, size = g.choice { "small", "paper" },
    text = "/usr/share/perl/5.36/pod/perldiag.pod" },
  grid   = { method = { "one_shot", "progressive", "extraction" }, seed = { 1, 2, 3 } },
  columns = { { "acc_50", "at 50 %", "%.1f%%" }, { "acc", "all FLOPs", "%.1f%%" }, { "loss", "loss", "%.3f" },
    { "agreement", "as teacher", "%.1f%%" } },
  versus = { "acc", "one_shot", "vs one-shot" },
  footer = "Accuracy on the hidden tokens of held-out blocks, at shares of one FLOP budget.",

  run = function(run, p)
    local size = SIZES[p.size]
    local d = g.data.text(p.text, size.text):split({ train = .9, val = .1 }, { seed = 0 })  -- one split and teacher for all seeds
    local teacher, kept = run:cached("teacher", build_teacher, size, d.train, d.val)
    local student = bert(size, size.student)
    local x = d.val:first(math.min(size.batch, d.val:size())):gather()  -- backward costs twice the forward
    local budget = size.steps * size.batch / x:size(0) * (g.flops(teacher, x) + 3 * g.flops(student, x))

    local options = options_of(size)
    options.teacher, options.student, options.data = teacher, student, d
    options.alpha, options.temperature, options.budget = 0, 1, { flops = budget }
    options.curriculum = methods[p.method](teacher, kept, size)
    local r = run:distill(options)
    run.line.say("  " .. r:sparkline("val/acc", { low = 0 }))
    return { acc_50 = r:at_flops("val/acc", .5 * budget), acc = r:last "val/acc", loss = r:last "val/loss",
      agreement = r:last "val/agreement", seconds = r.seconds }
  end,
}
