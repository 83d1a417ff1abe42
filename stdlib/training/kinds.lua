--- The kinds of labels and what each means for a training: its loss on labels, what a teacher's answer is and how it is compared
--- with, what an evaluation adds up, and for each measure which way is better. Kinds are decided where data are made (labels.lua).
---   classes, tokens, soft   logits [N, C] or [N, L, C]: cross-entropy; a teacher's logits by T² · KL
---   multilabel              logits [N, C]: binary cross-entropy, mean over labels; a teacher's by T² · KL of each label's two outcomes
---   numbers                 [N] or [N, D]: squared error, mean over columns; a teacher's numbers by the same
--- All losses are means over what counts, by the rows' weights where there are some.
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local kd_terms = require "gradus.nn.kd_terms"
local loss = require "gradus.nn.loss"
local weighted = require "gradus.base.weighted"
local wide = require "gradus.base.wide"

local ops = engine.ops
local kinds = {}

local NONE = require("gradus.data.labels").none  -- a class that does not count (runtime/ops/mask.h), or is not known

-- --- logits of classes -------------------------------------------------------------------------------------------------

-- Rows without a label learn from the teacher alone.
local function classes_kd(out, b, k, o)
  local y = b.y
  local found = kd_terms.of(out, b.teacher, y, { temperature = k.temperature, alpha = k.alpha, weight = b.weight, t2 = o.t2,
    label_smoothing = o.label_smoothing, teacher_temperature = o.teacher_temperature, reverse = o.reverse,
    partial = o.partial and y and y.dtype == "int64" and y:dim() == 1 and b.teacher and true or nil })
  if not y then found.ce = nil end
  if y and y.dtype == "int64" and y:dim() == 2 then  -- of tokens: one confidence for each row, over what is hidden
    local hidden = y:ge(0)
    found.confidence = (found.confidence * hidden):sum(1) / hidden:sum(1):clamp_min(1)
  end
  return found
end

local function classes_labels(out, b, o)
  return kd_terms.of(out, nil, b.y, { temperature = 1, alpha = 1, weight = b.weight, label_smoothing = o.label_smoothing }).loss
end

-- The divergence from the teacher alone, over the positions that count.
local function classes_divergence(out, b, k, o, form)
  local y = b.y and b.y.dtype == "int64" and b.y:dim() == 2 and b.y or nil
  if form == "jsd" then return loss.jsd(out, b.teacher, { temperature = k.temperature, t2 = o.t2, weight = b.weight, target = y }) end
  return kd_terms.of(out, b.teacher, y, { temperature = k.temperature, alpha = y and 0 or nil, weight = b.weight, t2 = o.t2,
    teacher_temperature = o.teacher_temperature, reverse = form == "reverse_kl" }).loss
end

-- Of tokens what is hidden; of classes the rows with a label, unless a teacher speaks of the others.
local function classes_mass(b, labels_alone)
  local y, counts = b.y, b.weight
  if y and y.dtype == "int64" and (y:dim() == 2 or labels_alone or not b.teacher) then
    counts = b.weight and y:ge(0) * b.weight:reshape { -1, y:dim() == 2 and 1 or nil } or y:ge(0)
  end
  return counts and counts:sum { dtype = "float64" } or b.x:size(0)
end

-- Which of those that count are right, where that is asked for.
local function keep_each(sums, right, counts)
  if not sums.each then return end
  sums.each[#sums.each + 1] = (counts and right:masked_select(counts) or right:flatten()):cpu()
end

-- Rows or positions without a label do not count. The loss is kd_loss's, that training has; ce: what the loss against a teacher gave of
-- it already.
local function classes_add(sums, out, y, weight, teacher, ce)
  local right, often, found = ops.tally(out, y, teacher, NONE)
  local n, hits, same = unpack(found:totable())
  local counts = n < y:numel() and y:ne(NONE) or nil
  local mass = n
  if weight then
    local each = weight:reshape { -1, y:dim() == 2 and 1 or nil }:expand(y.shape)
    mass = (counts and each * counts or each):sum():item()
    sums.mass = sums.mass + mass
  end
  ce = ce or classes_labels(out, { y = y, weight = weight }, {})
  sums.loss, sums.n = sums.loss + ce:item() * mass, sums.n + n
  sums.right, sums.agreed = sums.right + hits, sums.agreed + same
  keep_each(sums, right, counts)
  sums.often = sums.often and sums.often + often or often
end

local function soft_add(sums, out, y, weight, teacher, ce)
  local mass = weight and weight:sum():item() or y:size(0)
  if weight then sums.mass = sums.mass + mass end
  ce = ce or classes_labels(out, { y = y, weight = weight }, {})
  sums.loss = sums.loss + ce:item() * mass
  local guess = out:argmax(-1)
  local right = guess:eq(y:argmax(-1))
  sums.right = sums.right + right:sum():item()
  keep_each(sums, right)
  local often = guess:bincount({ minlength = out:size(-1) })
  sums.often = sums.often and sums.often + often or often
  if teacher then sums.agreed = sums.agreed + guess:eq(teacher):sum():item() end
  sums.n = sums.n + y:size(0)
end

local function classes_measures(sums, n, mass)
  return { loss = sums.loss / mass, acc = sums.right / n, constant = sums.often:amax():item() / n,
    agreement = sums.asked and sums.agreed / n or nil }
end

local OF_CLASSES = { kd = classes_kd, labels = classes_labels, divergence = classes_divergence, mass = classes_mass, add = classes_add,
  measures = classes_measures, better = { loss = "lower", acc = "higher", agreement = "higher", kd_loss = "lower" }, answers = true }

-- A knob of labels that are no classes: their losses have one for all rows.
local function one_of(k, name)
  local value = k[name]
  if engine.is_tensor(value) and value:numel() ~= 1 then
    host.fail(("%s: expected one number, or classes as labels, whose loss has one for each row; got %s"):format(name,
      check.describe(value)))
  end
  return value
end

-- --- several labels at once ----------------------------------------------------------------------------------------------

local function bce(z, y) return ops.softplus(z) - z * y end

local function rows_of(out, y)
  if check.shape(out) ~= check.shape(y) then
    host.fail(("the labels are %s, several for each row, and the student gives %s; expected one logit for each label")
      :format(check.shape(y), check.shape(out)))
  end
  return y:to { dtype = out.dtype }
end

local function multilabel_labels(out, b) return weighted(bce(out, rows_of(out, b.y)):mean { dim = { -1 } }, b.weight) end

-- KL of two outcomes, σ(t / T) from σ(s / T): 0 where they agree; with T² its gradient is binary cross-entropy's.
local function multilabel_divergence(out, b, k, o, form)
  if form ~= "kl" then host.fail(("losses: %s: expected classes; of several labels at once there is kl"):format(form)) end
  if check.shape(b.teacher) ~= check.shape(out) then
    host.fail(("the teacher gives %s, the student %s; expected the same labels of both"):format(check.shape(b.teacher), check.shape(out)))
  end
  local t = wide(b.teacher:detach()) / (o.teacher_temperature or one_of(k, "temperature"))
  local s, p = out / one_of(k, "temperature"), ops.sigmoid(t)
  local rows = (bce(s, p) - bce(t, p)):mean { dim = { -1 } }
  local mean = weighted(rows, b.weight)
  return o.t2 == false and mean or mean * k.temperature * k.temperature
end

local function mixed(labels, teacher, k) return labels * one_of(k, "alpha") + teacher * (1 - k.alpha) end

local function multilabel_kd(out, b, k, o)
  local found = { confidence = b.y and ops.sigmoid(out:detach() * (rows_of(out, b.y) * 2 - 1)):mean { dim = { -1 } } or nil }
  local labels = b.y and multilabel_labels(out, b)
  local teacher = b.teacher and multilabel_divergence(out, b, k, o, "kl")
  found.ce, found.kl = labels, teacher
  found.loss = labels and teacher and mixed(labels, teacher, k) or labels or teacher
  return found
end

local function multilabel_add(sums, out, y, weight, teacher)
  y = rows_of(out, y)
  local rows = bce(out, y):mean { dim = { -1 } }
  if weight then sums.mass = sums.mass + weight:sum():item() end
  sums.loss = sums.loss + (weight and rows * weight or rows):sum():item()
  local right = out:gt(0):eq(y:gt(.5))
  sums.right = sums.right + right:double():mean { dim = { -1 } }:sum():item()
  keep_each(sums, right)
  if teacher then sums.agreed = sums.agreed + out:gt(0):eq(teacher):double():mean { dim = { -1 } }:sum():item() end
  sums.n = sums.n + y:size(0)
end

local function multilabel_measures(sums, n, mass)
  return { loss = sums.loss / mass, acc = sums.right / n, agreement = sums.asked and sums.agreed / n or nil }
end

-- --- numbers -----------------------------------------------------------------------------------------------------------

-- The student's numbers in the labels' shape.
local function fitted(out, y, whose)
  if out:numel() ~= y:numel() or out:dim() == 0 or out:size(0) ~= y:size(0) then
    host.fail(("the labels are numbers %s and the %s gives %s; expected one number for each"):format(check.shape(y), whose,
      check.shape(out)))
  end
  return out:reshape(y.shape)
end

local function error_of(out, wanted, weight)
  if not weight and wanted:dim() == 1 then return loss.mse(out, wanted) end
  local squares = (out - wanted):square()
  return weighted(squares:dim() > 1 and squares:flatten(1):mean { dim = { -1 } } or squares, weight)
end

local function numbers_labels(out, b)
  local y = b.y:to { dtype = out.dtype }
  return error_of(fitted(out, y, "student"), y, b.weight)
end

local function numbers_divergence(out, b, _, _, form)
  if form ~= "kl" then host.fail(("losses: %s: expected classes; numbers are compared by squared error (kd, labels)"):format(form)) end
  return error_of(out, fitted(b.teacher:detach(), out, "teacher"), b.weight)
end

local function numbers_kd(out, b, k)
  if not b.teacher then return { loss = numbers_labels(out, b) } end
  local teacher = numbers_divergence(out, b, nil, nil, "kl")
  if not b.y then return { loss = teacher, teacher_mse = teacher } end
  local labels = numbers_labels(out, b)
  return { loss = mixed(labels, teacher, k), mse = labels, teacher_mse = teacher }
end

local function rows_mass(b) return b.weight and b.weight:sum { dtype = "float64" } or b.x:size(0) end

local function numbers_add(sums, out, y, weight)
  y = y:to { dtype = out.dtype }
  out = fitted(out, y, "student")
  local off, columns = (out - y):abs(), y:numel() / y:size(0)
  if not weight then
    sums.loss = sums.loss + ops.mse_loss(out, y, { reduction = "sum" }):item() / columns
    sums.off = sums.off + off:sum():item() / columns
  else
    off = off:dim() > 1 and off:flatten(1) or off:unsqueeze(1)
    sums.loss = sums.loss + (off:square():mean { dim = { -1 } } * weight):sum():item()
    sums.off = sums.off + (off:mean { dim = { -1 } } * weight):sum():item()
    sums.mass = sums.mass + weight:sum():item()
  end
  sums.n = sums.n + y:size(0)
end

local function numbers_measures(sums, _, mass)
  return { loss = sums.loss / mass, rmse = math.sqrt(sums.loss / mass), mae = sums.off / mass }
end

-- Of what a model in mixed precision gives, too.
local function widened(fn)
  return function(out, ...) return fn(wide(out), ...) end
end

-- --- the table -----------------------------------------------------------------------------------------------------------

kinds.classes, kinds.tokens = OF_CLASSES, OF_CLASSES
kinds.soft = setmetatable({ add = soft_add, mass = rows_mass }, { __index = OF_CLASSES })
kinds.multilabel = { kd = widened(multilabel_kd), labels = widened(multilabel_labels), divergence = widened(multilabel_divergence),
  mass = rows_mass,
  add = multilabel_add, measures = multilabel_measures, answers = true,
  better = { loss = "lower", acc = "higher", agreement = "higher", kd_loss = "lower" } }
kinds.numbers = { kd = widened(numbers_kd), labels = widened(numbers_labels), divergence = widened(numbers_divergence),
  mass = rows_mass, add = numbers_add,
  measures = numbers_measures, better = { loss = "lower", rmse = "lower", mae = "lower", kd_loss = "lower" } }
-- A softmax over one output is 1 whatever the teacher says.
local function several(fn)
  return function(out, ...)
    if out:size(-1) < 2 then
      host.fail("the data have no labels and the student has one output, whose softmax is always 1; expected several, or "
        .. "data.tensors(x, nil, { answers = 'numbers' }), or 'multilabel'")
    end
    return fn(out, ...)
  end
end

-- Rows without labels are measured by a teacher's answers: loss is how far the model is from them. count(out, teacher): over how much, and
-- how much agrees. Beside them a training may have a suite with labels.
local function or_unlabelled(add, count)
  return function(sums, out, y, weight, teacher, apart)
    if y then return add(sums, out, y, weight, teacher, apart) end
    local n, agreed = count(out, teacher)
    local mass = weight and weight:sum():item() or n
    sums.unlabelled, sums.n, sums.agreed = true, sums.n + n, sums.agreed + (agreed or 0)
    sums.mass = weight and sums.mass + mass or sums.mass
    sums.loss = apart and sums.loss + apart:item() * mass or 0 / 0
  end
end

local function measures_of(measures, agrees)
  return function(sums, n, mass)
    if not sums.unlabelled then return measures(sums, n, mass) end
    return { loss = sums.loss == sums.loss and sums.loss / mass or nil, agreement = agrees and sums.asked and sums.agreed / n or nil }
  end
end

local function count_classes(out, teacher)
  local guess = out:argmax(-1)
  return guess:numel(), teacher and guess:eq(teacher):sum():item()
end

local function count_several(out, teacher)
  return out:size(0), teacher and out:gt(0):eq(teacher):double():mean { dim = { -1 } }:sum():item()
end

local function count_rows(out) return out:size(0) end

--- Rows without labels: a teacher's logits alone.
kinds.none = setmetatable({ kd = several(classes_kd), divergence = several(classes_divergence),
  add = or_unlabelled(classes_add, count_classes), measures = measures_of(classes_measures, true) }, { __index = OF_CLASSES })
for kind, count in pairs { numbers = count_rows, multilabel = count_several } do
  local rules = kinds[kind]
  rules.add, rules.measures = or_unlabelled(rules.add, count), measures_of(rules.measures, rules.answers)
end

return kinds
