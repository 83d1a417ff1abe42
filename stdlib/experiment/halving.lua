--- Asynchronous successive halving (Li et al., 2020): a run is looked at when it has been evaluated 1, 3, 9, … times, and goes on
--- while it is among the best third of all that have come as far. Nobody waits for anybody: one that is stopped too early, because the
--- worse ones came later, goes on from its snapshot once it is among the best third (sweep.lua). The trainings of a run are told apart:
--- a teacher that it trains first is measured against the others' teachers.
local halving = {}

local ETA = 3
local MOST = 2 ^ 32  -- evaluations of a training

---@class Halving
---@field rungs table<number, table<any, number>>  rung -> what each run had reached there
local Halving = {}
Halving.__index = Halving

---@param better fun(a: number, b: number): boolean
function halving.new(better) return setmetatable({ rungs = {}, better = better }, Halving) end

--- Whether a run is looked at after so many evaluations.
---@param count number
function halving.looks(count)
  while count > 1 and count % ETA == 0 do count = count / ETA end
  return count == 1
end

--- How far a run has come, by its training (from 1) and how often that was evaluated: the greater the farther.
---@param training number
---@param count number
---@return number
function halving.rung(training, count) return training * MOST + count end

--- Takes what a run has reached at a rung.
---@param who any
---@param rung number
---@param value number
function Halving:reached(who, rung, value)
  local all = self.rungs[rung] or {}
  self.rungs[rung] = all
  all[who] = value
end

--- Takes all that a run has shown, in order.
---@param who any
---@param training number
---@param values number[]
function Halving:showed(who, training, values)
  local best
  for count, value in ipairs(values) do
    if not best or self.better(value, best) then best = value end
    if halving.looks(count) then self:reached(who, halving.rung(training, count), best) end
  end
end

--- Whether a run that has come to a rung goes on, as far as is known by now; else also the value that it has to reach.
---@param who any
---@param rung number
---@return boolean
---@return number?
function Halving:goes_on(who, rung)
  local all, value = {}, self.rungs[rung][who]
  for _, one in pairs(self.rungs[rung]) do all[#all + 1] = one end
  if #all < ETA then return true end  -- too few to say
  table.sort(all, self.better)
  local limit = all[math.floor(#all / ETA)]
  return not self.better(limit, value), limit
end

return halving
