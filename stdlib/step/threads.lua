--- How many threads LibTorch's operators run on. Each training of a run has its number from the size of its steps, before
--- the first: one thread for small steps, where handing over costs more than it gains, more for large ones, and never more
--- than there are cores. The number depends on shapes and on the machine alone, never on time or on other processes, because
--- results differ in their last bits between one thread and two. --threads N overrides it.
local engine = require "gradus.engine"
local console = require "gradus.experiment.console"

local threads = {}

local WORTH_A_THREAD = 1e8  -- floating-point operations of a step: about a millisecond of one core

--- The number for steps of so many floating-point operations.
---@param run Run
---@param flops number
function threads.of(run, flops)
  return run.options.threads or math.max(1, math.min(engine.cores(), math.floor(flops / WORTH_A_THREAD)))
end

--- Chooses the number for the training that begins, and stores it; of several trainings in one run the most.
---@param run Run
---@param work fun(): number  the floating-point operations of a step, asked where there is a choice
function threads.choose(run, work)
  local flops = not run.options.threads and engine.cores() > 1 and work() or nil
  local count = threads.of(run, flops or 0)
  engine.set_threads(count)
  if console.tell then console.tell("threads", tostring(count)) end
  if flops then run:event("threads", tostring(count), { flops = flops, cores = engine.cores() }) end
  if count > run.threads then
    run.threads = count
    run.writer:amend { threads = count }
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
