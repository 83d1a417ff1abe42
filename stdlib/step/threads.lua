--- How many threads LibTorch's operators run on. Each training of a run has its number from the size of its steps, before
--- the first: one thread where the work lies in small operators, where handing over costs more than it gains, more for large
--- ones, and never more than there are cores. The number depends on shapes and on the machine, never on time, because results
--- differ in their last bits between one thread and two. Only where other runs of this user are training already does a run
--- take fewer, and says so: threads that wait for each other's cores are slower than one. --threads N overrides it all.
local engine = require "gradus.engine"
local host = require "gradus.host"
local console = require "gradus.base.console"

local threads = {}

local WORTH_A_THREAD = 1e8  -- floating-point operations of a step: about a millisecond of one core
local MOSTLY = .5           -- share of the operations that large operators have to have

--- The number for steps of so many floating-point operations, on a machine of one's own.
---@param run Run
---@param flops number
---@param large? number  the share of them in operators that gain from threads; default 1
function threads.of(run, flops, large)
  if run.options.threads then return run.options.threads end
  large = large or 1
  if large < MOSTLY then return 1 end
  return math.max(1, math.min(engine.cores(), math.floor(large * flops / WORTH_A_THREAD)))
end

-- What is left of the cores beside other runs. Those of one `-j` share nothing: each has what it has alone.
local function beside_others(run, count)
  if run.options.threads then
    host.share_cores(count)
    return count
  end
  local others = host.share_cores(count)
  local left = math.max(1, engine.cores() - others)
  if left >= count then return count, others end
  host.share_cores(left)
  run.line.say(("threads: %d of %d, since other runs use %d of %d cores, which changes the last bits; --threads %d takes all")
    :format(left, count, others, engine.cores(), count))
  return left, others
end

--- Chooses the number for the training that begins, and stores it; of several trainings in one run the most.
---@param run Run
---@param work fun(): number  the floating-point operations of a step, asked where there is a choice
function threads.choose(run, work)
  local flops, large, others, wanted
  if not run.options.threads and engine.cores() > 1 then
    local before = engine.large_share()  -- of an open loop, whose first round was counted
    flops = work()
    large = engine.large_share() or before or 1
  end
  wanted = threads.of(run, flops or 0, large)
  local count
  count, others = beside_others(run, wanted)
  engine.set_threads(count)
  if console.tell then console.tell("threads", tostring(count)) end
  if flops then run:event("threads", tostring(count), { flops = flops, cores = engine.cores(), large = large,
    wanted = count < wanted and wanted or nil, others = count < wanted and others or nil }) end
  if count > run.threads then
    run.threads = count
    run.writer:amend { threads = count }
  end
end

--- Chooses it by the first call of a step that stands in no loop over batches, whose first round would tell.
---@param run Run
---@param step table   that was just made (step.lua)
function threads.choose_by(run, step)
  local over, look, operations = step.over, step.look, nil
  function step.over(knobs)
    step.over = over
    if not (run.loop_knobs or run.dry) and run.threads == 0 then operations = engine.count_flops() end
    return over(knobs)
  end
  function step.look(batch, out)
    step.look = look
    if operations then
      local flops = operations()
      threads.choose(run, function() return flops end)
    end
    if look then look(batch, out) end
  end
end

--- Calls fn(…) on the threads that work of so many floating-point operations deserves.
function threads.with(run, flops, fn, ...)
  local before = engine.threads()
  engine.set_threads(threads.of(run, flops))
  local ok, result = pcall(fn, ...)
  engine.set_threads(before)
  if not ok then error(result, 0) end
  return result
end

return threads
