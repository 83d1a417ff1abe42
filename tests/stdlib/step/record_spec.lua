-- A step is recorded and replayed: every module, loss and optimizer of the library, and what breaks recorders, must give
-- the bits of the step itself. Each case is run twice from the same seeds, as it is and replayed.
local g = require "gradus"
local step = require "gradus.step.step"
local nn, loss, optim = g.nn, g.loss, g.optim

local STEPS = 7

-- What a case leaves behind, by name: the outputs of each step, its modules and optimizers, the generator.
local function outcome(mode, make)
  g.step_mode(mode)
  g.manual_seed(5)
  nn.init_generator = g.generator(7)
  local case, seen, why = make(), {}, nil
  local s = step.new(case.fn, function(_, text) why = text end, nil, nil, true)  -- all cases are given the same knobs
  for i = 1, case.steps or STEPS do
    if case.before then case.before(i) end
    local out = s(case.batch(i), case.knobs and case.knobs(i) or {})
    for name, value in pairs(out) do
      seen[("step %d: %s"):format(i, name)] = g.is_tensor(value) and value:hash() or value
    end
  end
  for i, one in ipairs(case.state) do
    for name, value in pairs(one:state_dict()) do seen[("state %d: %s"):format(i, name)] = value:hash() end
  end
  seen.random = g.rand(3):hash()
  g.step_mode "replay"
  return seen, s, why
end

local function check_same(make, plans)
  local wanted = outcome("eager", make)
  local got, s, why = outcome("replay", make)
  expect(why):equals(nil)
  expect(got):equals(wanted)
  expect(#s.plans):equals(plans or 1)
  return s
end

local function batches(x_shape, classes)
  local kept = {}
  return function(i)
    if not kept[i] then
      local generator = g.generator(100 + i)
      local y = g.randint(0, classes or 3, { x_shape[1] }, { generator = generator })
      kept[i] = { x = g.randn(x_shape, { generator = generator }), y = y,
        teacher = g.randn({ x_shape[1], classes or 3 }, { generator = generator }) }
    end
    return kept[i]
  end
end

-- A classifier around `body`, trained with AdamW on cross-entropy.
local function module_case(x_shape, build)
  return function()
    local body = build()
    local probe = g.no_grad(function() return body(batches(x_shape)(1).x):flatten(1) end)
    local net = nn.Sequential { body, nn.Flatten(), nn.Linear(probe:size(1), 3) }
    local opt = optim.AdamW(net)
    return { state = { net, opt }, batch = batches(x_shape), knobs = function(i) return { lr = .01 / i } end,
      fn = function(b, k)
        local logits = net(b.x)
        local value = loss.cross_entropy(logits, b.y)
        return { loss = value, norm = opt:minimize(value, { lr = k.lr, clip = 1 }), logits = logits }
      end }
  end
end

local function loss_case(value_of, knobs)
  return function()
    local net = nn.MLP { 6, 8, 3 }
    local opt = optim.SGD(net, { lr = .1 })
    return { state = { net, opt }, batch = batches { 5, 6 }, knobs = knobs, fn = function(b, k)
      local out = value_of(net(b.x), b, k)
      if g.is_tensor(out) then out = { loss = out } end
      opt:minimize(out.loss)
      return out
    end }
  end
end

local function optimizer_case(build, options)
  return function()
    local net = nn.MLP { 6, 8, 3 }
    local opt = build(net)
    return { state = { net, opt }, batch = batches { 5, 6 }, knobs = function(i) return { lr = .02 * i } end,
      fn = function(b, k)
        local value = loss.cross_entropy(net(b.x), b.y)
        opt:minimize(value, options and options(k) or nil)
        return { loss = value }
      end }
  end
end

describe("a replayed step gives the same bits:", function()
  local modules = {
    Linear = { { 5, 6 }, function() return nn.Linear(6, 4) end },
    ["Linear without bias"] = { { 5, 6 }, function() return nn.Linear(6, 4, false) end },
    ["Linear on 3 dims"] = { { 5, 2, 6 }, function() return nn.Linear(6, 4) end },
    Conv2d = { { 4, 2, 6, 6 }, function() return nn.Conv2d(2, 3, 3) end },
    ["Conv2d with options"] = { { 4, 2, 6, 6 }, function()
      return nn.Conv2d(2, 4, 3, { stride = 2, padding = 1, groups = 2, bias = false })
    end },
    LayerNorm = { { 5, 6 }, function() return nn.Sequential { nn.Linear(6, 6), nn.LayerNorm(6) } end },
    BatchNorm1d = { { 5, 6 }, function() return nn.Sequential { nn.Linear(6, 6), nn.BatchNorm1d(6) } end },
    BatchNorm2d = { { 4, 2, 6, 6 }, function() return nn.Sequential { nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3) } end },
    ["BatchNorm1d without statistics"] = { { 5, 6 }, function() return nn.BatchNorm1d(6, { track_running_stats = false }) end },
    GELU = { { 5, 6 }, function() return nn.Sequential { nn.Linear(6, 6), nn.GELU(), nn.Linear(6, 4), nn.GELU("tanh") } end },
    Dropout = { { 5, 6 }, function() return nn.Sequential { nn.Linear(6, 6), nn.Dropout(.5) } end },
    MaxPool2d = { { 4, 2, 6, 6 }, function() return nn.Sequential { nn.Conv2d(2, 3, 3), nn.MaxPool2d(2) } end },
    AvgPool2d = { { 4, 2, 6, 6 }, function() return nn.Sequential { nn.Conv2d(2, 3, 3), nn.AvgPool2d(2) } end },
    AdaptiveAvgPool2d = { { 4, 2, 6, 6 }, function() return nn.Sequential { nn.Conv2d(2, 3, 3), nn.AdaptiveAvgPool2d(2) } end },
    Transformer = { { 3, 4, 6 }, function()
      return nn.Transformer { inputs = 6, context = 4, width = 8, layers = 2, heads = 2, outputs = 5, pool = "mean" }
    end },
    ["Transformer, causal, norm last, with dropout"] = { { 3, 4, 6 }, function()
      return nn.Transformer { inputs = 6, context = 4, width = 8, layers = 2, heads = 2, outputs = 5, causal = true,
        norm_first = false, dropout = .2 }
    end },
    MLP = { { 5, 6 }, function() return nn.MLP { 6, 8, 8, 4, dropout = .2 } end },
    ConvNet = { { 4, 64 }, function() return nn.ConvNet { channels = { 4, 8 }, classes = 5, input = { 1, 8, 8 }, dropout = .1 } end },
  }
  for _, name in ipairs { "ReLU", "Tanh", "Sigmoid", "SiLU", "LeakyReLU", "Softmax", "Identity" } do
    modules[name] = { { 5, 6 }, function() return nn.Sequential { nn.Linear(6, 6), nn[name]() } end }
  end
  for name, one in pairs(modules) do
    it(name, function() check_same(module_case(one[1], one[2])) end)
  end

  it("Embedding", function()
    check_same(function()
      local net = nn.Sequential { nn.Embedding(3, 4, { padding_idx = 0 }), nn.Linear(4, 3) }
      local opt = optim.Adam(net)
      return { state = { net, opt }, batch = batches { 5, 2 }, fn = function(b)
        local value = loss.cross_entropy(net(b.y), b.y)
        opt:minimize(value)
        return value and { loss = value }
      end }
    end)
  end)

  local knobs = function(i) return { temperature = 1 + i, alpha = 1 / i } end
  local losses = {
    kd_loss = function(z, b, k) return loss.kd_loss(z, b.teacher, b.y, { temperature = k.temperature, alpha = k.alpha }) end,
    ["kd_loss without teacher"] = function(z, b) return loss.kd_loss(z, nil, b.y) end,
    ["kd_loss without labels"] = function(z, b, k) return loss.kd_loss(z, b.teacher, nil, { temperature = k.temperature }) end,
    ["kd_loss with options"] = function(z, b, k)
      return loss.kd_loss(z, b.teacher, b.y, { temperature = k.temperature, alpha = k.alpha, teacher_temperature = 2,
        label_smoothing = .1, t2 = false, reverse = true, weight = b.teacher:select(1, 0):abs() })
    end,
    cross_entropy = function(z, b) return loss.cross_entropy(z, b.y, { label_smoothing = .1 }) end,
    ["cross_entropy of probabilities"] = function(z, b) return loss.cross_entropy(z, g.softmax(b.teacher, 1)) end,
    kl = function(z, b, k) return loss.kl(z, b.teacher, { temperature = k.temperature }) end,
    reverse_kl = function(z, b) return loss.reverse_kl(z, b.teacher, { temperature = 2 }) end,
    jsd = function(z, b, k) return loss.jsd(z, b.teacher, { beta = .3, temperature = k.temperature }) end,
    mse = function(z, b) return loss.mse(z, b.teacher) end,
    ["a sum of losses"] = function(z, b, k)
      return loss.mse(z, b.teacher) * .5 + loss.cross_entropy(z, b.y) * k.alpha - 3 * z:abs():mean()
    end,
  }
  for name, value_of in pairs(losses) do
    it(name, function() check_same(loss_case(value_of, knobs)) end)
  end

  it("a temperature for each sample", function()
    check_same(loss_case(losses.kd_loss, function(i)
      return { temperature = g.rand({ 5 }, { generator = g.generator(i) }) * 3 + 1, alpha = .5 }
    end))
  end)

  it("feature_mse with a projection", function()
    local projection = loss.projection(3, 3, 4)
    check_same(loss_case(function(z, b) return loss.feature_mse(z, b.teacher, projection) end))
  end)

  local with_lr = function(k) return { lr = k.lr } end
  local optimizers = {
    SGD = { function(net) return optim.SGD(net) end, with_lr },
    ["SGD, own lr"] = { function(net) return optim.SGD(net, { lr = .3 }) end },
    ["SGD with momentum"] = { function(net) return optim.SGD(net, { momentum = .9, nesterov = true, weight_decay = .1 }) end, with_lr },
    ["SGD with dampening"] = { function(net) return optim.SGD(net, { momentum = .9, dampening = .5, maximize = true }) end, with_lr },
    Adam = { function(net) return optim.Adam(net, { weight_decay = .1 }) end, with_lr },
    AdamW = { function(net) return optim.AdamW(net) end, with_lr },
    ["AdamW, clipped by a knob"] = { function(net) return optim.AdamW(net) end, function(k) return { lr = k.lr, clip = k.lr } end },
    ["a parameter without gradient"] = { function(net)
      local p = net:parameters()
      p[5] = nn.Parameter(g.ones(3))
      return optim.AdamW(p)
    end, with_lr },
    ["groups"] = { function(net)
      local p = net:parameters()
      return optim.AdamW { { params = { p[1], p[2] }, lr_scale = .1 }, { params = { p[3], p[4] }, weight_decay = 0 } }
    end, with_lr },
  }
  for name, one in pairs(optimizers) do
    it(name, function() check_same(optimizer_case(one[1], one[2])) end)
  end
end)

describe("a replayed step, where recorders go wrong:", function()
  it("several optimizers, one of them over a part", function()
    check_same(function()
      local net = nn.Sequential { nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3) }
      local first = optim.SGD { net:get_submodule("0").weight }
      local second = optim.Adam { net:get_submodule("2").weight }
      return { state = { net, first, second }, batch = batches { 5, 6 }, fn = function(b)
        local value = loss.cross_entropy(net(b.x), b.y)
        first:minimize(value, { lr = .1 })
        local again = loss.cross_entropy(net(b.x), b.y)
        second:minimize(again, { lr = .01, clip = .5 })
        return { before = value, after = again }
      end }
    end)
  end)

  it("gradients in the parameters, as in PyTorch, accumulated over a batch", function()
    local s = check_same(function()
      local net = nn.MLP { 6, 8, 3 }
      local opt = optim.AdamW(net)
      return { state = { net, opt }, batch = batches { 6, 6 }, fn = function(b)
        opt:zero_grad()
        local total
        for part = 0, 2 do
          local value = loss.cross_entropy(net(b.x:narrow(0, 2 * part, 2)), b.y:narrow(0, 2 * part, 2)) / 3
          value:backward()
          total = total and total + value:detach() or value:detach()
        end
        opt:step { lr = .01, clip = 1 }
        return { loss = total, grad = net:parameters()[1].grad }
      end }
    end)
    expect(s.plans[1].calls > 3):is_true()
  end)

  it("gradients that stay for the next step are added to", function()
    local make = function()
      local net = nn.MLP { 6, 8, 3 }
      local opt = optim.SGD(net)
      local function before(i)
        if i % 3 ~= 0 then return end
        opt:step { lr = .1 }
        opt:zero_grad()
      end
      return { state = { net, opt }, batch = batches { 5, 6 }, before = before, fn = function(b)
          local value = loss.cross_entropy(net(b.x), b.y)
          value:backward()
          return { loss = value }
        end }
    end
    local wanted = outcome("eager", make)
    expect((outcome("replay", make))):equals(wanted)
  end)

  it("dropout draws fresh numbers", function()
    local drop = nn.Dropout(.5)
    local s = step.new(function(b) return { y = drop(b.x) } end)
    local ones, seen = g.ones(1, 64), {}
    for _ = 1, 6 do
      local hash = s({ x = ones }).y:hash()
      expect(seen[hash]):equals(nil)
      seen[hash] = true
    end
    expect(#s.plans):equals(1)
  end)

  it("another shape, dtype, mode or set of names gets a plan of its own, and the old one is found again", function()
    local net = nn.Sequential { nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(.5), nn.Linear(6, 3) }
    local s = step.new(function(b) return { y = net(b.x), has_y = b.y ~= nil } end)
    local x = g.randn(5, 6)
    local function go(b) for _ = 1, 3 do s(b) end return #s.plans end
    expect(go { x = x }):equals(1)
    expect(go { x = g.randn(7, 6) }):equals(2)
    net:eval()
    local a, b = s { x = x }, s { x = x }
    expect(a.y:hash()):equals(b.y:hash())
    expect(#s.plans):equals(3)
    net:train()
    expect(go { x = x }):equals(3)
    expect(go { x = x, y = g.ones(2) }):equals(4)
    expect(s({ x = x, y = g.ones(2) }).has_y):equals(true)
    expect(s({ x = x }).has_y):equals(false)
    expect(go { x = g.randn(6, 5):t() }):equals(5)  -- other strides
  end)

  it("knobs change from call to call; a knob given as a tensor is another form", function()
    local s = step.new(function(b, k) return { y = b.x * k.scale } end)
    local x = g.ones(2)
    for i = 1, 5 do expect(s({ x = x }, { scale = i }).y:totable()):equals { i, i } end
    expect(#s.plans):equals(1)
    for i = 1, 5 do expect(s({ x = x }, { scale = g.tensor { i, 2 * i } }).y:totable()):equals { i, 2 * i } end
    expect(#s.plans):equals(2)
  end)

  it("outputs that are kept are not overwritten", function()
    local s = step.new(function(b) return { y = b.x * 2, view = (b.x + 1):select(0, 1) } end)
    local kept = {}
    for i = 1, 6 do kept[i] = s { x = g.tensor { i, 10 * i } } end
    for i = 1, 6 do
      expect(kept[i].y:totable()):equals { 2 * i, 20 * i }
      expect(kept[i].view:item()):equals(10 * i + 1)
    end
  end)

  it("a teacher whose weights are copied into the same storage", function()
    local teacher, other = nn.MLP { 6, 4, 3 }, nn.MLP { 6, 4, 3 }
    local s = step.new(function(b) return { y = g.no_grad(function() return teacher(b.x) end) } end)
    local x = g.randn(5, 6)
    for _ = 1, 3 do s { x = x } end
    teacher:load_state_dict(other:state_dict())
    expect(s({ x = x }).y:hash()):equals(teacher(x):hash())
    expect(#s.plans):equals(1)
  end)

  it("a parameter that is frozen, a setting of a module, a rate of an optimizer are seen", function()
    local net, drop = nn.Linear(3, 3), nn.LeakyReLU(.1)
    local opt = optim.SGD(net, { lr = 0 })
    local s = step.new(function(b)
      local y = drop(net(b.x))
      opt:minimize(y:sum())
      return { y = y }
    end)
    local x, before = -g.ones(2, 3), net.weight:hash()
    for _ = 1, 3 do s { x = x } end
    drop.negative_slope = .5
    local a = s { x = x }
    expect(a.y:hash()):equals(drop(net(x)):hash())
    expect(net.weight:hash()):equals(before)
    opt.lr = 1
    s { x = x }
    expect(net.weight:hash()):differs_from(before)
  end)

  it("gradients switched off from outside", function()
    local net = nn.Linear(2, 2)
    local s = step.new(function(b)
      local y = net(b.x)
      return { y = y.requires_grad and y or y * 0 }
    end)
    local x = g.randn(3, 2)
    for _ = 1, 3 do s { x = x } end
    expect(g.no_grad(function() return s { x = x } end).y:abs():sum():item()):equals(0)
    expect(s({ x = x }).y:abs():sum():item()):differs_from(0)
  end)

  it("a variable that the step uses", function()
    local scale = 1
    local s = step.new(function(b) return { y = b.x * scale } end)
    for _ = 1, 3 do s { x = g.ones(1) } end
    scale = 2
    expect(s({ x = g.ones(1) }).y:item()):equals(2)
    expect(#s.plans):equals(2)
  end)

  it("constants made in the step", function()
    check_same(function()
      return { state = {}, batch = batches { 2, 3 }, fn = function(b)
        local mask = g.zeros(2, 3)
        mask[0] = b.x[0]
        local y = b.x * g.tensor { 1, 2, 3 } + g.arange(3) + g.full({ 2, 3 }, 2) + mask
        return { y = y, z = g.ones(2), t = b.x + g.eye(3)[1] }
      end }
    end)
  end)

  it("random numbers from a generator of its own", function()
    check_same(function()
      local generator = g.generator(3)
      return { state = {}, batch = batches { 2, 3 }, fn = function(b)
        return { y = b.x + g.randn({ 2, 3 }, { generator = generator }) }
      end }
    end)
  end)
end)

-- Each is called as often as it takes to be recorded, audited and replayed.
describe("a recording fits arguments of its own form:", function()
  local function one(value) return g.tensor { value } end
  local function number(t) return t:item() end

  it("tensors by their names, in whatever order a table has them", function()
    local names = { "a", "b", "c", "d", "e", "f", "g", "h" }
    local s = step.new(function(batch)
      local out = {}
      for i, name in ipairs(names) do out[name] = batch[name] * i + batch.deep[name] * 100 end
      return out
    end)
    local function given(order, room)
      local batch, deep = {}, {}
      for i = 1, room do batch["gone" .. i], deep["gone" .. i] = 1, 1 end  -- a larger table has another order
      for i = 1, room do batch["gone" .. i], deep["gone" .. i] = nil, nil end
      for _, i in ipairs(order) do batch[names[i]], deep[names[i]] = one(2 ^ i), one(i) end
      batch.deep = deep
      return batch
    end
    local forwards, backwards = { 1, 2, 3, 4, 5, 6, 7, 8 }, { 8, 7, 6, 5, 4, 3, 2, 1 }
    for call = 1, 6 do
      local out = s(given(call % 2 == 0 and forwards or backwards, call % 3 * 20))
      for i, name in ipairs(names) do expect(number(out[name])):equals(2 ^ i * i + 100 * i) end
    end
    expect(#s.plans):equals(1)
  end)

  it("what else is in the batch, by its value, wherever it stands", function()
    local s = step.new(function(b)
      return { y = b.x * b.scale + b.list[2] * b.list[1].weight, label = b.label, on = b.on, sum = b.twice and b.twice(b.x) }
    end)
    local function twice(x) return x * 2 end
    local function thrice(x) return x * 3 end
    local cases = {
      { { scale = 2, weight = 1, label = "a", on = true, twice = twice }, 2 * 5 + 7 },
      { { scale = 3, weight = 1, label = "a", on = true, twice = twice }, 3 * 5 + 7 },
      { { scale = 2, weight = 4, label = "a", on = true, twice = twice }, 2 * 5 + 28 },
      { { scale = 2, weight = 1, label = "b", on = true, twice = twice }, 2 * 5 + 7 },
      { { scale = 2, weight = 1, label = "a", on = false, twice = twice }, 2 * 5 + 7 },
      { { scale = 2, weight = 1, label = "a", on = "yes", twice = twice }, 2 * 5 + 7 },
      { { scale = 2, weight = 1, label = "a", on = true, twice = thrice }, 2 * 5 + 7 },
      { { scale = 2, weight = 1, label = "a", on = true }, 2 * 5 + 7 },
    }
    for round = 1, 4 do
      for i, case in ipairs(cases) do
        local b = case[1]
        local out = s { x = one(5), scale = b.scale, label = b.label, on = b.on, twice = b.twice, list = { { weight = b.weight }, one(7) } }
        expect({ number(out.y), out.label, out.on, out.sum and number(out.sum) })
          :equals { case[2], b.label, b.on, b.twice == twice and 10 or b.twice == thrice and 15 or nil }
        if round == 1 then expect(#s.plans):equals(i) end
      end
    end
    expect(#s.plans):equals(#cases)
  end)

  it("as many names, at each depth", function()
    local s = step.new(function(b)
      local sum, count = b.x, 0
      for _, t in ipairs(b.list) do sum, count = sum + t, count + 1 end
      return { y = sum, count = count, more = b.inner.more ~= nil }
    end)
    local function go(list, inner, wanted)
      for _ = 1, 3 do
        local out = s { x = one(1), list = list, inner = inner }
        expect({ number(out.y), out.count, out.more }):equals(wanted)
      end
      return #s.plans
    end
    expect(go({ one(2) }, {}, { 3, 1, false })):equals(1)
    expect(go({ one(2), one(3) }, {}, { 6, 2, false })):equals(2)
    expect(go({}, {}, { 1, 0, false })):equals(3)
    expect(go({ one(2) }, { more = one(1) }, { 3, 1, true })):equals(4)
    expect(go({ one(2) }, { more = 1 }, { 3, 1, true })):equals(5)
    expect(go({ one(2), one(3) }, {}, { 6, 2, false })):equals(5)
  end)

  it("a tensor, a number and a table of one name", function()
    local s = step.new(function(b) return { y = g.is_tensor(b.x) and b.x + 1 or type(b.x) == "table" and b.x[1] + 2 or one(b.x + 3) } end)
    for _ = 1, 4 do
      expect({ number(s({ x = one(1) }).y), number(s({ x = 1 }).y), number(s({ x = { one(1) } }).y) }):equals { 2, 4, 3 }
    end
    expect(#s.plans):equals(3)
    s = step.new(function(b) return { y = b.x, kind = type(b.how) } end)
    for _ = 1, 4 do
      for _, how in ipairs { {}, 1, "one", true } do expect(s({ x = one(1), how = how }).kind):equals(type(how)) end
      expect(s({ x = one(1) }).kind):equals "nil"
    end
  end)

  it("any of the variables that its function uses", function()
    local a, b, c = 1, 10, 100
    local s = step.new(function(batch) return { y = batch.x * a + b + c } end)
    local function go() for _ = 1, 2 do s { x = one(1) } end return number(s({ x = one(1) }).y) end
    expect(go()):equals(111)
    c = 200
    expect(go()):equals(211)
    a = 2
    expect(go()):equals(212)
    b = 20
    expect({ go(), #s.plans }):equals { 222, 4 }
  end)

  it("no tensor that was released", function()
    local s = step.new(function(b) return { y = b.x + 1 } end)
    local gone = one(1)
    for _ = 1, 3 do s { x = gone } end
    gone:release()
    expect(function() s { x = gone } end):fails_with "record_spec.lua:%d+: step: a tensor was used after release()"
    expect(number(s({ x = one(4) }).y)):equals(5)
  end)
end)

describe("what a replayed step gives", function()
  it("has each output under its name, and plain values as they were", function()
    local s = step.new(function(b) return { a = b.x, n = 7, b = b.x * 2, text = "as it is", c = b.x * 3, yes = true, no = false } end)
    for i = 1, 6 do
      local out = s { x = g.tensor { i } }
      expect({ out.a:item(), out.b:item(), out.c:item() }):equals { i, 2 * i, 3 * i }
      expect({ out.n, out.text, out.yes, out.no }):equals { 7, "as it is", true, false }
    end
    expect(#s.plans):equals(1)
  end)

  it("is one tensor where the function gives one", function()
    local s = step.new(function(b) return b.x * 2 end)
    for i = 1, 5 do expect(s({ x = g.tensor { i } }):item()):equals(2 * i) end
    expect({ #s.plans, s.plans[1].calls }):equals { 1, 5 }
  end)

  it("is named where it differs from what the function does", function()
    for _, wrong in ipairs { "first", "second", "third" } do
      local hidden = { scale = 1 }
      local s = step.new(function(b)
        local out = { plain = 1, first = b.x, text = "t", second = b.x + 1, third = b.x + 2 }
        out[wrong] = out[wrong] * hidden.scale
        return out
      end)
      s { x = g.ones(2) }
      hidden.scale = 3
      expect(function() s { x = g.ones(2) } end):fails_with("output '" .. wrong .. "' (by aten::mul at ")
    end
    local hidden = { scale = 1 }
    local s = step.new(function(b) return b.x * hidden.scale end)
    s { x = g.ones(2) }
    hidden.scale = 3
    expect(function() s { x = g.ones(2) } end):fails_with "at step 2: output '1' (by aten::mul at "
  end)
end)

describe("a step that cannot be replayed", function()
  local function why_of(fn, calls)
    local texts = {}
    local s = step.new(fn, function(_, text) texts[#texts + 1] = text end)
    for i = 1, calls or 4 do s { x = g.tensor { i, 2, 3 } } end
    expect(#texts):equals(1)
    return texts[1], s
  end

  it("runs as it is and says why, once, with the line", function()
    local text = why_of(function(b)
      if b.x:sum():item() > 0 then return { y = b.x } end
      return { y = -b.x }
    end)
    expect(text):matches "record_spec.lua:%d+"
    expect(text):matches "depends on a tensor's values"
    expect((why_of(function(b) return { y = g.masked_select(b.x, b.x:gt(1)) } end))):matches "masked_select"
    expect((why_of(function(b) return { y = b.x * b.x:totable()[1] } end))):matches "totable"
    expect((why_of(function(b) return { y = b.x, inner = { b.x } } end))):matches "output 'inner' is a table"
    expect((why_of(function(b) return { y = b.x, call = print } end))):matches "output 'call' is a function"
    expect((why_of(function(b) return { b.x } end))):matches "an output has no name"
    expect((why_of(function(b) return { y = b.x * b.x:data()[0] } end))):matches "data"
    expect((why_of(function(b) return { y = b.x, h = b.x:hash() } end))):matches "hash"
    expect((why_of(function(b) return { y = b.x, text = tostring(b.x) } end))):matches "tostring"
    expect((why_of(function(b) return { y = b.x, text = "x " .. b.x[0] } end))):matches "depends on a tensor's values"
  end)

  it("changes a variable of its own", function()
    local count = 0
    expect((why_of(function(b) count = count + 1 return { y = b.x } end))):matches "it changes 'count'"
    expect(count):equals(4)
  end)

  it("gives right results all the same", function()
    local _, s = why_of(function(b) return { y = b.x * b.x:max():item() } end)
    expect(s({ x = g.tensor { 5, 1, 1 } }).y:totable()):equals { 25, 5, 5 }
  end)
end)

describe("a step", function()
  it("refuses logging, printing and files", function()
    local function failing(inside)
      return function() step.new(function(b) inside() return { y = b.x } end)({ x = g.ones(1) }) end
    end
    expect(failing(function() print "x" end)):fails_with "print inside of the step"
    expect(failing(function() io.open "x" end)):fails_with "open inside of the step"
    expect(failing(function() step.new(function(b) return b end)({ x = g.ones(1) }) end)):fails_with "called inside of the step"
    print ""  -- allowed again
  end)

  it("is audited: what depends on more than its arguments is an error that names the tensor", function()
    local hidden = { scale = 1 }
    local s = step.new(function(b) return { y = b.x * hidden.scale } end)
    s { x = g.ones(2) }
    hidden.scale = 3
    expect(function() s { x = g.ones(2) } end):fails_with "output 'y' (by aten::mul at "
  end)

  it("keeps at most eight plans, and gives up on one that never fits", function()
    local texts = {}
    local s = step.new(function(b) return { y = b.x * 2 } end, function(_, text) texts[#texts + 1] = text end)
    for i = 1, 12 do s { x = g.ones(i) } end
    expect(#s.plans):equals(8)
    for i = 13, 30 do s { x = g.ones(i) } end
    expect(#texts):equals(1)
    expect(texts[1]):matches "fitted no later call"
  end)

  it("goes on after an error inside of it", function()
    local s = step.new(function(b)
      if b.bad then error "bad" end
      return { y = b.x + 1 }
    end)
    expect(function() s { x = g.ones(1), bad = true } end):fails_with "bad"
    for _ = 1, 3 do expect(s({ x = g.ones(1) }).y:item()):equals(2) end
  end)
end)
