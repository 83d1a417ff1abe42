-- What a training will take, by a plan and a training that are plain tables, a clock and a memory of ours.
local engine = require "gradus.engine"
local forecast = require "gradus.experiment.forecast"
local g = require "gradus"
local host = require "gradus.host"

-- Spans { from, to, flops of a step, known }, a hundredth of the budget each step.
local function work(spans, total, budget)
  local the = { spans = {}, seen = {}, total = total, run = { budget = budget or {} } }
  for i, one in ipairs(spans) do
    the.spans[i] = { from = one[1], to = one[2], per_step = one.per_step == nil and .01 or one.per_step or nil, known = one[4] ~= false }
    the.seen[i] = { flops = one[3] }
  end
  return { forecast.work(the) }
end

describe("the work of a plan", function()
  it("is that of its stages, each at its cost", function()
    expect(work({ { 0, .25, 10 }, { .25, 1, 20 } }, 100)):equals { 100, 250 + 1500, true }
    expect(work({ { 0, .25, 10 }, { 1, 1, 20 } }, 100)):equals { 100, 250, true }
    expect(work({ { 0, .25, 10 }, { 2, 1, 20 } }, 100)):equals { 100, 250, true }  -- it never begins
  end)
  it("is at most that of the dearest stage where the run decides", function()
    expect(work({ { 0, 1, 10, false }, { 0, 1, 30 }, { 0, 1, 20 } }, 100)):equals { 100, 3000, false }
    expect(work({ { 0, 1, 10 }, { 0, 1, 30, false } }, 100)):equals { 100, 3000, false }
    expect(work({ { 0, 1, 0, false } }, 100)):equals { 100, 0, false }
  end)
  it("is at most what the budget has, and that alone where no steps are known", function()
    expect(work({ { 0, 1, 10 } }, 100, { flops = 900 })):equals { 100, 900, true }
    expect(work({ { 0, 1, 10 } }, 100, { flops = 1100 })):equals { 100, 1000, true }
    expect(work({ { 0, 1, 10 } }, nil, { flops = 900 })):equals { nil, 900, true }
    expect(work({ { 0, 1, 10, per_step = false } }, nil)):equals { nil, nil, false }
  end)
end)

-- A training whose batches have 64 rows, of which the dry run has three. seen: what its parts were asked for.
local function training(fields)
  local seen = { outputs = 0, asked = 0, cleared = 0 }
  local t = { options = {}, updater = { batch = 64 }, keeper = {}, teacher = {}, stages = { last = {} } }
  for name, value in pairs(fields or {}) do t[name] = value end
  t.feed = { next = function(_, place)
    return { x = g.tensor { { 0 }, { 1 }, { 2 } }, y = g.tensor({ 5, 6, 7 }, "int64"), of_all = g.tensor { 1, 2 },
      one = g.tensor(place + 4), name = "b" }
  end }
  t.objective = { outputs = function(_, student, target)
    seen.of = { student, target }
    return function(batch, knobs)
      seen.batch, seen.knobs, seen.outputs = batch, knobs, seen.outputs + 1
      return { loss = { backward = function() seen.backward = (seen.backward or 0) + 1 end } }
    end
  end }
  t.student = { zero_grad = function() seen.cleared = seen.cleared + 1 end, num_parameters = function() return 1e6 end }
  if t.teacher.ask then t.teacher.ask = { of = function(x) seen.asked, seen.x = seen.asked + 1, x end } end
  return t, seen
end

-- fn with a clock by which the calls that are timed take these seconds one after the other, and with this memory in use and at most.
local function measured(seconds, live, peak, fn)
  local monotonic, memory = host.monotonic, engine.memory
  local now, reads = 0, 0
  function host.monotonic()
    reads = reads + 1
    if reads % 2 == 0 then now = now + seconds[(reads / 2 - 1) % #seconds + 1] end
    return now
  end
  function engine.memory() return live, peak end
  local found = { pcall(fn) }
  host.monotonic, engine.memory = monotonic, memory
  assert(found[1], found[2])
  return unpack(found, 2)
end

describe("a trial", function()
  it("is of the fastest of three steps with all rows of a batch", function()
    local last = { lr = .1, temperature = g.tensor { 1, 3 }, target = "logits" }
    local t, seen = training { stages = { last = last }, updater = { batch = 8 } }
    expect({ measured({ 5, 3, 4 }, 1000, 5000, function() return forecast.trial(t, 100) end) }):equals { 3, 4000 }
    expect({ seen.outputs, seen.backward, seen.cleared, seen.of[1] == t.student }):equals { 3, 3, 1, true }
    local b = seen.batch
    expect({ b.x:flatten():totable(), b.y:totable() }):equals { { 0, 1, 2, 0, 1, 2, 0, 1 }, { 5, 6, 7, 5, 6, 7, 5, 6 } }
    expect({ b.of_all:totable(), b.one:item(), b.name, seen.knobs }):equals { { 1, 2 }, 4, "b", { lr = .1, temperature = 2 } }
  end)
  it("is of a part where a step has several, and counts them all", function()
    local t, seen = training { options = { accumulate = 3 }, updater = { batch = 14 } }
    expect({ measured({ 2 }, 0, 100, function() return forecast.trial(t, 100) end) }):equals { 6, 100 }
    expect(seen.batch.x:size(0)):equals(4)
  end)
  it("is of fewer rows where all would take long, of one at least, and multiplied", function()
    local function of(flops, live)
      local t, seen = training()
      local seconds, bytes = measured({ 2 }, live or 0, 100, function() return forecast.trial(t, flops) end)
      return { seen.batch.x:size(0), seconds, bytes }
    end
    expect(of(2e10)):equals { 64, 2, 100 }
    expect(of(4e10)):equals { 32, 4, 200 }
    expect(of(64e10)):equals { 2, 64, 3200 }
    expect(of(1e15)):equals { 1, 128, 6400 }
    expect(of(0)):equals { 64, 2, 100 }
    expect(of(0, 200)):equals { 64, 2, 0 }
  end)
  it("asks the teacher too, where its answers are not there already", function()
    local t, seen = training { teacher = { ask = true, target = "logits" } }
    expect((measured({ 5, 3, 4, 1, 2, .5 }, 0, 0, function() return forecast.trial(t, 1) end))):equals(3.5)
    expect({ seen.asked, seen.x:size(0), seen.of[2] }):equals { 3, 64, "logits" }
    t, seen = training { teacher = { ask = true, answers = {} } }
    expect((measured({ 5, 3, 4 }, 0, 0, function() return forecast.trial(t, 1) end))):equals(3)
    expect(seen.asked):equals(0)
  end)
end)

describe("a forecast", function()
  -- Of 100 steps that take so many seconds and operations each.
  local function said(seconds, flops, options)
    options = options or {}
    local the = { spans = { { from = 0, to = 1, per_step = .01, known = options.known ~= false } }, seen = { { flops = flops } },
      run = { budget = options.budget or {} }, total = not options.endless and 100 or nil }
    local t = training { keeper = { restores = options.restores } }
    return measured({ seconds }, 1e6, 3e6, function() return forecast.text(t, the) end)
  end
  it("tells steps, operations, time and memory", function()
    expect(said(.5, 20)):equals "100 steps, 2 kFLOP, about 50s without evaluations, about 3 MB of tensors"
    expect(said(.5, 20, { known = false })):equals "100 steps, up to 2 kFLOP, about 50s without evaluations, about 3 MB of tensors"
    expect(said(.5, 20, { restores = true })):equals "100 steps, 2 kFLOP, about 50s without evaluations, about 7 MB of tensors"
    expect(said(.5, 20, { budget = { flops = 1000 } })):equals "100 steps, 1 kFLOP, about 25s without evaluations, about 3 MB of tensors"
  end)
  it("tells a time from a second on", function()
    expect(said(.0099, 20)):matches ", less than a second without evaluations, "
    expect(said(1 / 64, 20)):matches ", about 1.6s without evaluations, "
    expect(said(2 ^ -7, 20, { budget = { flops = 20 * 128 } })):matches "less than a second"
    expect(said(.0625, 1, { budget = { flops = 16 } })):matches "16 FLOP, about 1.0s without evaluations"
  end)
  it("tells no time where nothing is counted, and that of a step where a clock ends the run", function()
    expect(said(.5, 0)):equals "100 steps, 0 FLOP, about 3 MB of tensors"
    expect(said(.5, 20, { endless = true })):equals "about 0.5 s a step, about 3 MB of tensors"
    expect(said(.5, 20, { endless = true, budget = { flops = 5e9 } })):equals "5 GFLOP, about 0.5 s a step, about 3 MB of tensors"
  end)
  it("writes large numbers by thousands", function()
    for flops, text in pairs { [9.99] = "999 FLOP", [10] = "1 kFLOP", [1e4] = "1 MFLOP", [1e7] = "1 GFLOP", [2.5e10] = "2.5 TFLOP" } do
      expect(said(.5, flops)):matches("^100 steps, " .. text:gsub("%.", "%%.") .. ", ")
    end
  end)
end)
