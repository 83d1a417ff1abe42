--- Evaluation: a model's loss and accuracy on a data set, without gradients, in evaluation mode.
local engine = require "gradus.engine"
local host = require "gradus.host"
local data = require "gradus.data.dataset"

local ops = engine.ops
local CHUNK = 1024  -- rows at a time; has its own shapes, so evaluation never disturbs the training step

local NONE = -100     -- a label that does not count (runtime/ops/mask.h)

local function is_classes(y) return y.dtype == "int64" and y:dim() <= 2 end

--- { loss, acc, n } of the model on the data (regression: loss is the mean squared error, no acc); with a teacher, or the
--- classes [n] that it gives, also `agreement`, the share of rows where both give the same class. `constant` is the share of
--- the class that the model gives most often. Of tokens, all are means over the positions that are hidden, and n is their number.
---@param model Module
---@param d Dataset
---@param teacher? Module|Tensor
return function(model, d, teacher)
  if type(model) ~= "table" or not model.forward then host.fail("evaluate: expected a module; got " .. type(model)) end
  if not data.is(d) then host.fail("evaluate: expected a data set; got " .. type(d)) end
  if not d.base.y and not d.base.masking then host.fail("evaluate: the data set has no labels") end
  local training = model.training
  model:eval()
  local given = engine.is_tensor(teacher) and teacher
  if teacher and not given then teacher:eval() end
  local loss, right, agreed, done, n, classes = 0, 0, 0, 0, 0, false
  local given_often = 0
  d:each(CHUNK, function(x, y)
    local out = model(x)
    classes = is_classes(y)
    if classes then
      loss = loss + ops.cross_entropy_loss(out:flatten(0, -2), y:flatten(), { reduction = "sum", ignore_index = NONE }):item()
      local guess, counts = out:argmax(-1), y:ne(NONE)
      right = right + guess:eq(y):sum():item()
      given_often = given_often + guess:masked_select(counts):bincount({ minlength = out:size(-1) })
      local wanted = given and given:slice(0, done, done + x:size(0)):to(guess.device) or teacher and teacher(x):argmax(-1)
      if wanted then agreed = agreed + guess:eq(wanted):logical_and(counts):sum():item() end
      n = n + counts:sum():item()
    else
      loss = loss + ops.mse_loss(out:reshape(y.shape), y, { reduction = "sum" }):item() / (y:numel() / y:size(0))
      n = n + y:size(0)
    end
    done = done + x:size(0)
  end, model:device())
  if training then model:train() end
  if n == 0 then host.fail("evaluate: no position is hidden in any of the rows; expected more rows or a higher share") end
  local constant = classes and given_often:amax():item() / n or nil
  return { loss = loss / n, constant = constant, acc = classes and right / n or nil,
    agreement = teacher and classes and agreed / n or nil, n = n }
end
