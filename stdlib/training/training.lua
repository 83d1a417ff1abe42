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
local beginning = require "gradus.training.beginning"
local clock = require "gradus.curriculum.clock"
local data = require "gradus.data.dataset"
local entering = require "gradus.training.entering"
local finite = require "gradus.training.finite"
local modes = require "gradus.base.modes"
local standardize = require "gradus.data.standardize"
local trained_rows = require "gradus.data.trained_rows"

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
---@field books boolean         the step's numbers are being counted and judged: nobody's function is asked
---@field boundary_due number?  the epoch before a step that was taken, and whose boundary is still to come
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

-- --- the steps and their books -----------------------------------------------------------------------------------------------

-- Counts one step; what it left comes later.
local function count(self)
  local counts = self.clock.counts
  self.stages:done(counts.step)
  self.clock:count()
  self.run.step_number = self.before + counts.step
end

-- A step's numbers are at hand: at = { step, knobs, share, index = of its rows, or a function that tells it, x, seen }. Judged first: of a
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
  if not self.clock:ends() then
    host.fail(self.where .. ": budget.flops: a step has no floating-point operations that are counted (products, convolutions): it would "
      .. "never end; expected steps, epochs or seconds")
  end
  self.ahead:meet(batch)
end

local function begin_books(self)
  self.books = true
  self.feed:settle()
end

--- One step with these knobs; what it gave is in self.out.
function Training:step_once(knobs)
  local out, batch, told = self.updater:take_one(self.feed, knobs)
  begin_books(self)
  meter(self, batch)
  self.clock:tick()
  count(self)
  local source = self.feed.source
  local seen = source.adaptive and out.confidence and engine.transfer(out.confidence) or nil
  self.stages.last = told
  self.reporter:push(out, told, { step = self.s.step, index = batch.index, x = self.feed:inputs(), share = source.share_now or nil,
    seen = seen })
  self.out = out
end

local function step_often(self, plan)
  local out, batch, done = self.updater:take_many(self.feed, plan)
  begin_books(self)
  local i_th
  local at = { index = function() return batch.index[i_th] end, x = self.feed:inputs(), share = self.feed.source.share_now or nil }
  self.clock:tick()
  self.reporter:each(out, done, function(row, i)
    count(self)
    at.step, at.knobs, i_th = self.clock.counts.step, plan[i], i - 1
    self:deliver(row, at)
  end)
  self.stages.last = plan[done]
end

-- --- between steps -----------------------------------------------------------------------------------------------------------

--- Measures the student.
function Training:evaluate()
  local s, evaluator = self.s, self.evaluator
  local numbers, of_val = modes.evaluating(self.student, evaluator.look, evaluator,
    self.objective:measured_by(self.stages:numbers()), self.teacher.target)
  if not self.run.dry then self.run.beforehand.look(self.run, self) end
  self.feed:describe(numbers)
  local of_teacher = evaluator:teacher_on_val()
  self.reporter:evaluation(numbers, of_val, s, { source = self.feed.source, train = self.train, new_rows = evaluator:rows_moved(),
    majority = of_val and evaluator:majority(), guess = of_val and evaluator:guess(), teacher_acc = of_teacher and of_teacher.acc,
    target_acc = evaluator:acc_of_checkpoint(self.teacher.target) })
  self.keeper:keep_safe(s.step)
  self.reporter:foresee(s, self.clock.total_steps, function() return advice.bytes(self) end)
  if not evaluator:has_data() then return end
  s:record(numbers)
  self.keeper:record(s)
end

-- Whether a function is asked which rows are drawn.
local function asks_rows(self)
  local source = self.feed.source
  return type(self.stages.stage.sample) == "function" or not data.is_generator(source) and rawget(source, "on_refresh") ~= nil
end

--- What follows a step: evaluation, verdicts, stage, epoch. Returns whether the training is over.
function Training:boundary(epoch)
  local s = self.s
  local over, drawn = clock.is_over(self.clock.counts), clock.epoch_of(self.clock.counts) > epoch
  local evaluates, early = self.evaluator:due(s.step) or over, self.evaluator:due_early(self.clock.counts)
  self.books = false
  if self.live and (evaluates or early or drawn and asks_rows(self) or self.stages:awaits(s)) then
    self.live:keep(self, evaluates, epoch)
  end
  s.evaluating = evaluates
  if evaluates then self:evaluate() elseif early then entering.look(self) end
  if self.keeper:due(s.step) then self.keeper:keep(s.step) end
  self.reporter:show(s)
  local to = self.stages:decide()
  local ends = to ~= nil or drawn and self.stages:level_ends(self.feed.source)
  if ends and not s.evaluating then self:evaluate() end  -- a stage's end, or a level's, is measured, whatever ended it
  s.evaluating = false
  if to == false or over then
    self.ended_by_rule = to == false
    return true
  end
  if ends then self.run:progress(s) end
  if to then self:enter(to, s.stage) end
  if drawn then entering.draw(self) end
  self.run:breathe(s, self)
  return false
end

--- Goes on with another stage, whatever the rules say; the one before is measured at its end.
function Training:go_to(index)
  local s = self.s
  if self.live then self.live:keep(self, true) end
  self:evaluate()
  self.run:progress(s)
  self:enter(index, s.stage)
end

--- Enters a stage: charged and told once. why: the stage before it.
function Training:enter(index, why) entering.enter(self, index, why) end

--- The strength of the augmentations has been set: whether the teacher's answers are known depends on it.
function Training:augment_anew() entering.augment_anew(self) end

--- What the student is compared with, and what it is trained on: told once in a training.
function Training:baselines() beginning.baselines(self) end

--- Of each part of the data: its fingerprint.
---@return table<string, string>
function Training:fingerprints() return beginning.fingerprints(self) end

-- Returns the epoch before them.
local function take_steps(self)
  local epoch = clock.epoch_of(self.clock.counts)
  if self.goes_on_longer then
    entering.draw(self)  -- where an epoch begins
    self.goes_on_longer = false
  end
  local plan = self.ahead:plan(self.before)
  if #plan == 1 then self:step_once(plan[1]) else step_often(self, plan) end
  return epoch
end

-- Returns the training that goes on in its place, where one does.
local function loop(self)
  self.clock:start_time()
  if not self.restored then beginning.begin(self) end
  while not self.over do
    local epoch = self.boundary_due or take_steps(self)
    self.boundary_due = nil
    self.over = self:boundary(epoch)
    if self.at_boundary then self.over = self.at_boundary(self, self.over) or self.over end
    if not self.over and self.attach then self.over = self.attach:look(self) end
    local successor = not self.over and self.live and self.live:look(self)
    if successor then return successor end
  end
  self.run.snapshots:over(self)
end

-- The end: best weights in, modes given back, what was lent and drawn ahead returned.
local function finish(self)
  local s, missed = self.s, self.stages:unreached()
  if missed and clock.is_over(s) then
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
      local base = data.is(self.train) and self.train.base or {}
      return { labels = labels.kind, classes = labels.classes, class_names = labels.names, columns = base.columns,
        scaling = standardize.kept(base), trained_on = trained_rows.of(self.train, self.run.seed), step = self.s.step,
        monitor = keeper.monitor, best_step = keeper.best and keeper.best.step }
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
    local successor = self.live and not self.restored and self.live:begin(self) or self
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
    ended_by_rule = self.ended_by_rule, data = beginning.fingerprints(self),
    student = self.student:state_dict(), random = engine.default_generator(self.run.device):get_state() }
  for _, name in ipairs(PARTS) do kept[name] = self[name]:state() end
  return kept
end

--- A step has failed in a function that it called: what it had taken is given back, and the training stands before it.
function Training:take_back_step() self.updater:take_back(self.feed) end

--- Goes on where `kept` was taken, in a training that was made of the same options. Before `run_all`.
function Training:load_state(kept)
  self.loan = self.loan or modes.lend(self.student)
  self.student:load_state_dict(kept.student)
  self.clock:load_state(kept.clock, kept.schedules == "keep")
  entering.again(self, kept)
  for _, name in ipairs(PARTS) do
    if name ~= "clock" then self[name]:load_state(kept[name]) end
  end
  engine.default_generator(self.run.device):set_state(kept.random)  -- last: making the parts may have drawn
  self.goes_on_longer = kept.over and not kept.ended_by_rule and not clock.is_over(self.clock.counts)
  self.restored, self.over = true, kept.over and not self.goes_on_longer
  if not self.over and clock.is_over(self.clock.counts) then self.boundary_due = clock.epoch_of(self.clock.counts) end  -- a smaller budget
end

return training
