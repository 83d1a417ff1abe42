-- Plain tables in words.
local g = require "gradus"
local shown = require "gradus.base.shown"

local function numbers(n)
  local list = {}
  for i = 1, n do list[i] = i end
  return list
end

-- A list whose line is `width` characters: "{ " .. text .. " }", the text with its quotes.
local function of_width(width) return { ("x"):rep(width - 6) } end

describe("a value in words", function()
  local itself = { a = 1 }
  itself.me = itself
  local twice = { 1 }
  local cases = {
    { "a number", 5, "5" },
    { "a text, without quotes", "abc", "abc" },
    { "nothing", nil, "nil" },
    { "an empty table", {}, "{}" },
    { "a list", { 1, 2.5, "a" }, '{ 1, 2.5, "a" }' },
    { "numbers in 14 digits", { 1 / 3, 1e300, 0 / 0, 2 ^ 53 }, "{ 0.33333333333333, 1e+300, nan, 9.007199254741e+15 }" },
    { "names, in their order", { b = 1, a = true, _c9 = false }, "{ _c9 = false, a = true, b = 1 }" },
    { "a list beside names", { 7, 8, x = 9 }, "{ 7, 8, x = 9 }" },
    { "keys that are no names", { ["a b"] = 1, ["9"] = 2, [""] = 3 }, '{ [""] = 3, ["9"] = 2, ["a b"] = 1 }' },
    { "a list with a hole", { [1] = "a", [3] = "c" }, '{ "a", [3] = "c" }' },
    { "a list from 0", { [0] = "z", "a" }, '{ [0] = "z", [1] = "a" }' },
    { "a key that is a boolean", { [true] = 1 }, "{ [true] = 1 }" },
    { "a text with a line's end", { "a\nb" }, '{ "a\\\nb" }' },
    { "tables within tables", { { 1 }, { x = {} } }, "{ { 1 }, { x = {} } }" },
    { "three deep", { { { 1 } } }, "{ { { 1 } } }" },
    { "no deeper", { { { { 1 } } } }, "{ { { { … } } } }" },
    { "an empty one that deep", { { { {} } } }, "{ { { {} } } }" },
    { "what holds itself", itself, "{ a = 1, me = { … } }" },
    { "what stands in two places", { twice, twice }, "{ { 1 }, { 1 } }" },
    { "a tensor in a table", { g.zeros(2, 3) }, "{ Tensor [2, 3] float32 }" },
  }
  for _, case in ipairs(cases) do
    it("is " .. case[1], function() expect(shown.text(case[2])):equals(case[3]) end)
  end
  it("is its own words, the first line of them in a table, where it has some", function()
    local object = setmetatable({}, { __tostring = function() return "one\ntwo\nthree" end })
    expect(shown.text(object)):equals "one\ntwo\nthree"
    expect(shown.text { object }):equals "{ one … }"
    expect({ shown.is_plain {}, shown.is_plain(object), shown.is_plain "x" }):equals { true, false, false }
  end)
  it("is one entry a line where a line would be too long", function()
    expect(shown.text(of_width(110))):equals('{ "' .. ("x"):rep(104) .. '" }')
    expect(shown.text(of_width(111))):equals('{\n  "' .. ("x"):rep(105) .. '"\n}')
    local long = ("y"):rep(120)
    expect(shown.text { a = { long, 1 }, b = 2 }):equals('{\n  a = {\n    "' .. long .. '",\n    1\n  },\n  b = 2\n}')
  end)
  it("says how many entries it leaves out", function()
    expect(shown.text(numbers(5), 3)):equals "{ 1, 2, 3, … and 2 more }"
    expect(shown.text(numbers(3), 3)):equals "{ 1, 2, 3 }"
    expect(shown.text(numbers(1000))):matches "  1000\n}$"
    expect(shown.text(numbers(1001))):matches "  1000,\n  … and 1 more\n}$"
    expect(shown.text({ { 1, 2, 3 }, 5 }, 2)):equals "{ { 1, 2, … and 1 more }, 5 }"
  end)
end)

describe("print", function()
  it("shows plain tables, and everything else as it did", function()
    local given = {}
    local raw
    for i = 1, 50 do  -- the print that scripts had before
      local name, value = debug.getupvalue(shown.print, i)
      if name == "raw_print" then
        raw = value
        debug.setupvalue(shown.print, i, function(...) given = { n = select("#", ...), ... } end)
        break
      end
    end
    local object = setmetatable({}, { __tostring = function() return "object" end })
    local ok, err = pcall(shown.print, { 1, a = 2 }, "text", nil, object, 5, nil)
    for i = 1, 50 do
      if debug.getupvalue(shown.print, i) == "raw_print" then debug.setupvalue(shown.print, i, raw) break end
    end
    if not ok then error(err, 0) end
    expect({ given.n, given[1], given[2], given[3] == nil, rawequal(given[4], object), given[5] }):equals
      { 6, "{ 1, a = 2 }", "text", true, true, 5 }
  end)
  it("is what scripts have", function() expect(rawequal(print, shown.print)):is_true() end)
end)
