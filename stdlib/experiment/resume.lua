--- `gradus resume RUN`: a run that was interrupted, or has failed, goes on from its newest snapshot, with the same bits that it would
--- have had. The script runs again from the top (snapshots.lua); what would change the bits is refused by name, or accepted and stored.
local host = require "gradus.host"
local params = require "gradus.experiment.params"
local runner = require "gradus.experiment.runner"
local snapshots = require "gradus.experiment.snapshots"

local resume = {}

local USAGE, DATA = 64, 65

-- --- what the store knows of the run -----------------------------------------------------------------------------------

local function row_of(store, id)
  local row = store:query([[SELECT r.id, r.uid, r.name, r.status, r.seed, r.kind, r.parent, r.threads, p.uid AS parent_uid
    FROM runs r LEFT JOIN runs p ON p.id = r.parent WHERE r.id = ?]], id)[1]
  if row.status == "running" then host.fail(("resume: run %d is running; expected one that is over"):format(id), USAGE) end
  if row.parent then
    host.fail(("resume: run %d is a part of run %d; expected `gradus resume %d`"):format(id, row.parent, row.parent), USAGE)
  end
  return row
end

local function given_of(store, id, specs)
  local given = {}
  for _, one in ipairs(store:query("SELECT key, value, type FROM params WHERE run_id = ?", id)) do
    if specs[one.key] then
      if one.type == "boolean" then given[one.key] = one.value == 1 else given[one.key] = one.value end
    end
  end
  return given
end

-- Sources that are no longer what the run had: { name, was, now } each.
local function changed_sources(store, id)
  local now, found = {}, {}
  for _, source in ipairs(host.sources()) do now[source.path] = source.sha256 end
  for _, one in ipairs(store:query("SELECT path, sha256 FROM run_sources WHERE run_id = ? ORDER BY path", id)) do
    if now[one.path] and now[one.path] ~= one.sha256 then
      found[#found + 1] = { name = "script", what = one.path, was = one.sha256:sub(1, 12), now = now[one.path]:sub(1, 12) }
    end
  end
  return found
end

-- --- what differs --------------------------------------------------------------------------------------------------------

local function accepted_of(text)
  local accepted = {}
  for word in (text or ""):gmatch "[^,%s]+" do accepted[word] = true end
  return accepted
end

local function in_words(one)
  return ("%s%s was %s, now %s"):format(one.name, one.what and " " .. one.what or "", one.was, one.now)
end

-- Raises unless all that differs was accepted; returns the list of what was.
local function agree(found, accepted)
  local refused, names, taken = {}, {}, {}
  for _, one in ipairs(found) do
    if accepted[one.name] then
      taken[#taken + 1] = in_words(one)
    else
      refused[#refused + 1] = in_words(one)
      names[one.name] = true
    end
  end
  if #refused > 0 then
    host.fail(("resume: other bits would follow: %s; expected the same, or --accept %s"):format(table.concat(refused, "; "),
      table.concat(params.sorted_keys(names), ",")), DATA)
  end
  return taken
end

-- --- going on ------------------------------------------------------------------------------------------------------------

--- What has a run of the store go on, as a run of an experiment's plan: { seed, given, resumes, goal, accepted }.
---@param store table
---@param id number
---@param experiment table
---@param options table   the command line
function resume.planned(store, id, experiment, options)
  local row = row_of(store, id)
  local folder = store.folder .. "/" .. row.uid
  local goal = snapshots.read(folder, function(text) host.write(2, "resume: " .. text .. "\n") end)
  if row.status == "finished" then
    host.fail(("resume: run %d is finished; expected an interrupted or failed one"):format(id), USAGE)
  end
  local found = changed_sources(store, id)
  if goal then
    local engine = require "gradus.engine"
    if not options.threads and goal.identity.threads ~= "auto" then options.threads = goal.identity.threads end
    engine.set_threads(options.threads or 1)
    for _, one in ipairs(snapshots.differences(goal, { device = engine.device(options.device or "cpu"), options = options })) do
      found[#found + 1] = one
    end
  end
  local taken = agree(found, accepted_of(options.accept))
  return { seed = row.seed, given = given_of(store, id, experiment.specs), resumes = id, name = row.name, goal = goal,
    detail = { from = goal and goal.point.step or 0, accepted = #taken > 0 and taken or nil } }
end

--- `gradus resume`. Returns the process's exit code.
---@param options table  the command line; options.run is the run's id
function resume.run(options)
  local store = runner.prepare(options)
  local experiment = runner.load(options)
  if not experiment then host.fail("resume: the script returns no experiment", DATA) end
  local one = resume.planned(store, tonumber(options.run), experiment, options)
  local label = ("run %d"):format(one.resumes)
  if not options.quiet and not options.json then
    host.write(2, one.goal and ("%s goes on after step %d\n"):format(label, one.goal.point.step)
      or ("%s has no snapshot: it begins anew\n"):format(label))
  end
  local text = runner.execute_one(options, store, experiment, one, label)
  local stopped = require("gradus.children").stop_code()
  if stopped ~= 0 then return stopped end
  runner.summarize(options, { text }, experiment)
  return 0
end

return resume
