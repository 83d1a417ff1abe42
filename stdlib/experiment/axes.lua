--- The axes of a run's steps: each training of it counts from its own beginning. The last one's rows are the run's; those of an earlier
--- one become a run below it when the next begins.
local host = require "gradus.host"

local axes = {}

--- As Run:begin_training.
---@param run Run
---@param name string
---@param prefixes string[]
---@return number
function axes.begin(run, name, prefixes)
  local before = run.trained
  -- An open loop is a training of its own after a teacher's fit; several loops, or one that looks at a student, are not.
  local own = before and (name ~= "batches" or before.name == "fit")
  if own then run.axis = run.axis + 1 end
  if own and not run.dry then
    run.readback:settle()
    run.looked:settle()
    run.writer:split { name = before.name, kind = "training", prefixes = host.json_encode(before.prefixes) }
    run.step_number, run.latest = 0, {}
  end
  if own or not before then run.trained = { name = name, prefixes = prefixes } end
  return run.step_number
end

--- The axis of a stored run's own rows, from 1. A fork has those before it from its origin.
---@param store table
---@param id number
---@return number
function axes.last(store, id)
  local trainings = store:query("SELECT count(*) AS n FROM runs WHERE parent = ? AND kind = 'training'", id)[1].n
  local own = store:query([[SELECT json_extract(detail, '$.axis') AS axis, f.origin AS origin FROM forks f JOIN events e
    ON e.run_id = f.run_id WHERE f.run_id = ? AND e.kind = 'resume' AND e.name = 'fork' ORDER BY e.id DESC LIMIT 1]], id)[1]
  if not own then return 1 + trainings end
  return trainings + (own.axis or own.origin and axes.last(store, own.origin) or 1)
end

return axes
