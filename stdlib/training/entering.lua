--- How a training enters a stage: the parts are set to the stage's target, rows and trained layers; what that costs is charged, and what
--- would have no effect is told. `self` is the training (training.lua).
local engine = require "gradus.engine"
local host = require "gradus.host"
local advice = require "gradus.training.advice"
local data = require "gradus.data.dataset"
local is_ending = require "gradus.base.is_ending"

local entering = {}

--- Which rows, asked once per epoch; and whether the teacher is still what it was.
---@param self Training
---@param begins? boolean   the stage does: nothing was drawn before
function entering.draw(self, begins)
  local stages, s = self.stages, self.s
  if not begins and self.teacher:leave_if_moved() then
    self.reporter:warn("teacher_moved", stages:where() .. ": the teacher's weights have changed; its cached answers are left")
  end
  self.feed:draw_from(stages:where() .. ": sample", stages:sample(self.train), self.train, s)
  self.feed:imitate(self.teacher.ask, self.teacher.answers)
  self.evaluator:look_at(self.feed.source)
  if begins then return end
  self.clock:draws_from(self.feed:rows())
  stages:tell_level(self.feed.source)
  local cost = self.clock.cost
  self.clock:costs(cost.step, cost.teacher, self.feed.known and 0 or cost.teacher)
end

-- The target of the stage and what it trains, without counting, charging or drawing anything.
local function set_up(self)
  local stages, where = self.stages, self.stages:where()
  self.teacher:imitate(where, stages:target(self.given_teacher))
  local missing = self.loan:train_only(stages.stage.train)
  if missing then host.fail(("%s: train: the student has no parameters to train under '%s'"):format(where, missing)) end
  self.reporter:reads(self.teacher.target, self.objective:outputs_read(self.teacher.target))
end

local function is_augmented(self)
  return self.stages:answer_of "augment" ~= 0 or self.stages.stage.pressure ~= nil
end

local function compile(self)
  local goal = self.teacher.target
  self.updater:compile(self.objective:outputs(self.student, goal), goal.kind == "layer" and goal.mass
    or function(b) return self.objective:mass(b) end, function(b) return self.task:mass(b, true) end)
  self.evaluator.teacher_moves = self.teacher:is_trained()
  self.ahead:begin_stage(self.evaluator.teacher_moves)
end

--- A look at the stage's own rows as it begins, and soon after; the second is logged.
function entering.look(self, begins)
  local numbers = {}
  self.evaluator:measure_stage(numbers, self.teacher.target)
  if next(numbers) == nil then return end
  if begins then self.reporter:begins_with(numbers) else self.run:log(numbers) end
end

-- The same of the first stage: where suites have been measured, they have told, and nobody asks the student once more. One that does
-- not fit its data is refused by the first step, in better words.
local function meet_untrained(self)
  local loss = self.evaluator.untrained_loss
  if not loss then
    local ok, why = pcall(entering.look, self, true)
    if not ok and is_ending(why) then error(why, 0) end
  elseif self.teacher.target.kind ~= "layer" then self.reporter:begins_with { ["stage/loss"] = loss } end
end

-- Settings without effect are told before they cost a run.
local function check_stage(self)
  local stages = self.stages
  local stage, goal = stages.stage, self.teacher.target
  -- Rows without a label are the teacher's, whatever alpha is.
  if goal.kind == "logits" and self.objective.plain and stages:answer_of "alpha" == 1 and not stage.pressure
    and not self.task.labels.partial then
    self.reporter:warn("teacher_unused",
      stages:where() .. ": alpha = 1 leaves the teacher out; expected alpha below 1, or target = 'labels'")
  end
  if goal.doubt then self.reporter:warn("out_of_reach", stages:where() .. ": target: " .. goal.doubt) end
  if not self.objective:gives_confidence(goal) then
    local temperature = stages:answer_of "temperature"
    if self.feed.source.mode == "confidence" then
      self.reporter:warn("no_confidence", stages:where() .. ": sample: the steps tell no confidence, so all rows are drawn alike")
    end
    if type(temperature) == "table" and temperature.wants_confidence then
      self.reporter:warn("no_confidence", stages:where() .. ": temperature: the steps tell no confidence, so it never moves")
    end
  end
  if stages:answer_of "augment" ~= 0 and not next(self.feed.augmentations) then
    host.fail(stages:where() .. ": augment has no effect: distill's augmentations are empty; expected { noise =, shift =, erase = }")
  end
end

local function tell_stage(self, why)
  local stage, goal = self.stages.stage, self.teacher.target
  local rule = stage.advance
  self.run:event("stage", stage.name, { index = self.stages.index, of = #self.stages.list, target = goal.text, rows = self.feed:rows(),
    advance = rule and (type(rule) == "function" and "function" or tostring(rule)) or nil, after = why,
    trained = stage.train or (goal.kind == "layer" and "all up to " .. goal.to or "all"), detail = goal.detail })
end

-- Inputs to measure a layer on, so many rows or positions of sequences, without moving any of the run's streams.
local function some_rows(train, val, count)
  local from = data.is(train) and train or val
  if not from then host.fail "distill: a layer's spread is measured before the stage; a generator needs validation data for it" end
  local x = from.base.x
  if x:dim() == 2 and not x.dtype:find "float" then count = math.max(1, math.floor(count / x:size(1))) end  -- a row is a sequence
  local d = from:shuffled(0)
  return (d:subset(engine.ops.arange(math.min(count, d:size()))):gather())
end

-- What a target is measured on.
local function rows_of(self)
  return function() return some_rows(self.train, self.val, self.run.dry and 64 or 4096):to(self.run.device) end
end

--- Enters a stage: charged and told once. why: the stage before it.
function entering.enter(self, index, why)
  self.reporter:settle()  -- what waits is of the stage before
  self.stages:enter(index)
  set_up(self)
  self.reporter:stage()
  self.clock:charge(self.teacher:prepare(rows_of(self)))
  self.clock:charge(0, self.teacher:know_answers(is_augmented(self)))
  entering.draw(self, true)
  self.clock:draws_from(self.feed:rows())
  self.keeper:keep_safe(self.s.step)
  compile(self)
  tell_stage(self, why)
  self.stages:tell_level(self.feed.source)
  check_stage(self)
  if not self.run.dry then advice.store(self, { advice.on_parts(self) }) end
  if why then entering.look(self, true) else meet_untrained(self) end
end

--- The stage of a snapshot goes on: nothing is charged, told or drawn.
function entering.again(self, kept)
  self.stages:enter(kept.stages.index, true)
  self.stages:load_state(kept.stages)
  set_up(self)
  self.teacher:load_state(kept.teacher, rows_of(self))
  self.teacher:know_answers(is_augmented(self))
  self.feed:load_state(kept.feed, function() entering.draw(self, true) end, self.train)
  self.evaluator:look_at(self.feed.source)  -- at the rows that were open when the epoch began
  compile(self)
end

--- The strength of the augmentations has been set: whether the teacher's answers are known depends on it.
function entering.augment_anew(self)
  self.clock:charge(0, self.teacher:know_answers(is_augmented(self)))
  self.feed:imitate(self.teacher.ask, self.teacher.answers)
  local cost = self.clock.cost
  self.clock:costs(cost.step, cost.teacher, self.feed.known and 0 or cost.teacher)
end

return entering
