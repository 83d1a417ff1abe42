--- `gradus fork RUN --at STEP`: a new run that was another one until that step and is its own from there: other parameters, another
--- script. Without either it is the same run again, bit for bit. Where no snapshot was taken at the step, the run is done again from the
--- one before it, without writing, to have one (`prepare`, in a Lua state of its own). `gradus resume RUN --set …` of a finished run
--- does the same at its end.
local axes = require "gradus.experiment.axes"
local children = require "gradus.children"
local done_again = require "gradus.experiment.done_again"
local host = require "gradus.host"
local resume = require "gradus.experiment.resume"
local runner = require "gradus.experiment.runner"
local shown = require "gradus.base.shown"
local snapshot_files = require "gradus.experiment.snapshot_files"
local sorted_keys = require "gradus.base.sorted_keys"

local fork = {}

local USAGE, DATA = 64, 65

-- The step of --at, on the axis of the run's last training; "end" is its last.
local function step_of(store, id, text)
  local last = store:query("SELECT max(step) AS step FROM progress WHERE run_id = ?", id)[1].step
  if not last then host.fail(("fork: run %d has made no step"):format(id), USAGE) end
  if text == "end" then return last end
  if not text then host.fail(("fork: no --at; expected a step from 1 to %d, or end"):format(last), USAGE) end
  local step = tonumber(text)
  if not step or step % 1 ~= 0 or step < 1 then
    host.fail(("fork: --at: expected a step from 1 to %d; got '%s'"):format(last, tostring(text)), USAGE)
  end
  if step > last then host.fail(("fork: --at: run %d came to step %d; got %d"):format(id, last, step), USAGE) end
  return step
end

--- Raises where the run, done again, would not be what it was: its parameters or knobs changed on the way.
function fork.check_replays(store, id, from, to)
  local longer = store:query([[SELECT min(json_extract(detail, '$.from')) AS step FROM events WHERE run_id = ? AND kind = 'resume'
    AND name = 'resume' AND json_extract(detail, '$.set') IS NOT NULL AND json_extract(detail, '$.from') > ?]], id, from)[1].step
  local edited = store:query("SELECT min(step) AS step FROM events WHERE run_id = ? AND kind = 'edit' AND step > ? AND step <= ?", id, from,
    to)[1].step
  local step = longer or edited
  if not step then return end
  host.fail(("run %d cannot be done again from step %d to %d, as it was %s at step %d; expected a step that a snapshot is left of (`gradus "
    .. "show %d`), or a later one"):format(id, from, to, longer and "given other parameters" or "edited", step, id), DATA)
end

-- Of the run's snapshots the nearest that is not after the step.
local function nearest(folder, axis, step)
  local all = snapshot_files.list(folder)
  for i = #all, 1, -1 do
    local kept = snapshot_files.open(all[i].file)
    if kept and kept.run.axis == axis and kept.point.step <= step then
      kept.folder = folder
      return kept
    end
  end
end

-- What the store has of the run until the step, as Writer:point() would have told it there: a look-ahead's round begins after it, with
-- its decision.
local function point_at(store, id, step)
  local found = store:query([[SELECT (SELECT coalesce(max(id), 0) FROM events WHERE run_id = ?1 AND coalesce(step, 0) <= ?2
      AND kind NOT IN ('flops', 'returned', 'result') AND id < coalesce((SELECT min(id) FROM events WHERE run_id = ?1 AND step = ?2
        AND kind = 'decision' AND name = 'lookahead'), 9223372036854775807)) AS event,
    (SELECT coalesce(max(id), 0) FROM runs WHERE parent = ?1) AS child,
    (SELECT coalesce(max(step), -1) FROM progress WHERE run_id = ?1 AND step <= ?2) AS progress,
    (SELECT json_group_array(key) FROM (SELECT DISTINCT key FROM metrics WHERE run_id = ?1 AND step <= ?2 AND key NOT LIKE 'result/%'))
      AS keys]], id, step)[1]
  return { event = found.event, child = found.child, progress = found.progress, keys = found.keys, step = step }
end

-- Does the run again until the step, where a snapshot is taken; others may be on the way there. Returns the process's exit code.
local function again(options, store, experiment, row, goal, axis, step)
  local run, given
  run, given = done_again(options, store, experiment, row,
    { goal = goal, point = function() return point_at(store, row.id, run.step_number) end })
  run.snapshots.stop = { step = step, axis = axis }
  local ok, why = xpcall(experiment.run, host.traceback, run, given)
  run.line.clear()
  if run.snapshots.reached then return 0 end
  if run.interrupted then return children.stop_code() end
  local stop = run.snapshots.stop
  if stop.after or ok and run.step_number >= step then
    host.fail(("fork: --at: run %d looks ahead, and is saved where its rounds end; expected %s; got %d"):format(row.id,
      table.concat({ stop.before or stop.after or "a run of more rounds", stop.before and stop.after }, " or "), step), USAGE)
  end
  if not ok then error(why, 0) end
  host.fail(("fork: run %d, done again, ended at its step %d, before step %d; expected a script that does what it did"):format(row.id,
    run.step_number, step), DATA)
end

--- Raises where --set names what the script has not.
---@param options table  the command line
function fork.check_set(options)
  resume.set_of(runner.expect("fork", options), options)
  return 0
end

--- Sees to it that a snapshot of the step is there. Returns the process's exit code.
---@param options table  the command line; run, at
function fork.prepare(options)
  local store = runner.prepare(options)
  local id = tonumber(options.run)
  local row = resume.row_of("fork", store, id)
  local step, axis, folder = step_of(store, id, options.at), axes.last(store, id), store.folder .. "/" .. row.uid
  local goal = nearest(folder, axis, step)
  if goal and goal.point.step == step then return 0 end
  goal = goal or fork.beginning(store, id)
  if goal and goal.point.step > step then
    local of = store:query("SELECT origin FROM forks WHERE run_id = ?", id)[1].origin
    host.fail(("fork: --at: run %d is a fork of run %d at step %d, and that run until then; expected a later step, or `gradus fork %d "
      .. "--at %d`"):format(id, of, goal.point.step, of, step), USAGE)
  end
  fork.check_replays(store, id, goal and goal.point.step or 0, step)
  local experiment = runner.expect("fork", options)
  resume.check_same("fork", store, id, goal, options)
  if not options.quiet and not options.json then
    host.write(2, ("run %d is done again from %s to step %d\n"):format(id, goal and "step " .. goal.point.step or "its beginning", step))
  end
  return again(options, store, experiment, row, goal, axis, step)
end

--- The snapshot that `prepare` has seen to.
function fork.goal(store, id, at)
  local row = resume.row_of("fork", store, id)
  return nearest(store.folder .. "/" .. row.uid, axes.last(store, id), step_of(store, id, at)), row
end

-- What the new run's own snapshot is: taken when it stands where the other one stood.
local function keep_beginning(run)
  run.snapshots:take(run.snapshots.outer, false, true)
end

--- Where a fork began: its origin's snapshot, for one that has none of its own, with the fork's own rows until then. nil where the run is
--- no fork. Raises where the origin has it no more.
---@param store table
---@param id number
---@param keep? boolean   whether the run is to have it too, once it stands there
function fork.beginning(store, id, keep)
  local of = store:query("SELECT origin, uid, step FROM forks WHERE run_id = ?", id)[1]
  if not of then return nil end
  local goal = of.origin and fork.goal(store, of.origin, of.step)
  if not goal or goal.point.step ~= of.step then
    host.fail(("run %d was forked off run %s at step %d, of which no snapshot is left; expected `gradus fork` again"):format(id,
      of.origin or of.uid:sub(1, 8), of.step), DATA)
  end
  goal.point = point_at(store, id, of.step)
  if keep then goal.on_arrival = keep_beginning end
  return goal
end

-- A fork has its origin's parameters: what another script gives as their defaults has no effect.
local function tell_defaults(options, id, specs, given, set)
  if options.quiet or options.json or options.script == options.own_script then return end
  for _, key in ipairs(sorted_keys(given)) do
    local default = specs[key].default
    if set[key] == nil and given[key] ~= default then
      host.write(2, ("fork: %s = %s, as run %d has it; %s, the default of %s, takes --set %s=%s\n"):format(key, shown.text(given[key]), id,
        shown.text(default), options.script, key, tostring(default)))
    end
  end
end

--- `gradus fork`, once `prepare` has run. Returns the process's exit code.
---@param options table  the command line; run, at, set
function fork.run(options)
  local store = runner.prepare(options)
  local experiment = runner.expect("fork", options)
  local id = tonumber(options.run)
  local goal, row = fork.goal(store, id, options.at)
  goal.on_arrival, goal.other = keep_beginning, true
  local given, set = resume.given_of(store, id, experiment.specs, goal), resume.set_of(experiment, options)
  goal.as_it_was = next(set) == nil
  tell_defaults(options, id, experiment.specs, given, set)
  for key, value in pairs(set) do given[key] = value end
  local one = { seed = row.seed, given = given, forks = id, goal = goal, name = options.name or row.name,
    detail = { kind = "fork", run = id, uid = row.uid, at = goal.point.step, axis = goal.run.axis, set = next(set) and set or nil } }
  return runner.execute_alone(options, store, experiment, one, ("fork of run %d at step %d"):format(id, goal.point.step))
end

return fork
