--- `gradus run SCRIPT -j N` and `--resume`: the runs of a grid, several at once, without those that an earlier call finished.
local host = require "gradus.host"
local console = require "gradus.base.console"
local farm = require "gradus.experiment.farm"
local is_news = require "gradus.base.news"
local runner = require "gradus.experiment.runner"

local grid = {}

local USAGE = 64

-- What a run asks for only when it trains: loaded here once, so that no child has to.
local FOR_TRAINING = { "experiment.run", "experiment.cached", "training.distill", "training.batches", "training.evaluator", "nn",
  "optim.optimizer", "data.dataset", "curriculum.curriculum", "curriculum.score", "training.teacher_cache" }

--- Loads what runs need, on one thread: a process that had several could not be forked.
function grid.warm()
  require("gradus.engine").set_threads(1)
  for _, name in ipairs(FOR_TRAINING) do require("gradus." .. name) end
  host.git()
  host.stdlib_hash()
  collectgarbage()  -- a child that collects writes to every page of the heap, and so copies it
end

--- A run of an experiment as a job of the farm. left: the id of one that goes on instead.
function grid.job(options, experiment, one, label, left)
  return { label = label, run = function()
    local store = runner.prepare(options)
    if left then one = require("gradus.experiment.resume").planned(store, left, experiment, options, {}) end
    return runner.execute_one(options, store, experiment, one, label)
  end }
end

--- What becomes of a run that did not succeed, in a line.
function grid.why(outcome)
  if outcome.hung then return "no sign of life; ended" end
  if outcome.signal ~= 0 then return "ended by a signal: " .. require("gradus.children").signal_name(outcome.signal) end
  if outcome.exited then return ("os.exit(%d)"):format(outcome.code) end
  return outcome.error and outcome.error.message or ("ended with code %d"):format(outcome.code)
end

-- The numbers of the runs to do, the results of those that an earlier call finished, and the ids of those that it left.
local function missing(options, experiment, plan)
  local results, todo, left = {}, {}, {}
  if options.resume then
    local finished = require "gradus.experiment.finished"
    results = finished.results(options, experiment, plan)
    left = finished.unfinished(require("gradus.store").open(options.store), options.name or experiment.name, experiment.specs, plan)
  end
  for i = 1, #plan do
    if not results[i] then todo[#todo + 1] = i end
  end
  if options.resume and not options.json then
    host.write(2, ("%d of %d finished runs are skipped\n"):format(#plan - #todo, #plan))
  end
  return todo, results, left
end

-- A grid's runs often fail alike: an error is told once, and one line in the end tells how many there were.
local function tell_failure(told, job, outcome)
  local why = grid.why(outcome)
  if not is_news(told, why) then return end
  if not outcome.error then
    host.write(2, ("%s: %s\n"):format(job.label, why))
  else
    host.write(2, ("%s: failed\n%s"):format(job.label, outcome.error.text))
  end
end

local function foot(count, failed)
  return function(ended, running, seconds)
    local words = { ("%d of %d finished"):format(ended - failed(), count), ("%d running"):format(running) }
    if failed() > 0 then table.insert(words, 2, ("%d failed"):format(failed())) end
    words[#words + 1] = console.duration(seconds)
    if ended > 0 then words[#words + 1] = ("about %s left"):format(console.duration(seconds / ended * (count - ended))) end
    return table.concat(words, "  ")
  end
end

-- Does the runs of the plan that are to do; results gets what they came to. Returns the exit codes of those that failed, by their number;
-- and the one that ends all.
local function work(options, experiment, plan, todo, results, left)
  local codes, failed, ending, at, wide, told = {}, 0, nil, 0, 0, {}
  local labels = runner.labels(plan)
  for _, i in ipairs(todo) do wide = math.max(wide, #labels[i]) end
  farm.work { jobs = options.jobs or 1, store = options.store, device = options.device, quiet = options.quiet or options.json, wide = wide,
    foot = foot(#todo, function() return failed end),
    next = function()
      at = at + 1
      local i = not ending and todo[at]
      if not i then return nil end
      local job = grid.job(options, experiment, plan[i], labels[i], left[i])
      job.index = i
      return job
    end,
    ended = function(job, outcome)
      if outcome.text then
        results[job.index] = outcome.text
        return
      end
      failed = failed + 1
      codes[job.index] = outcome.code
      tell_failure(told, job, outcome)
      results[job.index] = host.json_encode { run = job.index, error = grid.why(outcome), code = outcome.code }
      -- Nothing that a later run could do better: the script wants to end, or was called wrongly.
      if outcome.exited or outcome.code == USAGE then ending = outcome.code end
    end }
  return codes, ending
end

local function tell_interrupted(plan, results)
  local finished = 0
  for i = 1, #plan do
    if results[i] and host.json_decode(results[i]).status == "finished" then finished = finished + 1 end
  end
  host.write(2, ("%d of %d runs are finished; the same command with --resume does the rest\n"):format(finished, #plan))
end

-- What data a run reads is known when it has run: those that were skipped may have read others.
local function tell_other_data(options, plan, results, todo)
  local new, before, is_new = {}, {}, {}
  for _, i in ipairs(todo) do is_new[i] = true end
  for i = 1, #plan do
    local id = results[i] and host.json_decode(results[i]).id
    if id then table.insert(is_new[i] and new or before, id) end
  end
  local others = require("gradus.experiment.finished").of_other_data(require("gradus.store").open(options.store), before, new)
  if #others == 0 then return end
  host.write(2, ("%d of the runs that were skipped read other data than the new ones (run %d): the table mixes both; without --resume all "
    .. "run anew\n"):format(#others, others[1]))
end

--- Does the runs of the script. Returns the process's exit code.
---@param options table  the command line
function grid.run(options)
  grid.warm()
  local experiment = runner.load(options)
  if not experiment then
    runner.refuse_set(options)
    return 0
  end
  local plan = experiment:plan(options)
  local todo, results, left = missing(options, experiment, plan)
  local codes, ending = work(options, experiment, plan, todo, results, left)
  if ending then return ending end
  local stopped = require("gradus.children").stop_code()
  if stopped ~= 0 then
    if not options.quiet then tell_interrupted(plan, results) end
    return stopped
  end
  local list = {}
  for i = 1, #plan do list[#list + 1] = results[i] end
  runner.summarize(options, list, experiment)
  if options.resume then tell_other_data(options, plan, results, todo) end
  for i = 1, #plan do
    if codes[i] then return codes[i] end
  end
  return 0
end

return grid
