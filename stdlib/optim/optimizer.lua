--- Optimizers over fused kernels (runtime/ops/optimizer.cpp), with PyTorch's names, defaults and results.
---   local opt = optim.AdamW(net, { lr = 3e-3, weight_decay = .01 })
---   opt:minimize(loss, { lr = k.lr, clip = 1 })            -- gradients, clipping, update
---   opt:zero_grad(); loss:backward(); opt:step()           -- or as in PyTorch
--- The first argument is a module, a list of parameters, or a list of groups { params =, lr_scale =, weight_decay = }.
--- Nothing of a step is read on the host: steps are counted in tensors, the learning rate is one, so that a recorded step
--- can be replayed.
local check = require "gradus.base.check"
local engine = require "gradus.engine"
local groups = require "gradus.optim.groups"
local recording = require "gradus.base.recording"
local scalar = require "gradus.base.scalar"
local tensor = require "gradus.base.tensor"
local weights = require "gradus.base.weights"

local ops, flat = engine.ops, engine.flat
local optim = {}

---@class Optimizer
---@field lr number|Tensor   used where a step is given none
local Optimizer = check.methods("an optimizer", {})
Optimizer.__index = Optimizer

local LR = check.either(check.number(0), check.tensor)
local CLIP = check.either(check.above(0), check.tensor)

-- A class of optimizers: `names` are the tensors kept for each parameter, made by the functions in `state`.
local function class(name, rules, defaults, state, update)
  local methods = setmetatable({ name = name, update_group = update }, Optimizer)
  methods.__index, methods.__name = methods, name
  methods.__tostring = function(self) return ("%s(lr=%s)"):format(name, tostring(self.lr)) end
  rules.lr, rules.weight_decay = LR, check.number(0)
  return function(params, options)
    local where = "optim." .. name
    options = check.options(where, options, rules, defaults)
    local self = setmetatable({ options = options, lr = options.lr, params = {} }, methods)
    self.groups = groups.of(where, params, options.weight_decay)
    self.makers = state(options)
    for _, group in ipairs(self.groups) do
      tensor.no_grad(groups.begin, group, self.makers, options)
      for _, p in ipairs(group.params) do self.params[#self.params + 1] = p end
    end
    return self
  end
end

local function zeros(p) return ops.zeros_like(p) end
local function step_count(p) return engine.tensor(0, { dtype = "float32", device = p.device }) end

-- The members of `list` at the given positions; the list itself when that is all of it.
local function pick(list, positions)
  if #positions == #list then return list end
  local picked = {}
  for i, position in ipairs(positions) do picked[i] = list[position] end
  return picked
end

-- --- a step ------------------------------------------------------------------------------------------------------------

local function update_parts(self, group, grads, offset, given)
  local positions, own = {}, {}
  for i = 1, #group.params do
    local grad = grads[offset + i]
    if grad then
      positions[#positions + 1] = i
      own[#own + 1] = grad:is_contiguous() and grad or grad:contiguous()
    end
  end
  if #own == 0 then return end
  local state = {}
  for key, list in pairs(group.state) do state[key] = pick(list, positions) end
  self.update_group(self.options, group.weight_decay, pick(group.params, positions), own, state, given)
end

-- The learning rate as the kernels take it: the CPU's round otherwise with float32, an accelerator's take nothing else.
local function rate(where, lr, device)
  lr = scalar(lr, device)
  if lr:numel() ~= 1 then
    check.fail(where, "'lr': expected one number, and lr_scale of a group where rates differ; got %s", check.describe(lr))
  end
  local dtype = device == "cpu" and "float64" or "float32"
  if lr.dtype ~= dtype or lr.device ~= device then lr = lr:to { dtype = dtype, device = device } end
  return lr
end

-- What else the step has changed by now: statistics of batch normalisation, which have seen what was not finite.
local function put_back(norm)
  local changes = recording.changes
  if not changes or #changes.now == 0 then return end
  ops.put_back_(changes.now, changes.before, norm)
  changes.taken = true
end

-- grads: one for each of self.params, false or nil for those to leave alone; in their flat buffers where there are some.
-- norm: of all gradients, where they are to be clipped to the norm max_norm or, with guard, left alone unless it is finite.
local function update(self, grads, lr, norm, max_norm, guard)
  if lr == nil then
    recording.note(self, "lr")
    lr = check.value(self.name, "lr", self.lr, LR)
  end
  lr = rate(self.name, lr, self.params[1].device)
  local offset = 0
  for _, group in ipairs(self.groups) do
    local given = { lr = group.lr_scale == 1 and lr or lr * group.lr_scale, norm = norm, max_norm = max_norm, guard = guard }
    if group.flat then
      self.update_group(self.options, group.weight_decay, group.flat.params, group.flat.grads, group.flat.state, given)
      flat.changed(group.params)
    else
      update_parts(self, group, grads, offset, given)
    end
    offset = offset + #group.params
  end
  if guard then put_back(norm) end
end

local function present(grads)
  local list = {}
  for _, grad in ipairs(grads) do
    if grad then list[#list + 1] = grad end
  end
  return list
end

local function is_guarded(options)
  if options.guard == nil then return recording.guarded end
  return options.guard
end

-- Gradients of this step alone are scaled while they are used. Where nobody asked for their norm the loss is what guards: it is
-- there, and a pass over the gradients would be a quarter of a small step.
local function clip_and_update(self, grads, options, loss)
  local guard = is_guarded(options)
  grads = groups.gather(self.groups, grads)
  local watched = guard and options.guard == nil and loss and loss.dtype == "float32" and loss:detach() or nil
  local norm = (options.clip or guard and not watched) and ops.grad_norm(present(grads)) or nil
  update(self, grads, options.lr, norm or watched, options.clip and scalar(options.clip, self.params[1].device), guard)
  return norm
end

-- The parameters' own gradients are clipped where they are, as in PyTorch.
local function clip_own_and_update(self, grads, options)
  local guard = is_guarded(options)
  local norm = options.clip and ops.clip_grad_norm_(present(grads), scalar(options.clip, self.params[1].device))
    or guard and ops.grad_norm(present(grads)) or nil
  update(self, groups.gather(self.groups, grads), options.lr, norm, nil, guard)
  return norm
end

local STEP_OPTIONS = { lr = LR, clip = CLIP, guard = check.boolean }

--- Computes the gradients of a 0-dim loss, clips their global L2 norm to `clip` where given, and updates. Parameters that
--- the loss does not depend on stay as they are. Returns the norm before clipping (0-dim tensor; nil without clip and guard).
--- With guard = true a gradient with NaN or infinity changes nothing: no parameter, no moment, no count, and within a run's
--- step no statistics of batch normalisation; the norm tells. Left out, in a run's step: so with clip; without, a loss that
--- is not finite changes none.
---@param loss Tensor
---@param options? {lr: number|Tensor, clip: number|Tensor, guard: boolean}
function Optimizer:minimize(loss, options)
  local where = self.name .. ":minimize"
  options = check.options(where, options, STEP_OPTIONS)
  if not engine.is_tensor(loss) or loss:dim() ~= 0 then
    check.fail(where, "loss: expected a 0-dim tensor; got %s", check.describe(loss))
  end
  local grads = engine.grad(loss, self.params, groups.places(self.groups))
  if #present(grads) == 0 then check.fail(where, "the loss depends on none of this optimizer's parameters") end
  return tensor.no_grad(clip_and_update, self, grads, options, loss)
end

--- As minimize, from gradients that are known: one for each of self.params, false for those to leave alone.
---@param grads (Tensor|false)[]
---@param options? {lr: number|Tensor, clip: number|Tensor, guard: boolean}
function Optimizer:apply(grads, options)
  local where = self.name .. ":apply"
  check.value(where, "grads", grads, check.table)
  for i, one in ipairs(grads) do
    if one and not engine.is_tensor(one) then
      check.fail(where, "gradient %d: expected a Tensor or false; got %s", i, check.describe(one))
    end
  end
  options = check.options(where, options, STEP_OPTIONS)
  if #present(grads) == 0 then check.fail(where, "no parameter has a gradient") end
  return tensor.no_grad(clip_and_update, self, grads, options)
end

--- Updates from the parameters' own gradients (loss:backward()), which are left as they are or clipped in place.
---@param options? {lr: number|Tensor, clip: number|Tensor}
function Optimizer:step(options)
  local where = self.name .. ":step"
  options = check.options(where, options, STEP_OPTIONS)
  local grads = {}
  for i, p in ipairs(self.params) do grads[i] = p.grad or false end
  if #present(grads) == 0 then check.fail(where, "no parameter has a gradient; expected loss:backward() before") end
  return tensor.no_grad(clip_own_and_update, self, grads, options)
end

--- Forgets the gradients of all parameters.
function Optimizer:zero_grad()
  for _, p in ipairs(self.params) do p.grad = nil end
end

--- The tensors of the optimizer by name ("0.3.exp_avg" is group 0, parameter 3): live storage, for snapshots.
function Optimizer:state_dict()
  local state = {}
  for g, group in ipairs(self.groups) do
    for key, list in pairs(group.state) do
      for i, value in ipairs(list) do state[("%d.%d.%s"):format(g - 1, i - 1, key)] = value end
    end
  end
  return state
end

--- Copies tensors that state_dict gave back in.
---@param state table<string, Tensor>
function Optimizer:load_state_dict(state)
  check.value(self.name .. ".load_state_dict", "state", state, check.table)
  for g, group in ipairs(self.groups) do
    local first = group.flat and group.state.step and state[("%d.0.step"):format(g - 1)]
    for i = 2, first and #group.params or 0 do
      local other = state[("%d.%d.step"):format(g - 1, i - 1)]
      if engine.is_tensor(first) and engine.is_tensor(other) and first:item() ~= other:item() then
        groups.part(group)
        break
      end
    end
  end
  weights.load(self.name .. ".load_state_dict", self:state_dict(), state, true)
  return self
end

--- Moves the parameters and the state to a device; they stay the same parameters.
---@param device string
function Optimizer:to(device)
  local state = {}
  for name, one in pairs(self:state_dict()) do state[name] = one:clone() end
  tensor.no_grad(function()
    for _, p in ipairs(self.params) do
      local moved = p:detach():to(device)
      if moved.device ~= p.device then p:set_data(moved) end
    end
    for _, group in ipairs(self.groups) do groups.begin(group, self.makers, self.options) end
  end)
  return self:load_state_dict(state)
end

-- --- the kinds ---------------------------------------------------------------------------------------------------------

-- With dampening d, PyTorch's first step takes the whole gradient into the momentum, later ones (1 − d) of it. The kernel
-- has a flag for the first step, which a recorded step would repeat for ever; so the share is a tensor here.
local function damp(options, weight_decay, params, grads, state, given)
  local damped, before = {}, {}
  for i, grad in ipairs(grads) do
    if weight_decay ~= 0 then grad = grad + params[i] * weight_decay end
    damped[i] = grad * state.share[i]
    if given.guard then before[i] = state.share[i]:clone() end
    state.share[i]:fill_(1 - options.dampening)
  end
  if given.guard then ops.put_back_(state.share, before, given.norm) end
  return damped
end

--- Stochastic gradient descent: { lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0, nesterov = false }.
optim.SGD = class("SGD",
  { momentum = check.number(0), dampening = check.number(0), nesterov = check.boolean, maximize = check.boolean },
  { lr = 1e-3, momentum = 0, dampening = 0, weight_decay = 0, nesterov = false, maximize = false },
  function(options)
    if options.nesterov and (options.momentum == 0 or options.dampening ~= 0) then
      check.fail("optim.SGD", "nesterov needs momentum > 0 and dampening = 0")
    end
    local state = {}
    if options.momentum > 0 then state.momentum_buffer = zeros end
    if options.momentum > 0 and options.dampening > 0 then
      state.share = function(p) return engine.tensor(1, { dtype = p.dtype, device = p.device }) end
    end
    return state
  end,
  function(options, weight_decay, params, grads, state, given)
    if state.share then
      if options.maximize then weight_decay = -weight_decay end  -- the kernel negates the sum
      grads, weight_decay = damp(options, weight_decay, params, grads, state, given), 0
    end
    ops.sgd_(params, grads, state.momentum_buffer or {}, given.lr, { norm = given.norm, max_norm = given.max_norm,
      guard = given.guard, weight_decay = weight_decay, momentum = options.momentum, nesterov = options.nesterov,
      maximize = options.maximize })
  end)

local BETA = { expected = "a number from 0 to below 1", test = function(v) return type(v) == "number" and v >= 0 and v < 1 end }
local ADAM = { betas = check.list(BETA, 2), eps = check.number(0), maximize = check.boolean }

local function adam(name, decoupled, weight_decay)
  return class(name, ADAM, { lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8, weight_decay = weight_decay, maximize = false },
    function() return { step = step_count, exp_avg = zeros, exp_avg_sq = zeros } end,
    function(options, decay, params, grads, state, given)
      ops.adam_(params, grads, state.exp_avg, state.exp_avg_sq, state.step, given.lr, { norm = given.norm,
        max_norm = given.max_norm, guard = given.guard, beta1 = options.betas[1], beta2 = options.betas[2],
        weight_decay = decay, eps = options.eps, decoupled = decoupled, maximize = options.maximize })
    end)
end

--- Kingma and Ba 2015: { lr = 1e-3, betas = { .9, .999 }, eps = 1e-8, weight_decay = 0 }; the decay joins the gradient.
optim.Adam = adam("Adam", false, 0)

--- Loshchilov and Hutter 2019: Adam with the decay apart from the gradient; weight_decay = 0.01.
optim.AdamW = adam("AdamW", true, 0.01)

return optim
