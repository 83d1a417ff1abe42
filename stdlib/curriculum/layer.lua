--- A hidden layer as what is imitated: target.layer, which tells what it is, without what all targets have (target.lua).
local host = require "gradus.host"
local check = require "gradus.base.check"
local current = require "gradus.base.current"
local in_type = require "gradus.base.in_type"
local is_module = require("gradus.nn.module").is_module
local loss = require "gradus.nn.loss"
local modes = require "gradus.base.modes"
local taken_by = require "gradus.base.taken_by"
local tensor = require "gradus.base.tensor"
local weighted = require "gradus.base.weighted"
local wide = require "gradus.base.wide"

-- What a layer returns as the projection takes it: [N, …, width]. The channels of an image are not apart from its places.
local function features(module, path, x)
  local _, taps = module:forward_taps(x, { path }, { stop = true })
  return taps[path]:dim() == 4 and taps[path]:flatten(1) or taps[path]
end

-- Rows, or positions but those of padding, one after the other.
local function flat(values, kept)
  local rows = values:reshape { -1, values:size(-1) }
  return kept and rows:index_select(0, kept:flatten():nonzero():flatten()) or rows
end

-- Positions that are no padding; nil where all count.
local function kept(self, x) return self.pad and x:ne(self.pad) or nil end

-- What rows weigh, or positions but those of padding; nil where all count alike.
local function shares(self, b)
  local mask = kept(self, b.x)
  if not mask or not b.weight then return mask or b.weight end
  return mask * b.weight:unsqueeze(-1)
end

local function of_teacher(self, x)
  return wide(modes.evaluating(self.teacher, tensor.no_grad, in_type, self.teacher, function(own)
    return features(self.teacher, self.from, own)
  end, x))
end

-- --- what is measured where a stage begins -----------------------------------------------------------------------------------

-- Where the student's layer is never negative: what of the target it cannot be.
local function judge_reach(self, wanted, x)
  local out = flat(wanted, kept(self, x)):lt(0):double():mean():item()
  self.cut = self.reach
  self.detail.out_of_reach, self.detail.cut = out, self.cut or nil
  if not self.cut and out > 0 then
    self.doubt = ("%.0f %% of the target is negative, and '%s' of the student never is: its units are pushed below zero and die; "
      .. "expected the layer before the activation, or reach = true"):format(100 * out, self.to)
  end
end

-- The projected units' mean and spread go into the projection; returns what is wanted then.
local function normalise(self, wanted, x)
  local all = flat(wanted, kept(self, x))
  local mean, sd = all:mean { dim = { 0 } }, all:std { dim = { 0 }, correction = 0 }
  if not (sd:amin():item() > 0) then
    host.fail(("target.layer: '%s' of the teacher is constant on %d rows; it teaches nothing"):format(self.from, x:size(0)))
  end
  self.scale, self.shift = self.scale / sd, -mean / sd
  return wanted / sd + self.shift
end

-- The matrix is made when both widths are known, from its own seed: no stream of the run moves.
local function measure(self, student, rows)
  local x = rows()
  local theirs, ours = of_teacher(self, x), self.student(student, x)
  self.scale = loss.projection(theirs:size(-1), ours:size(-1), self.seed):to { dtype = theirs.dtype, device = theirs.device }
  self.detail = { from = self.from, to = self.to, seed = self.seed, teacher_width = theirs:size(-1),
    student_width = ours:size(-1), normalise = self.normalises, rows = x:size(0) }
  local positive = ours:amin():item() >= 0
  if not self.normalises and not positive then return end
  local wanted = theirs:matmul(self.scale)
  if self.normalises then wanted = normalise(self, wanted, x) end
  if positive then judge_reach(self, wanted, x) end
end

-- --- what a target is asked (target.lua), of the target itself ---------------------------------------------------------------

local asked = {}

--- The student's layer for a batch: [N, …, S].
function asked:student(student, x) return wide(features(student, self.to, taken_by(student, x))) end

--- The mean squared error of a batch, whose b.teacher is what `of` gave, by the rows' weights where there are some.
function asked:loss(student, b)
  local ours, counts = self.student(student, b.x), shares(self, b)
  local wanted = b.teacher:to { dtype = ours.dtype }
  if not counts then return loss.feature_mse(ours, wanted) end
  local squares = (ours - wanted):square():mean { dim = { -1 } }
  if squares:dim() > counts:dim() then squares = squares:flatten(1):mean { dim = { -1 } } end
  return weighted(squares, counts)
end

--- What a batch weighs in a mean with others: rows, or positions, by the rows' weights.
function asked:mass(b)
  local counts = shares(self, b)
  return counts and counts:sum { dtype = "float64" } or b.x:size(0)
end

--- What the student's layer should be: ((h P) - mean) / spread, folded into one product and one sum.
function asked:of(x)
  return tensor.no_grad(function()
    local wanted = of_teacher(self, x):matmul(self.scale)
    if self.shift then wanted = wanted + self.shift end
    return self.cut and wanted:relu() or wanted
  end)
end

function asked:prepare(student, rows)
  if not self.scale then tensor.no_grad(measure, self, student, rows) end
end

function asked:identity() return { self.teacher, self.from, self.scale, self.shift or false, self.cut or false } end

-- What the numbers that were measured are of.
local function what(self)
  return ("%s, seed %s, normalise %s, reach %s"):format(self.text, self.seed, self.normalises, self.reach)
end

function asked:state() return { of = what(self), scale = self.scale, shift = self.shift, cut = self.cut, detail = self.detail } end

function asked:load_state(measured)
  if measured.of ~= what(self) then return false end
  self.scale, self.shift, self.cut, self.detail = measured.scale, measured.shift, measured.cut, measured.detail
  return true
end

--- The fields of the target: see target.layer for the options.
---@param options table
---@return table
return function(options)
  options = check.options("target.layer", options, { "teacher", "from", "to", "seed", "normalise", "reach" })
  if not is_module(options.teacher) then host.fail "target.layer: teacher: expected a module" end
  for _, name in ipairs { "from", "to" } do
    if type(options[name]) ~= "string" then host.fail(("target.layer: %s: expected a layer's path such as 'layers.0'"):format(name)) end
  end
  check.value("target.layer", "reach", options.reach == nil or options.reach, check.boolean)
  local self = { kind = "layer", from = options.from, to = options.to, teacher = options.teacher, pad = options.teacher.pad_token,
    seed = options.seed or current.stream("projection"), normalises = options.normalise ~= false, reach = options.reach ~= false }
  self.text = ("layer %s -> %s"):format(self.from, self.to)
  for name, answer in pairs(asked) do
    self[name] = function(...) return answer(self, ...) end
  end
  return self
end
