--- What a student has forgotten: the examples of a data set that it had right at some evaluation and has wrong at the latest one. An
--- accuracy that stays where it is may hide as many that were lost as were won.
local engine = require "gradus.engine"

local ops = engine.ops
local forgetting = {}

---@class Forgetting
---@field ever table<string, Tensor>  data set's name -> whether each example was right at some evaluation: bool [n]
local Forgetting = {}
Forgetting.__index = Forgetting

---@return Forgetting
function forgetting.new() return setmetatable({ ever = {} }, Forgetting) end

--- Looks at an evaluation. Returns the share of the examples that were right before and are wrong; nil where nothing is right or wrong.
---@param name string     of the data set
---@param right Tensor[]  bool, in the order of the rows
---@return number?
function Forgetting:look(name, right)
  if #right == 0 then return nil end
  local now = right[2] and ops.cat(right, 0) or right[1]
  local ever = self.ever[name] or now
  self.ever[name] = ever:logical_or(now)
  return ever:gt(now):sum():item() / now:numel()
end

function Forgetting:state()
  local ever = {}
  for name, rows in pairs(self.ever) do ever[name] = rows end  -- replaced, never written into
  return { ever = ever }
end

function Forgetting:load_state(kept)
  self.ever = {}
  for name, rows in pairs(kept.ever) do self.ever[name] = rows end
end

return forgetting
