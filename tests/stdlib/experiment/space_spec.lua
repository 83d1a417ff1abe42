-- The axes of a sweep: what is taken, what is refused and how, and the values that they give.
local params = require "gradus.experiment.params"
local space = require "gradus.experiment.space"

local specs = params.declare { T = 2, lr = 1e-2, n = params.int(3), tag = params.choice { "a", "b" } }

describe("an axis of the command line", function()
  it("is a list or a range", function()
    local function plain(axis)
      return { key = axis.key, values = axis.values, low = axis.low, high = axis.high, scale = axis.scale, whole = axis.whole }
    end
    expect(plain(space.parse("T", "1,2", specs))):equals { key = "T", values = { 1, 2 } }
    expect(plain(space.parse("tag", "b", specs))):equals { key = "tag", values = { "b" } }
    expect(plain(space.parse("T", "lin(-1,2)", specs))):equals { key = "T", low = -1, high = 2, scale = "lin", whole = false }
    expect(plain(space.parse("n", "log(1,8)", specs))):equals { key = "n", low = 1, high = 8, scale = "log", whole = true }
    expect(plain(space.declare("T", { 3, 4 }, specs))):equals { key = "T", values = { 3, 4 } }
    expect(plain(space.declare("T", { log = { 1, 2 } }, specs))):equals { key = "T", low = 1, high = 2, scale = "log", whole = false }
    expect(plain(space.declare("n", { lin = { 1, 2 } }, specs))):equals { key = "n", low = 1, high = 2, scale = "lin", whole = true }
  end)
  local lin, log = "expected lin(low, high) with low < high; got ", "expected log(low, high) with 0 < low < high; got "
  for text, wanted in pairs {
    ["lin(2,1)"] = lin .. "lin(2, 1)", ["lin(1,1)"] = lin .. "lin(1, 1)", ["lin(a,1)"] = lin .. "lin(a, 1)",
    ["lin(1,b)"] = lin .. "lin(1, b)",
    ["log(0,1)"] = log .. "log(0, 1)", ["log(-1,1)"] = log .. "log(-1, 1)", ["lin(1,2,3)"] = lin .. "lin(1, 2, 3)",
    ["lin(1)"] = lin .. "lin(1)",
    ["log(1,2"] = "expected a list, lin(low, high) or log(low, high); got 'log(1,2'",
    ["lon(1,2)"] = "expected a list, lin(low, high) or log(low, high); got 'lon(1,2)'",
    ["uniform(1,2)"] = "expected a list, lin(low, high) or log(low, high); got 'uniform(1,2)'",
  } do
    it("refuses " .. text, function()
      expect(function() space.parse("T", text, specs) end):fails_with("--set T: " .. wanted)
    end)
  end
  it("of texts is a list too", function()
    local texts = params.declare { name = "a", tag = "b" }
    expect(space.parse("name", "a,b c", texts).values):equals { "a", "b c" }
    expect(space.parse("name", "lin(a)", texts).values):equals { "lin(a)" }
    expect(params.parse_list("name", "a,b", texts)):equals { "a,b" }  -- of one run a text is what was typed
  end)
  it("refuses a range of what is no number, of what is unknown, and an end that the parameter does not take", function()
    expect(function() space.parse("tag", "lin(0,1)", specs) end)
      :fails_with "--set tag: expected a parameter that is a number, for a range; got "
    expect(function() space.parse("lt", "lin(0,1)", specs) end):fails_with "did you mean 'lr'?"
    expect(function() space.parse("n", "lin(0.5,2)", specs) end):fails_with "n"
    expect(function() space.parse("n", "lin(1,2.5)", specs) end):fails_with "n"
    expect(function() space.declare("n", { lin = { 1, 2.5 } }, specs) end):fails_with "n"
    expect(function() space.declare("T", { lin = { 2, 1 } }, specs) end):fails_with("sweep: set: 'T': " .. lin .. "lin(2, 1)")
    expect(function() space.declare("T", 5, specs) end)
      :fails_with "sweep: set: 'T': expected a list of values, or { log = { low, high } }; got 5"
  end)
end)

describe("an axis' values", function()
  local function at(text, key, u) return space.parse(key, text, specs):at(u) end
  for _, case in ipairs {
    { "1,2,3", "T", 0, 1 }, { "1,2,3", "T", .34, 2 }, { "1,2,3", "T", .999, 3 }, { "lin(2,6)", "T", 0, 2 }, { "lin(2,6)", "T", .25, 3 },
    { "lin(0,1)", "T", 1 / 3, .333333 }, { "log(1,100)", "T", .5, 10 }, { "log(0.01,1)", "lr", .25, .0316228 }, { "lin(1,4)", "n", .49, 2 },
    { "lin(1,4)", "n", .51, 3 }, { "lin(1,4)", "n", .999, 4 }, { "log(1,16)", "n", .5, 3 },
    { "lin(0.1234574,2)", "T", 0, .1234574 }, { "lin(0,0.1234566)", "T", .9999999, .1234566 },  -- of six digits, and within
  } do
    it(("at %.3g of %s"):format(case[3], case[1]), function() expect(at(case[1], case[2], case[3])):equals(case[4]) end)
  end
  it("are whole numbers alike often, the ends too", function()
    local counts = {}
    for i = 0, 399 do
      local n = at("lin(1,4)", "n", i / 400)
      counts[n] = (counts[n] or 0) + 1
    end
    expect(counts):equals { 100, 100, 100, 100 }
  end)
  it("are whole numbers as often as their logarithms have room, half a number beyond the ends", function()
    local counts = { 0, 0, 0 }
    for i = 0, 3999 do
      local n = at("log(1,3)", "n", i / 4000)
      counts[n] = counts[n] + 1
    end
    for n, count in ipairs(counts) do expect(count / 4000):near(math.log((n + .5) / (n - .5)) / math.log(3.5 / .5), 1e-3) end
  end)
  it("lie at their shares", function()
    expect(space.parse("T", "lin(2,6)", specs):share(3)):near(.25)
    expect(space.parse("T", "log(1,100)", specs):share(10)):near(.5)
    expect(space.parse("T", "log(2,32)", specs):share(4)):near(.25)
  end)
end)

describe("a list of a sweep", function()
  it("has values that the parameter takes", function()
    for key, list in pairs { T = { 1, "x" }, n = { 1, 2.5 }, tag = { "a", "c" }, lt = { 1, 2 } } do
      expect(function() space.declare(key, list, specs) end):fails_with(key)
    end
  end)
end)

describe("a value in words", function()
  it("is a number of six digits, and all else as it is", function()
    expect({ space.in_words(.123456789), space.in_words(3), space.in_words "a", space.in_words(true) })
      :equals { "0.123457", "3", "a", "true" }
  end)
end)

describe("a range of a parameter that is none", function()
  it("blames who gave it", function()
    expect(function() space.parse("zzzzzzzz", "lin(0,1)", specs) end):fails_with "--set: no parameter 'zzzzzzzz'"
    expect(function() space.declare("zzzzzzzz", { lin = { 0, 1 } }, specs) end):fails_with ": sweep: no parameter 'zzzzzzzz'"
  end)
end)

describe("what ends the command where a range is wrong", function()
  local host, instead = require "gradus.host", require "instead"
  it("is its usage where it was typed, else the script", function()
    local codes = {}
    instead({ { host, "fail", function(_, code)
      codes[#codes + 1] = code or "the script's"
      error("told", 0)
    end } }, function()
      for _, given in ipairs { { "T", "lin(2,1)" }, { "tag", "lin(0,1)" }, { "T", "lon(1,2)" }, { "zz", "lin(0,1)" } } do
        pcall(space.parse, given[1], given[2], specs)
      end
      for _, given in ipairs { { "T", { lin = { 2, 1 } } }, { "tag", { lin = { 0, 1 } } }, { "T", 5 } } do
        pcall(space.declare, given[1], given[2], specs)
      end
    end)
    expect(codes):equals { 64, 64, 64, 64, "the script's", "the script's", "the script's" }
  end)
end)
