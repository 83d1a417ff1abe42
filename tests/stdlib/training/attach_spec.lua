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
  local answers, tags, weights, edits, hashes, ended = {}, nil, nil, nil, {}, nil
  local _, seen = support.with_run({ seed = 7 }, function(run)
    local options = { student = support.student(), data = support.points():split({ train = .5, val = .5 }, { seed = 3 }), batch = 12,
      teacher = support.student(4), budget = { steps = 60 }, lr = .02, evaluate = { steps = 10 },
      curriculum = { { "easy", temperature = 6, advance = when.steps(40) }, { "hard", temperature = 2, advance = when.steps(15) },
        { "last" } } }
    for key, value in pairs(more or {}) do options[key] = value end
    run.options.strict, options.strict = options.strict, nil
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
    ended = training:state().over
    run.writer:flush()
    hashes[2] = run.store:query("SELECT config_hash FROM runs WHERE id = ?", run.id)[1].config_hash
    tags = run.store:query("SELECT name FROM tags WHERE run_id = ?", run.id)
    edits = run.store:query("SELECT step, name, detail FROM events WHERE run_id = ? AND kind = 'edit' ORDER BY id", run.id)
    weights = support.weights(options.student)
  end)
  return { seen = seen, answers = answers, tags = #tags, weights = weights, edits = edits, moved = hashes[1] ~= hashes[2],
    ended = ended }
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
    expect(it_was.ended):equals(true)
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

  it("judges what is set as it would a script's settings", function()
    local it_was = trained { [5] = { set = { temperature = "3", lr = "0.01" } }, [10] = { set = { temperature = "40", lr = "5" } } }
    expect(it_was.answers[5].warnings):equals(nil)
    expect(#it_was.answers[10].warnings):equals(2)
    expect(it_was.answers[10].warnings[1]):matches "^lr is 5: with AdamW that ruins nearly every training; expected 0.001 to 0.01"
    expect(it_was.answers[10].warnings[2]):matches "^temperature is 40; below 2 "
    local strict = trained({ [10] = { set = { lr = "5" }, stop = true } }, { strict = true })
    expect(strict.answers[10].error):matches "^lr is 5: with AdamW"
    expect(strict.edits):equals {}
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

-- --- a training that is made up ----------------------------------------------------------------------------------------------------

local attach = require "gradus.training.attach"

-- A training in the second of three stages, whose `look` answers a request: what it returned, the answer, and what was done.
local function standing(more)
  local folder = ("%s/gradus-attach-%s"):format(os.getenv "TMPDIR" or "/tmp", host.random_hex(8))
  host.mkdirs(folder)
  after_all(function() os.execute("rm -rf '" .. folder .. "'") end)
  local made = { hand = {}, moved = nil, anew = 0, edits = {}, said = {}, now = 50 }
  local training = { where = "distill", s = { stage = "b" }, feed = { augmentations = { noise = .3 } },
    run = { folder = folder, step_number = 12, edited = function(_, name, detail) made.edits[#made.edits + 1] = { name, detail } end,
      line = { say = function(text) made.said[#made.said + 1] = text end } },
    stages = { list = { { name = "a" }, { name = "b" }, { name = "c" } }, index = 2, last = { temperature = 4, lr = g.ones(2), alpha = .5 },
      knob_names = function() return { "alpha", "augment", "lr", "temperature" } end,
      by_hand = made.hand, set_by_hand = function(_, name, value)
        local another = made.hand[name] ~= value
        made.hand[name] = value
        return another
      end },
    go_to = function(_, to) made.moved = to end, augment_anew = function() made.anew = made.anew + 1 end }
  for key, value in pairs(more or {}) do training[key] = value end
  local own = attach.new(training.run)
  function made.look(asked)
    local real, found = host.monotonic, nil
    if asked then put(training.run, asked) end
    host.monotonic = function() return made.now end
    local ok, why = pcall(function() found = own:look(training) end)
    host.monotonic = real
    made.left = host.exists(folder .. "/attach.request")
    if not ok then error(why, 0) end
    return found, answer(training.run)
  end
  made.training = training
  return made
end

describe("a request", function()
  it("is looked for at most ten times a second", function()
    local one = standing()
    expect(one.look { set = { alpha = "1" } }):equals(false)
    expect(one.hand):equals { alpha = 1 }
    one.now = 50.0625
    one.look { set = { alpha = "0" } }
    expect({ one.hand, one.left }):equals { { alpha = 1 }, true }
    one.now = 50.125
    one.look()
    expect({ one.hand, one.left }):equals { { alpha = 0 }, false }
  end)
  it("is forgotten where whoever asked has left", function()
    local one = standing()
    local stop, said = one.look { set = { alpha = "1" }, expires = os.time() - 2 }
    expect({ stop, said, one.hand, one.left, #one.edits }):equals { false, nil, {}, false, 0 }
    one.now = 51
    one.look { set = { alpha = "1" }, expires = os.time() + 60 }
    expect(one.hand):equals { alpha = 1 }
    one.now = 52
    expect({ one.look() }):equals { false }
  end)
  it("is answered with what was done, which the run keeps with what was before", function()
    local one = standing()
    one.hand.augment = .5
    local stop, said = one.look { set = { temperature = "3", lr = "0.25" }, release = { "augment" }, stage = "c" }
    local done = { "augment as the curriculum has it", "lr = 0.25 (was a tensor)", "temperature = 3 (was 4)", "stage 'c' (was 'b')" }
    expect({ stop, said }):equals { false, { id = "spec", step = 12, training = "distill", done = done } }
    expect({ one.hand, one.moved, one.anew }):equals { { temperature = 3, lr = .25 }, 3, 1 }
    expect(one.said):equals { "attach: step 12: " .. table.concat(done, ", ") }
    expect(one.edits):equals { { "attach", { done = done, set = { temperature = 3, lr = .25 }, was = { temperature = 4 },
      release = { "augment" }, stage = "c", from = "b" } } }
  end)
  it("keeps no word of what it did not ask", function()
    local one = standing()
    local stop, said = one.look { stop = true, release = {} }
    expect({ stop, said.done }):equals { true, { "the training stops" } }
    expect(one.edits[1][2]):equals { done = { "the training stops" }, stop = true }
    expect({ one.moved, one.anew }):equals { nil, 0 }
    one.now = 51
    stop, said = one.look { release = { "lr" } }
    expect({ stop, said.error, one.anew }):equals { false, "--release: nobody has set lr", 0 }
    expect(#one.edits):equals(1)
    one.now = 52
    said = select(2, one.look { set = { augment = "0" } })
    expect({ said.done, one.anew }):equals { { "augment = 0" }, 1 }
  end)
  it("names stages by their place and name", function()
    for name, to in pairs { next = 3, back = 1, a = 1, b = 2, c = 3 } do
      local one = standing()
      one.look { stage = name }
      expect({ name, one.moved }):equals { name, to }
    end
    local one = standing()
    local _, said = one.look { stage = "elsewhere" }
    expect({ said.error, one.moved }):equals { "no stage 'elsewhere'; expected next, back, a, b, c" }
    one.training.stages.index, one.now = 3, 51
    _, said = one.look { stage = "next" }
    expect(said.error):equals "stage 'c' is the last; expected --stop to end the training"
    one.training.stages.index, one.now = 1, 52
    _, said = one.look { stage = "back" }
    expect(said.error):equals "stage 'a' is the first"
  end)
  it("sets no strength where nothing is augmented, unless to 0", function()
    local one = standing { feed = { augmentations = {} } }
    local _, said = one.look { set = { augment = "0.5" } }
    expect({ said.error, said.step, said.id }):equals { "augment has no effect: distill's augmentations are empty", 12, "spec" }
    one.now = 51
    one.look { set = { augment = "0" } }
    expect(one.hand):equals { augment = 0 }
  end)
  it("that fails by another's fault ends the run, with an answer", function()
    local one = standing { go_to = function() error("no such rows", 0) end }
    expect(function() one.look { stage = "c" } end):fails_with "no such rows"
    expect(answer(one.training.run).error):equals "no such rows"
  end)
  it("finds no knobs in a loop that gives none", function()
    local one = standing { stages = { list = {}, knob_names = function() return {} end } }
    local _, said = one.look { set = { lr = "1" } }
    expect(said.error):equals "no knob 'lr'; this loop gives its steps none: expected step(batch, { lr = … })"
    one.now = 51
    _, said = one.look { stage = "next" }
    expect(said.error):equals "a loop of one's own has no stages; expected --set or --stop"
  end)
end)
