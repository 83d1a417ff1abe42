--- The distillation loss of options that are known to be good, for loss.lua, which checks them, and for trainings, which have done so.
local engine = require "gradus.engine"
local scalar = require "gradus.base.scalar"
local weighted = require "gradus.base.weighted"

local ops = engine.ops
local kd_terms = {}

local IGNORED = -100

-- The operator's named arguments, from checked options.
function kd_terms.options(o, device)
  return { teacher_temperature = o.teacher_temperature and scalar(o.teacher_temperature, device), weight = o.weight,
    label_smoothing = o.label_smoothing, ignore_index = o.ignore_index, t2 = o.t2, reverse = o.reverse }
end

-- A call's named arguments may not be an empty table, which would be an empty list.
function kd_terms.call(student, teacher, target, temperature, alpha, named)
  local device = student.device
  local t, a = scalar(temperature, device), scalar(alpha, device)
  if next(named) == nil then return ops.kd_loss(student, teacher, target, t, a) end
  return ops.kd_loss(student, teacher, target, t, a, named)
end

-- [N] as [N, 1], beside rows [N, L].
function kd_terms.widened(weight, dims)
  while weight:dim() < dims do weight = weight:unsqueeze(-1) end
  return weight
end

-- Rows that count where those of a class `ignored` do not; each also [N, L].
function kd_terms.counted(target, ignored) return target:ne(ignored or IGNORED):float() end

-- Rows without a class have the teacher's term alone (alpha 0 for them), all others both: the mean over all.
local function call_partial(student, teacher, target, o, temperature, alpha)
  local known = kd_terms.counted(target, o.ignore_index)
  local weights = o.weight and kd_terms.widened(o.weight, known:dim()) or 1
  local named = kd_terms.options(o, student.device)
  local value, ce, kl, confidence, entropy, per_sample = kd_terms.call(student, teacher, target, temperature, alpha, named)
  named.label_smoothing, named.ignore_index, named.weight = nil, nil, (1 - known) * weights
  local more, _, more_kl, likeliest, _, per_other = kd_terms.call(student, teacher, nil, temperature, 0, named)
  local masses = ops.stack({ (known * weights):sum { dtype = "float64" }, named.weight:sum { dtype = "float64" } }, 0)
  local labelled = known:gt(0)
  return weighted(ops.stack({ value, more }, 0), masses), ce, weighted(ops.stack({ kl, more_kl }, 0), masses),
    ops.where(labelled, confidence, likeliest), entropy, ops.where(labelled, per_sample, per_other)
end

--- kd_loss for those who know their options to be good: they are taken as they are.
function kd_terms.of(student, teacher, target, o)
  local temperature, alpha = o.temperature or 4, o.alpha or 0.7
  local value, ce, kl, confidence, entropy, per_sample
  if o.partial and teacher and target and not target.dtype:find "float" then
    value, ce, kl, confidence, entropy, per_sample = call_partial(student, teacher, target, o, temperature, alpha)
  else
    value, ce, kl, confidence, entropy, per_sample = kd_terms.call(student, teacher, target, temperature, alpha,
      kd_terms.options(o, student.device))
  end
  return { loss = value, ce = ce, kl = kl, confidence = confidence, entropy = entropy, per_sample = per_sample }
end

return kd_terms
