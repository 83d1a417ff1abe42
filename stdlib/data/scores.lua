--- What a score says of each row of a data set.
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local labels = require "gradus.data.labels"

local ops = engine.ops

-- Rows of tokens of which none is hidden have no score of their own: they get the mean of the others.
local function fill_unasked(values, unasked)
  if not unasked:any():item() then return values end
  local asked = values:masked_select(unasked:logical_not())
  if asked:numel() == 0 then host.fail "rank: no position is hidden in any of the rows; expected a higher share (mask = …)" end
  return ops.where(unasked:logical_and(values:isnan()), asked:mean(), values)
end

--- One number for each row, from a function of inputs and labels (curriculum/score.lua): float64 [n].
---@param d Dataset
---@param where string  whom errors blame
---@param score fun(x: Tensor, y: Tensor, labels: Labels): Tensor
---@return Tensor
return function(d, where, score)
  local parts, unasked = {}, {}
  d:each(1024, function(x, y)
    local one = score(x, y, d.labels)
    if not engine.is_tensor(one) then check.fail(where, "expected the score to return a Tensor; got %s", check.describe(one)) end
    if one:numel() ~= x:size(0) then
      check.fail(where, "expected one score for each of %d rows; got %s", x:size(0), check.describe(one))
    end
    parts[#parts + 1] = one:detach():cpu():double():reshape { -1 }
    if d.labels.kind == "tokens" and y then unasked[#parts] = y:eq(labels.none):all { dim = 1 } end
  end)
  local values = ops.cat(parts, 0)
  return unasked[1] and fill_unasked(values, ops.cat(unasked, 0)) or values
end
