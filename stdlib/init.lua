--- Gradus: curricula for knowledge distillation. `local g = require "gradus"` gives
---   g.experiment, g.int, g.choice, g.number      an experiment and its typed parameters
---   g.nn, g.optim, g.loss, g.data, g.sampler     modules, optimizers, losses, data; g.cfg, g.tokenizer
---   g.runs { where = … }, g.compare { … }        earlier runs of the store, and groups of them side by side
---   g.sweep { set = …, by = …, run = … }         many runs at once, their parameters chosen by a search
---   g.score, g.schedule, g.when, g.curriculum    difficulty, schedules, advance rules, named strategies
---   g.target, g.probe, g.sparkline               what is imitated; what a network has found; a curve in a line
---   g.tensor, g.zeros, g.matmul, …               tensors and LibTorch's operators (g.help "softmax")
local engine = require "gradus.engine"
local host = require "gradus.host"
local tensor = require "gradus.base.tensor"

local g = { help = engine.help, device = engine.device, is_tensor = engine.is_tensor, tensor = engine.tensor,
  generator = engine.generator, manual_seed = engine.manual_seed, memory = engine.memory, grad = engine.grad }

for name, op in pairs(engine.ops) do
  if not name:find "^_" then g[name] = op end
end
g.no_grad, g.scope, g.full, g.autocast = tensor.no_grad, tensor.scope, tensor.full, tensor.autocast

--- The floating-point operations that fn(…) does: matrix products and convolutions (runtime/flops.h). A module's inputs
--- go where it is.
function g.flops(fn, ...)
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
local MODULES = { nn = "nn", optim = "optim.optimizer", loss = "training.loss", data = "data.dataset", cfg = "data.cfg",
  tokenizer = "data.tokenizer", sampler = "curriculum.sampler", score = "curriculum.score", schedule = "curriculum.schedule",
  when = "curriculum.when", curriculum = "curriculum.curriculum", target = "curriculum.target", probe = "training.probe",
  runs = "experiment.runs", compare = "experiment.compare", sweep = "experiment.sweep", sparkline = "base.sparkline" }
local FROM = { experiment = "experiment.experiment", int = "experiment.params", number = "experiment.params",
  choice = "experiment.params", kd_loss = "training.loss", projection = "training.loss", fit = "experiment.run",
  step_mode = "step.step" }
for name in pairs(FROM) do g[name] = nil end  -- kd_loss with options by name, not the operator

setmetatable(g, {
  __index = function(_, name)
    if MODULES[name] then
      local module = require("gradus." .. MODULES[name])
      g[name] = (type(module) ~= "table" or getmetatable(module)) and module or require "gradus.base.check".names("g." .. name, module)
    elseif FROM[name] then
      g[name] = require("gradus." .. FROM[name])[name]
    else
      local names = engine.op_names()
      for _, from in ipairs { MODULES, FROM, g } do
        for known in pairs(from) do names[#names + 1] = known end
      end
      local near = host.nearest(tostring(name), names)
      host.fail(("gradus has no '%s'%s"):format(tostring(name), near and ("; did you mean '%s'?"):format(near) or ""))
    end
    return rawget(g, name)
  end,
})

return g
