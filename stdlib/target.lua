--- The target axis: what is imitated.
---   teacher                                     a module: its logits
---   { { teacher_a, .7 }, { teacher_b, .3 } }    several: the weighted mean of their logits
---   "labels"                                    nobody: labels alone
---   target.layer { teacher = t, from = "layers.0", to = "layers.0", seed = 0 }
---                                               a hidden layer through a fixed seeded random projection, by MSE
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.check"
local loss = require "gradus.loss"
local tensor = require "gradus.tensor"

local target = {}

---@class Target
---@field of fun(x: Tensor): Tensor   what the batch should imitate; computed without gradient, outside of the step
---@field kind string                 "logits", "labels" or "layer"
local Target = {}
Target.__index = Target

local function make(fields) return setmetatable(fields, Target) end
local function is_module(value) return type(value) == "table" and value.forward ~= nil and value.parameters ~= nil end

local function frozen(module, call)
  return function(x)
    if module.training then module:eval() end
    return tensor.no_grad(call or module, x)
  end
end

--- A hidden layer of the teacher through a fixed Gaussian matrix / √width (Gupta & Karmalkar 2025, definition 3.1).
--- The student's layer is compared with it by mean squared error.
---@param options {teacher: Module, from: string, to: string, seed: number?, dim: number?}  dim: the student layer's width, found at the first batch when left out
function target.layer(options)
  check.options("target.layer", options, { "teacher", "from", "to", "seed", "dim" })
  if not is_module(options.teacher) then host.fail "target.layer: teacher: expected a module" end
  for _, name in ipairs { "from", "to" } do
    if type(options[name]) ~= "string" then host.fail(("target.layer: %s: expected a layer's path such as 'layers.0'"):format(name)) end
  end
  local self = make { kind = "layer", to = options.to, teacher = options.teacher }
  self.text = ("layer %s -> %s"):format(options.from, options.to)
  self.of = frozen(options.teacher, function(x)
    local _, taps = options.teacher:forward_taps(x, { options.from })
    return taps[options.from]:flatten(1)
  end)
  -- The matrix is made when both widths are known, from its own seed: no stream of the run moves.
  self.project = function(student_features, features)
    if not self.projection then
      self.projection = loss.projection(features:size(1), options.dim or student_features:size(1), options.seed or 0)
    end
    return self.projection
  end
  return self
end

--- The target that an answer of the axis stands for.
function target.resolve(where, answer)
  if getmetatable(answer) == Target then return answer end
  if answer == "labels" or answer == nil then return make { kind = "labels", text = "labels" } end
  if is_module(answer) then return make { kind = "logits", text = "teacher", teacher = answer, of = frozen(answer) } end
  if type(answer) == "table" and #answer > 0 then
    local total = 0
    for i, one in ipairs(answer) do
      if type(one) ~= "table" or not is_module(one[1]) or type(one[2]) ~= "number" or not (one[2] > 0) then
        host.fail(("%s: teacher %d: expected { module, weight above 0 }"):format(where, i))
      end
      total = total + one[2]
    end
    return make { kind = "logits", text = #answer .. " teachers", teacher = answer[1][1], of = function(x)
      local mean
      for _, one in ipairs(answer) do
        local logits = frozen(one[1])(x) * (one[2] / total)
        mean = mean and mean + logits or logits
      end
      return mean
    end }
  end
  host.fail(("%s: expected a module, { { module, weight }, … }, 'labels' or target.layer; got %s"):format(where, tostring(answer)))
end

return target
