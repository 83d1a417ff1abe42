-- What optimizers take, up to the ends of its ranges; their groups, flat buffers and state.
local g = require "gradus"
local engine = require "gradus.engine"
local groups = require "gradus.optim.groups"
local instead = require "instead"
local nn, optim = g.nn, g.optim

local function parameter(list) return nn.Parameter(g.tensor(list)) end
local function list(t) return t:detach():totable() end

local function expect_range(what, call, takes, refuses)
  it(what, function()
    for _, value in ipairs(takes) do call(value) end
    for _, value in ipairs(refuses) do expect(function() call(value) end):fails_with("'" .. what:match "%S+$" .. "': expected") end
  end)
end

describe("the range of", function()
  local function made(name, option, more)
    return function(value)
      local o = { [option] = value }
      for key, one in pairs(more or {}) do o[key] = one end
      return optim[name]({ parameter { 1, 2 } }, o)
    end
  end
  for _, name in ipairs { "SGD", "Adam", "AdamW" } do
    expect_range(name .. "'s lr", made(name, "lr"), { 0, 1, g.tensor(.1) }, { -1, "x" })
    expect_range(name .. "'s weight_decay", made(name, "weight_decay"), { 0, 1 }, { -.1 })
    expect_range(name .. "'s maximize", made(name, "maximize"), { true, false }, { 1 })
  end
  expect_range("SGD's momentum", made("SGD", "momentum"), { 0, .9 }, { -.1 })
  expect_range("SGD's dampening", made("SGD", "dampening"), { 0, .9 }, { -.1 })
  expect_range("SGD's nesterov", made("SGD", "nesterov", { momentum = .9 }), { true, false }, { 1 })
  expect_range("AdamW's betas", made("AdamW", "betas"), { { 0, 0 }, { .9, .9999 } },
    { { -.1, .9 }, { .9, 1 }, { 1, .9 }, { .9 }, { .9, .9, .9 } })
  expect_range("Adam's eps", made("Adam", "eps"), { 0, 1e-6 }, { -1 })
  local function step(option, how)
    return function(value)
      local p = parameter { 1, 2 }
      local opt = optim.SGD { p }
      if how == "minimize" then return opt:minimize(p:sum(), { [option] = value }) end
      if how == "apply" then return opt:apply({ g.ones(2) }, { [option] = value }) end
      p:sum():backward()
      return opt:step { [option] = value }
    end
  end
  for _, how in ipairs { "minimize", "apply", "step" } do
    expect_range(how .. "'s lr", step("lr", how), { 0, .1, g.tensor(.1) }, { -1 })
    expect_range(how .. "'s clip", step("clip", how), { .1, g.tensor(1) }, { 0, -1 })
    expect_range(how .. "'s guard", step("guard", how), { true, false }, { 1 })
  end
  expect_range("a group's lr_scale", function(v) optim.SGD { { params = { parameter { 1 } }, lr_scale = v } } end, { 0, 1, 2 }, { -1 })
  expect_range("a group's weight_decay", function(v) optim.SGD { { params = { parameter { 1 } }, weight_decay = v } } end, { 0, 1 }, { -1 })
  it("nesterov needs momentum and no dampening", function()
    for _, o in ipairs { { nesterov = true }, { nesterov = true, momentum = .9, dampening = .1 } } do
      expect(function() optim.SGD({ parameter { 1 } }, o) end):fails_with "optim.SGD: nesterov needs momentum > 0 and dampening = 0"
    end
  end)
end)

describe("an optimizer of which nothing else is said", function()
  it("has PyTorch's numbers", function()
    local p = { parameter { 1 } }
    expect(optim.SGD(p).options):equals { lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0, nesterov = false, maximize = false }
    expect(optim.Adam(p).options):equals { lr = 1e-3, betas = { .9, .999 }, eps = 1e-8, weight_decay = 0, maximize = false }
    expect(optim.AdamW(p).options):equals { lr = 1e-3, betas = { .9, .999 }, eps = 1e-8, weight_decay = .01, maximize = false }
    expect({ tostring(optim.SGD(p)), tostring(optim.AdamW(p, { lr = .5 })) }):equals { "SGD(lr=0.001)", "AdamW(lr=0.5)" }
  end)
  it("keeps for each parameter what its kind needs, from zero", function()
    local function state(name, options)
      local names = {}
      for key, t in pairs(optim[name]({ parameter { 1, 2 } }, options):state_dict()) do names[#names + 1] = key .. "=" .. t:sum():item() end
      table.sort(names)
      return table.concat(names, " ")
    end
    expect(state "SGD"):equals ""
    expect(state("SGD", { momentum = .9 })):equals "0.0.momentum_buffer=0"
    expect(state("SGD", { momentum = .9, dampening = .1 })):equals "0.0.momentum_buffer=0 0.0.share=1"
    expect(state("SGD", { dampening = .1 })):equals ""
    expect(state "AdamW"):equals "0.0.exp_avg=0 0.0.exp_avg_sq=0 0.0.step=0"
  end)
end)

describe("groups", function()
  it("are what is given: a module, a list, or groups", function()
    local a, b = parameter { 1 }, parameter { 2 }
    local plain = groups.of("here", { a, b }, .5)
    expect({ #plain, #plain[1].params, plain[1].lr_scale, plain[1].weight_decay }):equals { 1, 2, 1, .5 }
    local net = nn.Linear(2, 2)
    local several = groups.of("here", { { params = net, lr_scale = .1 }, { params = { a }, weight_decay = 0 } }, .5)
    expect({ #several, #several[1].params, several[1].lr_scale, several[1].weight_decay, several[2].lr_scale,
      several[2].weight_decay }):equals
      { 2, 2, .1, .5, 1, 0 }
    expect(#groups.of("here", net, 0)[1].params):equals(2)
    expect({ optim.SGD({ { params = { a } }, { params = { b } } }):state_dict() }):equals { {} }
    local state = optim.AdamW { { params = { a } }, { params = { b } } }:state_dict()
    expect({ state["0.0.step"] ~= nil, state["1.0.step"] ~= nil, state["0.1.step"] }):equals { true, true }
  end)
  local a = parameter { 1 }
  local refused = {
    { "no parameters", function() optim.SGD {} end, "optim.SGD: expected a module or a list of parameters; got none" },
    { "a module without any", function() optim.SGD(nn.ReLU()) end, "optim.SGD: expected a module or a list of parameters; got none" },
    { "a group without any", function() optim.SGD { { params = {} } } end,
      "optim.SGD: expected a module or a list of parameters; got none" },
    { "a misspelt option", function() optim.SGD { { params = { a }, lr_scal = 1 } } end,
      "optim.SGD: group 1: no option 'lr_scal'; did you mean" },
    { "one in two groups", function() optim.SGD { { params = { a } }, { params = { a } } } end,
      "optim.SGD: parameter 1 of group 2 is given twice" },
    { "one twice", function() optim.SGD { a, a } end, "optim.SGD: parameter 2 of group 1 is given twice" },
    { "one that is not contiguous", function() optim.SGD { g.ones(3, 2):t():requires_grad_() } end,
      "optim.SGD: parameter 1 of shape [2, 3] is no contiguous leaf; expected nn.Parameter(t:contiguous())" },
    { "a number", function() optim.SGD { a, 5 } end, "optim.SGD: 'parameter 2': expected a Tensor; got 5" },
    { "gradients that are none", function() optim.SGD({ a }):apply { 5 } end, "SGD:apply: gradient 1: expected a Tensor or false; got 5" },
    { "no gradient", function() optim.SGD({ a }):apply { false } end, "SGD:apply: no parameter has a gradient" },
    { "no list of gradients", function() optim.SGD({ a }):apply(5) end, "SGD:apply: 'grads': expected a table; got 5" },
    { "a loss of two numbers", function() optim.SGD({ a }):minimize(g.ones(2)) end, "SGD:minimize: loss: expected a 0-dim tensor; got" },
    { "a loss that is none", function() optim.SGD({ a }):minimize(5) end, "SGD:minimize: loss: expected a 0-dim tensor; got 5" },
    { "a state that is none", function() optim.SGD({ a }):load_state_dict(5) end, "SGD.load_state_dict: 'state': expected a table; got 5" },
  }
  for _, case in ipairs(refused) do
    it("are refused: " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)

describe("gradients that are given", function()
  it("take each their own gradients, where some of their parameters have none", function()
    local all = {}
    for n = 1, 5 do all[n] = parameter { 1 } end
    local opt = optim.SGD({ { params = { all[1], all[2] } }, { params = { all[3] } }, { params = { all[4], all[5] } } }, { lr = 1 })
    opt:minimize((all[2] * 2 + all[3] * 3 + all[5] * 5):sum())
    local values = {}
    for n, one in ipairs(all) do values[n] = one:item() end
    expect(values):equals { 1, -1, -2, 1, -4 }
  end)
  it("update the parameters that they are of, and leave the others alone", function()
    for _, name in ipairs { "SGD", "AdamW" } do
      local a, b, c = parameter { 1, 1 }, parameter { 1 }, parameter { 1 }
      local opt = optim[name]({ a, b, c }, { lr = .5, weight_decay = 0 })
      opt:apply { g.ones(2), false, g.ones(1) * 2 }
      expect({ list(a), list(b), list(c)[1] < 1 }):equals { name == "SGD" and { .5, .5 } or list(a), { 1 }, true }
      opt:apply { false, g.ones(1), false }
      expect(list(b)[1] < 1):is_true()
    end
    local a = parameter { 3, 4 }
    local norm = optim.SGD({ a }, { lr = 1 }):apply({ g.tensor { 3, 4 } }, { clip = 1 })
    expect(norm:item()):near(5, 1e-6)
    expect(list(a)):near({ 3 - .6, 4 - .8 }, 1e-5)
  end)
  it("are those of the parameters after backward, clipped in place", function()
    local a = parameter { 3, 4 }
    local opt = optim.SGD({ a }, { lr = 0 });
    (a * a):sum():backward()
    expect(opt:step()):equals(nil)
    expect(list(a.grad)):equals { 6, 8 }
    expect(opt:step({ clip = 5 }):item()):near(10, 1e-5)
    expect(list(a.grad)):near({ 3, 4 }, 1e-4)
    opt:zero_grad()
    expect(a.grad):equals(nil)
  end)
  it("of a step alone are not kept", function()
    local a = parameter { 3, 4 }
    optim.SGD({ a }, { lr = 0 }):minimize((a * a):sum(), { clip = 5 })
    expect(a.grad):equals(nil)
  end)
  it("return their norm where it was asked for", function()
    local a = parameter { 3, 4 }
    local opt = optim.SGD({ a }, { lr = 0 })
    expect(opt:minimize((a * a):sum())):equals(nil)
    expect(opt:minimize((a * a):sum(), { guard = false })):equals(nil)
    expect(opt:minimize((a * a):sum(), { guard = true }):item()):near(10, 1e-5)
    expect(opt:minimize((a * a):sum(), { clip = 100 }):item()):near(10, 1e-5)
    expect(opt:apply({ g.tensor { 3, 4 } }, { guard = true }):item()):near(5, 1e-5)
  end)
end)

describe("a rate", function()
  it("is the optimizer's where the step has none, times the group's", function()
    local a, b = parameter { 1 }, parameter { 1 }
    local opt = optim.SGD({ { params = { a } }, { params = { b }, lr_scale = 2 } }, { lr = .1 })
    local function go(options)
      opt:minimize((a + b):sum(), options)
      local now = { list(a)[1], list(b)[1] }
      g.no_grad(function() a:fill_(1) b:fill_(1) end)
      return now
    end
    expect(go()):near({ .9, .8 }, 1e-6)
    expect(go { lr = .2 }):near({ .8, .6 }, 1e-6)
    expect(go { lr = g.tensor(.2) }):near({ .8, .6 }, 1e-6)
    expect(go { lr = 0 }):equals { 1, 1 }
    opt.lr = .3
    expect(go()):near({ .7, .4 }, 1e-6)
  end)
end)

describe("flat buffers", function()
  it("hold a group until only some of it have gradients", function()
    local a, b = parameter { 1, 2 }, parameter { 3 }
    local opt = optim.AdamW({ a, b }, { lr = .1 })
    local group = opt.groups[1]
    expect({ group.flat ~= nil, #groups.places(opt.groups), groups.places(opt.groups)[1] == group.grads[1] }):equals { true, 2, true }
    opt:minimize(a:sum() + b:sum())
    expect({ group.flat ~= nil, group.state.step[1] == group.state.step[2] }):equals { true, true }
    opt:minimize(a:sum())
    expect({ group.flat, group.state.step[1]:item(), group.state.step[2]:item() }):equals { nil, 2, 1 }
    expect(groups.places(opt.groups)):equals { false, false }
  end)
  it("are none of a group with dampening", function()
    expect(optim.SGD({ parameter { 1 } }, { momentum = .9, dampening = .1 }).groups[1].flat):equals(nil)
    expect(optim.SGD({ parameter { 1 } }, { momentum = .9 }).groups[1].flat ~= nil):is_true()
  end)
  it("are left when a state comes in whose counts differ, and only then", function()
    local function saved(opt)
      local state = {}
      for key, t in pairs(opt:state_dict()) do state[key] = t:clone() end
      return state
    end
    local a, b = parameter { 1, 2 }, parameter { 3 }
    local opt = optim.AdamW({ a, b }, { lr = .1 })
    opt:minimize(a:sum() + b:sum())
    local even = saved(opt)
    opt:minimize(a:sum())
    local uneven = saved(opt)
    local other = optim.AdamW({ parameter { 1, 2 }, parameter { 3 } }, { lr = .1 })
    other:load_state_dict(even)
    expect({ other.groups[1].flat ~= nil, other:state_dict()["0.1.step"]:item() }):equals { true, 1 }
    other:load_state_dict(uneven)
    expect({ other.groups[1].flat, other:state_dict()["0.0.step"]:item(), other:state_dict()["0.1.step"]:item() }):equals { nil, 2, 1 }
  end)
  it("are made anew on the same device, with the state as it was", function()
    local a = parameter { 1, 2 }
    local opt = optim.AdamW({ a }, { lr = .1 })
    opt:minimize(a:sum())
    local before = {}
    for key, t in pairs(opt:state_dict()) do before[key] = t:hash() end
    expect(opt:to "cpu" == opt):is_true()
    for key, t in pairs(opt:state_dict()) do expect(t:hash()):equals(before[key]) end
    expect(opt.params[1] == a):is_true()
  end)
  it("change nothing of the result", function()
    local function after(together)
      local p = { parameter { 1, 2 }, parameter { 3, 4 } }
      local opts = together and { optim.AdamW(p, { lr = .1 }) } or { optim.AdamW({ p[1] }, { lr = .1 }), optim.AdamW({ p[2] },
        { lr = .1 }) }
      for _ = 1, 3 do
        if together then opts[1]:minimize((p[1] * p[1]):sum() + (p[2] * p[2]):sum()) else
          for i = 1, 2 do opts[i]:minimize((p[i] * p[i]):sum()) end
        end
      end
      return { list(p[1]), list(p[2]) }
    end
    expect(after(true)):equals(after(false))
  end)
end)

describe("a guard", function()
  it("with dampening leaves the share of the first step as it was", function()
    local p = parameter { 1, 2 }
    local opt = optim.SGD({ p }, { lr = 1, momentum = .5, dampening = .5 })
    opt:minimize((p * (0 / 0)):sum(), { guard = true })
    expect({ list(p), opt:state_dict()["0.0.share"]:item() }):equals { { 1, 2 }, 1 }
    opt:minimize(p:sum(), { guard = true })
    expect({ list(p), opt:state_dict()["0.0.share"]:item() }):equals { { 0, 1 }, .5 }
    opt:minimize(p:sum())  -- .5 of the momentum, .5 of the gradient
    expect(list(p)):equals { -1, 0 }
  end)
  it("is none unless it is asked for, or a step goes on", function()
    local recording = require "gradus.base.recording"
    local p = parameter { 1 }
    local opt = optim.SGD({ p }, { lr = 1 })
    local before = recording.guarded
    recording.guarded = true
    local ok, err = pcall(function()
      opt:minimize((p * (0 / 0)):sum())
      expect(list(p)):equals { 1 }
      expect(opt:minimize((p * (0 / 0)):sum(), { clip = 1 }):isnan():item()):is_true()
      expect(list(p)):equals { 1 }
    end)
    recording.guarded = before
    if not ok then error(err, 0) end
    opt:minimize((p * (0 / 0)):sum(), { guard = false })
    expect(engine.ops.isnan(p):all():item()):is_true()
  end)
  it("puts back the statistics that the step has changed", function()
    local recording = require "gradus.base.recording"
    local norm = nn.BatchNorm1d(1)
    local opt = optim.SGD(norm, { lr = 1 })
    recording.changes = recording.no_changes()
    local ok, err = pcall(function()
      opt:minimize(norm(g.tensor { { 1 }, { 0 / 0 } }):sum(), { guard = true })
      expect({ norm.running_mean:item(), norm.num_batches_tracked:item(), recording.changes.taken }):equals { 0, 0, true }
      opt:minimize(norm(g.tensor { { 1 }, { 3 } }):square():sum(), { guard = true })
      expect(norm.num_batches_tracked:item()):equals(1)
    end)
    recording.changes = nil
    if not ok then error(err, 0) end
  end)
end)

describe("an update that is refused", function()
  it("puts back each buffer that the step has changed, be it but one, and takes note only of such a step", function()
    local recording = require "gradus.base.recording"
    local p = parameter { 1 }
    local opt = optim.SGD({ p }, { lr = 1 })
    for count = 0, 2 do
      recording.changes = recording.no_changes()
      local module, names = {}, {}
      for i = 1, count do
        names[i] = "buffer" .. i
        module[names[i]] = g.full({ 2 }, i)
      end
      local ok, err = pcall(function()
        recording.about_to_change(module, names)
        for _, name in ipairs(names) do module[name]:fill_(9) end
        opt:minimize((p * (0 / 0)):sum(), { guard = true })
        for i, name in ipairs(names) do expect(list(module[name])):equals { i, i } end
        expect({ recording.changes.taken, list(p) }):equals { count > 0, { 1 } }
      end)
      recording.changes = nil
      if not ok then error(err, 0) end
    end
  end)
end)

describe("an update of a group as a whole", function()
  it("is seen by whoever kept its parameters for a backward pass", function()
    for _, name in ipairs { "SGD", "AdamW" } do
      local p, q = parameter { 1, 2 }, parameter { 3 }
      local opt = optim[name]({ p, q }, { lr = .1 })
      local loss = (p * p):sum() + (q * q):sum()
      opt:apply { g.ones(2), g.ones(1) }
      expect(function() loss:backward() end):fails_with "modified by an inplace operation"
    end
  end)
end)

describe("within a step that guards", function()
  local recording = require "gradus.base.recording"
  local function guarded(fn) instead({ { recording, "guarded", true } }, fn) end
  it("a loss of float32 is what guards, else the gradients' norm, which is returned", function()
    guarded(function()
      local p = nn.Parameter(g.tensor({ 3, 4 }, "float64"))
      local opt = optim.SGD({ p }, { lr = 0 })
      expect(opt:minimize((p * p):sum():float())):equals(nil)
      expect(opt:minimize((p * p):sum()):item()):near(10, 1e-9)
      expect(opt:minimize((p * p):sum():float(), { guard = true }):item()):near(10, 1e-9)
      expect(opt:minimize((p * p):sum():float(), { guard = false })):equals(nil)
      expect(opt:apply({ g.tensor({ 3, 4 }, "float64") }):item()):near(5, 1e-9)
    end)
  end)
  it("nothing is changed by gradients that are not finite, whoever made them", function()
    guarded(function()
      for _, bad in ipairs { 0 / 0, 1 / 0 } do
        local p = parameter { 3, 4 }
        local opt = optim.SGD({ p }, { lr = 1 })
        opt:apply { g.tensor { 1, bad } };
        (p * bad):sum():backward()
        expect(opt:step():isfinite():item()):is_false()
        expect(list(p)):equals { 3, 4 }
        opt:step { guard = false }
        expect(list(p)):differs_from { 3, 4 }
      end
    end)
  end)
end)
