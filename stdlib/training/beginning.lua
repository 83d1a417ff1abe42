--- What is told of a training as it begins: its data, what the student is compared with, and what a step of it costs.
local engine = require "gradus.engine"
local advice = require "gradus.training.advice"
local data = require "gradus.data.dataset"
local modes = require "gradus.base.modes"
local taken_by = require "gradus.base.taken_by"
local tensor = require "gradus.base.tensor"
local threads = require "gradus.step.threads"

local beginning = {}

--- Of each part of the data: its fingerprint.
---@param self Training
---@return table<string, string>
function beginning.fingerprints(self)
  if self.of_data then return self.of_data end
  self.of_data = {}
  for name, one in pairs { train = self.train, val = self.val } do
    if data.is(one) then self.of_data[name] = one:fingerprint() end
  end
  return self.of_data
end

-- What was trained on, so that `gradus diff` can tell the data of two runs apart.
local function record_data(self)
  for _, part in ipairs { { "train", self.train }, { "val", self.val } } do
    local name, one = part[1], part[2]
    if data.is(one) then
      data.content(one.base, true)
      self.run:event("data", name, { fingerprint = beginning.fingerprints(self)[name], rows = one:size() })
    end
  end
end

-- The floating-point operations of a step, or of one of its parts: forward, and twice that backward; the teacher's where it is asked.
local function work_of(self)
  local x, operations = self.feed:like(), engine.count_flops()
  modes.evaluating(self.student, tensor.no_grad, self.student, taken_by(self.student, x))
  return 3 * operations() + (self.teacher.answers and 0 or self.teacher:cost(x, self.updater.pieces) / self.updater.pieces)
end

--- What the student is compared with, and what it is trained on: told once in a training.
function beginning.baselines(self)
  local s, numbers = self.s, self.evaluator:baselines()
  for name, acc in pairs(self.evaluator.teacher_acc) do s.teacher_acc[name] = acc end
  for name, acc in pairs(self.evaluator.untrained_acc) do s.untrained_acc[name] = acc end
  if next(numbers) then self.run:log(numbers) end
  record_data(self)
  if not self.run.dry then advice.store(self, advice.on(self)) end
end

--- How much of a budget in floating-point operations a step takes, which schedules are told before the first one.
---@param self Training
---@param work? number   of a part of a batch
function beginning.weigh_step(self, work)
  local clock, updater = self.clock, self.updater
  if not clock.budget.flops or clock.total_steps then return end
  clock.counts.step_progress = updater.batch / updater.rows * (work or work_of(self)) / clock.budget.flops
end

--- Baselines and the first stage: charged and told once in a training.
function beginning.begin(self)
  beginning.baselines(self)
  self:enter(1)
  local work = nil
  threads.choose(self.run, function()
    work = work_of(self)
    return work
  end)
  beginning.weigh_step(self, work)
  if not self.run.dry then self.run.beforehand.judge(self.run, self) end
end

return beginning
