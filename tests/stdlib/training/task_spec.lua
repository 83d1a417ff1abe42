-- The task of a training: measures of one's own, answers of a teacher, what one knows who knows the labels alone, and what is refused.
local g = require "gradus"
local task = require "gradus.training.task"

local int = { dtype = "int64" }
local x = g.tensor { { 1, 0 }, { 0, 1 }, { 1, 1 }, { 0, 0 } }
local classes = g.data.tensors(x, g.tensor({ 0, 1, 1, 2 }, "int64"), { classes = 3 })
local numbers = g.data.tensors(x, g.tensor { 1, 2, 3, 6 }, { labels = "numbers" })
local several = g.data.tensors(x, g.tensor { { 1, 0 }, { 1, 1 }, { 1, 0 }, { 1, 1 } }, { labels = "multilabel" })
local soft = g.data.tensors(x, g.tensor { { 1, 0 }, { .5, .5 }, { 0, 1 }, { .5, .5 } }, { labels = "soft" })

-- Gives each row's own numbers, in its first columns.
local function model_of(width)
  local one = g.nn.Linear(2, width, { bias = false })
  one.weight:detach():zero_()
  one.weight:detach()[0][0] = 1
  one.weight:detach()[1][1] = 1
  return one
end

describe("a measure of one's own", function()
  local good = { better = "higher", of = function() return .5 end }
  for text, given in pairs {
    ["distill: 'metrics'"] = 3, ["distill: metrics: '1': expected a name of letters"] = { good },
    ["distill: metrics: 'a b': expected a name"] = { ["a b"] = good }, ["distill: metrics: 'n': is taken"] = { n = good },
    ["distill: metrics: 'forgotten': is taken"] = { forgotten = good },
    ["distill: metrics: 'teacher_acc': is taken"] = { teacher_acc = good },
    ["distill: metrics: 'teacher_loss': is taken"] = { teacher_loss = good },
    ["distill: metrics: 'constant': is taken"] = { constant = good },
    ["distill: metrics: 'f': expected { better = \"higher\""] = { f = 3 },
    ["distill: metrics: 'f': 'of' is missing"] = { f = { better = "lower" } },
    ["distill: metrics: 'f': 'better' is missing"] = { f = { of = print } }, ["'better': expected"] = { f = { better = "up", of = print } },
    ["distill: metrics: 'f': no option 'off'; did you mean 'of'?"] = { f = { better = "lower", off = print } } } do
    it("is refused: " .. text, function() expect(function() task.check_metrics("distill", given) end):fails_with(text) end)
  end
  it("is one beside the task's", function()
    expect(task.check_metrics("w", nil)):equals {}
    local own = task.check_metrics("w", { ["f1.macro_a-b"] = good })
    expect(own["f1.macro_a-b"].better):equals "higher"
    local one = task.new(classes.labels, own)
    expect({ one.better["f1.macro_a-b"], one.better.acc, one.better.loss }):equals { "higher", "higher", "lower" }
    expect(function() task.new(classes.labels, { acc = good }) end):fails_with "metrics: 'acc' is measured by every evaluation"
    expect(function() task.new { kind = "odd" } end):fails_with "labels: no kind 'odd'"
  end)
  it("is a number of the model and the data", function()
    local function measured(of) return task.new(classes.labels, { f = { better = "lower", of = of } }):evaluate(model_of(3), classes).f end
    expect(measured(function(_, d) return d:size() end)):equals(4)
    expect(measured(function(model, d) return model((d:gather())):sum() end)):equals(4)
    for _, wrong in ipairs { "text", g.zeros { 2 } } do
      expect(function() measured(function() return wrong end) end):fails_with "metrics: 'f': expected a number; got"
    end
  end)
end)

describe("who knows the labels alone", function()
  local function entropy(...)
    local sum = 0
    for _, p in ipairs { ... } do sum = sum - p * math.log(p) end
    return sum
  end
  for name, case in pairs { classes = { classes, entropy(.25, .5, .25), .5 }, numbers = { numbers, 3.5 },
    several = { several, entropy(.5, .5) / 2 }, soft = { soft, entropy(.5, .5) },
    ["classes that some rows lack"] = { g.data.tensors(x, g.tensor({ 0, -100, 1, 1 }, "int64"), { classes = 2 }),
      entropy(1 / 3, 2 / 3), 2 / 3 } } do
    it("has a loss, of " .. name, function()
      local one = task.new(case[1].labels)
      expect(one:guess(case[1])):near(case[2], 1e-6)
      local most = one:majority(case[1])
      if case[3] then expect(most):near(case[3], 1e-9) else expect(most):equals(nil) end
    end)
  end
end)

describe("a teacher's answers", function()
  it("are the classes or the labels that hold, and what it said", function()
    local of = task.new(classes.labels):teacher_answers(model_of(3), classes)
    expect({ of.answers:totable(), of.said.shape[1], of.said.shape[2] }):equals { { 0, 1, 0, 0 }, 4, 3 }
    of = task.new(several.labels):teacher_answers(model_of(2), several)
    expect(of.answers:to({ dtype = "int64" }):totable()):equals { { 1, 0 }, { 0, 1 }, { 1, 1 }, { 0, 0 } }
    of = task.new(numbers.labels):teacher_answers(model_of(2), numbers)
    expect({ of.answers, of.said.shape[1] }):equals { nil, 4 }
  end)
  it("are kept whole up to 64 MB", function()
    local Wide = g.nn.class "Wide"
    function Wide:init(width)
      self.width = width
      self.p = g.nn.Linear(2, 1)
    end
    function Wide:forward(rows) return rows:slice(1, 0, 1):expand { rows:size(0), self.width } end
    local one = g.data.tensors(g.tensor { { 1, 0 } }, g.tensor({ 0 }, "int64"), { classes = 2 })
    for width, kept in pairs { [2 ^ 24] = true, [2 ^ 24 + 1] = false } do
      local of = task.new(one.labels):teacher_answers(Wide(width), one)
      expect({ of.said ~= nil, of.answers:totable() }):equals { kept, { 0 } }
    end
  end)
  it("are compared with the student's, and weigh in the loss of distillation", function()
    local one = task.new(classes.labels)
    local asked = one:evaluate(model_of(3), classes, model_of(3))
    expect({ asked.agreement, asked.kd_loss, asked.n, asked.acc }):equals { 1, nil, 4, .5 }
    local known = one:teacher_answers(model_of(3), classes)
    local found = one:evaluate(model_of(3), classes, known, { temperature = 1, alpha = 1 })
    expect(found.agreement):equals(1)
    expect(found.kd_loss):near(found.loss, 1e-6)
    expect(one:evaluate(model_of(3), classes, known, { temperature = 1, alpha = 0 }).kd_loss):near(0, 1e-6)
    expect(one:evaluate(model_of(3), classes, g.tensor({ 1, 1, 0, 0 }, "int64")).agreement):equals(.75)
    local knobs = { temperature = 1, alpha = .5 }
    expect(one:evaluate(model_of(3), classes, model_of(3), knobs).kd_loss):near(found.loss / 2, 1e-6)
    for _, case in ipairs { { known, nil, 1 }, { nil, knobs } } do
      local told = one:evaluate(model_of(3), classes, case[1] or nil, case[2])
      expect({ told.kd_loss, told.agreement }):equals { nil, case[3] }
    end
  end)
  for text, teacher in pairs { ["evaluate: teacher: expected a module, several, or its answers; got"] = 3,
    ["evaluate: teacher: expected its answers to the 4 rows, [4]; got"] = g.zeros({ 3 }, int) } do
    it("are refused: " .. text, function()
      expect(function() task.evaluate(model_of(3), classes, teacher) end):fails_with(text)
    end)
  end
end)

describe("data without labels", function()
  local bare, none = g.data.tensors(x), { kind = "none" }
  -- KL of one's classes from the other's, by logits, mean of the rows.
  local function apart(teacher, student)
    local p, q = teacher:log_softmax(-1), student:log_softmax(-1)
    return (p:exp() * (p - q)):sum { dim = -1 }:mean():item()
  end
  it("are measured by how far the model is from a teacher", function()
    local student, teacher = model_of(3), g.nn.Linear(2, 3)
    local wanted = apart(teacher(x), student(x))
    local agreement = student(x):argmax(-1):eq(teacher(x):argmax(-1)):double():mean():item()
    local one = task.new(none)
    local known = one:teacher_answers(teacher, bare)
    local forgotten = { answers = known.answers, teacher = g.nn.Sequential(teacher, g.nn.Dropout(.9)) }  -- who said too much to keep
    for _, asked in ipairs { teacher, known, forgotten } do
      local right = {}
      local found = one:evaluate(student, bare, asked, { temperature = 2, alpha = .7 }, right)
      expect(found.loss):near(wanted, 1e-5)
      expect({ found.agreement, found.acc or "none", found.n, #right }):equals { agreement, "none", 4, 0 }
      expect(found.kd_loss):near(4 * apart(teacher(x) / 2, student(x) / 2), 1e-5)
    end
    expect(task.evaluate(student, bare, teacher).loss):near(wanted, 1e-5)
    local of_classes = task.evaluate(student, bare, known.answers)
    expect({ of_classes.agreement, of_classes.loss or "none" }):equals { agreement, "none" }
    expect(one:guess(bare) or "none"):equals "none"
    expect(one:majority(bare) or "none"):equals "none"
  end)
  it("count by their weights", function()
    local student, teacher, heavy = model_of(3), g.nn.Linear(2, 3), g.data.tensors(x, nil, { weight = g.tensor { 0, 0, 3, 0 } })
    local found = task.new(none):evaluate(student, heavy, teacher)
    local row = x:slice(0, 2, 3)
    expect(found.loss):near(apart(teacher(row), student(row)), 1e-5)
    expect(found.n):equals(4)
  end)
  it("have answers that are numbers, or several labels, where they say so", function()
    local student, teacher = g.nn.Linear(2, 3), g.nn.Linear(2, 3)
    local z, t = student(x), teacher(x)
    local found = task.evaluate(student, g.data.tensors(x, nil, { answers = "numbers" }), teacher)
    expect(found.loss):near((z - t):square():mean():item(), 1e-5)
    expect({ found.rmse or "none", found.mae or "none", found.agreement or "none", found.n }):equals { "none", "none", "none", 4 }
    local several_of = g.data.tensors(x, nil, { answers = "multilabel" })
    found = task.new(several_of.labels):evaluate(student, several_of, teacher, { temperature = 2, alpha = .5 })
    local function bce(logits, p) return logits:softplus() - logits * p end
    local function apart_at(T)
      local p = (t / T):sigmoid()
      return (bce(z / T, p) - bce(t / T, p)):mean():item()
    end
    expect(found.loss):near(apart_at(1), 1e-5)
    expect(found.kd_loss):near(4 * apart_at(2), 1e-5)
    expect(found.agreement):near(z:gt(0):eq(t:gt(0)):double():mean():item(), 1e-9)
    expect({ found.acc or "none", found.constant or "none" }):equals { "none", "none" }
  end)
  it("tell no measure that takes labels, but one's own", function()
    for measure, told in pairs { loss = true, agreement = true, kd_loss = true, mine = true, acc = false, rmse = false, mae = false } do
      expect({ measure, task.tells(bare, measure), task.tells(classes, measure) }):equals { measure, told, true }
    end
  end)
  it("stand beside suites with labels", function()
    local found = task.new(none):evaluate(model_of(3), classes, model_of(3))
    expect({ found.acc, found.agreement }):equals { .5, 1 }
  end)
end)

describe("what is evaluated", function()
  for text, call in pairs {
    ["evaluate: expected a module; got table"] = function() task.evaluate({}, classes) end,
    ["evaluate: expected a data set; got"] = function() task.evaluate(model_of(3), 3) end,
    ["w: the data set has no labels"] = function() task.check_data("w", g.data.tensors(x)) end } do
    it("is refused: " .. text, function() expect(call):fails_with(text) end)
  end
  it("tells what is right, row by row", function()
    local right = {}
    local found = task.new(classes.labels):evaluate(model_of(3), classes, nil, nil, right)
    expect({ right[1]:to({ dtype = "int64" }):totable(), found.acc, #right }):equals { { 1, 1, 0, 0 }, .5, 1 }
    expect(task.new(classes.labels):measure(model_of(3), classes).acc):equals(.5)
    expect(task.new(classes.labels):measure(model_of(3), g.data.tensors(x))):equals {}
  end)
  it("has no measure that nobody has: nil of it would go on in silence", function()
    local found = task.evaluate(model_of(3), classes)
    expect({ found.acc, found.rmse or "none", found.agreement or "none" }):equals { .5, "none", "none" }
    expect(function() return found.accuracy end)
      :fails_with "task_spec.lua:%d+: evaluate: no measure 'accuracy'; expected acc"
    expect(function() return found.mse end):fails_with "evaluate: no measure 'mse'; expected loss"
    expect(function() return found.f1 end):fails_with "evaluate: no measure 'f1'; expected metrics = { f1 ="
    expect(function() return found.zzzzzz end):fails_with "evaluate: no measure 'zzzzzz'; expected one of acc, agreement"
    expect(function() return found.los end):fails_with "evaluate: no measure 'los'; did you mean 'loss'?"
    expect(tostring(found)):matches "^{ acc = 0.5, constant = 0.75, loss = [%d.]+, n = 4 }$"
  end)
  it("is plain data, which a snapshot keeps", function()
    local plain = require "gradus.base.plain"
    expect(plain.read(plain.write(task.evaluate(model_of(3), classes), "x"), {})):equals(task.evaluate(model_of(3), classes))
  end)
  it("weighs rows", function()
    local weighed = g.data.tensors(x, g.tensor({ 0, 1, 1, 2 }, "int64"), { classes = 3, weight = g.tensor { 1, 0, 0, 3 } })
    local found = task.evaluate(model_of(3), weighed)
    local function loss(logits, y)
      local sum = 0
      for _, one in ipairs(logits) do sum = sum + math.exp(one) end
      return math.log(sum) - logits[y + 1]
    end
    expect(found.loss):near((loss({ 1, 0, 0 }, 0) + 3 * loss({ 0, 0, 0 }, 2)) / 4, 1e-6)
  end)
end)
