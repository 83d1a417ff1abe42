--- What a sweep searches: for each parameter a list of values, or a range from which any number may be taken.
---   { 2, 4, 8 }                   one of these
---   { lin = { 0, 1 } }            a number between, evenly            --set alpha=lin(0,1)
---   { log = { 1e-4, 1e-1 } }      a number between, evenly by its logarithm
local host = require "gradus.host"
local check = require "gradus.base.check"
local params = require "gradus.experiment.params"

local space = {}

---@class Axis
---@field key string
---@field values any[]?   of a list
---@field low number?     of a range
---@field high number?
---@field scale string?   "lin" or "log"
---@field whole boolean?  whole numbers only
---@field spec table?     the parameter's (params.lua)
local Axis = {}
Axis.__index = Axis

local function in_words(limits)
  local words = {}
  for i, limit in ipairs(limits) do words[i] = tostring(limit) end
  return table.concat(words, ", ")
end

local function range(where, key, scale, limits, specs)
  local low, high, typed = limits[1], limits[2], where:find "^%-%-" and 64 or nil
  if type(low) ~= "number" or type(high) ~= "number" or #limits ~= 2 or not (low < high) or scale == "log" and low <= 0 then
    host.fail(("%s: expected %s; got %s(%s)"):format(where, scale == "log" and "log(low, high) with 0 < low < high"
      or "lin(low, high) with low < high", scale, in_words(limits)), typed)
  end
  local one = specs[key] or params.unknown(key, specs, where:match "^%-%-set" or "sweep")
  if one.kind ~= "number" and one.kind ~= "int" then
    host.fail(("%s: expected a parameter that is a number, for a range; got %s"):format(where, one:expected()), typed)
  end
  for _, value in ipairs { low, high } do
    if typed then params.parse_set(key, ("%.17g"):format(value), specs) else params.check_grid({ [key] = { value } }, specs) end
  end
  return setmetatable({ key = key, scale = scale, low = low, high = high, whole = one.kind == "int", spec = one }, Axis)
end

--- The axis that `--set key=text` asks for. Commas part texts, too: a sweep of one would search nothing.
function space.parse(key, text, specs)
  local scale, inner = text:match "^(%a+)%((.*)%)$"
  local one = specs[key]
  if scale ~= "lin" and scale ~= "log" or one and one.kind == "string" then
    if text:find "^%a+%(" and one and (one.kind == "number" or one.kind == "int") then
      host.fail(("--set %s: expected a list, lin(low, high) or log(low, high); got '%s'"):format(key, text), 64)
    end
    return setmetatable({ key = key, values = params.parse_list(key, text, specs, true), spec = one }, Axis)
  end
  local limits = {}
  for word in (inner .. ","):gmatch "([^,]*)," do limits[#limits + 1] = tonumber(word) or word end
  return range(("--set %s"):format(key), key, scale, limits, specs)
end

--- The axis of a table: a list, or { lin = { low, high } }, or { log = … }.
function space.declare(key, given, specs)
  if type(given) ~= "table" then
    host.fail(("sweep: set: '%s': expected a list of values, or { log = { low, high } }; got %s")
      :format(tostring(key), check.describe(given)))
  end
  for _, scale in ipairs { "lin", "log" } do
    if given[scale] then return range(("sweep: set: '%s'"):format(key), key, scale, given[scale], specs) end
  end
  params.check_grid({ [key] = given }, specs)
  return setmetatable({ key = key, values = given, spec = specs[key] }, Axis)
end

--- The value at u, from 0 to below 1. Ranges are rounded to six digits, so that a value can be typed again.
function Axis:at(u)
  if self.values then return self.values[1 + math.floor(u * #self.values)] end
  local room = self.whole and .5 or 0  -- the first and the last whole number have all of their range, as those between
  local low, high = self.low - room, self.high + room
  if self.scale == "log" then
    low, high = math.log(low), math.log(high)
    u = math.exp(low + u * (high - low))
  else
    u = low + u * (high - low)
  end
  if self.whole then return math.max(self.low, math.min(self.high, math.floor(u + .5))) end
  return math.max(self.low, math.min(self.high, tonumber(("%.6g"):format(u))))
end

--- A value in words: a number with six digits, as ranges are rounded to.
function space.in_words(value) return type(value) == "number" and ("%.6g"):format(value) or tostring(value) end

--- Where a value lies in a range, from 0 to 1.
function Axis:share(value)
  if self.scale == "log" then return math.log(value / self.low) / math.log(self.high / self.low) end
  return (value - self.low) / (self.high - self.low)
end

return space
