local g = require "gradus"
local a_run = require "a_run"
local nn, schedule, sampler, when, score = g.nn, g.schedule, g.sampler, g.when, g.score

-- What a dry run of these options says: all of its lines in one text, and the run's steps.
local function dry(more)
  local lines, result = {}, nil
  a_run(function(run)
    local d = g.data.digits():split { train = .5, val = .2 }
    local report = { refused = 0, told = {} }
    report.line = function(text, ...) lines[#lines + 1] = text:format(...) end
    report.refuse = function(text, ...) lines[#lines + 1] = "refused: " .. text:format(...) end
    report.advise = function(text, ...) lines[#lines + 1] = "advice: " .. text:format(...) end
    run.dry = report
    local options = { student = nn.MLP { 64, 8, 10 }, data = d, budget = { epochs = 20 }, lr = 5e-3, teacher = nn.MLP { 64, 16, 10 } }
    for key, value in pairs(type(more) == "function" and more(d, options.teacher) or more) do options[key] = value end
    if not options.teacher then options.teacher = nil end
    result = run:distill(options)
  end)
  local text = table.concat(lines, "\n")
  local refused = {}
  for line in text:gmatch "refused: ([^\n]*)" do refused[#refused + 1] = line end
  return text, refused, result
end

local function refuses(more, pattern)
  local text, refused = dry(more)
  if #refused ~= 1 or not refused[1]:find(pattern, 1, true) then
    error(("expected one refusal with '%s', got:\n%s"):format(pattern, text), 0)
  end
end

describe("a dry run", function()
  it("draws few rows where the batch is large, whole or in parts, in the open loop too", function()
    local drawn = 0
    local generator = g.data.generator(function(size)
      drawn = math.max(drawn, size)
      return g.randn(size, 64), g.zeros({ size }, { dtype = "int64" })
    end, { epoch = 100000, classes = 10 })
    for _, accumulate in ipairs { 1, 16 } do
      local text, refused, r = dry { data = { train = generator, val = g.data.digits() }, batch = 4096, accumulate = accumulate }
      expect(refused):equals {}
      expect(text):matches "489 steps, batches of 4096"
      expect(r.state.samples):equals(2 * 4096)
    end
    a_run(function(run)
      run.dry = {}
      for _, b in run:batches(generator, { size = 4096, epochs = 3, augmentations = {} }) do expect(b.x:size(0)):equals(8) end
    end)
    expect(drawn):equals(8)
  end)
  it("builds what is cached once, evaluates few rows and probes few samples", function()
    local dry_run = require "gradus.dry_run"
    local function build(width) return nn.MLP { 6, width, 2 } end
    local Counting, rows = nn.class("Counting", nn.Module), 0
    function Counting:init() self.net = nn.MLP { 6, 4, 2 } end
    function Counting:forward(x)
      rows = rows + x:size(0)
      return self.net(x)
    end
    a_run(function(run)
      run.dry = { built = {} }
      local one = run:cached("teacher", build, 4)
      expect(rawequal(run:cached("teacher", build, 4), one)):is_true()
      expect(rawequal(run:cached("teacher", build, 5), one)):is_false()
      local x = g.randn(300, 6)
      local d = g.data.tensors(x, x:select(1, 0):gt(0):long(), { classes = 2 })
      expect(run:evaluate(one, d).n):equals(64)
      expect(dry_run.few(d:subset(g.arange(5))):size()):equals(5)
      local sentences = g.data.sentences { grammar = g.cfg.cfg3b { root = 16 }, mask = .3, held_out = 512, seed = 1 }
      local length = sentences.val.base.x:size(1)
      expect(dry_run.few(sentences.val):size()):equals(math.floor(512 / length))
      expect({ dry_run.tiny_batch(1, 64, d) }):equals { 1, 8 }
      expect({ dry_run.tiny_batch(32, 8, d) }):equals { 2, 4 }
      expect({ dry_run.tiny_batch(32, 8, sentences.val) }):equals { 2, math.max(1, math.floor(math.floor(64 / length) / 2)) }
      g.probe.monomials(Counting(), { d = 6, k = 2 })
      expect(rows):equals(64)
    end)
  end)
  it("measures a layer's spread on few rows of long sequences", function()
    local rows = g.data.sentences { grammar = g.cfg.cfg3b(), mask = .3, held_out = 32, seed = 1 }.val
    expect(rows.base.x:size(1) > 256):is_true()
    local function encoder() return nn.Transformer { vocabulary = 8, context = rows.base.x:size(1), width = 8, layers = 1, heads = 1 } end
    local teacher = encoder()
    local goal = g.target.layer { teacher = teacher, from = "encoder.layers.0", to = "encoder.layers.0" }
    dry { student = encoder(), teacher = teacher, data = rows, augmentations = {},
      curriculum = { { "layer", target = goal, advance = when.steps(1) }, { "logits" } } }
    expect(goal.detail.rows):equals(1)
  end)
  it("does two steps of each stage and draws the schedules", function()
    local text, refused, r = dry(function(d, teacher)
      local ranked = d.train:rank(score.loss(teacher))
      return { temperature = schedule.linear(6, 2), curriculum = {
        { "easy", sample = ranked:first(.3), advance = when.epochs(5) }, { "rest" } } }
    end)
    expect(refused):equals {}
    expect(r.steps):equals(4)
    expect(text):matches "easy +teacher, %d+ rows, 0 %% to 25 %% of the budget"
    expect(text):matches "rest +teacher, 899 rows, 25 %% to 100 %%"
    expect(text):matches "temperature .*▁.*linear 6 to 2"
  end)
  it("lets a schedule of the run rest within one stage", function()
    local _, refused = dry { decay = "constant", warmup = { epochs = 2 }, curriculum = { { "a", advance = when.epochs(10) }, { "b" } } }
    expect(refused):equals {}
  end)
  it("advises on temperature and alpha", function()
    expect((dry { temperature = 1 })):matches "advice: .*temperature is 1 to 1; below 2"
    expect((dry { temperature = schedule.linear(30, 4) })):matches "advice: .*above 20"
    expect((dry { alpha = .1 })):matches "advice: .*alpha is 0.1 to 0.1; outside of 0.2 to 0.95"
    expect((dry { temperature = 4, alpha = .7 }):find "advice"):equals(nil)
    expect((dry { temperature = 2, alpha = .95 }):find "advice"):equals(nil)
    expect((dry { temperature = 20, alpha = .2 }):find "advice"):equals(nil)
    expect((dry { alpha = .97 })):matches "advice: .*alpha is 0.97 to 0.97; outside of 0.2 to 0.95"
  end)
  it("advises on what goes the other way round", function()
    expect((dry { temperature = schedule.linear(3, 8) })):matches "advice: .*temperature goes from 3 to 8; the guides go the other way"
    expect((dry { alpha = schedule.linear(.9, .3) })):matches "advice: .*alpha goes from 0.9 to 0.3; the guides go the other way"
    expect((dry { temperature = schedule.linear(8, 3), alpha = schedule.linear(.3, .9) }):find "other way"):equals(nil)
  end)
  it("advises on a rate that only the curriculum has", function()
    expect((dry { curriculum = { { "a", lr = 1e-2, advance = when.epochs(5) }, { "b" } } }))
      :matches "stage 'a' has a learning rate of its own"
  end)
end)

describe("a dry run refuses", function()
  it("a rate that never leaves its warm-up", function()
    refuses({ lr = 1e-3, decay = "constant", warmup = { epochs = 100 } }, "never leaves its warm-up")
  end)
  it("a schedule that begins after the budget", function()
    refuses({ temperature = schedule.linear(6, 2, { from = { epochs = 50 }, to = { epochs = 90 } }) }, "has no effect: it is 6 throughout")
  end)
  it("a share that shrinks, or begins at nothing", function()
    refuses(function(d, t)
      return { curriculum = { sample = sampler.easiest(d.train:rank(score.loss(t)), schedule.linear(1, .2)) } }
    end, "runs backwards")
    expect(function()
      dry(function(d, t) return { curriculum = { sample = sampler.easiest(d.train:rank(score.loss(t)), schedule.linear(0, 1)) } } end)
    end):fails_with "the share is 0 at epoch 0; expected above 0"
  end)
  it("a loss that is nothing", function()
    refuses(function(_, teacher) return { student = teacher:clone(), alpha = 0 } end, "the loss is 0 and has no gradient")
  end)
  it("a ranking that shuffling undoes", function()
    refuses(function(d, t) return { curriculum = { sample = d.train:rank(score.loss(t)) } } end, "the ranking has no effect")
  end)
  it("a teacher that has no say", function()
    refuses({ alpha = 1 }, "alpha is 1 in every stage")
  end)
  it("settings of a teacher that is not there", function()
    refuses({ teacher = false, temperature = 8 }, "temperature has no effect without a teacher")
  end)
  it("a stage that never begins", function()
    refuses({ curriculum = { { "a", advance = when.epochs(20) }, { "b" } } }, "stage 'b' never begins")
  end)
  it("patience that outlasts the budget", function()
    refuses({ patience = 30 }, "can never come true")
    refuses({ curriculum = { { "a", advance = when.plateau("val/loss", 25) }, { "b" } } }, "can never come true")
  end)
end)
