-- A run that is done again to have its student's weights at some steps: which trainings are followed, and when it is enough.
local axes = require "gradus.experiment.axes"
local distill = require "gradus.training.distill"
local fork = require "gradus.experiment.fork"
local g = require "gradus"
local instead = require "instead"

-- The module, with what does a run again said to give `run` and "given".
local function retrace_of(run)
  local done_again, name = "gradus.experiment.done_again", "gradus.experiment.retrace"
  local kept = { package.loaded[done_again], package.loaded[name] }
  package.loaded[done_again], package.loaded[name] = function(_, _, _, _, how)
    run.how = how
    return run, "given"
  end, nil
  local retrace = require(name)
  package.loaded[done_again], package.loaded[name] = unpack(kept)
  return retrace
end

-- Retraces steps of a run whose trainings end at these steps, each on an axis of its own, the first on 1; weights are the step.
local function retraced(steps, ends, of)
  of = of or {}
  local line = { clear = function() of.cleared = (of.cleared or 0) + 1 end }
  local run = { step_number = of.goal and of.goal.point.step or 0, axis = 1, line = line, boundaries = {} }
  local weight = g.zeros { 1 }
  local wants = {}
  instead({ { axes, "last", function() return of.last or #ends end }, { fork, "beginning", function() return of.goal end },
    { fork, "check_replays", function(_, id, from, to) run.checked = { id, from, to } end },
    { distill, "make", function()
      return { run = run, before = of.before or 0, ahead = {},
        student = { axis = run.axis, state_dict = function() return { w = weight } end } }
    end },
    { distill, "train", function(training)
      for step = run.step_number + 1, ends[run.axis] do
        run.step_number = step
        weight:fill_(step)
        run.boundaries[#run.boundaries + 1] = step
        if training.at_boundary then training.at_boundary(training, step == ends[run.axis]) end
        wants[step] = training.ahead.wants
      end
    end } }, function()
    local retrace = retrace_of(run)
    local experiment = { run = function(_, given)
      assert(given == "given")
      run.live.loops()
      for axis = 1, #ends do
        run.axis, run.step_number = axis, axis == 1 and run.step_number or 0
        weight:fill_(run.step_number)
        run.live.train(nil, run, "data of " .. axis, "distill")
      end
      if of.fails then error "oh" end
    end }
    run.found, run.student, run.given = retrace("options", "store", experiment, { id = 7 }, steps)
  end)
  local weights = {}
  for _, step in ipairs(steps) do weights[step] = run.found[step].w:item() end
  return run, weights, wants
end

describe("a run that is done again", function()
  it("gives its student's weights at the steps, and is left after the last", function()
    local run, weights, wants = retraced({ 0, 2, 5 }, { 9 })
    expect({ weights, #run.boundaries, run.given, run.checked }):equals { { [0] = 0, [2] = 2, [5] = 5 }, 5, "data of 1", { 7, 0, 5 } }
    expect({ wants[1], wants[2], wants[4] }):equals { 2, 5, 5 }
    expect({ run.how.quiet, run.how.goal }):equals { true, nil }
  end)
  it("follows its last training alone", function()
    local run, weights = retraced({ 1, 3 }, { 4, 6 })
    expect({ weights, run.student.axis, run.given, #run.boundaries }):equals { { [1] = 1, [3] = 3 }, 2, "data of 2", 7 }
  end)
  it("counts what is wanted from the training's own beginning", function()
    local _, _, wants = retraced({ 4 }, { 9 }, { before = 3 })
    expect(wants[1]):equals(1)
  end)
  it("goes on from where it was forked", function()
    local run, weights = retraced({ 3, 4 }, { 9 }, { goal = { point = { step = 3 }, student = { w = g.full({ 1 }, 3) } } })
    expect({ weights, run.checked, run.how.goal.point.step }):equals { { [3] = 3, [4] = 4 }, { 7, 3, 4 }, 3 }
  end)
  it("is refused where it has no such step, or fails before it", function()
    expect(function() retraced({ 2, 12 }, { 9 }) end):fails_with "landscape: run 7, done again, has no step 12"
    expect(function() retraced({ 12 }, { 9 }, { fails = true }) end):fails_with "oh"
    expect(function() retraced({ 2 }, { 9 }, { last = 5 }) end):fails_with "has no step 2"
  end)
end)

describe("the line of a run that is done again", function()
  it("is gone when it is over, however it ended", function()
    local done, failed = {}, { fails = true }
    retraced({ 2 }, { 9 }, done)
    expect(function() retraced({ 12 }, { 9 }, failed) end):fails_with "oh"
    expect({ done.cleared, failed.cleared }):equals { 1, 1 }
  end)
end)

describe("what ends the command where a run has no such step", function()
  it("is the data's fault", function()
    local codes = {}
    require "instead"({ { require "gradus.host", "fail", function(_, code)
      codes[#codes + 1] = code
      error("told", 0)
    end } }, function() pcall(retraced, { 2, 12 }, { 9 }) end)
    expect(codes):equals { 65 }
  end)
end)
