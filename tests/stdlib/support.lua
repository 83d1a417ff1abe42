-- What specs share that need a run: a small problem, and runs in a store of their own.
local g = require "gradus"
local host = require "gradus.host"
local run_module = require "gradus.experiment.run"
local store_module = require "gradus.store"

local support = {}

--- Which way the metrics of most specs are better.
support.directions = { ["val/acc"] = "higher", ["val/loss"] = "lower", ["val/agreement"] = "higher", ["easy/acc"] = "higher",
  ["easy/loss"] = "lower", ["hard/acc"] = "higher" }

--- A state that a spec moves by hand: fields of State.new, then s.counts.
function support.state(fields)
  local given = { directions = support.directions }
  for key, value in pairs(fields or {}) do given[key] = value end
  return require("gradus.curriculum.state").new(given)
end

--- The counts as a clock would leave them: by name, then those since the stage began.
function support.count(s, counts)
  for name, value in pairs(counts) do s.counts[name] = value end
  for unit, field in pairs { steps = "step", epochs = "epoch", samples = "samples", flops = "flops", seconds = "seconds" } do
    s.counts["stage_" .. unit] = s.counts[field] - s.clock.start[unit]
  end
end

-- Three classes of points in six dimensions, the same for every spec.
function support.points(n)
  local generator = g.generator(17)
  local x = g.randn({ n or 240, 6 }, { generator = generator })
  local y = (x:slice(1, 0, 3) + x:slice(1, 3, 6) * .3):argmax(1)
  return g.data.tensors(x, y, { classes = 3, name = "points" })
end

function support.student(width)
  return g.nn.MLP { 6, width or 8, 3 }
end

--- Calls fn(run) with a fresh run of a fresh store; returns what it returns and the run's answers to queries.
---@param options? {seed: number, path: string}
function support.with_run(options, fn)
  options = options or {}
  local folder = options.folder or os.tmpname()
  if not options.folder then os.remove(folder) end
  host.mkdirs(folder)
  local store = store_module.open(folder .. "/s.db")
  local run = run_module.begin { store = store, name = "spec", seed = options.seed or 1,
    flat = options.flat or options.params or {}, params = options.params or {},
    options = { quiet = true, strict = options.strict, device = options.device }, label = "spec" }
  local ok, result = xpcall(function() return fn(run) end, host.traceback)
  run:finish(ok and "finished" or "failed")
  local seen = {}
  local function events(kind)
    local list = store:query("SELECT step, name, detail FROM events WHERE run_id = ? AND kind = ? ORDER BY id", run.id, kind)
    for _, one in ipairs(list) do one.detail = host.json_decode(one.detail) end
    return list
  end
  seen.stages, seen.decisions, seen.warnings = events "stage", events "decision", events "warning"
  seen.levels, seen.plans = events "level", events "plan"
  seen.best, seen.cache, seen.health = events "best", events "cache", events "health"
  function seen.metric(key)
    local values = {}
    for _, row in ipairs(store:query("SELECT step, value FROM metrics WHERE run_id = ? AND key = ? ORDER BY step", run.id, key)) do
      values[#values + 1] = { row.step, row.value }
    end
    return values
  end
  function seen.values(key)
    local values = {}
    for i, pair in ipairs(seen.metric(key)) do values[i] = pair[2] end
    return values
  end
  if not options.folder then os.execute("rm -rf " .. folder) end
  if not ok then error(result, 0) end
  return result, seen
end

--- The weights, so that two models can be compared bit for bit.
function support.weights(model)
  local hashes = {}
  for name, t in pairs(model:state_dict()) do hashes[name] = t:hash() end
  return hashes
end

--- 64 digits, of which row 5 is poison: its inputs are `value`, NaN when left out.
function support.poisoned(value)
  local x, y = g.data.digits():first(64):gather()
  x = x:flatten(1):clone()
  x[5] = value or 0 / 0
  return g.data.tensors(x, y, { classes = 10 })
end

--- Whether all of a model's weights are finite.
function support.finite(model)
  for _, p in model:named_parameters() do
    if not p:isfinite():all():item() then return false end
  end
  return true
end

--- Calls fn(path) with a file of these bytes, gone when it returns.
function support.with_file(bytes, fn)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:write(bytes)
  file:close()
  local ok, err = pcall(fn, path)
  os.remove(path)
  if not ok then error(err, 0) end
end

return support
