--- Gradus: curricula for knowledge distillation. `local g = require "gradus"` gives
---   g.experiment, g.int, g.choice, g.number      an experiment and its typed parameters
---   g.nn, g.optim, g.loss, g.data, g.sampler     modules, optimizers, losses, data; g.cfg, g.tokenizer
---   g.runs { where = … }, g.compare { … }        earlier runs of the store, and groups of them side by side
---   g.seeds { sd = …, effect = … }               as many seeds as a comparison needs
---   g.sweep { set = …, by = …, run = … }         many runs at once, their parameters chosen by a search
---   g.score, g.schedule, g.when, g.curriculum    difficulty, schedules, advance rules, named strategies
---   g.target, g.probe, g.sparkline               what is imitated; what a network has found; a curve in a line
---   g.tensor, g.zeros, g.matmul, …               tensors and LibTorch's operators (g.help "softmax")
local engine = require "gradus.engine"
local host = require "gradus.host"
local tensor = require "gradus.base.tensor"

local check = require "gradus.base.check"

local g = {}

--- A tensor from a number or nested lists; float32, of whole numbers too, unless a dtype is given.
---   local t = g.tensor({ { 1, 2 }, { 3, 4 } }, "int64")
---@param data any             a number, true or false, or lists of lists of them, all of one length
---@param options? string|table  a dtype, or { dtype =, device =, requires_grad = }
---@return Tensor
g.tensor = engine.tensor

--- Whether a value is a tensor.
---   local yes = g.is_tensor(g.ones(2))
---@param value any
g.is_tensor = engine.is_tensor

--- The name of a device in full, "cuda:0" for "cuda"; an error where there is none of the kind.
---   local name = g.device "cpu"
---@param name string
---@return string
function g.device(name) return engine.device(check.value("device", "name", name, check.string)) end

--- The bytes that tensors hold at present.
---   local bytes = g.memory()
---@return number
g.memory = engine.memory

--- The gradients of a 0-dim loss, one for each tensor of a list; false where it does not depend on one.
---   local w = nn.Parameter(g.ones(2))
---   local grads = g.grad((w * w):sum(), { w })
---@param loss Tensor
---@param tensors Tensor[]
---@return (Tensor|false)[]
g.grad = engine.grad

local SEED = check.int(0, 2 ^ 53)

--- A source of random numbers of its own: g.randn({ 2 }, { generator = generator }).
---   local generator = g.generator(7)
---@param seed? number  0
function g.generator(seed) return engine.generator(check.value("generator", "seed", seed or 0, SEED)) end

--- Seeds what operators draw from that are given no generator. A run has seeded it already.
---   g.manual_seed(7)
---@param seed number
function g.manual_seed(seed) return engine.manual_seed(check.value("manual_seed", "seed", seed, SEED)) end

for name, op in pairs(engine.ops) do
  if not name:find "^_" then g[name] = op end
end
g.no_grad, g.scope, g.full, g.autocast = tensor.no_grad, tensor.scope, tensor.full, tensor.autocast

--- The floating-point operations that fn(…) does: matrix products and convolutions (runtime/flops.h). A module's inputs
--- go where it is.
---@param fn fun(...): any
---@param ... any
---@return number
function g.flops(fn, ...)
  check.value("flops", "fn", fn, check.callable)
  local given = { ... }
  for i, one in pairs(type(fn) == "table" and given or {}) do
    if engine.is_tensor(one) then given[i] = one:to(fn:device()) end
  end
  local count = engine.count_flops()
  local ok, err = pcall(tensor.no_grad, fn, unpack(given, 1, select("#", ...)))
  local flops = count()
  if not ok then error(err, 0) end
  return flops
end

-- Loaded on first use, so that a script pays for what it asks for.
local MODULES = { nn = "nn", optim = "optim.optimizer", loss = "nn.loss", data = "data.data", cfg = "data.cfg",
  tokenizer = "data.tokenizer", sampler = "curriculum.sampler", score = "curriculum.score", schedule = "curriculum.schedule",
  when = "curriculum.when", curriculum = "curriculum.curriculum", target = "curriculum.target", probe = "training.probe",
  runs = "experiment.runs", compare = "experiment.compare", sweep = "experiment.sweep", sparkline = "base.sparkline" }
local FROM = { experiment = "experiment.experiment", int = "experiment.params", number = "experiment.params",
  choice = "experiment.params", kd_loss = "nn.loss", projection = "nn.loss", fit = "experiment.run",
  step_mode = "step.step", seeds = "experiment.seeds" }
for name in pairs(FROM) do g[name] = nil end  -- kd_loss with options by name, not the operator

--- What is known about a name, a function or an object: signature, options, formula, example. Nothing given: what there is.
---   print(g.help "sampler.weighted")
---@param topic any
---@return string
function g.help(topic) return require("gradus.help.help").of(topic) end

-- All that `g.` may be followed by, loaded or not.
local function names()
  local list = engine.op_names()
  for _, from in ipairs { MODULES, FROM, g } do
    for known in pairs(from) do list[#list + 1] = known end
  end
  return list
end

setmetatable(g, {
  __names = names,
  __index = function(_, name)
    if MODULES[name] then
      local module = require("gradus." .. MODULES[name])
      g[name] = (type(module) ~= "table" or getmetatable(module)) and module or check.names("g." .. name, module)
    elseif FROM[name] then
      g[name] = require("gradus." .. FROM[name])[name]
    else
      host.fail(("gradus has no '%s'%s"):format(tostring(name), check.instead(name, names(), "g")))
    end
    return rawget(g, name)
  end,
})

return g
