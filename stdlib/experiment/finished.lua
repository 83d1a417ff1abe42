--- Which runs of a plan are finished in the store: the same script and modules, parameters and seed. Where several are, the
--- newest counts. What data a run reads is not known before it runs.
local host = require "gradus.host"
local params = require "gradus.experiment.params"

local function text_of(value) return type(value) == "number" and ("%.17g"):format(value) or tostring(value) end

-- Parameters and seed as one text.
local function key_of(flat, seed)
  local words = { "seed=" .. text_of(seed) }
  for _, name in ipairs(params.sorted_keys(flat)) do words[#words + 1] = name .. "=" .. text_of(flat[name]) end
  return table.concat(words, "\n")
end

-- The finished runs of that name whose sources are those that this state has loaded, oldest first.
local function candidates(store, name)
  local wanted, count = {}, 0
  for _, source in ipairs(host.sources()) do
    wanted[source.path] = source.sha256
    count = count + 1
  end
  local same, found = {}, {}
  for _, row in ipairs(store:query([[SELECT s.run_id AS id, s.path AS path, s.sha256 AS sha256 FROM run_sources s
      JOIN runs r ON r.id = s.run_id WHERE r.name = ? AND r.status = 'finished' AND r.parent IS NULL AND r.archived IS NULL]], name)) do
    local one = same[row.id] or { right = 0, wrong = 0 }
    same[row.id] = one
    local field = wanted[row.path] == row.sha256 and "right" or "wrong"
    one[field] = one[field] + 1
  end
  for id, one in pairs(same) do
    if one.right == count and one.wrong == 0 then found[#found + 1] = id end
  end
  table.sort(found)
  return found
end

local function stored_params(store, id)
  local flat = {}
  for _, row in ipairs(store:query("SELECT key, value, type FROM params WHERE run_id = ?", id)) do
    if row.type == "boolean" then flat[row.key] = row.value == 1 else flat[row.key] = row.value end
  end
  return flat
end

-- What execute would have returned of it.
local function result_of(store, id, flat)
  local run = store:query("SELECT uid, name, seed, seconds FROM runs WHERE id = ?", id)[1]
  local numbers = {}
  for _, row in ipairs(store:query("SELECT key, last FROM summaries WHERE run_id = ? AND key LIKE 'result/%'", id)) do
    numbers[row.key:sub(#"result/" + 1)] = row.last
  end
  return host.json_encode { id = id, uid = run.uid, name = run.name, seed = run.seed, params = flat, result = numbers,
    seconds = run.seconds, status = "finished" }
end

--- By the run's number in the plan: its result, as JSON.
---@param options table     the command line
---@param experiment table
---@param plan table[]
---@return table<number, string>
return function(options, experiment, plan)
  local store = require("gradus.store").open(options.store)
  local by_key, results = {}, {}
  for _, id in ipairs(candidates(store, options.name or experiment.name)) do
    local seed = store:query("SELECT seed FROM runs WHERE id = ?", id)[1].seed
    by_key[key_of(stored_params(store, id), seed)] = id
  end
  for i, one in ipairs(plan) do
    local flat = params.resolve(experiment.specs, one.given)
    local id = by_key[key_of(flat, one.seed)]
    if id then results[i] = result_of(store, id, flat) end
  end
  return results
end
