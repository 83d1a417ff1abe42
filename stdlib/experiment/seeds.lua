--- Seeds by a power calculation, written down before the runs: from how much a pilot's differences spread, and the smallest difference
--- that would be of interest. Each run stores it as the event "plan", so that a table of results can say how many seeds were planned.
local check = require "gradus.base.check"

local seeds = {}

-- What a list of seeds was calculated from; the lists themselves are plain.
local plans = setmetatable({}, { __mode = "k" })

--- So many seeds as a paired comparison needs: the fewest with which the two-sided paired t test at `level` finds a difference of
--- `effect` in a share `power` of studies, where the differences of runs of one seed have the standard deviation sd. Take sd from a
--- pilot on seeds that are not among these, and write down which.
---   local list = g.seeds { sd = .009, effect = .01 }
---@param options {sd: number, effect: number, power: number?, level: number?, first: number?}  sd and effect in one unit; power: .8;
---   level: .05; first: the first seed, 1
---@return number[]
function seeds.seeds(options)
  local o = check.options("seeds", options, { sd = check.above(0), effect = check.above(0), power = check.number(.5, .999),
    level = check.number(1e-6, .5), first = check.int(0) }, { power = .8, level = .05, first = 1 })
  for _, name in ipairs { "sd", "effect" } do
    if not o[name] then check.fail("seeds", "%s: expected a number above 0, as in g.seeds { sd = .009, effect = .01 }; got nil", name) end
  end
  local count = require("gradus.statistics").pairs_needed(o.effect / o.sd, o.power, o.level)
  if not count then
    check.fail("seeds", "no number of seeds up to 100000 finds an effect of %g where differences spread by %g", o.effect, o.sd)
  end
  local list = {}
  for i = 1, count do list[i] = o.first + i - 1 end
  plans[list] = { sd = o.sd, effect = o.effect, power = o.power, level = o.level, seeds = count }
  return list
end

--- Stores what an experiment's seeds were calculated from; nothing of seeds that somebody just wrote down.
---@param run Run
---@param list number[]?  of the experiment's grid
function seeds.store(run, list)
  local plan = plans[list or false]
  if plan then run:event("plan", "seeds", plan, 0) end
end

return seeds
