--- A new version of a live run's script, asked for what it would do where the run stands (live_edit.lua): its `run` function is called
--- with a stand-in that writes nothing. Trainings that are over give what they gave, loops of the script's own that are over do nothing,
--- and the training or loop that goes on ends the rehearsal.
local host = require "gradus.host"
local current = require "gradus.base.current"
local nn = require "gradus.nn"
local params = require "gradus.experiment.params"
local run_writer = require "gradus.experiment.run_writer"
local random_streams = require "gradus.experiment.streams"
local stand_in_for = require "gradus.experiment.stand_in"

local rehearsal = {}

-- What is wrong with the new version, on no line of it.
local function refuse(text, ...) error(text:format(...), 0) end

local function nothing() end

-- What takes the place of `run` while the new version is asked.
local function stand_in_of(live, nested, index, capture)
  local run, count = live.run, 0
  local asked = {}

  function asked.train(_, _, given, where)
    count = count + 1
    if count == index then error({ reached = true, given = given, where = where }) end
    local done = live.done[count]
    if not done or done.loop then
      refuse("%s: training %d is a %s now, and was a loop over run:batches", live.options.script, count, where)
    end
    given.student:load_state_dict(done.student:state_dict())
    given.student:eval()
    local again = {}
    for name, value in next, done do again[name] = value end
    again.student = given.student
    return setmetatable(again, getmetatable(done))
  end

  -- What run:batches gives: an iterator.
  function asked.loops()
    count = count + 1
    if count == index and capture then
      return function() error({ reached = true, where = "batches", found = capture(debug.getinfo(2, "f").func, nested) }) end
    end
    if count == index then error({ reached = true, where = "batches" }) end
    -- What comes after it may be made of what it came to: of what is called in a loop only the code counts.
    if capture and live.done[count] and live.done[count].loop then return nothing end
    refuse "a loop over run:batches would be done again; live edits reach what distill and fit train before it"
  end

  function asked.looks_ahead() refuse "a look-ahead would be done again; live edits reach what distill and fit train before it" end

  return stand_in_for(run, { live = asked, line = run_writer.silent(), params = nested, threads = run.threads,
    step_number = run.step_number, students = false, save_students = false, listener = false, ending = false, loop_knobs = false,
      parent = false,
    unmuted = false, snapshots = run.snapshots, trained = run.trained })
end

-- Calls fn() as a run's beginning would find the random streams; afterwards they are where they were.
local function in_own_streams(run, fn)
  local streams, init, before = random_streams.state(run), nn.init_generator, current.run
  random_streams.begin(run.seed)
  local ok, result = pcall(fn)
  nn.init_generator, current.run = init, before
  random_streams.load_state(streams)
  if not ok then error(result, 0) end
  return result
end

-- Calls fn(…); os.exit in it fails, and does not end the run that goes on. Where the new version has kept it, it ends the run later.
local function without_exit(fn, ...)
  local exit, asking = os.exit, true
  rawset(os, "exit", function(code)
    if asking then error(("os.exit(%s) before the training that goes on"):format(code == nil and "" or tostring(code)), 2) end
    exit(code)
  end)
  local ok, result = pcall(fn, ...)
  rawset(os, "exit", exit)
  asking = false
  if not ok then error(result, 0) end
  return result
end

local function ask(live, where, index, capture)
  local script = live.options.script
  local experiment = require("gradus.experiment.runner").load(live.options)
  if not experiment then refuse("%s: the script returns no experiment any more", script) end
  local flat = params.resolve(experiment.specs, live.given)
  local nested = params.nest(flat)
  local stand_in = stand_in_of(live, nested, index, capture)
  local met = in_own_streams(live.run, function()
    current.run = stand_in
    host.entering(experiment.run)
    local ok, why = pcall(experiment.run, stand_in, nested)
    if not ok and type(why) == "table" and why.reached then return why end
    if not ok then error(why, 0) end
    refuse("%s: the run function ended after %d of its trainings; expected the one that goes on", script, index - 1)
  end)
  if met.where ~= where then refuse("%s: training %d is a %s now, and was a %s", script, index, met.where, where) end
  return { options = met.given, found = met.found, params = nested, flat = flat, stand_in = stand_in }
end

--- Asks the new version. Raises where it does something else, or nothing.
---@param live LiveEdit
---@param where string       what goes on: "distill", "fit" or "batches"
---@param index number       the how manieth of the run's trainings and loops that is
---@param capture? fun(fn: function, params: table): table  called where the loop of the new version stands, with its function
---@return {options: table?, found: table?, params: table, flat: table, stand_in: Run}
function rehearsal.ask(live, where, index, capture)
  return without_exit(ask, live, where, index, capture)
end

return rehearsal
