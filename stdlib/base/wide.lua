--- Numbers of a model in mixed precision as losses and measures take them: sums of float16 or bfloat16 would keep three digits.
local SHORT = { float16 = true, bfloat16 = true }

--- float32 of float16 and bfloat16; all others as they are.
---@param t Tensor
---@return Tensor
return function(t) return SHORT[t.dtype] and t:float() or t end
