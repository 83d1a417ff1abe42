-- The label column of a file: classes or numbers, which ones, and what is told.
local column = require "gradus.data.column"
local current = require "gradus.base.current"
local g = require "gradus"
local instead = require "instead"

local function whole(list) return g.tensor(list, "int64") end

-- 25 rows, so that five classes are believed: each value five times.
local function many(...)
  local list = {}
  for _ = 1, 5 do
    for _, value in ipairs { ... } do list[#list + 1] = value end
  end
  return whole(list)
end

-- What column.judge gives as plain values, and what it told.
local function judged(y, names, o)
  local told = {}
  local found
  instead({ { current, "tell", function(_, text) told[#told + 1] = text end } }, function()
    local values, kind, classes = column.judge("f.csv", { y = y, classes = names }, o or {})
    found = { values:totable(), kind, classes }
  end)
  return found, told
end

describe("a label column", function()
  for _, case in ipairs {
    { "numbers", "value", { labels = "numbers" } }, { "classes", "class", { labels = "classes" } },
    { "names", "class", { classes = { "a" } } },
    { "a count of classes", "auto", { classes = 3 } }, { "nothing said", "auto", {} },
    { "numbers, whatever the classes", "value", { labels = "numbers", classes = { "a" } } } } do
    it("is read as it is said: " .. case[1], function() expect(column.reading(case[3])):equals(case[2]) end)
  end
  for name, case in pairs {
    ["whole numbers from 0"] = { whole { 0, 1, 2, 0, 1, 2, 0, 1, 2 }, nil, nil, { 0, 1, 2, 0, 1, 2, 0, 1, 2 }, "classes", 3 },
    ["from 1, told"] = { whole { 1, 2, 3, 1, 2, 3, 1, 2, 3 }, nil, nil, { 0, 1, 2, 0, 1, 2, 0, 1, 2 }, "classes", { "1", "2", "3" },
      "labels 1, 2, 3 are taken as the classes 0 to 2" },
    ["two others, told"] = { whole { 7, -1, 7 }, nil, nil, { 1, 0, 1 }, "classes", { "-1", "7" },
      "labels %-1, 7 are taken as the classes 0 to 1" },
    ["0 and 1 alone"] = { whole { 1, 0 }, nil, nil, { 1, 0 }, "classes", 2 },
    ["more than are believed"] = { whole { 0, 1, 2, 0 }, nil, nil, { 0, 1, 2, 0 }, "numbers", nil,
      "labels of 3 whole numbers from 0 to 2 are taken as" },
    ["with a hole"] = { many(0, 1, 3), nil, nil, many(0, 1, 3):totable(), "numbers", nil, "labels of 3 whole numbers from 0 to 3" },
    ["from 2"] = { many(2, 3, 4), nil, nil, many(2, 3, 4):totable(), "numbers", nil, "from 2 to 4" },
    ["one alone"] = { whole { 0, 0, 0 }, nil, nil, { 0, 0, 0 }, "numbers", nil, "labels of 1 whole numbers from 0 to 0" },
    ["floats"] = { g.tensor { .5, 1 }, nil, nil, { .5, 1 }, "numbers" },
    ["numbers, as is said"] = { whole { 0, 1 }, nil, { labels = "numbers" }, { 0, 1 }, "numbers" },
    ["as many classes as is said"] = { whole { 0, 4 }, nil, { classes = 5 }, { 0, 4 }, "classes", 5 },
    ["classes by name"] = { whole { 1, 0 }, { "x", "y" }, { classes = { "x", "y", "z" } }, { 1, 0 }, "classes", { "x", "y", "z" } },
    ["texts"] = { whole { 1, 0 }, { "10", "9" }, nil, { 1, 0 }, "classes", { "10", "9" } },
    ["texts of numbers, as classes"] = { whole { 1, 0, 1 }, { "10", "9" }, { labels = "classes" }, { 0, 1, 0 }, "classes", { "9", "10" } },
    ["texts of numbers from 0, as classes"] = { whole { 2, 0, 1 }, { "1", "2", "0" }, { labels = "classes" }, { 0, 1, 2 }, "classes", 3 },
    ["texts that are no whole numbers"] = { whole { 1, 0 }, { "1.5", "1" }, { labels = "classes" }, { 1, 0 }, "classes", { "1.5", "1" } },
    ["texts that are numbers otherwise written"] = { whole { 1, 0 }, { "02", "1" }, { labels = "classes" }, { 1, 0 }, "classes",
      { "02", "1" } },
    ["texts of numbers that are too large"] = { whole { 1, 0 }, { "18014398509481984", "1" }, { labels = "classes" }, { 1, 0 }, "classes",
      { "18014398509481984", "1" } },
    ["texts of the largest number"] = { whole { 1, 0 }, { "9007199254740992", "1" }, { labels = "classes" }, { 0, 1 }, "classes",
      { "1", "9007199254740992" } },
    ["texts of numbers, so many"] = { whole { 1, 0 }, { "3", "2" }, { classes = 4 }, { 2, 3 }, "classes", 4 },
    ["texts, so many"] = { whole { 1, 0 }, { "b", "a" }, { classes = 2 }, { 1, 0 }, "classes", { "b", "a" } } } do
    it("is of " .. name, function()
      local found, told = judged(case[1], case[2], case[3])
      expect(found):equals { case[4], case[5], case[6] }
      expect(#told):equals(case[7] and 1 or 0)
      if case[7] then expect(told[1]):matches("^f%.csv: .*" .. case[7]) end
    end)
  end
  it("has as many texts as is said", function()
    expect(function() judged(whole { 1, 0 }, { "b", "a" }, { classes = 3 }) end)
      :fails_with "f.csv: 2 different labels; expected classes = 3 of them"
  end)
  it("has the classes of the file before, where that has the same columns", function()
    local told = {}
    local function compare(label, columns, names)
      column.compare("f.csv", table.concat(names or {}), { labels = { names = names }, base = { columns = columns } }, label)
    end
    instead({ { current, "tell", function(_, text) told[#told + 1] = text end } }, function()
      compare("spec y", { "a", "b" }, { "p", "q" })
      compare("spec y", { "a", "b" }, { "p", "q" })
      compare("spec y", { "a", "c" }, { "q", "p" })
      compare("spec z", { "a", "b" }, { "q", "p" })
      compare("spec y", { "a", "b" }, nil)
      expect(#told):equals(0)
      compare("spec y", { "a", "b" }, { "q", "p" })
    end)
    expect(told):equals { "f.csv: the classes are q, p, in pq they are p, q: one number stands for two classes; expected like = … or "
      .. "classes = { … }" }
  end)
end)
