-- Rules for arguments and options, and what is said of those that do not fit.
local g = require "gradus"
local check = require "gradus.base.check"

local nan, inf = 0 / 0, math.huge

describe("a rule takes what fits and nothing else:", function()
  local callable = setmetatable({}, { __call = function() end })
  local object = setmetatable({ 1 }, {})
  local cases = {
    { check.any, "any value", { 1, "a", {}, false }, {} },
    { check.boolean, "true or false", { true, false }, { 0, "true", {} } },
    { check.string, "a text", { "", "a" }, { 1, true } },
    { check.table, "a table", { {}, object }, { "a", 1 } },
    { check.callable, "a function", { print, callable }, { {}, object, "f" } },
    { check.tensor, "a Tensor", { g.zeros(1) }, { 1, {}, "x" } },
    { check.number(), "a number", { 0, -inf, inf, .5 }, { nan, "1" } },
    { check.number(0, 1), "a number from 0 to 1", { 0, 1, .5 }, { -.001, 1.001, nan, "0" } },
    { check.number(-1), "a number of at least -1", { -1, inf }, { -1.5, nan } },
    { check.number(nil, 2), "a number of at most 2", { 2, -inf }, { 2.5, nan } },
    { check.above(0), "a number > 0", { 1e-300, inf }, { 0, -1, nan, "1" } },
    { check.int(), "a whole number", { 0, -3, 2 ^ 60 }, { .5, nan, inf, "1" } },
    { check.int(1, 3), "a whole number from 1 to 3", { 1, 2, 3 }, { 0, 4, 1.5 } },
    { check.int(1), "a whole number of at least 1", { 1, 9 }, { 0, 1.5 } },
    { check.choice("a", "b"), "'a', 'b'", { "a", "b" }, { "c", 1, {} } },
    { check.either(check.string, check.int(1)), "a text or a whole number of at least 1", { "x", 1 }, { 0, true } },
    { check.list(check.int(1)), "a list, each a whole number of at least 1", { { 1 }, { 1, 2, 3 } }, { {}, { 0 }, { 1, 2, "x" }, { 1, 0 },
      object, 5 } },
    { check.list(check.int(1), 2), "a list of 2, each a whole number of at least 1", { { 1, 2 } }, { { 1 }, { 1, 2, 3 }, { 1, 0 } } },
  }
  for _, case in ipairs(cases) do
    it(case[2], function()
      expect(case[1].expected):equals(case[2])
      for _, value in ipairs(case[3]) do expect(case[1].test(value)):is_true() end
      for _, value in ipairs(case[4]) do expect(case[1].test(value)):is_false() end
      if case[2] ~= "any value" then expect(case[1].test(nil)):is_false() end
    end)
  end
end)

describe("a value in an error", function()
  local named = setmetatable({}, { __name = "Thing" })
  for _, case in ipairs {
    { g.zeros(2, 3), "Tensor [2, 3] float32" }, { g.zeros({}, { dtype = "int64" }), "Tensor [] int64" }, { "mean", "'mean'" }, { 3, "3" },
    { .1, "0.1" }, { 1 / 3, "0.3333333333" }, { nan, "nan" }, { {}, "a table" }, { named, "a Thing" }, { setmetatable({}, {}), "a table" },
    { setmetatable({}, { __metatable = false }), "a table" }, { g.data.digits(), "a data set" }, { print, "a function" }, { true, "true" },
    { false, "false" },
  } do
    it("is " .. case[2], function() expect(check.describe(case[1])):equals(case[2]) end)
  end
  it("is nil where there is none", function() expect(check.describe(nil)):equals "nil" end)
end)

describe("a value that is checked", function()
  it("is returned", function() expect(check.value("here", "x", false, check.boolean)):equals(false) end)
  it("or named", function()
    expect(function() check.value("here", "x", 5, check.string) end):fails_with "check_spec.lua:%d+: here: 'x': expected a text; got 5"
    expect(function() check.fail("here", "100% wrong") end):fails_with "here: 100% wrong"
    expect(function() check.fail("here", "%d wrong", 3) end):fails_with "here: 3 wrong"
  end)
  it("has the nearest name, or all of them", function()
    expect(function() check.unknown("here", "key", "lenght", { "width",
      "length" }) end):fails_with "here: no key 'lenght'; did you mean 'length'?"
    expect(function() check.unknown("here", "key", "zzzzzz", { "width",
      "length" }) end):fails_with "no key 'zzzzzz'; expected length, width"
    expect(function() check.unknown("here", "key", 5, {}) end):fails_with "no key '5'; expected none"
    expect(check.instead("lenght", { "width", "length" })):equals "; did you mean 'length'?"
    expect(check.instead("zzzzzz", { "width" })):equals ""
    expect(check.instead("CrossEntropyLoss", { "width" })):matches "^; expected g.loss.cross_entropy"
  end)
end)

describe("options", function()
  local RULES = { lr = check.above(0), name = check.string }
  it("are taken with the defaults of what is left out, in a table of their own", function()
    local given, defaults = { lr = .1, "listed" }, { lr = 1, name = "x" }
    local got = check.options("here", given, RULES, defaults)
    expect(got):equals { lr = .1, name = "x" }
    expect({ given, defaults }):equals { { lr = .1, "listed" }, { lr = 1, name = "x" } }
    expect({ check.options("here", nil, RULES), check.options("here", nil, RULES, { lr = 3 }) }):equals { {}, { lr = 3 } }
    expect(check.options("here", { b = false }, { "a", "b" })):equals { b = false }
  end)
  local cases = {
    { "a number", { 5, RULES }, "here: expected a table of options; got 5, not { lr = … }" },
    { "an object", { g.data.digits(), RULES }, "here: expected a table of options; got a data set, not { lr = … }" },
    { "a module", { g.nn.Linear(1, 1), RULES }, "here: expected a table of options; got " },
    { "a number where there is no lr", { 5, { "b", "a" } }, "got 5, not { a = … }" },
    { "a number where there is nothing", { 5, {} }, "got 5, not { name = … }" },
    { "a misspelt one", { { naem = 1 }, RULES }, "here: no option 'naem'; did you mean 'name'?" },
    { "one by no name", { { [true] = 1 }, RULES }, "here: expected options by name; got true as one" },
    { "a wrong one", { { lr = 0 }, RULES }, "here: 'lr': expected a number > 0; got 0" },
    { "another library's", { { learning_rate = 1 }, RULES }, "here: no option 'learning_rate'; " },
  }
  for _, case in ipairs(cases) do
    it("are refused: " .. case[1], function()
      expect(function() check.options("here", case[2][1], case[2][2]) end):fails_with(case[3])
    end)
  end
  it("may be a table with a metatable that is no class", function()
    expect(check.options("here", setmetatable({ lr = 1 }, {}), RULES)):equals { lr = 1 }
  end)
end)

describe("arguments", function()
  local SPEC = { { "size", check.int(1) }, { "bias", check.boolean, true }, { "name", check.string, optional = true } }
  local function take(...) return check.arguments("here", SPEC, ...) end
  it("stand in their places, or have names, in the last table", function()
    expect(take(3)):equals { size = 3, bias = true }
    expect(take(3, false, "x")):equals { size = 3, bias = false, name = "x" }
    expect(take(3, nil, "x")):equals { size = 3, bias = true, name = "x" }
    expect(take { size = 3 }):equals { size = 3, bias = true }
    expect(take(3, { name = "x", bias = false })):equals { size = 3, bias = false, name = "x" }
  end)
  local cases = {
    { "too many", function() take(1, true, "x", 4) end, "here: expected at most 3 arguments; got 4" },
    { "a missing one", function() take() end, "here: argument 1 'size' is missing; expected a whole number of at least 1" },
    { "one given twice", function() take(3, { size = 4 }) end, "here: argument 'size' is given by place and by name" },
    { "a misspelt one", function() take(3, { nmae = "x" }) end, "here: no argument 'nmae'; did you mean 'name'?" },
    { "a wrong one by place", function() take(3, 5) end, "here: 'bias': expected true or false; got 5" },
    { "a wrong one by name", function() take { size = 0 } end, "here: 'size': expected a whole number of at least 1; got 0" },
  }
  for _, case in ipairs(cases) do
    it("are refused: " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)

describe("what a class lacks", function()
  -- A class of the library's: which file it is of is asked of who makes it.
  local function methods(options)
    local make = loadstring("local check, options = ... local class = check.methods('a thing', {}, options) class.__index = class "
      .. "return class",
      "@stdlib/base/sizes.lua")
    return make(check, options)
  end
  it("is told with the nearest name, or what takes its place", function()
    local names = check.names("a thing", { width = 1, __hidden = 2 })
    expect(names.width):equals(1)
    expect(function() return names.widht end):fails_with "a thing has no 'widht'; did you mean 'width'?"
    expect(function() return names._hidden end):fails_with "a thing has no '_hidden'"
  end)
  it("of a class of methods is nil where it begins with _, or is no name", function()
    local class = methods()
    function class.length() return 3 end
    local one = setmetatable({}, class)
    expect({ one.length(), one._inner, one[5] }):equals { 3 }
    expect(function() return one.lenght end):fails_with "a thing has no 'lenght'; did you mean 'length'?"
    expect(function() return one.zzzzzz end):fails_with "a thing has no 'zzzzzz'; expected one of its methods: length"
    expect(check.describe(one)):equals "a thing"
  end)
  it("is near to what is explained, and to nothing of the library's own", function()
    local support = require "support"
    support.with_run({}, function(run)
      expect(function() return run.training_lin end):fails_with "a run has no 'training_lin'; expected one of its methods: advise, artifact"
      expect(function() return run.sead end):fails_with "a run has no 'sead'; did you mean 'seed'?"
    end)
    local d = require("gradus").data.digits()
    expect(function() return d.zzzzzz end):fails_with "size, split, standardize, subset, true_labels, whole"
  end)
  it("may be told by the class itself", function()
    local class = methods { instead = function(name) return name == "size" and "thing.length()" or nil end }
    class.__at = function(i) return "at " .. i end
    local one = setmetatable({}, class)
    expect(function() return one.size end):fails_with "a thing has no 'size'; expected thing.length()"
    expect(one[7]):equals "at 7"
  end)
  it("is not set where the class is sealed", function()
    local class = methods { sealed = true }
    local one = setmetatable({ length = 1 }, class)
    one.length = 2
    expect(one.length):equals(2)
    expect(function() one.lenght = 3 end):fails_with "a thing has no field 'lenght' to set; did you mean 'length'?"
    expect(function() one.other = 3 end):fails_with "a thing has no field 'other' to set; expected a local of yours, or run.state.other"
    expect(function() one[1] = 3 end):fails_with "a thing has no field '1' to set; expected a local of yours"
  end)
end)
