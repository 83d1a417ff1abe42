-- What tells two values apart: what they compute with, and nothing else.
local g = require "gradus"
local identity = require "gradus.training.identity"
local nn = g.nn

local function hash(...) return identity("spec", { n = select("#", ...), ... }) end

-- Functions that stand on one line have one source text: what LuaJIT made of them tells them apart.
local same_line = {
  ["a table's items"] = { function() return { 1, 2 } end, function() return { 1, 3 } end },
  ["a table's fields"] = { function() return { a = 1 } end, function() return { a = 2 } end },
  ["a table's names"] = { function() return { a = 1 } end, function() return { b = 1 } end },
  ["a text"] = { function() return "a" end, function() return "b" end },
  ["a great number"] = { function() return 1.5 end, function() return 2.5 end },
  ["the last of three numbers"] = { function(x) return x + 1.5 + 2.5 + 3.5 end, function(x) return x + 1.5 + 2.5 + 4.5 end },
  ["a small number"] = { function() return 1 end, function() return 2 end },
  ["an operator"] = { function(x) return x * x end, function(x) return x + x end },
  ["what is put where"] = { function(t, x, y) t.a = x t.b = y end, function(t, x, y) t.a = y t.b = x end },
  ["how much is taken of a call"] = { function(f) local _ = f() end, function(f) f() end },
  ["a branch"] = { function(x) if x then return 1 end end, function(x) if not x then return 1 end end },
  ["a function within"] = { function() return function() return 1 end end, function() return function() return 2 end end },
  ["a number of a function within"] = { function() return function() return 1.5 end end, function() return function() return 2.5 end end },
}

describe("what identifies functions", function()
  for name, pair in pairs(same_line) do
    it("has " .. name .. " in it", function()
      expect(hash(pair[1])):differs_from(hash(pair[2]))
      expect(hash(pair[1])):equals(hash(pair[1]))
      local text_only = { identity("spec", { pair[1] }, { code = false }), identity("spec", { pair[2] }, { code = false }) }
      expect(text_only[1]):equals(text_only[2])
    end)
  end
  it("has their source text, for one line and for several", function()
    local one = function() return 1 end
    local several = function()
      return 1
    end
    local other = function()  -- a comment
      return 1
    end
    for _, options in ipairs { {}, { code = false } } do
      local a, b, c = identity("spec", { one }, options), identity("spec", { several }, options), identity("spec", { other }, options)
      assert(a ~= b and b ~= c and a ~= c)
    end
  end)
  it("is the same after they were compiled", function()
    local function sum(n)
      local total = 0
      for i = 1, n do total = total + (i % 2 == 0 and i or -i) end
      for _, one in ipairs { 1, 2, 3 } do total = total + one end
      while total > n do total = total - n end
      return total
    end
    local before = hash(sum)
    for _ = 1, 300 do sum(100) end
    expect(hash(sum)):equals(before)
  end)
  it("has what they read, however deep, and what their globals are", function()
    local function make(value)
      local box = { inner = { value } }
      local function deep() return box.inner[1] end
      return function() return deep() end
    end
    expect(hash(make(1))):equals(hash(make(1)))
    for _, one in ipairs { 2, "1", true, 1.0000001 } do expect(hash(make(one))):differs_from(hash(make(1))) end
  end)
end)

describe("what identifies values", function()
  it("has their kinds and all that is in them", function()
    local values = { 1, "1", true, false, { 1 }, { "1" }, { { 1 } }, { a = 1 }, { a = 2 }, { b = 1 }, {}, 0 / 0, 1 / 0, -1 / 0,
      .1, .1 + 1e-17 * 4,
      g.ones(2), g.ones(3), g.ones(2, 1), g.zeros(2), g.ones({ 2 }, { dtype = "float64" }), print, ipairs, nn.Linear, g.score.loss }
    local seen = {}
    for i, one in ipairs(values) do
      local found = hash(one)
      if seen[found] then error(("value %d is taken for value %d"):format(i, seen[found])) end
      seen[found] = i
    end
    assert(not seen[hash(nil)] and not seen[hash(1, 1)] and not seen[hash()])
    expect(hash({ b = 1, a = { 2 } }, nil, "x")):equals(hash({ a = { 2 }, b = 1 }, nil, "x"))
  end)
  it("tells a table that is there twice from two, and ends in circles", function()
    local one = { 1 }
    expect(hash { one, one }):differs_from(hash { { 1 }, { 1 } })
    local circle = {}
    circle.own = circle
    expect(hash(circle)):equals(hash(circle))
  end)
  it("has the weights of modules and their plain values, not whether they train", function()
    local function net(rate)
      nn.init_generator = g.generator(3)
      return nn.Sequential { nn.Linear(3, 2), nn.Dropout(rate or .5) }
    end
    local first = hash(net())
    expect(hash(net())):equals(first)
    expect(hash(net():eval())):equals(first)
    expect(hash(net(.4))):differs_from(first)
    local other = net()
    g.no_grad(function() other:parameters()[1][0][0] = 7 end)
    expect(hash(other)):differs_from(first)
  end)
  it("has what an own class keeps in its fields", function()
    local Net = nn.class "Net"
    function Net:init(field)
      self.weight = nn.Parameter(g.ones(1))
      self.field = field
    end
    local function adds(n) return function(x) return x + n end end
    for _, pair in ipairs { { 1, 2 }, { "a", "b" }, { true, false }, { { a = { 1 } }, { a = { 2 } } }, { g.ones(1), g.zeros(1) },
      { adds(1), adds(2) } } do
      expect(hash(Net(pair[1]))):equals(hash(Net(pair[1])))
      expect(hash(Net(pair[2]))):differs_from(hash(Net(pair[1])))
    end
  end)
  it("has the methods of the user's own classes", function()
    local function make(factor)
      local Net = nn.class "Net"
      function Net:init() self.weight = nn.Parameter(g.ones(1)) end
      function Net:forward(x) return x * factor end
      return Net()
    end
    expect(hash(make(2))):equals(hash(make(2)))
    expect(hash(make(3))):differs_from(hash(make(2)))
  end)
  it("has the methods of objects, and nothing of the library's", function()
    local function object(by)
      return setmetatable({ 1 }, { __index = { double = function(self) return self[1] * by end } })
    end
    expect(hash(object(2))):equals(hash(object(2)))
    expect(hash(object(3))):differs_from(hash(object(2)))
    expect(hash(setmetatable({ 1 }, { __index = {} }))):differs_from(hash(object(2)))
  end)
  it("has the state of optimizers, the rows of data, and how a generator makes its own", function()
    local d = g.data.digits()
    expect(hash(d:first(20))):equals(hash(d:first(20)))
    expect(hash(d:first(21))):differs_from(hash(d:first(20)))
    local function made(by)
      return g.data.generator(function(n) return g.ones(n, 1) * by, g.zeros(n):long() end, { epoch = 10, classes = 2 })
    end
    expect(hash(made(1))):equals(hash(made(1)))
    expect(hash(made(2))):differs_from(hash(made(1)))
    local net = nn.Linear(2, 1)
    local opt = g.optim.AdamW(net)
    local before = hash(opt)
    opt:minimize(net(g.ones(1, 2)):sum())
    expect(hash(opt)):differs_from(before)
  end)
  it("has a run's seed and parameters, and nothing else of it", function()
    local function run(seed, lr, more) return { uid = more, seed = seed, params = { lr = lr }, step_number = more } end
    expect(hash(run(1, .5, "b"))):equals(hash(run(1, .5, "a")))
    expect(hash(run(2, .5, "a"))):differs_from(hash(run(1, .5, "a")))
    expect(hash(run(1, .6, "a"))):differs_from(hash(run(1, .5, "a")))
  end)
  it("has names for what is not opened", function()
    local box = { 1 }
    expect(identity("spec", { box }, { names = { [box] = "the box" } })):differs_from(hash(box))
    local found = {}
    local function within() return 1 end
    local function outer() return within() end
    identity("spec", { outer, print }, { found = function(fn) found[fn] = true end })
    assert(found[outer] and found[within] and found[print])
  end)
  it("refuses what is no value", function()
    expect(function() hash(coroutine.create(print)) end):fails_with "spec: a thread cannot be part of what identifies the result; expected"
    expect(function() hash { { io.stdout } } end):fails_with "spec: a userdata cannot"
  end)
end)
