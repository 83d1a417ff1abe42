--- Many runs of one experiment, their parameters chosen by a search, several at once:
---   local found = g.sweep { name = "digits", params = { lr = 1e-3, temperature = 4 }, run = function(run, p) … end,
---     set = { lr = { log = { 1e-4, 1e-1 } }, temperature = { 2, 4, 8 } }, by = "val/acc", trials = 20 }
---   print(found.best.given.lr, found.best.value)
--- The same sweep again does only what is missing: runs with the same script, parameters and seed count.
local host = require "gradus.host"
local check = require "gradus.base.check"
local console = require "gradus.base.console"
local experiment_module = require "gradus.experiment.experiment"
local farm = require "gradus.experiment.farm"
local grid = require "gradus.experiment.grid"
local halving = require "gradus.experiment.halving"
local is_news = require "gradus.base.news"
local known_runs = require "gradus.experiment.known_runs"
local search = require "gradus.experiment.search"
local space = require "gradus.experiment.space"
local a_trial = require "gradus.experiment.trial"
local sorted_keys = require "gradus.base.sorted_keys"
local trial_run = require "gradus.experiment.trial_run"

local DEFAULT_TRIALS = 20

local Sweep = {}
Sweep.__index = Sweep

-- --- what is asked for ------------------------------------------------------------------------------------------------

-- Whether a greater value is better: as asked for, as the experiment says, or as the store knows. Of a score, which says nothing to the
-- store, the highest is searched for.
local function greater_is_better(store, experiment, by, options)
  local way = options.direction or experiment:direction(by) or store:direction(by)
  if way then return way == "max" or way == "higher" end
  if by:lower():find "score$" then
    if not options.command.quiet then host.write(2, ("sweep: %s: higher is taken for better; --direction min says else\n"):format(by)) end
    return true
  end
  host.fail(("sweep: which way '%s' is better is not known; expected direction max or min, or metrics = { [\"%s\"] = "
    .. "{ better = \"higher\" } } of the experiment"):format(by, by:match "^result/(.+)$" or by), 64)
end

local function sorted_axes(set, specs, fixed)
  local axes = {}
  for _, key in ipairs(sorted_keys(set)) do
    local axis = getmetatable(set[key]) and set[key] or space.declare(key, set[key], specs)
    if axis.values and #axis.values == 1 then fixed[key] = axis.values[1] else axes[#axes + 1] = axis end
  end
  if #axes == 0 then host.fail("sweep: nothing to search; expected a list of values or a range, such as --set lr=1e-3,1e-2", 64) end
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
  self.greater = greater_is_better(store, experiment, self.by, options)
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

local function add_trial(self, given)
  local one = a_trial.new(#self.trials + 1, given, self.fixed, self.seeds)
  self.trials[one.number] = one
  return one
end

-- Whether no run of the trial is to come, as far as is known by now.
local function is_over(self, one) return one:done() == self.seeds or self.halving and one.stopped end

local function note(self, one, seed, result, went_on)
  one:note(seed, result)
  if self.asked and is_over(self, one) then self.asked:tell(one, went_on) end
end

-- The first seed of a halved trial goes ahead; the others follow if it was not stopped.
local function enqueue(self, one)
  local known = self.known[one.number]
  for seed = 1, self.seeds do
    local run = known[seed]
    if run and run.result then
      note(self, one, seed, run.result)
      self.skipped = self.skipped + 1
      if seed == 1 then one.stopped_at = run.stopped_at end
    elseif seed == 1 or not self.halving then
      self.ready[#self.ready + 1] = { trial = one, seed = seed, left = run and run.left }
    end
  end
  if self.halving and one.results[1] then self:follow(one) end
end

function Sweep:follow(one)
  if one.stopped then return end
  for seed = 2, self.seeds do
    local run = self.known[one.number][seed]
    if not one.results[seed] then self.ready[#self.ready + 1] = { trial = one, seed = seed, left = run and run.left } end
  end
end

-- What the search proposes, each set of parameters once: lists and whole numbers come again by chance. A small space has fewer than
-- were asked for.
local function add_proposed(self)
  local seen, i, again = {}, 0, 0
  while #self.trials < self.count and again < 100 do
    i = i + 1
    local given = self.propose(i)
    if not given then break end
    local words = {}
    for k, axis in ipairs(self.axes) do
      local value = given[axis.key]
      words[k] = type(value) == "number" and ("%.17g"):format(value) or tostring(value)
    end
    local key = table.concat(words, "\0")
    again = seen[key] and again + 1 or 0
    if not seen[key] then add_trial(self, given) end
    seen[key] = true
  end
  self.count = #self.trials
end

-- All trials of a search that knows them beforehand.
local function lay_out(self)
  self.known = {}
  if self.asked then
    for _, given in ipairs(self.asked:before()) do add_trial(self, given) end
  else
    add_proposed(self)
  end
  known_runs.look_up(self, self.trials)
  for _, one in ipairs(self.trials) do enqueue(self, one) end
end

local function words_of(self, given)
  local words = {}
  for i, axis in ipairs(self.axes) do words[i] = axis.key .. "=" .. space.in_words(given[axis.key]) end
  return table.concat(words, " ")
end

function Sweep:label(trial, seed)
  return ("%d/%d %s%s"):format(trial.number, self.count, words_of(self, trial.given), self.seeds > 1 and " seed " .. seed or "")
end

local function job_of(self, one)
  local label = self:label(one.trial, one.seed) .. (one.promoted and " goes on" or "")
  return { label = label, one = one, run = function() return trial_run.execute(self, one, label) end }
end

-- A run that halving has stopped and that is among the best by now: the one that has come farthest.
local function promoted(self)
  local found
  for _, one in ipairs(self.halving and self.trials or {}) do
    local rung = one.stopped_at
    if rung and (not found or rung > found.stopped_at) and self.halving:goes_on(one.number, rung) then found = one end
  end
  if not found then return nil end
  found.stopped_at = false
  return { trial = found, seed = 1, left = found.ids[1], promoted = true }
end

local function next_job(self)
  if self.ending then return nil end
  local one = promoted(self)
  if not one and #self.ready == 0 and self.asked and #self.trials < self.count then
    local added = add_trial(self, self.asked:ask())
    known_runs.look_up(self, { added })
    enqueue(self, added)
  end
  one = one or table.remove(self.ready, 1)
  return one and job_of(self, one) or nil
end

local function tell_failure(self, job, outcome)
  self.failed = self.failed + 1
  self.code = self.code or outcome.code
  local why = grid.why(outcome)
  if is_news(self.told, why) then host.write(2, ("%s: %s\n"):format(job.label, why)) end
  if outcome.exited or outcome.code == 64 then self.ending = outcome.code end
end

local function ended(self, job, outcome)
  local one, result = job.one, outcome.text and host.json_decode(outcome.text)
  if not result then
    tell_failure(self, job, outcome)
    if one.promoted then return end  -- what it had come to stays
  end
  local stopped = result and result.status == "interrupted" or false
  if stopped and host.stopping() then return end
  note(self, one.trial, one.seed, result and { id = result.id, value = result.value, stopped = stopped }
    or { stopped = self.halving ~= nil }, one.left ~= nil)
  if not (self.halving and one.seed == 1) then return end
  one.trial.stopped_at = stopped and known_runs.stopped_at(require("gradus.store").open(self.options.store), result.id, result.uid)
  self:follow(one.trial)
end

-- A stop at halving's word when the run has reached a rung.
local function asked(self, job, text)
  local who, rung, value = job.one.trial.number, text:match "^(%S+) (%S+)$"
  rung = tonumber(rung)
  self.halving:reached(who, rung, tonumber(value))
  local goes_on, limit = self.halving:goes_on(who, rung)
  return goes_on and "go" or ("stop %.17g"):format(limit)
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
  return function(_, running, seconds)
    local best, done = self:ranked()[1], 0
    for _, one in ipairs(self.trials) do done = done + one:done() end
    local words = { ("%d of %d runs"):format(done, self.count * self.seeds), running .. " running",
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
    asked = function(job, text) return asked(self, job, text) end }
  if self.asked then self.asked:close() end
end

local SEARCHES = check.choice("grid", "random", "halton", "optuna")

---@class SweepOptions
---@field set table          parameter -> list of values, { lin = { low, high } } or { log = { low, high } }
---@field by string          the metric that decides; of each run its best value
---@field direction string?  "max" (or "higher") or "min" (or "lower"), where the name of `by` does not tell
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
  options = check.options("sweep", options, { set = check.table, by = check.string,
    direction = check.choice("max", "min", "higher", "lower"),
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
