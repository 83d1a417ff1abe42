-- What a training keeps: the best weights, checkpoints, and what roll_back goes back to.
local g = require "gradus"
local keeper = require "gradus.training.keeper"

local function linear(value)
  local one = g.nn.Linear(1, 1)
  one.weight:detach():fill_(value)
  return one
end

local function value_of(module) return module.weight:item() end

-- A keeper of a student of weight 1, a term's module of weight 2 and an optimizer { n = tensor 3 }; what it has told.
local function kept(o, more)
  more = more or {}
  local told, optimizer = {}, { n = g.tensor { 3 } }
  local given = { run = { event = function(_, kind, name, detail) told[#told + 1] = { kind, name, detail.value or detail.to } end },
    student = linear(1), modules = { hint = linear(2) }, policy = more.policy or "stop",
    optimizer = { state_dict = function() return { n = optimizer.n } end,
      load_state_dict = function(_, state) optimizer.n = state.n:clone() end },
    clock = { steps_of = function(_, every) return every.steps or every.epochs * 10 end },
    evaluator = { val = not more.blind or nil, every = 4, check_key = function(_, where, key)
      if key == "no/such" then error(where .. " no such metric", 0) end
    end } }
  return keeper.new("distill", o, given), given, told, optimizer
end

local function state(step, value, best_step) return { step = step, best = function() return value, best_step or step end } end

describe("a training's keeper", function()
  for _, case in ipairs {
    { {}, nil, "val/loss", true }, { {}, { blind = true }, nil, false }, { { monitor = "val/acc" }, { blind = true }, "val/acc", true },
    { { restore_best = false }, nil, "val/loss", false }, { { restore_best = true }, nil, "val/loss", true },
    { { restore_best = false }, { blind = true }, nil, false } } do
    it(("goes by %s, and puts back: %s"):format(case[3], case[4]), function()
      local one = kept(case[1], case[2])
      expect({ one.monitor, one.restores, one.early, one.kept }):equals { case[3], case[4], nil, nil }
      expect(one:due(4)):equals(false)
    end)
  end
  for text, case in pairs {
    ["distill: monitor no such metric"] = { { monitor = "no/such" } },
    ["distill: restore_best has no effect: no metric says which is best"] = { { restore_best = true }, { blind = true } },
    ["distill: patience: expected validation data or monitor"] = { { patience = 3 }, { blind = true } },
    ["distill: patience: expected a number of evaluations, { epochs = } or { steps = }"] = { { patience = {} } },
    ["expected a number of evaluations"] = { { patience = { epochs = 1, steps = 2 } } },
    ["distill: patience: expected a number above 0; got 0"] = { { patience = 0 } },
    ["distill: patience.steps: expected a number above 0; got -1"] = { { patience = { steps = -1 } } },
    ["'restore_best'"] = { { restore_best = 3 } }, ["checkpoints: expected { epochs"] = { { checkpoints = {} } } } do
    it("refuses: " .. text, function() expect(function() kept(case[1], case[2]) end):fails_with(text) end)
  end
  it("has patience in evaluations, steps or epochs", function()
    for _, case in ipairs { { 3, 3 }, { { steps = 8 }, 2 }, { { steps = 9 }, 3 }, { { steps = 1 }, 1 }, { { epochs = 2 }, 5 } } do
      expect(tostring(kept({ patience = case[1] }).early)):matches(("%%f[%%d]%d%%f[%%D]"):format(case[2]))
    end
  end)
  it("keeps the weights of the best evaluation, and puts them back", function()
    local one, given, told = kept {}
    expect(one:record(state(0, nil))):is_false()
    expect({ one:record(state(5, .5)), one.best, told[1] }):equals { true, { value = .5, step = 5 }, { "best", "val/loss", .5 } }
    given.student.weight:detach():fill_(7)
    given.modules.hint.weight:detach():fill_(8)
    expect({ one:record(state(9, .5, 5)), #told, one.best.step }):equals { false, 1, 5 }
    local last, best = one:of_student()
    expect({ last == nil, best.weight:item(), best["hint:weight"] }):equals { true, 1, nil }
    one:finish()
    expect({ value_of(given.student), value_of(given.modules.hint) }):equals { 1, 2 }
    last, best = one:of_student()
    expect({ last.weight:item(), best.weight:item() }):equals { 7, 1 }
    one:record(state(10, .25))  -- into the same copies
    expect(best.weight:item()):equals(1)
  end)
  it("keeps none where they are not put back, or nothing says which is best", function()
    for _, case in ipairs { { { restore_best = false }, nil, true }, { {}, { blind = true }, false } } do
      local one, given = kept(case[1], case[2])
      expect(one:record(state(5, .5))):equals(case[3])
      given.student.weight:detach():fill_(7)
      one:finish()
      local last, best = one:of_student()
      expect({ value_of(given.student), last, best }):equals { 7, nil, nil }
    end
    local one, given = kept {}  -- no evaluation yet
    one:finish()
    expect({ value_of(given.student), one.last }):equals { 1, nil }
  end)
  it("keeps checkpoints every so many steps", function()
    local one, given = kept { checkpoints = { steps = 6 } }
    for _, case in ipairs { { 5, false }, { 6, true }, { 7, false }, { 12, true } } do expect(one:due(case[1])):equals(case[2]) end
    one:keep(6)
    expect({ one.kept:count(), one.kept:step(1) }):equals { 1, 6 }
    local other = kept { checkpoints = { epochs = 1 } }
    expect(other.every):equals(10)
    other:load_state(one:state())
    given.student.weight:detach():fill_(7)
    expect({ other.kept:count(), other.kept:step(1), one.best == other.best }):equals { 1, 6, true }
    kept({}):keep(6)
  end)
  it("goes back to what was safe, where that is the policy", function()
    local one, given, told, optimizer = kept({}, { policy = "roll_back" })
    one:roll_back()  -- nothing was safe yet
    expect(#told):equals(0)
    one:keep_safe(3)
    local function move(value)
      given.student.weight:detach():fill_(value)
      given.modules.hint.weight:detach():fill_(value)
      optimizer.n:fill_(value)
    end
    local function all() return { value_of(given.student), value_of(given.modules.hint), optimizer.n:item() } end
    move(9)
    one:roll_back()
    expect({ all(), told }):equals { { 1, 2, 3 }, { { "decision", "roll_back", 3 } } }
    move(4)
    one:keep_safe(8)
    move(9)
    one:roll_back()
    expect({ all(), told[2] }):equals { { 4, 4, 4 }, { "decision", "roll_back", 8 } }
    one, given, told = kept {}
    one:keep_safe(3)
    given.student.weight:detach():fill_(9)
    one:roll_back()
    expect({ value_of(given.student), #told }):equals { 9, 0 }
  end)
  it("goes on from its state", function()
    local one = kept({}, { policy = "roll_back" })
    one:record(state(5, .5))
    one:keep_safe(3)
    local other, given = kept({}, { policy = "roll_back" })
    other:load_state(one:state())
    given.student.weight:detach():fill_(9)
    other:roll_back()
    expect({ other.best, value_of(given.student) }):equals { { value = .5, step = 5 }, 1 }
    given.student.weight:detach():fill_(9)
    other:finish()
    expect(value_of(given.student)):equals(1)
  end)
end)
