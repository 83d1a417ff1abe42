--- Many runs of one experiment, their parameters chosen by a search, several at once:
---   local found = g.sweep { name = "digits", params = { lr = 1e-3, temperature = 4 }, run = function(run, p) … end,
---     set = { lr = { log = { 1e-4, 1e-1 } }, temperature = { 2, 4, 8 } }, by = "val/acc", trials = 20 }
---   print(found.best.given.lr, found.best.value)
--- The same sweep again does only what is missing: runs with the same script, parameters and seed count.
local children = require "gradus.children"
local host = require "gradus.host"
local check = require "gradus.base.check"
local console = require "gradus.base.console"
local experiment_module = require "gradus.experiment.experiment"
local farm = require "gradus.experiment.farm"
local finished = require "gradus.experiment.finished"
local grid = require "gradus.experiment.grid"
local halving = require "gradus.experiment.halving"
local params = require "gradus.experiment.params"
local runner = require "gradus.experiment.runner"
local search = require "gradus.experiment.search"
local space = require "gradus.experiment.space"

local DEFAULT_TRIALS = 20

---@class Trial
---@field number number
---@field given table      what the search chose
---@field value number?    the mean over its runs of each one's best `by`; nil: none has one
---@field sd number?       over its runs, where there are several
---@field runs number      with a value
---@field ids number[]     in the store
---@field stopped boolean  halving ended one of its runs

local Sweep = {}
Sweep.__index = Sweep

-- --- what is asked for ------------------------------------------------------------------------------------------------

local LOWER = { "loss", "error", "err", "nll", "ce", "kl", "mse", "mae", "rmse", "perplexity", "ppl", "seconds", "forgetting", "steps" }

-- Whether a greater value is better: as said, as the store knows, or by a word of the name.
local function greater_is_better(store, by, direction)
  if direction then return direction == "max" end
  local ok, way = pcall(function() return store:direction(by) end)
  if ok and way then return way == "higher" end
  for word in by:lower():gmatch "[a-z]+" do
    for _, known in ipairs(LOWER) do
      if word == known then return false end
    end
  end
  for _, known in ipairs { "acc", "score", "f1", "auc", "agreement", "reward", "bleu", "precision", "recall" } do
    if by:lower():find(known, 1, true) then return true end
  end
  host.fail(("sweep: which way '%s' is better is not known; expected direction max or min"):format(by), 64)
end

local function sorted_axes(set, specs, fixed)
  local axes = {}
  for _, key in ipairs(params.sorted_keys(set)) do
    local axis = getmetatable(set[key]) and set[key] or space.declare(key, set[key], specs)
    if axis.values and #axis.values == 1 then fixed[key] = axis.values[1] else axes[#axes + 1] = axis end
  end
  if #axes == 0 then host.fail("sweep: nothing to search; expected set with a list of values or a range", 64) end
  return axes
end

local function default_search(axes)
  for _, axis in ipairs(axes) do
    if not axis.values then return "halton" end
  end
  return "grid"
end

local function grid_size(axes)
  local size = 1
  for _, axis in ipairs(axes) do
    if not axis.values then
      host.fail(("sweep: %s is a range, which has no grid; expected search random, halton or optuna, or a list"):format(axis.key), 64)
    end
    size = size * #axis.values
  end
  return size
end

local function new(options)
  local experiment, fixed = options.experiment, {}
  local axes = sorted_axes(options.set, experiment.specs, fixed)
  local name = options.search or default_search(axes)
  local trials = name == "grid" and math.min(options.trials or math.huge, grid_size(axes)) or options.trials or DEFAULT_TRIALS
  if name == "halton" and #axes > search.most_axes then
    host.fail(("sweep: halton: expected at most %d parameters; got %d"):format(search.most_axes, #axes), 64)
  end
  local self = setmetatable({ experiment = experiment, options = options.command, axes = axes, fixed = fixed, by = options.by,
    search = name, count = trials, seeds = options.seeds or 1, trials = {}, ready = {}, skipped = 0, failed = 0, told = {} }, Sweep)
  local store = require("gradus.store").open(self.options.store)
  self.greater = greater_is_better(store, self.by, options.direction)
  if options.halving then self.halving = halving.new(function(a, b) return self:better(a, b) end) end
  if name == "optuna" then
    self.asked = require "gradus.experiment.optuna".start(self, options.search_seed or 0)
  else
    self.propose = search[name](axes, options.search_seed or 0)
  end
  return self
end

function Sweep:better(a, b)
  if self.greater then return a > b end
  return a < b
end

-- --- trials and their runs --------------------------------------------------------------------------------------------

-- A run's value in the store: the best that it logged.
local function stored_value(self, store, id)
  local column = self.greater and "max" or "min"
  local row = store:query(("SELECT %s AS value FROM summaries WHERE run_id = ? AND key = ?"):format(column), id, self.by)[1]
  return row and row.value
end

-- A trial with the given parameters: its runs to do, and the values of those that the store has.
local function add_trial(self, given)
  local trial = { number = #self.trials + 1, given = given, values = {}, ids = {}, left = self.seeds, stopped = false, runs = 0 }
  self.trials[trial.number] = trial
  local all = {}
  for key, value in pairs(self.fixed) do all[key] = value end
  for key, value in pairs(given) do all[key] = value end
  local plan = {}
  for seed = 1, self.seeds do plan[seed] = { given = all, seed = seed } end
  trial.plan = plan
  return trial
end

local function note(self, trial, id, value, stopped)
  trial.left = trial.left - 1
  trial.ids[#trial.ids + 1] = id
  trial.values[#trial.values + 1] = value
  trial.stopped = trial.stopped or stopped
  trial.runs = #trial.values
  if trial.runs > 0 then
    local sum, squares = 0, 0
    for _, v in ipairs(trial.values) do sum = sum + v end
    trial.value = sum / trial.runs
    for _, v in ipairs(trial.values) do squares = squares + (v - trial.value) ^ 2 end
    trial.sd = trial.runs > 1 and math.sqrt(squares / (trial.runs - 1)) or nil
  end
  if trial.left == 0 and self.asked then self.asked:tell(trial) end
end

-- The first seed of a halved trial goes ahead; the others follow if it was not stopped.
local function enqueue(self, trial)
  local ids = self.known[trial.number] or {}
  for seed = 1, self.seeds do
    if ids[seed] then
      note(self, trial, ids[seed].id, ids[seed].value, ids[seed].stopped)
      self.skipped = self.skipped + 1
    elseif seed == 1 or not self.halving then
      self.ready[#self.ready + 1] = { trial = trial, seed = seed }
    end
  end
  if self.halving and ids[1] then self:follow(trial) end
end

function Sweep:follow(trial)
  local ids = self.known[trial.number] or {}
  for seed = 2, self.seeds do
    if trial.stopped and not ids[seed] then
      trial.left = trial.left - 1
    elseif not ids[seed] then  -- else it was counted when it was found
      self.ready[#self.ready + 1] = { trial = trial, seed = seed }
    end
  end
end

-- What the store has of a trial's runs.
local function known_runs(self, trials)
  local store = require("gradus.store").open(self.options.store)
  local plan, places = {}, {}
  for _, trial in ipairs(trials) do
    for seed = 1, self.seeds do
      plan[#plan + 1] = trial.plan[seed]
      places[#plan] = { trial.number, seed }
    end
  end
  for i, id in pairs(finished.ids(store, self.options.name or self.experiment.name, self.experiment.specs, plan, true)) do
    local number, seed = places[i][1], places[i][2]
    self.known[number] = self.known[number] or {}
    local status = store:query("SELECT status FROM runs WHERE id = ?", id)[1].status
    self.known[number][seed] = { id = id, value = stored_value(self, store, id), stopped = status == "interrupted" }
  end
end

-- All trials of a search that knows them beforehand.
local function lay_out(self)
  self.known = {}
  if self.asked then
    for _, given in ipairs(self.asked:told()) do add_trial(self, given) end
  else
    for i = 1, self.count do
      local given = self.propose(i)
      if not given then break end
      add_trial(self, given)
    end
  end
  known_runs(self, self.trials)
  for _, trial in ipairs(self.trials) do enqueue(self, trial) end
end

local function words_of(self, given)
  local words = {}
  for _, axis in ipairs(self.axes) do
    local value = given[axis.key]
    words[#words + 1] = axis.key .. "=" .. (type(value) == "number" and ("%.6g"):format(value) or tostring(value))
  end
  return table.concat(words, " ")
end

function Sweep:label(trial, seed)
  return ("%d/%d %s%s"):format(trial.number, self.count, words_of(self, trial.given), self.seeds > 1 and " seed " .. seed or "")
end

-- What the child does. It keeps the best that it logs of `by`; where halving looks, the first seed asks whether it goes on.
local function job_of(self, one)
  local trial, label = one.trial, self:label(one.trial, one.seed)
  return { label = label, one = one, run = function()
    local best, count
    local function watched(run, name, value, step)
      if name ~= self.by or value ~= value then return end
      count = (count or 0) + 1
      if not best or self:better(value, best) then best = value end
      if not self.halving or one.seed > 1 or not halving.looks(count) then return end
      local answer = children.ask("asked", ("%d %.17g"):format(count, best))
      local limit = answer and answer:match "^stop (.*)$"
      if limit then
        run:event("decision", "halving", { evaluations = count, value = best, limit = tonumber(limit), step = step })
        run.ending = finished.STOPPED .. ("halving: %s %.6g after %d evaluations, %s needed"):format(self.by, best, count, limit)
      end
    end
    local text = runner.execute_one(self.options, runner.prepare(self.options), self.experiment, trial.plan[one.seed], label, watched)
    local result = host.json_decode(text)
    return host.json_encode { id = result.id, status = result.status, value = best }
  end }
end

local function next_job(self)
  if #self.ready == 0 and self.asked and #self.trials < self.count and not self.ending then
    local trial = add_trial(self, self.asked:ask())
    known_runs(self, { trial })
    enqueue(self, trial)
  end
  local one = not self.ending and table.remove(self.ready, 1)
  return one and job_of(self, one) or nil
end

local function ended(self, job, outcome)
  local trial, result = job.one.trial, outcome.text and host.json_decode(outcome.text)
  if not result then
    self.failed = self.failed + 1
    self.code = self.code or outcome.code
    local why = grid.why(outcome)
    host.write(2, ("%s: %s\n"):format(job.label, why == self.told.why and "the same error" or why))
    self.told.why = why
    if outcome.exited or outcome.code == 64 then self.ending = outcome.code end
  end
  local stopped = result and result.status == "interrupted" or false
  if stopped and host.stopping() then return end
  note(self, trial, result and result.id, result and result.value, stopped)
  if self.halving and job.one.seed == 1 then
    trial.stopped = trial.stopped or not result
    self:follow(trial)
  end
end

-- A stop at halving's word when the run has reached a rung.
local function asked(self, text)
  local count, value = text:match "^(%d+) (.*)$"
  local goes_on, limit = self.halving:goes_on(tonumber(count), tonumber(value))
  return goes_on and "go" or ("stop %.6g"):format(limit)
end

function Sweep:ranked()
  local ranked = {}
  for _, trial in ipairs(self.trials) do
    if trial.value and trial.value == trial.value then ranked[#ranked + 1] = trial end
  end
  table.sort(ranked, function(a, b)
    if a.value ~= b.value then return self:better(a.value, b.value) end
    return a.number < b.number
  end)
  return ranked
end

local function foot(self)
  return function(done, running, seconds)
    local best = self:ranked()[1]
    local words = { ("%d of %d runs"):format(done + self.skipped, self.count * self.seeds), running .. " running",
      console.duration(seconds) }
    if best then words[#words + 1] = ("best %s %.4g at %s"):format(self.by, best.value, words_of(self, best.given)) end
    return table.concat(words, "  ")
  end
end

local function widest(self)
  local wide = 0
  for _, trial in ipairs(self.trials) do wide = math.max(wide, #self:label(trial, self.seeds)) end
  return wide
end

local function work(self, jobs)
  grid.warm()
  lay_out(self)
  if self.skipped > 0 and not self.options.quiet and not self.options.json then
    host.write(2, ("%d of %d finished runs are skipped\n"):format(self.skipped, self.count * self.seeds))
  end
  farm.work { jobs = jobs, store = self.options.store, device = self.options.device, quiet = self.options.quiet or self.options.json,
    wide = widest(self), foot = foot(self),
    next = function() return next_job(self) end,
    ended = function(job, outcome) ended(self, job, outcome) end,
    asked = function(_, text) return asked(self, text) end }
  if self.asked then self.asked:close() end
end

local SEARCHES = check.choice("grid", "random", "halton", "optuna")

---@class SweepOptions
---@field set table          parameter -> list of values, { lin = { low, high } } or { log = { low, high } }
---@field by string          the metric that decides; of each run its best value
---@field direction string?  "max" or "min", where the name of `by` does not tell
---@field search string?     "grid", "random", "halton" or "optuna"; default: grid, halton where there is a range
---@field trials number?     sets of parameters to try; default: all of a grid, else 20
---@field seeds number?      runs of each set, seeds 1 to n
---@field halving boolean?   stops runs that lag behind (halving.lua)
---@field search_seed number?
---@field jobs any           runs at once, or "auto", the default
---@field experiment table?  what g.experiment gave; else name, params and run as there

--- Searches. Returns { best = Trial, trials = Trial[] in order, ranked = Trial[] the best first, sweep = … }.
---@param options SweepOptions
return function(options)
  options = check.options("sweep", options, { set = check.table, by = check.string, direction = check.choice("max", "min"),
    search = SEARCHES, trials = check.int(1), seeds = check.int(1), halving = check.boolean, search_seed = check.int(0), jobs = check.any,
    experiment = check.any, name = check.string, params = check.table, run = check.callable, command = check.table })
  if not options.set or not options.by then host.fail "sweep: expected set = { … } and by = 'metric'" end
  options.command = options.command or host.options
  options.experiment = options.experiment
    or experiment_module.experiment { name = options.name, params = options.params, run = options.run }
  local self = new(options)
  work(self, options.jobs or options.command.jobs or "auto")
  local ranked = self:ranked()
  return { best = ranked[1], ranked = ranked, trials = self.trials, sweep = self }
end
