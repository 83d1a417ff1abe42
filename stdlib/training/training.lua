--- A training: a loop over its parts, each a class with one job and a state of its own (see distill.lua for what they are).
---   plan      the knobs of the coming steps: one, or as many as nobody wants to look in between (ahead.lua)
---   take      rows from the feed, the updates
---   account   each step is counted, then reported, observed and judged once its numbers are at hand
---   boundary  evaluation, verdicts, the next stage or epoch; a snapshot is the last act of a boundary
--- Steps of a small model take less time than Lua needs for them, so several go in one call (scan.lua) where they can: a way to ask
--- the parts, with the same bits, rows and counts.
local host = require "gradus.host"
local engine = require "gradus.engine"
local advice = require "gradus.training.advice"
local ahead = require "gradus.training.ahead"
local clock = require "gradus.curriculum.clock"
local data = require "gradus.data.dataset"
local feed = require "gradus.training.feed"
local finite = require "gradus.training.finite"
local modes = require "gradus.base.modes"
local tensor = require "gradus.base.tensor"
local threads = require "gradus.step.threads"

local training = {}

---@class Training
---@field clock Clock
---@field stages Stages
---@field task Task
---@field teacher Teacher
---@field evaluator Evaluator
---@field objective Objective
---@field feed Feed
---@field updater Updater
---@field keeper Keeper
---@field reporter Reporter
---@field s State            what a curriculum's functions see
---@field attach? Attach      what people ask of it meanwhile
---@field live? LiveEdit      swaps it for one of another version of the script (gradus run --live)
---@field at_boundary? fun(training: Training, over: boolean): boolean?   told after each boundary; true ends the training
local Training = {}
Training.__index = Training

local PARTS = { "clock", "evaluator", "objective", "updater", "keeper", "reporter" }  -- and, in their order, stages, teacher, feed

---@param fields table  run, student, train, val, given_teacher and the parts
---@return Training
function training.new(fields)
  fields.ahead = ahead.new(fields)
  return setmetatable(fields, Training)
end

-- --- stages ----------------------------------------------------------------------------------------------------------------

-- Asked once per epoch: which rows; and whether the teacher is still what it was.
local function draw(self, begins)
  local stages, s = self.stages, self.s
  if not begins and self.teacher:leave_if_moved() then
    self.reporter:warn("teacher_moved", stages:where() .. ": the teacher's weights have changed; its cached answers are left")
  end
  self.feed:draw_from(stages:where() .. ": sample", stages:sample(self.train), self.train, s)
  self.feed:imitate(self.teacher.ask, self.teacher.answers)
  self.evaluator:look_at(self.feed.source)
  if begins then return end
  stages:tell_level(self.feed.source)
  local cost = self.clock.cost
  self.clock:costs(cost.step, cost.teacher, self.feed.known and 0 or cost.teacher)
end

-- The target of the stage and what it trains, without counting, charging or drawing anything.
local function set_up(self)
  local stages, where = self.stages, self.stages:where()
  self.teacher:imitate(where, stages:target(self.given_teacher))
  local missing = self.loan:train_only(stages.stage.train)
  if missing then host.fail(("%s: train: the student has no parameters under '%s'"):format(where, missing)) end
  self.reporter:reads(self.teacher.target, self.objective:outputs_read(self.teacher.target))
end

local function is_augmented(self)
  return self.stages:answer_of "augment" ~= 0 or self.stages.stage.pressure ~= nil
end

local function compile(self)
  local goal = self.teacher.target
  self.updater:compile(self.objective:outputs(self.student, goal), goal.kind == "layer" and goal.mass
    or function(b) return self.objective:mass(b) end)
  self.evaluator.teacher_moves = self.teacher:is_trained()
  self.ahead:begin_stage(self.evaluator.teacher_moves)
end

-- A look at the stage's own rows as it begins, and soon after; the second is logged.
local function look_at_rows(self, begins)
  local numbers = {}
  self.evaluator:measure_stage(numbers, self.teacher.target)
  if next(numbers) == nil then return end
  if begins then self.reporter:begins_with(numbers) else self.run:log(numbers) end
end

-- Settings without effect are told before they cost a run.
local function check_stage(self)
  local stages = self.stages
  local stage, goal = stages.stage, self.teacher.target
  if goal.kind == "logits" and self.objective.plain and stages:answer_of "alpha" == 1 and not stage.pressure then
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

--- Enters a stage: charged and told once. why: the stage before it.
function Training:enter(index, why)
  self.reporter:settle()  -- what waits is of the stage before
  self.stages:enter(index)
  set_up(self)
  self.reporter:stage()
  self.clock:charge(self.teacher:prepare(function()
    return feed.some_rows(self.train, self.val, self.run.dry and 64 or 4096):to(self.run.device)
  end))
  self.clock:charge(0, self.teacher:know_answers(is_augmented(self)))
  draw(self, true)
  self.keeper:keep_safe(self.s.step)
  compile(self)
  tell_stage(self, why)
  self.stages:tell_level(self.feed.source)
  check_stage(self)
  if not self.run.dry then advice.store(self, { advice.on_parts(self) }) end
  if why then look_at_rows(self, true) end  -- the first stage's untrained student is met in its first step
end

-- The stage of a snapshot goes on: nothing is charged, told or drawn.
local function reenter(self, kept)
  self.stages:enter(kept.stages.index, true)
  self.stages:load_state(kept.stages)
  set_up(self)
  self.teacher:load_state(kept.teacher)
  self.teacher:know_answers(is_augmented(self))
  self.feed:load_state(kept.feed, function() draw(self, true) end, self.train)
  self.evaluator:look_at(self.feed.source)  -- at the rows that were open when the epoch began
  compile(self)
end

-- --- the steps and their books -----------------------------------------------------------------------------------------------

-- Counts one step; what it left comes later.
local function count(self)
  local counts = self.clock.counts
  self.stages:done(counts.step)
  self.clock:count()
  self.run.step_number = self.before + counts.step
end

local function count_passes(self)
  local c = self.clock.counts
  c.stage_passes = self.feed:passes() or c.stage_epochs
end

-- A step's numbers are at hand: at = { step, knobs, share, index = of its rows, or a function that tells it, seen }. Judged first: of a
-- refused batch nothing else counts.
function Training:deliver(row, at)
  local s = self.s
  if not (finite.is(row.loss) and finite.is(row.norm)) then self.run:log({ ["train/loss"] = row.loss }, self.before + at.step) end
  local good, back = self.updater:judge(row, at)
  if back then self.keeper:roll_back() end
  if not good then return end
  self.clock.counts.updates = self.clock.counts.updates + 1
  local mean = row.mean_confidence
  if mean then s.confidence = s.confidence and .9 * s.confidence + .1 * mean or mean end
  if at.seen then self.feed:observe(at.index, engine.is_tensor(at.seen) and at.seen or at.seen:wait()) end
  self.reporter:log(self.objective:logged(row, at.knobs, self.teacher.target), row, at.knobs, at.share, self.before + at.step, s)
end

-- The floating-point operations from here on, once a step of the stage was taken.
local function meter(self, batch)
  local answers = self.teacher:cost(batch.x, self.updater.pieces)
  self.clock:costs(self.updater.flops, answers, self.feed.known and 0 or answers)
  self.ahead:meet(batch)
end

--- One step with these knobs; what it gave is in self.out.
function Training:step_once(knobs)
  local out, batch, told = self.updater:take_one(self.feed, knobs)
  meter(self, batch)
  self.clock:tick()
  count(self)
  count_passes(self)
  local source = self.feed.source
  local seen = source.adaptive and out.confidence and engine.transfer(out.confidence) or nil
  self.stages.last = told
  self.reporter:push(out, told, { step = self.s.step, index = batch.index, share = source.share_now or nil, seen = seen })
  self.out = out
end

local function step_often(self, plan)
  local out, batch, done = self.updater:take_many(self.feed, plan)
  local i_th
  local at = { index = function() return batch.index[i_th] end, share = self.feed.source.share_now or nil }
  self.clock:tick()
  self.reporter:each(out, done, function(row, i)
    count(self)
    at.step, at.knobs, i_th = self.clock.counts.step, plan[i], i - 1
    self:deliver(row, at)
  end)
  self.stages.last = plan[done]
  count_passes(self)
end

-- --- between steps -----------------------------------------------------------------------------------------------------------

--- Measures the student.
function Training:evaluate()
  local s, evaluator = self.s, self.evaluator
  local numbers, of_val = evaluator:measure(self.stages:numbers(), self.teacher.target)
  evaluator:measure_stage(numbers, self.teacher.target)
  self.feed:describe(numbers)
  local of_teacher = evaluator:teacher_on_val()
  self.reporter:evaluation(numbers, of_val, s, { source = self.feed.source, train = self.train, new_rows = evaluator:rows_moved(),
    majority = of_val and evaluator:majority(), teacher_acc = of_teacher and of_teacher.acc })
  self.keeper:keep_safe(s.step)
  self.reporter:foresee(s, self.clock.total_steps, function() return advice.bytes(self) end)
  if not evaluator:has_data() then return end
  s:record(numbers)
  self.keeper:record(s)
end

--- What follows a step: evaluation, verdicts, stage, epoch. Returns whether the training is over.
function Training:boundary(epoch)
  local s = self.s
  local over = clock.is_over(self.clock.counts)
  s.evaluating = self.evaluator:due(s.step) or over
  if s.evaluating then self:evaluate() elseif self.evaluator:due_early(self.clock.counts) then look_at_rows(self) end
  if self.keeper:due(s.step) then self.keeper:keep(s.step) end
  self.reporter:show(s)
  local to = self.stages:decide()
  local drawn = clock.epoch_of(self.clock.counts) > epoch
  local ends = to ~= nil or drawn and self.stages:level_ends(self.feed.source)
  if ends and not s.evaluating then self:evaluate() end  -- a stage's end, or a level's, is measured, whatever ended it
  s.evaluating = false
  if to == false or over then
    self.ended_by_rule = to == false
    return true
  end
  if ends then self.run:progress(s) end
  if to then self:enter(to, s.stage) end
  if drawn then draw(self) end
  self.run:breathe(s, self)
  return false
end

--- Goes on with another stage, whatever the rules say; the one before is measured at its end.
function Training:go_to(index)
  local s = self.s
  self:evaluate()
  self.run:progress(s)
  self:enter(index, s.stage)
end

--- The strength of the augmentations has been set: whether the teacher's answers are known depends on it.
function Training:augment_anew()
  self.clock:charge(0, self.teacher:know_answers(is_augmented(self)))
  self.feed:imitate(self.teacher.ask, self.teacher.answers)
  local cost = self.clock.cost
  self.clock:costs(cost.step, cost.teacher, self.feed.known and 0 or cost.teacher)
end

--- Of each part of the data: its fingerprint.
---@return table<string, string>
function Training:fingerprints()
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
      self.run:event("data", name, { fingerprint = self:fingerprints()[name], rows = one:size() })
    end
  end
end

-- The floating-point operations of a step, or of one of its parts: forward, and twice that backward; the teacher's where it is asked.
local function work_of(self)
  local x, operations = self.feed:like(), engine.count_flops()
  modes.evaluating(self.student, tensor.no_grad, self.student, x)
  return 3 * operations() + (self.teacher.answers and 0 or self.teacher:cost(x, self.updater.pieces) / self.updater.pieces)
end

--- What the student is compared with, and what it is trained on: told once in a training.
function Training:baselines()
  local s, numbers = self.s, self.evaluator:baselines()
  for name, acc in pairs(self.evaluator.teacher_acc) do s.teacher_acc[name] = acc end
  for name, acc in pairs(self.evaluator.untrained_acc) do s.untrained_acc[name] = acc end
  if next(numbers) then self.run:log(numbers) end
  record_data(self)
  if not self.run.dry then advice.store(self, advice.on(self)) end
end

--- Baselines and the first stage: charged and told once in a training.
function Training:begin()
  self:baselines()
  self:enter(1)
  local work = nil
  threads.choose(self.run, function()
    work = work_of(self)
    return work
  end)
  if self.clock.budget.flops and not self.clock.total_steps then
    self.clock.counts.step_progress = self.updater.pieces * (work or work_of(self)) / self.clock.budget.flops
  end
end

-- Returns the training that goes on in its place, where one does.
local function loop(self)
  self.clock:start_time()
  if not self.restored then self:begin() end
  local over = self.over
  while not over do
    local epoch = clock.epoch_of(self.clock.counts)
    if self.goes_on_longer then
      draw(self)  -- where an epoch begins
      self.goes_on_longer = false
    end
    local plan = self.ahead:plan(self.before)
    if #plan == 1 then self:step_once(plan[1]) else step_often(self, plan) end
    over = self:boundary(epoch)
    self.over = over
    if self.at_boundary then over = self.at_boundary(self, over) or over end
    if not over and self.attach then over = self.attach:look(self) end
    local successor = not over and self.live and self.live:look(self)
    if successor then return successor end
  end
  self.over = true
  self.run.snapshots:over(self)
end

-- The end: best weights in, modes given back, what was lent and drawn ahead returned.
local function finish(self)
  local s, missed = self.s, self.stages:unreached()
  if missed and s.used >= 1 then
    self.reporter:warn("stage_unreached", ("the budget ended in stage '%s'; '%s' never began"):format(s.stage, missed))
  end
  self.keeper:keep(s.step)
  self.reporter:settle()
  self.feed:rewind()
  self.keeper:finish()
end

--- Calls fn(self) with the student lent to the training. Whatever happens, its modes and flags are given back; it is in evaluation
--- mode from then on.
function Training:borrow(fn)
  self.loan = self.loan or modes.lend(self.student)
  local ok, err = xpcall(fn, host.traceback, self)
  self.loan:close()
  self.loan = nil
  if not ok then error(err, 0) end
end

-- What the run leaves of the student when it ends, and what is needed to use it.
local function leave_student(self)
  local keeper, labels = self.keeper, self.task.labels
  self.run:leave_student(self.student, {
    last = function() return (keeper:of_student()) end,
    best = function() return (select(2, keeper:of_student())) end,
    metadata = function()
      return { labels = labels.kind, classes = labels.classes, class_names = labels.names,
        columns = data.is(self.train) and self.train.base.columns or nil, step = self.s.step, monitor = keeper.monitor,
        best_step = keeper.best and keeper.best.step }
    end,
  })
end

-- To its end, or until another goes on in its place.
local function run_one(self)
  leave_student(self)
  local successor
  self:borrow(function()
    successor = loop(self)
    if successor then self.reporter:settle() else finish(self) end
  end)
  return successor
end

-- The same of a training that may be swapped: what fails in a new version is taken back.
local function run_live(self)
  local ok, successor = pcall(run_one, self)
  if ok then return successor end
  return self.live:taken_back(self, successor) or error(successor, 0)
end

--- Trains, from the beginning or from where a snapshot of the run was taken. Returns the training that ended: itself, unless it was
--- swapped; its student has the weights in any case.
---@return Training
function Training:run_all()
  local snapshots, last = self.run.snapshots, self
  snapshots:around(self, function()
    local successor = self
    while successor do
      snapshots:swap(last, successor)
      last = successor
      successor = (last.live and run_live or run_one)(last)
    end
    snapshots:swap(last, self)
  end)
  if last.student ~= self.student then self.student:load_state_dict(last.student:state_dict()) end
  return last
end

-- --- snapshots ---------------------------------------------------------------------------------------------------------------

--- All that moves, part by part, as plain tables and tensors, which are the training's own: whoever keeps them copies them
--- (base/copy.lua). Only reads. At a boundary.
function Training:state()
  local kept = { stages = self.stages:state(), teacher = self.teacher:state(), feed = self.feed:state(), over = self.over,
    ended_by_rule = self.ended_by_rule, data = self:fingerprints(),
    student = self.student:state_dict(), random = engine.default_generator(self.run.device):get_state() }
  for _, name in ipairs(PARTS) do kept[name] = self[name]:state() end
  return kept
end

--- Goes on where `kept` was taken, in a training that was made of the same options. Before `run_all`.
function Training:load_state(kept)
  self.loan = self.loan or modes.lend(self.student)
  self.student:load_state_dict(kept.student)
  self.clock:load_state(kept.clock, kept.schedules == "keep")
  reenter(self, kept)
  for _, name in ipairs(PARTS) do
    if name ~= "clock" then self[name]:load_state(kept[name]) end
  end
  engine.default_generator(self.run.device):set_state(kept.random)  -- last: making the parts may have drawn
  self.goes_on_longer = kept.over and not kept.ended_by_rule and not clock.is_over(self.clock.counts)
  self.restored, self.over = true, kept.over and not self.goes_on_longer
end

return training
