-- Training itself: counts, evaluation, early stopping, best weights, repetition bit for bit, bad numbers.
local g = require "gradus"
local support = require "support"
local schedule = g.schedule
local task = require "gradus.training.task"

local function distill(options, run_options, before)
  local student
  local result, seen = support.with_run(run_options, function(run)
    if before then before(run) end
    local d = support.points():split { train = .5, val = .5 }
    local given = { student = support.student(), data = d, batch = 12, budget = { steps = 20 }, lr = .01 }
    for key, value in pairs(options) do given[key] = value end
    for key, value in pairs(given) do
      if value == "none" then given[key] = nil end
    end
    if given.with_data then
      given.data = given.with_data(d)
      given.with_data = nil
    end
    student = given.student
    return run:distill(given)
  end)
  return result, seen, student
end

local function same(a, b) expect(a):equals(b) end
local function teacher() return support.student(4) end
local function steps_of(pairs_of)
  local out = {}
  for i, pair in ipairs(pairs_of) do out[i] = pair[1] end
  return out
end

describe("a distillation", function()
  it("learns", function()
    local result, seen = distill { budget = { epochs = 30 }, lr = .03, batch = 24 }
    expect(result.best.value < .45):is_true()
    local losses = seen.values "train/loss"
    expect(losses[1] > 2 * losses[#losses]):is_true()
    expect(result:last "val/acc" > .8):is_true()
  end)
  it("ends at the first budget reached", function()
    expect((distill { budget = { steps = 7 } }).steps):equals(7)
    expect((distill { budget = { epochs = 2 } }).steps):equals(20)
    expect((distill { budget = { samples = 100 } }).steps):equals(9)
    expect((distill { budget = { epochs = 2, steps = 13 } }).steps):equals(13)
    expect((distill { budget = { flops = 1 } }).steps):equals(1)
    local result = distill { budget = { steps = 7 } }
    expect(result.epochs):near(7 * 12 / 120)
  end)
  it("counts a stage's traversals from its beginning, whatever was drawn from the same rows before", function()
    local train
    local function half() return train:first(.5) end
    local passes = g.when.passes
    local _, seen = distill { budget = { steps = 100 }, with_data = function(d)
      train = d.train
      return d
    end, curriculum = { { "a", advance = passes(2) }, { "b", advance = passes(1) }, { "c", sample = half, advance = passes(3) },
      { "d", sample = half, advance = passes(1) }, { "e", advance = g.when.stop(passes(2)) } } }
    local began = {}
    for i, one in ipairs(seen.stages) do began[i] = one.step end
    same(began, { 0, 20, 30, 45, 50 })
    same(seen.decisions[5].step, 70)
  end)
  it("evaluates once an epoch and at the end, or as asked", function()
    local _, seen = distill { budget = { epochs = 3.5 } }
    same(steps_of(seen.metric "val/loss"), { 10, 20, 30, 35 })
    _, seen = distill { budget = { steps = 20 }, evaluate = { steps = 6 } }
    same(steps_of(seen.metric "val/acc"), { 6, 12, 18, 20 })
    _, seen = distill { budget = { steps = 20 }, evaluate = { epochs = .5 } }
    same(steps_of(seen.metric "val/acc"), { 5, 10, 15, 20 })
  end)
  it("evaluates suites along, and the agreement with the teacher", function()
    local _, seen = distill { teacher = teacher(), suites = { easy = support.points(60) } }
    expect(#seen.values "easy/acc"):equals(2)
    expect(#seen.values "easy/loss"):equals(2)
    for _, value in ipairs(seen.values "val/agreement") do expect(value >= 0 and value <= 1):is_true() end
  end)
  it("evaluates beside several teachers as beside one that gives the mean of their logits", function()
    local a, b = support.student(4), support.student(5)
    local mean = g.nn.class "Mean"
    function mean:init() self.a, self.b = a, b end
    function mean:forward(x) return self.a(x) * .25 + self.b(x) * .75 end
    local function measured(given)
      local answer
      local result, seen = distill { teacher = given, suites = { hard = support.points(60) }, curriculum = "multi_stage",
        with_data = function(d)
          answer = given
          return d
        end }
      local of_val
      support.with_run(nil, function(run) of_val = run:evaluate(result.student, support.points(60), answer).agreement end)
      return { result:history "val/agreement", result:history "val/kd_loss", seen.values "hard/teacher_acc", of_val }
    end
    local one = measured(mean())
    expect({ #one[1], #one[2], #one[3] }):equals { 4, 4, 1 }
    expect(measured { { a, 1 }, { b, 3 } }):equals(one)
    expect(measured(g.nn.ModuleList { a, b })):equals(measured { a, b })
  end)
  it("evaluates what run:evaluate evaluates", function()
    local wanted
    local _, seen = distill({ restore_best = false, with_data = function(d) wanted = d.val return d end })
    local result, _, student = distill { restore_best = false }
    local _, after = support.with_run(nil, function(run) run:log(run:evaluate(student, wanted)) end)
    expect(after.values "loss"[1]):equals(seen.values "val/loss"[2])
    expect(result:last "val/loss"):equals(seen.values "val/loss"[2])
  end)
  it("logs every step", function()
    local _, seen = distill { teacher = teacher() }
    for _, key in ipairs { "train/loss", "train/ce", "train/kl", "train/confidence",
      "knob/lr", "knob/temperature", "knob/alpha", "knob/augment" } do
      expect(#seen.values(key)):equals(20)
    end
  end)
  it("stores neither temperature nor alpha where no teacher's logits are imitated", function()
    local function stored(options)
      local _, seen = distill(options)
      return { #seen.values "knob/lr", #seen.values "knob/temperature", #seen.values "knob/alpha" }
    end
    expect(stored {}):equals { 20, 0, 0 }
    local t = teacher()
    expect(stored { teacher = t, curriculum = { { "labels", target = "labels", advance = g.when.steps(5) }, { "teacher" } } })
      :equals { 20, 15, 15 }
  end)
  it("its loss is alpha CE + (1 - alpha) T² KL", function()
    local _, seen = distill { teacher = teacher(), alpha = .3, temperature = 3 }
    local loss, ce, kl = seen.values "train/loss", seen.values "train/ce", seen.values "train/kl"
    for i = 1, 20 do expect(loss[i]):near(.3 * ce[i] + .7 * kl[i], 1e-4) end
  end)
  it("is what val/kd_loss is of the validation data, whatever its options", function()
    for _, options in ipairs { {}, { t2 = false }, { teacher_temperature = 1 }, { label_smoothing = .3 } } do
      local rows
      options.teacher, options.evaluate, options.with_data, options.batch = teacher(), { steps = 1 }, function(d)
        rows = d.train
        return { train = d.train, val = d.train }
      end, support.points():split({ train = .5 }).train:size()
      options.lr = 1e-12
      local result = distill(options)
      expect(result:last "val/kd_loss"):near(result:last "train/mean_loss", 1e-5)
      expect(result:last "val/loss"):near(task.evaluate(result.student, rows).loss, 1e-5)  -- on the labels as they are
    end
  end)
  it("asks the teacher for what the student sees: the same network and alpha 0 give a loss of 0", function()
    local student = support.student()
    local copy = student:clone()
    local _, seen = distill { student = student, teacher = copy, alpha = 0, augment = .5, budget = { steps = 1 } }
    expect(seen.values "train/loss"[1]):near(0, 1e-6)
  end)
  it("leaves the teacher as it was", function()
    local t = teacher()
    local before = support.weights(t)
    distill { teacher = t }
    same(support.weights(t), before)
  end)
  it("leaves the student in evaluation mode", function()
    local _, _, student = distill {}
    expect(student.training):is_false()
  end)
  it("takes data without validation, float targets and generators", function()
    local result, seen = distill { with_data = function(d) return d.train end }
    expect(#seen.values "val/loss"):equals(0)
    expect(function() return result.best.step end):fails_with "best.step: nothing was monitored; expected validation data"
    local _, mse = distill { student = g.nn.Linear(6, 1), alpha = 1, with_data = function()
      local x = g.randn({ 60, 6 }, { generator = g.generator(1) })
      return g.data.tensors(x, x:sum(1)):split { train = .5, val = .5 }
    end, budget = { epochs = 60 }, lr = .1 }
    local loss = mse.values "val/loss"
    expect(loss[#loss] < .02):is_true()
    expect(#mse.values "val/acc"):equals(0)
    local made = 0
    local generated = distill { with_data = function(d)
      return { train = g.data.generator(function(size)
        made = made + 1
        return g.randn(size, 6), g.zeros({ size }, { dtype = "int64" })
      end, { epoch = 60, classes = 3 }), val = d.val }
    end, budget = { epochs = 2 } }
    expect({ made, generated.steps }):equals { 10, 10 }
  end)
  it("weighs the examples", function()
    -- a weight of 0 leaves the example out: the wrong half of the labels does no harm
    local result = distill { budget = { epochs = 30 }, lr = .03, with_data = function(d)
      local x, y = d.train:gather()
      local wrong = y:add(1):remainder(3)
      local weight = g.cat({ g.ones(120), g.zeros(120) }, 0)
      return { train = g.data.tensors(g.cat({ x, x }, 0), g.cat({ y, wrong }, 0), { classes = 3, weight = weight }), val = d.val }
    end }
    expect(result:last "val/acc" > .8):is_true()
  end)
end)

describe("validation data without labels", function()
  local bare = g.data.tensors((support.points():gather())):split { train = .75, val = .25 }
  local wise = support.student(16)
  it("are measured beside the teacher, who decides which weights are best", function()
    local result, seen, student = distill { data = bare, teacher = wise, suites = { labelled = support.points(30) },
      temperature = function(s) return s.step < 20 and 8 or 1 end, lr = .02, budget = { steps = 40 } }
    local losses = seen.values "val/loss"
    expect(#losses > 2 and losses[#losses] < losses[1]):is_true()
    expect({ #seen.values "val/agreement", #seen.values "val/kd_loss" }):equals { #losses, #losses }
    expect({ #seen.values "val/acc", #seen.values "val/forgotten", #seen.values "val/teacher_acc" }):equals { 0, 0, 0 }
    expect(#seen.values "labelled/acc"):equals(#losses)
    expect(result.best.value):equals((result:best "val/loss"))
    expect(require("gradus.training.task").evaluate(student, bare.val, wise).loss):near(result.best.value, 1e-6)
  end)
  it("end stages by the same rules as others", function()
    local _, seen = distill { data = bare, teacher = wise, lr = .02, budget = { steps = 60 }, evaluate = { steps = 5 },
      curriculum = { { "hot", temperature = 8, advance = g.when.below("val/loss", 10) }, { "cold", temperature = 1 } } }
    expect(seen.stages[2].step):equals(5)
  end)
  it("leave nothing for alpha to weigh", function()
    local by_row = g.schedule.by_confidence(6, 2)
    local _, seen = distill { data = bare, teacher = wise, temperature = by_row }
    expect({ seen.values "knob/alpha"[1], #seen.values "train/ce" }):equals { 0, 0 }
    expect(seen.values "train/kl"):near(seen.values "train/loss", 1e-6)  -- times T², row by row
    for _, given in ipairs { { alpha = .3 }, { label_smoothing = .1 } } do
      given.data, given.teacher = bare, wise
      expect(function() distill(given) end):fails_with "has no effect where the data have no labels, but a teacher's answers alone"
    end
    distill { data = bare, teacher = wise, alpha = 0, label_smoothing = 0 }
  end)
  it("need a teacher, and have no accuracy", function()
    expect(function() distill { data = bare } end)
      :fails_with "distill: data: val: the data set has no labels; expected some, or a teacher"
    expect(function() distill { data = bare, teacher = wise, monitor = "val/acc" } end)
      :fails_with "distill: monitor: no metric 'val/acc' is evaluated in this run"
    expect(function() distill { data = { train = support.points(), val = bare.val }, teacher = wise } end)
      :fails_with "distill: data.val: labels: expected 3 classes; got no labels"
  end)
end)

describe("early stopping", function()
  it("after patience evaluations without improvement, with the numbers of it", function()
    -- a rate of 0 improves nothing: the first evaluation is the best, two more are waited for
    local result, seen = distill { lr = function() return 0 end, patience = 2, budget = { steps = 100 } }
    expect(result.steps):equals(30)
    expect(seen.decisions[1].name):equals "stop"
    expect(seen.decisions[1].detail.rule):equals "stop when val/loss has not improved for 2 evaluations"
    expect(seen.decisions[1].detail.numbers.evaluations):equals(2)
  end)
  it("is not in the way of what improves", function()
    expect((distill { patience = 3, budget = { steps = 60 } }).steps):equals(60)
  end)
end)

describe("the best weights", function()
  local function wild(s) return s.step < 10 and .02 or 3 end  -- good at first, then thrown about

  it("are put back, bit for bit", function()
    local result, seen, student = distill { lr = wild, budget = { steps = 30 } }
    expect({ result.best.step, #seen.best }):equals { 10, 1 }
    expect(seen.values "val/loss"[3] > seen.values "val/loss"[1]):is_true()
    local _, _, short = distill { lr = wild, budget = { steps = 10 } }
    same(support.weights(student), support.weights(short))
  end)
  it("are not when it is not wanted", function()
    local _, _, student = distill { lr = wild, budget = { steps = 30 }, restore_best = false }
    local _, _, short = distill { lr = wild, budget = { steps = 10 } }
    expect(support.weights(student)):differs_from(support.weights(short))
  end)
  it("go by the metric that is monitored", function()
    local result = distill { monitor = "val/acc", budget = { steps = 30 } }
    expect(result.best.value):equals((result:best "val/acc"))
  end)
  it("are told by r:best as by s:best, and with any other metric", function()
    local told
    local result = distill { monitor = "val/acc", budget = { steps = 30 }, curriculum = { advance = function(s)
      told = { s:best "val/loss" }
      return false
    end } }
    expect({ result:best "val/loss" }):equals(told)
    expect({ result:best "val/acc" }):equals { result.best.value, result.best.step }
    expect(function() result:best "val/los" end):fails_with "did you mean 'val/loss'?"
    expect(function() result:best() end):fails_with 'best: expected a metric, such as r:best "val/acc"; got nil'
    expect(function() result.best "val/acc" end):fails_with 'expected r:best "val/acc", with a colon'
    expect(function() return result.best.steps end):fails_with "best has no 'steps'"
    expect(function() return result:best_of "val/acc" end):fails_with "did you mean 'best'?"
    expect(function() result:last() end):fails_with 'expected a metric, such as "val/acc"; got nil'
  end)
  it("tell what was forgotten since", function()
    local result, seen = distill { lr = wild, budget = { steps = 30 }, evaluate = { steps = 5 } }
    local acc, best = seen.values "val/acc", 0
    for _, value in ipairs(acc) do best = math.max(best, value) end
    expect(result:forgetting "val/acc"):near(best - acc[#acc])
  end)
end)

describe("train/mean_loss", function()
  it("is the mean over the steps since the last evaluation, and may be ruled by", function()
    local told
    local _, seen = distill { budget = { steps = 20 }, evaluate = { steps = 8 }, curriculum = { advance = function(s)
      told = s:last "train/mean_loss"
      return false
    end } }
    local losses, means = seen.values "train/loss", {}
    for i, span in ipairs { { 1, 8 }, { 9, 16 }, { 17, 20 } } do
      local sum = 0
      for step = span[1], span[2] do sum = sum + losses[step] end
      means[i] = sum / (span[2] - span[1] + 1)
    end
    expect(seen.values "train/mean_loss"):near(means, 1e-12)
    expect(told):near(means[3], 1e-12)
    local _, plain = distill { budget = { steps = 4 }, evaluate = { steps = 2 }, with_data = function(d) return d.train end }
    expect(#plain.values "train/mean_loss"):equals(2)
  end)
end)

describe("the same seed", function()
  local function all_of(options, seed, before)
    local _, seen, student = distill(options, { seed = seed }, before)
    return { weights = support.weights(student), loss = seen.values "train/loss", val = seen.values "val/loss" }
  end
  local function seeded(seed)
    local made
    local _, seen = support.with_run({ seed = seed }, function(run)
      local d = support.points():split { train = .5, val = .5 }
      local t = support.student(4)
      made = g.nn.Sequential { g.nn.Linear(6, 8), g.nn.Dropout(.2), g.nn.Linear(8, 3) }
      run:distill { teacher = t, student = made, data = d, batch = 12, budget = { steps = 25 }, lr = .01, augment = .5,
        curriculum = "confidence" }
    end)
    return { weights = support.weights(made), loss = seen.values "train/loss", val = seen.values "val/loss" }
  end
  it("gives the same bits twice, another seed others", function()
    same(seeded(4), seeded(4))
    expect(seeded(4).loss):differs_from(seeded(5).loss)
  end)
  it("gives every strategy the same split, student and first order", function()
    local function start(strategy)
      local first
      local _, seen = support.with_run({ seed = 3 }, function(run)
        local d = support.points():split { train = .5, val = .5 }
        local student = support.student()
        first = { split = d.train:fingerprint(), weights = support.weights(student) }
        run:distill { student = student, data = d, batch = 12, budget = { steps = 1 }, curriculum = strategy, warmup = 0 }
      end)
      first.loss = seen.values "train/loss"
      return first
    end
    same(start("one_shot"), start({ temperature = 2, augment = 0 }))
    same(start("one_shot").split, start("confidence").split)
    same(start("one_shot").weights, start("random_order").weights)
  end)
  it("does not notice augmentation of strength 0", function()
    local plain = all_of({ augment = 0 }, 2)
    same(all_of({ augment = 0, augmentations = { noise = 5 } }, 2), plain)
    same(all_of({ augment = schedule.constant(0) }, 2), plain)
    expect(all_of({ augment = .5 }, 2).loss):differs_from(plain.loss)
  end)
  it("does not notice evaluation", function()
    local often = all_of({ evaluate = { steps = 1 }, restore_best = false }, 2)
    local seldom = all_of({ evaluate = { steps = 20 }, restore_best = false }, 2)
    same(often.weights, seldom.weights)
    same(often.loss, seldom.loss)
  end)
end)

describe("numbers that are not finite", function()
  local function broken(d)
    local x = d.base.x:clone()
    x[d.train.index[5]:item()] = 0 / 0
    local bad = g.data.tensors(x, d.base.y, { classes = 3 })
    return { train = bad:subset(d.train.index), val = d.val }
  end
  local d
  local function split(parts)
    d = { base = parts.train.base, train = parts.train, val = parts.val }
    return broken(d)
  end
  it("end the run, naming the rows of the batch", function()
    local seen
    local ok, err = pcall(function()
      support.with_run(nil, function(run)
        local parts = split(support.points():split { train = .5, val = .5 })
        local failed, message = pcall(run.distill, run, { student = support.student(), data = parts, batch = 12,
          budget = { epochs = 2 }, lr = .01 })
        expect(failed):is_false()
        seen = { message = type(message) == "table" and message.message or tostring(message), bad = d.train.index[5]:item() }
      end)
    end)
    if not ok then error(err, 0) end
    expect(seen.message):matches "the loss is %-?nan"
  end)
end)

describe("a distillation refuses", function()
  local cases = {
    { "a misspelt option", { temprature = 3 }, "distill: no option 'temprature'; did you mean 'temperature'?" },
    { "no student", { student = "none" }, "distill: student: expected a module; got nil" },
    { "a table as student", { student = {} }, "distill: student: expected a module; got table" },
    { "no data", { data = "none" }, "distill: data: expected a data set or a split with a part 'train'; got nil" },
    { "a split without train", { data = {} }, "distill: data: expected a data set or a split with a part 'train'" },
    { "no budget", { budget = "none" }, "distill: budget: expected { epochs = … } or { steps = … }; got nil" },
    { "a misspelt budget", { budget = { epoch = 3 } }, "distill: budget: no option 'epoch'; did you mean 'epochs'?" },
    { "a budget of 0", { budget = { steps = 0 } }, "distill: budget.steps: expected a number above 0; got 0" },
    { "an endless budget", { budget = { steps = math.huge } },
      "distill: budget.steps: expected a number above 0; got inf" },
    { "half a batch", { batch = .5 }, "distill: batch: expected a whole number" },
    { "a rate below 0", { lr = -1 }, "distill: lr: expected a number above 0; got -1" },
    { "text as a rate", { lr = "fast" },
      "distill: lr: expected a number, a schedule or a function of the state; got 'fast'" },
    { "an unknown optimizer", { optimizer = "Adagrad" },
      "distill: optimizer: expected 'AdamW', 'Adam', 'SGD' or an optimizer; got 'Adagrad'" },
    { "a number as optimizer", { optimizer = 5 },
      "distill: optimizer: expected 'AdamW', 'Adam', 'SGD' or an optimizer; got '5'" },
    { "misspelt augmentations", { augmentations = { nois = .1 } },
      "distill: augmentations: no option 'nois'; did you mean 'noise'?" },
    { "a metric that is never evaluated", { monitor = "val/accuracy" },
      "no metric 'val/accuracy' is evaluated in this run" },
    { "a metric without an evaluation", { monitor = "val/acc", with_data = function(d) return d.train end },
      "distill: monitor: nothing is evaluated; expected validation data or suites" },
    { "patience without validation", { patience = 2, with_data = function(d) return d.train end },
      "distill: patience: expected validation data or monitor" },
    { "suites that are no data", { suites = { easy = 5 } }, "distill: suites: 'easy': expected a data set; got 5" },
    { "a clip below 0", { clip = -1 }, "'clip': expected a number > 0" },
    { "a student of other inputs", { student = g.nn.MLP { 5, 4, 3 } },
      "MLP{5, 4, 3}: input has shape [12, 6], 6 values a sample; expected 5" },
    { "a student of other classes", { student = g.nn.MLP { 6, 4, 2 }, teacher = support.student() }, "student" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function() expect(function() distill(case[2]) end):fails_with(case[3]) end)
  end
end)
