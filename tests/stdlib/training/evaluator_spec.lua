-- What a training measures and when, by a task that is said to measure what it is asked.
local evaluator = require "gradus.training.evaluator"
local g = require "gradus"
local sorted_keys = require "gradus.base.sorted_keys"
local support = require "support"

local points = support.points(20)
local other = support.points(30)
local student, teacher = support.student(), support.student()

local function stream_of_zeros()
  return g.data.generator(function(n) return g.zeros { n, 6 }, g.zeros({ n }, { dtype = "int64" }) end, { epoch = 9 })
end

-- An evaluator, and the log of what its task was asked; of: the options' changes.
local function made(of, better)
  local log = {}
  local function name_of(model) return model == student and "student" or model == teacher and "teacher" or "checkpoint" end
  local task = { labels = points.labels, metrics = { mine = true },
    better = better or { acc = "higher", loss = "lower", agreement = "higher", kd_loss = "lower" } }
  function task.evaluate(_, model, d, answers, knobs, right)
    log[#log + 1] = ("%s %d%s%s"):format(name_of(model), d:size(), answers and " against" or "", knobs and " with knobs" or "")
    if right then right[1] = g.ones({ d:size() }, { dtype = "bool" }) end
    return { acc = better == nil and d:size() / 100 or nil, loss = d:size() / 10, n = d:size(), constant = 1 }
  end
  function task.measure(_, _, d)
    log[#log + 1] = "measure " .. d:size()
    return { acc = .5, n = 3 }
  end
  function task.teacher_answers(_, _, d)
    log[#log + 1] = "answers " .. d:size()
    return { answers = "them" }
  end
  function task.majority() log[#log + 1] = "majority" return of.majority end
  function task.guess() log[#log + 1] = "guess" return of.guess end
  local options = { where = "distill", task = task, train = points, val = points, every = 50, student = student }
  for key, value in pairs(of) do options[key] = value or nil end
  return evaluator.new(options), log
end

describe("what a training measures", function()
  for text, of in pairs {
    ["distill: data: val: expected a data set; got"] = { val = 3 }, ["'suites'"] = { suites = 3 },
    ["distill: suites: '1': expected a name of letters"] = { suites = { points } },
    ["distill: suites: 'a b': expected a name of letters"] = { suites = { ["a b"] = points } },
    ["distill: suites: 'val': is taken"] = { suites = { val = points } },
    ["distill: suites: 'train': is taken"] = { suites = { train = points } },
    ["distill: suites: 'hard': expected a data set"] = { suites = { hard = 5 } } } do
    it("is refused: " .. text, function() expect(function() made(of) end):fails_with(text) end)
  end
  it("has a name and a way in which it is better", function()
    local base = { "stage/acc", "stage/loss", "train/mean_loss" }
    for _, case in ipairs {
      { { val = false }, {} }, { {}, { "val/acc", "val/forgotten", "val/loss" } },
      { { suites = { easy = other } }, { "easy/acc", "easy/forgotten", "easy/loss", "easy/mine", "val/acc", "val/forgotten", "val/loss",
        "val/mine" }, { acc = "higher", loss = "lower", mine = "lower" } },
      { { val = g.data.tensors(points:gather()), teacher = teacher }, { "val/acc", "val/agreement", "val/forgotten", "val/kd_loss",
        "val/loss" } },
      { { val = g.data.tensors((points:gather())), teacher = teacher }, { "val/agreement", "val/kd_loss", "val/loss" } },
      { { teacher = teacher }, { "val/acc", "val/agreement", "val/forgotten", "val/kd_loss", "val/loss" } },
      { { val = false, teacher = teacher, suites = { easy = other } }, { "easy/acc", "easy/forgotten", "easy/loss" } } } do
      local wanted = { unpack(base) }
      for _, name in ipairs(case[2]) do wanted[#wanted + 1] = name end
      table.sort(wanted)
      local one = made(case[1], case[3])
      expect(sorted_keys(one.directions)):equals(wanted)
      expect({ one.directions["stage/acc"], one.directions["val/forgotten"] or "lower", one.directions["easy/forgotten"] or "lower",
        one.directions["train/mean_loss"] }):equals { "higher", "lower", "lower", "lower" }
    end
    expect(sorted_keys(made({}, { loss = "lower" }).directions)):equals { "stage/loss", "train/mean_loss", "val/loss" }
    expect(made({ suites = { easy = other } }):prefixes()):equals { "train/", "knob/", "val/", "stage/", "sample/", "easy/" }
    expect({ made({}):has_data(), made({ val = false }):has_data(), made({ val = false, suites = { easy = other } }):has_data() })
      :equals { true, false, true }
  end)
  it("is what a rule may ask for", function()
    local one = made {}
    for _, key in ipairs { "val/acc", "stage/loss", "sample/effective" } do expect(one:check_key("w", key)):equals(key) end
    expect(function() one:check_key("w", "val/ac") end):fails_with "w: no metric 'val/ac' is evaluated in this run; did you mean 'val/acc'?"
    expect(function() made({ val = false }):check_key("w", "val/acc") end):fails_with "w: nothing is evaluated; expected validation data"
    local stream = made { train = stream_of_zeros() }
    expect(function() stream:check_key("w", "stage/acc") end):fails_with "w: stage/acc is not measured of a stream's rows"
    expect(stream:check_key("w", "val/acc")):equals "val/acc"
  end)
  it("is due every so many steps, and early in a stage that waits long", function()
    local one = made { every = 50 }
    for step, due in pairs { [49] = false, [50] = true, [51] = false, [100] = true } do expect(one:due(step)):equals(due) end
    for _, case in ipairs { { 20, 20, true }, { 19, 20, false }, { 21, 20, false }, { 20, 130, true },
      { 20, 131, false }, { 20, 150, true } } do
      expect({ case, one:due_early { stage_steps = case[1], step = case[2] } }):equals { case, case[3] }
    end
  end)
  it("is the student on validation data and suites, beside the teacher's answers, which are asked once", function()
    local one, log = made { teacher = teacher, suites = { easy = other } }
    local numbers, of_val = one:measure({}, { kind = "logits" })
    expect({ of_val.n, numbers }):equals { 20, { ["val/acc"] = .2, ["val/loss"] = 2, ["val/forgotten"] = numbers["val/forgotten"],
      ["easy/acc"] = .3, ["easy/loss"] = 3, ["easy/forgotten"] = numbers["easy/forgotten"] } }
    one:measure({}, { kind = "logits" })
    expect(log):equals { "answers 20", "student 20 against with knobs", "student 30 with knobs", "student 20 against with knobs",
      "student 30 with knobs" }
    one.teacher_moves = true
    numbers = one:measure({}, { kind = "layer" })
    expect({ #log, numbers["val/forgotten"] }):equals { 7, nil }
    one, log = made { teacher = teacher }
    one.teacher_moves = true  -- what it said before is not what it says
    one:measure({}, { kind = "logits" })
    expect(log):equals { "student 20 against with knobs" }
    one, log = made { val = false }
    numbers, of_val = one:measure({}, { kind = "logits" })
    expect({ numbers, of_val, log }):equals { {}, nil, {} }
  end)
  it("is asked of the teacher, and of each checkpoint, once", function()
    local one, log = made { teacher = teacher }
    local first, second = { detail = { checkpoint = 1 }, teacher = {} }, { detail = { checkpoint = 2 }, teacher = {} }
    expect({ one:teacher_on_val().acc, one:teacher_on_val().acc, one:acc_of_checkpoint(first), one:acc_of_checkpoint(first),
      one:acc_of_checkpoint(second) }):equals { .2, .2, .2, .2, .2 }
    expect(log):equals { "teacher 20", "checkpoint 20", "checkpoint 20" }
    expect({ one:acc_of_checkpoint {}, one:acc_of_checkpoint { detail = {} } }):equals {}
    expect({ made({}):teacher_on_val(), made({ val = false, teacher = teacher }):teacher_on_val() }):equals {}
    expect(made({ val = false }):acc_of_checkpoint(first)):equals(nil)
  end)
  it("has the most frequent class and the guess, asked once where there are any", function()
    local one, log = made { majority = .5, guess = 1.5 }
    expect({ one:majority(), one:majority(), one:guess(), one:guess(), log }):equals { .5, .5, 1.5, 1.5, { "majority", "guess" } }
    one, log = made {}
    expect({ one:majority() == nil, one:majority() == nil, one:guess() == nil, one:guess() == nil, log })
      :equals { true, true, true, true, { "majority", "guess" } }
    one, log = made { val = false, majority = .5, guess = 1 }
    expect({ one:majority() == nil, one:guess() == nil, log }):equals { true, true, {} }
  end)
  it("begins with the student as it comes, and the teacher", function()
    local one, log = made { teacher = teacher, suites = { easy = other } }
    expect(one:baselines()):equals { ["easy/teacher_acc"] = .3, ["val/teacher_acc"] = .2 }
    expect(log):equals { "student 30", "teacher 30", "teacher 20" }
    expect({ one.untrained_loss, one.untrained_acc, one.teacher_acc }):equals { 3, { easy = .3 }, { easy = .3 } }
    local later = made { suites = { easy = other } }
    later:load_state(one:state())
    expect({ later.untrained_acc, later.teacher_acc, later:rows_moved() }):equals { { easy = .3 }, { easy = .3 }, false }
    expect(made({ suites = { easy = other, hard = points } }).untrained_loss):equals(nil)
    one = made { suites = { easy = other, hard = points } }
    expect({ one:baselines(), one.untrained_loss, one.teacher_acc }):equals { {}, 3, {} }
    expect(made({ teacher = teacher }, { loss = "lower" }):baselines()):equals { ["val/teacher_loss"] = 2 }
  end)
end)

describe("a stage's own rows", function()
  local function source(view) return { view = function() return view end } end
  it("are measured on a sample that stays until the rows are others", function()
    local one, log = made {}
    local function measured(goal)
      local numbers = {}
      one:measure_stage(numbers, goal or { kind = "logits" })
      return numbers["stage/acc"]
    end
    expect({ measured(), one:rows_moved() }):equals { nil, false }
    local large = support.points(300)
    one:look_at(source(large))
    expect({ measured(), one:rows_moved(), one:rows_moved() }):equals { .5, true, false }
    local rows = one.own_rows
    one:look_at(source(large))
    one:look_at(source(large:subset(g.arange(300))))
    expect({ one.own_rows == rows, one:rows_moved(), measured({ kind = "layer" }) }):equals { true, false, nil }
    one:look_at(source(large:first(.99)))
    expect({ one.own_rows, one:rows_moved() }):equals { nil, true }
    measured()
    one:look_at(source(large:first(256)))
    measured()
    expect(log):equals { "measure 256", "measure 256", "measure 256" }
    expect(one.own_rows == one.view):is_true()  -- as many as a sample: all
    one:look_at(stream_of_zeros())
    expect({ measured(), one:rows_moved() }):equals { nil, true }
    one = made { val = false }
    one:look_at(source(large))
    expect(measured()):equals(nil)
  end)
end)

describe("the loss of the student as it comes", function()
  it("is the most of a suite, however small", function()
    local one = made { suites = { easy = points:first(5), hard = points:first(8) } }
    one:baselines()
    expect(one.untrained_loss):equals(.8)
    one = made { suites = { easy = points:first(5) } }
    one:baselines()
    expect(one.untrained_loss):equals(.5)
  end)
end)
