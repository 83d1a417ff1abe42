--- A module of another float type than the data is asked in its own, and answers in theirs: a teacher in bfloat16 or float64.
local taken_by = require "gradus.base.taken_by"

--- call(x), x as the module takes it and what is returned as x was.
---@param module Module
---@param call fun(x: Tensor): Tensor   the module, or what asks it
---@param x Tensor
---@return Tensor
return function(module, call, x)
  local own = taken_by(module, x)
  if own.dtype == x.dtype then return call(x) end
  return call(own):to { dtype = x.dtype }
end
