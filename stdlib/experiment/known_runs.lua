--- What the store has of a sweep's runs: what they came to, and what an earlier call or halving has left.
local finished = require "gradus.experiment.finished"
local halving = require "gradus.experiment.halving"
local snapshot_files = require "gradus.experiment.snapshot_files"

local known_runs = {}

--- All that a run has logged of a metric, in order.
---@param store table
---@param id number
---@param by string
---@return number[]
function known_runs.values(store, id, by)
  local values = {}
  for i, row in ipairs(store:query("SELECT value FROM metrics WHERE run_id = ? AND key = ? AND value IS NOT NULL ORDER BY step", id, by)) do
    values[i] = row.value
  end
  return values
end

--- The rung at which halving stopped a run; false of one that has left no snapshot to go on from.
---@param store table
---@param id number
---@param uid string
---@return number|false
function known_runs.stopped_at(store, id, uid)
  if #snapshot_files.list(store.folder .. "/" .. uid) == 0 then return false end
  local row = store:query([[SELECT json_extract(detail, '$.training') AS training, json_extract(detail, '$.evaluations') AS count
    FROM events WHERE run_id = ? AND kind = 'decision' AND name = 'halving' ORDER BY id DESC LIMIT 1]], id)[1]
  return row and row.training and halving.rung(row.training, row.count) or false
end

-- What a run and the trainings split from it have shown.
local function show(sweep, store, who, id)
  local parts = store:query("SELECT id FROM runs WHERE parent = ? AND kind = 'training' ORDER BY id", id)
  parts[#parts + 1] = { id = id }
  for training, part in ipairs(parts) do sweep.halving:showed(who, training, known_runs.values(store, part.id, sweep.by)) end
end

local function best_of(sweep, store, id)
  local column = sweep.greater and "max" or "min"
  local row = store:query(("SELECT %s AS best FROM summaries WHERE run_id = ? AND key = ?"):format(column), id, sweep.by)[1]
  return row and row.best
end

local function of_run(sweep, store, id)
  local row = store:query("SELECT status, uid FROM runs WHERE id = ?", id)[1]
  local stopped = row.status == "interrupted"
  return { result = { id = id, value = best_of(sweep, store, id), stopped = stopped },
    stopped_at = stopped and known_runs.stopped_at(store, id, row.uid) }
end

--- Looks trials' runs up: sweep.known gets, by trial and seed, { result: TrialResult, stopped_at: number|false } of one that came to
--- something, { left: its id } of one that can go on. One that halving stopped has come to something only for halving.
---@param sweep table
---@param trials Trial[]
function known_runs.look_up(sweep, trials)
  local store = require("gradus.store").open(sweep.options.store)
  local name, specs, plan, places = sweep.options.name or sweep.experiment.name, sweep.experiment.specs, {}, {}
  for _, one in ipairs(trials) do
    sweep.known[one.number] = {}
    for seed = 1, sweep.seeds do
      plan[#plan + 1] = one.plan[seed]
      places[#plan] = { number = one.number, seed = seed }
    end
  end
  local over, left = finished.ids(store, name, specs, plan, sweep.halving ~= nil), finished.unfinished(store, name, specs, plan)
  for i, place in ipairs(places) do
    local id = over[i] or left[i]
    if id then sweep.known[place.number][place.seed] = over[i] and of_run(sweep, store, id) or { left = id } end
    if id and sweep.halving and place.seed == 1 then show(sweep, store, place.number, id) end
  end
end

return known_runs
