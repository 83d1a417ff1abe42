-- How many steps go together, and after which one somebody looks.
local ahead = require "gradus.training.ahead"

-- Plans steps of a training whose counts are simple; `of` changes what it is made of. Returns the knobs planned, the training's part
-- and the run's step numbers at which the knobs were asked for.
local function planned(of)
  of = of or {}
  local asked, at, steps = { unknown = false }, {}, 0
  local parts = { run = { step_number = -1 }, updater = { can_scan = function() return of.scans ~= false end },
    clock = { budget = { seconds = of.seconds }, cost = { step = of.cost or 1, teacher = of.teacher or 1 },
      ahead = function() return { step = of.step or 10, used = 0, epoch = of.epoch or 0 } end,
      count = function(_, counts)
        counts.step, counts.epoch = counts.step + 1, counts.epoch + (of.epoch_step or .001)
        counts.used = of.ends and counts.step >= of.ends and 1 or 0
      end },
    evaluator = { due = function(_, step) return step == of.evaluates end,
      due_early = function(_, counts) return counts.step == of.early end },
    keeper = { due = function(_, step) return step == of.keeps end },
    feed = { can_stack = function(_, augment) return augment ~= 9 end },
    stages = { stage = { pressure = of.pressure }, awaits = function(_, view) return view.counts.step == of.awaits end } }
  parts.s = { step = 10, ahead = function(_, counts) return { counts = counts }, asked end }
  function parts.stages.ask_knobs(_, view, known)
    steps = steps + 1
    at[steps] = parts.run.step_number
    if steps == of.raises then error "no knobs" end
    if steps == of.unknown then asked.unknown = true end
    assert(known() == not asked.unknown)
    return { lr = view.counts.step, augment = steps == of.unstackable and 9 or 0, T = steps == of.tensors and {} or 2 }
  end
  local one = ahead.new(parts)
  one.wants = of.wants
  if of.begun ~= false then one:begin_stage(of.alone) end
  local function bytes(n) return { nbytes = function() return n end } end
  if of.bytes ~= false then one:meet { x = bytes(of.bytes or 512), y = bytes(512) } end
  local plan = one:plan(100)
  expect(parts.run.step_number):equals(110)
  return plan, one, at
end

describe("steps that go together", function()
  for name, case in pairs {
    ["as many as may"] = { {}, 64 }, ["as many as stay in the cache"] = { { bytes = 2 ^ 17 - 512 }, 8 },
    ["as many as are quick"] = { { cost = 1e9, teacher = 25e7 }, 4 }, ["one where no plan takes several"] = { { scans = false }, 1 },
    ["one of a stage that is looked at step by step"] = { { alone = true }, 1 }, ["one of a budget of seconds"] = { { seconds = 5 }, 1 },
    ["one of a stage with pressure"] = { { pressure = print }, 1 }, ["one before a stage begins"] = { { begun = false }, 1 },
    ["one before a batch was seen"] = { { bytes = false }, 1 }, ["one of large batches"] = { { bytes = 2 ^ 20 }, 1 },
    ["one of costly steps"] = { { cost = 1e10 }, 1 }, ["to the end of the budget"] = { { ends = 13 }, 3 },
    ["to an evaluation"] = { { evaluates = 15 }, 5 }, ["to an early evaluation"] = { { early = 12 }, 2 },
    ["to a checkpoint"] = { { keeps = 14 }, 4 },
    ["to where a stage may end"] = { { awaits = 16 }, 6 }, ["to where somebody looks"] = { { wants = 17 }, 7 },
    ["to the end of the epoch"] = { { epoch = .5, epoch_step = .1 }, 5 }, ["to knobs that are not numbers"] = { { tensors = 4 }, 3 },
    ["one where its knobs are no numbers"] = { { tensors = 1 }, 1 }, ["to a strength that cannot be stacked"] = { { unstackable = 3 }, 2 },
    ["one that cannot be stacked"] = { { unstackable = 1 }, 1 }, ["to knobs that raise"] = { { raises = 3 }, 2 },
    ["to what is not known beforehand"] = { { unknown = 4 }, 3, true }, ["one where nothing is known"] = { { unknown = 1 }, 1, true } } do
    it("are " .. name, function()
      local plan, one, at = planned(case[1])
      expect(#plan):equals(case[2])
      for i, knobs in ipairs(plan) do expect({ knobs.lr, at[i] }):equals { 9 + i, 109 + i } end
      if case[3] then expect(one.alone):is_true() end
    end)
  end
  it("raise what the first step's knobs raise", function()
    expect(function() planned { raises = 1 } end):fails_with "no knobs"
  end)
  it("are counted anew in a stage of other batches", function()
    local _, one = planned {}
    local function batch(bytes) return { x = { nbytes = function() return bytes end } } end
    one:meet(batch(7))
    expect({ one.bytes, one.alone }):equals { 1024, false }
    one:begin_stage()
    expect(one.bytes):equals(nil)
    one:meet(batch(7))
    expect(one.bytes):equals(7)
  end)
end)
