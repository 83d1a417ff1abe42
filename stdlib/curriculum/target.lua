--- The target axis: what is imitated.
---   teacher                                     a module: its logits
---   { { teacher_a, .7 }, { teacher_b, .3 } }    several: the weighted mean of their logits; { teacher_a, teacher_b }: alike
---   "labels"                                    nobody: labels alone
---   target.layer { teacher = t, from = "layers.1", to = "layers.0" }
---                                               a hidden layer through a fixed seeded random projection, by MSE
---   target.checkpoint(teacher, kept, 3)         the teacher as it was in its own training
local host = require "gradus.host"
local check = require "gradus.base.check"
local modes = require "gradus.base.modes"
local current = require "gradus.base.current"
local in_type = require "gradus.base.in_type"
local is_module = require("gradus.nn.module").is_module
local loss = require "gradus.nn.loss"
local teachers_of = require "gradus.curriculum.teachers"
local taken_by = require "gradus.base.taken_by"
local tensor = require "gradus.base.tensor"
local wide = require "gradus.base.wide"

local target = {}

---@class Target
---@field of fun(x: Tensor): Tensor   what the batch should imitate; computed without gradient, outside of the step
---@field identity fun(): table        what `of` depends on, for identity.lua; asked once `prepare` was called
---@field kind string                 "logits", "labels" or "layer"
---@field loss? fun(student: Module, b: table): Tensor  of a layer
---@field mass? fun(b: table): number|Tensor  of a layer: what a batch weighs in a mean over several
---@field prepare? fun(student: Module, rows: fun(): Tensor)  called when a stage with this target begins
---@field detail? table               what the stage's event says of it
---@field doubt? string               what is wrong with it, known once `prepare` was called
---@field teachers Module[]            whose answers these are; none of labels
---@field whole Module?                 the module whose output they are; first: what paths in the first teacher begin with in it
---@field state? fun(): table          what `prepare` has measured, for a snapshot; load_state(t) takes it back, false where it is another's
local Target = {}
Target.__index = Target

--- Moves the teachers to a device; returns the target.
function Target:on(device)
  if device == "cpu" then return self end
  for _, teacher in ipairs(self.teachers) do teacher:to(device) end
  return self
end

local function make(fields)
  fields.teachers = fields.teachers or { fields.teacher }
  fields.whole, fields.first = fields.whole or fields.teacher, fields.first or ""
  return setmetatable(fields, Target)
end

--- Whether a value is a target.
---@param value any
function target.is(value) return getmetatable(value) == Target end

local function frozen(module, call)
  return function(x) return modes.evaluating(module, tensor.no_grad, in_type, module, call or module, x) end
end

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

--- A hidden layer of the teacher through a fixed Gaussian matrix / √width (Gupta & Karmalkar 2025, definition 3.1). The
--- student's layer is compared with it by mean squared error; both forward passes stop at the layer. The projected units
--- are centred and scaled to unit spread (ours), by what they are on 4,096 rows, or positions of sequences, before the stage,
--- unless normalise = false. What measuring costs is charged to the run.
--- A layer after a ReLU is never negative, half of a centred target is: its units would be pushed below zero and die. So where the
--- student's layer is never negative on those rows the target is cut at 0 (ours), unless reach = false.
--- Positions of the teacher's pad_token do not count.
---@param options {teacher: Module, from: string, to: string, seed: number?, normalise: boolean?, reach: boolean?}
---   from, to: paths of the teacher's and the student's layer; seed: of the matrix, from the run's "projection" stream when left out
function target.layer(options)
  options = check.options("target.layer", options, { "teacher", "from", "to", "seed", "normalise", "reach" })
  if not is_module(options.teacher) then host.fail "target.layer: teacher: expected a module" end
  for _, name in ipairs { "from", "to" } do
    if type(options[name]) ~= "string" then host.fail(("target.layer: %s: expected a layer's path such as 'layers.0'"):format(name)) end
  end
  local self = make { kind = "layer", to = options.to, teacher = options.teacher }
  self.text = ("layer %s -> %s"):format(options.from, options.to)
  self.seed = options.seed or current.stream("projection")
  local asked = frozen(options.teacher, function(x) return features(options.teacher, options.from, x) end)
  local function of_teacher(x) return wide(asked(x)) end
  check.value("target.layer", "reach", options.reach == nil or options.reach, check.boolean)
  local scale, shift, cut
  local pad = options.teacher.pad_token
  local function kept(x) return pad and x:ne(pad) or nil end

  --- The student's layer for a batch: [N, …, S].
  self.student = function(student, x) return wide(features(student, options.to, taken_by(student, x))) end

  -- What rows weigh, or positions but those of padding; nil where all count alike.
  local function shares(b)
    local mask = kept(b.x)
    if not mask or not b.weight then return mask or b.weight end
    return mask * b.weight:unsqueeze(-1)
  end

  --- The mean squared error of a batch, whose b.teacher is what `of` gave, by the rows' weights where there are some.
  self.loss = function(student, b)
    local ours, counts = self.student(student, b.x), shares(b)
    local wanted = b.teacher:to { dtype = ours.dtype }
    if not counts then return loss.feature_mse(ours, wanted) end
    local squares = (ours - wanted):square():mean { dim = { -1 } }
    if squares:dim() > counts:dim() then squares = squares:flatten(1):mean { dim = { -1 } } end
    return (squares * counts):sum() / counts:sum():clamp_min(1e-12)
  end

  --- What a batch weighs in a mean with others: rows, or positions, by the rows' weights.
  self.mass = function(b)
    local counts = shares(b)
    return counts and counts:sum { dtype = "float64" } or b.x:size(0)
  end

  local own = ("%s, seed %s, normalise %s, reach %s"):format(self.text, self.seed, options.normalise ~= false, options.reach ~= false)
  self.state = function() return { of = own, scale = scale, shift = shift, cut = cut, detail = self.detail } end
  self.load_state = function(measured)
    if measured.of ~= own then return false end
    scale, shift, cut, self.detail = measured.scale, measured.shift, measured.cut, measured.detail
    return true
  end

  -- Where the student's layer is never negative: what of the target it cannot be.
  local function judge_reach(wanted, x)
    local out = flat(wanted, kept(x)):lt(0):double():mean():item()
    cut = options.reach ~= false
    self.detail.out_of_reach, self.detail.cut = out, cut or nil
    if not cut and out > 0 then
      self.doubt = ("%.0f %% of the target is negative, and '%s' of the student never is: its units are pushed below zero and die; "
        .. "expected the layer before the activation, or reach = true"):format(100 * out, options.to)
    end
  end

  -- The matrix is made when both widths are known, from its own seed: no stream of the run moves.
  local function measure(student, rows)
    local x = rows()
    local theirs, ours = of_teacher(x), self.student(student, x)
    scale = loss.projection(theirs:size(-1), ours:size(-1), self.seed):to { dtype = theirs.dtype, device = theirs.device }
    self.detail = { from = options.from, to = options.to, seed = self.seed, teacher_width = theirs:size(-1),
      student_width = ours:size(-1), normalise = options.normalise ~= false, rows = x:size(0) }
    local positive = ours:amin():item() >= 0
    if options.normalise == false and not positive then return end
    local wanted = theirs:matmul(scale)
    if options.normalise ~= false then
      local all = flat(wanted, kept(x))
      local mean, sd = all:mean { dim = { 0 } }, all:std { dim = { 0 }, correction = 0 }
      if not (sd:amin():item() > 0) then
        host.fail(("target.layer: '%s' of the teacher is constant on %d rows; it teaches nothing"):format(options.from, x:size(0)))
      end
      scale, shift = scale / sd, -mean / sd
      wanted = wanted / sd + shift
    end
    if positive then judge_reach(wanted, x) end
  end
  self.prepare = function(student, rows)
    if not scale then tensor.no_grad(measure, student, rows) end
  end

  self.identity = function() return { options.teacher, options.from, scale, shift or false, cut or false } end

  --- What the student's layer should be: ((h P) - mean) / spread, folded into one product and one sum.
  self.of = function(x)
    return tensor.no_grad(function()
      local wanted = of_teacher(x):matmul(scale)
      if shift then wanted = wanted + shift end
      return cut and wanted:relu() or wanted
    end)
  end
  return self
end

--- The teacher as it was at a checkpoint of its own training. The weights are copied into `storage`, a clone of the
--- teacher that all checkpoints share, when the stage begins; the teacher itself stays what it is.
---@param storage Module
---@param kept Checkpoints
---@param i number          from 1
function target.checkpoint(storage, kept, i)
  if not is_module(storage) then host.fail "target.checkpoint: expected a module to hold the weights" end
  if not require("gradus.base.checkpoints").is(kept) then
    host.fail("target.checkpoint: expected what run:fit { checkpoints = { steps = … } } keeps; got " .. check.describe(kept))
  end
  local self = make { kind = "logits", teacher = storage, of = frozen(storage), detail = { checkpoint = i, teacher_step = kept:step(i) },
    identity = function() return { storage } end }
  self.text = ("checkpoint %d of %d (step %d)"):format(i, kept:count(), kept:step(i))
  self.prepare = function() kept:load(storage, i) end
  return self
end

-- Several teachers: modules, alike, or { module, weight } each; the mean of their logits by weight.
local function several(where, answer)
  local teachers, parts = {}, teachers_of.parts(where, answer)
  for i, one in ipairs(parts) do teachers[i] = one[1] end
  local all = teachers_of.mean(where, parts)
  return make { kind = "logits", text = #parts .. " teachers", teacher = teachers[1], teachers = teachers, whole = all, first = "1.",
    identity = function() return parts end,
    of = function(x) return modes.evaluating(all, tensor.no_grad, all, x) end }
end

--- The target that an answer of the axis stands for.
function target.resolve(where, answer)
  answer = teachers_of.list(answer)
  if getmetatable(answer) == Target then return answer end
  if answer == "labels" or answer == nil then return make { kind = "labels", text = "labels" } end
  if is_module(answer) then
    return make { kind = "logits", text = "teacher", teacher = answer, of = frozen(answer), identity = function() return { answer } end }
  end
  if type(answer) == "table" and #answer > 0 then return several(where, answer) end
  host.fail(("%s: expected a module, { module, … }, { { module, weight }, … }, 'labels' or target.layer; got %s")
    :format(where, check.describe(answer)))
end

return target
