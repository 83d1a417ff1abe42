--- The task of a training: what its labels are, and so its loss, what a teacher's answer is, what an evaluation measures and
--- which way each measure is better. One place, asked by distill, fit, evaluate, health and the dry run.
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local elsewhere = require "gradus.base.elsewhere"
local modes = require "gradus.base.modes"
local tensor = require "gradus.base.tensor"
local data = require "gradus.data.dataset"
local in_type = require "gradus.base.in_type"
local is_module = require("gradus.nn.module").is_module
local labels = require "gradus.data.labels"
local shown = require "gradus.base.shown"
local sorted_keys = require "gradus.base.sorted_keys"
local teachers = require "gradus.curriculum.teachers"
local kinds = require "gradus.training.kinds"
local wide = require "gradus.base.wide"

local ops = engine.ops
local task = {}

---@class Task
---@field kind string                  of labels: see labels.lua; where there are none, of the teacher's answers
---@field metrics table<string, table>  of the user's own: name -> { better =, of = function(model, data) -> number }
---@field better table<string, string>  measure -> "higher" or "lower"
local Task = {}
Task.__index = Task

local CHUNK = 1024      -- rows at a time; has its own shapes, so evaluation never disturbs the training step
local OF_LABELS = { acc = true, rmse = true, mae = true }  -- measures that nothing but labels tells
local TAKEN = { n = true, constant = true, teacher_acc = true, teacher_loss = true, forgotten = true }  -- told beside the measures
local METRIC = { better = check.choice("higher", "lower"), of = check.callable }

--- Whether the measure is one of the data set: not where it takes labels and there are none.
---@param d Dataset
---@param measure string
function task.tells(d, measure) return d.labels.kind ~= "none" or not OF_LABELS[measure] end

--- Checks measures of one's own: { f1 = { better = "higher", of = function(model, d) … end } }.
function task.check_metrics(where, given)
  given = given == nil and {} or check.value(where, "metrics", given, check.table)
  local metrics = {}
  for name, one in pairs(given) do
    local at = ("%s: metrics: '%s'"):format(where, tostring(name))
    if type(name) ~= "string" or not name:find "^[%w_.-]+$" then
      host.fail(at .. ": expected a name of letters, digits, '_', '.' and '-'")
    end
    if TAKEN[name] then host.fail(at .. ": is taken; expected another name") end
    if type(one) ~= "table" then
      check.fail(at, "expected { better = \"higher\", of = function(model, d) … end }, which returns a number; got %s", check.describe(one))
    end
    metrics[name] = check.options(at, one, METRIC)
    for option, rule in pairs(METRIC) do
      if metrics[name][option] == nil then host.fail(("%s: '%s' is missing; expected %s"):format(at, option, rule.expected)) end
    end
  end
  return metrics
end

--- The task that labels set.
---@param known table           what labels.lua says of a data set: { kind =, classes =, partial = }
---@param metrics? table        see task.check_metrics
---@return Task
function task.new(known, metrics)
  local self = setmetatable({ labels = known, kind = known.answers or known.kind, metrics = metrics or {}, better = {} }, Task)
  self.rules = kinds[self.kind] or host.fail(("labels: no kind '%s'"):format(tostring(self.kind)))
  for name, way in pairs(self.rules.better) do self.better[name] = way end
  for name, one in pairs(self.metrics) do
    if self.better[name] then host.fail(("metrics: '%s' is measured by every evaluation; expected another name"):format(name)) end
    self.better[name] = one.better
  end
  return self
end

-- --- training ------------------------------------------------------------------------------------------------------------

--- α · loss on labels + (1 − α) · how far from the teacher's answer; one of them where there is one.
---@param out Tensor  what the student gives
---@param b table     { y, teacher, weight }
---@param k table     temperature, alpha
---@param o table     label_smoothing, t2, teacher_temperature
---@return table  { loss =, ce | mse =, kl | teacher_mse =, confidence = [N] }
function Task:kd(out, b, k, o)
  if self.labels.partial then o = setmetatable({ partial = true }, { __index = o }) end
  return self.rules.kd(out, b, k, o)
end

--- The loss on labels alone, 0-dim.
function Task:label_loss(out, b, o) return self.rules.labels(out, b, o) end

--- How far from the teacher's answer, 0-dim. form: "kl", "reverse_kl" or "jsd".
function Task:divergence(out, b, k, o, form) return self.rules.divergence(out, b, k, o, form) end

--- How much of a batch a mean rests on: a number, or a 0-dim tensor. labels_alone: whatever a teacher says of other rows.
---@param labels_alone? boolean
function Task:mass(b, labels_alone) return self.rules.mass(b, labels_alone) end

-- --- evaluation ------------------------------------------------------------------------------------------------------------

local MOST = 2 ^ 26  -- bytes of a teacher's logits that are kept

-- What the teacher says to rows: its classes, of several labels which hold.
local function answer_of(self, out)
  if self.kind == "multilabel" then return out:gt(0) end
  return out:argmax(-1)
end

--- What a teacher says of all rows, so that it need not be asked at each evaluation: { answers = classes [n] (of several labels, which
--- hold; nil of numbers), said = what it gives, or where that is too much to keep teacher, who can be asked again }.
---@param teacher Module
---@param d Dataset
function Task:teacher_answers(teacher, d)
  local answers, said, bytes = {}, {}, 0
  modes.evaluating(teacher, function()
    d:each(CHUNK, function(x)
      local out = in_type(teacher, teacher, x)
      bytes = bytes + out:nbytes()
      answers[#answers + 1] = self.rules.answers and answer_of(self, out):cpu() or nil
      if bytes <= MOST then said[#said + 1] = out:cpu() end
    end, teacher:device())
  end)
  return { answers = #answers > 0 and ops.cat(answers, 0) or nil, said = bytes <= MOST and ops.cat(said, 0) or nil,
    teacher = bytes > MOST and teacher or nil }
end

local function mean_of(metric, name, model, d)
  local value = tensor.no_grad(metric.of, model, d)
  if engine.is_tensor(value) and value:numel() == 1 then value = value:item() end
  if type(value) ~= "number" then
    host.fail(("metrics: '%s': expected a number; got %s"):format(name, check.describe(value)))
  end
  return value
end

-- Adds up what a model gives. asked: { answers =, said =, teacher = }, or a module to ask; knobs: and options, of the loss against it.
-- Rows without labels have no other loss, so that what was too much to keep is asked again.
local function gather(self, model, d, asked, knobs, each)
  local device, weight, done = model:device(), d.base.weight, 0
  local module = is_module(asked) and asked or nil
  local known = asked and not module and asked or {}
  local sums = { loss = 0, right = 0, agreed = 0, off = 0, n = 0, mass = 0, kd = 0, rest = 0, each = each,
    asked = known.answers ~= nil or module ~= nil }
  d:each(CHUNK, function(x, y, index)
    local function rows(t) return t and t:slice(0, done, done + x:size(0)):to(device) end
    local w = weight and weight:index_select(0, index):to(device):double()
    local one = module or not y and known.teacher or nil
    local said = rows(known.said) or one and in_type(one, one, x) or nil
    local answers = rows(known.answers) or said and self.rules.answers and answer_of(self, said) or nil
    local out = wide(in_type(model, model, x))
    labels.check_logits("evaluate", d.labels, out)
    local ce  -- of the labels, where the loss against the teacher has it anyway
    if said and knobs then
      local b = { x = x, y = y, teacher = said, weight = w }
      local mass = self:mass(b)
      mass = engine.is_tensor(mass) and mass:item() or mass
      local found = self:kd(out, b, knobs, knobs)
      sums.kd, sums.rest = sums.kd + found.loss:item() * mass, sums.rest + mass
      if (knobs.label_smoothing or 0) == 0 then ce = found.ce end  -- a smoothed one is not what is evaluated
    end
    if not y then ce = said and self:divergence(out, { teacher = said, weight = w }, { temperature = 1 }, {}, "kl") or nil end
    self.rules.add(sums, out, y, w, answers, ce)
    done = done + x:size(0)
  end, device)
  return sums, weight and sums.mass or sums.n
end

--- A model on a data set, without the metrics of the user's own; none of tokens of which nothing is hidden.
function Task:measure(model, d)
  if d.labels.kind == "none" then return {} end
  local sums, mass = modes.evaluating(model, gather, self, model, d)
  return sums.n > 0 and self.rules.measures(sums, sums.n, mass) or {}
end

-- A teacher's classes of all rows, or positions; of several labels, which hold.
local function check_answers(self, answers, d)
  local y = d.base.y or self.kind == "tokens" and d.base.x or self.kind == "multilabel" and answers or nil
  local wanted = { d:size(), unpack(self.kind ~= "soft" and y and y.shape or {}, 2) }
  if check.shape(answers) == "[" .. table.concat(wanted, ", ") .. "]" then
    return self.kind == "multilabel" and answers or answers:to { dtype = "int64" }
  end
  host.fail(("evaluate: teacher: expected its answers to the %d rows, [%s]; got %s"):format(d:size(), table.concat(wanted, ", "),
    check.describe(answers)))
end

--- What a model is worth on a data set, in evaluation mode and without gradients: { loss, acc | rmse, mae, …, n } and the metrics of
--- the user's own; with a teacher, or its answers, also `agreement`, and with knobs (temperature, alpha) kd_loss, the loss of
--- distillation. `constant` is the share of the class that the model gives most often. Of tokens, all are means over the positions
--- that are hidden, and n is their number. loss is what is trained on labels, by the rows' weights too, as rmse and mae are; acc and
--- agreement count each row once. Of data without labels loss is how far the model is from the teacher (KL at T = 1; of numbers
--- the squared error), and nothing is right.
---@param model Module
---@param d Dataset
---@param teacher? Module|Tensor|table   its classes, or what teacher_answers gave
---@param knobs? {temperature: number, alpha: number}   and label_smoothing, t2, teacher_temperature
---@param each? Tensor[]    filled with what is right, in the order of the rows: bool [n] each; of tokens position by position, of
---   several labels label by label; nothing of numbers
---@return table<string, number>
function Task:evaluate(model, d, teacher, knobs, each)
  if engine.is_tensor(teacher) then teacher = { answers = check_answers(self, teacher, d) } end
  local function all()
    local sums, mass = gather(self, model, d, teacher, knobs, each)
    if sums.n == 0 then host.fail "evaluate: no position is hidden in any of the rows; expected more rows or a higher share" end
    local measured = self.rules.measures(sums, sums.n, mass)
    measured.n, measured.kd_loss = sums.n, sums.rest > 0 and sums.kd / sums.rest or nil
    for name, metric in pairs(self.metrics) do measured[name] = mean_of(metric, name, model, d) end
    return measured
  end
  return modes.all_evaluating({ model, is_module(teacher) and teacher or teacher and teacher.teacher }, all)
end

-- How often each class is a label that counts, as a share.
local function frequencies(y)
  local counts = y:masked_select(y:ge(0)):bincount():double()
  return counts / counts:sum()
end

--- The share of the labels' most frequent class; nil where labels are no classes.
function Task:majority(d)
  if self.kind ~= "classes" and self.kind ~= "tokens" then return nil end
  return frequencies(select(2, d:gather())):amax():item()
end

-- The mean entropy of probabilities, over all but the last dimension, in nats.
local function entropy(p) return -(p * p:clamp_min(1e-12):log()):sum { dim = -1 }:mean():item() end

--- The loss of one who answers with the labels' frequencies, or their mean, whatever the row; nil without labels.
---@param d Dataset
---@return number?
function Task:guess(d)
  local _, y = d:gather()
  if not y then return nil end
  if self.kind == "numbers" then return y:double():reshape({ y:size(0), -1 }):var({ dim = 0, correction = 0 }):mean():item() end
  if self.kind == "soft" then return entropy(y:double():mean(0)) end
  if self.kind == "multilabel" then
    local p = y:double():mean(0)
    return entropy(ops.stack({ p, 1 - p }, -1))
  end
  return entropy(frequencies(y))
end

--- Checks what a data set is measured with: of the same kind of labels, classes within the model's.
---@param where string
---@param d any
---@param teacher? any  whose answers serve where there are no labels
function task.check_data(where, d, teacher)
  if not data.is(d) then host.fail(("%s: expected a data set; got %s"):format(where, check.describe(d))) end
  if d:size() == 0 then host.fail(where .. ": the data set is empty") end
  if d.labels.kind == "none" and not teacher then host.fail(where .. ": the data set has no labels; expected some, or a teacher") end
  local nothing = labels.nothing(d)
  if nothing then host.fail(where .. ": " .. nothing) end
end

local MEASURES = { n = true, constant = true }
for _, rules in pairs(kinds) do
  for name in pairs(rules.better) do MEASURES[name] = true end
end

local INSTEAD = elsewhere.table_of {
  acc = "accuracy top1 correct", loss = "mse val_loss ce nll", ["loss, rmse or mae"] = "r2",
  ["metrics = { f1 = { better = \"higher\", of = function(model, d) … end } } of distill"] = "f1 precision recall auc auroc top5 confusion",
}

-- What an evaluation came to, as a script reads it: a plain table to all who ask, but a name that no evaluation has is an error.
local Measured = { __metatable = false, __index = function(_, name)
  if MEASURES[name] then return nil end
  local mend = INSTEAD[name] and "expected " .. INSTEAD[name]
  host.fail(("evaluate: no measure '%s'; %s"):format(tostring(name), mend or check.suggest(name, sorted_keys(MEASURES))))
end, __tostring = function(self)
  local values = {}
  for name, value in pairs(self) do values[name] = value end
  return shown.text(values)
end }

--- run:evaluate: see Task:evaluate.
function task.evaluate(model, d, teacher)
  if not is_module(model) then host.fail("evaluate: expected a module; got " .. type(model)) end
  task.check_data("evaluate", d, teacher)
  local asked = teachers.module_of("evaluate: teacher", teacher) or teacher
  if asked ~= nil and not is_module(asked) and not engine.is_tensor(asked) then
    host.fail("evaluate: teacher: expected a module, several, or its answers; got " .. check.describe(asked))
  end
  return setmetatable(task.new(d.labels):evaluate(model, d, asked), Measured)
end

return task
