--- A module of another float type than the data is asked in its own, and answers in theirs: a teacher in bfloat16 or float64.

-- The float type of a module's first weights, its own before those below; nil without any. Asked for each batch: without their list.
local function type_of(module)
  local values, kinds = module._values, module._kinds
  for _, name in ipairs(module._order) do
    if kinds[name] == "parameter" and values[name].dtype:find "float" then return values[name].dtype end
  end
  for _, name in ipairs(module._order) do
    local below = kinds[name] == "module" and type_of(values[name])
    if below then return below end
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
