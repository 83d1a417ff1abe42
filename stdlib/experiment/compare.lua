--- Groups of earlier runs side by side, paired by seed: what `gradus compare --json` prints, as tables.
---   local c = g.compare { where = "name == 'parity_mlp'", by = { "method" }, metrics = { "result/acc" }, versus = "one_shot" }
---   for _, one in ipairs(c.versus.comparisons) do print(c.groups[one.group + 1].label.method, one.mean, one.low, one.high) end
local host = require "gradus.host"
local check = require "gradus.base.check"
local reading = require "gradus.base.reading"
local store_module = require "gradus.store"

local NAMES = check.either(check.list(check.string), { expected = "an empty one", test = function(v)
  return type(v) == "table" and next(v) == nil
end })

--- The finished runs that fit, by group. Fields are those of `gradus compare --json`: groups[i] = { label, n, seeds, metrics = { [key] =
--- { last = { n, mean, sd } } } }; versus.comparisons[i] = { group, baseline (from 0), metric, pairs, mean, low, high, verdict }. A
--- verdict is "better", "worse", "no difference" (within the margin) or begins with "open".
---@param options {where: string?, by: string[]?, metrics: string[]?, versus: string?, margin: number?, store: string?}
---  where: the expression of `gradus runs --where`; by: parameters that make the groups; versus: the baseline group, by a value
---  of its parameters or COLUMN=VALUE,…; margin: the largest difference that does not matter; store: a file, by default this run's
---  store
return function(options)
  reading.refuse "g.compare"
  options = check.options("compare", options or {}, { where = check.string, by = NAMES,
    metrics = NAMES, versus = check.string, margin = check.above(0), store = check.string })
  local path = options.store or host.options.store
  return store_module.open(path, options.store ~= nil or host.exists(path)):compare { where = options.where,
    by = table.concat(options.by or {}, ","), metrics = table.concat(options.metrics or {}, ","), versus = options.versus,
    margin = options.margin and ("%.17g"):format(options.margin) }
end
