-- Sources, targets and benchmarks piece by piece, without a training around them.
local current = require "gradus.base.current"
local g = require "gradus"
local source = require "gradus.curriculum.source"
local support = require "support"
local checkpoints = require "gradus.base.checkpoints"
local nn, sampler, target, when = g.nn, g.sampler, g.target, g.when

before_each(function()
  current.run = { seed = 5 }
  sampler.numbered(0)
end)
after_all(function() current.run = nil end)

local function rows(n) return g.data.tensors(g.arange(n):float():reshape { n, 1 }, g.arange(n):remainder(2)) end
local function sorted(t)
  local list = t:totable()
  table.sort(list)
  return list
end

describe("a source", function()
  local d = rows(8)
  it("is numbered in its run, from 1, and found by its number", function()
    local a, b = sampler.uniform(d), sampler.uniform(d)
    expect({ a.number, b.number, source.numbered(), source.with_number(2) == b, source.with_number(3) }):equals { 1, 2, 2, true }
    expect({ source.numbered(7), source.numbered(), sampler.uniform(d).number }):equals { 2, 7, 8 }
    current.run = { seed = 6 }
    expect(source.with_number(2)):equals(nil)
  end)
  it("is the run's once it has drawn", function()
    local a, b = sampler.uniform(d), sampler.uniform(d)
    expect(source.of_run()):equals {}
    b:draw(2)
    local found = source.of_run()
    expect({ found[1], found[2] == b, a:passes(), b:passes() }):equals { nil, true, 0, .25 }
  end)
  it("outside of a run is nobody's run's", function()
    current.run = nil
    local one = sampler.uniform(d)
    one:draw(1)
    expect({ source.of_run()[1] == one, source.with_number(1) == one }):equals { true, true }
    current.run = { seed = 5 }
    expect({ source.of_run(), source.with_number(1) }):equals { {} }
  end)
  it("draws by a stream of its number", function()
    local function order(number, seed)
      current.run = { seed = seed or 5 }
      sampler.numbered(number - 1)
      return sampler.uniform(rows(50)):draw(50):totable()
    end
    expect(order(1)):equals(order(1))
    expect(order(1)):differs_from(order(2))
    expect(order(1)):differs_from(order(1, 6))
  end)
  it("draws of a view's rows alone, and of the part that is open", function()
    local one = sampler.uniform(d:last(4))
    expect({ sorted(one:draw(4)), one:size(), one:view():size() }):equals { { 4, 5, 6, 7 }, 4, 4 }
    one:restrict(d:last(2))
    expect({ sorted(one:draw(2)), one:size(), one:view():size() }):equals { { 6, 7 }, 2, 2 }
    expect(one.adaptive):is_false()
  end)
  it("listens to confidence only where it follows it", function()
    local deaf, listening = sampler.uniform(d), sampler.confidence(d)
    deaf:observe(g.tensor({ 0 }, "int64"), g.tensor { .5 })
    expect(rawget(deaf, "core")):equals(nil)
    listening:observe(g.tensor({ 0 }, "int64"), g.tensor { .5 })
    expect({ rawget(listening, "core") ~= nil, rawget(listening, "under_way"), listening.adaptive }):equals { true, nil, true }
  end)
  it("tells the difficulty of what was drawn, of the rows that have one", function()
    local ranked = d:first(4):rank(g.tensor({ 10, 20, 30, 40 }, "float64"))
    local one = sampler.uniform(d)
    expect(one:stats()):equals { drawn = 0, effective = 8 }
    one.rankings = { ranked }
    one:draw(8)
    expect(one:stats()):equals { drawn = 8, difficulty = 25, effective = 8 }
    one = sampler.weighted(d, g.tensor { 0, 0, 1, 0, 0, 0, 0, 0 })
    one.rankings = { ranked }
    one:draw(1)
    expect(one:stats()):equals { drawn = 1, difficulty = 30, effective = 1 }
    expect(one:stats()):equals { drawn = 0, effective = 1 }
    local other = sampler.weighted(d, g.tensor { 0, 0, 0, 0, 0, 1, 1, 0 })
    other.rankings = { ranked }
    other:draw(3)
    expect(other:stats()):equals { drawn = 3, effective = 2 }  -- of rows without a difficulty
  end)
  it("takes back what it drew", function()
    local one = sampler.uniform(d)
    local index, visit = one:draw(3)
    one:undo(index)
    local again, other = one:draw(3)
    expect({ again:totable(), other:totable(), visit:totable() }):equals { index:totable(), { 0, 0, 0 }, { 0, 0, 0 } }
    expect(one:stats().drawn):equals(3)
  end)
end)

describe("a sampler of one's own", function()
  it("counts draws and passes, saved and taken back", function()
    local d = rows(4)
    local one = sampler.custom(d, function(_, size)
      local places = {}
      for i = 1, size do places[i] = (i - 1) % 2 end
      return places
    end)
    local index, visit = one:draw(4)
    expect({ index:totable(), visit:totable(), visit.dtype, one:passes() }):equals { { 0, 1, 0, 1 }, { 0, 0, 1, 1 }, "int32", 1 }
    local state = one:state()
    one:draw(2)
    expect({ one:passes(), one:stats().drawn, state.drawn }):equals { 1.5, 6, 4 }
    one:restore(state)
    expect({ one:passes(), select(2, one:draw(2)):totable() }):equals { 1, { 2, 2 } }
    one:undo((g.tensor({ 0, 1 }, "int64")))
    expect({ one:passes(), select(2, one:draw(2)):totable() }):equals { 1, { 2, 2 } }
    expect({ one.adaptive, one.mode }):equals { true, "custom" }
  end)
  local d = rows(4)
  for name, case in pairs {
    ["a place below 0"] = { { -1, 0 }, "sampler.custom: the function returned places from -1 to 0; expected 0 to 3" },
    ["a place at the end"] = { { 0, 4 }, "sampler.custom: the function returned places from 0 to 4; expected 0 to 3" },
    ["booleans"] = { g.tensor({ true, false }, "bool"), "expected the function to return 2 places of rows" },
    ["columns"] = { g.zeros({ 2, 1 }, { dtype = "int64" }), "expected the function to return 2 places of rows" },
    ["a number"] = { 1, "expected the function to return 2 places of rows, whole numbers from 0; got 1" },
  } do
    it("refuses " .. name, function()
      expect(function() sampler.custom(d, function() return case[1] end):draw(2) end):fails_with(case[2])
    end)
  end
  it("takes the last place, and other whole types", function()
    expect(sampler.custom(d, function() return g.tensor({ 3, 0 }, "int32") end):draw(2):totable()):equals { 3, 0 }
  end)
end)

describe("a target", function()
  local function scaled(factor)
    local t = nn.Linear(2, 2, { bias = false })
    g.no_grad(function() t.weight:copy_(g.eye(2) * factor) end)
    return t
  end
  local x = g.tensor { { 1, 2 } }
  it("knows whose answers it is made of", function()
    local a, b = scaled(1), scaled(3)
    local one, several, nobody = target.resolve("t", a), target.resolve("t", { a, { b, 3 } }), target.resolve("t", "labels")
    expect({ one.text, #one.teachers, one.teachers[1] == a, one.identity()[1] == a }):equals { "teacher", 1, true, true }
    expect({ #several.teachers, several.teachers[2] == b, several.teacher == a, several.identity()[2][2] }):equals { 2, true, true, 3 }
    expect({ nobody.text, #nobody.teachers, nobody.kind }):equals { "labels", 0, "labels" }
    expect({ target.is(one), target.is(a), target.is "labels" }):equals { true, false, false }
    expect({ one:on "cpu" == one, several:on "cpu" == several }):equals { true, true }
    expect(several.of(x):flatten():totable()):near({ 2.5, 5 }, 1e-6)
  end)
  it("of a checkpoint is the teacher as it was then", function()
    local teacher, storage, kept = scaled(1), scaled(0), checkpoints.new()
    for i, factor in ipairs { 2, 5 } do kept:keep(i * 10, scaled(factor)) end
    local one = target.checkpoint(storage, kept, 1)
    expect({ one.text, one.kind, one.detail, one.teacher == storage, one.identity()[1] == storage }):equals
      { "checkpoint 1 of 2 (step 10)", "logits", { checkpoint = 1, teacher_step = 10 }, true, true }
    one.prepare()
    expect({ one.of(x):totable(), teacher(x):detach():totable() }):equals { { { 2, 4 } }, { { 1, 2 } } }
    target.checkpoint(storage, kept, 2).prepare()
    expect(one.of(x):totable()):equals { { 5, 10 } }
    expect(function() target.checkpoint(5, kept, 1) end):fails_with "target.checkpoint: expected a module to hold the weights"
    expect(function() target.checkpoint(storage, {},
      1) end):fails_with "target.checkpoint: expected what run:fit { checkpoints = { steps = … } } keeps"
    expect(function() target.checkpoint(storage, kept, 3) end):fails_with "no checkpoint 3; expected 1 to 2"
  end)
  it("of a layer weighs rows, or positions but those of padding", function()
    local plain = target.layer { teacher = nn.MLP { 2, 3, 2 }, from = "layers.0", to = "layers.0", seed = 1 }
    expect({ plain.mass { x = g.ones(5, 2) }, plain.text, plain.to, plain.kind }):equals { 5, "layer layers.0 -> layers.0", "layers.0",
      "layer" }
    local bert = nn.Transformer { vocabulary = 5, context = 4, width = 4, layers = 1, heads = 1, pad_token = 0 }
    local padded = target.layer { teacher = bert, from = "encoder.layers.0", to = "encoder.layers.0", seed = 1 }
    expect(padded.mass({ x = g.tensor({ { 1, 2, 0 }, { 3, 0, 0 } }, "int64") }):item()):equals(3)
    local weight = g.tensor { 2, .5 }
    expect(plain.mass({ x = g.ones(2, 2), weight = weight }):item()):equals(2.5)
    expect(padded.mass({ x = g.tensor({ { 1, 2, 0 }, { 3, 0, 0 } }, "int64"), weight = weight }):item()):equals(4.5)
  end)
  it("of a layer is the mean of the squared errors by the rows' weights", function()
    local weight, none = g.tensor { 2, 0, .5 }, g.zeros { 3 }
    local function mean(of) return (of[1] * 2 + of[3] * .5) / 2.5 end
    local function each(student, path, given, wanted)
      local _, taps = student:forward_taps(given, { path })
      return (taps[path] - wanted):square()
    end
    local net, input, wanted = nn.MLP { 2, 3, 2 }, g.randn { 3, 2 }, g.randn { 3, 3 }
    local plain = target.layer { teacher = net, from = "layers.0", to = "layers.0" }
    local off = each(net, "layers.0", input, wanted):mean(-1):totable()
    expect(plain.loss(net, { x = input, teacher = wanted }):item()):near((off[1] + off[2] + off[3]) / 3, 1e-6)
    expect(plain.loss(net, { x = input, teacher = wanted, weight = weight }):item()):near(mean(off), 1e-6)
    expect(plain.loss(net, { x = input, teacher = wanted, weight = weight * 1e-30 }):item()):near(mean(off), 1e-6)
    expect(plain.loss(net, { x = input, teacher = wanted, weight = none }):item()):equals(0)
    for _, pad in ipairs { false, 0 } do
      local bert = nn.Transformer { vocabulary = 5, context = 4, width = 4, layers = 1, heads = 1, pad_token = pad or nil }
      local path, ids = "encoder.layers.0", g.tensor({ { 1, 2, 0 }, { 3, 0, 0 }, { 4, 1, 2 } }, "int64")
      local goal, said = target.layer { teacher = bert, from = path, to = path }, g.randn { 3, 3, 4 }
      local errors = each(bert, path, ids, said):mean(-1):totable()
      local means = {}
      for i, row in ipairs(errors) do means[i] = (row[1] + row[2] + row[3]) / 3 end
      local by_hand = mean(means)
      if pad then
        by_hand = ((errors[1][1] + errors[1][2]) * 2 + (errors[3][1] + errors[3][2] + errors[3][3]) * .5) / (2 * 2 + .5 * 3)
      end
      expect(goal.loss(bert, { x = ids, teacher = said, weight = weight }):item()):near(by_hand, 1e-5)
    end
  end)
  it("of a layer tells what was measured, and that a constant layer teaches nothing", function()
    local teacher, student, d = nn.MLP { 2, 3, 2 }, nn.MLP { 2, 4, 2 }, g.randn(50, 2)
    local one = target.layer { teacher = teacher, from = "layers.0", to = "layers.0", seed = 9 }
    one.prepare(student, function() return d end)
    expect(one.detail):equals { from = "layers.0", to = "layers.0", seed = 9, teacher_width = 3, student_width = 4, normalise = true,
      rows = 50 }
    local before = one.of(d)
    one.prepare(student, function() error "measured twice" end)
    expect(one.of(d):equal(before)):is_true()
    expect(before:mean { dim = { 0 } }:abs():max():item()):near(0, 1e-5)
    expect(one.loss(student, { x = d, teacher = before }):item()):near((one.student(student, d) - before):square():mean():item(), 1e-5)
    expect(one.identity()[2]):equals "layers.0"
    g.no_grad(function() teacher.layers[0].weight:zero_() end)
    local constant = target.layer { teacher = teacher, from = "layers.0", to = "layers.0", seed = 9 }
    expect(function() constant.prepare(student, function() return d end) end):fails_with
      "target.layer: 'layers.0' of the teacher is constant on 50 rows; it teaches nothing"
    local run_seeded = target.layer { teacher = teacher, from = "layers.0", to = "layers.0" }
    expect(run_seeded.seed):equals(current.stream "projection")
    expect(function() target.layer { teacher = 5, from = "a", to = "b" } end):fails_with "target.layer: teacher: expected a module"
    expect(function() target.layer { teacher = teacher,
      to = "b" } end):fails_with "target.layer: from: expected a layer's path such as 'layers.0'"
  end)
  it("of images is compared place by place", function()
    local function net(channels) return nn.ConvNet { channels = { channels }, classes = 2, input = { 1, 4, 4 }, norm = "none" } end
    local one = target.layer { teacher = net(3), from = "features.0", to = "features.0", seed = 1 }
    local images = g.randn(6, 1, 4, 4)
    local student = net(2)
    one.prepare(student, function() return images end)
    expect({ one.detail.teacher_width, one.detail.student_width, one.of(images).shape }):equals { 48, 32, { 6, 32 } }
  end)
end)

describe("a benchmark's verdict", function()
  -- A state in stage `index` of which 10 steps are done, after these benchmarks; acc: the student's now.
  local function state(acc, more)
    local s = support.state { suites = { easy = true, hard = true }, teacher_acc = { easy = .9, hard = .9 },
      untrained_acc = { easy = .5, hard = .1 } }
    for key, value in pairs(more or {}) do if key ~= "index" and key ~= "used" then s[key] = value end end
    support.count(s, { step = 100, epoch = 10 })
    s:begin_stage("b", more and more.index or 2)
    support.count(s, { step = 110, epoch = 11, used = more and more.used or .5, step_epochs = .1 })
    s:record { ["easy/acc"] = acc[1], ["hard/acc"] = acc[2] }
    s.directions["easy/acc"], s.directions["hard/acc"] = "higher", "higher"
    s.evaluating = true
    return s
  end
  local function verdict(acc, options, more)
    options = options or {}
    if not options.epochs and options.decide ~= false then options.steps = options.steps or 10 end
    return when.benchmarked(options)(state(acc, more))
  end
  it("goes on with a gain of .01 on the hard suite, or within .03 of the teacher", function()
    expect((verdict { .9, .12 })):equals "next"
    expect((verdict { .9, .105 })):equals "stay"
    expect((verdict({ .9, .11 }, { gain = .0099 }))):equals "next"
    expect((verdict({ .9, .5 }, { gain = .5 }))):equals "stay"
    expect((verdict({ .9, .871 }, { gain = .9 }))):equals "next"
    expect((verdict({ .9, .869 }, { gain = .9 }))):equals "stay"
    expect((verdict({ .9, .75 }, { gain = .9, near = .2 }))):equals "next"
    expect((verdict({ .95, .1 }, { hard = "easy", gain = .9 }))):equals "next"
  end)
  it("goes back where a suite is more than .05 below its best, but not at the first stage", function()
    expect((verdict { .44, .5 })):equals "back"
    expect((verdict { .46, .5 })):equals "next"
    expect((verdict({ .44, .5 }, nil, { index = 1 }))):equals "next"
    expect((verdict({ .44, .5 }, { forget = .1 }))):equals "next"
    local _, numbers = verdict { .4, .5 }
    expect({ numbers.forgotten, numbers.easy, numbers.easy_best, numbers.hard_previous, numbers.hard_teacher, numbers.turn }):near
      { .1, .4, .5, .1, .9, 1 }
  end)
  it("is asked when the stage has had its time, or the budget is over", function()
    expect((verdict({ .9, .5 }, { steps = 10 }))):equals "next"
    expect((verdict({ .9, .5 }, { steps = 11 }))):is_false()
    expect((verdict({ .9, .5 }, { epochs = 1.1 }))):equals "next"   -- one step before it is full
    expect((verdict({ .9, .5 }, { epochs = 1.2 }))):is_false()
    expect((verdict({ .9, .5 }, { steps = 99 }, { used = 1 }))):equals "end"
    expect((verdict({ .9, .5 }, { decide = false }))):is_false()
    expect((verdict({ .9, .5 }, { decide = false, steps = 10 }))):equals "next"
    expect((verdict({ .9, .5 }, { decide = false }, { used = 1 }))):equals "end"
  end)
  it("stays for another turn, three at most, and goes back three times at most", function()
    local stale = { index = 2, step = 105, acc = { easy = .9, hard = .1 }, verdict = "stay" }
    local function after(n, options, steps)
      local list = {}
      for i = 1, n do list[i] = { index = 2, step = 100 + i, acc = stale.acc, verdict = "stay" } end
      options = options or {}
      options.steps = steps or 1
      return (verdict({ .9, .1 }, options, { benchmarks = list }))
    end
    expect({ after(0), after(1), after(2) }):equals { "stay", "stay", "next" }
    expect({ after(0, { patience = 1 }), after(1, { patience = 2 }) }):equals { "next", "next" }
    expect({ after(1, nil, 5), after(1, nil, 6) }):equals { "stay", false }  -- each turn has the stage's time
    local function backs(n, options)
      local list = {}
      for i = 1, n do list[i] = { index = 2, step = i, acc = { easy = .9, hard = .1 }, verdict = "back" } end
      return (verdict({ .5, .5 }, options, { benchmarks = list }))
    end
    expect({ backs(1), backs(2), backs(3), backs(1, { patience = 1 }) }):equals { "back", "back", "next", "next" }
  end)
  it("is kept", function()
    local s = state { .9, .5 }
    when.benchmarked { steps = 10 }(s)
    expect(s.benchmarks):equals { { index = 2, step = 110, acc = { easy = .9, hard = .5 }, verdict = "next", forgotten = 0 } }
  end)
  local refused = {
    { "no time", function() when.benchmarked {} end, "when.benchmarked: expected epochs = … or steps = …" },
    { "two times", function() when.benchmarked { epochs = 1, steps = 1 } end, "when.benchmarked: expected epochs = … or steps = …" },
    { "two times without a decision", function() when.benchmarked { epochs = 1, steps = 1, decide = false } end,
      "expected epochs = … or steps" },
    { "no epoch", function() when.benchmarked { epochs = 0 } end, "when.benchmarked: 'epochs': expected a number > 0; got 0" },
    { "no step", function() when.benchmarked { steps = 0 } end, "'steps': expected a number > 0; got 0" },
    { "forgetting nothing", function() when.benchmarked { steps = 1, forget = 0 } end, "'forget': expected a number > 0; got 0" },
    { "a gain below 0", function() when.benchmarked { steps = 1, gain = -1 } end, "'gain': expected a number of at least 0" },
    { "a nearness below 0", function() when.benchmarked { steps = 1, near = -1 } end, "'near': expected a number of at least 0" },
    { "no patience", function() when.benchmarked { steps = 1, patience = 0 } end, "'patience': expected a whole number of at least 1" },
    { "another suite", function() verdict({ .9, .5 }, { hard = "harder" }) end, "when.benchmarked: no suite 'harder'" },
    { "no suites", function() when.benchmarked { steps = 1 }(state({ .9, .5 }, { suites = {} })) end,
      "expected suites = { easy = …, hard = … }" },
  }
  for _, case in ipairs(refused) do
    it("is refused of " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
  it("takes a gain, a nearness of 0 and half an epoch", function()
    expect(when.is(when.benchmarked { epochs = .5, gain = 0, near = 0, patience = 1, forget = .001 })):is_true()
  end)
end)
