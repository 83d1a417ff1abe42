--- What `gradus run SCRIPT` does: plan the script's runs, execute each in a fresh Lua state, show them side by side.
local host = require "gradus.host"
local sorted_keys = require "gradus.base.sorted_keys"
require "gradus.base.pristine"  -- before the script

local runner = {}

--- The experiment that the script returns, or nil when it has done its work.
function runner.load(options)
  local chunk = host.load_script()
  host.entering(chunk)
  local value = chunk()
  local experiment = require "gradus.experiment.experiment"
  if value ~= nil and not experiment.is(value) then
    host.fail(("%s: the script returned a %s; expected `return g.experiment { … }`, or nothing"):format(options.script, type(value)))
  end
  return value
end

--- The experiment that the script returns, for a command that does nothing without one.
---@param command string   whom errors blame
---@param options table
function runner.expect(command, options)
  return runner.load(options) or host.fail(("%s: the script returns no experiment"):format(command), 65)
end

--- Raises where --set is given to a script that has done its work when it was read.
function runner.refuse_set(options)
  if options.set and #options.set > 0 then host.fail("--set: the script returns no experiment, so it has no parameters", 64) end
end

--- The runs that the script makes, in words. A script that returns no experiment has done its work by now: none.
---@param options table  the command line
---@return string[]
function runner.plan(options)
  local experiment = runner.load(options)
  if not experiment then
    runner.refuse_set(options)
    return {}
  end
  return runner.labels(experiment:plan(options))
end

-- The names of the parameters that are not the same in all runs, in order.
local function varied(plan)
  local seen, names = {}, {}
  for _, one in ipairs(plan) do
    for key, value in pairs(one.given) do seen[key] = seen[key] or value ~= plan[1].given[key] end
    for key in pairs(plan[1].given) do seen[key] = seen[key] or one.given[key] == nil end
  end
  for _, key in ipairs(sorted_keys(seen)) do
    if seen[key] then names[#names + 1] = key end
  end
  return names
end

local function in_words(plan, i, names)
  local words = {}
  for _, key in ipairs(names) do words[#words + 1] = key .. "=" .. tostring(plan[i].given[key]) end
  if #words == 1 then words[1] = words[1]:gsub("^[^=]*=", "") end
  if #plan > 1 then table.insert(words, 1, ("%d/%d"):format(i, #plan)) end
  words[#words + 1] = "seed " .. plan[i].seed
  return table.concat(words, " ")
end

--- A run in words: its number, what tells it from the others, its seed.
function runner.describe(plan, i) return in_words(plan, i, varied(plan)) end

--- All of them.
---@return string[]
function runner.labels(plan)
  local names, labels = varied(plan), {}
  for i = 1, #plan do labels[i] = in_words(plan, i, names) end
  return labels
end

local function close(run, ok, result)
  if ok then
    run:finish "finished"
  elseif run.interrupted then
    run:finish("interrupted", run.interrupted)
  elseif host.exiting() then
    run:finish(host.exiting() == 0 and "finished" or "failed", ("os.exit(%d)"):format(host.exiting()))
  else
    local text = host.error_text(result)  -- what was thrown may be anything, and tostring of it an error
    pcall(run.event, run, "error", "script", { message = text })
    run:finish("failed", text)
  end
end

--- Opens what a run needs: threads, device, store. Before the script, whose fault neither a bad device nor a bad store is.
function runner.prepare(options)
  local engine = require "gradus.engine"
  engine.set_threads(options.threads or 1)
  engine.device(options.device or "cpu")
  return require("gradus.store").open(options.store)
end

--- Executes run number i of the plan, in this Lua state. Returns its result as JSON.
function runner.execute(options, i)
  local store = runner.prepare(options)
  if options.live then require "gradus.experiment.live_edit" end  -- knows the user's modules by being there before them
  local experiment = runner.load(options)
  local plan = experiment:plan(options)
  return runner.execute_one(options, store, experiment, plan[i], runner.describe(plan, i))
end

-- The metric whose curve tells most of the run, of those that it logged.
local function curve_of(run)
  local names = {}
  for name in pairs(run.keys) do
    if not name:find "^result/" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs { "val/acc", "val/loss", "train/loss" } do
    if run.keys[name] then return name end
  end
  return names[1]
end

-- A parameter that the script has set anew trains with another value than the store knows.
local function tell_changed(run, stored, used, prefix)
  for name, value in pairs(stored) do
    local now = rawget(used, name)  -- one that is gone is no misspelt one
    if type(value) == "table" and type(now) == "table" then tell_changed(run, value, now, prefix .. name .. ".")
    elseif now ~= value and not (now ~= now and value ~= value) then
      run:warn("params", ("run: parameter '%s' was set to %s; the store has %s; expected a local of another name"):format(prefix .. name,
        tostring(now), tostring(value)))
    end
  end
end

-- How often snapshots are taken: as the command line says, or the experiment.
local function policy_of(options, experiment)
  local text = options.snapshots or experiment.snapshots
  local policy = require("gradus.experiment.snapshots").policy(text)
  if not policy then host.fail(("--snapshots: expected steps (100), a time (30s, 5m) or none; got '%s'"):format(tostring(text)), 64) end
  return policy
end

-- Whether a run that goes on, or a fork, will not be what its parameters and code alone would make of it. What it was is told then.
local function tell_past(store, one)
  local detail, of = one.detail, one.resumes or one.forks
  local other = detail and (one.forks or one.goal and require("gradus.experiment.run_writer").is_apart(detail))
  if other then detail.config = store:query("SELECT config_hash AS hash FROM runs WHERE id = ?", of)[1].hash end
end

-- A run of the store that begins, or goes on as `one` says.
local function begin(options, store, experiment, one, label, flat, nested)
  tell_past(store, one)
  local run = require("gradus.experiment.run").begin { store = store, name = one.name or options.name or experiment.name, seed = one.seed,
    flat = flat, params = nested, options = options, label = label, policy = policy_of(options, experiment), resumes = one.resumes,
    goal = one.goal, forks = one.forks, set = one.set, detail = one.detail }
  if one.detail then
    local step = one.goal and one.goal.point.step or run.step_number
    local writer = one.goal and run.unmuted or run.writer
    writer:event(step, "resume", one.detail.kind or "resume", host.json_encode(one.detail))
  end
  if options.live then run.live = require("gradus.experiment.live_edit").new(run, options, one.given, flat) end
  run.save_students = experiment.save ~= false
  host.open_log(run.folder .. "/log.txt")
  host.log("info", ("run %d (%s): %s"):format(run.id, run.uid, label))
  return run
end

-- What a run came to, for those who asked for it (summary.lua); `ok`: it has not been interrupted.
local function as_json(run, flat, ok, result, others, seconds, curve)
  local returned = {}
  for _, part in ipairs(ok and { result, others } or {}) do
    for name, value in pairs(part) do returned[name] = value end
  end
  return host.json_encode { id = run.id, uid = run.uid, name = run.name, seed = run.seed, params = flat, result = returned,
    others = ok and others or nil, seconds = seconds, curve = curve, status = ok and "finished" or "interrupted" }
end

--- Executes one run of an experiment. Returns its result as JSON.
---@param one {seed: number, given: table, resumes: number?, goal: table?}  of the experiment's plan, or a run that goes on
---@param label string                      it in words
---@param watched? fun(run: Run, name: string, value: number, step: number)  is told what the run logs
function runner.execute_one(options, store, experiment, one, label, watched)
  local params = require "gradus.experiment.params"
  local flat = params.resolve(experiment.specs, one.given)
  local nested = params.nest(flat)
  local run = begin(options, store, experiment, one, label, flat, nested)
  if watched then run.listener = function(...) watched(run, ...) end end
  host.entering(experiment.run)
  local ok, result, others = xpcall(function()
    experiment:declare_metrics(run)
    if not (one.resumes or one.forks) then require("gradus.experiment.seeds").store(run, experiment.grid.seed) end  -- they have it
    local returned = experiment.run(run, nested)
    run.snapshots:expect_arrival()
    tell_changed(run, params.nest(flat), nested, "")
    return run:store_result(returned)
  end, host.traceback)
  local curve = curve_of(run)
  close(run, ok, result)
  if not ok and not run.interrupted then error(result, 0) end
  local seconds = host.monotonic() - run.began
  if ok then
    local duration = require("gradus.base.console").duration(seconds)
    run.line.done(("%s  %s"):format(duration, require("gradus.experiment.summary").line(experiment, result, others)))
  end
  return as_json(run, flat, ok, result, others, seconds, curve)
end

--- Prints what the runs came to; see summary.lua.
---@param options table
---@param texts string[]    what execute returned
---@param experiment table?  where the script was loaded before
function runner.summarize(options, texts, experiment)
  experiment = experiment or runner.load(options)
  local plan = experiment:plan(options)  -- the command line's lists are part of its grid
  require("gradus.experiment.summary").show(options, texts, experiment, plan)
end

--- Executes one run and prints what it came to. Returns the process's exit code; see execute_one.
function runner.execute_alone(options, store, experiment, one, label)
  local text = runner.execute_one(options, store, experiment, one, label)
  local stopped = require("gradus.children").stop_code()
  if stopped ~= 0 then return stopped end
  runner.summarize(options, { text }, experiment)
  return 0
end

return runner
