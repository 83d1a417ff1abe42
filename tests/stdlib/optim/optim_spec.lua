local g = require "gradus"
local reference = require "reference"
local nn, optim, values = g.nn, g.optim, reference.values

local function tensor_of(plain) return reference.tensor(plain, "float64") end
local function parameter(list) return nn.Parameter(g.tensor(list)) end

local function start_of(case)
  local params = {}
  for i, plain in ipairs(case.start) do params[i] = nn.Parameter(tensor_of(plain)) end
  return params
end

-- A loss whose gradients are the given ones; parameter 2 takes no part at step 3.
local function loss_of(case, params, step)
  local total = 0
  for i, p in ipairs(params) do
    if not (step == 3 and i == 2) then total = (p * tensor_of(case.grads[step][i])):sum() + total end
  end
  return total
end

local function expect_path(case, params, step)
  for i, p in ipairs(params) do expect(values(p)):near(case.path[step][i].values, 1e-12) end
end

describe("optimizers equal PyTorch's:", function()
  for _, case in ipairs(reference.read "optimizers.json") do
    local name = case.kind .. " " .. case.name
    it(name .. ", minimize", function()
      local params = start_of(case)
      local opt = optim[case.kind](params, case.options)
      for step, rate in ipairs(case.rates) do
        local norm = opt:minimize(loss_of(case, params, step), { lr = rate, clip = case.clip })
        expect_path(case, params, step)
        if case.clip then expect(norm:item()):near(case.norms[step], 1e-12) end
      end
    end)
    it(name .. ", step", function()
      local params = start_of(case)
      local opt = optim[case.kind](params, case.options)
      for step, rate in ipairs(case.rates) do
        opt:zero_grad()
        loss_of(case, params, step):backward()
        opt.lr = rate
        opt:step { clip = case.clip }
        expect_path(case, params, step)
      end
    end)
    it(name .. ", saved and restored in the middle", function()
      local params = start_of(case)
      local opt = optim[case.kind](params, case.options)
      for step, rate in ipairs(case.rates) do
        if step == 4 then
          local other = optim[case.kind](params, case.options)
          local saved = {}
          for key, t in pairs(opt:state_dict()) do saved[key] = t:clone() end
          opt = other:load_state_dict(saved)
        end
        opt:minimize(loss_of(case, params, step), { lr = g.tensor(rate, { dtype = "float64" }), clip = case.clip })
        expect_path(case, params, step)
      end
    end)
  end
end)

describe("gradients of another layout", function()
  -- The fused kernels read memory in order, whatever the strides: an expanded or transposed gradient must be laid out first.
  it("are laid out as the parameter is", function()
    local p, q = parameter { { 1, 2, 3 }, { 4, 5, 6 } }, parameter { { 1, 2, 3 }, { 4, 5, 6 } }
    local c = g.tensor { { 1, 10 }, { 2, 20 }, { 3, 30 } }
    optim.SGD({ p, q }, { lr = 1 }):minimize((p:t() * c):sum() + q:sum())
    expect(values(p)):equals { 0, 0, 0, -6, -15, -24 }
    expect(values(q)):equals { 0, 1, 2, 3, 4, 5 }
  end)
  it("may be one tensor for two parameters", function()
    local p, q = parameter { 3, 0 }, parameter { 0, 4 }
    local sum = p + q
    local norm = optim.SGD({ p, q }, { lr = 1 }):minimize((sum * sum):sum() / 2, { clip = 1 })
    expect(norm:item()):near(math.sqrt(50), 1e-6)
    expect(values(p)):near({ 3 - 3 / math.sqrt(50), -4 / math.sqrt(50) }, 1e-5)
    expect(values(q)):near({ -3 / math.sqrt(50), 4 - 4 / math.sqrt(50) }, 1e-5)
  end)
end)

describe("optimizers", function()
  it("take a module, and groups with their own rate and decay", function()
    local net = nn.Sequential { nn.Linear(2, 2), nn.Linear(2, 2) }
    expect(#optim.AdamW(net).params):equals(4)
    local a, b, c = parameter { 1 }, parameter { 1 }, parameter { 1 }
    local opt = optim.SGD({ { params = { a } }, { params = { b }, lr_scale = .1 }, { params = { c }, weight_decay = .5 } },
      { lr = 1 })
    opt:minimize((a + b * 2 + c * 3):sum())
    expect(a:item()):near(1 - 1, 1e-6)
    expect(b:item()):near(1 - .1 * 2, 1e-6)
    expect(c:item()):near(1 - 3 - .5, 1e-6)
  end)
  it("update parameters that cannot lie in one buffer as each alone", function()
    local function made()
      local whole = g.nn.Parameter(g.ones(4))
      return { g.nn.Parameter(g.ones(3)), g.nn.Parameter(g.ones({ 2 }, { dtype = "float64" })), whole }
    end
    for _, name in ipairs { "SGD", "AdamW", "Adam" } do
      local together, alone = made(), made()
      local one = optim[name](together, { lr = .1 })
      for step = 1, 3 do
        local total = 0
        for i, p in ipairs(together) do total = total + (p * i * step):sum():float() end
        one:minimize(total)
      end
      for i, p in ipairs(alone) do
        local own = optim[name]({ p }, { lr = .1 })
        for step = 1, 3 do own:minimize((p * i * step):sum()) end
        expect(together[i].dtype):equals(p.dtype)
        expect(values(together[i])):near(values(p), 1e-6)
        assert(values(p)[1] < 1)
      end
    end
  end)
  it("update float16 and bfloat16, of any length, as float32 rounded", function()
    local start = g.randn({ 100 }, { generator = g.generator(3) })
    local function trained(dtype, name, options, step)
      local p = nn.Parameter(start:clone():to { dtype = dtype })
      local opt = optim[name]({ p }, options)
      for _ = 1, 4 do opt:minimize((p:float() * p:float()):sum(), step) end
      return p
    end
    for dtype, tolerance in pairs { float16 = 5e-3, bfloat16 = 4e-2 } do
      for name, list in pairs { SGD = { {}, { momentum = .9 }, { momentum = .9, nesterov = true, weight_decay = .1 }, { maximize = true },
        { momentum = .9, dampening = .5 } }, AdamW = { {} }, Adam = { {} } } do
        for _, options in ipairs(list) do
          options.lr = .05
          for _, step in ipairs { {}, { clip = 1 }, { guard = true } } do
            local got = trained(dtype, name, options, step)
            expect(got.dtype):equals(dtype)
            -- Adam's steps are of one length however small the gradient: what crosses zero is far off by rounding.
            expect(values(got)):near(values(trained("float32", name, options, step)), name == "SGD" and tolerance or 10 * tolerance)
          end
        end
      end
    end
  end)
  it("leave float16 and bfloat16 alone where the gradient is not finite", function()
    for _, dtype in ipairs { "float16", "bfloat16" } do
      local p = nn.Parameter(g.ones(40):to { dtype = dtype })
      local opt = optim.SGD({ p }, { lr = .1, momentum = .9 })
      opt:minimize(p:sum(), { guard = true })
      local before, momenta = values(p), values(opt:state_dict()["0.0.momentum_buffer"])
      opt:minimize((p * (0 / 0)):sum(), { guard = true })
      expect(values(p)):equals(before)
      expect(values(opt:state_dict()["0.0.momentum_buffer"])):equals(momenta)
    end
  end)
  it("refuse a rate below 0, or none, that only the step tells", function()
    for _, name in ipairs { "SGD", "AdamW" } do
      for _, dtype in ipairs { "float32", "float64" } do
        local p = nn.Parameter(g.ones({ 2 }, { dtype = dtype }))
        for _, bad in ipairs { -1, 0 / 0, 1 / 0 } do
          local function update() optim[name] { p }:minimize(p:sum(), { lr = g.tensor(bad) }) end
          expect(update):fails_with "expected a finite number of at least 0"
        end
        expect(values(p)):equals { 1, 1 }
      end
    end
  end)
  it("learn", function()
    local net = nn.MLP { 2, 16, 2 }
    local x, y = g.tensor { { 0, 0 }, { 0, 1 }, { 1, 0 }, { 1, 1 } }, g.tensor({ 0, 1, 1, 0 }, "int64")
    local opt = optim.AdamW(net, { lr = .05 })
    for _ = 1, 200 do opt:minimize(g.loss.cross_entropy(net(x), y), { clip = 1 }) end
    expect(net(x):argmax(1):totable()):equals { 0, 1, 1, 0 }
  end)
  it("change nothing on a gradient that is not finite, where they guard", function()
    for _, clip in ipairs { false, 1 } do
      local p = parameter { 1, 2 }
      local opt = optim.SGD({ p }, { lr = 1 })
      for _, factor in ipairs { 0 / 0, 1 / 0 } do
        opt:zero_grad();
        (p * factor):sum():backward()
        local norm = opt:step { guard = true, clip = clip or nil }
        expect(norm:isfinite():item()):is_false()
        expect(values(p)):equals { 1, 2 }
      end
      opt:zero_grad()
      p:sum():backward()
      expect(opt:step({ guard = true }):item()):near(math.sqrt(2), 1e-6)
      expect(values(p)):equals { 0, 1 }
    end
  end)
  it("check what they are given", function()
    local p = parameter { 1, 2 }
    expect(function() optim.SGD({ p }, { learning_rate = 1 }) end):fails_with "no option 'learning_rate'"
    expect(function() optim.SGD({ p }, { momentun = 1 }) end):fails_with "did you mean 'momentum'?"
    expect(function() optim.SGD({ p }, { lr = -1 }) end):fails_with "expected a number of at least 0 or a Tensor; got -1"
    expect(function() optim.SGD({ p }, { nesterov = true }) end):fails_with "nesterov needs momentum > 0"
    expect(function() optim.AdamW({ p }, { betas = { .9 } }) end):fails_with "a list of 2"
    expect(function() optim.Adam({ p }, { betas = { .9, 1 } }) end):fails_with "a list of 2, each a number from 0 to below 1"
    expect(function() optim.AdamW {} end):fails_with "expected a module or a list of parameters; got none"
    expect(function() optim.AdamW(3) end):fails_with "got 3"
    expect(function() optim.AdamW { p, p } end):fails_with "given twice"
    expect(function() optim.AdamW { p * 2 } end):fails_with "no contiguous leaf"
    expect(function() optim.AdamW { p, "weight" } end):fails_with "'parameter 2': expected a Tensor; got 'weight'"
    local opt = optim.AdamW { p }
    expect(function() opt:minimize(p) end):fails_with "expected a 0-dim tensor; got Tensor [2] float32"
    expect(function() opt:minimize(parameter { 1 }:sum()) end):fails_with "depends on none of this optimizer's parameters"
    expect(function() opt:minimize(p:sum(), { clip = 0 }) end):fails_with "expected a number > 0"
    expect(function() opt:step() end):fails_with "expected loss:backward() before"
    for _, bad in ipairs { -1, "x", 0 / 0, false } do
      opt.lr = bad or nil
      expect(function() opt:minimize(p:sum()) end):fails_with "AdamW: 'lr': expected a number of at least 0 or a Tensor; got"
    end
    opt.lr = g.tensor { .1, .2 }
    expect(function() opt:minimize(p:sum()) end):fails_with "AdamW: 'lr': expected one number"
    expect(values(p)):equals { 1, 2 }
    expect(function() opt:load_state_dict { ["0.0.step"] = g.tensor(1) } end):fails_with "missing: 0.0.exp_avg, 0.0.exp_avg_sq"
  end)
end)
