local g = require "gradus"
local params = require "gradus.experiment.params"
local sorted_keys = require "gradus.base.sorted_keys"

local function declared()
  return params.declare { lr = 3e-3, width = g.int(12, { min = 1 }), alpha = g.number(.7, { min = 0, max = 1 }), tag = "a", verbose = false,
    strategy = g.choice { "stages", "one_shot" }, optim = { wd = .01, inner = { beta = .9 } } }
end

describe("parameters", function()
  it("are typed by their defaults, nested tables become dotted keys", function()
    expect(sorted_keys(declared())):equals { "alpha", "lr", "optim.inner.beta", "optim.wd", "strategy", "tag", "verbose", "width" }
    expect(params.resolve(declared(), {})):equals { lr = 3e-3, width = 12, alpha = .7, tag = "a", verbose = false, strategy = "stages",
      ["optim.wd"] = .01, ["optim.inner.beta"] = .9 }
  end)
  it("are replaced by what is given, false too", function()
    local specs = params.declare { on = true, lr = 1 }
    expect(params.resolve(specs, { on = false })):equals { on = false, lr = 1 }
  end)
  it("nest again for the script", function()
    local p = params.nest(params.resolve(declared(), { ["optim.wd"] = 0 }))
    expect(p.optim.wd):equals(0)
    expect(p.optim.inner.beta):equals(.9)
    expect(p.verbose):equals(false)
  end)
  it("that were not declared are an error with the nearest name", function()
    local p = params.nest(params.resolve(declared(), {}))
    expect(function() return p.widht end):fails_with "params_spec.lua:%d+: params: no parameter 'widht'; did you mean 'width'?"
    expect(function() return p.optim.wb end):fails_with "no parameter 'optim.wb'; did you mean 'wd'?"
  end)
end)

describe("--set", function()
  local function set(key, text) return params.parse_set(key, text, declared()) end
  it("reads each type", function()
    expect(set("lr", "1e-2")):equals(.01)
    expect(set("width", "16")):equals(16)
    expect(set("tag", "7")):equals "7"
    expect(set("tag", "")):equals ""
    expect(set("verbose", "true")):equals(true)
    expect(set("verbose", "false")):equals(false)
    expect(set("strategy", "one_shot")):equals "one_shot"
    expect(set("optim.wd", "0")):equals(0)
  end)
  it("reads choices of numbers", function()
    local specs = params.declare { k = g.choice { 1, 2.5, true } }
    expect(params.parse_set("k", "2.5", specs)):equals(2.5)
    expect(params.parse_set("k", "true", specs)):equals(true)
  end)
  local cases = {
    { "lr", "fast", "--set lr: expected a number; got 'fast'" },
    { "lr", "nan", "--set lr: expected a number; got 'nan'" },
    { "lr", "inf", "--set lr: expected a number; got 'inf'" },
    { "lr", "", "--set lr: expected a number; got ''" },
    { "width", "1.5", "--set width: expected a whole number of at least 1; got '1.5'" },
    { "width", "1e99", "--set width: expected a whole number between -2^53 and 2^53, where each is kept as it is; got '1e99'" },
    { "width", "9007199254740994",
      "--set width: expected a whole number between -2^53 and 2^53, where each is kept as it is; got '9007199254740994'" },
    { "width", "0", "--set width: expected a whole number of at least 1; got '0'" },
    { "alpha", "1.01", "--set alpha: expected a number from 0 to 1; got '1.01'" },
    { "verbose", "yes", "--set verbose: expected true or false; got 'yes'" },
    { "strategy", "stage", "--set strategy: expected one of 'stages', 'one_shot'; got 'stage'" },
    { "widht", "3", "--set: no parameter 'widht'; did you mean 'width'?" },
    { "optim", "3", "--set: no parameter 'optim'" },
    { "zzzzzzzz", "3", "expected one of alpha, lr, optim.inner.beta" },
  }
  for _, case in ipairs(cases) do
    it(("refuses %s=%s"):format(case[1], case[2]), function() expect(function() set(case[1], case[2]) end):fails_with(case[3]) end)
  end
  it("of a script without parameters says so", function()
    expect(function() params.parse_set("a", "1", params.declare(nil)) end):fails_with "no parameter 'a'; the script declares none"
  end)
end)

describe("--set with commas", function()
  local specs = params.declare { n = params.int(3), on = true, note = "x", path = g.choice { "a,b", "c", "d" } }
  for _, case in ipairs {
    { "n", "5", { 5 } }, { "n", "5,6", { 5, 6 } }, { "n", " 5 , 6 ", { 5, 6 } }, { "on", "true,false", { true, false } },
    { "note", "u,v", { "u,v" } }, { "note", "u, v", { "u", "v" }, true }, { "note", " u ", { " u " } },
    { "path", "a,b", { "a,b" } }, { "path", "c", { "c" } }, { "path", "c,d", { "c", "d" } } } do
    it(("is %d values: %s=%s"):format(#case[3], case[1], case[2]), function()
      expect(params.parse_list(case[1], case[2], specs, case[4])):equals(case[3])
    end)
  end
  for _, case in ipairs {
    { "n", "5,5", "--set n: expected each value once; got 5 twice" }, { "n", "5,x", "--set n: expected a whole number" },
    { "n", "5,", "--set n: expected a whole number" }, { "path", "c,e", "--set path: expected one of" },
    { "n", "lin(1,4)", "got the range 'lin(1,4)'" }, { "m", "1,2", "--set: no parameter 'm'" } } do
    it(("refuses %s=%s"):format(case[1], case[2]), function()
      expect(function() params.parse_list(case[1], case[2], specs) end):fails_with(case[3])
    end)
  end
end)

describe("a limit", function()
  local specs = params.declare { share = g.number(1, { min = 0, max = 1 }),
    width = g.int(4, { min = 4, max = 8 }), all = g.int(3, { max = 3 }) }
  it("belongs to the range, as a default, in a grid and by --set", function()
    expect(params.resolve(specs, {})):equals { share = 1, width = 4, all = 3 }
    params.check_grid({ share = { 0, 1 }, width = { 4, 8 }, all = { 3 } }, specs)
    local function set(key, text) return params.parse_set(key, text, specs) end
    expect({ set("share", "0"), set("share", "1"), set("width", "4"), set("width", "8"), set("all", "3") }):equals { 0, 1, 4, 8, 3 }
  end)
  it("is where it ends", function()
    for _, one in ipairs { { "share", 1 + 2 ^ -52 }, { "share", -2 ^ -1074 }, { "width", 3 }, { "width", 9 }, { "all", 4 } } do
      expect(function() params.check_grid({ [one[1]] = { one[2] } }, specs) end):fails_with "expected a"
    end
  end)
end)

describe("a whole number of 2^53 or more", function()
  local specs = params.declare { n = g.int(3), x = 1 }
  local message = "expected a whole number between %-2^53 and 2^53, where each is kept as it is; got "
  local function set(key, text) return params.parse_set(key, text, specs) end
  it("is refused, as its neighbour would be taken for it", function()
    expect(set("n", "9007199254740991")):equals(2 ^ 53 - 1)
    expect(set("n", "-9007199254740991")):equals(1 - 2 ^ 53)
    expect(function() set("n", "9007199254740993") end):fails_with("%-%-set n: " .. message .. "'9007199254740993'")
    expect(function() params.check_grid({ n = { 2 ^ 53 } }, specs) end):fails_with("grid: 'n': " .. message)
    expect(function() g.int(-2 ^ 53) end):fails_with "int: the default .* does not fit; expected a whole number between"
  end)
  it("may be a number that is no whole one's, with the digits that it keeps", function()
    expect({ set("x", "1e20"), set("x", "+9007199254740992"), set("x", "0.1") }):equals { 1e20, 2 ^ 53, .1 }
    expect(function() set("x", "9007199254740993") end):fails_with("%-%-set x: " .. message .. "'9007199254740993'")
    expect(function() set("x", "-0009007199254740993") end):fails_with(message)
  end)
end)

describe("a declaration refuses", function()
  local cases = {
    { "a fraction as a whole number", function() g.int(1.5) end, "int: expected a whole number as default; got 1.5" },
    { "infinity as a whole number", function() g.int(math.huge) end,
      "int: expected a whole number as default; got inf" },
    { "a default below its limit", function() g.int(0, { min = 1 }) end,
      "int: the default 0 does not fit; expected a whole number of at least 1" },
    { "the seed as a parameter", function() params.parse_set("seed", "3", declared()) end,
      "the seed is no parameter; expected --seed 1,2" },
    { "a range, which runs do not take", function() params.parse_list("lr", "log(1e-4,1)", declared()) end,
      "got the range 'log(1e-4,1)', which `gradus sweep` takes" },
    { "a default above its limit", function() g.number(2, { max = 1 }) end,
      "number: the default 2 does not fit; expected a number of at most 1" },
    { "a misspelt limit", function() g.int(5, { minimum = 1 }) end, "int: no option 'minimum'" },
    { "a limit of text", function() g.int(5, { min = "1" }) end, "int: 'min': expected a number; got '1'" },
    { "text as a number", function() g.number("1") end, "number: expected a number as default; got 1" },
    { "no choices", function() g.choice {} end, "choice: expected a list of values" },
    { "tables as choices", function() g.choice { {}, {} } end,
      "choice: value 1: expected a number, text or boolean; got a table" },
    { "a function", function() params.declare { f = print } end,
      "params: 'f': expected a number, text, boolean, g.int, g.number, g.choice or a table; got function" },
    { "a list", function() params.declare { 1, 2 } end, "params: key 1: expected a name" },
    { "a name with a dash", function() params.declare { ["a-b"] = 1 } end,
      "params: key 'a-b': expected a name of letters, digits and _" },
    { "NaN", function() params.declare { lr = 0 / 0 } end,
      "params: 'lr': the default .*nan does not fit; expected a number" },
    { "a number for the table", function() params.declare(5) end, "params: expected a table of parameters; got 5" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)

describe("a grid refuses", function()
  local function grid(values) return function() params.check_grid(values, declared()) end end
  local cases = {
    { "a misspelt key", grid { widht = { 1, 2 } }, "grid: no parameter 'widht'; did you mean 'width'?" },
    { "a value of another type", grid { width = { 12, "16" } },
      "grid: 'width': expected a whole number of at least 1; got '16'" },
    { "a value out of range", grid { alpha = { .5, 2 } }, "grid: 'alpha': expected a number from 0 to 1; got 2" },
    { "an unknown choice", grid { strategy = { "two_shot" } }, "expected one of 'stages', 'one_shot'; got 'two_shot'" },
    { "one value instead of a list", grid { width = 12 }, "grid: 'width': expected a list of values; got 12" },
    { "an empty list", grid { width = {} }, "grid: 'width': expected a list of values" },
    { "a negative seed", grid { seed = { -1 } }, "grid: 'seed': expected a whole number of at least 0" },
    { "a seed twice", grid { seed = { 1, 2, 1 } }, "grid: 'seed': expected each value once; got 1 twice" },
    { "a value twice", grid { strategy = { "one_shot", "one_shot" } }, "grid: 'strategy': expected each value once; got 'one_shot' twice" },
    { "a number for the table", grid(7), "grid: expected a table of lists; got 7" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)

describe("a parameter's errors", function()
  it("name all there are, one too, and tell no infinite number from the largest whole ones", function()
    local one = params.declare { lr = params.int(3) }
    expect(function() params.parse_set("zzzzzzzz", "1", one) end):fails_with "--set: no parameter 'zzzzzzzz'; expected one of lr"
    expect(function() params.parse_set("zzzzzzzz", "1", {}) end):fails_with "--set: no parameter 'zzzzzzzz'; the script declares none"
    expect(function() params.parse_set("lr", "1e999", one) end):fails_with "--set lr: expected a whole number; got '1e999'"
    expect(function() params.parse_set("lr", "9007199254740992", one) end)
      :fails_with "--set lr: expected a whole number between -2^53 and 2^53, where each is kept as it is; got '9007199254740992'"
  end)
end)
