--- Inputs as a module takes them: in the float type of its weights, where that is another than the data's.

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

--- x itself where it is of the module's type, or no float.
---@param module Module
---@param x Tensor
---@return Tensor
return function(module, x)
  local own = x.dtype:find "float" and type_of(module)
  return own and own ~= x.dtype and x:to { dtype = own } or x
end
