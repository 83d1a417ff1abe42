--- Asynchronous successive halving (Li et al., 2020, the variant that stops): a run is looked at when it has been evaluated
--- 1, 3, 9, … times, and goes on while it is among the best third of all that have come as far. Nobody waits for anybody.
local halving = {}

local ETA = 3

---@class Halving
---@field rungs table<number, number[]>  what runs had reached, by how often they had been evaluated
local Halving = {}
Halving.__index = Halving

---@param better fun(a: number, b: number): boolean
function halving.new(better) return setmetatable({ rungs = {}, better = better }, Halving) end

--- Whether a run is looked at after so many evaluations.
function halving.looks(count)
  while count > 1 and count % ETA == 0 do count = count / ETA end
  return count == 1
end

--- Takes what a run has reached after `count` evaluations. Whether it goes on; else also the value that it had to reach.
---@param count number
---@param value number
function Halving:goes_on(count, value)
  local rung = self.rungs[count] or {}
  self.rungs[count] = rung
  rung[#rung + 1] = value
  table.sort(rung, self.better)
  if #rung < ETA then return true end  -- too few to say
  local limit = rung[math.max(1, math.floor(#rung / ETA))]
  return not self.better(limit, value), limit
end

return halving
