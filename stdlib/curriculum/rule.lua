--- An advance rule as the stages ask it: called with the run's state it returns a verdict and the numbers that it was taken from.

---@class AdvanceRule
---@field text string         as events tell it
---@field every string        when it is asked: at each "step" or "evaluation"
---@field unit string?        what it counts, and with `limit` up to where: for those who plan ahead
---@field limit number?
---@field metrics table       those that it asks for, each a name or a list of which the first that is measured counts
---@field waits boolean       it has nothing to say without them
local Rule = {}
Rule.__index = Rule
function Rule:__call(s) return self.decide(s) end
function Rule:__tostring() return self.text end

local rule = {}

---@param text string
---@param every string
---@param decide fun(s: State): string|false, table?
---@param unit? string
---@param limit? number
---@param metrics? table
---@return AdvanceRule
function rule.new(text, every, decide, unit, limit, metrics)
  return setmetatable({ text = text, every = every, decide = decide, unit = unit, limit = limit, metrics = metrics or {},
    waits = metrics ~= nil and #metrics > 0 }, Rule)
end

--- Whether a value is a rule.
---@param value any
function rule.is(value) return getmetatable(value) == Rule end

return rule
