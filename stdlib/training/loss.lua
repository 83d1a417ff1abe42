--- Losses. Numbers among the options may be 0-dim tensors (a step's knobs), and where it is said one for each sample.
local check = require "gradus.base.check"
local engine = require "gradus.engine"
local scalar = require "gradus.base.scalar"

local ops = engine.ops
local loss = {}

local function shape_text(t) return "[" .. table.concat(t.shape, ", ") .. "]" end

local function check_pair(where, a_name, a, b_name, b)
  check.value(where, a_name, a, check.tensor)
  check.value(where, b_name, b, check.tensor)
  if shape_text(a) ~= shape_text(b) then
    check.fail(where, "%s has shape %s and %s has shape %s; expected equal shapes", a_name, shape_text(a), b_name,
      shape_text(b))
  end
end

local function or_tensor(rule) return check.either(rule, check.tensor) end
local TEMPERATURE, SHARE = or_tensor(check.above(0)), or_tensor(check.number(0, 1))

local KD = { temperature = TEMPERATURE, alpha = SHARE, teacher_temperature = TEMPERATURE, weight = check.tensor,
  label_smoothing = check.number(0, 1), ignore_index = check.int(), t2 = check.boolean, reverse = check.boolean,
  lr = check.any }  -- so that a step's knobs can be passed as they are

-- The operator's named arguments, from checked options.
local function kd_options(o, device)
  return { teacher_temperature = o.teacher_temperature and scalar(o.teacher_temperature, device), weight = o.weight,
    label_smoothing = o.label_smoothing, ignore_index = o.ignore_index, t2 = o.t2, reverse = o.reverse }
end

-- A call's named arguments may not be an empty table, which would be an empty list.
local function call_kd(student, teacher, target, temperature, alpha, named)
  local device = student.device
  local t, a = scalar(temperature, device), scalar(alpha, device)
  if next(named) == nil then return ops.kd_loss(student, teacher, target, t, a) end
  return ops.kd_loss(student, teacher, target, t, a, named)
end

--- The distillation loss, alpha · CE + (1 − alpha) · T² · KL(teacher ‖ student), mean over the batch.
--- Returns { loss =, ce =, kl =, confidence =, entropy =, per_sample = }; only `loss` has a gradient, and only for the
--- student. Without teacher the loss is CE, without target it is T² · KL; then alpha is not used.
---@param student Tensor              logits [N, C] or [N, L, C]
---@param teacher Tensor?             logits of the same shape
---@param target Tensor?              classes [N] or [N, L] (int64), or probabilities of student's shape
---@param options? table              temperature = 4, alpha = 0.7 (each also a tensor: 0-dim or [N]), teacher_temperature,
---   weight ([N]), label_smoothing = 0, ignore_index = -100, t2 = true (the factor T²), reverse = false (KL(student ‖ teacher))
function loss.kd_loss(student, teacher, target, options)
  local knobs = getmetatable(options)
  if not (knobs and knobs.__knobs) then options = check.options("kd_loss", options, KD) end
  check.value("kd_loss", "student", student, check.tensor)
  local value, ce, kl, confidence, entropy, per_sample = call_kd(student, teacher, target, options.temperature or 4,
    options.alpha or 0.7, kd_options(options, student.device))
  return { loss = value, ce = ce, kl = kl, confidence = confidence, entropy = entropy, per_sample = per_sample }
end

local function check_layer(where, name, layer)
  if type(layer) ~= "table" or not engine.is_tensor(layer.weight) then
    check.fail(where, "'%s': expected nn.Linear, or { weight =, bias = }; got %s", name, check.describe(layer))
  end
  return layer
end

--- kd_loss of a large vocabulary that never holds its logits: the last layers of student and teacher are applied in
--- chunks of rows, inside the loss. Returns what kd_loss returns; the loss has a gradient for `hidden` and for the head.
---@param hidden Tensor              what the student's head sees, [N, E] or [N, L, E]
---@param head table                 nn.Linear, or { weight = [C, E], bias = [C] or nil }
---@param teacher_hidden Tensor?     [N, F] or [N, L, F]
---@param teacher_head table?        of [C, F]
---@param target Tensor?             classes [N] or [N, L]
---@param options? table             as kd_loss's, without weight
function loss.linear_kd(hidden, head, teacher_hidden, teacher_head, target, options)
  local knobs = getmetatable(options)
  if not (knobs and knobs.__knobs) then options = check.options("linear_kd", options, KD) end
  check.value("linear_kd", "hidden", hidden, check.tensor)
  check_layer("linear_kd", "head", head)
  local teacher = teacher_head and check_layer("linear_kd", "teacher_head", teacher_head) or {}
  local device = hidden.device
  local named = kd_options(options, device)
  named.weight = nil
  local given = { hidden, head.weight, head.bias, teacher_hidden, teacher.weight, teacher.bias, target,
    scalar(options.temperature or 4, device), scalar(options.alpha or .7, device) }
  if next(named) ~= nil then given[10] = named end
  local value, ce, kl, confidence, entropy, per_sample = ops.linear_kd_loss(unpack(given, 1, given[10] and 10 or 9))
  return { loss = value, ce = ce, kl = kl, confidence = confidence, entropy = entropy, per_sample = per_sample }
end

--- Cross-entropy, mean over the batch (0-dim tensor). target: classes or probabilities.
---@param options? {label_smoothing: number, ignore_index: number, weight: Tensor}  weight: one for each sample
function loss.cross_entropy(logits, target, options)
  options = check.options("cross_entropy", options,
    { label_smoothing = check.number(0, 1), ignore_index = check.int(), weight = check.tensor })
  check.value("cross_entropy", "logits", logits, check.tensor)
  check.value("cross_entropy", "target", target, check.tensor)
  return (call_kd(logits, nil, target, 1, 1, options))
end

--- T² · KL(teacher ‖ student) of logits, mean over the batch (0-dim tensor).
---@param options? {temperature: number|Tensor, teacher_temperature: number|Tensor, weight: Tensor, t2: boolean}
function loss.kl(student, teacher, options, reverse)
  local where = reverse and "reverse_kl" or "kl"
  options = check.options(where, options,
    { temperature = TEMPERATURE, teacher_temperature = TEMPERATURE, weight = check.tensor, t2 = check.boolean })
  check_pair(where, "student", student, "teacher", teacher)
  options.reverse = reverse
  return (call_kd(student, teacher, nil, options.temperature or 1, 0, kd_options(options, student.device)))
end

--- T² · KL(student ‖ teacher): the student avoids what the teacher would not say. Options as for kl.
function loss.reverse_kl(student, teacher, options) return loss.kl(student, teacher, options, true) end

--- Generalised Jensen-Shannon divergence (Agarwal et al. 2024, arXiv:2306.13649), mean over the batch, times T² unless
--- t2 = false: beta · KL(P ‖ M) + (1 − beta) · KL(Q ‖ M), M = beta · P + (1 − beta) · Q, P the teacher, Q the student.
---@param options? {beta: number, temperature: number|Tensor, t2: boolean}  beta in (0, 1), 0.5; temperature 1
function loss.jsd(student, teacher, options)
  options = check.options("jsd", options, { beta = check.number(0, 1), temperature = TEMPERATURE, t2 = check.boolean },
    { beta = 0.5, temperature = 1, t2 = true })
  local beta = options.beta
  if beta == 0 or beta == 1 then
    check.fail("jsd", "'beta': expected 0 < beta < 1; got %g (its limits are kl and reverse_kl)", beta)
  end
  check_pair("jsd", "student", student, "teacher", teacher)
  local t = scalar(options.temperature, student.device)
  local log_p = ops.log_softmax(teacher:detach() / t, -1)
  local log_q = ops.log_softmax(student / t, -1)
  local log_m = ops.logaddexp(log_p + math.log(beta), log_q + math.log(1 - beta))
  local rows = student:numel() / student:size(-1)
  local sum = ((log_p - log_m) * log_p:exp()):sum() * beta + ((log_q - log_m) * log_q:exp()):sum() * (1 - beta)
  return (options.t2 and sum * t * t or sum) / rows
end

--- Mean squared error over all values; the shapes must be equal.
function loss.mse(a, b)
  check_pair("mse", "a", a, "b", b)
  return ops.mse_loss(a, b)
end

--- A fixed random matrix [inputs, outputs], N(0, 1) / √inputs: keeps lengths in expectation (Johnson-Lindenstrauss). The
--- same seed gives the same matrix.
---@param inputs number
---@param outputs number
---@param seed? number
function loss.projection(inputs, outputs, seed)
  check.value("projection", "inputs", inputs, check.int(1))
  check.value("projection", "outputs", outputs, check.int(1))
  check.value("projection", "seed", seed or 0, check.int(0))
  return ops.randn({ inputs, outputs }, { generator = engine.generator(seed or 0) }) / math.sqrt(inputs)
end

--- MSE of the student's features against the teacher's, times a projection where given; no gradient for the teacher.
---@param student Tensor       [N, …, S]
---@param teacher Tensor       [N, …, F]
---@param projection? Tensor   [F, S]
function loss.feature_mse(student, teacher, projection)
  check.value("feature_mse", "student", student, check.tensor)
  local target = check.value("feature_mse", "teacher", teacher, check.tensor):detach()
  if projection then
    check.value("feature_mse", "projection", projection, check.tensor)
    if projection:dim() ~= 2 or projection:size(0) ~= target:size(-1) or projection:size(1) ~= student:size(-1) then
      check.fail("feature_mse", "projection has shape %s; expected [%d, %d], teacher's and student's widths",
        shape_text(projection), target:size(-1), student:size(-1))
    end
    return ops.feature_mse(student, target, projection)
  end
  check_pair("feature_mse", "student", student, "teacher", target)
  return ops.feature_mse(student, target)
end

return loss
