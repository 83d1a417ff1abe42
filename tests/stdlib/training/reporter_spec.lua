-- What of a step waits to be read is plain data in a snapshot.
local g = require "gradus"
local reporter = require "gradus.training.reporter"

local function with_queue(queue)
  local run = { device = "cpu", training_line = function() return function() end end }
  local one = reporter.new { run = run, names = {}, deliver = function() end }
  one.queue = { state = function() return queue end, load_state = function(self, kept) self.kept = kept end }
  return one
end

describe("what a reporter is told of a training's health", function()
  it("is said, stored and kept among the findings; a setting out of range is blamed where nothing moves", function()
    local said, stored = {}, {}
    local run = { device = "cpu", training_line = function() return function() end end,
      line = { say = function(text) said[#said + 1] = text end },
      event = function(_, kind, name, detail) stored[#stored + 1] = { kind, name, detail } end }
    local one, s = reporter.new { run = run, names = {}, deliver = function() end }, { step = 7, stage = "easy", findings = {} }
    one:tell({ { name = "stagnant", advice = "nothing moves", numbers = {} } }, { step = 3, stage = "easy", findings = {} })
    expect({ table.remove(said), table.remove(stored)[3].advice }):equals { "health: step 3: stagnant: nothing moves", "nothing moves" }
    one:blame "the rate is 1e-9"
    one:blame "alpha is 2"
    one:tell({ { name = "stagnant", advice = "nothing moves", numbers = { loss = 1 } },
      { name = "other", advice = "look", numbers = {} } }, s)
    one:tell(nil, s)
    local why = "nothing moves. Out of the guides' ranges here: the rate is 1e-9; alpha is 2"
    expect(said):equals { "health: step 7: stagnant: " .. why, "health: step 7: other: look" }
    expect(stored):equals { { "health", "stagnant", { loss = 1, advice = why, stage = "easy" } },
      { "health", "other", { advice = "look", stage = "easy" } } }
    expect(s.findings):equals { { name = "stagnant", step = 7, stage = "easy" }, { name = "other", step = 7, stage = "easy" } }
  end)
end)

describe("a step that is logged", function()
  it("is shown to health: its loss, that of the labels, of classes or numbers, and its rate", function()
    local asked, stored
    local run = { device = "cpu", training_line = function() return function() end end, log = function(_, ...) stored = { ... } end }
    local one = reporter.new { run = run, names = { "lr" }, deliver = function() end }
    one.health = { step = function(_, ...) asked = { ... } end }
    for _, case in ipairs { { { ["train/loss"] = 1, ["train/ce"] = 2 }, { 1, 2, .5 } },
      { { ["train/loss"] = 1, ["train/mse"] = 3 }, { 1, 3, .5 } },
      { { ["train/loss"] = 1, ["train/ce"] = 2, ["train/mse"] = 3 }, { 1, 2, .5 } } } do
      one:log(case[1], {}, { lr = .5 }, .25, 7, { step = 7, findings = {} })
      expect(asked):equals(case[2])
      expect({ stored[1]["knob/lr"], stored[1]["knob/share"], stored[2] }):equals { .5, .25, 7 }
    end
  end)
end)

describe("the state of a reporter", function()
  it("has rows that are at hand, those that are waited for, and steps that have none", function()
    local rows, later, waited = g.tensor { 1, 2 }, g.tensor { 3 }, 0
    local one = with_queue { { at = { step = 1 } }, { at = { step = 2, seen = rows } }, { at = { step = 3, seen = { wait = function()
      waited = waited + 1
      return later
    end } } } }
    local queue = one:state().queue
    expect({ #queue, queue[1].at.seen, waited }):equals { 3, nil, 1 }
    assert(queue[2].at.seen == rows and queue[3].at.seen == later)
  end)
  it("comes back whole", function()
    local one = with_queue {}
    one.sum, one.steps, one.early = 3, 2, 1
    one.warned.before = true
    one:blame "the rate is 1e-9"
    local other = with_queue {}
    other.warned.here = true
    other:load_state(one:state())
    expect({ other.sum, other.steps, other.early, other.warned, other.blamed })
      :equals { 3, 2, 1, { before = true, here = true }, { "the rate is 1e-9" } }
    expect(other.queue.kept):equals {}
  end)
end)

-- A reporter whose health is asked by hand, and what its run was told: log, event, progress.
local function heard()
  local told, asked = {}, {}
  local run = { device = "cpu", training_line = function() return function() end end,
    log = function(_, numbers) told[#told + 1] = { "log", numbers } end,
    event = function(_, ...) told[#told + 1] = { "event", ... } end,
    progress = function(_, s) told[#told + 1] = { "progress", s.step } end }
  local one = reporter.new { run = run, names = { "lr", "temperature", "alpha" }, deliver = function() end }
  one.health = { evaluation = function(_, e) asked[#asked + 1] = e end, stage = function(_, layer) asked[#asked + 1] = layer end,
    step = function() end, peak_lr = .25 }
  one.goal, one.outputs = { kind = "logits" }, { loss = true, norm = true }
  one.queue = { state = function() return {} end, push = function(_, ...) asked[#asked + 1] = { ... } end }
  return one, told, asked
end

describe("an evaluation", function()
  local d = g.data.tensors(g.zeros { 8, 2 }, g.zeros({ 8 }, { dtype = "int64" }))
  local function context(more)
    local given = { source = { data = d, size = function() return 2 end }, train = d, new_rows = true, majority = .4, teacher_acc = .9,
      target_acc = .8, guess = .1 }
    for key, value in pairs(more or {}) do given[key] = value end
    return given
  end
  local s = { step = 7, progress = .5, findings = {} }
  it("tells health what was found, and how much of the data may be drawn", function()
    local one, told, asked = heard()
    local numbers = { ["stage/loss"] = 1.5, ["stage/acc"] = .25, ["val/loss"] = 2 }
    one:evaluation(numbers, { loss = 2, acc = .5, constant = .75 }, s, context())
    expect(asked[1]):equals { progress = .5, share = .25, new_rows = true, own_loss = 1.5, own_acc = .25, loss = 2, acc = .5,
      constant = .75,
      majority = .4, target_acc = .8, guess = .1 }
    expect(one.health.teacher_acc):equals(.9)
    expect(told):equals { { "log", numbers }, { "progress", 7 } }
    one:evaluation(numbers, { loss = 2 }, s, context { teacher_acc = .1 })
    expect(one.health.teacher_acc):equals(.9)  -- it was known
  end)
  it("says nothing of validation data where a layer is imitated, or where there are none", function()
    local one, _, asked = heard()
    one:evaluation({}, nil, s, context())
    one.goal = { kind = "layer" }
    one:evaluation({}, { loss = 2, acc = .5 }, s, context())
    local without = { progress = .5, share = .25, new_rows = true }
    expect({ asked, one.health.teacher_acc }):equals { { without, without } }
  end)
  it("takes the share of the set that is trained on, where it has the same rows, of the source's own else, and none of a stream", function()
    local one, _, asked = heard()
    local other = g.data.tensors(g.zeros { 4, 2 }, g.zeros({ 4 }, { dtype = "int64" }))
    local function share(source, train)
      one:evaluation({}, nil, s, context { source = source, train = train })
      return asked[#asked].share
    end
    local two_of = function(of) return { data = of, size = function() return 2 end } end
    expect({ share(two_of(d), d), share(two_of(d:first(4)), d), share(two_of(other), d), share(two_of(d), d:first(4)) })
      :equals { .25, .25, .5, .5 }
    local stream = g.data.generator(function() end, { epoch = 5 })
    expect(share(stream, stream)):equals(0)
  end)
  it("logs the mean of the steps since the last, those under way where something was measured, and logs nothing of nothing", function()
    local one, told = heard()
    local function step(loss) one:log({ ["train/loss"] = loss }, {}, {}, nil, 1, s) end
    one:evaluation({}, nil, s, context())
    expect(told):equals {}
    step(1)
    step(2)
    one.queue.state = function()
      return { { numbers = { loss = 6, norm = 1 } }, { numbers = { loss = 0 / 0, norm = 1 } }, { numbers = { loss = 5,
        norm = math.huge } } }
    end
    one:evaluation({}, { loss = 1 }, s, context())
    expect(told[3]):equals { "log", { ["train/mean_loss"] = 3 } }
    step(6)   -- was under way, and is known
    step(10)
    one:evaluation({}, nil, s, context())  -- waits for nothing
    expect(told[7]):equals { "log", { ["train/mean_loss"] = 10 } }
    expect(one.early):equals(0)
  end)
end)

describe("a forecast", function()
  local function foreseen(s, steps, before)
    local one, told = heard()
    if before then before(one) end
    one:foresee(s, steps, function() return 64 end)
    one:foresee(s, steps, function() return 65 end)
    return told
  end
  it("is told once, of the whole at the cost so far", function()
    local s = { step = 3, progress = .25, flops = 8, seconds = 2 }
    local whole = { flops = 32, seconds = 8, bytes = 64 }
    whole.steps = 12
    expect(foreseen(s)):equals { { "event", "flops", "forecast", whole } }
    whole.steps = 100
    expect(foreseen(s, 100)):equals { { "event", "flops", "forecast", whole } }
    s.step, s.progress = 1, .4
    expect(foreseen(s)[1][4].steps):equals(3)
  end)
  it("is none before the first step, after the last, and in a dry run", function()
    expect(foreseen { step = 0, progress = 0, flops = 8, seconds = 2 }):equals {}
    expect(foreseen { step = 9, progress = 1, flops = 8, seconds = 2 }):equals {}
    expect(foreseen({ step = 3, progress = .25, flops = 8, seconds = 2 }, nil, function(one) one.run.dry = {} end)):equals {}
  end)
end)

describe("what is read of a step", function()
  it("is what was asked for, knobs that are numbers as they are, others by their mean, and a teacher's only where one is imitated",
    function()
    local one, _, asked = heard()
    local at = { step = 3 }
    local function push(kind)
      one.goal = { kind = kind }
      one:push({ loss = "l", other = "o" }, { lr = .5, temperature = g.tensor { 1, 3 }, alpha = .7, share = g.tensor { 2, 4 } }, at)
      local found = asked[#asked][1]
      assert(asked[#asked][2] == at)
      return { found.loss, found.other, found["knob/temperature"] and found["knob/temperature"]:item(), found["knob/share"]:item(),
        at.knobs }
    end
    expect(push "logits"):equals { "l", nil, 2, 3, { lr = .5, alpha = .7 } }
    expect(push "layer"):equals { "l", nil, nil, 3, { lr = .5, alpha = .7 } }
  end)
  it("is of each of many steps", function()
    local one, seen = heard(), {}
    one:each({ loss = g.tensor { 1, 2, 3 }, norm = g.tensor { 4, 5, 6 }, other = g.tensor { 7, 8, 9 } }, 2,
      function(row, i) seen[i] = { row.loss, row.norm, row.other } end)
    expect(seen):equals { { 1, 4 }, { 2, 5 } }
  end)
  it("is logged with the knobs that the loss takes; a stage forgets those of the one before", function()
    local one, told, asked = heard()
    one:log({ ["train/loss"] = 1 }, { ["knob/temperature"] = 3 }, { lr = .5, alpha = .7 }, nil, 1, { findings = {} })
    expect(told[1][2]):equals { ["train/loss"] = 1, ["knob/lr"] = .5, ["knob/temperature"] = 3, ["knob/alpha"] = .7 }
    expect({ one.knobs, one.row }):equals { { lr = .5, temperature = 3, alpha = .7 }, { ["train/loss"] = 1 } }
    one.goal = { kind = "layer" }
    one:stage()
    expect({ one.knobs, asked[#asked], one:highest_rate() }):equals { {}, true, .25 }
    one:log({ ["train/loss"] = 1 }, { ["knob/temperature"] = 3 }, { lr = .5, alpha = .7 }, nil, 1, { findings = {} })
    expect(told[2][2]):equals { ["train/loss"] = 1, ["knob/lr"] = .5 }
    one.goal = { kind = "logits" }
    one:stage()
    expect(asked[#asked]):equals(false)
  end)
  it("warns once of each name", function()
    local one, said = heard(), {}
    one.run.warn = function(_, ...) said[#said + 1] = { ... } end
    one:warn("a", "first")
    one:warn("a", "again")
    one:warn("b", "other")
    expect({ said, one:is_news "a", one:is_news "c", one:is_news "c" }):equals { { { "a", "first" }, { "b", "other" } }, false, true,
      false }
  end)
end)

describe("the first evaluation", function()
  it("has the mean of all steps before it", function()
    local one, told = heard()
    local d = g.data.tensors(g.zeros { 8, 2 }, g.zeros({ 8 }, { dtype = "int64" }))
    local s = { step = 2, progress = .5, findings = {} }
    for _, loss in ipairs { 1, 4 } do one:log({ ["train/loss"] = loss }, {}, {}, nil, 1, s) end
    one:evaluation({}, nil, s, { source = { data = d, size = function() return 8 end }, train = d })
    expect(told[3]):equals { "log", { ["train/mean_loss"] = 2.5 } }
  end)
end)
