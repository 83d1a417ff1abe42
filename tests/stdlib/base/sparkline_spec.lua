-- Curves in one line of text.
local sparkline = require "gradus.base.sparkline"

local inf, nan = math.huge, 0 / 0

describe("a sparkline", function()
  local cases = {
    { "of nothing", {}, nil, "" },
    { "of every bar", { 0, 1, 2, 3, 4, 5, 6, 7 }, nil, "▁▂▃▄▅▆▇█" },
    { "of one value stands in the middle", { 3 }, nil, "▅" },
    { "of equal values stands in the middle", { -2, -2, -2 }, nil, "▅▅▅" },
    { "of values below 0", { -4, -2, 0 }, nil, "▁▅█" },
    { "rounds a share down", { 0, .99, 1, 8 }, { high = 8 }, "▁▁▂█" },
    { "within limits of its own", { 0, 1 }, { low = -1, high = 3 }, "▃▅" },
    { "with one limit takes the other from the values", { 2, 4, 6 }, { low = 0 }, "▃▆█" },
    { "with the upper limit too", { 2, 4, 6 }, { high = 10 }, "▁▃▅" },
    { "beyond its limits stays within the bars", { -5, .5, 5 }, { low = 0, high = 1 }, "▁▅█" },
    { "between equal limits stands in the middle", { 1, 2 }, { low = 3, high = 3 }, "▅▅" },
    { "of a value that is none shows it", { 0, nan, 1 }, nil, "▁?█" },
    { "of none that is a number", { nan, nan }, nil, "??" },
    { "of an infinity shows what is finite at the bottom", { 0, 1, inf }, nil, "▁▁?" },
    { "of groups shows their means", { 0, 2, 4, 6 }, { width = 2, low = 0, high = 8 }, "▂▆" },
    { "of groups of unequal size", { 0, 0, 6, 6, 6 }, { width = 2, low = 0, high = 8 }, "▁▇" },
    { "of five in three groups", { 0, 1, 2, 3, 4 }, { width = 3, low = 0, high = 4 }, "▁▄█" },
    { "in one column", { 0, 4 }, { width = 1, low = 0, high = 4 }, "▅" },
    { "is no wider than it has values", { 0, 1 }, { width = 50 }, "▁█" },
    { "has marks before positions", { 0, 1, 2, 3 }, { marks = { 2, 4 } }, "▁┆▃▆┆█" },
    { "has no mark before its first column", { 0, 1 }, { marks = { 1 } }, "▁█" },
    { "has marks where the group begins", { 0, 0, 1, 1, 2, 2 }, { width = 3, marks = { 4, 5 } }, "▁┆▅┆█" },
    { "with no marks", { 0, 1 }, { marks = {} }, "▁█" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function() expect(sparkline(case[2], case[3])):equals(case[4]) end)
  end
  it("is 60 columns wide at most, unless it is told", function()
    local values = {}
    for i = 1, 61 do values[i] = i end
    expect(#sparkline(values)):equals(60 * #"█")
    expect(#sparkline(values, { width = 61 })):equals(61 * #"█")
  end)
  it("leaves the options as they were", function()
    local options = { width = 2 }
    sparkline({ 1, 2, 3 }, options)
    expect(options):equals { width = 2 }
  end)
  local refused = {
    { "text", function() sparkline "abc" end, "sparkline: 'values': expected a list, each a number or an empty one; got 'abc'" },
    { "a value that is no number", function() sparkline { 1, "2" } end, "sparkline: 'values': expected a list, each a number" },
    { "a table by name", function() sparkline { a = 1 } end, "sparkline: 'values': expected" },
    { "no column", function() sparkline({ 1 }, { width = 0 }) end, "sparkline: 'width': expected a whole number of at least 1; got 0" },
    { "a mark before the first", function() sparkline({ 1 }, { marks = { 0 } }) end, "sparkline: 'marks': expected a list" },
    { "a limit that is no number", function() sparkline({ 1 }, { low = "0" }) end, "sparkline: 'low': expected a number" },
    { "an upper limit that is none", function() sparkline({ 1 }, { high = {} }) end, "sparkline: 'high': expected a number" },
    { "a misspelt option", function() sparkline({ 1 }, { widht = 3 }) end, "sparkline: no option 'widht'; did you mean 'width'?" },
  }
  for _, case in ipairs(refused) do
    it("refuses " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
  it("of infinities shows them at the ends", function()
    expect(sparkline({ -inf, 0, 1, inf }, { low = 0, high = 1 })):equals "▁▁██"
  end)
end)
