--- Which runs of a plan are finished in the store: the same script and modules, parameters and seed. Where several are, the
--- newest counts. What data a run reads is not known before it runs.
local host = require "gradus.host"
local params = require "gradus.experiment.params"
local run_writer = require "gradus.experiment.run_writer"
local sorted_keys = require "gradus.base.sorted_keys"
local sources = require "gradus.experiment.sources"

local function text_of(value) return type(value) == "number" and ("%.17g"):format(value) or tostring(value) end

-- Parameters and seed as one text.
local function key_of(flat, seed)
  local words = { "seed=" .. text_of(seed) }
  for _, name in ipairs(sorted_keys(flat)) do words[#words + 1] = name .. "=" .. text_of(flat[name]) end
  return table.concat(words, "\n")
end

local finished = {}

--- A run that a sweep stopped has this at the beginning of what ended it.
finished.STOPPED = "sweep: "

-- The runs of that name with one of these statuses, or that a sweep stopped, whose sources are those that they would have now, oldest
-- first; none that somebody edited, and none that was something else on its way (run_writer.APART). What this state has not loaded they
-- have from a require in their function.
local function candidates(store, name, statuses, stopped)
  local loaded, count = sources.loaded()
  local now, same, found = sources.now(), {}, {}
  for _, row in ipairs(store:query([[SELECT s.run_id AS id, s.path AS path, s.sha256 AS sha256 FROM run_sources s
      JOIN runs r ON r.id = s.run_id
      WHERE r.name = ?1 AND (r.status IN (SELECT value FROM json_each(?4)) OR ?2 AND r.status = 'interrupted' AND r.error LIKE ?3 || '%')
        AND r.parent IS NULL AND r.archived IS NULL
        AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.run_id = r.id AND t.name = 'edited')
        AND NOT EXISTS (SELECT 1 FROM events e WHERE e.run_id = r.id AND ]] .. run_writer.APART .. ")", name, stopped,
        finished.STOPPED, host.json_encode(statuses))) do
    local one = same[row.id] or { right = 0, wrong = 0 }
    same[row.id] = one
    if now[row.path] ~= row.sha256 then one.wrong = one.wrong + 1
    elseif loaded[row.path] then one.right = one.right + 1 end
  end
  for id, one in pairs(same) do
    if one.right == count and one.wrong == 0 then found[#found + 1] = id end
  end
  table.sort(found)
  return found
end

-- What execute would have returned of it.
local function result_of(store, id, flat)
  local run = store:query("SELECT uid, name, seed, seconds FROM runs WHERE id = ?", id)[1]
  local numbers = {}
  for _, row in ipairs(store:query("SELECT key, last FROM summaries WHERE run_id = ? AND key LIKE 'result/%'", id)) do
    numbers[row.key:sub(#"result/" + 1)] = row.last or 0 / 0  -- the store has NaN as NULL
  end
  local kept = store:query("SELECT detail FROM events WHERE run_id = ? AND kind = 'result' AND name = 'returned' ORDER BY id DESC LIMIT 1",
    id)[1]
  local others = kept and host.json_decode(kept.detail)
  for key, value in pairs(others or {}) do numbers[key] = value end
  return host.json_encode { id = id, uid = run.uid, name = run.name, seed = run.seed, params = flat, result = numbers, others = others,
    seconds = run.seconds, status = "finished" }
end

local function find(store, name, specs, plan, statuses, stopped)
  local by_key, ids = {}, {}
  for _, id in ipairs(candidates(store, name, statuses, stopped)) do
    local seed = store:query("SELECT seed FROM runs WHERE id = ?", id)[1].seed
    by_key[key_of(params.stored(store, id), seed)] = id
  end
  for i, one in ipairs(plan) do ids[i] = by_key[key_of(params.resolve(specs, one.given), one.seed)] end
  return ids
end

--- By the run's number in the plan: its id.
---@param store table
---@param name string       of the experiment, or --name
---@param specs table       the experiment's parameters
---@param plan {given: table, seed: number}[]
---@param stopped? boolean  also those that a sweep stopped
---@return table<number, number>
function finished.ids(store, name, specs, plan, stopped) return find(store, name, specs, plan, { "finished" }, stopped or false) end

--- By the run's number in the plan: the id of one that was interrupted or has failed, and can go on.
function finished.unfinished(store, name, specs, plan)
  return find(store, name, specs, plan, { "interrupted", "failed" }, false)
end

--- By the run's number in the plan: its result, as JSON.
---@param options table     the command line
---@param experiment table
---@param plan table[]
---@return table<number, string>
function finished.results(options, experiment, plan)
  local store = require("gradus.store").open(options.store)
  local results = {}
  for i, id in pairs(finished.ids(store, options.name or experiment.name, experiment.specs, plan)) do
    results[i] = result_of(store, id, params.resolve(experiment.specs, plan[i].given))
  end
  return results
end

--- Of runs that were finished before, those that read other data than a new one with the same parameters: the hash of a configuration is
--- of its name, code, parameters and data, of which the first three are the same here.
---@param store table
---@param before number[]  ids
---@param new number[]
---@return number[]
function finished.of_other_data(store, before, new)
  local function configuration(id)
    local row = store:query("SELECT config_hash AS hash, status FROM runs WHERE id = ?", id)[1]
    return key_of(params.stored(store, id), "any"), row.hash, row.status
  end
  local hashes, found = {}, {}
  for _, id in ipairs(new) do
    local key, hash, status = configuration(id)
    if status == "finished" then hashes[key] = hash end  -- one that failed may have read nothing yet
  end
  for _, id in ipairs(before) do
    local key, hash = configuration(id)
    if hashes[key] and hashes[key] ~= hash then found[#found + 1] = id end
  end
  return found
end

return finished
