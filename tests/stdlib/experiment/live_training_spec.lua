-- A training of a live run that is swapped for one of another version, and what takes that back.
local distill = require "gradus.training.distill"
local instead = require "instead"
local live_training = require "gradus.experiment.live_training"
local source = require "gradus.curriculum.source"
local streams = require "gradus.experiment.streams"

-- A model of a name, whose state is that; log: what is loaded, which "misfit" refuses.
local function model(name, log)
  local one = { name = name, kept = name }
  function one:state_dict() return { self.kept } end
  function one:load_state_dict(state)
    if state[1] == "student of misfit" then error("shapes differ", 0) end
    self.kept = state[1]
    log[#log + 1] = self.name .. " has " .. state[1]
  end
  return one
end

-- A training in a stage of a name, whose state is a number; log: what was done with it.
local function training(name, log, number)
  local one = { name = name, student = model("student of " .. name, log), before = 100, s = { step = number }, live_index = 4,
    number = number,
    reporter = { settle = function() log[#log + 1] = "settle" end },
    feed = { remember = function() log[#log + 1] = "remember " .. name end } }
  one.stages = { list = { { name = "a" }, { name = "b" } }, stage_names = function() return { "a", "b" } end }
  function one:state()
    return { number = self.number, stages = { index = 1, reached = 1, history = { furthest = { index = 1 } } } }
  end
  function one:load_state(kept)
    self.number = kept.number
    log[#log + 1] = ("%s at %d"):format(name, kept.number)
  end
  function one:take_back_step() log[#log + 1] = "step of " .. name .. " taken back" end
  return one
end

-- Calls fn(make, run, log, world): make(begins) swaps a training "old" at 5 for "new", or one of another name; world.stream is where the
-- streams stand.
local function with_swap(fn, fails, name)
  local log, world = {}, { stream = 1 }
  local old = training("old", log, 5)
  local run = { params = "old params", step_number = 105, students = { { student = old.student }, { student = model("another", log) } },
    beforehand = { judge_anew = function(_, t) log[#log + 1] = "judge " .. t.name end } }
  instead({ { distill, "remake", function(_, options)
    expect(options):equals "options"
    if fails then error("no such loss", 0) end
    return training(name or "new", log, 5)
  end }, { streams, "state", function() return world.stream end },
    { streams, "load_state", function(kept) log[#log + 1] = "streams " .. kept end },
    { source, "hand_over", function(from, to) return from == "stand-in" and to == run and "samplers" end },
    { source, "take_back", function(samplers, to) log[#log + 1] = "take back " .. samplers .. (to == run and "" or "?") end } }, function()
    fn(function(begins)
      return live_training.make(run, old, { params = "new params", options = "options", stand_in = "stand-in" }, begins)
    end, run, log, world, old)
  end)
end

local function students(run) return { run.students[1].student.name, run.students[2].student.name } end

describe("a training that is swapped", function()
  it("goes on from where the one before stood, with its students and place", function()
    with_swap(function(make, run, log)
      local one, trial = make()
      expect({ one.live_index, one.number, run.params, students(run), trial.works })
        :equals { 4, 5, "new params", { "student of new", "another" }, false }
      expect(log):equals { "settle", "new at 5", "judge new", "remember new" }
    end)
    with_swap(function(make, _, log)
      make(true)  -- whose weights the script's own student gets in the end, and keeps its own until then
      expect(log):equals { "settle", "student of old has student of new", "student of old has student of old", "remember new" }
    end)
    with_swap(function(make, run, log, _, old)
      local ok, why = pcall(make, true)
      expect({ ok, why, old.student.kept, run.params }):equals { false, "shapes differ", "student of old", "old params" }
      expect(log):equals { "settle", "student of old has student of old", "take back samplers" }
    end, nil, "misfit")
  end)
  it("leaves all as it was where it cannot be made", function()
    with_swap(function(make, run, log)
      local ok, why = pcall(make)
      expect({ ok, why, run.params, students(run), log }):equals { false, "no such loss", "old params", { "student of old", "another" },
        { "settle", "take back samplers" } }
    end, true)
  end)
  it("is taken back to the swap before it has shown that it works", function()
    with_swap(function(make, run, log, world, old)
      local one, trial = make()
      world.stream, run.step_number, old.number = 2, 120, 77
      trial:keep(one, 3)
      trial:passed(false)
      expect(trial.here):equals(nil)
      for i = #log, 1, -1 do log[i] = nil end
      expect(trial:take_back(one) == old):is_true()
      expect({ log, run.params, students(run), run.step_number, old.number }):equals { { "take back samplers", "old at 5", "streams 1" },
        "old params", { "student of old", "another" }, 105, 5 }
    end)
    with_swap(function(make, _, log, _, old)  -- one that began with it has no state yet
      local one, trial = make(true)
      for i = #log, 1, -1 do log[i] = nil end
      trial:take_back(one)
      expect({ log, old.number }):equals { { "take back samplers", "streams 1" }, 5 }
    end)
  end)
  it("is taken back to where it stands once it works: to the boundary that goes on, or before the step", function()
    for _, at_boundary in ipairs { true, false } do
      with_swap(function(make, run, log, world, old)
        local one, trial = make()
        trial.previous = "the one before"
        world.stream = 2
        trial:passed(true)
        expect({ trial.works, trial.kept, trial.previous, trial.streams }):equals { true, nil, nil, 2 }
        world.stream = 3
        trial:passed(false)
        expect({ trial.works, trial.streams }):equals { true, 3 }
        world.stream, one.number, one.s.step, old.s.step = 4, 9, 9, 9
        if at_boundary then trial:keep(one, 6) end
        for i = #log, 1, -1 do log[i] = nil end
        trial:take_back(one)
        local wanted = at_boundary and { "take back samplers", "old at 9", "streams 4" }
          or { "step of new taken back", "take back samplers", "old at 9", "streams 3" }
        expect({ log, run.step_number, old.boundary_due, students(run) }):equals { wanted, 109, at_boundary and 6 or nil,
          { "student of old", "another" } }
      end)
    end
  end)
end)
