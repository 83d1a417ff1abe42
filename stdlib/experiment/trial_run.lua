--- A run of a sweep, in the process that does it: it keeps the best that it logs of the sweep's metric, asks halving whether it goes on,
--- and takes up what an earlier call or halving has left.
local children = require "gradus.children"
local host = require "gradus.host"
local console = require "gradus.base.console"
local finished = require "gradus.experiment.finished"
local halving = require "gradus.experiment.halving"
local known_runs = require "gradus.experiment.known_runs"
local resume = require "gradus.experiment.resume"
local runner = require "gradus.experiment.runner"

local trial_run = {}

---@class Seen  of the metric, by the run's training that goes on
---@field count number
---@field best number?
---@field axis number?

local function take(sweep, seen, value)
  seen.count = seen.count + 1
  if not seen.best or sweep:better(value, seen.best) then seen.best = value end
end

-- Asks where halving looks; a run that is to stop does so at its next boundary, where a snapshot of it is taken.
local function ask(sweep, seen, run, step)
  local answer = children.ask("asked", ("%.17g %.17g"):format(halving.rung(run.axis, seen.count), seen.best))
  local limit = tonumber(answer and answer:match "^stop (.*)$")
  if not limit then return end
  run:event("decision", "halving", { training = run.axis, evaluations = seen.count, value = seen.best, limit = limit,
    step = step })
  run.ending = finished.STOPPED
    .. ("halving: %s %.6g after %d evaluations, %.6g needed"):format(sweep.by, seen.best, seen.count, limit)
end

-- Is told what the run logs. What a run that goes on logs on its way to where it was is known.
local function watch(sweep, one, seen)
  return function(run, name, value, step)
    if name ~= sweep.by or value ~= value or run.unmuted and run.writer ~= run.unmuted then return end
    if seen.axis ~= run.axis then seen.axis, seen.count, seen.best = run.axis, 0, nil end  -- a training after a teacher's
    take(sweep, seen, value)
    if sweep.halving and one.seed == 1 and halving.looks(seen.count) then ask(sweep, seen, run, step) end
  end
end

-- The run of the store as one that goes on. What was interrupted and cannot go on with the same bits begins anew; what was stopped
-- has a value, and stays as it is.
local function planned(sweep, store, one, seen)
  local plan = one.trial.plan[one.seed]
  if not one.left then return plan end
  local ok, found = pcall(resume.planned, store, one.left, sweep.experiment, sweep.options, {})
  if not ok then
    if one.promoted then error(found, 0) end
    console.tell("say", host.error_text(found) .. "; it begins anew")
    return plan
  end
  if found.goal then
    found.goal.on_arrival = function(run)
      seen.axis = run.axis
      for _, value in ipairs(known_runs.values(store, one.left, sweep.by)) do take(sweep, seen, value) end
    end
  end
  return found
end

---@class TrialRun
---@field trial Trial
---@field seed number
---@field left? number       the run's id, where it goes on
---@field promoted? boolean  halving had stopped it

--- Does the run. Returns { id, uid, status, value } as JSON.
---@param sweep table
---@param one TrialRun
---@param label string
function trial_run.execute(sweep, one, label)
  local seen, store = { count = 0 }, runner.prepare(sweep.options)
  local plan = planned(sweep, store, one, seen)
  local text = runner.execute_one(sweep.options, store, sweep.experiment, plan, label, watch(sweep, one, seen))
  local result = host.json_decode(text)
  return host.json_encode { id = result.id, uid = result.uid, status = result.status, value = seen.best }
end

return trial_run
