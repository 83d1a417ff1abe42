--- The teacher's side of a training: whom the stage imitates, where the answers come from (asked in each step, or known from the
--- cache) and what they cost. The teacher's modules stay as they are.
local engine = require "gradus.engine"
local in_type = require "gradus.base.in_type"
local modes = require "gradus.base.modes"
local tensor = require "gradus.base.tensor"
local data = require "gradus.data.dataset"
local target = require "gradus.curriculum.target"
local teacher_cache = require "gradus.training.teacher_cache"

local teacher = {}

---@class Teacher
---@field target Target       of the stage
---@field answers Answers?    known beforehand
---@field taps string[]       modules of the teacher whose outputs the loss terms want
local Teacher = {}
Teacher.__index = Teacher

---@param options {run: Run, cache: any, view: string, batch: number, rows: number, train: Dataset|Generator, student: Module,
---   taps: string[], samples: number?}  cache: the option teacher_cache; rows: of a batch that are asked for at once, on which bits
---   depend; samples: that the training will see
---@return Teacher
function teacher.new(options)
  local self = setmetatable({ answers = nil }, Teacher)
  for name, value in pairs(options) do self[name] = value end
  return self
end

-- The outputs of the teacher's modules that the loss terms want, beside its logits.
local function with_taps(self, goal)
  local one, paths = goal.whole, {}
  for i, path in ipairs(self.taps) do paths[i] = goal.first .. path end
  return function(x)
    return tensor.no_grad(function()
      local named = {}
      named.teacher = in_type(one, function(own)
        local logits, found = one:forward_taps(own, paths)
        for path, value in pairs(found) do
          value = value:detach()
          named["teacher:" .. path:sub(#goal.first + 1)] = value.dtype == own.dtype and value:to { dtype = x.dtype } or value
        end
        return logits
      end, x)
      return named
    end)
  end
end

-- What a feed asks for a batch; nil of labels.
local function ask_of(self, goal)
  if not goal.of then return nil end
  if #self.taps == 0 or goal.kind ~= "logits" then
    return { modules = goal.teachers, of = function(x) return { teacher = goal.of(x) } end }
  end
  if #goal.teachers ~= 1 then
    self.run:warn("teacher_taps", "losses: the outputs of modules are taken from the first of several teachers")
  end
  return { modules = goal.teachers, of = with_taps(self, goal) }
end

--- The stage's target from here on.
---@param where string
---@param answer any   of the target axis
---@param option? string  that gave it; "target"
function Teacher:imitate(where, answer, option)
  self.where = where
  self.target = target.resolve(("%s: %s"):format(where, option or "target"), answer):on(self.run.device)
  self.ask, self.answers, self.flops = ask_of(self, self.target), nil, nil
end

--- Measures what the target needs, such as a layer's spread; returns its floating-point operations.
---@param rows fun(): Tensor   inputs to measure on
function Teacher:prepare(rows)
  if not self.target.prepare then return 0 end
  local count = engine.count_flops()
  modes.all_evaluating({ self.student }, self.target.prepare, self.student, rows)
  return count()
end

--- Looks whether the answers to the training set are known, or computes them. augmented: whether inputs may be. Returns the
--- floating-point operations that this spent.
function Teacher:know_answers(augmented)
  if #self.taps > 0 then return 0 end
  self.answers = teacher_cache.answers(self.run, { where = self.where, given = self.cache, target = self.target,
    base = data.is(self.train) and self.train.base or nil, batch = self.rows, view = self.view, augmented = augmented,
    student = self.student, samples = self.samples })
  return self.answers and self.answers.spent or 0
end

--- Leaves the known answers of a teacher that somebody has changed since; returns whether.
function Teacher:leave_if_moved()
  if not self.answers or not self.answers.moved() then return false end
  self.answers = nil
  return true
end

--- Whether the answers change with every step: the teacher, or a part of it, is what is trained.
function Teacher:is_trained()
  if not self.target.of then return false end
  if not self.target.identity then return true end
  local own = {}
  for _, p in ipairs(self.student:parameters()) do own[p] = true end
  for _, module in ipairs(teacher_cache.modules_of(self.target)) do
    for _, p in ipairs(module:parameters()) do
      if own[p] then return true end
    end
  end
  return false
end

--- The floating-point operations of the answers to a batch of so many rows, charged whether they are carried out or known.
---@param x Tensor      inputs of a part of the batch
---@param pieces number how many of these a batch has
function Teacher:cost(x, pieces)
  if not self.target.of then return 0 end
  if self.answers then return self.answers.flops * self.batch end
  if not self.flops then
    local count = engine.count_flops()
    modes.all_evaluating(self.target.teachers, self.target.of, x)
    self.flops = pieces * count()
  end
  return self.flops
end

--- What moves: what `prepare` has measured.
function Teacher:state() return { target = self.target.state and self.target.state() or nil } end

--- Takes it back. What was nothing to be kept (a checkpoint's weights are in a storage that all share), or is of another target (of a
--- live edit, of another continuation), is prepared here.
---@param rows fun(): Tensor   inputs to measure on
function Teacher:load_state(kept, rows)
  local goal = self.target
  if not (kept.target and goal.load_state and goal.load_state(kept.target)) then self:prepare(rows) end
end

return teacher
