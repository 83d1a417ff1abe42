--- The values that a schedule is given by place: which of them is missing or no number, and how those stand that were given by name.
local check = require "gradus.base.check"
local host = require "gradus.host"

local BY_NAME = { "first", "from", "start", "begin", "high", "initial", "start_value", "max" }
local TO_NAME = { "last", "to", "stop", "end", "low", "final", "end_value", "min" }

-- { from = 8, to = 2 } -> "8, 2"; nil where the table does not hold two numbers.
local function by_place(given)
  local function of(names, place)
    if type(given[place]) == "number" then return given[place] end
    for _, name in ipairs(names) do
      if type(given[name]) == "number" then return given[name] end
    end
  end
  local first, last = of(BY_NAME, 1), of(TO_NAME, 2)
  return first and last and ("%g, %g"):format(first, last)
end

--- Raises unless the values that stand in their places are numbers.
---@param name string   of the schedule
---@param names string  of its values: "first last"
---@param ... any       the values
return function(name, names, ...)
  local i = 0
  for argument in names:gmatch "%S+" do
    i = i + 1
    local v = select(i, ...)
    if type(v) ~= "number" or v ~= v or v == math.huge or v == -math.huge then
      local where, form = "schedule." .. name, ("schedule.%s(%s)"):format(name, (names:gsub(" ", ", ")))
      local values = i == 1 and type(v) == "table" and by_place(v)
      if values then
        host.fail(("%s: its values stand in their places: expected schedule.%s(%s); { from =, to = } behind them are shares of the budget")
          :format(where, name, values))
      end
      if v == nil then host.fail(("%s: argument %d '%s' is missing; expected %s"):format(where, i, argument, form)) end
      host.fail(("%s: argument %d '%s': expected a number; got %s; usage: %s"):format(where, i, argument, check.describe(v), form))
    end
  end
end
