--- A copy of plain data, tables within tables and tensors, that shares nothing with them: what a snapshot keeps.
local engine = require "gradus.engine"

local function copy(value)
  if engine.is_tensor(value) then return value:detach():clone() end
  if type(value) ~= "table" then return value end
  local made = {}
  for key, inner in pairs(value) do made[key] = copy(inner) end
  return made
end

return copy
