--- A run's weights on its way: the run is done again, without writing, with the same bits, and its last training's student is copied
--- at the steps that are asked for. Its snapshots do not hold them: of a finished run only the end stays. A fork is done again from where
--- it was forked.
local axes = require "gradus.experiment.axes"
local children = require "gradus.children"
local copy = require "gradus.base.copy"
local distill = require "gradus.training.distill"
local done_again = require "gradus.experiment.done_again"
local fork = require "gradus.experiment.fork"
local host = require "gradus.host"

local DATA = 65  -- exit code

-- Copies the training's student as it passes the steps, which are sorted; after the last one nothing is left to do.
local function follow(training, given, steps, seen)
  local run, i = training.run, 1
  seen.student, seen.given = training.student, given
  local function look()
    local step = run.step_number
    while steps[i] and steps[i] < step do i = i + 1 end
    if steps[i] == step then
      seen[step] = copy(training.student:state_dict())
      i = i + 1
    end
    training.ahead.wants = steps[i] and steps[i] - training.before
  end
  look()
  function training.at_boundary(_, over)
    look()
    if not steps[i] then error({ interrupted = "the last step was seen" }) end
    return over
  end
end

-- Stands where a live edit would: all trainings of the run pass here. Those on the axis of the run's own rows are followed.
local function follower(axis, steps, seen)
  local live = {}
  function live.loops() end
  function live.train(_, run, given, where)
    local training = distill.make(run, given, where)
    if run.axis == axis then follow(training, given, steps, seen) end
    return distill.train(training)
  end
  return live
end

--- Does a run again as far as the last of the steps, which are of its last training.
---@param options table     the command line
---@param store table
---@param experiment table
---@param row {id: number, uid: string, name: string, seed: number}
---@param steps number[]     sorted; 0: before the first; of a fork none before its own
---@return table<number, table<string, Tensor>> weights  by step
---@return Module student
---@return table given       what the training was told: data and so on
return function(options, store, experiment, row, steps)
  local axis, goal = axes.last(store, row.id), fork.beginning(store, row.id)
  fork.check_replays(store, row.id, goal and goal.point.step or 0, steps[#steps])
  local run, given = done_again(options, store, experiment, row, { goal = goal, quiet = true })
  local seen = {}
  if goal then seen[goal.point.step] = copy(goal.student) end
  run.live = follower(axis, steps, seen)
  local ok, why = xpcall(experiment.run, host.traceback, run, given)
  run.line.clear()
  if run.interrupted then host.fail("landscape: interrupted", children.stop_code()) end
  for _, step in ipairs(steps) do
    if not seen[step] and not ok then error(why, 0) end
    if not seen[step] then
      host.fail(("landscape: run %d, done again, has no step %d; expected a script whose last training is distill's or fit's, and that "
        .. "does what it did"):format(row.id, step), DATA)
    end
  end
  return seen, seen.student, seen.given
end
