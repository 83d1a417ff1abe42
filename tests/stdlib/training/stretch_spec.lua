-- Stretches of steps are the steps one by one: the same rows of the log, weights, draws and random numbers.
local g = require "gradus"
local a_run = require "a_run"
local nn, schedule, when = g.nn, g.schedule, g.when

local function digits(seed)
  local generator = g.generator(seed)
  local x = g.randn({ 200, 6 }, { generator = generator })
  return g.data.tensors(x, (x:select(1, 0) + x:select(1, 1)):gt(0):long(), { classes = 2 })
end

-- What a distillation leaves behind, and how many of its steps were taken in stretches.
local function outcome(one_by_one, options_of)
  local seen, stretched = {}, 0
  a_run(function(run, events, rows)
    nn.init_generator = g.generator(3)
    local d = digits(1):split({ train = .8, val = .2 }, { seed = 5 })
    local teacher, student = nn.MLP { 6, 16, 2 }, nn.MLP { 6, 8, 2, dropout = .1 }
    local options = { teacher = teacher, student = student, data = d, batch = 16, lr = .05, budget = { steps = 150 },
      evaluate = { steps = 37 }, restore_best = false }
    for key, value in pairs(options_of(d, run, teacher, student)) do options[key] = value end
    local feed = require "gradus.training.feed"
    local make = feed.new
    feed.new = function(given)
      local one = make(given)
      local stack = one.stack
      one.stack = function(self, strengths)
        stretched = stretched + #strengths
        return stack(self, strengths)
      end
      if one_by_one then one.can_stack = function() return false end end
      return one
    end
    local ok, r = pcall(run.distill, run, options)
    feed.new = make
    seen.error = not ok and (type(r) == "table" and r.message or tostring(r)) or nil
    seen.rows = rows "select key, step, value from metrics where run_id = ? order by key, step"
    seen.events = {}
    for i, one in ipairs(events()) do
      one.detail.seconds, one.detail.spent_seconds = nil, nil
      seen.events[i] = one
    end
    for name, value in pairs(student:state_dict()) do seen[name] = value:hash() end
    seen.random = g.rand(3):hash()
    if ok then seen.steps, seen.flops, seen.spent = r.steps, r.flops, r.flops_spent end
  end)
  return seen, stretched
end

local CASES = {
  ["schedules of every kind"] = function()
    return { temperature = schedule.linear(6, 2), alpha = schedule.cosine(.3, .9), curriculum = { temperature = function(s)
      return math.max(2, 6 - s.epoch / 2)
    end } }
  end,
  ["stages that end by counts"] = function(d)
    return { curriculum = { { "a", sample = d.train:first(.5), temperature = 6, advance = when.steps(41) },
      { "b", temperature = 3, advance = when.epochs(4) }, { "c", temperature = 2, alpha = .5, advance = when.passes(3) }, { "d" } } }
  end,
  ["stages that end by what an evaluation shows"] = function()
    return { curriculum = { { "a", temperature = 6, advance = when.any(when.above("val/acc", .7), when.steps(90)) },
      { "b", temperature = 2, advance = function(s) return s:best "val/acc" > .99 and "stop" end } } }
  end,
  ["a budget in epochs, samples asked anew in each"] = function(d)
    return { budget = { epochs = 9 }, evaluate = { epochs = 2 }, curriculum = { sample = function(s)
      return d.train:first { share = math.min(1, .3 + .1 * s.epoch) }
    end } }
  end,
  ["a budget in FLOPs"] = function() return { budget = { flops = 1.5e6 } } end,
  ["labels alone"] = function() return { curriculum = { target = "labels" }, alpha = 1 } end,
  ["augmented, the teacher seeing clean inputs"] = function()
    return { augment = .5, augmentations = { noise = .3 }, teacher_view = "clean", teacher_cache = false }
  end,
  ["a strength that moves with every step"] = function()
    return { augment = schedule.linear(.1, .9), augmentations = { noise = .3 } }
  end,
  ["the teacher's largest answer alone known"] = function() return { teacher_cache = { top = 1 } } end,
  ["the teacher's answers known"] = function() return { teacher_cache = true } end,
  ["a generator that can be asked for any sample"] = function()
    return { data = g.data.parity { d = 6, k = 2, held_out = 64, epoch = 400 }, budget = { steps = 100 } }
  end,
  ["a knob that draws lots, asked once for each step"] = function()
    local lots = 0
    return { alpha = function()
      lots = (lots * 16807 + 11) % 65536
      return lots / 65536
    end }
  end,
  ["checkpoints on the way"] = function() return { checkpoints = { steps = 23 } } end,
}

describe("a stretch is its steps one by one:", function()
  for name, options_of in pairs(CASES) do
    it(name, function()
      local wanted, none = outcome(true, options_of)
      local got, stretched = outcome(false, options_of)
      expect(wanted.error):equals(nil)
      expect(none):equals(0)
      expect(stretched > 40):is_true()
      expect(got):equals(wanted)
    end)
  end

  it("the library's steps, not replayed", function()
    local wanted = outcome(false, CASES["schedules of every kind"])
    g.step_mode "eager"
    local got, stretched = outcome(false, CASES["schedules of every kind"])
    g.step_mode "replay"
    expect(stretched):equals(0)
    expect(got):equals(wanted)
  end)
end)

describe("steps are taken one by one", function()
  local function none(options_of)
    local _, stretched = outcome(false, options_of)
    expect(stretched):equals(0)
  end
  it("where a knob looks at the student's confidence", function()
    none(function() return { temperature = schedule.by_confidence(6, 2) } end)
    none(function() return { temperature = function(s) return 6 - 4 * (s.confidence or 0) end } end)
    none(function() return { curriculum = { pressure = function(s) return { alpha = .5 + .1 * (s.confidence or 0) } end } } end)
  end)
  it("where a knob has a value for each example", function()
    none(function() return { temperature = schedule.by_entropy(2, 6) } end)
  end)
  it("where what is drawn depends on what the student shows", function()
    none(function(d) return { curriculum = { sample = g.sampler.confidence(d.train) } } end)
  end)
  it("where a rule looks at the clock", function()
    none(function() return { curriculum = { { "a", advance = when.seconds(1e6) } } } end)
  end)
  it("where a knob looks at the student, or a stage has a function that may change what it likes", function()
    none(function() return { temperature = function(s) return 2 + s.student:parameters()[1]:norm():item() end } end)
    none(function() return { curriculum = { pressure = function(s) return { alpha = math.min(1, s.step / 100) } end } } end)
  end)
  it("where the teacher is what is trained", function()
    none(function(_, _, _, student) return { teacher = student, teacher_cache = false, alpha = .5 } end)
  end)
  it("where the budget is in seconds", function() none(function() return { budget = { seconds = .2 } } end) end)
  it("where a batch is mixed from its own rows", function()
    none(function() return { augment = 1, augmentations = { mixup = .2 } } end)
  end)
end)

describe("a stretch with a loss that is not finite", function()
  -- Row 150 spoils whatever batch it is drawn into.
  local function spoilt(policy)
    return function(d)
      local x = d.train.base.x:clone()
      x[d.train.index[7]:item()][0] = 0 / 0
      local train = g.data.tensors(x, d.train.base.y, { classes = 2 })
      return { data = { train = train, val = d.val }, non_finite = policy, teacher_cache = false }
    end
  end
  it("ends the run where one by one would, with the batch's rows", function()
    local wanted, got = outcome(true, spoilt "stop"), outcome(false, spoilt "stop")
    expect(wanted.error):matches "the loss is nan"
    expect(got):equals(wanted)
  end)
  for _, policy in ipairs { "skip", "roll_back" } do
    it(policy .. "s and goes on", function()
      local function options(d)
        local lots, given = 0, spoilt(policy)(d)
        given.alpha = function()
          lots = (lots * 16807 + 11) % 65536
          return lots / 65536
        end
        return given
      end
      local wanted = outcome(true, options)
      local got, stretched = outcome(false, options)
      expect(stretched > 40):is_true()
      expect(got):equals(wanted)
    end)
  end
end)

describe("an error in a knob", function()
  it("comes after the steps before it", function()
    local function options()
      return { lr = function(s) return s.step == 100 and error "no more" or .01 end }
    end
    local wanted, got = outcome(true, options), outcome(false, options)
    expect(wanted.error):matches "no more"
    expect(got):equals(wanted)
  end)
end)
