--- Optimizers over LibTorch's fused kernels, with PyTorch's names, defaults and results.
---   local opt = optim.AdamW(net, { lr = 3e-3, weight_decay = .01 })
---   opt:minimize(loss, { lr = k.lr, clip = 1 })            -- gradients, clipping, update
---   opt:zero_grad(); loss:backward(); opt:step()           -- or as in PyTorch
--- The first argument is a module, a list of parameters, or a list of groups { params =, lr_scale =, weight_decay = }.
--- Nothing of a step is read on the host: steps are counted in tensors, the learning rate is one, so that a recorded step
--- can be replayed.
local check = require "gradus.check"
local engine = require "gradus.engine"
local recording = require "gradus.recording"
local scalar = require "gradus.scalar"
local tensor = require "gradus.tensor"
local weights = require "gradus.weights"

local ops = engine.ops
local optim = {}

---@class Optimizer
---@field lr number|Tensor   used where a step is given none
local Optimizer = {}
Optimizer.__index = Optimizer

local LR = check.either(check.number(0), check.tensor)
local CLIP = check.either(check.above(0), check.tensor)

-- --- parameters and their state ----------------------------------------------------------------------------------------

local function list_of(where, params)
  if type(params) == "table" and params.parameters then params = params:parameters() end
  if type(params) ~= "table" or #params == 0 then
    check.fail(where, "expected a module or a list of parameters; got %s",
      type(params) == "table" and "none" or check.describe(params))
  end
  return params
end

local function groups_of(where, params, weight_decay)
  local given = params
  local is_groups = type(params) == "table" and not params.parameters and type(params[1]) == "table" and params[1].params
  if not is_groups then given = { { params = params } } end
  local groups, seen = {}, {}
  for i, one in ipairs(given) do
    local group = check.options(where .. ": group " .. i, one,
      { params = check.any, lr_scale = check.number(0), weight_decay = check.number(0) },
      { lr_scale = 1, weight_decay = weight_decay })
    group.params = list_of(where, group.params)
    for j, p in ipairs(group.params) do
      check.value(where, "parameter " .. j, p, check.tensor)
      if not (p.is_leaf and p:is_contiguous()) then
        check.fail(where, "parameter %d of shape [%s] is no contiguous leaf; expected nn.Parameter(t:contiguous())", j,
          table.concat(p.shape, ", "))
      end
      if seen[p] then check.fail(where, "parameter %d of group %d is given twice", j, i) end
      seen[p] = true
    end
    groups[i] = group
  end
  return groups
end

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
    self.groups = groups_of(where, params, options.weight_decay)
    for _, group in ipairs(self.groups) do
      group.state = {}
      for key, make in pairs(state(options)) do
        group.state[key] = {}
        for i, p in ipairs(group.params) do group.state[key][i] = tensor.no_grad(make, p) end
      end
      for _, p in ipairs(group.params) do self.params[#self.params + 1] = p end
    end
    return self
  end
end

local function zeros(p) return ops.zeros_like(p) end
local function step_count() return engine.tensor(0, { dtype = "float32" }) end

-- The members of `list` at the given positions; the list itself when that is all of it.
local function pick(list, positions)
  if #positions == #list then return list end
  local picked = {}
  for i, position in ipairs(positions) do picked[i] = list[position] end
  return picked
end

-- --- a step ------------------------------------------------------------------------------------------------------------

-- grads: one for each of self.params, false or nil for those to leave alone.
-- skip: 0-dim float32, 1 leaves everything as it is; nil for never.
local function update(self, grads, lr, skip)
  if lr == nil then recording.note(self, "lr") end
  lr = scalar(lr or self.lr)
  if lr.dtype ~= "float64" then lr = lr:double() end  -- the kernels round otherwise with a float32 rate
  local offset = 0
  for _, group in ipairs(self.groups) do
    local positions, own = {}, {}
    for i = 1, #group.params do
      local grad = grads[offset + i]
      if grad then
        positions[#positions + 1] = i
        own[#own + 1] = grad:is_contiguous() and grad or grad:contiguous()  -- the kernels do not look at strides
      end
    end
    offset = offset + #group.params
    if #own > 0 then
      local state = {}
      for key, list in pairs(group.state) do state[key] = pick(list, positions) end
      self.update_group(self.options, group.weight_decay, pick(group.params, positions), own, state,
        group.lr_scale == 1 and lr or lr * group.lr_scale, skip)
    end
  end
end

local function present(grads)
  local list = {}
  for _, grad in ipairs(grads) do
    if grad then list[#list + 1] = grad end
  end
  return list
end

local function clip_and_update(self, grads, options)
  local given = present(grads)
  local limit = options.clip or options.guard and math.huge
  local norm = limit and ops.clip_grad_norm_(given, scalar(limit)) or nil
  update(self, grads, options.lr, options.guard and norm:isfinite():logical_not():float() or nil)
  return norm
end

local STEP_OPTIONS = { lr = LR, clip = CLIP, guard = check.boolean }

--- Computes the gradients of a 0-dim loss, clips their global L2 norm to `clip` where given, and updates. Parameters that
--- the loss does not depend on stay as they are. Returns the norm before clipping (0-dim tensor; nil without clip). With
--- guard = true a gradient with NaN or infinity changes no parameter; the norm tells.
---@param loss Tensor
---@param options? {lr: number|Tensor, clip: number|Tensor, guard: boolean}
function Optimizer:minimize(loss, options)
  local where = self.name .. ":minimize"
  options = check.options(where, options, STEP_OPTIONS)
  if not engine.is_tensor(loss) or loss:dim() ~= 0 then
    check.fail(where, "loss: expected a 0-dim tensor; got %s", check.describe(loss))
  end
  local grads = engine.grad(loss, self.params)
  if #present(grads) == 0 then check.fail(where, "the loss depends on none of this optimizer's parameters") end
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
  return tensor.no_grad(clip_and_update, self, grads, options)
end

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

function Optimizer:load_state_dict(state)
  weights.load(self.name .. ".load_state_dict", self:state_dict(), state, true)
  return self
end

-- --- the kinds ---------------------------------------------------------------------------------------------------------

-- With dampening d, PyTorch's first step takes the whole gradient into the momentum, later ones (1 − d) of it. The kernel
-- has a flag for the first step, which a recorded step would repeat for ever; so the share is a tensor here.
local function damp(options, weight_decay, params, grads, state)
  local damped = {}
  for i, grad in ipairs(grads) do
    if weight_decay ~= 0 then grad = grad + params[i] * weight_decay end
    damped[i] = grad * state.share[i]
    state.share[i]:fill_(1 - options.dampening)
  end
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
      state.share = function(p) return engine.tensor(1, { dtype = p.dtype }) end
    end
    return state
  end,
  function(options, weight_decay, params, grads, state, lr, skip)
    if state.share then
      if options.maximize then weight_decay = -weight_decay end  -- the kernel negates the sum
      grads, weight_decay = damp(options, weight_decay, params, grads, state), 0
    end
    ops._fused_sgd_(params, grads, state.momentum_buffer or {}, { weight_decay = weight_decay, momentum = options.momentum,
      lr = lr, dampening = 0, nesterov = options.nesterov, maximize = options.maximize, is_first_step = false,
      found_inf = skip })
  end)

local ADAM = { betas = check.list(check.number(0, 1), 2), eps = check.number(0), maximize = check.boolean }

local function adam(name, kernel, weight_decay)
  return class(name, ADAM, { lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8, weight_decay = weight_decay, maximize = false },
    function() return { step = step_count, exp_avg = zeros, exp_avg_sq = zeros } end,
    function(options, decay, params, grads, state, lr, skip)
      ops._foreach_add_(state.step, 1)
      kernel(params, grads, state.exp_avg, state.exp_avg_sq, {}, state.step, { lr = lr, beta1 = options.betas[1],
        beta2 = options.betas[2], weight_decay = decay, eps = options.eps, amsgrad = false, maximize = options.maximize,
        found_inf = skip })
    end)
end

--- Kingma and Ba 2015: { lr = 1e-3, betas = { .9, .999 }, eps = 1e-8, weight_decay = 0 }; the decay joins the gradient.
optim.Adam = adam("Adam", ops._fused_adam_, 0)

--- Loshchilov and Hutter 2019: Adam with the decay apart from the gradient; weight_decay = 0.01.
optim.AdamW = adam("AdamW", ops._fused_adamw_, 0.01)

return optim
