--- A trial of a sweep: parameters, its runs with seeds 1 to n, and what they came to.

---@class TrialResult
---@field id number?       in the store; nil of one that failed
---@field value number?    the best that it logged
---@field stopped boolean  by halving

---@class Trial
---@field number number
---@field given table      what the search chose
---@field plan table[]     its runs, by seed
---@field results table<number, TrialResult>  by seed
---@field value number?    the mean over its runs of each one's best `by`; nil: none has one
---@field sd number?       over its runs, where there are several
---@field runs number      with a value
---@field ids number[]     in the store
---@field stopped boolean  halving ended its first run, or that failed; the others do not begin
---@field stopped_at number|false  the rung (halving.lua), where the run can go on from its snapshot
local Trial = {}
Trial.__index = Trial

local trial = {}

---@param number number
---@param given table
---@param fixed table   the sweep's parameters that are not searched
---@param seeds number
---@return Trial
function trial.new(number, given, fixed, seeds)
  local all, plan = {}, {}
  for key, value in pairs(fixed) do all[key] = value end
  for key, value in pairs(given) do all[key] = value end
  for seed = 1, seeds do plan[seed] = { given = all, seed = seed } end
  return setmetatable({ number = number, given = given, plan = plan, results = {}, ids = {}, runs = 0, stopped = false,
    stopped_at = false }, Trial)
end

-- The mean and its spread, of the runs that have a value.
local function tally(self)
  local values, sum, squares = {}, 0, 0
  self.ids = {}
  for seed = 1, #self.plan do
    local one = self.results[seed] or {}
    self.ids[#self.ids + 1] = one.id
    values[#values + 1] = one.value
  end
  for _, value in ipairs(values) do sum = sum + value end
  self.runs = #values
  self.value = self.runs > 0 and sum / self.runs or nil
  for _, value in ipairs(values) do squares = squares + (value - self.value) ^ 2 end
  self.sd = self.runs > 1 and math.sqrt(squares / (self.runs - 1)) or nil
end

--- A run has ended; what was known of one that went on is replaced.
---@param seed number
---@param result TrialResult
function Trial:note(seed, result)
  self.results[seed] = result
  if seed == 1 then self.stopped = result.stopped end
  tally(self)
end

--- How many of its runs have ended.
function Trial:done()
  local count = 0
  for _ in pairs(self.results) do count = count + 1 end
  return count
end

return trial
