--- The knobs of a loop of one's own: what its steps are given, and what somebody has set in their place (`gradus attach --set`).
--- For attach.lua a list of stages without one: a loop decides itself where it is.
local sorted_keys = require "gradus.base.sorted_keys"

local loop_knobs = {}

---@class LoopKnobs
---@field last table<string, number|Tensor>   what the step before was given
---@field by_hand table<string, number>?      over what the loop gives
---@field list table                          of stages: none
local LoopKnobs = {}
LoopKnobs.__index = LoopKnobs

---@return LoopKnobs
function loop_knobs.new() return setmetatable({ last = {}, list = {} }, LoopKnobs) end

--- What a step gets for what the loop gives it.
---@param knobs table<string, number|Tensor>?
function LoopKnobs:over(knobs)
  if not knobs then return nil end
  local by_hand = self.by_hand
  if by_hand then
    local given = {}
    for name, value in pairs(knobs) do
      local one = by_hand[name]
      if one == nil then one = value end
      given[name] = one
    end
    knobs = given
  end
  self.last = knobs
  return knobs
end

---@return string[]  of those that the last step was given
function LoopKnobs:knob_names() return sorted_keys(self.last) end

--- From the next step on; nil gives the knob back to the loop. Whether that changed anything.
---@param name string
---@param value number?
function LoopKnobs:set_by_hand(name, value)
  local before = self.by_hand and self.by_hand[name]
  self.by_hand = self.by_hand or {}
  self.by_hand[name] = value
  if next(self.by_hand) == nil then self.by_hand = nil end
  return before ~= value
end

return loop_knobs
