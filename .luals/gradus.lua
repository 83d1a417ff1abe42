---@meta gradus

-- What `require "gradus"` gives, for editors: the modules load on first use, which a language server cannot see.

---@class Tensor
---@field shape integer[]
---@field dtype string
---@field device string
---@field grad Tensor?
---@field requires_grad boolean
---@field [string] fun(self: Tensor, ...): any  every operator that takes a tensor first; g.help "softmax" tells its arguments

---@class gradus
---@field [string] fun(...): any  LibTorch's operators by name
local g = {
  nn = require "stdlib.nn",
  optim = require "stdlib.optim.optimizer",
  loss = require "stdlib.nn.loss",
  data = require "stdlib.data.data",
  sampler = require "stdlib.curriculum.sampler",
  score = require "stdlib.curriculum.score",
  schedule = require "stdlib.curriculum.schedule",
  when = require "stdlib.curriculum.when",
  curriculum = require "stdlib.curriculum.curriculum",
  target = require "stdlib.curriculum.target",
  runs = require "stdlib.experiment.runs",
  compare = require "stdlib.experiment.compare",
  probe = require "stdlib.training.probe",
  sparkline = require "stdlib.base.sparkline",
  cfg = require "stdlib.data.cfg",
  tokenizer = require "stdlib.data.tokenizer",
  experiment = require("stdlib.experiment.experiment").experiment,
  int = require("stdlib.experiment.params").int,
  number = require("stdlib.experiment.params").number,
  choice = require("stdlib.experiment.params").choice,
  kd_loss = require("stdlib.nn.loss").kd_loss,
  projection = require("stdlib.nn.loss").projection,
  fit = require("stdlib.experiment.run").fit,
  step_mode = require("stdlib.step.step").step_mode,
  no_grad = require("stdlib.base.tensor").no_grad,
  scope = require("stdlib.base.tensor").scope,
}

---@param data any  nested lists or a number
---@param options? { dtype: string, device: string }
---@return Tensor
function g.tensor(data, options) end

---@param topic any  a name, a function, an object; nil: what there is
---@return string
function g.help(topic) end

return g
