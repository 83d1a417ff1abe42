--- Earlier runs, for a script that learns from them:
---   for _, r in ipairs(g.runs { where = "strategy == 'ramp' and best(val/acc) > 0.9" }) do print(r.id, r.params.lr, r.last["val/acc"]) end
local host = require "gradus.host"
local check = require "gradus.base.check"
local reading = require "gradus.base.reading"
local store_module = require "gradus.store"

---@class StoredRun
---@field id number
---@field uid string
---@field name string
---@field status string   running, finished, failed or interrupted
---@field seed number?
---@field params table    by dotted key
---@field last table      the last value of every metric
---@field tags table
local StoredRun = {}
StoredRun.__index = StoredRun

--- The values of a metric by step: two lists, steps and values (NaN where the run logged one).
function StoredRun:curve(key)
  local steps, values = {}, {}
  for i, row in ipairs(self.store:query("SELECT step, value FROM metrics WHERE run_id = ? AND key = ? ORDER BY step", self.id, key)) do
    steps[i], values[i] = row.step, row.value or 0 / 0
  end
  return steps, values
end

--- The best value of a metric and its step; nil where the run has none. Which way is better is what was said of the metric, else its name
--- tells; an error where neither does.
function StoredRun:best(key)
  local way = self.store:direction(key)
  if not way then
    error(("best: %s: which way is better is not known; `gradus better %s higher` (or lower) says it"):format(key, key), 2)
  end
  local column = way == "lower" and "min" or "max"
  local row = self.store:query(("SELECT %s AS value, arg%s AS step FROM summaries WHERE run_id = ? AND key = ?"):format(column, column),
    self.id, key)[1]
  if row then return row.value, row.step end
end

--- The runs that fit, oldest first: finished or not, without the runs that other runs started.
---@param options {where: string?, limit: number?, children: boolean?, archived: boolean?, store: string?}
---  where: the expression of `gradus runs --where`; limit: the newest n; store: a file, by default this run's store
---@return StoredRun[]
return function(options)
  reading.refuse "g.runs"
  options = options or {}
  if type(options) == "string" then options = { where = options } end
  options = check.options("runs", options, { where = check.string, limit = check.int(1), children = check.boolean, archived = check.boolean,
    store = check.string })
  local store = store_module.open(options.store or host.options.store)
  local found, notes = store:runs(options)
  for _, note in ipairs(notes) do host.log("info", "runs: " .. note) end
  for _, one in ipairs(found) do
    one.store = store
    setmetatable(one, StoredRun)
  end
  return found
end
