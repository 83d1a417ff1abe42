--- A run of the store that is done again, with the same bits and without writing: `gradus fork` has a snapshot taken of a step of it,
--- `gradus landscape` looks at its students.
local params = require "gradus.experiment.params"
local resume = require "gradus.experiment.resume"
local run_module = require "gradus.experiment.run"
local run_writer = require "gradus.experiment.run_writer"

-- All of the run is in the store.
local function writer_of(store, row, point)
  return run_writer.silent { id = row.id, uid = row.uid, folder = store.folder .. "/" .. row.uid, key = function(_, name) return name end,
    point = point }
end

--- Begins it. Returns it and the parameters, with which the experiment's function is to be called.
---@param options table     the command line
---@param store table
---@param experiment table
---@param row {id: number, uid: string, name: string, seed: number}
---@param how {goal: table?, point: (fun(): table)?, quiet: boolean?}  goal: the snapshot that it goes on from; point: what a snapshot of it
---   says of the store; quiet: nothing is said, and no snapshot taken
---@return Run
---@return table
return function(options, store, experiment, row, how)
  local flat = params.resolve(experiment.specs, (resume.given_of(store, row.id, experiment.specs, how.goal)))
  local nested = params.nest(flat)
  local run = run_module.begin { store = store, name = row.name, seed = row.seed, flat = flat, params = nested,
    options = how.quiet and setmetatable({ quiet = true }, { __index = options }) or options, label = ("run %d"):format(row.id),
    goal = how.goal, again = writer_of(store, row, how.point), policy = how.quiet and { none = true } or nil }
  run.save_students = false
  return run, nested
end
