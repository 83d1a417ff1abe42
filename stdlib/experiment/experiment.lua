--- An experiment: what a script returns. `run(run, params)` is called once per run, in a Lua state of its own.
local host = require "gradus.host"
local check = require "gradus.base.check"
local format = require "gradus.experiment.format"
local results = require "gradus.experiment.results"
local params = require "gradus.experiment.params"
local sorted_keys = require "gradus.base.sorted_keys"

local experiment = {}
local Experiment = {}
Experiment.__index = Experiment

local function check_column(where, column)
  local problem = results.name_problem(column[1])
  if problem then host.fail(("%s: result '%s': %s"):format(where, column[1], problem)) end
  if column[2] ~= nil then check.value(where, "heading", column[2], check.string) end
  problem = column[3] ~= nil and format.problem(column[3])
  if problem then host.fail(("%s: format: expected %s; got %s"):format(where, problem, check.describe(column[3]))) end
end

-- Which way returned results and logged metrics are better.
local function check_metrics(metrics)
  for name, one in pairs(check.value("experiment", "metrics", metrics, check.table)) do
    local problem = results.name_problem(name)
    if problem then host.fail(("experiment: metrics: '%s': %s"):format(tostring(name), problem)) end
    local o = check.options(("experiment: metrics: '%s'"):format(name), one, { better = check.choice("higher", "lower") })
    if not o.better then host.fail(("experiment: metrics: '%s': expected { better = 'higher' } or { better = 'lower' }"):format(name)) end
  end
end

-- What the final table is made of, checked before the runs and not after them.
local function check_table(self)
  for _, key in ipairs(type(self.by) == "table" and self.by or { self.by }) do
    if not self.specs[key] then params.unknown(tostring(key), self.specs, "experiment: by") end
  end
  for i, column in ipairs(check.value("experiment", "columns", self.columns or {}, check.table)) do
    if type(column) ~= "table" or type(column[1]) ~= "string" then
      host.fail(('experiment: column %d: expected { "result", "heading"[, "format"] }; got %s'):format(i, check.describe(column)))
    end
    check_column(("experiment: column %d"):format(i), column)
  end
  if self.versus ~= nil and (type(self.versus) ~= "table" or type(self.versus[1]) ~= "string" or self.versus[2] == nil) then
    host.fail('experiment: versus: expected { "result", "value"[, "heading"] }; got ' .. check.describe(self.versus))
  end
  if self.versus then check_column("experiment: versus", { self.versus[1], self.versus[3] }) end
  if self.footer ~= nil then check.value("experiment", "footer", self.footer, check.string) end
end

--- Declares an experiment.
---@class ExperimentOptions
---@field name string         1 to 100 letters, digits, "_", "-" or "."
---@field run fun(run: Run, params: table): table?   what it returns by name is stored: numbers and tensors of one element as the
---                           metrics result/NAME, texts and booleans as the event "returned"
---@field params? table       parameters by name, typed by their defaults (params.lua)
---@field grid? table         key -> list of values; one run for each combination; "seed" too
---@field columns? table[]    final table: { "result name", "heading"[, "format"] }; default: all results by name
---@field by? string|string[] parameters that make the final table's rows; default: the grid's keys but seed
---@field versus? table       { "result name", "value", "heading" }: a column with the difference to the group of that value,
---                           paired over the seeds that both have
---@field metrics? table      which way metrics are better, those logged and those returned, where their names do not tell it:
---                           { score = { better = "lower" } }
---@field save? boolean        true: the best and the last weights of each student are kept among the run's files (student_artifact.lua)
---@field snapshots? string|number  how often a run is saved: 100 (steps), "30s", "5m" (default: "1m") or "none"; see `gradus help resume`
---@field footer? string      printed under the final table
---@param options ExperimentOptions
function experiment.experiment(options)
  options = check.options("experiment", options, { "name", "run", "params", "grid", "columns", "by", "versus", "metrics",
    "save", "snapshots", "footer" })
  if type(options.name) ~= "string" or not options.name:find "^[%w_.-]+$" or #options.name > 100 then
    host.fail("experiment: 'name': expected 1 to 100 letters, digits, '_', '-' or '.'; got " .. tostring(options.name))
  end
  if type(options.run) ~= "function" then
    host.fail("experiment: 'run': expected a function (run, params); got " .. type(options.run))
  end
  local self = setmetatable({}, Experiment)
  for key, value in pairs(options) do self[key] = value end
  self.specs = params.declare(options.params)
  if self.specs.seed then host.fail "experiment: 'seed' is not a parameter of yours; --seed, grid.seed and run.seed are it" end
  self.grid = options.grid or {}
  params.check_grid(self.grid, self.specs)
  check_table(self)
  check_metrics(self.metrics or {})
  if self.save ~= nil then check.value("experiment", "save", self.save, check.boolean) end
  return self
end

--- Which way a metric is better, where the experiment says it: "higher", "lower" or nil.
---@param key string  "val/f1", "result/f1"
function Experiment:direction(key)
  local one = (self.metrics or {})[key] or (self.metrics or {})[key:match "^result/(.+)$"]
  return one and one.better
end

--- Tells the store which way the experiment's metrics are better.
---@param run Run
function Experiment:declare_metrics(run)
  for name, one in pairs(self.metrics or {}) do
    run.writer:better(name, one.better)
    run.writer:better("result/" .. name, one.better)
  end
end

function experiment.is(value) return getmetatable(value) == Experiment end

--- The runs to do, in order: a list of { seed =, given = { key = value } }. `--set` and `--seed` fix a grid's key, or give
--- it other values, which may be several.
---@param options table  the command line
function Experiment:plan(options)
  local fixed = {}
  for _, pair in ipairs(options.set or {}) do
    local values = params.parse_list(pair[1], pair[2], self.specs)
    if #values == 1 then fixed[pair[1]] = values[1] else fixed[pair[1]] = nil end
    if #values > 1 then self.grid[pair[1]] = values end
  end
  local axes = {}
  for _, key in ipairs(sorted_keys(self.grid)) do
    if key ~= "seed" and fixed[key] == nil then axes[#axes + 1] = { key, self.grid[key] } end
  end
  axes[#axes + 1] = { "seed", options.seeds or options.seed and { options.seed } or self.grid.seed or { 0 } }

  local runs = { {} }
  for _, axis in ipairs(axes) do
    local wider = {}
    for _, before in ipairs(runs) do
      for _, value in ipairs(axis[2]) do
        local one = { [axis[1]] = value }
        for key, known in pairs(before) do one[key] = known end
        wider[#wider + 1] = one
      end
    end
    runs = wider
  end
  for i, one in ipairs(runs) do
    local seed = one.seed
    one.seed = nil
    for key, value in pairs(fixed) do one[key] = value end
    runs[i] = { seed = seed, given = one }
  end
  return runs
end

return experiment
