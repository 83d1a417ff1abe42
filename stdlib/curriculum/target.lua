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
local in_type = require "gradus.base.in_type"
local layer = require "gradus.curriculum.layer"
local is_module = require("gradus.nn.module").is_module
local teachers_of = require "gradus.curriculum.teachers"
local tensor = require "gradus.base.tensor"

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

--- A hidden layer of the teacher through a fixed Gaussian matrix / √width (Gupta & Karmalkar 2025, definition 3.1). The
--- student's layer is compared with it by mean squared error; both forward passes stop at the layer. The projected units
--- are centred and scaled to unit spread (ours), by what they are on 4,096 rows, or positions of sequences, before the stage,
--- unless normalise = false. What measuring costs is charged to the run.
--- A layer after a ReLU is never negative, half of a centred target is: its units would be pushed below zero and die. So where the
--- student's layer is never negative on those rows the target is cut at 0 (ours), unless reach = false.
--- Positions of the teacher's pad_token do not count.
---@param options {teacher: Module, from: string, to: string, seed: number?, normalise: boolean?, reach: boolean?}
---   from, to: paths of the teacher's and the student's layer; seed: of the matrix, from the run's "projection" stream when left out
function target.layer(options) return make(layer(options)) end

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
