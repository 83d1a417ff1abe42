--- A module of another float type than the data is asked in its own, and answers in theirs: a teacher in bfloat16 or float64.

-- The float type of a module's weights; nil without any.
local function type_of(module)
  for _, p in module:named_parameters() do
    if p.dtype:find "float" then return p.dtype end
  end
end

--- call(x), x as the module takes it and what is returned as x was.
---@param module Module
---@param call fun(x: Tensor): Tensor   the module, or what asks it
---@param x Tensor
---@return Tensor
return function(module, call, x)
  local own = x.dtype:find "float" and type_of(module)
  if not own or own == x.dtype then return call(x) end
  return call(x:to { dtype = own }):to { dtype = x.dtype }
end
