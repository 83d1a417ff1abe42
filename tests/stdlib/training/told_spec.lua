-- What a training would do in silence, or not at all, is told before its first step: refused by an error, or warned of.
local g = require "gradus"
local plain = require "plain_loop"
local support = require "support"
local when, sampler = g.when, g.sampler
local x, net = plain.x, plain.net

local function classes() return g.data.tensors(x, plain.classes, { classes = 3 }) end
local function numbers() return g.data.tensors(x, plain.numbers) end
local function split() return { train = classes(), val = classes():subset(g.arange(20)) } end
local function stream()
  return g.data.generator(function(n) return x:slice(0, 0, n), plain.classes:slice(0, 0, n) end, { epoch = 48, classes = 3 })
end

-- What is said of a training: the error that refuses it, with the steps that it took before, or its warnings.
local function said_of(options)
  local said, steps = nil, 0
  local _, seen = support.with_run(nil, function(run)
    local given = { student = net(), data = split(), batch = 8, budget = { steps = 12 }, evaluate = { steps = 3 }, lr = .1 }
    for name, value in pairs(options) do given[name] = value end
    local ok, err = pcall(run.distill, run, given)
    if not ok then said, steps = type(err) == "table" and err.message or tostring(err), run.step_number end
  end)
  if not said then
    local texts = {}
    for i, one in ipairs(seen.warnings) do texts[i] = one.detail.text end
    said = table.concat(texts, "\n")
  end
  return said, steps, #seen.values "train/loss"
end

-- cases: what is said must hold the words; a training that is refused has taken no step.
local function told(cases)
  for _, case in ipairs(cases) do
    it(case[1], function()
      local said, steps, logged = said_of(case[2]())
      for i = 3, #case do expect(said):matches(case[i]) end
      if not said:find "\n" and logged > 0 and steps > 0 then expect(steps):equals(0) end
    end)
  end
end

local function mine(_, out) return out.logits:square():mean() end
local function own(name, value) return { labels = 1, [name] = value or { loss = mine } } end

describe("a loss term is told", function()
  local cases = {
    { "with label_smoothing that no term reads", function()
      return { teacher = net(3, 7), losses = { kl = 1 }, label_smoothing = .1 }
    end, "label_smoothing" },
    { "with alpha that no term reads", function()
      return { teacher = net(3, 7), losses = { labels = 1, kl = 1 }, alpha = .3 }
    end, "alpha" },
    { "with a temperature that no term reads", function()
      return { teacher = net(3, 7), losses = { labels = 1 }, temperature = 2 }
    end, "temperature" },
    { "with a teacher's temperature that no term reads", function()
      return { teacher = net(3, 7), losses = { jsd = 1 }, teacher_temperature = 2 }
    end, "teacher_temperature" },
    { "in a stage that imitates a layer", function()
      local t = net(3, 7)
      return { teacher = t, losses = own "mine",
        curriculum = { target = g.target.layer { teacher = t, from = "layers.0", to = "layers.0" } } }
    end, "losses" },
    { "of weight 0, alone", function() return { losses = { kd = 0 } } end, "kd" },
  }
  for _, name in ipairs { "loss", "ce", "mse", "confidence", "teacher_mse", "", "my term", "a/b" } do
    cases[#cases + 1] = { "whose name is '" .. name .. "'", function() return { losses = own(name) } end, "losses" }
  end
  told(cases)
end)

describe("a metric is told", function()
  local function one(name) return { [name] = { better = "lower", of = function() return 1 end } } end
  told {
    { "where nothing is evaluated", function() return { data = classes(), metrics = one "mine" } end, "metrics" },
    { "whose name a teacher's accuracy has", function()
      return { teacher = net(3, 7), metrics = one "teacher_acc" }
    end, "teacher_acc" },
    { "that is monitored and never measured: of the stage, without data", function()
      return { data = classes(), monitor = "stage/acc", patience = 2 }
    end, "monitor" },
    { "of a stream's stage", function() return { data = { train = stream(), val = split().val }, monitor = "stage/acc" } end, "monitor" },
    { "of a loss that has a temperature for each example", function()
      return { teacher = net(3, 7), monitor = "val/kd_loss", temperature = g.schedule.by_entropy(2, 6) }
    end, "monitor" },
    { "that a rule waits for where nothing is evaluated", function()
      return { data = classes(), curriculum = { { "one", advance = when.above("val/acc", .5) }, { "two" } } }
    end, "val/acc" },
    { "that a rule misspells", function()
      return { curriculum = { { "one", advance = when.any(when.steps(50), when.above("val/accc", .5)) }, { "two" } } }
    end, "val/accc" },
  }
end)

describe("what does nothing is told:", function()
  told {
    { "augmentations without augment", function() return { augmentations = { noise = 5 } } end, "augment" },
    { "half a step between evaluations", function() return { evaluate = { steps = 2.5 } } end, "evaluate" },
    { "half a step between checkpoints", function() return { checkpoints = { steps = 2.5 } } end, "checkpoints" },
    { "a batch larger than the data", function()
      return { data = classes():subset(g.arange(5)), batch = 64, budget = { epochs = 2 } }
    end, "batch" },
    { "a student that is frozen", function() return { student = net():requires_grad_(false) } end, "student" },
    { "confidence over numbers", function()
      return { student = net(1), data = numbers(), curriculum = { sample = sampler.confidence(numbers()) } }
    end, "confidence" },
    { "confidence beside terms that give none", function()
      return { losses = { labels = 1 }, curriculum = { sample = sampler.confidence(classes()) } }
    end, "confidence" },
    { "one output without labels, of which a softmax is 1", function()
      return { student = net(1), teacher = net(1, 7), data = g.data.tensors(x) }
    end, "one output" },
  }
end)

describe("NaN", function()
  -- A rule's verdicts over a curve, one evaluation each.
  local function verdicts(rule, key, values)
    local s, said = support.state(), {}
    s:begin_stage("a", 1)
    s.evaluating = true
    for i, value in ipairs(values) do
      s.counts.step = i
      s:record { [key] = value }
      said[i] = rule(s) or "-"
    end
    return table.concat(said, " ")
  end
  local nan = 0 / 0
  it("forgets all", function()
    expect(verdicts(when.forgetting(.1, "val/acc"), "val/acc", { .9, nan })):equals "- back"
    expect(verdicts(when.forgetting(.1, "val/acc"), "val/acc", { nan, .9, .5 })):equals "- - back"
  end)
  it("is no value where a curve begins with it", function()
    expect(verdicts(when.saturated("val/acc", { smooth = 1 }), "val/acc", { nan, .1, .2, .2001 })):equals "- - - next"
  end)
end)

describe("data", function()
  it("that were changed in place are other data to a teacher's kept answers", function()
    local rows, teacher = x:clone(), net(3, 7)
    local d = g.data.tensors(rows, plain.classes, { classes = 3 })
    local function train(cache)
      local student = net()
      support.with_run(nil, function(run)
        run:distill(plain.options { student = net(), teacher = teacher, data = d, alpha = 0, teacher_cache = true })
        rows:mul_(-1)
        run:distill(plain.options { student = student, teacher = teacher, data = d, alpha = 0, teacher_cache = cache })
        rows:mul_(-1)
      end)
      return student
    end
    expect(plain.distance(train(true), train(false))):near(0, 2e-6)
  end)
  it("of losses that are means over different rows, in parts, are refused", function()
    local d = g.data.tensors(x, plain.classes, { classes = 3, weight = g.rand({ x:size(0) }, { generator = g.generator(1) }) })
    local function train(losses, parts)
      support.with_run(nil, function(run)
        run:distill { student = net(3), teacher = net(3), data = d, batch = 4, accumulate = parts, budget = { steps = 1 }, losses = losses }
      end)
    end
    local beside = { kd = 1, mine = { weight = .1, loss = mine } }
    expect(function() train(beside, 2) end):fails_with "accumulate: these losses are means over different rows"
    train(beside, 1)
    train({ kd = 1, kl = 1 }, 2)
  end)
  it("of rows that are nearly distributions, or 0 and 1 in floats, are not numbers without a word", function()
    local hollow = plain.onehot:clone()
    hollow[5]:zero_()
    for _, y in ipairs { hollow, (plain.soft * 100):round() / 100, x:slice(1, 0, 3):gt(0):float() } do
      local kind
      local _, seen = support.with_run(nil, function() kind = g.data.tensors(x, y).labels.kind end)
      expect({ kind, #seen.warnings }):differs_from { "numbers", 0 }
    end
  end)
end)

describe("augmentations without a strength", function()
  local function times_told(more)
    local _, seen = require("support").with_run({}, function(run)
      local d = g.data.digits():first(60):split({ train = .5, val = .5 }, { seed = 3 })
      local options = { student = g.nn.MLP { 64, 4, 10 }, data = d, batch = 10, budget = { steps = 2 }, augmentations = { noise = .1 } }
      for key, value in pairs(more) do options[key] = value end
      run:distill(options)
    end)
    local count = 0
    for _, one in ipairs(seen.warnings) do
      if one.detail.text:find("augmentations have no effect at strength 0", 1, true) then count = count + 1 end
    end
    return count
  end
  it("are told of, unless something sets one", function()
    expect(times_told {}):equals(1)
    expect(times_told { curriculum = { { "a", lr = .1 } } }):equals(1)
    expect(times_told { augment = .5 }):equals(0)
    expect(times_told { curriculum = { { "a", augment = .5 } } }):equals(0)
    expect(times_told { curriculum = { { "a", advance = g.when.steps(1) }, { "b", augment = .5 } } }):equals(0)
    expect(times_told { curriculum = { { "a", pressure = function() return { augment = .5 } end } } }):equals(0)
  end)
end)

describe("a training's line", function()
  it("is shown after each step, by the state and the parts of the training", function()
    local steps, parts = {}, {}
    support.with_run(nil, function(run)
      rawset(run, "show", function(_, s, given) steps[#steps + 1], parts[given] = s.step, true end)
      run:fit { model = support.student(), data = support.points(24), batch = 6, steps = 3 }
      rawset(run, "show", nil)
    end)
    local kinds = {}
    for one in pairs(parts) do kinds[#kinds + 1] = type(one) end
    expect({ steps[1], steps[#steps], kinds }):equals { 1, 3, { "function" } }
  end)
end)
