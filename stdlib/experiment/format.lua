--- The format of a column: a text with one conversion of string.format for a number, such as "%.2f". "%%" in it makes a
--- percentage, and multiplies by 100.
local format = {}

local CONVERSION = "%%([-+ #0]*)(%d*%.?%d*)([deEfgGixXs])"

-- The text without its "%%", which are no conversions.
local function bare(pattern) return (pattern:gsub("%%%%", "")) end

--- Why the pattern does not fit, in words behind "expected"; nil where it does.
---@param pattern any
---@return string?
function format.problem(pattern)
  if type(pattern) == "string" then
    local left, count = bare(pattern):gsub(CONVERSION, "")
    if count == 1 and not left:find "%%" and pcall(pattern.format, pattern, .5) then return nil end
  end
  return [[one conversion of a number, such as "%.2f", or "%.1f%%" for a percentage]]
end

--- The number as the pattern says.
---@param pattern string
---@param value number
function format.apply(pattern, value) return pattern:format(pattern:find "%%%%" and 100 * value or value) end

--- The pattern with the sign of positive numbers shown, or with none shown of them.
---@param pattern string
---@param signed boolean
function format.signed(pattern, signed)
  local kept = pattern:gsub("%%%%", "\1")
  kept = kept:gsub(CONVERSION, function(flags, size, letter)
    flags = flags:gsub("%+", "")
    if letter == "s" then letter, size = "g", "" end
    return "%" .. (signed and "+" or "") .. flags .. size .. letter
  end)
  return (kept:gsub("\1", "%%%%"))
end

-- How many decimals a spread has two digits with.
local function decimals(sd) return math.max(0, 1 - math.floor(math.log10(sd))) end

local MOST, LONGEST = 6, 9  -- decimals, and digits in all, that are still read

--- "mean ± sd" where no pattern is given: as many digits as the spread has two of, and never a row of zeros.
---@param mean number
---@param sd number?  nil of one value, which has no spread
function format.mean(mean, sd)
  if not sd then return ("%.4g"):format(mean) end
  if not (sd > 0) or sd == math.huge or mean ~= mean then return ("%.4g ± %.4g"):format(mean, sd) end
  local digits = decimals(sd)
  local whole = math.floor(math.log10(math.max(math.abs(mean), sd, 1))) + 1
  if digits > MOST or digits + whole > LONGEST then return ("%.4g ± %.2g"):format(mean, sd) end
  local pattern = ("%%.%df"):format(digits)
  return pattern:format(mean) .. " ± " .. pattern:format(sd)
end

return format
