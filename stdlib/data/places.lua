--- Places of rows, as a user gives them: a tensor or a list of whole numbers from 0.
local engine = require "gradus.engine"

--- int64 [n]; nil where these are no places.
---@param given any
---@return Tensor?
return function(given)
  if type(given) == "table" and not engine.is_tensor(given) then
    given = engine.tensor(given, "float64")
    if not given:eq(given:floor()):all():item() then return nil end
    given = given:long()
  end
  if not engine.is_tensor(given) or given:dim() ~= 1 or given.dtype:find "float" or given.dtype == "bool" then return nil end
  return given:long()
end
