--- What run:fit is given, as what distill takes: a student that learns from labels alone.
local host = require "gradus.host"
local check = require "gradus.base.check"

local FIT = { "model", "data", "epochs", "steps", "lr", "batch", "augment", "augmentations", "optimizer", "weight_decay", "clip",
  "warmup", "decay", "label_smoothing", "monitor", "patience", "restore_best", "evaluate", "checkpoints", "stop",
  "accumulate", "losses", "metrics", "non_finite", "suites" }

---@param options table   as of run:fit
---@return table          distill's options
return function(options)
  options = options or {}
  check.options("fit", options, FIT)
  if not require("gradus.nn.module").is_module(options.model) then
    host.fail("fit: model: expected a module; got " .. check.describe(options.model))
  end
  local given = { student = options.model, alpha = 1, budget = { epochs = options.epochs, steps = options.steps } }
  for _, name in ipairs(FIT) do
    if name ~= "model" and name ~= "epochs" and name ~= "steps" and name ~= "stop" then given[name] = options[name] end
  end
  if options.stop then given.curriculum = { advance = options.stop } end
  if not next(given.budget) then host.fail "fit: expected epochs = … or steps = …" end
  return given
end
