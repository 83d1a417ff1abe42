--- A mean of numbers, each with a weight; alike where there are none, 0 where nothing weighs anything. Shares of a sum in float64: huge
--- weights do not overflow, tiny ones are none.
---@param values Tensor
---@param weight Tensor?   of its shape
---@return Tensor  0-dim
return function(values, weight)
  if not weight then return values:mean() end
  local each = weight:to { dtype = "float64" }
  local total = each:sum()
  return (values * (each / (total + total:eq(0))):to { dtype = values.dtype }):sum()
end
