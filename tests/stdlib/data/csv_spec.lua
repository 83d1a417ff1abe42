-- CSV files as people have them: words, dates, missing values, another file of the same table.
local g = require "gradus"
local support = require "support"
local data, with_file = g.data, support.with_file

local TABLE = "name,sex,born,age,y\nann,f,1990-01-02,3,1\nbob,m,1991-02-03,NA,0\ncid,m,1992-03-04,5,0\neve,x,1993-04-05,6,1\n"

local NUMBER = "a finite number that fits float32"

local function read(text, options)
  local d
  with_file(text, function(path) d = data.csv(path, options) end)
  return d
end

local function refused(text, options)
  return function() read(text, options) end
end

describe("columns of a table", function()
  it("of words are left out, or columns of 0 and 1", function()
    local d = read(TABLE, { label = "y", skip = { "name", "born", "age" }, categories = { "sex" } })
    expect(d.base.columns):equals { "sex=f", "sex=m", "sex=x" }
    expect(d.base.x:totable()):equals { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 1, 0 }, { 0, 0, 1 } }
    expect(d.base.categories):equals { sex = { "f", "m", "x" } }
  end)
  it("keep their places beside others, and rows that miss a value may go", function()
    local d = read(TABLE, { label = "y", skip = { "name", "born" }, categories = { "sex" }, missing = "drop" })
    expect(d.base.columns):equals { "sex=f", "sex=m", "sex=x", "age" }
    expect(d.base.x:totable()):equals { { 1, 0, 0, 3 }, { 0, 1, 0, 5 }, { 0, 0, 1, 6 } }
    expect({ d.base.y:totable(), d.base.dropped }):equals { { 1, 0, 1 }, 1 }
  end)
  it("are those of `like` in another file, and so are its words", function()
    local train = read(TABLE, { label = "y", skip = { "name", "born" }, categories = { "sex" }, missing = "drop" })
    local test = read("name,sex,born,age,y\nfay,x,,7,1\nguy,f,1,8,0\n", { like = train })
    expect(test.base.columns):equals(train.base.columns)
    expect(test.base.x:totable()):equals { { 0, 0, 1, 7 }, { 1, 0, 0, 8 } }
    expect(refused("name,sex,born,age,y\nfay,q,1,7,1\n", { like = train })):fails_with
      "'q' in column 'sex'; expected one of the words that like has"
  end)
  local cases = {
    { "words", nil,
      "column 1 ('name'): not a number; expected " .. NUMBER .. " (or skip = { 'name' } or categories = { 'name' }); got 'ann'" },
    { "dates", { skip = { "name" }, categories = { "sex" } },
      "column 3 ('born'): a date; expected " .. NUMBER .. " (or skip = { 'born' }); got '1990-01-02'" },
    { "missing values", { skip = { "name", "born" }, categories = { "sex" } },
      "column 4 ('age'): missing value; expected " .. NUMBER .. " (or missing = 'drop'); got 'NA'" },
    { "a column that is not there", { skip = { "nam" } }, "skip: no such column; expected one of: name, sex, born, age, y; got 'nam'" },
    { "the label", { categories = { "y" } }, "categories names the label" },
    { "another way with missing values", { missing = 0 }, "data.csv: 'missing': expected 'drop'; got 0" },
    { "a misspelt option", { skips = { "name" } }, "data.csv: no option 'skips'; did you mean 'skip'?" },
  }
  for _, case in ipairs(cases) do
    it("are refused with the way out: " .. case[1], function()
      local options = case[2] or {}
      options.label = "y"
      expect(refused(TABLE, options)):fails_with(case[3])
    end)
  end
  it("of too many words are refused", function()
    local lines = { "word,y" }
    for i = 1, 1001 do lines[#lines + 1] = ("w%d,%d"):format(i, i % 2) end
    expect(refused(table.concat(lines, "\n"), { label = "y", categories = { "word" } })):fails_with
      "categories: 'word' has 1001 different words; expected at most 1000"
  end)
  it("train a student", function()
    local lines = { "color,size,y" }
    for i = 0, 89 do
      lines[#lines + 1] = ("%s,%d,%s"):format(({ [0] = "red", "green", "blue" })[i % 3], i, i % 3 == 0 and "stop" or "go")
    end
    local d = read(table.concat(lines, "\n"), { label = "y", categories = { "color" }, skip = { "size" } })
    local r = support.with_run({}, function(run)
      local r = run:distill { student = g.nn.MLP { d:features(), 8, d.classes }, data = d:split({ train = .7, val = .3 }, { seed = 1 }),
        budget = { epochs = 30 }, lr = .05 }
      return r:last "val/acc"
    end)
    expect(r):equals(1)
  end)
end)
