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
  optim = require "stdlib.optim",
  loss = require "stdlib.loss",
  data = require "stdlib.data",
  sampler = require "stdlib.sampler",
  score = require "stdlib.score",
  schedule = require "stdlib.schedule",
  when = require "stdlib.when",
  curriculum = require "stdlib.curriculum",
  target = require "stdlib.target",
  runs = require "stdlib.runs",
  compare = require "stdlib.compare",
  probe = require "stdlib.probe",
  sparkline = require "stdlib.sparkline",
  cfg = require "stdlib.cfg",
  tokenizer = require "stdlib.tokenizer",
  experiment = require("stdlib.experiment").experiment,
  int = require("stdlib.params").int,
  number = require("stdlib.params").number,
  choice = require("stdlib.params").choice,
  kd_loss = require("stdlib.loss").kd_loss,
  projection = require("stdlib.loss").projection,
  fit = require("stdlib.run").fit,
  step_mode = require("stdlib.step").step_mode,
  no_grad = require("stdlib.tensor").no_grad,
  scope = require("stdlib.tensor").scope,
}

---@param data any  nested lists or a number
---@param options? { dtype: string, device: string }
---@return Tensor
function g.tensor(data, options) end

---@param name string
---@return string
function g.help(name) end

return g
