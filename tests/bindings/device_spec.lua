-- An accelerator, simulated (tests/simulated): its manners, and that every operator of ours keeps to them.
local engine = require "gradus.engine"
local g = require "gradus"
local nn = g.nn

local D = "simulated:0"
local PATH = os.getenv "GRADUS_DEVICE_LIBRARY"
if not PATH then error "device_spec: GRADUS_DEVICE_LIBRARY names no library; expected build/libgradus_simulated.so" end
engine.device(D)

local function drawn(seed, ...) return g.randn({ ... }, { generator = g.generator(seed) }) end

describe("the device", function()
  it("takes a tensor and gives it back bit for bit, whatever its type and strides", function()
    for _, dtype in ipairs { "float32", "float64", "bfloat16", "int64", "int32", "uint8", "bool" } do
      local t = (drawn(1, 5, 7) * 50):abs():to(dtype)
      local there = t:to(D)
      expect(there.device):equals(D)
      expect(there:cpu():equal(t)):is_true()
      expect(there:t():cpu():equal(t:t())):is_true()
      expect(there:slice(0, 1, 3):cpu():hash()):equals(t:slice(0, 1, 3):hash())
    end
    expect(g.zeros({ 0, 3 }):to(D):cpu().shape):equals { 0, 3 }
  end)
  it("computes the CPU's bits, forward and backward", function()
    local function work(device)
      local x = drawn(1, 16, 12):to(device)
      local w = drawn(2, 8, 12):to(device):requires_grad_(true)
      local y = x:matmul(w:t()):gelu():softmax(-1):log():sum { dim = { 1 } }:square():mean()
      y:backward()
      local order = x:sort(1)
      return { y:hash(), w.grad:hash(), order:hash(), x:std({ dim = { 0 } }):hash(), x:argmax(1):bincount():hash() }
    end
    expect(work(D)):equals(work "cpu")
  end)
  it("has convolutions, batch norm and pooling", function()
    local function work(device)
      nn.init_generator = g.generator(3)
      local net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()):to(device)
      local loss = net(drawn(4, 6, 1, 10, 10):to(device)):square():mean()
      loss:backward()
      local found = { loss:hash() }
      for _, p in net:named_parameters() do found[#found + 1] = p.grad:hash() end
      for _, b in net:named_buffers() do found[#found + 1] = b:hash() end
      return found
    end
    expect(work(D)):equals(work "cpu")
  end)
  it("refuses a tensor that was left on the CPU in one line that names both devices", function()
    local here, there = g.ones { 3, 3 }, g.ones({ 3, 3 }):to(D)
    for _, mixed in ipairs { function() return there + here end, function() return here:matmul(there) end,
      function() return g.cat({ there, here }, 0) end, function() return nn.Linear(3, 2)(there) end } do
      local ok, err = pcall(mixed)
      local text = type(err) == "table" and err.message or tostring(err)
      expect(ok):equals(false)
      expect(text):matches "cpu"
      expect(text):matches(D)
      expect(text:find "\n" == nil):is_true()
    end
    expect((there * engine.tensor(2)):sum():item()):equals(18)  -- a lone number may come from the host
  end)
  it("has memory that the host cannot touch", function()
    expect(function() g.ones({ 3 }):to(D):data() end):fails_with "the tensor is on simulated:0; expected one on the cpu"
  end)
  it("keeps the messages of devices that are not there", function()
    expect(function() engine.device "floaty" end):fails_with "device 'floaty' is unknown; expected cpu, cuda, cuda:N, mps or xpu"
    expect(function() engine.device "xpu" end):fails_with "device 'xpu' is not available here"
    expect(function() engine.device "simulated:1" end):fails_with "device 'simulated:1' is not available here"
  end)
end)

describe("a copy that does not block", function()
  it("to the host holds NaN until the host waits", function()
    local there = g.ones({ 4 }):to(D)
    local host = there:to { device = "cpu", non_blocking = true }
    expect(host:isnan():all():item()):equals(true)
    there:sum():item()  -- reading anything waits for all
    expect(host:totable()):equals { 1, 1, 1, 1 }
  end)
  it("to the host is what the tensor was when it was asked for", function()
    local there = g.ones({ 4 }):to(D)
    local transfer = engine.transfer(there)
    there:fill_(5)
    expect(transfer:wait():totable()):equals { 1, 1, 1, 1 }
    expect(transfer:wait():totable()):equals { 1, 1, 1, 1 }
  end)
  it("to the device takes what pinned memory holds when the device comes to it", function()
    local source = engine.tensor({ 1, 2, 3 }, { pin_memory = true })
    local there = source:to { device = D, non_blocking = true }
    source:fill_(7)  -- too early: the mistake that it is there to show
    expect(there:cpu():totable()):equals { 7, 7, 7 }
    local plain = engine.tensor { 1, 2, 3 }
    there = plain:to { device = D, non_blocking = true }
    plain:fill_(7)
    expect(there:cpu():totable()):equals { 1, 2, 3 }
  end)
  it("is a tensor itself where it stays on the CPU", function()
    local t = g.ones { 2 }
    expect(engine.transfer(t):wait():equal(t)):is_true()
  end)
end)

describe("random numbers of the device", function()
  it("follow manual_seed, and are the CPU's of that seed", function()
    local function drop(device)
      engine.manual_seed(11)
      return g.dropout(g.ones({ 64 }):to(device), .5, true):hash()
    end
    expect(drop(D)):equals(drop "cpu")
    expect(drop(D)):equals(drop(D))
  end)
  it("have a state of their own, that can be kept", function()
    local own, host = engine.default_generator(D), engine.default_generator()
    local function draw() return g.rand({ 8 }, { device = D }):hash() end
    local before, of_host = own:get_state(), host:get_state()
    local first = draw()
    expect(host:get_state():equal(of_host)):is_true()
    expect(draw()):differs_from(first)
    own:set_state(before)
    expect(draw()):equals(first)
  end)
end)

-- --- operators of ours -------------------------------------------------------------------------------------------------

-- What a loss and its gradients come to on a device, as numbers.
local function with_gradients(device, inputs, fn)
  local there, found = {}, {}
  for name, t in pairs(inputs) do
    there[name] = t:to(device):detach()
    if t.dtype == "float32" and not name:find "^fixed" then there[name]:requires_grad_(true) end
  end
  for name, value in pairs(fn(there)) do
    found[name] = value:detach():cpu()
    if name == "loss" then value:backward() end
  end
  for name, t in pairs(there) do
    if t.grad then found["grad/" .. name] = t.grad:cpu() end
  end
  return found
end

local function compare(inputs, fn)
  local here, there, count = with_gradients("cpu", inputs, fn), with_gradients(D, inputs, fn), 0
  for name, value in pairs(here) do
    if not there[name]:allclose(value, 1e-5, 1e-6) then
      error(("%s differs: %s and %s"):format(name, tostring(value), tostring(there[name])))
    end
    count = count + 1
  end
  return count
end

local LABELS = engine.tensor({ 0, 2, 1, 4, -100, 3 }, "int64")

-- name of an operator of ours -> examples on the device against the CPU's kernel
local CASES = {
  kd_loss = function()
    local inputs = { student = drawn(1, 6, 5), fixed_teacher = drawn(2, 6, 5), target = LABELS, fixed_t = drawn(3, 6):abs() + 1,
      fixed_weight = drawn(4, 6):abs() }
    for _, options in ipairs { {}, { temperature = 2, alpha = .3 }, { reverse = true }, { t2 = false }, { label_smoothing = .1 },
      { teacher_temperature = 3 }, { per_row = true } } do
      local count = compare(inputs, function(t)
        local given = {}
        for key, value in pairs(options) do if key ~= "per_row" then given[key] = value end end
        if options.per_row then given.temperature, given.weight = t.fixed_t, t.fixed_weight end
        return g.kd_loss(t.student, t.fixed_teacher, t.target, given)
      end)
      expect(count):equals(7)  -- six outputs, one gradient
    end
    compare(inputs, function(t) return g.kd_loss(t.student, nil, t.target) end)
    compare(inputs, function(t) return g.kd_loss(t.student, t.fixed_teacher, nil) end)
    compare(inputs, function(t) return { loss = g.loss.jsd(t.student, t.fixed_teacher, { temperature = 2 }) } end)
  end,
  linear_kd_loss = function()
    local inputs = { hidden = drawn(1, 6, 4), weight = drawn(2, 5, 4), bias = drawn(3, 5), fixed_teacher = drawn(4, 6, 3),
      fixed_weight = drawn(5, 5, 3), target = LABELS }
    local count = compare(inputs, function(t)
      return g.loss.linear_kd(t.hidden, { weight = t.weight, bias = t.bias }, t.fixed_teacher, { weight = t.fixed_weight }, t.target)
    end)
    expect(count):equals(9)
  end,
  clip_grad_norm_ = function()
    for _, limit in ipairs { .5, 100, math.huge } do
      local grads = { here = { drawn(1, 4, 3), drawn(2, 5) }, there = {} }
      for i, t in ipairs(grads.here) do grads.there[i] = t:to(D) end
      local norm = engine.ops.clip_grad_norm_(grads.here, engine.tensor(limit))
      local other = engine.ops.clip_grad_norm_(grads.there, engine.tensor(limit, { device = D }))
      expect(other.device):equals(D)
      expect(other:item()):near(norm:item(), 1e-5)
      for i, t in ipairs(grads.here) do expect(grads.there[i]:cpu():allclose(t, 1e-5, 1e-6)):is_true() end
    end
  end,
  count_ = function()
    local counters = { engine.tensor(3, { device = D }), engine.tensor(8, { device = D }) }
    engine.ops.count_(counters)
    expect(counters[1]:item() + counters[2]:item()):equals(13)
  end,
}

CASES.linear = function()
  local inputs = { x = drawn(1, 6, 4), weight = drawn(2, 5, 4), bias = drawn(3, 5) }
  for _, relu in ipairs { false, true } do
    local count = compare(inputs, function(t)
      local y = engine.ops.linear(t.x, t.weight, t.bias, { relu = relu })
      return { loss = y:square():mean(), y = y }
    end)
    expect(count):equals(5)
  end
end

CASES.grad_norm = function()
  local grads, there = { drawn(1, 4, 3), drawn(2, 5) }, {}
  for i, t in ipairs(grads) do there[i] = t:to(D) end
  local norm = engine.ops.grad_norm(there)
  expect(norm.device):equals(D)
  expect(norm:item()):near(engine.ops.grad_norm(grads):item(), 1e-5)
end

CASES.tally = function()
  local logits, answers = drawn(1, 6, 5), engine.tensor({ 0, 1, 2, 3, 4, 0 }, { dtype = "int64" })
  for _, said in ipairs { false, answers } do
    local here = { engine.ops.tally(logits, LABELS, said or nil, 2) }
    local there = { engine.ops.tally(logits:to(D), LABELS:to(D), said and said:to(D) or nil, 2) }
    for i, one in ipairs(there) do
      expect(one.device):equals(D)
      expect(one:cpu():totable()):equals(here[i]:totable())
    end
  end
end

-- An update on a device against the CPU's, with clipping, and with a gradient that it must leave alone.
local function update(apply)
  for _, norm in ipairs { 4, 0 / 0 } do
    local function parameters(device)
      local p = { drawn(1, 4, 3):to(device) }
      local lr = engine.tensor(2 ^ -7, { dtype = device == "cpu" and "float64" or "float32", device = device })
      apply(p, { drawn(2, 4, 3):to(device) }, lr, { norm = engine.tensor(norm, { device = device }),
        max_norm = engine.tensor(1, { dtype = "float64", device = device }), guard = true, weight_decay = .01 }, device)
      return p[1]:cpu()
    end
    local there, here = parameters(D), parameters "cpu"
    expect(there:allclose(here, 1e-5, 1e-6)):is_true()
    expect(here:equal(drawn(1, 4, 3))):equals(norm ~= norm)
  end
end

CASES.feature_mse = function()
  local student, teacher, projection = drawn(1, 6, 5), drawn(2, 6, 3), drawn(3, 3, 5)
  for _, given in ipairs { { drawn(4, 6, 5) }, { teacher, projection } } do
    local here, there = student:clone():requires_grad_(), student:to(D):requires_grad_()
    local on = {}
    for i, t in ipairs(given) do on[i] = t:to(D) end
    local a, b = engine.ops.feature_mse(here, unpack(given)), engine.ops.feature_mse(there, unpack(on))
    a:backward()
    b:backward()
    expect(b:to("cpu"):allclose(a, 1e-5, 1e-6)):is_true()
    expect(there.grad:to("cpu"):allclose(here.grad, 1e-5, 1e-6)):is_true()
  end
end

CASES.max_pool2d = function()
  local here, there = drawn(1, 2, 3, 6, 4):requires_grad_(), drawn(1, 2, 3, 6, 4):to(D):requires_grad_()
  local a, b = engine.ops.max_pool2d(here, { 2, 2 }), engine.ops.max_pool2d(there, { 2, 2 })
  expect(b:to("cpu"):equal(a)):is_true()
  a:square():sum():backward()
  b:square():sum():backward()
  expect(there.grad:to("cpu"):equal(here.grad)):is_true()
end

CASES.embedding = function()
  local table_, indices = drawn(1, 6, 5), g.tensor({ 3, 0, 3 }, "int64")
  local here, there = table_:clone():requires_grad_(), table_:to(D):requires_grad_()
  local a, b = engine.ops.embedding(here, indices), engine.ops.embedding(there, indices:to(D))
  expect(b:to("cpu"):equal(a)):is_true()
  a:square():sum():backward()
  b:square():sum():backward()
  expect(there.grad:to("cpu"):equal(here.grad)):is_true()
end

CASES.put_back_ = function()
  for _, norm in ipairs { 1, 0 / 0, 1 / 0 } do
    local function left(device)
      local now, count = drawn(1, 4):to(device), g.tensor({ 3 }, "int64"):to(device)
      local before = { drawn(2, 4):to(device), g.tensor({ 2 }, "int64"):to(device) }
      engine.ops.put_back_({ now, count }, before, engine.tensor(norm, { device = device }))
      return { now:to("cpu"):hash(), count:to("cpu"):hash() }
    end
    expect(left(D)):equals(left "cpu")
  end
end

CASES.sgd_ = function()
  update(function(p, grads, lr, given, device)
    given.momentum = .875
    engine.ops.sgd_(p, grads, { g.zeros({ 4, 3 }, { device = device }) }, lr, given)
  end)
end

CASES.adam_ = function()
  for _, decoupled in ipairs { false, true } do
    update(function(p, grads, lr, given, device)
      local function moment() return { g.zeros({ 4, 3 }, { device = device }) } end
      given.decoupled = decoupled
      engine.ops.adam_(p, grads, moment(), moment(), { engine.tensor(0, { device = device }) }, lr, given)
    end)
  end
end

describe("an operator of ours", function()
  local count = 0
  for line in io.lines "bindings/engine/ops.def" do
    local name = line:match 'OP%(([%w_]+), "gradus::'
    if name then
      count = count + 1
      it(name .. " gives on the device what it gives on the CPU", function()
        if not CASES[name] then error(("no example of gradus::%s on a device; expected one in CASES"):format(name)) end
        CASES[name]()
      end)
    end
  end
  it("is in the table", function() expect(count > 2):is_true() end)
  it("refuses a tensor that was left on the CPU", function()
    local student = drawn(1, 6, 5):to(D)
    expect(function() g.kd_loss(student, drawn(2, 6, 5), nil) end):fails_with "teacher is on cpu; expected student's simulated:0"
    expect(function() g.kd_loss(student, nil, LABELS) end):fails_with "target is on cpu; expected student's simulated:0"
  end)
end)

-- --- modules and optimizers -----------------------------------------------------------------------------------------------

describe("a module", function()
  it("moves and stays the same tensors", function()
    local net = nn.MLP { 4, 3, 2 }
    local first = net:parameters()[1]
    local hash = first:hash()
    expect(net:device()):equals "cpu"
    expect(net:to(D):device()):equals(D)
    expect(net:parameters()[1] == first and first.device == D):is_true()
    expect(net:to("cpu"):parameters()[1]:hash()):equals(hash)
  end)
  it("is saved from the device and loaded there", function()
    local path = os.tmpname()
    local net, other = nn.MLP({ 4, 3, 2 }):to(D), nn.MLP({ 4, 3, 2 }):to(D)
    net:save(path)
    other:load(path)
    for name, t in pairs(net:state_dict()) do
      expect(other:state_dict()[name]:hash()):equals(t:hash())
      expect(other:state_dict()[name].device):equals(D)
    end
    os.remove(path)
  end)
  it("computes attention's masks where it is", function()
    local function work(device)
      nn.init_generator = g.generator(5)
      local net = nn.MultiheadAttention(8, 2):to(device)
      local x = drawn(6, 2, 4, 8):to(device)
      local padding = engine.tensor({ { 0, 0, 0, 1 }, { 0, 0, 1, 1 } }, "bool"):to(device)
      local a = net(x, x, x, { key_padding_mask = padding, is_causal = true })
      local b, weights = net(x, x, x, { is_causal = true, need_weights = true })
      return { a:cpu(), b:cpu(), weights:cpu() }
    end
    local here = work "cpu"
    for i, t in ipairs(work(D)) do expect(t:allclose(here[i], 1e-5, 1e-6)):is_true() end
  end)
end)

describe("an optimizer", function()
  -- Rates that float32 holds: on a device the kernels take no other.
  local function train(make, device, steps, move)
    nn.init_generator = g.generator(8)
    local net = nn.MLP { 6, 5, 3 }
    if not move then net:to(device) end
    local opt = make(net)
    if move then opt:to(device) end
    local x, y = drawn(9, 12, 6):to(device), (g.arange(12) % 3):to(device)
    for _ = 1, steps do opt:minimize(g.loss.cross_entropy(net(x), y), { lr = 2 ^ -7 }) end
    local found = {}
    for _, p in ipairs(net:parameters()) do found[#found + 1] = p:cpu() end
    return found, opt
  end
  local KINDS = {
    AdamW = g.optim.AdamW, Adam = g.optim.Adam, SGD = g.optim.SGD,
    momentum = function(net) return g.optim.SGD(net, { momentum = .875, nesterov = true }) end,
    dampened = function(net) return g.optim.SGD(net, { momentum = .875, dampening = .5 }) end,
  }
  for name, make in pairs(KINDS) do
    for _, move in ipairs { false, true } do
      it(("%s trains as on the CPU%s"):format(name, move and ", moved there with its parameters" or ""), function()
        local here, there = train(make, "cpu", 5), train(make, D, 5, move)
        for i, p in ipairs(here) do expect(there[i]:allclose(p, 1e-5, 1e-6)):is_true() end
      end)
    end
  end
  it("keeps its moments when it moves", function()
    local _, opt = train(KINDS.AdamW, "cpu", 3)
    local before = opt:state_dict()
    local hash = before["0.1.exp_avg"]:hash()
    opt:to(D)
    expect(opt:state_dict()["0.1.exp_avg"].device):equals(D)
    expect(opt:state_dict()["0.1.exp_avg"]:hash()):equals(hash)
    expect(opt:state_dict()["0.0.step"]:item()):equals(3)
  end)
end)

describe("autocast", function()
  it("holds on the device too", function()
    local w, x = drawn(1, 4, 4):to(D), drawn(2, 3, 4):to(D)
    local there = g.autocast("bfloat16", function() return x:matmul(w) end)
    local here = g.autocast("bfloat16", function() return x:cpu():matmul(w:cpu()) end)
    expect(there.dtype):equals "bfloat16"
    expect(there:hash()):equals(here:hash())
  end)
end)
