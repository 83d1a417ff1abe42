-- What people ask of a training that goes on: done at a boundary, wholly or not at all, answered and stored.
local g = require "gradus"
local copy = require "gradus.base.copy"
local host = require "gradus.host"
local support = require "support"
local distill = require "gradus.training.distill"
local when = g.when

local function put(run, asked)
  asked.id = "spec"
  local file = assert(io.open(run.folder .. "/attach.request", "wb"))
  file:write(asked.text or host.json_encode(asked))
  file:close()
end

local function answer(run)
  local file = io.open(run.folder .. "/attach.answer", "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  os.remove(run.folder .. "/attach.answer")
  return host.json_decode(text)
end

-- A training of 60 steps; requests: after a step -> what is asked. Returns what was seen, the answers by step, and the run's tags.
local function trained(requests, more)
  local answers, tags, weights, edits, hashes = {}, nil, nil, nil, {}
  local _, seen = support.with_run({ seed = 7 }, function(run)
    local options = { student = support.student(), data = support.points():split({ train = .5, val = .5 }, { seed = 3 }), batch = 12,
      teacher = support.student(4), budget = { steps = 60 }, lr = .02, evaluate = { steps = 10 },
      curriculum = { { "easy", temperature = 6, advance = when.steps(40) }, { "hard", temperature = 2, advance = when.steps(15) },
        { "last" } } }
    for key, value in pairs(more or {}) do options[key] = value end
    local training = distill.make(run, options)
    training.at_boundary = function(self)
      local asked = requests[self.s.step]
      if asked then put(run, asked) end
      self.attach.next = 0  -- ten times a second would be never here
      self.ahead.wants = self.s.step + 1
      return false
    end
    local look = training.attach.look
    training.attach.look = function(self, t)
      local over = look(self, t)
      answers[t.s.step] = answer(run)
      return over
    end
    hashes[1] = run.store:query("SELECT config_hash FROM runs WHERE id = ?", run.id)[1].config_hash
    distill.train(training)
    run.writer:flush()
    hashes[2] = run.store:query("SELECT config_hash FROM runs WHERE id = ?", run.id)[1].config_hash
    tags = run.store:query("SELECT name FROM tags WHERE run_id = ?", run.id)
    edits = run.store:query("SELECT step, name, detail FROM events WHERE run_id = ? AND kind = 'edit' ORDER BY id", run.id)
    weights = support.weights(options.student)
  end)
  return { seen = seen, answers = answers, tags = #tags, weights = weights, edits = edits, moved = hashes[1] ~= hashes[2] }
end

local function at(list, step)
  for _, pair in ipairs(list) do
    if pair[1] == step then return pair[2] end
  end
end

describe("attach", function()
  it("sets knobs from the next step on, and gives them back", function()
    local it_was = trained { [10] = { set = { temperature = "3", lr = "0.001" } }, [20] = { release = { "temperature" } } }
    local temperature, lr = it_was.seen.metric "knob/temperature", it_was.seen.metric "knob/lr"
    expect(at(temperature, 10)):equals(6)
    expect(at(temperature, 11)):equals(3)
    expect(at(temperature, 20)):equals(3)
    expect(at(temperature, 21)):equals(6)
    expect(at(lr, 11)):equals(.001)
    expect(at(lr, 45)):equals(.001)  -- over the next stage too
    expect(it_was.answers[10].done[1]):matches "^lr = 0.001 %(was "
    expect(it_was.answers[10].done[2]):equals "temperature = 3 (was 6)"
    expect(it_was.answers[20].done):equals { "temperature as the curriculum has it" }
    expect(#it_was.edits):equals(2)
    expect(it_was.edits[1].step):equals(10)
    expect(host.json_decode(it_was.edits[1].detail).set):equals { temperature = 3, lr = .001 }
    expect(host.json_decode(it_was.edits[1].detail).was.temperature):equals(6)
    expect(it_was.tags):equals(1)
    expect(it_was.moved):equals(true)
  end)

  it("goes to another stage, whose end before is measured, and stops", function()
    local it_was = trained { [7] = { stage = "next" }, [9] = { stage = "last" }, [12] = { stage = "back" }, [23] = { stop = true } }
    local names = {}
    for _, one in ipairs(it_was.seen.stages) do names[#names + 1] = one.step .. " " .. one.name end
    expect(names):equals { "0 easy", "7 hard", "9 last", "12 hard" }
    expect(it_was.answers[9].done):equals { "stage 'last' (was 'hard')" }
    local evaluated = it_was.seen.metric "val/loss"
    expect(at(evaluated, 7) ~= nil and at(evaluated, 9) ~= nil):equals(true)
    local steps = it_was.seen.metric "train/loss"
    expect(steps[#steps][1]):equals(23)
  end)

  it("refuses all of what is wrong in a part, and the training goes on as if nobody had asked", function()
    local quiet = trained {}
    expect(quiet.tags):equals(0)
    expect(quiet.moved):equals(false)
    for _, case in ipairs {
      { { set = { temprature = "3" } }, "no knob 'temprature'; did you mean 'temperature'?" },
      { { set = { temperature = "-1", lr = "0.1" } }, "temperature: expected a number above 0; got '-1'" },
      { { set = { lr = "0.1", alpha = "nan" } }, "alpha: expected a number from 0 to 1; got 'nan'" },
      { { set = { alpha = "many" } }, "alpha: expected a number; got 'many'" },
      { { set = { lr = "1" }, stage = "hrad" }, "no stage 'hrad'; did you mean 'hard'?" },
      { { stage = "back" }, "stage 'easy' is the first" },
      { { release = { "lrr" }, stop = true }, "no knob 'lrr'; did you mean 'lr'?" },
    } do
      local it_was = trained { [10] = case[1] }
      expect(it_was.answers[10].error):equals(case[2])
      expect(it_was.weights):equals(quiet.weights)
      expect(it_was.edits):equals {}
    end
    local last = trained { [57] = { stage = "next" } }
    expect(last.answers[57].error):equals "stage 'last' is the last; expected --stop to end the training"
    for _, text in ipairs { "", "no JSON {", "3", "null" } do
      local it_was = trained { [10] = { text = text } }
      expect(it_was.weights):equals(quiet.weights)
      expect(it_was.edits):equals {}
    end
  end)

  it("asks the teacher again for rows that are augmented now", function()
    local it_was = trained({ [10] = { set = { augment = "1" } } }, { budget = { steps = 20 } })
    expect(it_was.answers[10].done):equals { "augment = 1 (was 0)" }
    local fresh = trained({ [10] = { set = { augment = "1" } } }, { budget = { steps = 20 }, teacher_cache = false })
    expect(it_was.weights):equals(fresh.weights)
    local none = trained({ [10] = { set = { augment = "1" } } }, { budget = { steps = 20 }, augmentations = {} })
    expect(none.answers[10].error):equals "augment has no effect: distill's augmentations are empty"
  end)

  it("is kept in a snapshot", function()
    local kept
    local function run_it(from)
      local weights
      support.with_run({ seed = 7 }, function(run)
        local options = { student = support.student(), data = support.points():split({ train = .5, val = .5 }, { seed = 3 }), batch = 12,
          teacher = support.student(4), budget = { steps = 30 }, lr = .02 }
        local training = distill.make(run, options)
        if from then training:load_state(from) end
        training.ahead.wants = 5
        training.at_boundary = function(self)
          self.attach.next = 0
          if self.s.step == 5 then put(run, { set = { temperature = "1" } }) self.ahead.wants = 15 end
          if self.s.step == 15 and not from then kept = copy(self:state()) end
          return false
        end
        distill.train(training)
        weights = support.weights(options.student)
      end)
      return weights
    end
    local whole = run_it()
    expect(run_it(kept)):equals(whole)
  end)
end)

-- A loop of one's own over 40 batches; requests: after a step -> what is asked. Also: what each step was given.
local function looped(requests, more)
  local given, answers, it_was, real = {}, {}, {}, host.monotonic
  local ok, why = pcall(support.with_run, { seed = 7 }, function(run)
    local model = support.student()
    local opt = g.optim.SGD(model)
    local step = run:step(function(b, k)
      local loss = g.loss.cross_entropy(model(b.x), b.y) * k.weight
      opt:minimize(loss, { lr = k.lr })
      return { loss = loss, weight = k.weight + 0 }
    end)
    for i, b in run:batches(support.points(), { size = 12, steps = 40 }) do
      given[i] = step(b, { lr = .02, weight = i < 30 and 1 or 2 }).weight:item()
      if more then more(run, i) end
      answers[i - 1] = answer(run)
      if requests[i] then put(run, requests[i]) end
      host.monotonic = function() return real() + i end  -- ten times a second would be never here
    end
    answers[#given] = answer(run) or answers[#given]
    run.writer:flush()
    it_was.edits = run.store:query("SELECT step, name, detail FROM events WHERE run_id = ? AND kind = 'edit' ORDER BY id", run.id)
    it_was.weights = support.weights(model)
  end)
  host.monotonic = real
  if not ok then error(why, 0) end
  it_was.given, it_was.answers = given, answers
  return it_was
end

describe("attach to a loop of one's own", function()
  it("sets what its steps are given, gives it back, and stops it", function()
    local it_was = looped { [5] = { set = { weight = "3" } }, [10] = { release = { "weight" } }, [20] = { stop = true } }
    expect({ it_was.given[5], it_was.given[6], it_was.given[10], it_was.given[11] }):equals { 1, 3, 3, 1 }
    expect(#it_was.given):equals(20)
    expect(it_was.answers[5].done):equals { "weight = 3 (was 1)" }
    expect(it_was.answers[5].training):equals "batches"
    expect(it_was.answers[10].done):equals { "weight as the loop has it" }
    expect(#it_was.edits):equals(3)
    expect(host.json_decode(it_was.edits[1].detail).was):equals { weight = 1 }
    expect(it_was.edits[1].step):equals(5)
  end)
  it("refuses what it does not have", function()
    local quiet = looped {}
    expect(#quiet.given):equals(40)
    for _, case in ipairs {
      { { set = { temperature = "3" } }, "no knob 'temperature'; expected lr, weight" },
      { { set = { weigth = "3" } }, "no knob 'weigth'; did you mean 'weight'?" },
      { { set = { lr = "-1" } }, "lr: expected a number of at least 0; got '-1'" },
      { { stage = "next" }, "a loop of one's own has no stages; expected --set or --stop" },
    } do
      local it_was = looped { [10] = case[1] }
      expect(it_was.answers[10].error):equals(case[2])
      expect(it_was.weights):equals(quiet.weights)
    end
  end)
  it("leaves the knobs of a training within it alone", function()
    local inner
    local it_was = looped({ [5] = { set = { lr = "0.5" } } }, function(run, i)
      if i ~= 8 then return end
      inner = run:fit { model = support.student(), data = support.points(), batch = 12, lr = .01, steps = 2 }
    end)
    expect(it_was.answers[5].done):equals { "lr = 0.5 (was 0.02)" }
    expect(#it_was.given):equals(40)
    assert(inner)
  end)
end)
