--- The objective of a training: the weighted sum of loss terms of the coming step. Without `losses` it is one term, kd: what labels
--- and teacher say together (task.lua). A term is a name, a weight, which is a knob as temperature is, and a function of the batch:
---   losses = { kd = 1, hint = g.schedule.linear(1, 0),
---     mine = { weight = .3, loss = function(b, out, k) return … end, module = projector,
---       student = { "layers.1" }, teacher = { "layers.1" } } }
--- Built in: kd (α · labels + (1 − α) · T² · KL), labels, kl, reverse_kl, jsd. What is not listed is not trained on.
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local current = require "gradus.base.current"
local is_news = require "gradus.base.news"
local is_module = require("gradus.nn.module").is_module
local schedule = require "gradus.curriculum.schedule"
local sorted_keys = require "gradus.base.sorted_keys"
local taken_by = require "gradus.base.taken_by"

local objective = {}

---@class Term
---@field name string
---@field weight any             number, schedule or function of the state
---@field loss? fun(b: table, out: table, k: table): Tensor   0-dim; of the user's own. b: x, y, index, weight, teacher (its logits);
---                              out.logits: the student's; out.student[path], out.teacher[path]: of modules; k: knobs, 0-dim tensors
---@field module? Module         trained along, such as a projection
---@field student? string[]      paths of the student's modules whose outputs the term wants; teacher: of the teacher's

---@class Objective
---@field terms Term[]
---@field plain boolean          kd alone, of weight 1: no weights among the knobs
local Objective = {}
Objective.__index = Objective

local BUILT_IN = { kd = true, labels = true, kl = true, reverse_kl = true, jsd = true }
local KNOBS = { temperature = true, alpha = true, augment = true, lr = true, mass = true }
local LOGGED = { loss = true, ce = true, mse = true, teacher_mse = true, confidence = true }  -- as train/NAME, whatever the terms are
local MEANT = { ce = "labels", mse = "labels", cross_entropy = "labels", hard = "labels", task = "labels", supervised = "labels",
  nll = "labels", soft = "kl", distill = "kd", distillation = "kd", kld = "kl", kl_div = "kl", teacher = "kl",
  js = "jsd" }  -- how others call ours
local TERM = { "weight", "loss", "module", "student", "teacher" }

local function check_term(name, given)
  local where = ("losses: '%s'"):format(name)
  if KNOBS[name] then host.fail(where .. ": is a knob's name; expected another") end
  local is_own = type(given) == "table" and not schedule.is(given) and given.loss ~= nil
  if MEANT[name] and not is_own then host.fail(("%s: expected '%s', which is what it is called here"):format(where, MEANT[name])) end
  if LOGGED[name] then host.fail(("%s: train/%s is logged already; expected another name"):format(where, name)) end
  if not name:find "^[%w_.-]+$" then host.fail(where .. ": expected a name of letters, digits, '_', '.' and '-'") end
  if type(given) ~= "table" or schedule.is(given) then given = { weight = given } end
  local term = check.options(where, given, TERM)
  term.name = name
  if term.weight == nil then term.weight = 1 end
  schedule.check(where .. ": weight", term.weight)
  if BUILT_IN[name] then
    for _, own in ipairs { "loss", "module", "student", "teacher" } do
      if term[own] ~= nil then
        host.fail(("%s is built in and takes no '%s'; expected another name for a term of your own"):format(where, own))
      end
    end
    return term
  end
  if term.loss == nil then
    host.fail(("%s: %s"):format(where, check.suggest(name, sorted_keys(BUILT_IN),
      "expected { weight = …, loss = function(b, out, k) … end }, or one of ")))
  end
  check.value(where, "loss", term.loss, check.callable)
  for _, side in ipairs { "student", "teacher" } do
    if term[side] ~= nil then check.value(where, side, term[side], check.list(check.string)) end
  end
  if term.module ~= nil and not is_module(term.module) then
    host.fail(("%s: module: expected a module; got %s"):format(where, check.describe(term.module)))
  end
  return term
end

---@param where string
---@param o table  losses, label_smoothing, t2, teacher_temperature
---@param task Task
---@return Objective
function objective.new(where, o, task)
  local given = o.losses or { kd = 1 }
  check.value(where, "losses", given, check.table)
  local names, terms = {}, {}
  for name in pairs(given) do
    if type(name) ~= "string" then host.fail(where .. ": losses: expected weights by name: { kd = 1, mine = { … } }") end
    names[#names + 1] = name
  end
  if #names == 0 then host.fail(where .. ": losses: expected at least one term; got an empty table") end
  table.sort(names)
  for i, name in ipairs(names) do terms[i] = check_term(name, given[name]) end
  local logged_as = {}
  for _, term in ipairs(o.losses and terms or {}) do logged_as["term:" .. term.name] = "train/" .. term.name end
  check.value(where, "label_smoothing", o.label_smoothing or 0, check.number(0, 1))
  check.value(where, "teacher_temperature", o.teacher_temperature or 1, check.above(0))
  check.value(where, "t2", o.t2 == nil or o.t2, check.boolean)
  return setmetatable({ terms = terms, task = task, logged_as = logged_as, plain = o.losses == nil, told = {},
    options = { label_smoothing = o.label_smoothing, t2 = o.t2, teacher_temperature = o.teacher_temperature } }, Objective)
end

--- Weights by name: knobs of the coming step. None where kd alone is trained.
---@return table<string, any>
function Objective:weights()
  local weights = {}
  for _, term in ipairs(self.plain and {} or self.terms) do weights[term.name] = term.weight end
  return weights
end

--- Modules that are trained beside the student, by name; and what an optimizer of the script's own trains besides.
---@return table<string, Module>
function Objective:modules()
  local found = {}
  for _, term in ipairs(self.terms) do
    if term.module then found[term.name] = term.module end
  end
  found["(optimizer)"] = self.others
  return found
end

local function paths_of(terms, side)
  local paths, known = {}, {}
  for _, term in ipairs(terms) do
    for _, path in ipairs(term[side] or {}) do
      if not known[path] then paths[#paths + 1] = path end
      known[path] = true
    end
  end
  return paths
end

--- Paths of the teacher's modules whose outputs a batch must have, as batch["teacher:PATH"].
function Objective:teacher_paths() return paths_of(self.terms, "teacher") end

--- Whether the terms' means rest on different rows where rows weigh differently, or some have no label: one mass for a part of a batch
--- would then be wrong for some of them.
---@param partial boolean?  some rows have no label
function Objective:rests_differ(partial)
  local own, labels, others = false, false, false
  for _, term in ipairs(self.terms) do
    own = own or not BUILT_IN[term.name]
    labels = labels or term.name == "labels"
    others = others or BUILT_IN[term.name] and term.name ~= "labels"
  end
  return own and (labels or others) or partial and labels and others or false
end

--- What a part of a batch weighs in the mean over several: rows for own terms alone, else what the built-in ones rest on.
function Objective:mass(b)
  local built_in, labels_alone = false, true
  for _, term in ipairs(self.terms) do
    if BUILT_IN[term.name] then built_in, labels_alone = true, labels_alone and term.name == "labels" end
  end
  return built_in and self.task:mass(b, labels_alone) or b.x:size(0)
end

--- Whether a term has one of these names.
---@param names string[]
function Objective:has(names)
  for _, term in ipairs(self.terms) do
    for _, name in ipairs(names) do
      if term.name == name then return true end
    end
  end
  return false
end

--- Whether a term is the user's own.
function Objective:has_own()
  for _, term in ipairs(self.terms) do
    if not BUILT_IN[term.name] then return true end
  end
  return false
end

--- Whether a step tells what the student made of each row.
---@param goal Target
function Objective:gives_confidence(goal)
  return goal.kind ~= "layer" and self.task.kind ~= "numbers" and self:has { "kd" }
end

-- A term of the user's own, whose value must be one number. One without a gradient moves nothing: of a stage that trains other layers it
-- may be, elsewhere something was detached; told once.
local function own_term(self, term, b, out, k)
  local value = term.loss(b, out, k)
  if not engine.is_tensor(value) or value:dim() ~= 0 then
    host.fail(("losses: '%s': expected a 0-dim tensor, a mean over the batch; got %s"):format(term.name, check.describe(value)))
  end
  if out.logits.requires_grad and not value.requires_grad and is_news(self.told, term.name) then
    current.tell("no_gradient", ("losses: '%s' has no gradient: it moves nothing that is trained"):format(term.name))
  end
  return value
end

local function value_of(self, term, b, out, k)
  local name, task, o = term.name, self.task, self.options
  if not BUILT_IN[name] then return own_term(self, term, b, out, k) end
  if name == "kd" then
    local found = task:kd(out.logits, b, k, o)
    for key, one in pairs(found) do
      if key ~= "loss" then out.found[key] = one end
    end
    return found.loss
  end
  if name == "labels" then
    if not b.y then host.fail "losses: labels: the data have none" end
    return task:label_loss(out.logits, b, o)
  end
  if not b.teacher then host.fail(("losses: %s: expected a teacher"):format(name)) end
  return task:divergence(out.logits, b, k, o, name)
end

local function with_mean(found)
  found.mean_confidence = found.confidence and found.confidence:mean()
  return found
end

-- What a term reads and is not there would be nil, and its error somebody else's.
local function guarded(values, whose, expected)
  return setmetatable(values, { __index = function(_, name)
    host.fail(("losses: %s has no '%s'; expected %s"):format(whose, tostring(name), expected:format(tostring(name))))
  end })
end

local function outputs_of(student, paths, b)
  local x, tapped = taken_by(student, b.x), {}
  local logits
  if #paths > 0 then logits, tapped = student:forward_taps(x, paths) else logits = student(x) end
  return guarded({ logits = logits, found = {}, student = guarded(tapped, "out.student", "student = { '%s' } of the term"),
    teacher = guarded({}, "out.teacher", "teacher = { '%s' } of the term") }, "out", "out.logits, out.student['%s'] or out.teacher[…]")
end

local function sum_of_terms(self, student, paths, b, k)
  local out = outputs_of(student, paths, b)
  for name, value in pairs(b) do
    local path = name:match "^teacher:(.*)$"
    if path then out.teacher[path] = value end
  end
  local total, found = nil, out.found
  for _, term in ipairs(self.terms) do
    local value = value_of(self, term, b, out, k)
    found["term:" .. term.name] = value:detach()
    local part = value * k[term.name]
    total = total and total + part or part
  end
  found.loss = total
  return with_mean(found)
end

--- The function of a step: batch and knobs to named outputs, among them the loss.
---@param student Module
---@param goal Target
---@return fun(b: table, k: table): table
function Objective:outputs(student, goal)
  if goal.kind == "layer" then
    return function(b) return { loss = goal.loss(student, b) } end
  end
  if self.plain then
    return function(b, k) return with_mean(self.task:kd(student(taken_by(student, b.x)), b, k, self.options)) end
  end
  local paths = paths_of(self.terms, "student")
  return function(b, k) return sum_of_terms(self, student, paths, b, k) end
end

-- A step's T² · KL as it enters the loss; the operator gives it without T².
local function scaled_kl(self, row, knobs)
  local t, alpha = knobs.temperature, knobs.alpha
  if self.options.t2 == false or self.task.kind == "multilabel" then return row.kl end
  if type(t) == "number" then return row.kl * t * t end
  local exact = self.plain and not self.task.labels.partial and type(alpha) == "number" and alpha < 1 and row.ce
  if exact then return (row.loss - alpha * row.ce) / (1 - alpha) end
end

--- What is logged of a step's numbers: each term as it enters the loss, before its weight. The table is the same one each time.
---@param row table    numbers by the outputs' names
---@param knobs table
---@param goal Target
function Objective:logged(row, knobs, goal)
  local logged = self.logged_row
  logged["train/loss"], logged["train/confidence"] = row.loss, row.mean_confidence
  if goal.kind == "layer" then return logged end
  logged["train/ce"], logged["train/mse"], logged["train/teacher_mse"] = row.ce, row.mse, row.teacher_mse
  logged["train/kl"] = row.kl and scaled_kl(self, row, knobs)
  for output, key in pairs(self.logged_as) do logged[key] = row[output] end
  return logged
end

--- The outputs of one number that a step is asked for, with this target: name -> true.
---@param goal Target
function Objective:outputs_read(goal)
  self.logged_row = {}
  local read = { loss = true, norm = true, mean_confidence = true }
  if goal.kind == "layer" then return read end
  read.ce, read.mse, read.teacher_mse, read.kl = true, true, true, goal.of ~= nil or nil
  for output in pairs(self.logged_as) do read[output] = true end
  return read
end

--- Knobs as an evaluation takes them for its kd_loss: with the options of the loss that is trained; nil of none.
---@param knobs? {temperature: number, alpha: number}
function Objective:measured_by(knobs)
  for name, value in pairs(knobs and self.options or {}) do knobs[name] = value end
  return knobs
end

function Objective:state()
  local kept = {}
  for name, module in pairs(self:modules()) do kept[name] = module:state_dict() end
  return kept
end

function Objective:load_state(kept)
  for name, module in pairs(self:modules()) do module:load_state_dict(kept[name]) end
end

return objective
