--- The part of a distillation that is about the teacher's answers: where they come from, what they cost, and how large a step
--- is with them.
local engine = require "gradus.engine"
local data = require "gradus.data.dataset"
local teacher_cache = require "gradus.training.teacher_cache"
local tensor = require "gradus.base.tensor"

local teaching = {}

--- Adds the methods to the class of distill.lua.
function teaching.add_to(Distill)
  -- The teacher's answers, where they are known beforehand.
  function Distill:ask_teacher()
    local strength, s = self.stage.knobs.augment or self.knobs.augment, self.state
    self.answers = teacher_cache.answers(self.run, { where = ("stage '%s'"):format(self.stage.name), given = self.o.teacher_cache,
      target = self.target, base = data.is(self.train) and self.train.base or nil, batch = self.batch, view = self.view,
      augmented = strength ~= 0 or self.stage.pressure ~= nil, student = self.student,
      samples = self.total_steps and self.total_steps * self.batch })
    self.teacher_flops = nil
    if self.answers then s.flops_spent = s.flops_spent + self.answers.spent end
  end

  --- Whether the answers change with every step: the teacher, or a part of it, is what is trained.
  function Distill:teacher_is_trained()
    local goal, own = self.target, {}
    if not goal.of then return false end
    if not goal.identity then return true end
    for _, p in ipairs(self.student:parameters()) do own[p] = true end
    for _, module in ipairs(teacher_cache.modules_of(goal)) do
      for _, p in ipairs(module:parameters()) do
        if own[p] then return true end
      end
    end
    return false
  end

  -- A teacher that somebody changes while the stage lasts is asked in each step.
  function Distill:check_teacher()
    if not self.answers or self.state.step == self.state.start.step or not self.answers.moved() then return end
    self:warn("teacher_moved", ("stage '%s': the teacher's weights have changed; its cached answers are left"):format(self.stage.name))
    self.answers = nil
  end

  -- The teacher's floating-point operations for a batch, charged whether they are carried out or known.
  function Distill:teacher_cost(x)
    if not self.target.of then return 0 end
    if self.answers then return self.answers.flops * self.batch end
    if not self.teacher_flops then
      local count = engine.count_flops()
      self.target.of(x)
      self.teacher_flops = self.pieces * count()
    end
    return self.teacher_flops
  end

  -- The floating-point operations of a step, or of one of its parts: forward, and twice that backward; the teacher's where it is
  -- asked.
  function Distill:step_work()
    local x, count = self.feed:like(), engine.count_flops()
    self.student:eval()
    tensor.no_grad(self.student, x)
    self.student:train()
    return 3 * count() + (self.answers and 0 or self:teacher_cost(x) / self.pieces)
  end
end

return teaching
