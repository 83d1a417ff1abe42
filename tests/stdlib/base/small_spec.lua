-- Small parts that others are made of.
local instead = require "instead"
local g = require "gradus"
local copy = require "gradus.base.copy"
local current = require "gradus.base.current"
local engine = require "gradus.engine"
local hollow = require "gradus.base.hollow"
local lists = require "gradus.base.lists"
local plain = require "gradus.base.plain"
local reached = require "gradus.base.reached"
local reading = require "gradus.base.reading"
local sizes = require "gradus.base.sizes"
local sorted_keys = require "gradus.base.sorted_keys"
local tail_call = require "gradus.base.tail_call"

describe("the line of a tail call", function()
  local function at(fn) return (tail_call(fn) or "nil"):match "[^:]*$" end
  local function line() return debug.getinfo(2, "l").currentline end
  it("is that of the call, where there is but one", function()
    local here = line()
    local function one(f)
      f()
      return f()
    end
    local function varargs(f, ...)
      f()
      return f(...)
    end
    expect({ at(one), at(varargs) }):equals { tostring(here + 3), tostring(here + 7) }
    expect(tail_call(one)):matches "small_spec.lua:%d+$"
  end)
  it("is the function's own where it has several, or none", function()
    local here = line()
    local function several(f)
      if f then return f() end
      return print()
    end
    local function none(f)
      f()
      local x = f()
      return x
    end
    expect({ at(several), at(none) }):equals { tostring(here + 1), tostring(here + 5) }
  end)
  it("is nobody's of a function in C, or of a text", function()
    expect({ tail_call(pcall), tail_call(loadstring "return") }):equals {}
  end)
end)

describe("an error within", function()
  local Raising = g.nn.class "Raising"
  function Raising:init() self.layer = g.nn.Linear(2, 2) end
  function Raising:forward() error("as it was", 0) end
  local function raise() error("as it was", 0) end
  local x = g.ones(2, 2)
  local d = g.data.tensors(x, g.tensor({ 0, 1 }, "int64"))
  local cases = {
    no_grad = function() g.no_grad(raise) end, autocast = function() g.autocast("bfloat16", raise) end,
    scope = function() g.scope(raise) end, flops = function() g.flops(raise) end,
    ["a borrowed mode"] = function() require("gradus.base.modes").evaluating(Raising(), raise) end,
    ["what is read"] = function() reading.unnoted(raise) end,
    ["a tapped call"] = function() Raising():forward_taps(x, { "layer" }) end,
    ["a step"] = function() require("gradus.step.step").new(raise) { x = x } end,
    ["a probe"] = function() g.probe.monomials(Raising(), { d = 4, k = 2, samples = 8 }) end,
    ["a landscape"] = function() g.probe.landscape(Raising(), d, { points = 3 }) end,
    ["work on some threads"] = function() require("gradus.step.threads").with({ options = {} }, 0, raise) end,
    ["what a run does silently"] = function() require "a_run" (function(run)
      local ok, why = pcall(run.silently, run, raise)
      assert(not ok)
      expect(why):equals "as it was"
    end) raise() end,
  }
  for name, call in pairs(cases) do
    it(name .. " comes out as it went in", function()
      local ok, why = pcall(call)
      expect({ ok, why }):equals { false, "as it was" }
    end)
  end
end)

describe("keys in order", function()
  it("are numbers before texts, each by what they are", function()
    expect(sorted_keys { b = 1, a = 1, [10] = 1, [9] = 1, [-1] = 1, ["10"] = 1, ["9"] = 1 }):equals { -1, 9, 10, "10", "9", "a", "b" }
    expect(sorted_keys { [true] = 1, [false] = 1, x = 1, [1] = 1 }):equals { false, true, 1, "x" }
    expect(sorted_keys {}):equals {}
  end)
end)

describe("a copy of plain data", function()
  it("shares nothing", function()
    local given = { a = { 1, { b = g.ones(2) } }, t = g.ones(1):requires_grad_() }
    local made = copy(given)
    given.a[2].b:fill_(5)
    given.a[1] = 7
    expect({ made.a[1], made.a[2].b:totable(), made.t.requires_grad, copy(3), copy(nil) }):equals { 1, { 1, 1 }, false, 3 }
  end)
end)

describe("hollow tables", function()
  it("ask a function for their fields, and are themselves again", function()
    local class = { __index = { method = function() return "class" end } }
    local t, asked = setmetatable({ a = 1, b = 2, [3] = "c" }, class), {}
    local undo = hollow.out(t, function(of, key)
      asked[#asked + 1] = key
      local value = hollow.fields(of)[key]
      if value ~= nil then return value end
      return hollow.missing(class, of, key)
    end, function(of, key, value) hollow.fields(of)[key] = value end)
    expect({ rawget(t, "a"), t.a, t[3], t.method(), t.none }):equals { nil, 1, "c", "class" }
    expect(asked):equals { "a", 3, "method", "none" }
    t.a, t.d = 5, 6
    expect({ rawget(t, "d"), hollow.fields(t).d }):equals { nil, 6 }
    undo()
    expect({ rawget(t, "a"), rawget(t, "d"), t.method(), rawequal(getmetatable(t), class), hollow.fields(t) == t }):equals
      { 5, 6, "class", true, true }
  end)
  it("leave in place what is not named", function()
    local t = { a = 1, b = 2 }
    local undo = hollow.out(t, function() return "asked" end, function() end, function(key, value) return key == "a" and value == 1 end)
    expect({ rawget(t, "a"), rawget(t, "b"), t.a, t.b }):equals { nil, 2, "asked", 2 }
    undo()
    expect(t):equals { a = 1, b = 2 }
  end)
  it("ask a class that has a function, a table, or nothing", function()
    local function index(_, key) return "fn " .. key end
    expect({ hollow.missing({ __index = index }, {}, "x"), hollow.missing({ __index = { x = 3 } }, {}, "x"), hollow.missing({}, {}, "x"),
      hollow.missing(nil, {}, "x") }):equals { "fn x", 3 }
  end)
end)

describe("lists", function()
  local object = setmetatable({}, { __len = function() return 9 end, __ipairs = function() return "ipairs" end,
    __pairs = function() return "pairs" end })
  it("are what an object says, else Lua's own", function()
    expect({ lists.length("x", object), lists.length("x", { 1, 2 }), lists.length("x", "abc"), lists.length("x", setmetatable({ 1 }, {})) })
      :equals { 9, 2, 3, 1 }
    expect({ (lists.ipairs(object)), (lists.pairs(object)) }):equals { "ipairs", "pairs" }
    expect({ lists.length("x", g.zeros(4, 2)), lists.length("x", g.tensor({ 1, 2 }):data()) }):equals { 4, 2 }
    for name, through in pairs { ipairs = lists.ipairs, pairs = lists.pairs } do
      local sum = 0
      for _, value in through { 1, 2, 3 } do sum = sum + value end
      expect(sum):equals(6)
      for _, value in through(setmetatable({ 1, 2 }, {})) do sum = sum + value end
      expect(sum):equals(9)
      expect(function() through(3) end):fails_with(name .. ": expected a table; got number")
      expect(function() through(nil) end):fails_with(name .. ": expected a table; got nil")
      expect(function() through "x" end):fails_with(name .. ": expected a table; got string")
    end
    expect(function() lists.length("a.b", nil) end):fails_with "#: attempt to get the length of 'a.b' (a nil value)"
    expect(function() lists.length("f", print) end):fails_with "(a function value)"
  end)
end)

describe("the sizes of a tensor", function()
  local x = g.zeros(2, 3)
  it("are told from plain tables", function()
    expect({ sizes.is(x.shape), sizes.is { 2, 3 }, sizes.is(nil), sizes.is "x" }):equals { true, false, false, false }
  end)
  it("say what to write for an index from 0", function()
    expect(function() return x.shape[0] end):fails_with "expected x:size(0), or x.shape[1]"
    expect(function() return x.shape[-1] end):fails_with "expected x:size(-1), or x.shape[#x.shape]"
    expect(function() return x.shape[-2] end):fails_with "expected x:size(-2), or x.shape[#x.shape - 1]"
    expect(function() return x.shape[.5] end):fails_with "x.shape[0.5]"
    expect({ x.shape[3], x.shape.x, x.shape[1], x.shape[1.5] }):equals { nil, nil, 2 }
  end)
  it("join texts on both sides", function()
    expect({ x.shape .. "!", "x " .. x.shape, x.shape .. x.shape, 1 .. x.shape }):equals { "{2, 3}!", "x {2, 3}", "{2, 3}{2, 3}",
      "1{2, 3}" }
    expect({ x.shape == g.zeros(2).shape, x.shape == g.zeros(2, 4).shape, x.shape == g.zeros(2, 3, 1).shape }):equals { false, false,
      false }
  end)
end)

describe("plain data", function()
  local function deep(n)
    local t = {}
    for _ = 1, n do t = { t } end
    return t
  end
  it("is read up to fifty tables deep", function()
    expect(plain.read((plain.write(deep(50), "")))):equals(deep(50))
    expect(function() plain.write(deep(51), "state") end):fails_with "tables within tables more than 50 deep; does one hold itself?"
  end)
  it("names tensors by their place", function()
    local t = g.ones(1)
    local _, tensors = plain.write({ a = { t, { b = t } }, [7] = t, ["a.1"] = t, ["a.1~2"] = t }, "x")
    local names = {}
    for name in pairs(tensors) do names[#names + 1] = name end
    table.sort(names)
    expect(names):equals { "x.7", "x.a.1", "x.a.1~2", "x.a.1~2~2", "x.a.2.b" }
    _, tensors = plain.write(t, "")
    expect(tensors[""] == t):is_true()
    _, tensors = plain.write({ t }, "")
    expect(tensors["1"] == t):is_true()
  end)
  it("is JSON where JSON has it", function()
    for text, value in pairs { ["[0]"] = 0, ["[-3]"] = -3, ['["a b~"]'] = "a b~", ["[true]"] = true, ['[["n","0.5"]]'] = .5,
      ['[["n","-0"]]'] = -0, ['[["n","inf"]]'] = math.huge, ['[["s","7f"]]'] = "\127", ['[["s","1f"]]'] = "\31", ['[["l",1,2]]'] = { 1, 2 },
      ['[["l"]]'] = {}, ['[["t","a",1]]'] = { a = 1 }, ['[["t",1,"a",3,"b"]]'] = { "a", nil, "b" } } do
      expect((plain.write(value, ""))):equals(text)
    end
    expect((plain.write(2 ^ 53 - 1, ""))):equals "[9007199254740991]"
    expect((plain.write(2 ^ 53, ""))):equals '[["n","9007199254740992"]]'
    expect((plain.write(-2 ^ 53, ""))):equals '[["n","-9007199254740992"]]'
  end)
  local refused = {
    { "a function", function() plain.write(print, "x") end,
      "x: expected plain data: numbers, texts, booleans, tensors and tables of them; got a function" },
    { "an object", function() plain.write({ setmetatable({}, {}) }, "x") end, "x.1: expected plain data" },
    { "a key that is a function", function() plain.write({ [print] = 1 }, "x") end, "x: a key is a function; expected texts and numbers" },
  }
  for _, case in ipairs(refused) do
    it("refuses " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)

describe("who watches what is read", function()
  it("is told, unless nobody is to be", function()
    local told = {}
    local watcher = { note = function(kind, name) told[#told + 1] = kind .. " " .. name end, refuse = function(what) error("no " .. what,
      0) end }
    reading.note("file", "a")
    reading.refuse "anything"
    expect({ reading.told_to(watcher, function(x, y)
      reading.note("file", "b")
      reading.unnoted(function() reading.note("file", "c") end)
      reading.note("global", "d")
      return y, x
    end, 1, 2) }):equals { 2, 1 }
    expect({ told, reading.watcher }):equals { { "file b", "global d" } }
    expect(function() reading.told_to(watcher, function() reading.refuse "that" end) end):fails_with "no that"
    expect(reading.watcher):equals(nil)
  end)
end)

describe("the current run", function()
  local function with_run(run, fn) instead({ { current, "run", run } }, fn) end
  it("has streams by name and number, of seed 0 outside of a run", function()
    local derive = engine.data.derive_seed
    with_run({ seed = 5 }, function()
      expect({ current.stream "order", current.stream("order", 0), current.stream("order", 2) }):equals
        { derive(5, "order", 0), derive(5, "order", 0), derive(5, "order", 2) }
    end)
    with_run(nil, function() expect(current.stream "order"):equals(derive(0, "order", 0)) end)
    expect(derive(0, "order", 0)):differs_from(derive(1, "order", 0))
  end)
  it("is warned", function()
    local told = {}
    with_run({ warn = function(_, kind, text) told[#told + 1] = kind .. ": " .. text end }, function() current.tell("labels", "odd") end)
    expect(told):equals { "labels: odd" }
  end)
  it("and those that started it know each file that it read once", function()
    local asked, before = {}, current.contents
    current.contents = {}
    local function run(name, parent) return { configure = function() asked[#asked + 1] = name end, parent = parent } end
    with_run(run("child", run("parent")), function()
      current.reads "b"
      current.reads "a"
      current.reads "b"
    end)
    local contents = current.contents
    current.contents = before
    expect({ contents, asked }):equals { { "a", "b" }, { "child", "parent", "child", "parent" } }
  end)
end)

describe("what ran of the library", function()
  it("joins to what ran in both", function()
    local one = { a = { whole = "w", outside = "o", functions = { "1", "3" } } }
    reached.join(one, { a = { whole = "w", outside = "o", functions = { "2", "3" } }, b = { whole = "x", outside = "p", functions = {} } })
    expect(one):equals { a = { whole = "w", outside = "o", functions = { "1", "2", "3" } }, b = { whole = "x", outside = "p",
      functions = {} } }
  end)
  it("of a file that is gone has changed", function()
    expect(reached.changed { ["base/none.lua"] = { whole = "w", outside = "o", functions = {} } }):equals "base/none.lua"
    expect(reached.changed {}):equals(nil)
  end)
end)

describe("an input as a module takes it", function()
  local nn = g.nn
  local taken_by, in_type = require "gradus.base.taken_by", require "gradus.base.in_type"
  local function linear(dtype) return nn.Linear(2, 2):to(dtype) end
  local x = g.ones(1, 2)
  it("is of the type of the first weights, its own before those below, wherever they are", function()
    local Own = nn.class "Own"
    function Own:init(dtype)
      self.inner = linear "float32"
      self.weight = nn.Parameter(g.ones({ 2 }, { dtype = dtype }))
    end
    for _, case in ipairs { { linear "float64", "float64" }, { nn.Sequential { nn.ReLU(), linear "float64" }, "float64" },
      { nn.Sequential { nn.Sequential { nn.ReLU() }, nn.Sequential { linear "bfloat16" } }, "bfloat16" },
      { nn.Sequential { linear "float64", linear "float32" }, "float64" }, { Own "float64", "float64" }, { linear "float32", "float32" },
      { nn.ReLU(), "float32" }, { nn.Sequential { nn.ReLU() }, "float32" } } do
      local taken = taken_by(case[1], x)
      expect({ taken.dtype, rawequal(taken, x) }):equals { case[2], case[2] == "float32" }
    end
    local whole = g.ones({ 1, 2 }, { dtype = "int64" })
    expect(rawequal(taken_by(linear "float64", whole), whole)):is_true()
  end)
  it("is asked in that type, and answered in its own", function()
    local seen
    local out = in_type(linear "float64", function(own)
      seen = own.dtype
      return own * 2
    end, x)
    expect({ seen, out.dtype, out:totable() }):equals { "float64", "float32", { { 2, 2 } } }
    local same = g.ones(1)
    expect(rawequal(in_type(linear "float32", function() return same end, x), same)):is_true()
  end)
end)

describe("numbers of mixed precision", function()
  local wide, weighted = require "gradus.base.wide", require "gradus.base.weighted"
  it("are taken as float32 where they are short, else as they are", function()
    for dtype, taken in pairs { float16 = "float32", bfloat16 = "float32", float32 = "float32", float64 = "float64", int64 = "int64" } do
      local t = g.ones({ 2 }, { dtype = dtype })
      expect({ wide(t).dtype, rawequal(wide(t), t) }):equals { taken, taken == dtype }
    end
  end)
  it("have a mean by their weights, in their own type", function()
    local values = g.tensor { 1, 2, 6 }
    local function mean(...) return weighted(values, ...):item() end
    expect({ mean(), mean(g.tensor { 1, 1, 2 }), mean(g.zeros(3)) }):equals { 3, 3.75, 0 }
    expect(weighted(values, g.tensor { 1e38, 1e38, 2e38 }):item()):near(3.75, 1e-6)
    expect({ weighted(values, g.ones({ 3 }, { dtype = "float64" })).dtype, weighted(values:double(), g.ones(3)).dtype }):equals
      { "float32", "float64" }
  end)
end)

describe("what is caught", function()
  local is_ending = require "gradus.base.is_ending"
  it("is no failure where somebody interrupted the run, or the script ended", function()
    for _, case in ipairs { { { interrupted = 2 }, true }, { { interrupted = false }, true }, { { exit = 0 }, true }, { { exit = 1,
      interrupted = 2 }, true }, { {}, false }, { { message = "x" }, false }, { "interrupted", false }, { 5, false } } do
      expect(is_ending(case[1]) or false):equals(case[2])
    end
    expect(is_ending(nil) or false):is_false()
  end)
end)

describe("tables that are kept", function()
  it("hold what another one holds, and nothing else, as the same tables", function()
    local refill = require "gradus.base.refill"
    local target, from = { a = 1, b = 2, 3, 4 }, { b = 5, c = 6, 7 }
    refill(target, from)
    expect({ target, from }):equals { { b = 5, c = 6, 7 }, { b = 5, c = 6, 7 } }
    refill(target, {})
    expect({ next(target) }):equals {}
  end)
  it("tell of each thing once that it is new", function()
    local news, told = require "gradus.base.news", { old = true }
    expect({ news(told, "old"), news(told, "a"), news(told, "a"), news(told, "b"), told }):equals
      { false, true, false, true, { old = true, a = true, b = true } }
  end)
  it("know Lua's own globals and fields, and not those of a script", function()
    local pristine = require "gradus.base.pristine"
    expect({ pristine.own.table == table, pristine.fields.table.insert == table.insert, pristine.fields.math.random == math.random,
      pristine.fields.string.rep == string.rep, pristine.fields._G, pristine.fields.print, pristine.own.describe_nothing }):equals
      { true, true, true, true }
    expect({ pristine.own._G == _G, pristine.own.print ~= nil }):equals { true, true }
  end)
end)
