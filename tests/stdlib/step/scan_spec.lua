-- Several steps in one call: the bits of as many calls, whatever the step is, and wherever audits and other plans fall.
local g = require "gradus"
local step = require "gradus.step.step"
local nn, loss, optim = g.nn, g.loss, g.optim

local N = 21  -- past the audits at 2, 4, 8 and 16

local function batches(n, size)
  local generator = g.generator(11)
  local options = { generator = generator }
  return { x = g.randn({ n, size, 6 }, options), y = g.randint(0, 3, { n, size }, options), teacher = g.randn({ n, size, 3 }, options) }
end

local function slice(values, i)
  local one = {}
  for name, value in pairs(values) do one[name] = value[i] end
  return one
end

-- Outputs of every step and what is left in the modules and optimizers, with scans of `length` steps; 0: a call a step.
local function outcome(make, length)
  g.manual_seed(5)
  nn.init_generator = g.generator(7)
  local case = make()
  local b, s, seen = batches(N, 5), step.new(case.fn), {}
  local rates = {}
  for i = 1, N do rates[i] = .1 / i end
  local function note(i, out)
    for name, value in pairs(out) do seen[("step %d: %s"):format(i, name)] = g.is_tensor(value) and value:hash() or value end
  end
  local at = 0
  while at < N do
    local count = math.min(length, N - at)
    if length == 0 then
      note(at, s(slice(b, at), { lr = rates[at + 1], temperature = 3 }))
      count = 1
    else
      local rows, some = {}, {}
      for name, value in pairs(b) do rows[name] = value:narrow(0, at, count) end
      for i = 1, count do some[i] = rates[at + i] end
      local out, done = s:scan(rows, { lr = some, temperature = 3 })
      expect(done):equals(count)
      for i = 0, count - 1 do
        local one = {}
        for name, value in pairs(out) do one[name] = g.is_tensor(value) and value[i] or value end
        note(at + i, one)
      end
    end
    at = at + count
  end
  for i, one in ipairs(case.state) do
    for name, value in pairs(one:state_dict()) do seen[("state %d: %s"):format(i, name)] = value:hash() end
  end
  seen.random = g.rand(3):hash()
  return seen, s
end

local CASES = {
  ["an MLP with AdamW and clipping"] = function()
    local net = nn.MLP { 6, 8, 3 }
    local opt = optim.AdamW(net)
    return { state = { net, opt }, fn = function(b, k)
      local out = loss.kd_loss(net(b.x), b.teacher, b.y, { temperature = k.temperature, alpha = .5 })
      out.norm = opt:minimize(out.loss, { lr = k.lr, clip = 1 })
      out.kind = "kd"
      return out
    end }
  end,
  ["dropout, batch norm and momentum"] = function()
    local net = nn.Sequential { nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(.3), nn.ReLU(), nn.Linear(8, 3) }
    local opt = optim.SGD(net, { momentum = .9 })
    return { state = { net, opt }, fn = function(b, k)
      local logits = net(b.x)
      local value = loss.cross_entropy(logits, b.y)
      opt:minimize(value, { lr = k.lr })
      return { loss = value, transposed = logits:t(), part = logits:select(1, 0) }
    end }
  end,
  ["gradients that stay in the parameters"] = function()
    local net = nn.MLP { 6, 4, 3 }
    local opt = optim.SGD(net)
    return { state = { net, opt }, fn = function(b, k)
      opt:zero_grad()
      local value = loss.cross_entropy(net(b.x), b.y)
      value:backward()
      opt:step { lr = k.lr }
      return { loss = value, grad = net:parameters()[1].grad }
    end }
  end,
}

-- Notes in `asked` what the recording is called for from here on; no audit calls it.
local function note_calls(entry, asked)
  entry.audit_at, entry.real = 1000, entry.plan
  entry.plan = setmetatable({}, { __index = function(_, name)
    return function(_, ...)
      asked[#asked + 1] = name
      return entry.real[name](entry.real, ...)
    end
  end })
end

describe("scan gives the bits of as many calls:", function()
  for name, make in pairs(CASES) do
    it(name, function()
      local wanted = outcome(make, 0)
      for _, length in ipairs { 1, 2, 5, N } do
        local got, s = outcome(make, length)
        expect(got):equals(wanted)
        expect(#s.plans):equals(1)
      end
    end)
    it(name .. ", eager", function()
      local wanted = outcome(make, 0)
      g.step_mode "eager"
      local got = outcome(make, 5)
      g.step_mode "replay"
      expect(got):equals(wanted)
    end)
  end
end)

describe("scan", function()
  it("gradients that one step leaves and the next adds to", function()
    local function run(scanned)
      nn.init_generator = g.generator(7)
      local net = nn.MLP { 6, 4, 3 }
      local s = step.new(function(b)
        local value = loss.cross_entropy(net(b.x), b.y)
        value:backward()
        return { loss = value }
      end)
      local b = batches(9, 5)
      if scanned then s:scan(b) else for i = 0, 8 do s(slice(b, i)) end end
      return net:parameters()[1].grad:hash()
    end
    expect(run(true)):equals(run(false))
  end)

  it("ends before a step that fails, where it may, and takes its random numbers back", function()
    g.step_mode "eager"
    g.manual_seed(3)
    local calls = 0
    local s = step.new(function(b)
      calls = calls + 1
      local noise = g.rand(2)
      if calls == 3 then error "the third fails" end
      return { y = b.x * noise }
    end)
    local ok, out, done = pcall(s.scan, s, { x = g.ones(5, 2) }, nil, { later = true })
    g.step_mode "replay"
    assert(ok, out)
    local following = g.rand(2)
    g.manual_seed(3)
    local first, second = g.rand(2), g.rand(2)
    expect({ done, out.y.shape, out.y[0]:equal(first), out.y[1]:equal(second), following:equal(g.rand(2)) }):equals
      { 2, { 2, 2 }, true, true, true }
  end)

  it("stops for the audits on its way", function()
    local hidden = { scale = 1 }
    local s = step.new(function(b) return { y = b.x * hidden.scale } end)
    s:scan { x = g.ones(3, 2) }
    hidden.scale = 3
    expect(function() s:scan { x = g.ones(10, 2) } end):fails_with "output 'y' (by aten::mul at "
  end)

  it("makes one call of many", function()
    local net = nn.MLP { 6, 8, 3 }
    local opt, asked = optim.SGD(net), {}
    local s = step.new(function(b)
      local value = loss.cross_entropy(net(b.x), b.y)
      opt:minimize(value, { lr = .1 })
      return { loss = value }
    end)
    local b = batches(N, 5)
    s:scan(b)
    local entry = s.plans[1]
    note_calls(entry, asked)
    s:scan(b)
    expect(asked):equals { "stacked", "scan" }
    expect(entry.calls):equals(2 * N)
  end)

  it("takes outputs that are one tensor, knobs as tensors, and rows of other tensors' views", function()
    local s = step.new(function(b, k) return b.x * k.scale + b.shift end)
    local x = g.arange(12):to "float32":reshape(2, 6):t()  -- [6, 2], not contiguous
    for _ = 1, 2 do
      local out, done = s:scan({ x = x, shift = 1 }, { scale = g.tensor { 1, 2, 3, 4, 5, 6 } })
      expect(done):equals(6)
      expect(out:totable()):equals { { 1, 7 }, { 3, 15 }, { 7, 25 }, { 13, 37 }, { 21, 51 }, { 31, 67 } }
    end
  end)

  it("ends with the step that leaves NaN or infinity in an output that is to be finite", function()
    local counted = g.zeros(1)
    local s = step.new(function(b)
      counted:add_(1)
      return { loss = b.x:sum(), other = b.x * 2 }
    end)
    local x = g.ones(8, 2)
    s:scan { x = x }
    for at, bad in pairs { [0] = 0 / 0, [3] = math.huge, [7] = -math.huge } do
      counted:zero_()
      local spoilt = x:clone()
      spoilt[at][1] = bad
      local out, done = s:scan({ x = spoilt }, nil, { finite = { "loss" } })
      expect(done):equals(at + 1)
      expect(counted:item()):equals(at + 1)
      expect(out.loss:size(0)):equals(at + 1)
      expect(out.other.shape):equals { at + 1, 2 }
    end
    local _, done = s:scan { x = g.full({ 8, 2 }, math.huge) }
    expect(done):equals(8)
  end)

  it("finds a plan for each shape", function()
    local s = step.new(function(b) return { y = b.x + 1 } end)
    for _ = 1, 3 do
      s:scan { x = g.ones(4, 3) }
      s:scan { x = g.ones(4, 5) }
    end
    expect(#s.plans):equals(2)
  end)

  it("says what does not fit", function()
    local s = step.new(function(b, k) return { y = b.x * k.lr } end)
    local function refused(text, ...)
      local arguments = { ... }
      expect(function() s:scan(arguments[1], arguments[2], arguments[3]) end):fails_with(text)
    end
    refused("scan: 'batch': expected a table; got nil")
    refused("scan: expected tensors with a row for each step; got none", {})
    refused("scan: 'x': expected a tensor with a row for each step; got one number", { x = g.tensor(1) })
    refused("scan: 'lr' has 2 rows; expected 3, as 'x' has", { x = g.ones(3, 1) }, { lr = { 1, 2 } })
    refused("scan: knob 'lr', step 2: expected a number; got 'x'", { x = g.ones(3, 1) }, { lr = { 1, "x", 3 } })
    refused("scan: no option 'finit'; did you mean 'finite'?", { x = g.ones(3, 1) }, { lr = 1 }, { finit = {} })
    refused("scan: finite: expected an output of the step; got 'los'", { x = g.ones(3, 1) }, { lr = 1 }, { finite = { "los" } })
  end)
end)

describe("a scan whose first step fails", function()
  it("fails with that, later or not, and has none to leave to the next call", function()
    for _, options in ipairs { {}, { later = true } } do
      local s = step.new(function() error("the first fails", 0) end)
      expect(function() s:scan({ x = g.ones(3, 2) }, nil, options) end):fails_with "^the first fails$"
    end
  end)
end)

describe("a scan with a list for a knob", function()
  it("is one call as well, each step with its own number, and one row's too", function()
    local s = step.new(function(b, k) return { y = b.x * k.scale } end)
    for _ = 1, 4 do s({ x = g.ones(2) }, { scale = 1 }) end
    local entry, asked = s.plans[1], {}
    note_calls(entry, asked)
    local out = s:scan({ x = g.ones(3, 2) }, { scale = { 2, 3, 4 } })
    expect({ out.y:totable(), asked }):equals { { { 2, 2 }, { 3, 3 }, { 4, 4 } }, { "stacked", "scan" } }
    out = s:scan({ x = g.ones(1, 2) }, { scale = { 5 } })
    expect({ out.y:totable(), asked, entry.calls }):equals { { { 5, 5 } }, { "stacked", "scan", "stacked", "scan" }, 8 }
  end)
end)
