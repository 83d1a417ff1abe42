-- What strategies are made of: the stages and answers themselves, before any training.
local g = require "gradus"
local checkpoints = require "gradus.base.checkpoints"
local current = require "gradus.base.current"
local support = require "support"
local curriculum, schedule, when, nn = g.curriculum, g.schedule, g.when, g.nn

before_each(function() current.run = { seed = 11 } end)
after_all(function() current.run = nil end)

local d = support.points(100):rank(function(x) return x:select(1, 0) end)

local function at(progress, step)
  return { progress = progress, step = step or 0, epoch = 0, step_progress = .01, step_epochs = .1 }
end

-- The rows that are open at these shares of the budget.
local function open(sample, points)
  local rows = {}
  for i, progress in ipairs(points) do
    sample:refresh(at(progress))
    rows[i] = sample:size()
  end
  return rows
end

local function values(one, points)
  local list = {}
  for i, progress in ipairs(points) do list[i] = schedule.value(one, at(progress)) end
  return list
end

describe("the linear ramp", function()
  it("is five levels from .2 to all at .6 of the budget, augmentation up to .5 with them", function()
    local made = curriculum.linear_ramp(d)
    expect(open(made.sample, { 0, .119, .121, .241, .361, .481, 1 })):equals { 20, 20, 40, 60, 80, 100, 100 }
    expect(values(made.augment, { 0, .3, .6, 1 })):near { 0, .25, .5, .5 }
  end)
  it("takes its numbers", function()
    local made = curriculum.linear_ramp(d, { start = .5, full = 1, levels = 2, augment = 1 })
    expect(open(made.sample, { 0, .49, .51, 1 })):equals { 50, 50, 100, 100 }
    expect(values(made.augment, { 0, .5, 1 })):near { 0, .5, 1 }
    expect(curriculum.linear_ramp(d, { augment = 0 }).augment):equals(0)
  end)
  it("moves every so often instead", function()
    local made = curriculum.linear_ramp(d, { start = .2, full = 1, every = { steps = 50 } })
    made.sample:refresh(at(.49, 49))
    expect(made.sample:size()):equals(20)
    made.sample:refresh(at(.5, 50))
    expect(made.sample:size()):equals(60)
  end)
  it("over the reversed rows is anti, over others random order", function()
    local anti = curriculum.anti(d, { start = .1 })
    anti.sample:refresh(at(0))
    expect(anti.sample:view().index:equal(d:reversed():first(.1).index)):is_true()
    local random = curriculum.random_order(d, { start = .1 })
    random.sample:refresh(at(0))
    expect({ random.sample:size(), random.sample:view().index:equal(d:shuffled():first(.1).index) }):equals { 10, true }
  end)
end)

describe("the confidence strategy", function()
  it("falls from 6 to 2 with it, with an augmentation of .3", function()
    local made = curriculum.confidence(d)
    expect({ made.temperature { confidence = 0 }, made.temperature { confidence = 1 }, made.augment }):equals { 6, 2, .3 }
    expect({ made.sample.mode, made.sample.adaptive }):equals { "confidence", true }
  end)
  it("takes its numbers, and a ranking to start from", function()
    local made = curriculum.confidence(d, { unsure = 8, sure = 1, augment = 0, start = d })
    expect({ made.temperature { confidence = 0 }, made.temperature { confidence = 1 }, made.augment }):equals { 8, 1, 0 }
    expect(made.sample.first_seen.confidence:totable()[1]):equals(.5)
    expect(made.sample.first_seen.confidence:totable()[100]):equals(0)
  end)
end)

describe("the multi-stage strategy", function()
  local function told(stages)
    local list = {}
    for i, one in ipairs(stages) do
      list[i] = { one[1], one.sample:size(), one.temperature, one.augment, one.advance and tostring(one.advance) }
    end
    return list
  end
  it("has the guide's numbers and rules", function()
    expect(told(curriculum.multi_stage(d))):equals {
      { "easy", 30, 6, .8, "any(val/loss flat for 3 evaluations, 0.3 progress)" },
      { "medium", 70, 4, .5, "any(val/loss flat for 3 evaluations, 0.6 progress)" }, { "hard", 100, 2, .2 } }
  end)
  it("takes its numbers, of other stages than three too", function()
    expect(told(curriculum.multi_stage(d, { shares = { .5, 1 }, temperatures = { 3, 1 }, augment = { 0, 1 }, until_ = { .5 } }))):equals {
      { "stage 1", 50, 3, 0, "any(val/loss flat for 3 evaluations, 0.5 progress)" }, { "stage 2", 100, 1, 1 } }
  end)
end)

describe("the transfer loop", function()
  it("has the guide's numbers", function()
    expect(curriculum.transfer_loop()):equals { alpha = .7, temperature = 4, defaults = { optimizer = "AdamW", weight_decay = .01, clip = 1,
      warmup = { epochs = 1 }, decay = "linear", patience = 3, restore_best = true } }
    expect(curriculum.one_shot()):equals {}
  end)
end)

-- Checkpoints of a model at steps 10, 20, …
local function kept_of(model, count)
  local kept = checkpoints.new()
  for i = 1, count do kept:keep(10 * i, model) end
  return kept
end

describe("progressive distillation", function()
  local teacher = nn.MLP { 6, 4, 3 }
  local function told(more)
    local options = { teacher = teacher, checkpoints = kept_of(teacher, 4) }
    for key, value in pairs(more) do options[key] = value end
    local list = {}
    for i, one in ipairs(curriculum.progressive(options)) do
      list[i] = { one[1], rawequal(one.target, teacher) and "teacher" or one.target.text, one.advance and tostring(one.advance) }
    end
    return list
  end
  it("walks along the checkpoints, the last of which is the teacher", function()
    expect(told { steps = 7 }):equals { { "checkpoint 1", "checkpoint 1 of 4 (step 10)", "7 steps" },
      { "checkpoint 2", "checkpoint 2 of 4 (step 20)", "7 steps" }, { "checkpoint 3", "checkpoint 3 of 4 (step 30)", "7 steps" },
      { "teacher", "teacher" } }
  end)
  it("takes but some of them, evenly", function()
    expect(told { steps = 7, count = 1 }):equals { { "checkpoint 1", "checkpoint 1 of 2 (step 20)", "7 steps" }, { "teacher", "teacher" } }
    expect(#told { steps = 7, count = 2 }):equals(3)
    expect(#told { steps = 7, count = 99 }):equals(4)
  end)
  it("divides a share of the budget", function()
    local list = told { share = .6 }
    expect({ list[1][3], list[2][3], list[3][3], list[4][3] }):equals { "0.2 progress", "0.4 progress", "0.6 progress" }
  end)
  for _, unit in ipairs { "steps", "flops", "samples", "epochs", "seconds" } do
    it("lasts so many " .. unit, function() expect(told({ [unit] = 5 })[3][3]):equals("5 " .. unit) end)
  end
  it("lasts until a rule says so, whatever else is given", function()
    expect(told({ advance = when.above("val/acc", .5), steps = 5 })[1][3]):equals "val/acc >= 0.5"
  end)
  it("leaves the teacher's weights alone: all checkpoints share a copy", function()
    local before = support.weights(teacher)
    local kept = kept_of(nn.MLP { 6, 4, 3 }, 2)
    local stages = curriculum.progressive { teacher = teacher, checkpoints = kept, steps = 1 }
    stages[1].target.prepare()
    expect(support.weights(teacher)):equals(before)
    expect(stages[1].target.of(g.ones(2, 6)):equal(g.no_grad(teacher, g.ones(2, 6)))):is_false()
  end)
  local how_long = "how long? expected steps, flops, samples, epochs, seconds, a share of the budget or an advance rule"
  local cases = {
    { "one checkpoint", { checkpoints = kept_of(teacher, 1), steps = 1 }, "only the final teacher was kept; expected more checkpoints" },
    { "other checkpoints", { checkpoints = {}, steps = 1 }, "checkpoints: expected what run:fit { checkpoints = { steps = … } } keeps" },
    { "several teachers", { teacher = { teacher, teacher }, steps = 1 },
      "curriculum.progressive: teacher: expected the module that was trained; got a table" },
    { "no length", {}, "curriculum.progressive: " .. how_long },
    { "a share of nothing", { share = 0 }, how_long },
    { "a share of all", { share = 1 }, how_long },
    { "a misspelt option", { stpes = 5 }, "curriculum.progressive: no option 'stpes'; did you mean 'steps'?" },
  }
  for _, case in ipairs(cases) do
    it("refuses " .. case[1], function() expect(function() told(case[2]) end):fails_with(case[3]) end)
  end
end)

describe("curriculum extraction", function()
  local teacher = nn.MLP { 6, 4, 4, 3 }
  local function told(layers, more)
    local options = { teacher = teacher, layers = layers, seed = 1 }
    for key, value in pairs(more or {}) do options[key] = value end
    return curriculum.extraction(options)
  end
  local function layer(more)
    local one = { from = "layers.0", to = "layers.0" }
    for key, value in pairs(more) do one[key] = value end
    return one
  end
  it("is one stage for each layer, then the logits", function()
    local stages = told { layer { steps = 3, lr = .5, train = { "layers.0" } }, layer { flops = 9 } }
    expect({ stages[1][1], stages[2][1], stages[3][1], #stages }):equals { "layer 1", "layer 2", "logits", 3 }
    expect({ tostring(stages[1].advance), tostring(stages[2].advance), stages[3].advance }):equals { "3 steps", "9 flops" }
    expect({ stages[1].lr, stages[1].train, stages[2].lr, rawequal(stages[3].target, teacher) }):equals { .5, { "layers.0" }, nil, true }
    expect({ stages[1].target.kind, stages[1].target.text }):equals { "layer", "layer layers.0 -> layers.0" }
  end)
  it("adds up shares of the budget", function()
    local stages = told { layer { share = .25 }, layer { steps = 5 }, layer { share = .5 } }
    expect({ tostring(stages[1].advance), tostring(stages[2].advance), tostring(stages[3].advance) }):equals
      { "0.25 progress", "5 steps", "0.75 progress" }
    expect(function() told { layer { share = .5 }, layer { share = .5 } } end):fails_with "curriculum.extraction: layer 2: how long?"
  end)
  it("has matrices of seeds of its own, by the layer's place or one for all", function()
    local derive = require("gradus.engine").data.derive_seed
    local own, shared = told { layer { steps = 1 }, layer { steps = 1 } }, told({ layer { steps = 1 }, layer { steps = 1 } },
      { projection = "shared" })
    expect({ own[1].target.seed, own[2].target.seed }):equals { derive(1, "layer", 1), derive(1, "layer", 2) }
    expect({ shared[1].target.seed, shared[2].target.seed }):equals { derive(1, "layer", 1), derive(1, "layer", 1) }
    expect(told({ layer { steps = 1 } }, { seed = false })[1].target.seed):equals(derive(current.stream "projection", "layer", 1))
  end)
  local cases = {
    { "no layers", nil, nil, "curriculum.extraction: layers: expected { { from = …, to = …, steps = … }, … }" },
    { "an empty list", {}, nil, "curriculum.extraction: layers: expected" },
    { "a layer without a length", { layer {} }, nil, "curriculum.extraction: layer 1: how long?" },
    { "a misspelt option", { layer { stpes = 1 } }, nil, "curriculum.extraction: layer 1: no option 'stpes'" },
    { "another projection", { layer { steps = 1 } }, { projection = "all" }, "'projection': expected 'own', 'shared'; got 'all'" },
  }
  for _, case in ipairs(cases) do
    it("refuses " .. case[1], function() expect(function() told(case[2], case[3]) end):fails_with(case[4]) end)
  end
end)

describe("numbers of strategies", function()
  local function ramp(o) return function() return curriculum.linear_ramp(d, o) end end
  local function confidence(o) return function() return curriculum.confidence(d, o) end end
  local function stages(o) return function() return curriculum.multi_stage(d, o) end end
  local taken = {
    ramp { start = 1e-9 }, ramp { start = 1, augment = 1 }, ramp { full = 1, levels = 2 }, confidence { augment = 1, sure = .1,
      unsure = .1 },
    stages { shares = { .1, .5, 1 }, temperatures = { .1, 1, 1 }, augment = { 0, 1, 0 }, until_ = { .5, 1 } },
  }
  for i = 1, #taken do
    it("are taken up to their ends: " .. i, function() expect(taken[i]() ~= nil):is_true() end)
  end
  local refused = {
    { "a start of so many rows", ramp { start = 5 }, "curriculum.linear_ramp: 'start': expected a number from 1e-09 to 1; got 5" },
    { "a start of nothing", ramp { start = 0 }, "curriculum.linear_ramp: 'start': expected a number from 1e-09 to 1" },
    { "a full ramp at nothing", ramp { full = 0 }, "'full': expected a number from 1e-09 to 1" },
    { "one level", ramp { levels = 1 }, "'levels': expected a whole number of at least 2; got 1" },
    { "levels and every", ramp { levels = 3, every = { steps = 1 } }, "curriculum.linear_ramp: expected levels or every; got both" },
    { "every as a number", ramp { every = 3 }, "'every': expected a table; got 3" },
    { "an augmentation above 1", ramp { augment = 1.1 }, "'augment': expected a number from 0 to 1; got 1.1" },
    { "an augmentation below 0", ramp { augment = -.1 }, "'augment': expected a number from 0 to 1; got -0.1" },
    { "no data", function() curriculum.linear_ramp(5) end, "curriculum.linear_ramp: expected a ranked data set; got number" },
    { "a temperature of 0", confidence { sure = 0 }, "curriculum.confidence: 'sure': expected a number > 0; got 0" },
    { "an unsure temperature of 0", confidence { unsure = 0 }, "'unsure': expected a number > 0; got 0" },
    { "an augmentation of 2", confidence { augment = 2 }, "'augment': expected a number from 0 to 1; got 2" },
    { "confidence in no data", function() curriculum.confidence {} end, "curriculum.confidence: expected a ranked data set; got table" },
    { "a share of 0", stages { shares = { 0, 1, 1 } }, "curriculum.multi_stage: 'shares': expected a list" },
    { "a stage's temperature of 0", stages { temperatures = { 0, 1, 1 } }, "'temperatures': expected a list, each a number > 0" },
    { "too few temperatures", stages { temperatures = { 4, 2 } }, "'temperatures': expected a list of 3, one for each stage; got 2" },
    { "too many ends", stages { until_ = { .2, .4, .6 } }, "'until_': expected a list of 2, one for each stage but the last; got 3" },
    { "an augmentation of a stage above 1", stages { augment = { 0, 0, 2 } }, "'augment': expected a list, each a number from 0 to 1" },
    { "an end above 1", stages { until_ = { .3, 2 } }, "'until_': expected a list, each a number from 0 to 1" },
    { "stages of no data", function() curriculum.multi_stage "x" end, "curriculum.multi_stage: expected a ranked data set; got string" },
    { "random order of no data", function() curriculum.random_order(3) end,
      "curriculum.random_order: expected a ranked data set; got number" },
    { "anti of no data", function() curriculum.anti(3) end, "curriculum.anti: expected a ranked data set; got number" },
  }
  for _, case in ipairs(refused) do
    it("are refused: " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)

describe("stages as they are read", function()
  local function read(given, context) return curriculum.normalise(given, context or {}) end
  it("are one of all rows where nothing is given", function()
    for _, given in ipairs { false, {}, "one_shot" } do
      local stages, defaults = read(given or nil)
      expect({ stages, defaults }):equals { { { name = "all", knobs = {}, said_by = {} } }, {} }
    end
  end)
  it("have their names, by number where they have none", function()
    local stages = read { { advance = print }, { name = "b", advance = print }, { "c" } }
    expect({ stages[1].name, stages[2].name, stages[3].name }):equals { "stage 1", "b", "c" }
    expect(read({ {} })[1].name):equals "all"
    expect(read({ name = "x" })[1].name):equals "x"
  end)
  it("have knobs, each said by whom", function()
    local f = function() end
    local stage = read({ temperature = 4, alpha = .5, augment = 0, lr = .1, losses = { mine = 2 },
      pressure = { temperature = 3, other = schedule.constant(1) } })[1]
    expect({ stage.knobs.temperature, stage.knobs.alpha, stage.knobs.augment, stage.knobs.lr, stage.knobs.mine }):equals { 3, .5, 0, .1, 2 }
    expect({ stage.said_by, stage.pressure, schedule.is(stage.knobs.other) }):equals
      { { temperature = ": pressure", other = ": pressure" }, nil, true }
    local asked = read({ pressure = f, sample = d, target = "labels", advance = f, train = { "layers.0" } })[1]
    expect({ asked.pressure == f, asked.sample == d, asked.target, asked.advance == f, asked.train }):equals
      { true, true, "labels", true, { "layers.0" } }
    expect({ asked.knobs, asked.said_by }):equals { {}, {} }
  end)
  it("bring their defaults", function()
    expect({ select(2, read "transfer_loop").patience, select(2, read { defaults = { clip = 2 } }).clip }):equals { 3, 2 }
    expect(select(2, read { { "a", advance = print }, { "b" }, defaults = { clip = 3 } }).clip):equals(3)
  end)
  it("of a name are not augmented where the rows are whole numbers", function()
    local words = g.data.tensors(g.zeros({ 8, 3 }, { dtype = "int64" }), g.arange(8):remainder(2))
    for _, name in ipairs { "confidence", "random_order" } do
      expect(read(name, { train = words })[1].knobs.augment):equals(0)
      expect(read(name, { train = d })[1].knobs.augment):differs_from(0)
    end
  end)
  local refused = {
    { "an empty name", { name = "" }, "curriculum: name: expected a text; got" },
    { "modules that are no list", { train = "layers.0" },
      "curriculum: train: expected a list of the student's modules, such as { 'layers.0' }; got 'layers.0'" },
    { "modules that are no texts", { train = { 1 } }, "curriculum: train: expected a list" },
    { "losses that are no table", { losses = 3 }, "curriculum: 'losses': expected a table; got 3" },
    { "a loss's weight of text", { losses = { mine = "x" } }, "curriculum: losses.mine: expected a number, a schedule or a function" },
    { "a pressure of a number", { pressure = 3 }, "curriculum: 'pressure': expected a table; got 3" },
    { "a pressure of text", { pressure = { lr = "x" } }, "curriculum: pressure.lr: expected a number, a schedule or a function" },
    { "a knob of text", { alpha = "x" }, "curriculum: alpha: expected a number, a schedule or a function" },
    { "a text as a rule", { advance = "next" }, "curriculum: advance: expected a rule such as when.plateau('val/loss', 3) or a function" },
    { "an unknown strategy", "zzzzzz", "curriculum: no strategy 'zzzzzz'; expected one of anti, confidence, linear_ramp" },
    { "a later stage without an end", { { "a", advance = print }, { "b" }, { "c" } },
      "curriculum: stage 2 'b' has no advance rule, so 'c' would never begin" },
    { "a name that an earlier stage has", { { "a", advance = print }, { "b", advance = print }, { "a" } },
      "curriculum: stage 3: name: expected one of its own; got 'a', which is stage 1's" },
    { "a name that an earlier stage has by its place", { { advance = print }, { "stage 1" } },
      "curriculum: stage 2: name: expected one of its own; got 'stage 1', which is stage 1's" },
  }
  for _, case in ipairs(refused) do
    it("refuse " .. case[1], function() expect(function() read(case[2]) end):fails_with(case[3]) end)
  end
end)

describe("strategies by their names", function()
  it("augment no rows of whole numbers, at no stage, and those of others at each", function()
    local words = g.data.tensors(g.arange(24):remainder(5):reshape(8, 3), g.arange(8):remainder(2))
    local reads = nn.Sequential { nn.Embedding(5, 2), nn.Flatten(), nn.Linear(6, 2) }
    local function augments(name, train, teacher)
      local stages, list = curriculum.normalise(name, { train = train, teacher = teacher }), {}
      for i, stage in ipairs(stages) do
        local augment = stage.knobs.augment
        list[i] = schedule.is(augment) and values(augment, { 0, .3, 1 }) or augment
      end
      return list
    end
    local ramp = { { 0, .25, .5 } }
    for name, wanted in pairs { linear_ramp = ramp, anti = ramp, random_order = ramp, confidence = { .3 }, multi_stage = { .8, .5, .2 } } do
      expect(augments(name, d, support.student())):equals(wanted)
      expect(augments(name, words, reads)):equals(name == "multi_stage" and { 0, 0, 0 } or { 0 })
    end
    for _, name in ipairs { "one_shot", "transfer_loop" } do expect(augments(name, words, reads)):equals {} end
  end)
end)

describe("a stage without an end", function()
  it("is refused wherever another one follows, the first one too", function()
    for i, name in ipairs { "a", "b" } do
      local given = { { "a", advance = print }, { "b", advance = print }, { "c" } }
      given[i].advance = nil
      expect(function() curriculum.normalise(given, {}) end):fails_with(
        ("curriculum: stage %d '%s' has no advance rule, so '%s' would never begin; expected advance = when.…"):format(i, name,
          given[i + 1][1]))
    end
    expect(#curriculum.normalise({ { "a", advance = print }, { "b" } }, {})):equals(2)
  end)
end)
