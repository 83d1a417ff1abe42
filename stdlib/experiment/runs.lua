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
---@field last table      the last value of every metric, NaN where it was
---@field tags table
---@field folder string   where the run's files are
---@field kind string     run, or what a child run is for; config_hash, device, started, ended, error, note, parent, …: as in the store
---@field config_hash string?
---@field device string?
---@field started string
---@field ended string?
---@field seconds number?
---@field step number?
---@field error string?
---@field note string?
---@field archived string?
---@field parent number?
local StoredRun = check.methods("a stored run", {}, { instead = function(name)
  if name:find "/" then return ('stored.last["%s"], or stored:best "%s"'):format(name, name) end
end })
StoredRun.__index = StoredRun

-- The files of weights that a run has left, by name; and the number of its last student.
local function files_of(self)
  local kept, students = {}, 1
  for _, row in ipairs(self.store:query("SELECT path FROM artifacts WHERE run_id = ? AND kind = 'weights' ORDER BY path", self.id)) do
    kept[row.path] = true
    kept[#kept + 1] = row.path
    students = math.max(students, tonumber(row.path:match "^student%-(%d+)%.") or 1)
  end
  return kept, students
end

--- The file of the weights that the run has left of its student, for net:load; of the last that it trained, where the script has
--- trained a teacher first.
---@param which? string  "best" (default; where the run had no validation data, the last) or "last"; "1.best": of the first it trained
---@return string path
function StoredRun:weights(which)
  which = check.value("weights", "which", which or "best", check.string)
  local student, name = which:match "^(%d*)%.?(%a+)$"
  if name ~= "best" and name ~= "last" then host.fail(("weights: expected 'best', 'last' or '1.best'; got '%s'"):format(which)) end
  local kept, students = files_of(self)
  local number = tonumber(student) or students
  local stem = number > 1 and "student-" .. number or "student"
  for _, one in ipairs { name, which == "best" and "last" or name } do
    local file = ("%s.%s.safetensors"):format(stem, one)
    if kept[file] then return self.folder .. "/" .. file end
  end
  host.fail(("weights: run %d has no %s.%s.safetensors; it has %s"):format(self.id, stem, name,
    #kept > 0 and table.concat(kept, ", ") or "no weights"))
end

--- The values of a metric by step: two lists, steps and values (NaN where the run logged one).
function StoredRun:curve(key)
  local steps, values = {}, {}
  for i, row in ipairs(self.store:query("SELECT step, value FROM metrics WHERE run_id = ? AND key = ? ORDER BY step", self.id, key)) do
    steps[i], values[i] = row.step, row.value or 0 / 0
  end
  return steps, values
end

--- The run's events in their order, or those of one kind: { step =, kind =, name =, detail = } each, detail as it was given.
---@param kind? string  "decision", "stage", "health", "plan", …
---@return table[]
function StoredRun:events(kind)
  if kind ~= nil then check.value("events", "kind", kind, check.string) end
  local list = self.store:query("SELECT step, kind, name, detail FROM events WHERE run_id = ? AND ? IN (kind, '') ORDER BY id", self.id,
    kind or "")
  for _, one in ipairs(list) do one.detail = one.detail and host.json_decode(one.detail) end
  return list
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
---   local best = g.runs({ where = "status == 'finished'", sort = "best(val/acc)", limit = 1 })[1]
---@param options {where: string?, sort: string?, reverse: boolean?, limit: number?, children: boolean?, archived: boolean?, store: string?}
---  where: the expression of `gradus runs --where`; sort: as `gradus runs --sort`, "best(val/acc)" or "lr": metrics best first, all else
---  ascending, runs without it last; reverse: the other way round; limit: the newest n, of a sorted list the first n; store: a file, by
---  default this run's store
---@return StoredRun[]
return function(options)
  reading.refuse "g.runs"
  options = options or {}
  if type(options) == "string" then options = { where = options } end
  options = check.options("runs", options, { where = check.string, sort = check.string, reverse = check.boolean, limit = check.int(1),
    children = check.boolean, archived = check.boolean, store = check.string })
  if options.reverse and not options.sort then host.fail "runs: reverse without sort; expected sort = \"best(val/acc)\", or no reverse" end
  local path = options.store or host.options.store
  local store = store_module.open(path, options.store ~= nil or host.exists(path))
  local found, notes = store:runs(options)
  for _, note in ipairs(notes) do host.log("info", "runs: " .. note) end
  for _, one in ipairs(found) do
    one.store, one.folder = store, store.folder .. "/" .. one.uid
    setmetatable(one, StoredRun)
  end
  return found
end
