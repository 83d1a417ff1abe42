local g = require "gradus"
local a_run = require "a_run"
local support = require "support"
local advice = require "gradus.training.advice"
local nn = g.nn

local function rows_of(known)
  local words = {}
  for i, row in ipairs(advice.temperature_rows(known)) do words[i] = ("%s: %g to %g"):format(unpack(row)) end
  return table.concat(words, "; ")
end

describe("the guide's temperature table", function()
  local cases = {
    { "898 examples, a sure teacher", { rows = 898, entropy = .16, largest = math.log(10), kind = "classes" },
      "898 examples: 6 to 10; the teacher's entropy is 0.16 of at most 2.3 nats: 2 to 4; classification: 4 to 6" },
    { "many examples, a teacher who is neither sure nor unsure", { rows = 2e5, entropy = 1, largest = 2.3, kind = "classes" },
      "200000 examples: 4 to 6; classification: 4 to 6" },
    { "a teacher who is unsure", { rows = 5e4, entropy = 1.2, largest = 2.3, kind = "classes" },
      "the teacher's entropy is 1.2 of at most 2.3 nats: 8 to 12; classification: 4 to 6" },
    { "nothing that is known, of classes", { kind = "classes" }, "classification: 4 to 6" },
    { "few examples of tokens", { rows = 400, kind = "tokens" }, "400 examples: 6 to 10; generation: 8 to 16" },
    { "nothing that is known, of tokens", { kind = "tokens" }, "generation: 8 to 16" },
    { "as many examples as are small no longer", { rows = 1e4, kind = "soft" }, "classification: 4 to 6" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function() expect(rows_of(case[2])):equals(case[3]) end)
  end
end)

describe("rates", function()
  it("by the student's size", function()
    for _, case in ipairs { { 1e3, 1e-3, 1e-2 }, { 1e7, 1e-4, 1e-3 }, { 1e9, 1e-4, 1e-4 }, { 7e9, 1e-4, 1e-3 } } do
      local low, high = advice.rates(case[1])
      expect({ low, high }):equals { case[2], case[3] }
    end
  end)
end)

describe("a run stores the advice", function()
  -- The advice of a distillation of the points, by name, and its warnings.
  local function told(more, options)
    local found, warnings, forecast = {}, {}, nil
    a_run(function(run, events)
      local d = support.points():split { train = .5, val = .5 }
      local o = { student = nn.MLP { 6, 8, 3 }, teacher = nn.MLP { 6, 16, 3 }, data = d, budget = { epochs = 4 }, batch = 12, lr = 5e-3 }
      for key, value in pairs(more) do o[key] = value end
      for _, name in ipairs { "teacher", "lr" } do
        if o[name] == false then o[name] = nil end
      end
      run:distill(o)
      for _, event in ipairs(events()) do
        if event.kind == "advice" then found[event.name] = event.detail end
        if event.kind == "warning" then warnings[event.name] = event.detail.text end
        if event.name == "forecast" then forecast = event end
      end
    end, options)
    return found, warnings, forecast
  end

  it("of labels that are numbers far from 0 and 1", function()
    local function on(scale, shift)
      local x = g.randn { 60, 6 }
      local d = g.data.tensors(x, x:sum({ dim = { 1 } }) / math.sqrt(6) * scale + shift):split { train = .5, val = .5 }
      return told({ data = d, student = nn.MLP { 6, 4, 1 }, teacher = nn.MLP { 6, 4, 1 } }).labels
    end
    expect(on(1, 0)):equals(nil)
    expect(on(5, 50)):equals(nil)
    expect(on(0, 5)):equals(nil)
    expect(on(30, 365).text):matches "the labels have mean %d+ and deviation [%d.]+, and a student begins near 0"
    expect(on(1, -400).mean < -300):equals(true)
    expect(on(1e-4, 0).deviation < 1e-3):equals(true)
  end)
  it("of columns of a table whose scales are far apart, unless they are standardized", function()
    local lines, d = { "age,income,one,class" }, nil
    for i = 1, 60 do lines[#lines + 1] = ("%d,%d,7,%s"):format(i % 10, 1000 * (i % 9), i % 2 > 0 and "a" or "b") end
    support.with_file(table.concat(lines, "\n"), function(path) d = g.data.csv(path, { label = "class" }) end)
    local function of(data)
      return told({ data = data, student = nn.MLP { 3, 4, 2 }, teacher = false, lr = 5e-3 }).scale
    end
    local parts = d:split({ train = .5, val = .5 }, { seed = 1 })
    local found = of(parts)
    expect(found.text):matches "column 'income' varies by 2[%d.e+]+, 'age' by %d%.%d+: .*d:split { … }:standardize%(%)"
    expect(found.amiss):is_true()
    expect(of(parts:standardize())):equals(nil)
    expect(told({}).scale):equals(nil)
  end)
  it("of temperature and rate, with the numbers it was taken from", function()
    local found, warnings = told {}
    local t = found.temperature
    expect({ t.rows, t.temperature, found.rate.parameters, found.rate.rate, next(warnings) }):equals { 120, "4", 83, 5e-3 }
    expect(t.text):matches "^120 examples: T 6 to 10; .*; classification: T 4 to 6; here it is 4, as for classification$"
    expect(t.largest):near(math.log(3), 1e-12)
  end)
  it("of the rows that a temperature fits, where they contradict each other", function()
    local teacher = nn.Linear(6, 3)
    g.no_grad(function() teacher.weight:zero_() teacher.bias:zero_() end)  -- as unsure as can be: 8 to 12
    local function ending(temperature) return told({ teacher = teacher,
      temperature = temperature }).temperature.text:match "here it is (.*)$" end
    expect(ending(5)):equals "5, as for classification"
    expect(ending(6)):equals "6, as for few examples and classification"
    expect(ending(8)):equals "8, as for few examples and an unsure teacher"
    expect(ending(3)):equals "3, outside"
    expect(ending(13)):equals "13, outside"
    expect(ending(g.schedule.linear(9, 4))):equals(nil)
    local stages = { { "hot", temperature = 9, advance = g.when.epochs(1) }, { "cold", temperature = 5 } }
    expect(told({ teacher = teacher, curriculum = stages }).temperature.text):matches "here it is 5 to 9$"
  end)
  it("of the teacher's entropy as it is", function()
    local teacher = nn.Linear(6, 3)
    g.no_grad(function() teacher.weight:zero_() teacher.bias:zero_() end)
    expect(told { teacher = teacher }.temperature.entropy):near(math.log(3), 1e-6)
  end)
  it("of no temperature where there is no teacher, or numbers are learnt", function()
    expect(told { teacher = false }.temperature):equals(nil)
    local x = g.randn(60, 6)
    local numbers = { data = g.data.tensors(x, x:sum(1)), student = nn.MLP { 6, 8, 1 }, teacher = nn.MLP { 6, 8, 1 } }
    expect(told(numbers).temperature):equals(nil)
  end)
  it("of no rate of SGD, nor of one that is a schedule", function()
    expect(told { optimizer = "SGD", lr = .1 }.rate):equals(nil)
    expect(told { lr = g.schedule.linear(.01, 0) }.rate):equals(nil)
  end)
  it("of the optimizer's own rate", function()
    expect(told { lr = .002, optimizer = "Adam" }.rate.rate):equals(.002)
    expect(told { lr = false, optimizer = { "AdamW", lr = .004 } }.rate.rate):equals(.004)
    expect(told { lr = false }.rate.rate):equals(1e-3)
  end)
  it("of batch normalisation over few rows, and of patience below an epoch", function()
    local found = told { student = nn.MLP { 6, 8, 3, norm = "batch" }, patience = 1, evaluate = { steps = 5 } }
    expect({ found.batch_norm.rows, found.patience.evaluations }):equals { 12, 1 }
    expect(found.patience.epochs):near(.5, 1e-9)
    local fine = told { student = nn.MLP { 6, 8, 3, norm = "batch" }, batch = 24, patience = { epochs = 2 } }
    expect({ fine.batch_norm, fine.patience.amiss, fine.patience.text }):equals { nil, nil,
      "patience of 2 evaluations is 2 epochs; the guide has 2 to 3, and 5 for more than 100000 examples" }
    expect(told({ patience = 1, evaluate = { steps = 2 }, budget = { epochs = 1 } }).patience):equals(nil)
  end)
  it("and what nobody wants as a warning, which --strict refuses", function()
    local found, warnings = told { lr = 3 }
    expect(found.rate):equals(nil)
    expect(warnings.rate):equals "distill: lr is 3: with AdamW that ruins nearly every training; expected 0.001 to 0.01"
    expect(function() told({ lr = 3 }, { strict = true }) end):fails_with "ruins nearly every training"
    expect((select(2, told({ temperature = 9, lr = .05 }, { strict = true })))):equals {}
  end)
  it("of how far the parts of a mixture are apart, by the teacher", function()
    local x, y = support.points(60):gather()
    local known = nn.Linear(6, 3, { bias = false })
    g.no_grad(function() known.weight:copy_(g.cat({ g.eye(3), g.eye(3) * .3 }, 1) * 50) end)
    local function labelled(classes) return g.data.tensors(x, classes, { classes = 3 }) end
    local all = g.data.concat(labelled(y), g.data.tensors(x * 0), labelled(y:add(1):remainder(3)))
    local function part(from) return all:subset(g.arange(from, from + 60)) end
    local parts = told { data = { train = all, val = support.points(60) }, teacher = known, budget = { steps = 4 },
      curriculum = { sample = g.sampler.mixture { { part(0), .5 }, { part(60), .25 }, { part(120), .25 } } } }.parts
    expect({ parts.rows_1, parts.agreement_1, parts.agreement_2, parts.agreement_3 }):equals { 60, 1, nil, 0 }
    expect(parts.entropy_2):near(math.log(3), 1e-6)
    expect(parts.entropy_1 < .2):is_true()
    expect(parts.text):matches "part 2 %(60 rows%): the teacher's entropy 1.1 nats, no labels, its answers differ from those on part 1 %("
    expect(parts.text):matches "; part 3 .* its answers are not shown to differ from those on part 1 %(two%-sample test: MMD² %S+, p %S+%)$"
    local function logits(from) return g.no_grad(known, (part(from):gather())) end
    local far, near = g.probe.two_sample(logits(0), logits(60)), g.probe.two_sample(logits(0), logits(120))
    expect({ parts.mmd2_1, parts.p_2, parts.p_3 == 1 or parts.p_3 > .9 }):equals { nil, far.p, true }
    expect({ parts.mmd2_2, parts.mmd2_3 }):near({ far.mmd2, near.mmd2 }, 1e-6)  -- in another order
    expect(told({}).parts):equals(nil)
  end)
  it("of parts that alpha alone tells apart", function()
    local d = support.points(60)
    local function told_of(parts) return told({ data = { train = d }, alpha = g.schedule.by_part(parts), budget = { steps = 2 } }).parts end
    local parts = told_of { { d:first(20), .7 }, { d:last(40), 0 } }
    expect({ parts.rows_1, parts.rows_2, parts.p_2 > 0 }):equals { 20, 40, true }
    local function in_parts(count)
      local list = {}
      for i = 1, count do list[i] = { d:subset(g.arange(60):slice(0, 5 * i - 5, i < count and 5 * i or 60)), i / 10 } end
      return told_of(list)
    end
    expect({ in_parts(8).rows_8, in_parts(9) }):equals { 25 }
    expect(told_of { { d, .7 } }):equals(nil)
    local rows = {}
    for i = 1, 60 do rows[i] = { d:subset(g.tensor({ i - 1 }, "int64")), .7 } end
    expect(told_of(rows)):equals(nil)  -- they are rows
  end)
  it("of parts without labels, of one row, of distributions, and of a teacher who is NaN", function()
    local x = support.points(60):gather()
    local function parts(d, teacher)
      return told { data = { train = d }, student = nn.MLP { 6, 8, 3 }, teacher = teacher or nn.MLP { 6, 16, 3 }, budget = { steps = 2 },
        curriculum = { sample = g.sampler.mixture { { d:first { rows = 1 }, .5 }, { d:last(30), .5 } } } }.parts
    end
    local plain = parts(g.data.tensors(x))
    expect({ plain.rows_1, plain.rows_2, plain.p_2, plain.agreement_2 }):equals { 1, 30 }
    expect(plain.text):matches "no labels; part 2 %(30 rows%): the teacher's entropy [%d.]+ nats, no labels$"
    local soft = parts(g.data.tensors(x, g.softmax(g.randn(60, 3), -1)))
    expect(soft.agreement_1 == 0 or soft.agreement_1 == 1):is_true()
    local broken = nn.Linear(6, 3)
    g.no_grad(function() broken.bias:fill_(0 / 0) end)
    expect(pcall(parts, g.data.tensors(x), broken)):is_false()  -- the training itself says so
  end)
  it("and, at the first evaluation, what all of it will take", function()
    local _, _, forecast = told { evaluate = { epochs = 1 } }
    local d = forecast.detail
    expect({ forecast.step, d.steps, d.seconds > 0 }):equals { 10, 40, true }
    local step = 2 * 12 * (3 * (6 * 8 + 8 * 3) - 6 * 8)
    expect(d.flops):near(40 * (step + 2 * 12 * (6 * 16 + 16 * 3)), 1)
    -- weights, gradients, two moments, the best; a step count each; the teacher; 240 rows
    expect(d.bytes):near(4 * (5 * 83 + 4) + 4 * (6 * 16 + 16 + 16 * 3 + 3) + 240 * (6 * 4 + 8), 16)
    local _, _, none = told { evaluate = { epochs = 4 } }
    expect(none):equals(nil)  -- it is over
  end)
end)
