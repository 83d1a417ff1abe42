--- Losses. Numbers among the options may be 0-dim tensors (a step's knobs), and where it is said one for each sample.
local check = require "gradus.base.check"
local engine = require "gradus.engine"
local kd_terms = require "gradus.nn.kd_terms"
local recording = require "gradus.base.recording"
local scalar = require "gradus.base.scalar"
local weighted = require "gradus.base.weighted"
local wide = require "gradus.base.wide"

local ops = engine.ops
local call_kd, counted, kd_options, widened = kd_terms.call, kd_terms.counted, kd_terms.options, kd_terms.widened
local loss = {}

local function check_pair(where, a_name, a, b_name, b)
  check.value(where, a_name, a, check.tensor)
  check.value(where, b_name, b, check.tensor)
  if check.shape(a) ~= check.shape(b) then
    check.fail(where, "%s has shape %s and %s has shape %s; expected equal shapes", a_name, check.shape(a), b_name,
      check.shape(b))
  end
end

local function or_tensor(rule) return check.either(rule, check.tensor) end
local TEMPERATURE, SHARE = or_tensor(check.above(0)), or_tensor(check.number(0, 1))

local KD = { temperature = TEMPERATURE, alpha = SHARE, teacher_temperature = TEMPERATURE, weight = check.tensor,
  label_smoothing = check.number(0, 1), ignore_index = check.int(), t2 = check.boolean, reverse = check.boolean,
  partial = check.boolean }
local LEAST = -1e4  -- e^-10000 is 0 in every float, and its logarithm is still finite: 0 · log 0 is 0, and so is its gradient

-- Of options, all names are known. Of a step's knobs each loss takes what is its own: the others are another one's.
local function own(where, options, rules)
  local class = type(options) == "table" and getmetatable(options)
  if not (class and class.__knobs) then return check.options(where, options, rules) end
  local result = {}
  for name, rule in pairs(rules) do
    local value = class.__knobs(name)
    if value ~= nil then result[name] = check.value(where, name, value, rule) end
  end
  return result
end

--- The distillation loss, alpha · CE + (1 − alpha) · T² · KL(teacher ‖ student), mean over the batch.
--- Returns { loss =, ce =, kl =, confidence =, entropy =, per_sample = }; only `loss` has a gradient, and only for the
--- student. Without teacher the loss is CE, without target it is T² · KL; then alpha is not used.
---@param student Tensor              logits [N, C] or [N, L, C]
---@param teacher Tensor?             logits of the same shape
---@param target Tensor?              classes [N] or [N, L] (int64), or probabilities of student's shape
---@param options? table              temperature = 4, alpha = 0.7 (each also a tensor: 0-dim or [N]), teacher_temperature,
---   weight ([N]), label_smoothing = 0, ignore_index = -100, t2 = true (the factor T²), reverse = false (KL(student ‖ teacher)),
---   partial = false (true: a row of the class ignore_index has no label and counts for the teacher's term alone, instead of for
---   none); or a step's knobs, of which it takes these
function loss.kd_loss(student, teacher, target, options)
  local o = own("kd_loss", options, KD)
  check.value("kd_loss", "student", student, check.tensor)
  return kd_terms.of(student, teacher, target, o)
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
  options = own("linear_kd", options, KD)
  if options.partial then check.fail("linear_kd", "'partial': expected rows that all have labels, or kd_loss") end
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

--- Cross-entropy, mean over the batch (0-dim tensor).
---@param logits Tensor  [N, C] or [N, L, C]
---@param target Tensor  classes or probabilities
---@param options? {label_smoothing: number, ignore_index: number, weight: Tensor}  weight: one for each sample
function loss.cross_entropy(logits, target, options)
  options = own("cross_entropy", options, { label_smoothing = check.number(0, 1), ignore_index = check.int(), weight = check.tensor })
  check.value("cross_entropy", "logits", logits, check.tensor)
  check.value("cross_entropy", "target", target, check.tensor)
  return (call_kd(logits, nil, target, 1, 1, options))
end

-- What the divergences take beside their own: which rows count, and how much.
local function with_rows(rules)
  rules.temperature, rules.t2, rules.weight, rules.target, rules.ignore_index = TEMPERATURE, check.boolean, check.tensor, check.tensor,
    check.int()
  return rules
end
local KL, JSD = with_rows { teacher_temperature = TEMPERATURE }, with_rows { beta = check.number(0, 1) }

-- The weight of each row: the given one, 0 where the target's class is ignored. nil: all alike.
local function row_weight(where, student, o)
  if not o.target then return o.weight end
  local target = o.target
  if target:numel() * student:size(-1) ~= student:numel() then
    check.fail(where, "target has shape %s; expected one class for each row of student's %s", check.shape(target), check.shape(student))
  end
  local counts = counted(target, o.ignore_index)
  return o.weight and counts * widened(o.weight, counts:dim()) or counts
end

--- T² · KL(teacher ‖ student) of logits [N, C] or [N, L, C], mean over the rows (0-dim tensor).
---@param options? {temperature: number|Tensor, teacher_temperature: number|Tensor, weight: Tensor, target: Tensor, ignore_index: number,
---   t2: boolean}  target: classes; rows with the class ignore_index, -100, do not count
function loss.kl(student, teacher, options, reverse)
  local where = reverse and "reverse_kl" or "kl"
  local o = own(where, options, KL)
  check_pair(where, "student", student, "teacher", teacher)
  o.weight, o.ignore_index, o.reverse = row_weight(where, student, o), nil, reverse
  return (call_kd(student, teacher, nil, o.temperature or 1, 0, kd_options(o, student.device)))
end

--- T² · KL(student ‖ teacher): the student avoids what the teacher would not say. Options as for kl.
function loss.reverse_kl(student, teacher, options) return loss.kl(student, teacher, options, true) end

-- A temperature as it divides logits: a tensor of one for each sample, or row, gets dimensions of size 1 behind. Read where that may be:
-- not in a step, which would have to wait for it.
local function divisor(where, student, temperature)
  local t = scalar(temperature, student.device)
  local by_sample = t:dim() == 1 and t:size(0) == student:size(0)
  if t:numel() > 1 and not by_sample and check.shape(t) ~= check.shape(student:select(-1, 0)) then
    check.fail(where, "temperature has shape %s; expected a number or one value for each of the %d samples of student %s",
      check.shape(t), student:size(0), check.shape(student))
  end
  if type(temperature) ~= "number" and t.device == "cpu" and not recording.guarded and not t:gt(0):all():item() then
    check.fail(where, "temperature is %g; expected > 0", t:masked_select(t:gt(0):logical_not())[0]:item())
  end
  if t:numel() > 1 then return widened(t, student:dim()) end
  return t:dim() > 0 and t:flatten()[0] or t
end

--- Generalised Jensen-Shannon divergence (Agarwal et al. 2024, arXiv:2306.13649) of logits [N, C] or [N, L, C], mean over the
--- rows, times T² unless t2 = false: beta · KL(P ‖ M) + (1 − beta) · KL(Q ‖ M), M = beta · P + (1 − beta) · Q, P the teacher,
--- Q the student.
---@param options? {beta: number, temperature: number|Tensor, weight: Tensor, target: Tensor, ignore_index: number, t2: boolean}
---   beta in (0, 1), 0.5; temperature 1; target: classes; rows with the class ignore_index, -100, do not count
function loss.jsd(student, teacher, options)
  local o = own("jsd", options, JSD)
  local beta, t2 = o.beta or .5, o.t2 ~= false
  if beta == 0 or beta == 1 then
    check.fail("jsd", "'beta': expected 0 < beta < 1; got %g (its limits are kl and reverse_kl)", beta)
  end
  check_pair("jsd", "student", student, "teacher", teacher)
  student, teacher = wide(student), wide(teacher)
  local t = divisor("jsd", student, o.temperature or 1)
  local log_p = ops.log_softmax(teacher:detach() / t, -1):clamp_min(LEAST)
  local log_q = ops.log_softmax(student / t, -1):clamp_min(LEAST)
  local log_m = ops.logaddexp(log_p + math.log(beta), log_q + math.log(1 - beta))
  local each = (log_p - log_m) * log_p:exp() * beta + (log_q - log_m) * log_q:exp() * (1 - beta)
  local weight, each_its_own = row_weight("jsd", student, o), t:numel() > 1
  if each_its_own and t2 then each, t2 = each * t * t, false end
  local mean
  if weight then
    local rows = each:sum { dim = -1 }
    mean = weighted(rows, widened(weight, rows:dim()):expand_as(rows))
  else
    mean = each:sum() / (student:numel() / student:size(-1))
  end
  return t2 and (mean * t * t):to(mean.dtype) or mean  -- one lone number times another has the wider type
end

--- Mean squared error over all values; the shapes must be equal.
function loss.mse(a, b)
  check_pair("mse", "a", a, "b", b)
  if a:numel() == 1 then a, b = a:reshape {}, b:reshape {} end  -- of [1] a plan's output would change its shape, which LibTorch warns of
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
        check.shape(projection), target:size(-1), student:size(-1))
    end
    return ops.feature_mse(student, target, projection)
  end
  check_pair("feature_mse", "student", student, "teacher", target)
  return ops.feature_mse(student, target)
end

return loss
