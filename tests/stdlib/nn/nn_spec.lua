local engine = require "gradus.engine"
local g = require "gradus"
local reference = require "reference"
local nn, tensor_of, values = g.nn, reference.tensor, reference.values

-- The same modules as in data/make_torch_reference.py.
local MAKERS = {
  Linear = function() return nn.Linear(6, 3) end,
  ["Linear without bias"] = function() return nn.Linear(6, 3, { bias = false }) end,
  Conv2d = function() return nn.Conv2d(2, 3, 3) end,
  ["Conv2d with options"] = function()
    return nn.Conv2d(2, 4, { 3, 2 }, { stride = 2, padding = 1, groups = 2, bias = false })
  end,
  BatchNorm1d = function() return nn.BatchNorm1d(6) end,
  ["BatchNorm1d evaluated"] = function() return nn.BatchNorm1d(6) end,
  BatchNorm2d = function() return nn.BatchNorm2d(2, { momentum = .3 }) end,
  LayerNorm = function() return nn.LayerNorm(6) end,
  ["LayerNorm of two dims"] = function() return nn.LayerNorm({ 3, 6 }, 1e-3) end,
  Embedding = function() return nn.Embedding(7, 3) end,
  ["Embedding with padding"] = function() return nn.Embedding(7, 3, { padding_idx = 2 }) end,
  ReLU = function() return nn.ReLU() end,
  GELU = function() return nn.GELU() end,
  ["GELU tanh"] = function() return nn.GELU { approximate = "tanh" } end,
  Tanh = function() return nn.Tanh() end,
  Sigmoid = function() return nn.Sigmoid() end,
  SiLU = function() return nn.SiLU() end,
  LeakyReLU = function() return nn.LeakyReLU(.2) end,
  Softmax = function() return nn.Softmax { dim = 1 } end,
  Flatten = function() return nn.Flatten() end,
  Identity = function() return nn.Identity() end,
  ["Dropout evaluated"] = function() return nn.Dropout(.5) end,
  MaxPool2d = function() return nn.MaxPool2d(3, { stride = 2, padding = 1 }) end,
  AvgPool2d = function() return nn.AvgPool2d(2) end,
  AdaptiveAvgPool2d = function() return nn.AdaptiveAvgPool2d { output_size = { 2, 3 } } end,
  Sequential = function() return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)) end,
}

before_each(function() nn.init_generator = engine.generator(0) end)

describe("modules equal PyTorch's:", function()
  for _, case in ipairs(reference.read "modules.json") do
    it(case.name, function()
      local module = MAKERS[case.name]():train(case.train)
      local state, count = module:state_dict(), 0
      for name, wanted in pairs(case.initial) do  -- one generator, one seed: the same numbers
        expect(values(state[name])):near(wanted.values, 0)
        expect(state[name].shape):equals(wanted.shape)
        count = count + 1
      end
      for _ in pairs(state) do count = count - 1 end
      expect(count):equals(0)

      local x = tensor_of(case.input, case.integer and "int64" or nil)
      if not case.integer then x:requires_grad_() end
      local out
      for _ = 1, case.steps do out = module(x) end
      expect(out.shape):equals(case.output.shape)
      expect(values(out)):near(case.output.values, 2e-6)
      local coefficients = g.arange(1, out:numel() + 1, { dtype = "float32" }):reshape(out.shape) / out:numel()
      if out.requires_grad then (out * coefficients):sum():backward() end
      if case.input_grad then expect(values(x.grad)):near(case.input_grad.values, 1e-5) end
      for name, p in module:named_parameters() do expect(values(p.grad)):near(case.grads[name].values, 1e-5) end
      for name, t in pairs(module:state_dict()) do expect(values(t)):near(case.after[name].values, 1e-6) end
    end)
  end
end)

local Net = nn.class("Net")
function Net:init(width)
  self.l1 = nn.Linear(4, width)
  self.scale = nn.Parameter(g.ones(width))
  self.width = width
  self:register_buffer("seen", g.zeros(1))
  self.head = nn.Sequential { nn.ReLU(), nn.Linear(width, 2) }
end
function Net:forward(x) return self.head(self.l1(x) * self.scale) end

local function names(iterator)
  local list = {}
  for name in iterator do list[#list + 1] = name end
  return list
end

describe("a class of one's own", function()
  it("registers parameters, buffers and modules in the order of assignment, a module's own before its children's", function()
    local net = Net(3)
    expect(names(net:named_parameters())):equals { "scale", "l1.weight", "l1.bias", "head.1.weight", "head.1.bias" }
    expect(names(net:named_buffers())):equals { "seen" }
    expect(names(net:named_modules())):equals { "", "l1", "head", "head.0", "head.1" }
    expect(#net:children()):equals(2)
    expect(net:num_parameters()):equals(4 * 3 + 3 + 3 + 3 * 2 + 2)
    expect(net.width):equals(3)
    expect(net(g.ones(5, 4)).shape):equals { 5, 2 }
  end)
  it("forgets what is set to nil, and takes what replaces it", function()
    local net = Net(3)
    net.head = nil
    expect(names(net:named_modules())):equals { "", "l1" }
    net.width = nn.Linear(1, 1)
    expect(names(net:named_modules())):equals { "", "l1", "width" }
  end)
  it("refuses what would be lost silently", function()
    local net = Net(3)
    expect(function() net.layers = { nn.ReLU(), nn.ReLU() } end):fails_with "expected nn.ModuleList"
    expect(function() net.l1 = 5 end):fails_with "'l1' is a module"
    expect(function() net:add_module("a.b", nn.ReLU()) end):fails_with "without dots"
  end)
  it("inherits", function()
    local Wide = nn.class("Wide", Net)
    function Wide:init() Net.init(self, 9) end
    expect(Wide()(g.ones(1, 4)).shape):equals { 1, 2 }
    expect(tostring(Wide())):matches "^Wide%("
    expect(function() nn.class("X", {}) end):fails_with "expected a class of modules"
  end)
  it("registers a parameter that is frozen, its own or another's", function()
    local teacher = nn.Embedding(3, 2):freeze()
    local Student = nn.class("Student")
    function Student:init()
      self.token = teacher.weight
      self.head = nn.Linear(2, 3)
      self.head.weight = teacher.weight
    end
    local student = Student()
    local copy = student:clone()
    copy.head.weight = copy.token
    for _, net in ipairs { student, copy } do
      expect(names(net:named_parameters())):equals { "token", "head.bias" }
      expect({ net.token.requires_grad, net.head.weight == net.token }):equals { false, true }
    end
    student:to "float64"
    expect({ teacher.weight.dtype, copy.token.dtype }):equals { "float64", "float32" }
    expect(function() student.head.weight = g.ones(3, 2) end):fails_with "'weight' is a parameter; expected another one or nil"
  end)
  it("made of a list may have parameters and buffers beside its items", function()
    local Scaled = nn.class("Scaled", nn.Sequential)
    function Scaled:init()
      self.scale = nn.Parameter(g.full({ 1 }, 3))
      nn.Sequential.init(self, nn.Linear(2, 2), nn.ReLU())
      self:register_buffer("shift", g.ones(1))
    end
    function Scaled:forward(x) return nn.Sequential.forward(self, x) * self.scale + self.shift end
    local net, x = Scaled(), g.ones(1, 2)
    expect({ #net, net:len(), tostring(net[0]):match "^%a+", tostring(net[-1]) }):equals { 2, 2, "Linear", "ReLU()" }
    expect(values(net(x))):equals(values(net[0](x):relu() * 3 + 1))
    expect(tostring(net:append(nn.Tanh())[2])):equals "Tanh()"
  end)
  it("says when forward is missing", function()
    expect(function() nn.class("Empty")()(1) end):fails_with "Empty: has no forward"
  end)
  it("counts a shared module once", function()
    local net = Net(3)
    net.again = net.l1
    expect(net:num_parameters()):equals(4 * 3 + 3 + 3 + 3 * 2 + 2)
  end)
end)

describe("modes", function()
  it("train and eval reach every module", function()
    local net = nn.Sequential { nn.Linear(2, 2), nn.Dropout(.5) }
    expect(net:eval().training):is_false()
    expect(net:get(1).training):is_false()
    expect(values(net(g.ones(3, 2)))):equals(values(net:get(0)(g.ones(3, 2))))
    expect(net:train():get(1).training):is_true()
  end)
  it("are true or false", function()
    local net = nn.Linear(2, 2)
    expect(function() net:train(0) end):fails_with "train: 'mode': expected true or false; got 0"
    expect(function() net:requires_grad_(0) end):fails_with "requires_grad_: 'wanted': expected true or false; got 0"
  end)
  it("dropout zeroes its share and scales the rest", function()
    local out = nn.Dropout(.25)(g.ones(10000))
    expect(out:mean():item()):near(1, .03)
    expect(g.eq(out, 0):float():mean():item()):near(.25, .03)
  end)
  it("freeze ends gradients", function()
    local net = Net(3):freeze()
    expect(net:num_parameters(true)):equals(0)
    expect(net(g.ones(1, 4)).requires_grad):is_false()
    expect(#net:parameters()):equals(5)
    expect(net:requires_grad_():num_parameters(true)):equals(net:num_parameters())
  end)
  it("to changes the dtype in place", function()
    local net = nn.Sequential { nn.Linear(2, 2), nn.BatchNorm1d(2) }
    local before = net:parameters()[1]
    net:to "float64"
    expect(before.dtype):equals "float64"
    expect(before.requires_grad):is_true()
    expect(net:state_dict()["1.running_mean"].dtype):equals "float64"
    expect(net:state_dict()["1.num_batches_tracked"].dtype):equals "int64"
    expect(net(g.ones(3, 2, { dtype = "float64" })).dtype):equals "float64"
  end)
  it("zero_grad drops gradients", function()
    local net = Net(2)
    net(g.ones(1, 4)):sum():backward()
    expect(net.scale.grad.shape):equals { 2 }
    net:zero_grad()
    expect(net.scale.grad):equals(nil)
  end)
end)

describe("state", function()
  it("goes round through a dictionary, into the same storage", function()
    local a, b = Net(3), Net(3)
    local parameter = b.scale
    a.scale:detach():fill_(7)
    b:load_state_dict(a:state_dict())
    expect(values(parameter)):equals { 7, 7, 7 }
    expect(values(a(g.ones(2, 4)))):equals(values(b(g.ones(2, 4))))
  end)
  it("goes round through a safetensors file", function()
    local path = os.tmpname()
    local a, b = Net(3), Net(3)
    a:save(path, { epoch = "4" })
    local _, metadata = b:load(path)
    os.remove(path)
    expect(metadata.epoch):equals "4"
    expect(values(a(g.ones(2, 4)))):equals(values(b(g.ones(2, 4))))
  end)
  it("names everything that does not fit, at once", function()
    local state = Net(4):state_dict()
    state.seen, state.scale, state.extra = nil, nil, g.ones(1)
    local function load() Net(3):load_state_dict(state) end
    expect(load):fails_with "missing: scale, seen"
    expect(load):fails_with "unexpected: extra"
    expect(load):fails_with "l1.bias is [4], expected [3]"
  end)
  it("is not a module's own, whose fields would be missed one by one", function()
    local function load(options) Net(3):load_state_dict(Net(3), options) end
    expect(load):fails_with "load_state_dict: expected a table of tensors, such as net:state_dict(); got a Net"
    expect(function() load { strict = false } end):fails_with "expected a table of tensors"
  end)
  it("loads nothing when something does not fit", function()
    local net = Net(3)
    local before = values(net.l1.weight)
    pcall(function() net:load_state_dict { ["l1.weight"] = g.zeros(3, 4) } end)
    expect(values(net.l1.weight)):equals(before)
    net:load_state_dict({ ["l1.weight"] = g.zeros(3, 4) }, { strict = false })
    expect(net.l1.weight:sum():item()):equals(0)
  end)
  it("of a module that stands at two paths has both, as PyTorch's has", function()
    local layer = nn.Linear(2, 2)
    local net = nn.Sequential { layer, nn.ReLU(), layer }
    local state = {}
    for name in pairs(net:state_dict()) do state[#state + 1] = name end
    table.sort(state)
    expect(state):equals { "0.bias", "0.weight", "2.bias", "2.weight" }
    expect(#net:parameters()):equals(2)
    expect(net:get_submodule "2" == layer):is_true()
    local _, taps = net:forward_taps(g.ones(1, 2), { "2" })
    expect(taps["2"].shape):equals { 1, 2 }
    net:load_state_dict { ["0.weight"] = g.ones(2, 2), ["0.bias"] = g.zeros(2), ["2.weight"] = g.ones(2, 2), ["2.bias"] = g.zeros(2) }
    expect(values(layer.weight)):equals { 1, 1, 1, 1 }
  end)
  it("clones deeply, keeping what is shared shared", function()
    local net = Net(3)
    net.again = net.l1
    local copy = net:clone()
    expect(values(copy(g.ones(2, 4)))):equals(values(net(g.ones(2, 4))))
    copy.again.weight:detach():zero_()
    expect(copy.l1.weight:sum():item()):equals(0)
    expect(net.l1.weight:abs():sum():item()):differs_from(0)
    expect(copy.scale.requires_grad):is_true()
  end)
end)

describe("taps", function()
  it("return what the named modules returned", function()
    local net, x = nn.MLP { 4, 3, 2 }, g.randn(5, 4)
    local out, taps = net:forward_taps(x, { "layers.0", "layers.1" })
    expect(values(out)):equals(values(net(x)))
    expect(values(taps["layers.0"]:relu())):equals(values(taps["layers.1"]))
    taps["layers.1"]:sum():backward()
    expect(net.layers:get(0).weight.grad.shape):equals { 3, 4 }
  end)
  it("name the nearest of a misspelt path", function()
    expect(function() nn.MLP { 4, 2 }:forward_taps(g.ones(1, 4), { "layer.0" }) end):fails_with "did you mean 'layers.0'"
  end)
  it("end with the call, also after an error", function()
    local net = nn.MLP { 4, 2 }
    expect(function() net:forward_taps(g.ones(1, 3), { "layers.0" }) end):fails_with "3 values a sample; expected 4"
    local _, taps = net:forward_taps(g.ones(1, 4), { "layers" })
    expect(taps["layers.0"]):equals(nil)
    local taken = taps.layers
    net(g.zeros(1, 4))
    expect(taps.layers):equals(taken)
  end)
  it("say when a module was not called", function()
    local net = Net(2)
    net.unused = nn.ReLU()
    expect(function() net:forward_taps(g.ones(1, 4), { "unused" }) end):fails_with "'unused' was not called"
  end)
end)

describe("networks in one line", function()
  it("MLP flattens, takes an activation and dropout", function()
    local net = nn.MLP { 8, 6, 5, 3, activation = "gelu", dropout = .1 }
    expect(net(g.ones(2, 2, 4)).shape):equals { 2, 3 }
    expect(tostring(net)):matches "%(1%): GELU%(approximate='none'%)\n.*%(2%): Dropout%(p=0.1%)"
    expect(net:num_parameters()):equals(8 * 6 + 6 + 6 * 5 + 5 + 5 * 3 + 3)
  end)
  it("MLP and ConvNet normalise as they are told", function()
    local function kinds(list)
      local found = {}
      for i, layer in ipairs(list) do found[i + 1] = nn.class_of(layer).__name end
      return table.concat(found, " ")
    end
    expect(kinds(nn.MLP { 4, 8, 2 }.layers)):equals "Linear ReLU Linear"
    expect(kinds(nn.MLP { 4, 8, 2, norm = "layer", dropout = .1 }.layers)):equals "Linear LayerNorm ReLU Dropout Linear"
    expect(kinds(nn.MLP { 4, 8, 2, norm = "batch" }.layers)):equals "Linear BatchNorm1d ReLU Linear"
    local function features(more)
      local o = { channels = { 3, 5 }, classes = 2, input = { 1, 6, 6 } }
      for name, value in pairs(more) do o[name] = value end
      return nn.ConvNet(o)
    end
    expect(kinds(features {}.features)):matches "^Conv2d BatchNorm2d ReLU MaxPool2d Conv2d BatchNorm2d ReLU Flatten$"
    expect(kinds(features { norm = "none" }.features)):equals(kinds(features { batch_norm = false }.features))
    local net = features { norm = "layer" }
    expect(kinds(net.features)):matches "^Conv2d LayerNorm ReLU MaxPool2d Conv2d LayerNorm ReLU Flatten$"
    expect({ net.features[1].normalized_shape, net.features[5].normalized_shape }):equals { { 3, 6, 6 }, { 5, 3, 3 } }
    local x = g.randn { 2, 36 }
    -- A row's result does not depend on the others, in training too.
    expect(g.allclose(net(x)[0], net(x:slice(0, 0, 1))[0], 1e-4, 1e-5)):is_true()  -- rows of other batches are summed in another order
    expect(function() features { norm = "layer", batch_norm = false } end):fails_with "ConvNet: expected norm or batch_norm; got both"
    expect(function() nn.MLP { 4, 2, norm = "layr" } end):fails_with "'norm'"
  end)
  it("layers are given tensors", function()
    local layers = { nn.Linear(2, 2), nn.Conv2d(1, 1, 3), nn.BatchNorm1d(2), nn.LayerNorm(2), nn.ReLU(), nn.Dropout(.1),
      nn.Embedding(3, 2), nn.MaxPool2d(2), nn.Flatten(), nn.MLP { 2, 2 }, nn.MultiheadAttention(4, 2), nn.Softmax(-1),
      nn.TransformerEncoderLayer(4, 2), nn.Sequential { nn.Linear(2, 2) }, nn.AdaptiveAvgPool2d(1) }
    for _, layer in ipairs(layers) do
      for _, wrong in ipairs { false, 3, "x", {} } do
        local ok, err = pcall(layer, wrong or nil)
        local text = type(err) == "table" and err.message or tostring(err)
        if not ok and text:find "attempt to" then error(nn.class_of(layer).__name .. ": " .. text) end
      end
    end
  end)
  it("a linear layer takes one input, whatever others take beside it", function()
    local layer, x = nn.Linear(2, 2), g.ones(1, 2)
    expect(function() layer(x, x) end):fails_with "Linear: expected one input; got Tensor [1, 2] float32 as another"
    expect(function() layer(x, { mask = x }) end):fails_with "Linear: expected one input; got a table as another"
  end)
  it("ConvNet takes images of one channel without it, and tells of channels that come last", function()
    local net = nn.ConvNet { channels = { 4 }, classes = 3, input = { 1, 6, 4 } }:eval()
    local x = g.randn(5, 6, 4)
    expect(net(x):equal(net(x:unsqueeze(1)))):is_true()
    expect(function() net(g.randn(5, 4, 6)) end):fails_with "input has shape [5, 4, 6]; expected [N, 1, 6, 4] or [N, 24]"
    expect(function() net(g.randn(5, 6, 4, 1)) end):fails_with "[N, 24]: x:permute(0, 3, 1, 2), or images = true of data.npy"
    local colours = nn.ConvNet { channels = { 4 }, classes = 3, input = { 3, 6, 4 } }
    expect(function() colours(g.randn(3, 6, 4)) end):fails_with "input has shape [3, 6, 4]; expected [N, 3, 6, 4]"
  end)
  it("ConvNet takes images and flat rows", function()
    local net = nn.ConvNet { channels = { 4, 8 }, classes = 10, input = { 1, 8, 8 } }
    expect(net(g.ones(2, 1, 8, 8)).shape):equals { 2, 10 }
    expect(net(g.ones(2, 64)).shape):equals { 2, 10 }
    expect(net.classifier.in_features):equals(8 * 2 * 2)
  end)
  it("tell both shapes when an input does not fit", function()
    expect(function() nn.MLP { 64, 10 }(g.ones(3, 5)) end):fails_with "MLP{64, 10}: input has shape [3, 5], 5 values a sample; expected 64"
    expect(function() nn.Linear(4, 2)(g.ones(3, 5)) end):fails_with "input has shape [3, 5]; expected 4 features"
    expect(function() nn.Conv2d(3, 2, 3)(g.ones(3, 1, 8, 8)) end):fails_with "input has shape [3, 1, 8, 8]; expected [N, 3, height, width]"
    expect(function() nn.Conv2d(1, 2, 3)(g.ones(5, 8, 8)) end)
      :fails_with "input has shape [5, 8, 8]; expected [N, 1, height, width], as images = true of data.npy, or x:unsqueeze(1), makes it"
    local net = nn.ConvNet { channels = { 2 }, classes = 2, input = { 1, 8, 8 } }
    expect(function() net(g.ones(1, 9)) end):fails_with "input has shape [1, 9]; expected [N, 1, 8, 8] or [N, 64]"
    expect(function() nn.BatchNorm1d(3)(g.ones(1, 3)) end):fails_with "has no variance"
    expect(function() nn.BatchNorm2d(3)(g.ones(4, 3)) end):fails_with "expected [N, 3, height, width]"
  end)
  it("check their options", function()
    expect(function() nn.MLP { 4, 2, activaton = "relu" } end):fails_with "did you mean 'activation'?"
    expect(function() nn.MLP { 4, 2, 3, activation = "rulu" } end):fails_with "expected 'relu', "
    expect(function() nn.MLP { 4 } end):fails_with "at least two"
    expect(function() nn.MLP { 4, 2.5 } end):fails_with "expected a whole number of at least 1; got 2.5"
    expect(function() nn.Linear(4) end):fails_with "argument 2 'out_features' is missing"
    expect(function() nn.Linear(4, 2, { bais = false }) end):fails_with "did you mean 'bias'?"
    expect(function() nn.Linear(4, 2, true, 1) end):fails_with "at most 3 arguments; got 4"
    expect(function() nn.Dropout(1.5) end):fails_with "expected a number from 0 to 1; got 1.5"
    expect(function() nn.Conv2d(4, 2, 3, { groups = 3 }) end):fails_with "does not divide"
    expect(function() nn.Embedding(4, 2, 4) end):fails_with "expected less than 4"
    expect(function() nn.ConvNet { channels = { 2 }, classes = 2 } end):fails_with "'input' is missing"
    expect(function() return nn.Liner end):fails_with "did you mean 'Linear'?"
  end)
  it("print like PyTorch", function()
    expect(tostring(nn.Sequential { nn.Linear(4, 2), nn.ReLU() })):equals(
      "Sequential(\n  (0): Linear(in_features=4, out_features=2, bias=true)\n  (1): ReLU()\n)")
  end)
end)

describe("sizes of two dimensions", function()
  local image = g.ones(1, 1, 8, 10)
  local function shape(module) return module(image).shape end
  it("are one number for both, or two", function()
    expect(shape(nn.Conv2d(1, 1, 3))):equals { 1, 1, 6, 8 }
    expect(shape(nn.Conv2d(1, 1, { 3, 5 }))):equals { 1, 1, 6, 6 }
    expect(shape(nn.Conv2d(1, 1, 3, { 1, 2 }))):equals { 1, 1, 6, 4 }
    expect(shape(nn.Conv2d(1, 1, 3, 1, { 0, 2 }))):equals { 1, 1, 6, 12 }
    expect(shape(nn.Conv2d(1, 1, 3, 1, 0, { 1, 2 }))):equals { 1, 1, 6, 6 }
    for _, pool in ipairs { nn.MaxPool2d, nn.AvgPool2d } do
      expect(shape(pool(2))):equals { 1, 1, 4, 5 }
      expect(shape(pool { 2, 5 })):equals { 1, 1, 4, 2 }
      expect(shape(pool(2, { 1, 2 }))):equals { 1, 1, 7, 5 }
      expect(shape(pool(2, 2, { 0, 1 }))):equals { 1, 1, 4, 6 }
    end
    expect(shape(nn.AdaptiveAvgPool2d { 2, 5 })):equals { 1, 1, 2, 5 }
  end)
  it("are not one in a list, or three, or below what makes sense", function()
    for _, wrong in ipairs { { 1 }, { 1, 1, 1 }, { 1, 1, 1, 1 }, {}, { 1, 1.5 }, { 1, -1 }, -1, 1.5, "1" } do
      for name, make in pairs { kernel_size = function() return nn.Conv2d(1, 1, wrong) end,
        stride = function() return nn.Conv2d(1, 1, 3, wrong) end,
        padding = function() return nn.Conv2d(1, 1, 3, 1, wrong) end, dilation = function() return nn.Conv2d(1, 1, 3, 1, 0, wrong) end,
        output_size = function() return nn.AdaptiveAvgPool2d(wrong) end } do
        expect(make):fails_with(("'%s': expected"):format(name))
      end
    end
    expect(function() nn.Conv2d(1, 1, 0) end):fails_with "'kernel_size': expected"
    expect(function() nn.Conv2d(1, 1, 3, { 1, 0 }) end):fails_with "'stride': expected"
  end)
end)
