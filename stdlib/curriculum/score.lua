--- Difficulty scores: what `data:rank(score)` sorts by, easiest (lowest) first. A score is a function of inputs and
--- labels to one number per example; the teacher-based ones follow Weinshall et al. (ICML 2018, "transfer teacher").
local engine = require "gradus.engine"
local host = require "gradus.host"

local ops = engine.ops
local score = {}

local function over(name, teacher, of_logits)
  if type(teacher) ~= "table" or not teacher.forward then
    host.fail(("score.%s: expected a module; got %s"):format(name, type(teacher)))
  end
  return function(x, y)
    local training = teacher.training
    teacher:eval()
    local device = teacher:device()
    local values = of_logits(teacher(x:to(device)), y and y:to(device))
    if training then teacher:train() end
    return values
  end
end

--- The teacher's cross-entropy with the label.
---@param teacher Module
function score.loss(teacher)
  return over("loss", teacher, function(logits, y) return ops.cross_entropy_loss(logits, y, { reduction = "none" }) end)
end

--- The entropy of the teacher's prediction, in nats; needs no labels.
---@param teacher Module
function score.entropy(teacher)
  return over("entropy", teacher, function(logits)
    local log_p = logits:log_softmax(-1)
    return -(log_p:exp() * log_p):sum { dim = -1 }
  end)
end

--- Minus the margin: the best wrong class's probability minus the label's.
---@param teacher Module
function score.margin(teacher)
  return over("margin", teacher, function(logits, y)
    local p = logits:softmax(-1)
    local own = p:gather(1, y:unsqueeze(1))
    local others = p:scatter(1, y:unsqueeze(1), -1)
    return others:amax { dim = { 1 } } - own:squeeze(1)
  end)
end

--- A function(x, y) of your own that returns one number per example, low for easy.
---@param fn fun(x: Tensor, y: Tensor): Tensor
function score.by(fn)
  if type(fn) ~= "function" then host.fail("score.by: expected a function(x, y); got " .. type(fn)) end
  return fn
end

return score
