--- A curve in one line of text: sparkline({ 0, 1, 4, 2 }) is "▁▂█▄".
local check = require "gradus.base.check"

local BARS = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" }

local NUMBER = { expected = "a number", test = function(v) return type(v) == "number" end }  -- NaN too
local EMPTY = { expected = "an empty one", test = function(v) return type(v) == "table" and next(v) == nil end }

--- The values as bars between `low` and `high` (their own least and greatest when left out). More values than `width` are
--- averaged in equal groups. `marks` are positions in the list before which a "┆" is put.
---@param values number[]
---@param options? {low: number, high: number, width: number, marks: number[]}
---@return string
return function(values, options)
  options = check.options("sparkline", options, { low = NUMBER, high = NUMBER, width = check.int(1),
    marks = check.either(check.list(check.int(1)), EMPTY), over = check.any })
  check.value("sparkline", "values", values, check.either(check.list(NUMBER), EMPTY))
  if #values == 0 then return "" end
  local low, high = options.low or math.huge, options.high or -math.huge
  for _, v in ipairs(values) do
    if not options.low and v < low then low = v end  -- NaN is neither
    if not options.high and v > high then high = v end
  end
  local width, marked, out = math.min(options.width or 60, #values), {}, {}
  for _, position in ipairs(options.marks or {}) do marked[math.floor((position - 1) * width / #values) + 1] = true end
  for column = 1, width do
    local from, to = math.floor((column - 1) * #values / width) + 1, math.floor(column * #values / width)
    local sum = 0
    for i = from, to do sum = sum + values[i] end
    local mean = sum / (to - from + 1)
    local share = (high > low or mean ~= mean) and (mean - low) / (high - low) or .5
    local bar = math.min(8, math.max(1, math.floor(share * 8) + 1))
    out[#out + 1] = (marked[column] and column > 1 and "┆" or "") .. (share == share and BARS[bar] or "?")
  end
  return table.concat(out)
end
