-- The four axes as a run carries them out: what is drawn, imitated, how strongly, and when it goes on.
local g = require "gradus"
local support = require "support"
local curriculum, schedule, when = g.curriculum, g.schedule, g.when

-- A distillation of few steps; returns its result and what the store has of it.
local function distill(options, run_options)
  return support.with_run(run_options, function(run)
    local d = support.points():split { train = .5, val = .5 }
    local given = { student = support.student(), data = d, batch = 12, budget = { steps = 20 }, lr = .01 }
    for key, value in pairs(options) do
      if value == "nil" then given[key] = nil else given[key] = value end
    end
    if type(given.curriculum) == "function" and not options.raw then given.curriculum = given.curriculum(d.train, run) end
    given.raw = nil
    if type(given.teacher) == "function" then given.teacher = given.teacher() end
    return run:distill(given)
  end)
end

local function knob(seen, name) return seen.values("knob/" .. name) end
local function names(events)
  local out = {}
  for i, one in ipairs(events) do out[i] = ("%s@%d"):format(one.name, one.step) end
  return out
end
local teacher = function() return support.student(4) end

describe("knobs", function()
  it("are constants, schedules and functions of the state", function()
    local _, seen = distill { teacher = teacher, alpha = .3, temperature = schedule.linear(6, 2),
      lr = function(s) return .01 * (s.step + 1) end }
    expect(knob(seen, "alpha")[20]):equals(.3)
    local t, lr = knob(seen, "temperature"), knob(seen, "lr")
    expect({ t[1], t[11], lr[1], lr[20] }):near { 6, 4, .01, .2 }
    expect(#t):equals(20)
  end)
  it("of a stage go over the run's, those of pressure over both, one by one", function()
    local asked = 0
    local _, seen = distill { teacher = teacher, temperature = 8, alpha = .1, lr = .02, decay = "constant", warmup = 0,
      curriculum = { temperature = 5, alpha = .2, pressure = function(s)
        asked = asked + 1
        return s.step >= 10 and { alpha = .9 } or nil
      end } }
    expect(knob(seen, "temperature")[1]):equals(5)
    expect(knob(seen, "lr")[1]):equals(.02)
    local alpha = knob(seen, "alpha")
    expect({ alpha[10], alpha[11] }):equals { .2, .9 }
    expect(asked):equals(20)
  end)
  it("pressure may be a table", function()
    local _, seen = distill { teacher = teacher, temperature = 8,
      curriculum = { temperature = 5, pressure = { temperature = schedule.linear(3, 1) } } }
    expect(knob(seen, "temperature")[1]):equals(3)
  end)
  it("the learning rate decays and warms up as asked", function()
    local function rates(options)
      options.budget = { steps = 20 }
      local _, seen = distill(options)
      return knob(seen, "lr")
    end
    local cosine = rates { lr = .1, warmup = { steps = 4 } }
    for i, lr in ipairs(cosine) do
      local step = i - 1
      local wanted = step < 4 and .1 * (step + 1) / 4 or .1 * (1 + math.cos(math.pi * (step - 4) / 16)) / 2
      expect(lr):near(wanted, 1e-12)
    end
    local flops = 2 * 64 * (3 * 6 * 16 + 3 * 16 * 3 - 6 * 16)  -- of a step of the student alone
    local _, seen = distill { lr = .1, warmup = .5, decay = "constant", batch = 64, budget = { flops = 100 * flops } }
    local first = knob(seen, "lr")
    expect(first[1] > 0 and first[1] < first[2] and first[2] < .01):is_true()  -- known before the first step: it is not wasted
    local linear = rates { lr = .1, warmup = 0, decay = "linear" }
    expect({ linear[1], linear[11] }):near { .1, .05 }
    local steps = rates { lr = .1, warmup = 0, decay = "step" }
    expect({ steps[1], steps[10], steps[11], steps[16] }):near { .1, .1, .01, .001 }
  end)
  it("temperature per example, from the teacher's entropy", function()
    local _, seen = distill { teacher = teacher, temperature = schedule.by_entropy(1, 5) }
    for _, t in ipairs(knob(seen, "temperature")) do expect(t > 1 and t < 5):is_true() end
  end)
  local cases = {
    { "a temperature of 0",
      { teacher = teacher, temperature = schedule.linear(1, 0), budget = { steps = 3 },
        curriculum = { pressure = function() return { temperature = 0 } end } },
      "stage 'all', step 0: temperature: expected a number above 0; got 0" },
    { "an alpha above 1", { teacher = teacher, alpha = function() return 1.5 end },
      "step 0: alpha: expected a number from 0 to 1; got 1.5" },
    { "a knob that is nil", { teacher = teacher, temperature = function() end },
      "step 0: temperature: expected a number above 0; got nil" },
    { "a knob that is text", { augment = function() return "much" end },
      "step 0: augment: expected a number from 0 to 1; got 'much'" },
    { "entropy as an alpha", { teacher = teacher, alpha = schedule.by_entropy(0, 1) },
      "alpha: schedule.by_entropy gives one value for each example, which only the temperature takes" },
    { "a misspelt knob of pressure", { curriculum = { pressure = function() return { temprature = 4 } end } },
      "curriculum: pressure: no option 'temprature'; did you mean 'temperature'?" },
    { "a pressure that is no table", { curriculum = { pressure = function() return 4 end } },
      "curriculum: pressure: expected a table of knobs; got number" },
    { "a decay of a schedule", { lr = schedule.constant(.1), decay = "cosine" },
      "distill: decay: lr is a schedule already" },
    { "an unknown decay", { decay = "cosin" },
      "distill: decay: expected 'constant', 'linear', 'cosine', 'exponential', 'step'; got 'cosin'" },
  }
  for _, case in ipairs(cases) do
    it("refuse " .. case[1], function() expect(function() distill(case[2]) end):fails_with(case[3]) end)
  end
end)

describe("samples", function()
  local function drawn(options)
    local seen_rows = {}
    local _, seen = support.with_run(nil, function(run)
      local d = support.points():split { train = .5, val = .5 }
      local position = {}
      for i, row in ipairs(d.train.index:totable()) do position[row] = i end
      local student = support.student()
      local forward = student.forward
      student.forward = function(self, x, ...) return forward(self, x, ...) end
      options.curriculum = options.make(d.train)
      options.make = nil
      options.student, options.data, options.batch, options.lr = student, d, 12, .01
      local feed = require "gradus.training.feed"
      local original = feed.new
      feed.new = function(given)
        local one = original(given)
        local next_batch, stack = one.next, one.stack
        one = setmetatable({}, { __index = one, __newindex = one })
        one.next = function(_, strength)
          local batch = next_batch(getmetatable(one).__index, strength)
          for _, row in ipairs(batch.index:totable()) do seen_rows[#seen_rows + 1] = position[row] end
          return batch
        end
        one.stack = function(_, ...)
          local batch = stack(getmetatable(one).__index, ...)
          for _, row in ipairs(batch.index:flatten():totable()) do seen_rows[#seen_rows + 1] = position[row] end
          return batch
        end
        return one
      end
      local ok, err = pcall(run.distill, run, options)
      feed.new = original
      if not ok then error(err, 0) end
    end)
    return seen_rows, seen
  end
  local function highest(rows, from, to)
    local most = 0
    for i = from, to do most = math.max(most, rows[i]) end
    return most
  end
  it("a view is drawn alone; nothing given means all", function()
    local rows = drawn { budget = { epochs = 2 }, make = function(train) return { sample = train:first(.25) } end }
    expect(#rows):equals(240)
    expect(highest(rows, 1, 240)):equals(30)
    local all = drawn { budget = { epochs = 1 }, make = function() return {} end }
    table.sort(all)
    for i = 1, 120 do expect(all[i]):equals(i) end
  end)
  it("a function is asked once per epoch", function()
    local epochs = {}
    local rows = drawn { budget = { epochs = 3 }, make = function(train)
      return { sample = function(s)
        epochs[#epochs + 1] = s.epoch
        return train:first { share = math.min(1, .25 * (s.epoch + 1)) }
      end }
    end }
    expect(epochs):equals { 0, 1, 2 }
    expect({ highest(rows, 1, 120), highest(rows, 121, 240), highest(rows, 241, 360) }):equals { 30, 60, 90 }
  end)
  it("a ramp opens level by level", function()
    local rows, seen = drawn { budget = { epochs = 10 }, make = function(train)
      return curriculum.linear_ramp(train, { start = .2, full = 1, levels = 5, augment = .5 })
    end }
    expect({ highest(rows, 1, 240), highest(rows, 241, 480), highest(rows, 961, 1200) }):equals { 24, 48, 120 }
    local share = seen.values "knob/share"
    expect({ share[1], share[21], share[100] }):near { .2, .4, 1 }
  end)
  it("a sampler is as good as a view", function()
    local rows = drawn { budget = { epochs = 1 }, make = function(train) return { sample = g.sampler.easiest(train, .1) } end }
    expect(highest(rows, 1, 120)):equals(12)
  end)
end)

describe("stages", function()
  local function three(rule, more)
    return function(train)
      local stages = { { "easy", sample = train:first(.3), temperature = 6, advance = rule },
        { "medium", sample = train:first(.7), temperature = 4, advance = rule },
        { "hard", temperature = 2 } }
      for i, fields in pairs(more or {}) do
        for key, value in pairs(fields) do stages[i][key] = value end
      end
      return stages
    end
  end
  it("follow one another, each with its own counts and knobs", function()
    local _, seen = distill { teacher = teacher, budget = { steps = 30 }, curriculum = three(when.steps(10)) }
    expect(names(seen.stages)):equals { "easy@0", "medium@10", "hard@20" }
    expect(names(seen.decisions)):equals { "next@10", "next@20" }
    local t = knob(seen, "temperature")
    expect({ t[10], t[11], t[20], t[21], t[30] }):equals { 6, 4, 4, 2, 2 }
    expect({ seen.stages[1].detail.rows, seen.stages[2].detail.rows, seen.stages[3].detail.rows }):equals { 36, 84, 120 }
    expect({ seen.stages[2].detail.after, seen.stages[2].detail.index, seen.stages[2].detail.of }):equals { "easy", 2, 3 }
  end)
  it("a decision is stored with the numbers it was taken from", function()
    local _, seen = distill { teacher = teacher, budget = { steps = 12 }, curriculum = three(when.steps(10)) }
    expect(seen.decisions[1].detail):equals { stage = "easy", to = "medium", rule = "10 steps", numbers = { steps = 10, limit = 10 } }
  end)
  it("the last stage's rule ends the run", function()
    local stages = { { "a", advance = when.steps(3) }, { "b", advance = when.steps(4) } }
    local result, seen = distill { budget = { steps = 100 }, curriculum = stages }
    expect(result.steps):equals(7)
    expect(names(seen.decisions)):equals { "next@3", "stop@7" }
  end)
  it("a rule may end the run before", function()
    local result = distill { budget = { steps = 100 }, curriculum = { { "a", advance = when.stop(when.steps(3)) }, { "b" } } }
    expect(result.steps):equals(3)
  end)
  it("'back' returns to the stage before, at the first one it is nothing", function()
    local went = false
    local result, seen = distill { budget = { steps = 40 }, evaluate = { steps = 5 }, curriculum = {
      { "a", advance = function(s)
        if not went and s.step == 5 then return "back" end
        return s.stage_steps >= 10
      end },
      { "b", advance = function(s)
        if not went and s.step == 15 then
          went = true
          return "back", { why = 1 }
        end
      end } } }
    expect(result.steps):equals(40)
    expect(names(seen.stages)):equals { "a@0", "b@10", "a@15", "b@25" }
    expect(seen.decisions[2].detail):equals { stage = "b", to = "a", rule = "function", numbers = { why = 1 } }
  end)
  it("functions of the state answer all four questions", function()
    local asked = { sample = 0, target = 0, pressure = 0, advance = 0 }
    local result, seen = distill { teacher = teacher, budget = { steps = 100 }, evaluate = { steps = 10 }, curriculum = function(train)
      return {
        sample = function() asked.sample = asked.sample + 1 return train end,
        target = function(s) asked.target = asked.target + 1 return s.teacher end,
        pressure = function(s) asked.pressure = asked.pressure + 1 return { temperature = math.max(2, 6 - s.epoch) } end,
        advance = function(s) asked.advance = asked.advance + 1 return s.step >= 30 and "stop" end,
      }
    end }
    expect(result.steps):equals(30)
    expect(asked):equals { sample = 3, target = 1, pressure = 30, advance = 3 }  -- ten steps an epoch; the run ends with the third
    expect(knob(seen, "temperature")[30]):near(6 - 29 / 10)
  end)
  it("targets change with the stage", function()
    local other = support.student(5)
    local _, seen = distill { teacher = teacher, budget = { steps = 9 }, curriculum = {
      { "logits", advance = when.steps(3) },
      { "several", target = { { other, 1 }, { other, 2 } }, advance = when.steps(3) },
      { "labels", target = "labels" } } }
    local texts = {}
    for i, one in ipairs(seen.stages) do texts[i] = one.detail.target end
    expect(texts):equals { "teacher", "2 teachers", "labels" }
    expect(#seen.values "train/kl"):equals(6)
  end)
  it("that the budget never reaches are told", function()
    local _, seen = distill { budget = { steps = 5 }, curriculum = three(when.steps(100)) }
    expect(names(seen.warnings)):equals { "settings@0", "settings@0", "stage_unreached@5" }  -- it was known beforehand
    _, seen = distill { budget = { steps = 5 }, curriculum = three(function() return false end) }
    expect(names(seen.warnings)):equals { "stage_unreached@5" }
    local function strictly(rule) return function() distill({ budget = { steps = 5 }, curriculum = three(rule) }, { strict = true }) end end
    expect(strictly(when.steps(100))):fails_with "stage 'medium' never begins: the stages before it take the whole budget"
    expect(strictly(function() return false end)):fails_with "the budget ended in stage 'easy'; 'hard' never began"
  end)
  local cases = {
    { "a stage without an end", { { "a" }, { "b" } },
      "curriculum: stage 1 'a' has no advance rule, so 'b' would never begin" },
    { "a misspelt option", { { "a", smaple = 1, advance = when.steps(1) }, { "b" } },
      "curriculum: stage 1: no option 'smaple'; did you mean 'sample'?" },
    { "a number as a rule", { { "a", advance = 5 }, { "b" } },
      "curriculum: stage 1: advance: expected a rule such as when.plateau" },
    { "a number among stages", { { "a", advance = when.steps(1) }, 5 },
      "curriculum: stage 2: expected a table; got number" },
    { "a name that is none", { { 5, advance = when.steps(1) }, { "b" } },
      "curriculum: stage 1: name: expected a text; got 5" },
    { "a number", 5, "curriculum: expected a strategy's name, a list of stages or a table of answers; got number" },
    { "a misspelt strategy", "liner_ramp", "curriculum: no strategy 'liner_ramp'; did you mean 'linear_ramp'?" },
    { "a tensor as sample", { sample = g.zeros(3) },
      "stage 'all': sample: expected a data set or a sampler (of your own: sampler.custom(d" },
    { "an unknown target", { target = "nobody" }, "stage 'all': target: expected a module" },
    { "an unknown verdict", { advance = function() return "forward" end },
      "stage 'all': advance: expected 'next', 'stop', 'back', .*; got 'forward'" },
    { "nothing to augment with", { augment = .5 }, "augment has no effect: distill's augmentations are empty",
      { augmentations = {} } },
  }
  for _, case in ipairs(cases) do
    it("refuse " .. case[1], function()
      local options = { curriculum = case[2] }
      for key, value in pairs(case[4] or {}) do options[key] = value end
      expect(function() distill(options) end):fails_with(case[3])
    end)
  end
end)

describe("named strategies", function()
  for _, name in ipairs(curriculum.names) do
    it(name .. " runs by its name", function()
      local result, seen = distill { teacher = teacher, budget = { epochs = 3 }, curriculum = name }
      expect(result.steps > 0):is_true()
      expect(#seen.stages >= 1):is_true()
    end)
  end
  it("run on tokens, which are ranked by what is hidden of them and not augmented", function()
    local sentences = g.data.sentences { grammar = g.cfg.cfg3b { root = 10 }, held_out = 60, seed = 1 }
    local function bert(width)
      return g.nn.Transformer { vocabulary = 8, context = sentences.length, width = width, layers = 1, heads = 1,
        pad_token = sentences.pad_token }
    end
    local parts = sentences.val:split({ train = .7, val = .3 }, { seed = 1 })
    for _, name in ipairs { "linear_ramp", "multi_stage", "anti", "random_order", "confidence", "one_shot" } do
      local result, seen = distill { student = bert(8), teacher = function() return bert(16) end, data = parts, curriculum = name,
        budget = { steps = 12 } }
      expect(result.steps):equals(12)
      expect(#seen.warnings):equals(0)
    end
    local rows = parts.train:rank(g.score.loss(bert(16)))
    distill { student = bert(8), data = parts, curriculum = { sample = g.sampler.self_paced(rows, schedule.linear(.3, 1)) } }
    expect(function()
      distill { student = bert(8), teacher = function() return bert(16) end, data = sentences, curriculum = "linear_ramp" }
    end):fails_with "rank: a generator makes new rows each time; expected a data set: its held-out part (val), or take(10000) of them"
    distill { student = bert(8), teacher = function() return bert(16) end, curriculum = "linear_ramp",
      data = { train = sentences.train:take(40), val = sentences.val } }
  end)
  it("run on numbers, ranked by the squared error", function()
    local x = g.randn({ 80, 6 }, { generator = g.generator(4) })
    local d = g.data.tensors(x, x:sum(1)):split({ train = .7, val = .3 }, { seed = 1 })
    local function net() return g.nn.MLP { 6, 4, 1 } end
    for _, name in ipairs { "linear_ramp", "multi_stage", "anti" } do
      distill { student = net(), teacher = net, data = d, curriculum = name }
    end
    distill { student = net(), data = d, curriculum = { sample = g.sampler.self_paced(d.train, .5) } }
  end)
  it("anti begins with the hardest, random order with any", function()
    local d = support.points():rank(function(x) return x:select(1, 0) end)
    local s = { progress = 0, epoch = 0 }
    local function first_rows(made)
      made.sample:refresh(s)
      local rows = made.sample:draw(made.sample:size()):totable()
      table.sort(rows)
      return rows
    end
    local function sorted(view)
      local rows = view.index:totable()
      table.sort(rows)
      return rows
    end
    expect(first_rows(curriculum.linear_ramp(d))):equals(sorted(d:first(.2)))
    expect(first_rows(curriculum.anti(d))):equals(sorted(d:last(.2)))
    expect(first_rows(curriculum.random_order(d))):differs_from(sorted(d:first(.2)))
  end)
  it("multi_stage has the guide's numbers", function()
    local stages = curriculum.multi_stage(support.points())
    expect({ stages[1][1], stages[2][1], stages[3][1] }):equals { "easy", "medium", "hard" }
    expect({ stages[1].temperature, stages[2].temperature, stages[3].temperature }):equals { 6, 4, 2 }
    expect({ stages[1].sample:size(), stages[2].sample:size(), stages[3].sample:size() }):equals { 72, 168, 240 }
    expect(stages[3].advance):equals(nil)
  end)
  it("transfer_loop brings its own options, which the user's go over", function()
    local _, seen = distill { teacher = teacher, curriculum = "transfer_loop", budget = { epochs = 4 }, lr = .1 }
    local lr = knob(seen, "lr")
    expect({ lr[1], lr[10], lr[21] }):near { .01, .1, .1 * 20 / 30 }  -- an epoch of warm-up, linear decay of the rest
    local _, own = distill { teacher = teacher, curriculum = "transfer_loop", budget = { epochs = 4 }, lr = .1, warmup = 0,
      decay = "constant" }
    expect(knob(own, "lr")[1]):near(.1)
  end)
  it("refuse a strategy by the teacher without one", function()
    expect(function() distill { curriculum = "linear_ramp" } end)
      :fails_with "a strategy by name ranks by the teacher's loss; expected a teacher"
  end)
end)
