--- Inputs as a module takes them: in the float type of its weights, where that is another than the data's.

-- The float type of a module's weights; nil without any.
local function type_of(module)
  for _, p in module:named_parameters() do
    if p.dtype:find "float" then return p.dtype end
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
