--- `gradus resume RUN`: a run that was interrupted, or has failed, goes on from its newest snapshot, with the same bits that it would
--- have had; a finished one with --set, for longer. The script runs again from the top (snapshots.lua); what would change the bits is
--- refused by name, or accepted and stored.
local engine = require "gradus.engine"
local host = require "gradus.host"
local edits = require "gradus.experiment.edits"
local params = require "gradus.experiment.params"
local runner = require "gradus.experiment.runner"
local sameness = require "gradus.experiment.sameness"
local sources = require "gradus.experiment.sources"
local snapshot_files = require "gradus.experiment.snapshot_files"
local sorted_keys = require "gradus.base.sorted_keys"

local resume = {}

local USAGE = 64

-- --- what the store knows of the run -----------------------------------------------------------------------------------

--- The run's row; raises for a part of another run.
---@param command string  that wants it: "resume", "fork"
---@return {id: number, uid: string, name: string, status: string, seed: number}
function resume.row_of(command, store, id)
  local row = store:query("SELECT id, uid, name, status, seed, parent FROM runs WHERE id = ?", id)[1]
  if row.parent then
    host.fail(("%s: run %d is a part of run %d; expected `gradus %s %d`"):format(command, id, row.parent, command, row.parent), USAGE)
  end
  return row
end

--- A run's parameters where a snapshot was taken, or at its beginning, of those that the experiment still has; and those that were
--- edited later.
---@param goal table?  the snapshot
---@return table<string, any> given, table<string, any> then_other
function resume.given_of(store, id, specs, goal)
  local given, then_other = {}, {}
  for key, value in pairs(params.stored(store, id)) do
    if specs[key] then given[key] = value end
  end
  for key, value in pairs(edits.until_then(store, id, goal).params) do
    if specs[key] then given[key], then_other[key] = value, value end
  end
  return given, then_other
end

--- What --set says: one value each.
function resume.set_of(experiment, options)
  local set = {}
  for _, pair in ipairs(options.set or {}) do
    local values = params.parse_list(pair[1], pair[2], experiment.specs)
    if #values ~= 1 then host.fail(("--set: %s: expected one value; got %d"):format(pair[1], #values), USAGE) end
    set[pair[1]] = values[1]
  end
  return set
end

-- Sources that are no longer what the run had: { name, was, now } each, as sameness.lua says it, and as the store keeps it.
---@param had Edited
local function changed_sources(had)
  local now, found, changed = sources.now(), {}, {}
  for _, path in ipairs(sorted_keys(had.texts)) do
    if now[path] and now[path] ~= had.texts[path] then
      found[#found + 1] = { name = "script", what = path, was = had.texts[path]:sub(1, 12), now = now[path]:sub(1, 12) }
      changed[#changed + 1] = { path = path, was = had.texts[path], now = now[path] }
    end
  end
  if had.kept then
    found[#found + 1] = { name = "script", what = had.kept, was = "of the version before an edit", now = "of the file" }
  end
  return found, changed
end

-- --- what differs --------------------------------------------------------------------------------------------------------

--- Raises where the script or what computes differs from what the run had, unless --accept names it; returns what was accepted.
---@param where string
---@param store table
---@param id number
---@param goal table?     the snapshot
---@param options table   the command line, whose threads become those of the snapshot
---@return string[]
---@return { path: string, was: string, now: string }[]? files  the sources that are others, if any are
function resume.check_same(where, store, id, goal, options)
  local found, files = changed_sources(edits.until_then(store, id, goal))
  if goal then
    if not options.threads and goal.identity.threads ~= "auto" then options.threads = goal.identity.threads end
    engine.set_threads(options.threads or 1)
    for _, one in ipairs(sameness.differences(goal, { device = engine.device(options.device or "cpu"), options = options })) do
      found[#found + 1] = one
    end
  end
  return sameness.agree(where, found, options.accept), #files > 0 and files or nil
end

-- --- going on ------------------------------------------------------------------------------------------------------------

-- A finished run goes on at its end, as far as the new parameters let it.
local function longer(store, id, options, set)
  if not next(set) then
    host.fail(("resume: run %d is finished; expected an interrupted or failed one, or --set with a larger budget"):format(id), USAGE)
  end
  local way = options.schedules
  if way ~= "stretch" and way ~= "keep" then
    host.fail(("resume: schedules over the budget (rate, temperature, α and so on): expected --schedules stretch, over the new budget, "
      .. "or --schedules keep, as they were, standing still after the old one's end; got %s")
      :format(way and "'" .. way .. "'" or "neither"),
      USAGE)
  end
  local goal = require("gradus.experiment.fork").goal(store, id, "end")
  goal.schedules, goal.other = way, true
  return goal
end

--- What has a run of the store go on, as a run of an experiment's plan.
---@param store table
---@param id number
---@param experiment table
---@param options table   the command line
---@param set? table       parameters that have new values; what --set says where left out
---@return {seed: number, given: table, resumes: number, goal: table?, detail: table}
function resume.planned(store, id, experiment, options, set)
  local row = resume.row_of("resume", store, id)
  if row.status == "running" then host.fail(("resume: run %d is running; expected one that is over"):format(id), USAGE) end
  set = set or resume.set_of(experiment, options)
  local goal
  if row.status == "finished" then
    goal = longer(store, id, options, set)
  else
    if next(set) then
      host.fail(("resume: --set: run %d is not finished; expected `gradus fork %d --at STEP --set …`, which makes a run of its own")
        :format(id, id), USAGE)
    end
    goal = snapshot_files.newest(store.folder .. "/" .. row.uid, function(text) host.write(2, "resume: " .. text .. "\n") end)
      or require("gradus.experiment.fork").beginning(store, id, true)
  end
  local taken, others = resume.check_same("resume", store, id, goal, options)
  local given, changed = resume.given_of(store, id, experiment.specs, goal)
  for key, value in pairs(set) do given[key], changed[key] = value, value end
  return { seed = row.seed, given = given, resumes = id, name = row.name, goal = goal, set = changed,
    detail = { from = goal and goal.point.step or 0, accepted = #taken > 0 and taken or nil, files = others, set = next(set) and set or nil,
      schedules = goal and goal.schedules } }
end

--- `gradus resume`. Returns the process's exit code.
---@param options table  the command line; options.run is the run's id
function resume.run(options)
  local store = runner.prepare(options)
  local experiment = runner.expect("resume", options)
  local one = resume.planned(store, tonumber(options.run), experiment, options)
  local label = ("run %d"):format(one.resumes)
  if not options.quiet and not options.json then
    host.write(2, one.goal and ("%s goes on after step %d\n"):format(label, one.goal.point.step)
      or ("%s has no snapshot: it begins anew (the first is taken after 5 s; --snapshots 1s, or 100 steps, asks for more)\n")
        :format(label))
  end
  return runner.execute_alone(options, store, experiment, one, label)
end

return resume
