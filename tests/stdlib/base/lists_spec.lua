-- What `#`, ipairs, pairs and an index do with lists of modules, data sets, tensors and plain tables.
local g = require "gradus"
local nn = g.nn

local function three() return nn.ModuleList { nn.Linear(4, 3), nn.Linear(3, 2), nn.ReLU() } end

describe("nn.ModuleList", function()
  it("is as long as it has items, which are counted from 0", function()
    local list = three()
    expect(#list):equals(3)
    expect(#nn.ModuleList()):equals(0)
    expect(nn.class_of(list[0]) == nn.Linear):is_true()
    expect(list[-1] == list[2]):is_true()
    expect(list[-3] == list[0]):is_true()
    expect(list[0] == list:get(0)):is_true()
  end)

  it("is gone through by ipairs and pairs, with the keys that an index takes", function()
    local list = three()
    for _, through in ipairs { ipairs, pairs } do
      local seen = {}
      for i, module in through(list) do
        expect(module == list[i]):is_true()
        seen[#seen + 1] = i
      end
      expect(seen):equals { 0, 1, 2 }
    end
    for _ in ipairs(nn.ModuleList()) do error "an item of none" end
  end)

  it("registers what an index is given", function()
    local list, other = three(), nn.Linear(4, 3)
    list[0] = other
    expect(list[0] == other):is_true()
    expect(list:state_dict()["0.weight"]:equal(other.weight)):is_true()
    list[-1] = nn.Linear(2, 2)
    expect(#list):equals(3)
    expect(list:parameters()[5].shape):equals { 2, 2 }
    expect(function() list[3] = other end):fails_with "no item 3; expected 0 to 2: items are counted from 0"
    expect(function() list[0] = "relu" end):fails_with "expected a module; got 'relu'"
    expect(function() list[0] = nil end):fails_with "expected a module; got nil"
    expect(function() return list[1.5] end):fails_with "no item 1.5"
    expect(function() return list[-4] end):fails_with "no item -4"
    expect(function() return nn.ModuleList()[0] end):fails_with "it is empty"
  end)

  it("grows", function()
    local list = nn.ModuleList()
    list:append(nn.Linear(2, 2)):extend { nn.ReLU(), nn.Linear(2, 1) }:extend(three())
    expect(#list):equals(6)
    expect(list:state_dict()["2.weight"].shape):equals { 1, 2 }
    expect(#list:extend(list)):equals(12)  -- its own items, once
    expect(function() list:append "relu" end):fails_with "expected a module; got 'relu'"
    expect(function() list:extend(nn.ReLU()) end):fails_with "expected a list of modules"
  end)

  it("is copied with its items", function()
    local list = three()
    local copy = list:clone()
    expect(#copy):equals(3)
    expect(copy[0].weight:equal(list[0].weight)):is_true()
    expect(copy[0].weight == list[0].weight):is_false()
  end)

  it("is what Sequential is too", function()
    local net = nn.Sequential { nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2) }
    expect(#net):equals(3)
    expect(net[2].out_features):equals(2)
    local x = g.ones(1, 4)
    local y = x
    for _, layer in ipairs(net) do y = layer(y) end
    expect(y:equal(net(x))):is_true()
    net[1] = nn.Tanh()
    expect(net(x):equal(net[2](net[0](x):tanh()))):is_true()
  end)

  it("says what to write instead of a call or a loop without ipairs", function()
    expect(function() three()(g.ones(1, 4)) end):fails_with "for i, layer in ipairs(list) do"
    expect(function() for _ in three() do error "a step" end end):fails_with "for i, layer in ipairs(list) do"
    expect(function() for _ in nn.Sequential(nn.ReLU()) do error "a step" end end):fails_with "for i, layer in ipairs(net) do"
  end)

  it("is known by its replay when an item is replaced", function()
    local net = nn.Sequential { nn.Linear(2, 2), nn.Linear(2, 1) }
    local step = require("gradus.step.step").new(function(b) return { out = net(b.x):sum() } end)
    local x = g.ones(3, 2)
    for _ = 1, 5 do expect(step({ x = x }, {}).out:item()):near(net(x):sum():item(), 1e-5) end
    net[1] = nn.Linear(2, 1)
    for _ = 1, 5 do expect(step({ x = x }, {}).out:item()):near(net(x):sum():item(), 1e-5) end
  end)
end)

describe("nn.ModuleDict", function()
  it("registers by name, in the order of the names", function()
    local dict = nn.ModuleDict { b = nn.Linear(2, 3), a = nn.Linear(2, 2) }
    expect(dict.b.out_features):equals(3)
    expect(dict["a"].out_features):equals(2)
    local names = {}
    for name, module in pairs(dict) do
      expect(dict[name] == module):is_true()
      names[#names + 1] = name
    end
    expect(names):equals { "a", "b" }
    expect(dict:num_parameters()):equals(15)
    expect(function() nn.ModuleDict { nn.ReLU() } end):fails_with "expected modules by name"
    expect(function() dict(g.ones(2)) end):fails_with "dict.name(x)"
  end)
end)

describe("a data set and a tensor", function()
  it("have a length", function()
    local d = g.data.digits()
    expect(#d):equals(1797)
    expect(#d:first(10)):equals(10)
    expect(#g.zeros(3, 2)):equals(3)
    expect(function() return #g.zeros {} end):fails_with "a 0-dim tensor has no length"
  end)

  it("say what goes over their rows", function()
    local d = g.data.digits()
    for _, wrong in ipairs { function() for _ in d do error "a step" end end, function() ipairs(d) end, function() pairs(d) end } do
      expect(wrong):fails_with "for i, batch in run:batches(d, { size = 64, epochs = 1 }) do"
    end
    expect(function() return d[0] end):fails_with "d:subset"
    local rows = {}
    for i, row in ipairs(g.tensor { { 1, 2 }, { 3, 4 } }) do rows[i] = row:totable() end
    expect(rows):equals { [0] = { 1, 2 }, { 3, 4 } }
    for _ in ipairs(g.zeros(0, 2)) do error "a row of none" end
    expect(function() for _ in g.zeros(2) do error "a step" end end):fails_with "for i, row in ipairs(x) do"
  end)
end)

describe("the length operator", function()
  local t = { n = { 1, 2, 3 }, f = function() return { 1, 2 } end, s = "four" }

  it("takes what it took before", function()
    local list = { 1, 2 }
    expect(#list):equals(2)
    expect(#t.n):equals(3)
    expect(#t["n"]):equals(3)
    expect(#t.f()):equals(2)
    expect(#t:f()):equals(2)
    expect(#(t.n)):equals(3)
    expect(#t.s .. "!"):equals "4!"
    expect(-#t.n):equals(-3)
    expect(#t.n + #list * 2):equals(7)
    expect(list[#list]):equals(2)
    expect(t.n[#t.n - #list]):equals(1)
    expect(#{ 1, 2, 3, #list }):equals(4)
    expect(#"a # b"):equals(5)
    expect(#[[#]]):equals(1)
    expect(not #list):equals(false)
    expect(#list == 2 and #t.n ~= 2):is_true()
    expect(#t.s:sub(1, 2):upper()):equals(2)
    expect(#string.rep("x", 3)):equals(3)
    list[#list + 1] = 7  -- # in a comment: #list
    expect(#list --[[ #t ]]):equals(3)
    expect(# list):equals(3)
    expect(#
      list):equals(3)
  end)

  it("asks objects, in functions of another environment and in loaded text too", function()
    local object = setmetatable({}, { __len = function() return 12 end })
    expect(#object):equals(12)
    expect(loadstring "return #...)" == nil):is_true()
    expect(assert(loadstring "local x = ... return #x")(object)):equals(12)
    expect(setfenv(assert(loadstring "return #x"), { x = object })()):equals(12)
    expect(setfenv(function() return #x end, { x = object })()):equals(12)
  end)

  it("names what has no length", function()
    expect(function() local nothing = nil return #nothing end):fails_with "attempt to get the length of 'nothing' (a nil value)"
    expect(function() return #t.missing end):fails_with "'t.missing' (a nil value)"
    expect(function() return #(5 + 1) end):fails_with "(a number value)"
    expect(function() return #nn.ReLU() end):fails_with "ReLU has no length"
  end)

  it("leaves a comment of Python's the syntax error that it is", function()
    local fn, err = loadstring "local x = print # a comment\nreturn x"
    expect(fn):equals(nil)
    expect(err):matches "a comment begins with %-%-"
  end)
end)

describe("ipairs and pairs", function()
  it("are Lua's own for tables", function()
    local sum = 0
    for i, v in ipairs { 5, 6, nil, 7 } do sum = sum + i * v end
    expect(sum):equals(17)
    local keys = {}
    for k in pairs { a = 1, b = 2 } do keys[#keys + 1] = k end
    table.sort(keys)
    expect(keys):equals { "a", "b" }
  end)

  it("say at the script's line what they were given", function()
    expect(function() for _ in ipairs(nil) do error "a step" end end):fails_with "ipairs: expected a table; got nil"
    expect(function() for _ in pairs(5) do error "a step" end end):fails_with "pairs: expected a table; got number"
  end)
end)
