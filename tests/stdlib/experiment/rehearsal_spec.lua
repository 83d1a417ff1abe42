-- A new version of a live run's script, asked for what it would do where the run stands.
local current = require "gradus.base.current"
local g = require "gradus"
local instead = require "instead"
local params = require "gradus.experiment.params"
local rehearsal = require "gradus.experiment.rehearsal"
local runner = require "gradus.experiment.runner"
local streams = require "gradus.experiment.streams"
local support = require "support"

local function student() return g.nn.MLP { 6, 4, 3 } end

local function train(run, one, steps)
  return run:distill { student = one or student(), teacher = student(), data = support.points(), budget = { steps = steps or 5 } }
end

local function place(run)
  local one = streams.state(run)
  return { one.init:totable(), one.defaults.cpu:totable(), one.lua, one.sources }
end

-- Asks a version whose run function is `fn` what it does at `index`; done: of those before it.
local function asked(fn, index, done, more)
  more = more or {}
  local found
  support.with_run({}, function(run)
    local live = { run = run, options = { script = "s.lua" }, given = more.given or {}, done = done or {} }
    local experiment = fn and { specs = params.declare { alpha = .5 }, run = fn }
    math.random()
    local before, steps = place(run), run.step_number
    instead({ { runner, "load", function() return experiment end } }, function()
      local ok, why = pcall(function() found = rehearsal.ask(live, more.where or "distill", index, more.capture) end)
      expect(place(run)):equals(before)
      assert(current.run == run and run.step_number == steps)
      if not ok then error(why, 0) end
    end)
  end)
  return found
end

local DONE = setmetatable({ student = student(), steps = 7 }, { __index = { anything = "of its class" } })

describe("a new version that is asked", function()
  it("tells the training that goes on, its parameters and its run", function()
    local at = {}
    local found = asked(function(run, p)
      at.random, at.alpha, at.current = math.random(), p.alpha, current.run == run
      train(run, nil, 11)
    end, 1, nil, { given = { alpha = .25 } })
    expect({ found.options.budget.steps, found.params.alpha, found.flat.alpha, at.alpha, at.current, found.found })
      :equals { 11, .25, .25, .25, true, nil }
    local same = at.random
    asked(function(run)
      at.random = math.random()
      train(run)
    end, 1)
    expect(at.random):equals(same)  -- as a run's beginning finds them
    for name, value in pairs { params = found.params, step_number = 0, students = false, save_students = false, listener = false,
      ending = false, loop_knobs = false, parent = false, unmuted = false } do
      assert(rawget(found.stand_in, name) == value, name)
    end
  end)
  it("has of those before it what they gave, and no training", function()
    local one, result = student(), nil
    local found = asked(function(run)
      result = train(run, one, 1e9)
      train(run, nil, 3)
    end, 2, { DONE })
    expect(found.options.budget.steps):equals(3)
    expect({ rawequal(result.student, one), result.steps, result.anything, one.training }):equals { true, 7, "of its class", false }
    expect(support.weights(one)):equals(support.weights(DONE.student))
  end)
  it("tells the loop that goes on, and what is found there", function()
    local loop = function(run, p)
      for _ in run:batches(support.points(), { size = 4, steps = 3 }) do error "never" end
      return p
    end
    local seen
    local found = asked(loop, 1, nil, { where = "batches", capture = function(fn, given)
      seen = fn == loop
      return given.alpha
    end })
    expect({ found.found, seen, found.options }):equals { .5, true, nil }
    local at = asked(loop, 1, nil, { where = "batches" })
    expect({ at.found, at.options }):equals {}
  end)
  it("passes a loop that is over, where it is a loop that goes on", function()
    local times = 0
    local found = asked(function(run)
      for _ in run:batches(support.points(), { size = 4, steps = 3 }) do times = times + 1 end
      for _ in run:batches(support.points(), { size = 4, steps = 3 }) do times = times + 1 end
    end, 2, { { loop = true } }, { where = "batches", capture = function() return "second" end })
    expect({ found.found, times }):equals { "second", 0 }
  end)
  it("may end the run later with an os.exit that it has kept", function()
    local exit, kept, codes = os.exit, nil, {}
    rawset(os, "exit", function(code) codes[#codes + 1] = code end)
    asked(function(run)
      kept = os.exit
      train(run)
    end, 1)
    kept(5)
    os.exit(6)
    rawset(os, "exit", exit)
    expect(codes):equals { 5, 6 }
  end)
  local function loops(run)
    for _ in run:batches(support.points(), { size = 4, steps = 3 }) do error "never" end
    train(run)
  end
  for text, case in pairs {
    ["s.lua: the script returns no experiment any more"] = { nil, 1 },
    ["s.lua: the run function ended after 1 of its trainings; expected the one that goes on"] = {
      function(run) train(run) end, 2, { DONE } },
    ["s.lua: training 1 is a distill now, and was a fit"] = { train, 1, nil, { where = "fit" } },
    ["s.lua: training 1 is a batches now, and was a distill"] = { loops, 1 },
    ["s.lua: training 1 is a distill now, and was a loop over run:batches"] = { train, 2, { { loop = true } } },
    ["training 1 is a distill now, and was a loop"] = { train, 2, {} },
    ["a loop over run:batches would be done again"] = { loops, 2, { { loop = true } } },
    ["a loop over run:batches would be done again; live edits"] = { loops, 2, { DONE }, { capture = function() end } },
    ["a loop over run:batches would be done again; live edits reach"] = { loops, 2, {}, { capture = function() end } },
    ["a look-ahead would be done again"] = { function(run) run.live.looks_ahead() end, 1 },
    ["os.exit(3) before the training that goes on"] = { function(run)
      os.exit(3)
      train(run)
    end, 1 },
    ["oh"] = { function() error "oh" end, 1 }, ["index"] = { function(_, p) return p.alpha.x.y end, 1 } } do
    it("is refused: " .. text, function() expect(function() asked(case[1], case[2], case[3], case[4]) end):fails_with(text) end)
  end
end)
