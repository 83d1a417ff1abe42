local g = require "gradus"
local experiment = require "gradus.experiment.experiment"

local function make(more)
  local options = { name = "t", run = function() end, params = { strategy = g.choice { "b", "a" }, width = g.int(12), lr = .1 },
    grid = { width = { 4, 8 }, strategy = { "b", "a" }, seed = { 1, 2 } } }
  for key, value in pairs(more or {}) do options[key] = value end
  return g.experiment(options)
end

local function words(plan)
  local out = {}
  for i, one in ipairs(plan) do out[i] = ("%s %s %d"):format(one.given.strategy or "-", one.given.width or "-", one.seed) end
  return out
end

describe("the plan of a grid", function()
  it("goes through the keys by name, the values as written, seeds innermost", function()
    expect(words(make():plan {})):equals { "b 4 1", "b 4 2", "b 8 1", "b 8 2", "a 4 1", "a 4 2", "a 8 1", "a 8 2" }
  end)
  it("is one run of seed 0 without a grid", function()
    local plan = make({ grid = {} }):plan {}
    expect(#plan):equals(1)
    expect(plan[1]):equals { seed = 0, given = {} }
  end)
  it("--seed replaces the grid's seeds", function()
    expect(words(make():plan { seed = 9 })):equals { "b 4 9", "b 8 9", "a 4 9", "a 8 9" }
    expect(make({ grid = {} }):plan({ seed = 5 })[1].seed):equals(5)
  end)
  it("--set replaces a key of the grid, and adds others", function()
    local plan = make():plan { set = { { "width", "16" }, { "lr", ".5" } } }
    expect(words(plan)):equals { "b 16 1", "b 16 2", "a 16 1", "a 16 2" }
    for _, one in ipairs(plan) do expect(one.given.lr):equals(.5) end
  end)
  it("the last --set of a key wins", function()
    expect(make({ grid = {} }):plan({ set = { { "width", "1" }, { "width", "2" } } })[1].given.width):equals(2)
  end)
  it("each run has a table of its own", function()
    local plan = make():plan {}
    plan[1].given.width = 99
    expect(plan[2].given.width):equals(4)
  end)
  it("is the same again", function() expect(words(make():plan {})):equals(words(make():plan {})) end)
end)

describe("an experiment refuses", function()
  local cases = {
    { "a misspelt option", { naem = "x" }, "experiment: no option 'naem'; did you mean 'name'?" },
    { "no name", { name = false }, "experiment: 'name': expected 1 to 100 letters" },
    { "a name with a blank", { name = "a b" }, "experiment: 'name': expected 1 to 100 letters" },
    { "an endless name", { name = ("x"):rep(101) }, "experiment: 'name': expected 1 to 100 letters" },
    { "a run that is no function", { run = 5 }, "experiment: 'run': expected a function (run, params); got number" },
    { "a parameter named seed", { params = { seed = 1 } }, "'seed' is not a parameter of yours" },
    { "a grid over nothing", { grid = { depth = { 1 } } }, "grid: no parameter 'depth'" },
    { "a grid that is no table", { grid = 5 }, "grid: expected a table of lists; got 5" },
    { "a grouping by a misspelt parameter", { by = "strateg" },
      "experiment: by: no parameter 'strateg'; did you mean 'strategy'?" },
    { "columns that are no lists", { columns = { "acc" } },
      "experiment: column 1: expected { \"result\", \"heading\"[, \"format\"] }" },
    { "a format that string.format does not know", { columns = { { "acc", "accuracy", "%y" } } },
      "experiment: column 1: format: expected one conversion of a number, such as \"%.2f\"" },
    { "a format without a number", { columns = { { "acc" }, { "acc", "accuracy", "percent" } } },
      "experiment: column 2: format: expected one" },
    { "a column of no result's name", { columns = { { "top-1 acc" } } }, "experiment: column 1: result 'top-1 acc': expected a name of" },
    { "a heading that is no text", { columns = { { "acc", 5 } } }, "experiment: column 1: 'heading': expected a text; got 5" },
    { "a versus of no result's name", { versus = { "top-1 acc", "b" } }, "experiment: versus: result 'top-1 acc'" },
    { "metrics that are no table", { metrics = "rmse" }, "experiment: 'metrics': expected a table; got 'rmse'" },
    { "a metric without a way", { metrics = { rmse = {} } }, "experiment: metrics: 'rmse': expected { better = 'higher' } or" },
    { "a way that is none", { metrics = { rmse = { better = "less" } } },
      "experiment: metrics: 'rmse': 'better': expected 'higher', 'lower'; got 'less'" },
    { "a metric of no name", { metrics = { ["a b"] = { better = "lower" } } }, "experiment: metrics: 'a b': expected a name of" },
    { "columns that are no list", { columns = 5 }, "experiment: 'columns': expected a table; got 5" },
    { "a column of a number", { columns = { { 5 } } }, "experiment: column 1: expected { \"result\", \"heading\"" },
    { "a grouping by several, one of them misspelt", { by = { "width", "strateg" } }, "experiment: by: no parameter 'strateg'" },
    { "a footer that is no text", { footer = 5 }, "experiment: 'footer': expected a text; got 5" },
    { "what is to be saved", { save = "best" }, "experiment: 'save': expected true or false; got 'best'" },
    { "a versus' heading that is no text", { versus = { "acc", "b", 5 } }, "experiment: versus: 'heading': expected a text; got 5" },
    { "a versus without a value", { versus = { "acc" } }, "experiment: versus: expected { \"result\", \"value\"" },
    { "a versus without a result", { versus = { 5, "b" } }, "experiment: versus: expected { \"result\", \"value\"" },
    { "a versus of nothing", { versus = {} }, "experiment: versus: expected { \"result\", \"value\"" },
    { "a versus that is no list", { versus = "acc" }, "experiment: versus: expected { \"result\", \"value\"" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function() expect(function() make(case[2]) end):fails_with(case[3]) end)
  end
  it("not a name of 100 characters, or what is all left out", function()
    make { name = ("x"):rep(100), columns = { { "acc" }, { "acc", "accuracy", "%.1f" } }, footer = "as told", save = false,
      by = { "width" }, versus = { "acc", "b" }, metrics = { acc = { better = "higher" } } }
    expect(g.experiment({ name = "t", run = function() end }).grid):equals {}
  end)
  it("no metric's way, which it tells the store, of the returned number too", function()
    local told = {}
    local writer = { better = function(_, key, way) told[key] = way end }
    make({ metrics = { rmse = { better = "lower" }, acc = { better = "higher" } } }):declare_metrics { writer = writer }
    expect(told):equals { rmse = "lower", ["result/rmse"] = "lower", acc = "higher", ["result/acc"] = "higher" }
    make():declare_metrics { writer = false }
  end)
  it("a table in its place", function()
    expect(experiment.is({})):is_false()
    expect(experiment.is(make())):is_true()
  end)
end)
