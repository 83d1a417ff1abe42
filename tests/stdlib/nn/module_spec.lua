-- What modules answer, and which mistakes with them are told.
local g = require "gradus"
local support = require "support"
local nn = g.nn

local function names(iterator)
  local list = {}
  for name in iterator do list[#list + 1] = name end
  return list
end

describe("a module", function()
  it("lists what it holds, itself first, each once", function()
    local net = nn.Sequential { nn.Linear(2, 2), nn.Sequential { nn.BatchNorm1d(2) } }
    net:add_module("again", net[0])
    expect(names(net:named_modules())):equals { "", "0", "1", "1.0" }
    expect(names(net:named_children())):equals { "0", "1", "again" }
    expect({ #net:children(), net:children()[1] == net[0], #net:parameters(), #net:buffers() }):equals { 3, true, 4, 3 }
    expect(names(net:named_buffers())):equals { "1.0.running_mean", "1.0.running_var", "1.0.num_batches_tracked" }
    local state = {}
    for name in pairs(net:state_dict()) do state[#state + 1] = name end
    expect(#state):equals(2 + 2 + 2 + 3)  -- as PyTorch names them, a shared module at each of its places
    expect({ net:get_submodule("1.0") == net[1][0], net:get_submodule("") == net }):equals { true, true }
    expect(function() net:get_submodule "2.0" end):fails_with "Sequential: no module '2.0'"
    expect({ net:device(), nn.ReLU():device() }):equals { "cpu", "cpu" }
  end)
  it("counts numbers, those that are trained too", function()
    local net = nn.MLP { 2, 3, 1 }
    net.layers[0]:freeze()
    expect({ net:num_parameters(), net:num_parameters(true), nn.ReLU():num_parameters() }):equals { 13, 4, 0 }
    expect(net:requires_grad_(false):num_parameters(true)):equals(0)
    expect(net:requires_grad_(true):num_parameters(true)):equals(13)
  end)
  it("names the parameters that a loss does not depend on, of those that are trained", function()
    local net = nn.Sequential { nn.Linear(2, 2), nn.Linear(2, 1) }
    local x = g.ones(3, 2)
    expect(net:unused_parameters(net(x):sum())):equals {}
    expect(net:unused_parameters(net[0](x):sum())):equals { "1.weight", "1.bias" }
    net[1]:freeze()
    expect(net:unused_parameters(net[0](x):sum())):equals {}
    net:freeze()
    expect(net:unused_parameters(net(x):sum())):equals {}
    expect(function() net:unused_parameters(3) end):fails_with "unused_parameters: 'loss': expected a Tensor; got 3"
  end)
  it("changes modes and gradients, and returns itself", function()
    local net = nn.Sequential { nn.Dropout(.5) }
    expect({ net:train(false) == net, net.training, net[0].training, net:train(true)[0].training, net:eval()[0].training }):equals
      { true, false, false, true, false }
    expect({ net:freeze() == net, net:to "cpu" == net }):equals { true, true }
  end)
  it("copies itself with what is frozen, and plain tables", function()
    local net = nn.Linear(2, 2)
    net.bias:requires_grad_(false)
    net.sizes = { 1, { 2 } }
    local copy = net:clone()
    copy.sizes[2][1] = 9
    expect({ copy.bias.requires_grad, copy.weight.requires_grad, net.sizes[2][1], nn.class_of(copy) == nn.Linear }):equals
      { false, true, 2, true }
  end)
  it("prints its children, and its own sizes before them", function()
    local Net = nn.class "Net"
    function Net:init()
      self.a = nn.ReLU()
      self.b = nn.Sequential { nn.Tanh() }
    end
    function Net:extra_repr() return "width=3" end
    expect(tostring(Net())):equals "Net(\n  width=3\n  (a): ReLU()\n  (b): Sequential(\n    (0): Tanh()\n  )\n)"
    expect(tostring(nn.Sequential {})):equals "Sequential()"
  end)
  it("tells of numbers in a file that are not finite", function()
    local path = os.tmpname() .. ".safetensors"
    local net = nn.Sequential { nn.Linear(2, 2), nn.BatchNorm1d(2) }
    local function warnings()
      local _, seen = support.with_run({}, function() net:clone():load(path) end)
      local texts = {}
      for i, one in ipairs(seen.warnings) do texts[i] = one.detail.text end
      return texts
    end
    net:save(path)
    expect(warnings()):equals {}
    local function odd() return tonumber((warnings()[1] or ""):match ": (%d+) of its numbers are NaN or infinite; expected finite ones") end
    net[1].running_mean[1] = math.huge
    net:save(path)
    expect(odd()):equals(1)
    g.no_grad(function() net[0].weight:fill_(0 / 0) end)
    net[1].running_mean:fill_(math.huge)
    net:save(path)
    local found = { #warnings(), odd() }
    os.remove(path)
    os.remove((path:gsub("%.safetensors$", "")))
    expect(found):equals { 1, 6 }
  end)
end)

describe("a field of a module", function()
  it("that was a module may be a number once it is set to nil, and its place is the last", function()
    local net = nn.Sequential { nn.Linear(2, 2), nn.ReLU(), nn.Tanh() }
    net.extra, net.more = nn.ReLU(), 3
    net.extra = nil
    net.extra = 5
    expect({ net.extra, names(net:named_children()) }):equals { 5, { "0", "1", "2" } }
    net.more = nn.ReLU()
    net.more = nn.Tanh()
    expect({ names(net:named_children()), nn.class_of(net.more) == nn.Tanh }):equals { { "0", "1", "2", "more" }, true }
    net["1"] = nil
    expect(names(net:named_children())):equals { "0", "2", "more" }
  end)
  it("that is a buffer takes another tensor, a parameter another parameter", function()
    local norm = nn.BatchNorm1d(2)
    norm.running_mean = g.ones(2)
    expect(norm:state_dict()["running_mean"]:totable()):equals { 1, 1 }
    norm.weight = nn.Parameter(g.zeros(2))
    expect({ #norm:parameters(), norm.weight:sum():item() }):equals { 2, 0 }
    expect(function() norm.weight = 3 end):fails_with "BatchNorm1d: 'weight' is a parameter; expected another one or nil; got 3"
    expect(function() norm.running_mean = 3 end):fails_with "'running_mean' is a buffer; expected another one or nil; got 3"
    expect(function() norm.weight = g.ones(2) end):fails_with "'weight' is a parameter; expected another one or nil; got Tensor [2] float32"
    norm.running_mean = nil
    expect(#norm:buffers()):equals(2)
  end)
  it("of a class is seen by its own classes", function()
    local Base = nn.class "Base"
    function Base:init(n) self.n = n or 1 end
    function Base:twice() return 2 * self.n end
    local Below = nn.class("Below", Base)
    expect({ Below(4):twice(), tostring(Below), nn.class_of(Below()) == Below, nn.is_module(Below), nn.is_module(Below()) }):equals
      { 8, "class Below", true, false, true }
    expect(names(pairs(nn.Sequential { nn.ReLU() }))):equals { 0 }
    local Net = nn.class "Net"
    function Net:init() self.a = nn.ReLU() end
    expect(names(pairs(Net()))):equals { "a" }
  end)
end)

describe("a mistake with a module", function()
  local Net = nn.class "Net"
  function Net:init() self.layer = nn.Linear(2, 2) end
  local net = Net()
  local inner = nn.Linear(1, 1)
  local cases = {
    { "modules in a list", function() net.list = { inner } end,
      "Net: 'list' is a plain table with a module at list[1], which nobody would see; expected nn.ModuleList { … }" },
    { "modules by name", function() net.heads = { a = inner } end,
      "'heads' is a plain table with a module at heads.a, which nobody would see; expected nn.ModuleDict { … }" },
    { "modules within tables", function() net.deep = { { x = { inner } } } end, "with a module at deep[1].x[1]" },
    { "a parameter in a table", function() net.scales = { a = nn.Parameter(g.ones(1)) } end,
      "'scales' is a plain table with a parameter at scales.a, which nobody would see; expected a field for each" },
    { "a module below itself", function() net.me = net end, "Net: 'me' holds this module itself: a module cannot be below itself" },
    { "a module below its child", function() net.layer.parent = net end, "Linear: 'parent' holds this module itself" },
    { "a number as a module", function() net:add_module("x", 5) end, "Net: 'x': expected a module; got 5" },
    { "a name of no text", function() net:add_module(5, inner) end,
      "Net: '5' cannot be the name of a module; expected a text without dots" },
    { "an empty name", function() net:add_module("", inner) end, "Net: '' cannot be the name of a module" },
    { "a number as a buffer", function() net:register_buffer("b", 5) end, "Net: 'b': expected a Tensor; got 5" },
    { "a number as a parameter", function() net:register_parameter("p", 5) end, "Net: 'p': expected a Tensor; got 5" },
    { "__init__", function() function Net.__init__() end end, "Net: '__init__' would never be called; expected function Net:init(…)" },
    { "__call__", function() function Net.__call__() end end, "'__call__' would never be called; expected function Net:forward(…)" },
    { "__repr__", function() function Net.__repr__() end end, "'__repr__' would never be called; expected function Net:extra_repr(…)" },
    { "forward that is no function", function() Net.forward = 5 end, "Net: 'forward': expected function Net:forward(…); got 5" },
    { "forward with a dot", function()
      function Net.forward(x) return x end
    end, "function Net.forward(…) gets the module as its first argument; expected function Net:forward(…), with a colon" },
    { "init of nothing", function() nn.class "Fresh".init = function() end end,
      "function Fresh.init(…) gets the module as its first argument" },
    { "a pickled file to save", function() net:save "x.pt" end,
      "save: 'x.pt' is a name of PyTorch's pickled files; expected .safetensors" },
    { "a pickled file to load", function() net:load "x.pth" end, "load: 'x.pth' is a name of PyTorch's pickled files" },
    { "a checkpoint", function() net:load "x.ckpt" end, "'x.ckpt' is a name of PyTorch's" },
    { "a pickle", function() net:load "x.pkl" end, "'x.pkl' is a name of PyTorch's" },
    { "no path", function() net:save() end, "save: 'path': expected a text; got nil" },
    { "a length of no list", function() return #net end, "Net has no length" },
    { "ipairs of no list", function() ipairs(net) end, "ipairs: a Net is no list; expected ipairs(net:children())" },
    { "another library's method", function() return net:cuda() end, "Net: has no 'cuda'; expected --device cuda" },
    { "a misspelt method", function() return net:paramters() end, "Net: has no 'paramters'; did you mean 'parameters'?" },
    { "no taps", function() net:forward_taps(g.ones(1, 2), {}) end, "forward_taps: 'paths': expected a list" },
    { "options in a table of their own", function() nn.MLP({ 4, 5, 2 }, { droput = .1 }) end,
      "MLP: expected at most 1 argument; got 2; options stand in the first table: MLP { …, droput = … }" },
    { "a misspelt activation, where there is none", function() nn.MLP { 4, 2, activation = "tnah" } end, "'activation': expected 'relu'" },
    { "more than a base's init takes", function() nn.class "Bare" (4) end, "Bare: expected at most 0 arguments; got 1" },
    { "a misspelt option", function() net:forward_taps(g.ones(1, 2), { "layer" }, { stp = true }) end, "forward_taps: no option 'stp'" },
  }
  for _, case in ipairs(cases) do
    it("is told: " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
  it("is none where the module is given by hand, or a table is plain", function()
    local Other = nn.class "Other"
    function Other.forward(self, x) return x, self end
    Other.init = function(self, ...) self.given = { ... } end
    Other.extra_repr = function(...) return select("#", ...) .. " given" end
    local other = Other(3, 4)
    expect({ other(5) == 5, other.given, tostring(other) }):equals { true, { 3, 4 }, "Other(1 given)" }
    net.plain = { 1, { a = { b = { c = { inner } } } } }  -- deeper than anybody looks
    expect(net.plain[1]):equals(1)
  end)
end)

describe("taps", function()
  it("of a module that is called twice are what it returned last", function()
    local net = nn.Sequential { nn.Linear(2, 2), nn.ReLU() }
    net:add_module("again", net[0])
    local out, taps = net:forward_taps(g.ones(1, 2), { "0", "1" })
    expect({ taps["0"]:equal(out), net[0](taps["1"]):equal(out) }):equals { true, true }
  end)
  it("within a call that taps have their own", function()
    local inner = nn.Sequential { nn.Linear(2, 2), nn.ReLU() }
    local Outer = nn.class "Outer"
    function Outer:init() self.inner = inner end
    function Outer:forward(x)
      local _, taps = self.inner:forward_taps(x, { "0" })
      self.seen = taps["0"].shape
      return self.inner(x)
    end
    local outer = Outer()
    local out, taps = outer:forward_taps(g.ones(3, 2), { "inner.1" })
    expect({ out.shape, taps["inner.1"].shape, outer.seen }):equals { { 3, 2 }, { 3, 2 }, { 3, 2 } }
    expect({ nn.is_tapped(inner), nn.is_tapped(inner[1]) }):equals { false, false }
  end)
  it("are ended by an error, which is the caller's", function()
    local net = nn.Sequential { nn.Linear(2, 2) }
    expect(function() net:forward_taps(g.ones(1, 3), { "0" }, { stop = true }) end):fails_with "expected 2 features"
    expect(nn.is_tapped(net[0])):is_false()
  end)
end)
