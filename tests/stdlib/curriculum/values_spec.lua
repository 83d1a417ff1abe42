-- Values that a schedule is given by place.
local values = require "gradus.curriculum.values"

local function asked(names, ...)
  local given, n = { ... }, select("#", ...)
  return function() values("linear", names, unpack(given, 1, n)) end
end

describe("values by place", function()
  it("are taken where all are numbers", function()
    asked("first last", 0, -1e300)()
    asked("value", 5)()
    asked("", nil)()
  end)
  local refused = {
    { "a text", asked("first last", "1", 2),
      "schedule.linear: argument 1 'first': expected a number; got '1'; usage: schedule.linear(first, last)" },
    { "a later text", asked("first last levels", 1, 2, "x"), "argument 3 'levels': expected a number; got 'x'" },
    { "one that is missing", asked("first last", 1),
      "schedule.linear: argument 2 'last' is missing; expected schedule.linear(first, last)" },
    { "the first that is missing", asked("first last", nil, 2), "argument 1 'first' is missing" },
    { "NaN", asked("first last", 1, 0 / 0), "argument 2 'last': expected a number; got nan" },
    { "infinity", asked("first", math.huge), "argument 1 'first': expected a number; got inf" },
    { "infinity below 0", asked("first", -math.huge), "argument 1 'first': expected a number; got -inf" },
    { "a table that holds but one", asked("first last", { from = 8 }), "argument 1 'first': expected a number; got a table" },
    { "a table that holds but the last", asked("first last", { to = 8 }), "argument 1 'first': expected a number; got a table" },
    { "a table behind", asked("first last", 1, { from = 8, to = 2 }), "argument 2 'last': expected a number; got a table" },
    { "texts by name", asked("first last", { from = "8", to = 2 }), "argument 1 'first': expected a number; got a table" },
  }
  for _, case in ipairs(refused) do
    it("refuse " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
  local first = { "first", "from", "start", "begin", "high", "initial", "start_value", "max", 1 }
  local last = { "last", "to", "stop", "end", "low", "final", "end_value", "min", 2 }
  for i, name in ipairs(first) do
    it(("by name say how they stand: %s, %s"):format(name, last[i]), function()
      expect(asked("first last", { [name] = 8, [last[i]] = .5 })):fails_with(
        "schedule.linear: its values stand in their places: expected schedule.linear(8, 0.5); { from =, to = } behind them are shares "
        .. "of the budget")
    end)
  end
end)
