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
    { "another way with missing values", { missing = 0 }, "data.csv: 'missing': expected 'drop', 'unlabelled', 'unlabeled' or a list" },
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

describe("rows without a label", function()
  local HALF = "a,b,class\n1,2,x\n3,4,\n5,6,y\n7,8,NA\n9,,x\n"
  it("are kept as -100 where missing says so, and their inputs may miss nothing", function()
    for _, way in ipairs { { "drop", "unlabelled" }, { "unlabeled", "drop" } } do
      local d = read(HALF, { label = "class", missing = way })
      expect({ d.base.y:totable(), d.base.dropped, d.classes, d.labels.partial }):equals { { 0, -100, 1, -100 }, 1, 2, true }
      expect(d.labels.names):equals { "x", "y" }
    end
    expect(refused(HALF, { label = "class", missing = "unlabelled" })):fails_with "column 2 ('b'): empty cell"
    expect(refused("a,class\n1,x\n2,\n", { label = "class" })):fails_with
      "empty label; expected a label (or missing = 'drop' or 'unlabelled'); got ''"
  end)
  it("may be those of whole numbers, and of another file read alike", function()
    local d = read("a,y\n1,\n2,1\n3,2\n4,1\n5,2\n", { label = "y", missing = "unlabelled" })
    expect(d.base.y:totable()):equals { -100, 0, 1, 0, 1 }
    local test = read("a,y\n1,2\n2,\n", { like = d })
    expect({ test.base.y:totable(), test.classes }):equals { { 1, -100 }, 2 }
    expect(read("a,y\n1,\n2,0\n3,1\n", { label = "y", missing = "unlabelled", classes = 2 }).base.y:totable()):equals { -100, 0, 1 }
    local none = read("a,y\n1,\n2,\n", { label = "y", missing = "unlabelled", classes = { "p", "q" } })
    expect({ none.base.y:totable(), none.classes }):equals { { -100, -100 }, 2 }
  end)
  it("of numbers are refused", function()
    expect(refused("a,y\n1,\n2,1.5\n3,2.5\n", { label = "y", missing = "unlabelled" })):fails_with
      "1 rows without a label, and labels are numbers; expected missing = 'drop', or labels = 'classes'"
  end)
  it("teach a student through the teacher", function()
    local lines = { "a,class" }
    for i = 1, 60 do lines[#lines + 1] = ("%d,%s"):format(i, i % 3 > 0 and "" or i > 30 and "big" or "small") end
    local d = read(table.concat(lines, "\n"), { label = "class", missing = "unlabelled" })
    support.with_run({}, function(run)
      local r = run:distill { teacher = g.nn.MLP { 1, 4, 2 }, student = g.nn.MLP { 1, 4, 2 }, data = { train = d, val = d },
        budget = { steps = 2 } }
      expect(r.steps):equals(2)
    end)
  end)
  it("are found in the help under every name", function()
    for _, word in ipairs { "unlabelled", "unlabeled", "semi-supervised", "-100" } do
      expect(g.help(word)):matches 'missing = "unlabelled"'
    end
  end)
end)

describe("a file that is read as another data set was", function()
  local train = read("a,b,c,y\n1,2,3,x\n4,5,6,z\n", { label = "y", skip = { "b" } })
  it("may have its own label column, skipped columns and ways with missing values", function()
    local d = read("a,c,z,b\n1,3,z,9\n", { like = train, label = "z" })
    expect({ d.base.y:totable(), d.base.x:totable(), d.base.label }):equals { { 1 }, { { 1, 3 } }, "z" }
    d = read("a,q,c,y\n1,7,3,x\n,7,3,x\n", { like = train, skip = { "q" }, missing = "drop" })
    expect({ d.base.x:totable(), d.base.skip, d.base.missing, d.base.dropped }):equals { { { 1, 3 } }, { "q" }, "drop", 1 }
    expect({ read("a,b,c,y\n1,2,3,x\n", { like = train }).base.skip }):equals { { "b" } }
  end)
  it("may be one without labels, or of numbers", function()
    local bare = read("a,b\n1,2\n", {})
    local d = read("a,b\n3,4\n", { like = bare })
    expect({ d.labels.kind, d.base.x:totable() }):equals { "none", { { 3, 4 } } }
    local numbers = read("a,y\n1,.5\n", { label = "y" })
    expect(read("a,y\n1,1\n2,0\n", { like = numbers }).labels.kind):equals "numbers"
  end)
  it("has one order of words, given or sorted", function()
    local words = read("w,v,y\nb,q,0\na,p,1\n", { label = "y", categories = { "w", "v" } })
    local d = read("w,v,y\nb,p,0\n", { like = words })
    expect({ d.base.columns, d.base.x:totable() }):equals { { "w=a", "w=b", "v=p", "v=q" }, { { 0, 1, 1, 0 } } }
  end)
  local soft = data.tensors(g.zeros(2, 2), g.full({ 2, 2 }, .5))
  local cases = {
    { "labels beside it", { like = train, labels = "numbers" },
      "data.csv: like says what labels are; expected no labels or classes beside it" },
    { "classes beside it", { like = train, classes = 2 }, "data.csv: like says what labels are; expected no labels or classes beside it" },
    { "soft labels", { like = soft, label = "y" }, "data.csv: like: expected classes or numbers as its labels; got soft" },
  }
  for _, case in ipairs(cases) do
    it("is refused: " .. case[1], function() expect(refused("a,c,y\n1,3,x\n", case[2])):fails_with(case[3]) end)
  end
  it("must have as many columns", function()
    local bare = read("a,c,y\n1,3,x\n4,6,z\n", { label = "y" })
    expect(refused("a,y\n1,x\n", { like = bare })):fails_with "feature 2 is 'none'; expected 'c', as like has"
    expect(refused("a,c,d,y\n1,3,4,x\n", { like = bare })):fails_with "feature 3 is 'd'; expected 'none', as like has"
  end)
end)

describe("files of one kind with other classes", function()
  local ONE, TWO = "u,v,y\n1,2,a\n1,2,b\n", "u,v,y\n1,2,b\n1,2,c\n"
  local function told(options)
    local texts = {}
    local _, seen = support.with_run({}, function()
      read(ONE, { label = "y" })
      options.label = options.label or "y"
      read(TWO, options)
    end)
    for i, one in ipairs(seen.warnings) do texts[i] = one.detail.text end
    return texts
  end
  it("are told of, unless somebody said which classes", function()
    expect(told({})[1]):matches "the classes are b, c, in .* they are a, b: one number stands for two classes"
    expect(told { classes = { "b", "c" } }):equals {}
    expect(told { like = read("u,v,y\n1,2,c\n1,2,b\n", { label = "y", classes = { "b", "c" } }), label = "y" }):equals {}
  end)
end)

describe("a CSV file's options", function()
  local cases = {
    { "no path", function() data.csv() end, [[data.csv: expected data.csv("points.csv", { label = "class" }); got nil]] },
    { "a list of options", function() data.csv("x.csv", { "y" }) end, "got 'y' as options" },
    { "a text as options", function() data.csv("x.csv", "y") end, "got 'y' as options" },
    { "several label columns", function() data.csv("x.csv", { label = { "a", "b" } }) end,
      "data.csv: labels in several columns: expected x" },
    { "several columns as labels", function() data.csv("x.csv", { labels = { "a", "b" } }) end, "data.csv: labels in several columns" },
    { "half a column", function() data.csv("x.csv", { label = .5 }) end, "data.csv: 'label': expected a text or a whole number; got 0.5" },
    { "no class", function() data.csv("x.csv", { classes = 0 }) end, "data.csv: 'classes': expected a whole number of at least 1" },
    { "a header of text", function() data.csv("x.csv", { header = "yes" }) end, "data.csv: 'header': expected true or false; got 'yes'" },
    { "a separator of a number", function() data.csv("x.csv", { separator = 1 }) end, "data.csv: 'separator': expected a text; got 1" },
    { "one column to skip that is no list", function() data.csv("x.csv", { skip = "a" }) end,
      "data.csv: 'skip': expected a list, each a text" },
    { "words that are no list", function() data.csv("x.csv", { categories = "a" }) end, "data.csv: 'categories': expected a list" },
    { "other labels", function() data.csv("x.csv", { labels = "tokens" }) end,
      "data.csv: 'labels': expected 'classes', 'numbers'; got 'tokens'" },
  }
  for _, case in ipairs(cases) do
    it("are refused: " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
  it("are a label by its number, a separator and a header", function()
    local d = read("1;2;0\n3;4;1\n", { label = 2, separator = ";", header = false })
    expect({ d.base.x:totable(), d.base.y:totable(), d.base.label }):equals { { { 1, 2 }, { 3, 4 } }, { 0, 1 }, 2 }
    expect(read("5,1\n6,2\n", { label = 0, labels = "numbers" }).base.y:totable()):equals { 5, 6 }
    expect(read("w,y\na,0\nb,0\n", { label = "y", classes = 1, categories = { "w" } }).classes):equals(1)
  end)
  it("take a column of as many words as may be", function()
    local lines = { "word,y" }
    for i = 1, 1000 do lines[#lines + 1] = ("w%d,%d"):format(i, i % 2) end
    expect(read(table.concat(lines, "\n"), { label = "y", categories = { "word" } }):features()):equals(1000)
  end)
end)
