--- Distillation: a student learns from a teacher (or from labels alone) under a curriculum. `run:distill { … }`.
local engine = require "gradus.engine"
local host = require "gradus.host"
local accumulate = require "gradus.training.accumulate"
local check = require "gradus.base.check"
local checkpoints = require "gradus.base.checkpoints"
local console = require "gradus.experiment.console"
local curriculum = require "gradus.curriculum.curriculum"
local distilled = require "gradus.training.distilled"
local data = require "gradus.data.dataset"
local evaluate = require "gradus.training.evaluate"
local feed = require "gradus.training.feed"
local health = require "gradus.training.health"
local loss = require "gradus.training.loss"
local pressure = require "gradus.training.pressure"
local sampler = require "gradus.curriculum.sampler"
local schedule = require "gradus.curriculum.schedule"
local settings = require "gradus.training.settings"
local State = require "gradus.curriculum.state"
local stretch = require "gradus.training.stretch"
local target = require "gradus.curriculum.target"
local teacher_cache = require "gradus.training.teacher_cache"
local teaching = require "gradus.training.teaching"
local tensor = require "gradus.base.tensor"
local threads = require "gradus.step.threads"
local watch = require "gradus.training.watch"
local when = require "gradus.curriculum.when"

---@class DistillOptions
---@field student Module
---@field data Dataset|table    a data set, or a split with parts train and (optional) val
---@field teacher? Module|table what is imitated (target.lua); none: labels alone
---@field curriculum? any       see curriculum.lua; none: one-shot
---@field budget table          { epochs = | steps = | samples = | seconds = | flops = }: the run ends at the first one reached
---@field batch? number         64; training batches are always full
---@field accumulate? number    1; the batch in so many parts, one after the other, for memory; one update (accumulate.lua)
---@field lr? any               number, schedule or function; 1e-3
---@field warmup? any           share of the budget, { steps = } or { epochs = }; .05 when lr is a number
---@field decay? string         "constant", "linear", "cosine" or "step"; "cosine" when lr is a number
---@field teacher_view? string  "augmented": the teacher sees what the student sees; "clean": the inputs without augmentation
---@field teacher_cache? any     whether the teacher's answers to a fixed data set are computed once and reused (teacher_cache.lua): where
---                             that changes no bit when left out (no augmentation, or teacher_view = "clean"; as many samples as rows;
---                             up to 1 GiB); true, false, or { top = k } for the k largest logits of each row
---@field temperature? any      4; number, schedule or function; schedule.by_entropy gives one per example
---@field alpha? any            .7, weight of the labels: α CE + (1 − α) T² KL
---@field augment? any          0, strength of the augmentations, 0 to 1
---@field augmentations? table  { noise =, shift =, erase =, mixup = } at strength 1; { noise = .3, shift = 1 } for images
---@field optimizer? string|table  "AdamW", "Adam", "SGD", or an optimizer over the student's parameters
---@field weight_decay? number  .01
---@field clip? number          1, largest gradient norm; false for none
---@field label_smoothing? number
---@field t2? boolean           true; false for the papers that do not scale by T²
---@field teacher_temperature? number  the teacher's own temperature; the student's when left out
---@field evaluate? table       { epochs = 1 } or { steps = }
---@field suites? table         name -> data set, evaluated along: "easy/acc", "hard/acc"
---@field monitor? string       "val/loss": what the best checkpoint and patience go by
---@field patience? number      evaluations of the run without a new best until it stops (when.patience); none when left out
---@field restore_best? boolean true where there is validation data
---@field non_finite? string   "stop"; what follows a NaN or infinite gradient, which never reaches the weights: "stop", "skip" the
---                             batch, or "roll_back" to the last evaluation or the stage's beginning
---@field checkpoints? table    { steps = } or { epochs = }: the student's weights are kept this often (checkpoints.lua)
local OPTIONS = { "student", "data", "teacher", "curriculum", "budget", "batch", "lr", "warmup", "decay", "temperature", "alpha",
  "augment", "augmentations", "optimizer", "weight_decay", "clip", "label_smoothing", "t2", "teacher_temperature", "evaluate",
  "suites", "monitor", "patience", "restore_best", "checkpoints", "non_finite", "teacher_view", "teacher_cache", "accumulate" }
local FIELD = { epochs = "epoch", steps = "step", samples = "samples", seconds = "seconds", flops = "flops" }

local Distill = {}
Distill.__index = Distill
watch.add_to(Distill)
teaching.add_to(Distill)
pressure.add_to(Distill)
stretch.add_to(Distill)
accumulate.add_to(Distill)

-- --- settings --------------------------------------------------------------------------------------------------------

local function new(run, options)
  check.options("distill", options, OPTIONS)
  settings.module("distill: student", options.student)
  local train, val = settings.parts_of(options.data)
  local teacher = options.teacher
  local stages, defaults = curriculum.normalise(options.curriculum,
    { train = train, teacher = type(teacher) == "table" and teacher.parameters and teacher or nil })
  local o = settings.with_defaults(options, defaults)
  local self = setmetatable({ run = run, o = o, given = options, stages = stages, train = train, val = val, student = o.student }, Distill)
  self.budget = settings.check_budget("distill: budget", o.budget)
  self.batch = settings.positive("distill: batch", o.batch or 64)
  if self.batch % 1 ~= 0 then host.fail("distill: batch: expected a whole number; got " .. self.batch) end
  self.pieces = o.accumulate or 1
  self.rows = accumulate.rows(self.batch, self.pieces)
  if run.dry then self.pieces, self.rows = require("gradus.experiment.dry_run").tiny_batch(self.pieces, self.rows, val) end
  self.augmentations = feed.check_augmentations("distill: augmentations", o.augmentations or settings.default_augmentations(train))
  self.knobs = { lr = settings.learning_rate(o), temperature = schedule.check("distill: temperature", o.temperature or 4),
    alpha = schedule.check("distill: alpha", o.alpha == nil and (teacher and .7 or 1) or o.alpha),
    augment = schedule.check("distill: augment", o.augment or 0) }
  self.clip = o.clip == nil and 1 or o.clip or nil
  self.optimizer = settings.make_optimizer(o, run.device)
  self.suites = o.suites or {}
  for name, suite in pairs(check.value("distill", "suites", self.suites, check.table)) do
    if not data.is(suite) then
      host.fail(("distill: suites: '%s': expected a data set; got %s"):format(tostring(name), check.describe(suite)))
    end
  end
  self.monitor = o.monitor or (val and "val/loss" or nil)
  if o.monitor and not val and not next(self.suites) then
    host.fail "distill: monitor: nothing is evaluated; expected validation data or suites"
  end
  self.restore_best = o.restore_best ~= false and self.monitor ~= nil
  if o.patience then
    if not self.monitor then host.fail "distill: patience: expected validation data or monitor" end
    self.early = when.patience(self.monitor, settings.positive("distill: patience", o.patience))
  end
  self.every = settings.check_budget("distill: evaluate", o.evaluate or { epochs = 1 })
  self.kept = o.checkpoints and checkpoints.new()
  self.non_finite = o.non_finite or "stop"
  if self.non_finite ~= "stop" and self.non_finite ~= "skip" and self.non_finite ~= "roll_back" then
    host.fail(("distill: non_finite: expected 'stop', 'skip' or 'roll_back'; got '%s'"):format(tostring(self.non_finite)))
  end
  self.view = teacher_cache.check_view("distill", o.teacher_view, self.augmentations)
  teacher_cache.check("distill: teacher_cache", o.teacher_cache)
  self.health = health.new { classes = train.classes, rows = val and val:size() }
  self.epoch_size = train:size()
  if self.epoch_size < 1 then host.fail "distill: data: the training set is empty" end
  self.warned = {}
  self.state = State.new { run = run, student = o.student, teacher = teacher, params = run.params, seed = run.seed,
    step_epochs = self.batch / self.epoch_size }
  self.state.suites = self.suites
  self.before = run.step_number  -- steps of the run before this training: curves of one run never overwrite each other
  self:plan_steps()
  self.shown_knobs, self.shown_row = {}, {}
  self.parts = console.training_parts(self.total_steps, self.shown_knobs, self.shown_row)
  return self
end

-- How much of the budget one step is, where that is known beforehand.
function Distill:plan_steps()
  local b, per_step = self.budget, self.batch
  local total = math.huge
  if b.steps then total = math.min(total, b.steps) end
  if b.epochs then total = math.min(total, math.ceil(b.epochs * self.epoch_size / per_step)) end
  if b.samples then total = math.min(total, math.ceil(b.samples / per_step)) end
  self.total_steps = total < math.huge and total or nil
  self.state.step_progress = self.total_steps and 1 / self.total_steps or 0
  local function steps_of(every) return every.steps or math.max(1, math.floor((every.epochs or 1) * self.epoch_size / per_step + .5)) end
  self.eval_steps = steps_of(self.every)
  self.keep_steps = self.kept and steps_of(settings.check_budget("distill: checkpoints", self.o.checkpoints))
end

function Distill:warn(name, text)
  if self.warned[name] then return end
  self.warned[name] = true
  self.run:warn(name, text)
end

-- --- stages ----------------------------------------------------------------------------------------------------------

local function answer(value, s)
  if type(value) == "function" then
    host.entering(value)
    return value(s)
  end
  return value
end

function Distill:enter_stage(index, why)
  local s, stage = self.state, self.stages[index]
  s:begin_stage(stage.name, index)
  self.stage, self.told = stage, {}
  local goal = stage.target
  if goal == nil then goal = s.teacher else goal = answer(goal, s) end
  self.target = target.resolve(("stage '%s': target"):format(stage.name), goal):on(self.run.device)
  self:freeze()
  self.health:stage(self.target.kind == "layer")
  for name in pairs(self.shown_knobs) do self.shown_knobs[name] = nil end  -- of the stage before
  if self.target.prepare then
    local count = engine.count_flops()
    self.student:eval()
    self.target.prepare(self.student, function() return self:some_rows(self.run.dry and 64 or 4096) end)
    self.student:train()
    local cost = count()
    s.flops, s.flops_spent = s.flops + cost, s.flops_spent + cost
  end
  self.stage_source = nil
  self:ask_teacher()
  self:ask_sample()
  self:keep_safe()
  self.step = self:make_step()
  self.run:event("stage", stage.name, { index = index, of = #self.stages, target = self.target.text, rows = self.source:size(),
    advance = stage.advance and (when.is(stage.advance) and tostring(stage.advance) or "function") or nil, after = why,
    trained = stage.train or (self.target.kind == "layer" and "all up to " .. self.target.to or "all"), detail = self.target.detail })
  self:check_stage()
end

-- Lets only what the stage trains have gradients: all, or the modules at the paths of `train`.
function Distill:freeze()
  local paths, hits = self.stage.train, {}
  for name, p in self.student:named_parameters() do
    local trained = paths == nil
    for _, path in ipairs(paths or {}) do
      if name == path or name:sub(1, #path + 1) == path .. "." then trained, hits[path] = true, true end
    end
    p:requires_grad_(trained)
  end
  for _, path in ipairs(paths or {}) do
    if not hits[path] then host.fail(("stage '%s': train: the student has no parameters under '%s'"):format(self.stage.name, path)) end
  end
end

-- Inputs to measure a layer on, so many rows or positions of sequences, without moving any of the run's streams.
function Distill:some_rows(count)
  local from = data.is(self.train) and self.train or self.val
  if not from then host.fail "distill: a layer's spread is measured before the stage; a generator needs validation data for it" end
  local x = from.base.x
  if x:dim() == 2 and not x.dtype:find "float" then count = math.max(1, math.floor(count / x:size(1))) end  -- a row is a sequence
  local d = from:shuffled(0)
  return (d:subset(engine.ops.arange(math.min(count, d:size()))):gather()):to(self.run.device)  -- first(1) would be a share: all
end

-- Which examples, asked once per epoch. The same data set keeps its sampler, so that a pass over it is not cut short.
function Distill:ask_sample()
  local s = self.state
  self:check_teacher()
  local given = self.stage.sample
  if given == nil then given = self.train else given = answer(given, s) end
  local where = ("stage '%s': sample"):format(self.stage.name)
  if data.is(given) and data.is(self.train) and given.base == self.train.base then
    self.uniform = self.uniform or sampler.uniform(self.train)
    if self.feed then self.feed:rewind() end
    self.uniform:restrict(given)
    self.source = self.uniform
  else
    self.source = sampler.of(where, given)
    if self.feed then self.feed:rewind() end
    if self.source.refresh then self.source:refresh(s) end
  end
  if not self.feed then
    self.feed = feed.new { source = self.source, size = self.rows, augmentations = self.augmentations,
      clean = self.view == "clean", device = self.run.device }
  end
  self.feed:use(self.source)
  self.feed:imitate(self.target.of, self.answers)
end

-- Settings without effect are told before they cost a run.
function Distill:check_stage()
  local alpha, augment = self.stage.knobs.alpha or self.knobs.alpha, self.stage.knobs.augment or self.knobs.augment
  if self.target.kind == "logits" and alpha == 1 and not self.stage.pressure then
    self:warn("teacher_unused",
      ("stage '%s': alpha = 1 leaves the teacher out; expected alpha below 1, or target = 'labels'"):format(self.stage.name))
  end
  if augment ~= 0 and not next(self.augmentations) then
    host.fail(("stage '%s': augment has no effect: distill's augmentations are empty; expected { noise =, shift =, erase = }")
      :format(self.stage.name))
  end
end

-- --- one step --------------------------------------------------------------------------------------------------------

function Distill:make_step()
  local o, student, optimizer, goal = self.o, self.student, self.optimizer, self.target
  local extra = { label_smoothing = o.label_smoothing, t2 = o.t2, teacher_temperature = o.teacher_temperature }
  local function outputs(b, k)
    local out
    if goal.kind == "layer" then
      out = { loss = goal.loss(student, b) }
    elseif b.y and (b.y.dtype == "float32" or b.y.dtype == "float64") and b.y:dim() == 1 then
      out = { loss = loss.mse(student(b.x):reshape(b.y.shape), b.y) }
    else
      local options = { temperature = k.temperature, alpha = k.alpha, weight = b.weight }
      for key, value in pairs(extra) do options[key] = value end
      out = loss.kd_loss(student(b.x), b.teacher, b.y, options)
      if b.y and b.y.dtype == "int64" and b.y:dim() == 2 then  -- of tokens: one confidence for each row, over what is hidden
        local hidden = b.y:ge(0)
        out.confidence = (out.confidence * hidden):sum(1) / hidden:sum(1):clamp_min(1)
      end
    end
    out.mean_confidence = out.confidence and out.confidence:mean()
    return out
  end
  if self.pieces > 1 then return self:make_part_step(outputs) end
  local update = { lr = nil, clip = self.clip, guard = true }
  return self.run:step(function(b, k)
    local out = outputs(b, k)
    update.lr = k.lr
    out.norm = optimizer:minimize(out.loss, update)
    return out
  end, { non_finite = "own" })
end

-- Draws rows and does the step on them; what it gave is in self.out. part: which of the batch's parts, from 0.
function Distill:step_on_next(knobs, part)
  local s, strength = self.state, knobs.augment
  local batch = self.feed:next(strength)
  for name, value in pairs(knobs) do
    if type(value) == "table" then knobs[name] = value.of_batch(batch)
    elseif self.rows < self.batch then knobs[name] = self:cut(value, part) end
  end
  knobs.augment = nil
  if self.pieces > 1 then knobs.mass = accumulate.mass(self.target, batch) end
  if not s.flops_per_step or s.flops_of ~= self.step then
    local count = engine.count_flops()
    self.out = self.step(batch, knobs)
    s.flops_of, s.flops_per_step = self.step, self.pieces * count()
    self.batch_bytes = not self:teacher_is_trained() and 0 or nil
    for _, one in pairs(self.batch_bytes and batch or {}) do self.batch_bytes = self.batch_bytes + one:nbytes() end
  else
    self.out = self.step(batch, knobs)
  end
  knobs.augment = strength
  return batch
end

function Distill:one_step(knobs)
  local s, run = self.state, self.run
  local batch = self.pieces > 1 and self:step_in_parts(knobs) or self:step_on_next(knobs, 0)
  s.teacher_flops = self:teacher_cost(batch.x)
  self:count_steps(1)
  self:count_passes()
  run.step_number = self.before + s.step
  self:log(batch, knobs)
end

function Distill:count_passes()
  local s = self.state
  s.stage_passes = self.source.passes and self.source:passes() or s.stage_epochs
end

-- What the state counts, after so many more steps.
function Distill:count_steps(n)
  local s, spent = self.state, self.feed.known and 0 or self.state.teacher_flops
  s.step, s.samples = s.step + n, s.samples + n * self.batch
  s.flops, s.flops_spent = s.flops + n * (s.flops_per_step + s.teacher_flops), s.flops_spent + n * (s.flops_per_step + spent)
  s.epoch = s.samples / self.epoch_size
end

-- --- evaluation, decisions, the loop -----------------------------------------------------------------------------------

function Distill:evaluate()
  local s, run, numbers, of_val = self.state, self.run, {}, nil
  local measures = self.val or next(self.suites)
  if measures then run.readback:settle() end  -- what only looks back waits for nothing
  local function add(name, result)
    for _, key in ipairs { "loss", "acc", "agreement" } do
      if result[key] then numbers[name .. "/" .. key] = result[key] end
    end
  end
  if self.val then
    of_val = evaluate(self.student, self.val, self:teacher_classes())
    add("val", of_val)
  end
  self:check_health(of_val)
  self:keep_safe()
  if not measures then return end
  for name, suite in pairs(self.suites) do add(name, evaluate(self.student, suite)) end
  s:record(numbers)
  run:log(numbers)
  run:progress(s)
  if self.monitor then self:keep_best() end
end

-- The accuracies on the suites that the student's are compared with: its own as it comes, and the teacher's.
function Distill:benchmark_teacher()
  local teacher = self.state.teacher
  for name, suite in pairs(self.suites) do self.state.untrained_acc[name] = evaluate(self.student, suite).acc end
  if type(teacher) ~= "table" or not teacher.parameters then return end
  if self.run.device ~= "cpu" then teacher:to(self.run.device) end
  for name, suite in pairs(self.suites) do
    local acc = evaluate(teacher, suite).acc
    self.state.teacher_acc[name] = acc
    if acc then self.run:log { [name .. "/teacher_acc"] = acc } end
  end
end

function Distill:keep_best()
  local s = self.state
  local value, step = s:best(self.monitor)
  if not value then host.fail(("distill: monitor: no metric '%s' is evaluated"):format(self.monitor)) end
  if step ~= s.step then return end
  self.best = { value = value, step = step }
  if self.restore_best then
    tensor.no_grad(function()
      self.best.weights = self.best_weights or {}
      self.best_weights = self.best.weights
      for name, one in pairs(self.student:state_dict()) do
        local kept = self.best.weights[name]
        if kept then kept:copy_(one) else self.best.weights[name] = one:detach():clone() end
      end
    end)
  end
  self.run:event("best", self.monitor, { value = value })
end

-- Asks the stage's rule (and early stopping) and acts on the verdict. Returns true when the run should end.
function Distill:decide()
  local s, stage = self.state, self.stage
  for _, rule in ipairs { stage.advance or false, self.early or false } do
    if rule and (s.evaluating or when.is(rule) and rule.every == "step") then
      if type(rule) == "function" then host.entering(rule) end
      local verdict, numbers = rule(s)
      if verdict == true then verdict = "next" end
      if verdict then return self:act(verdict, rule, numbers) end
    end
  end
  return false
end

function Distill:act(verdict, rule, numbers)
  local s = self.state
  local index = s.stage_index
  if verdict ~= "next" and verdict ~= "stop" and verdict ~= "back" and verdict ~= "stay" and verdict ~= "end" then
    host.fail(("stage '%s': advance: expected 'next', 'stop', 'back', 'stay', true or false; got '%s'"):format(s.stage, tostring(verdict)))
  end
  if verdict == "next" and index == #self.stages then verdict = "stop" end
  if verdict == "back" and index == 1 then return false end
  local to = verdict == "next" and index + 1 or verdict == "back" and index - 1 or nil
  self.run:event("decision", verdict, { stage = s.stage, to = to and self.stages[to].name or nil,
    rule = when.is(rule) and tostring(rule) or "function", numbers = numbers })
  if not to then return verdict ~= "stay" end
  self:enter_stage(to, s.stage)
  return false
end

function Distill:used()
  local s, used = self.state, 0
  for unit, limit in pairs(self.budget) do used = math.max(used, s[FIELD[unit]] / limit) end
  return used
end

-- What was trained on, so that `gradus diff` can tell the data of two runs apart.
function Distill:record_data()
  for _, part in ipairs { { "train", self.train }, { "val", self.val } } do
    local name, one = part[1], part[2]
    if data.is(one) then self.run:event("data", name, { fingerprint = one:fingerprint(), rows = one:size() }) end
  end
end

function Distill:loop()
  local s, run = self.state, self.run
  local began = host.monotonic()
  self.student:train()
  self:benchmark_teacher()
  self:record_data()
  self:enter_stage(1)
  threads.choose(run, function() return self:step_work() end)
  if self.budget.flops and not self.total_steps then s.step_progress = self.pieces * self:step_work() / self.budget.flops end
  local reached = 1
  while true do
    local epoch = math.floor(s.epoch + 1e-9)
    self:advance()
    s.seconds = host.monotonic() - began
    s.progress = math.min(1, self:used())
    s:count()
    local over = s.progress >= 1 - 1e-12
    s.evaluating = s.step % self.eval_steps == 0 or over
    if s.evaluating then self:evaluate() end
    if self.kept and s.step % self.keep_steps == 0 then self.kept:keep(s.step, self.student) end
    run:show(s, self.parts)
    if self:decide() or over then break end
    reached = math.max(reached, s.stage_index)
    s.evaluating = false
    if math.floor(s.epoch + 1e-9) > epoch then self:ask_sample() end
    run:breathe(s)
  end
  if reached < #self.stages and s.progress >= 1 then
    self:warn("stage_unreached", ("the budget ended in stage '%s'; '%s' never began"):format(s.stage, self.stages[#self.stages].name))
  end
  if self.kept then self.kept:keep(s.step, self.student) end
  run.readback:settle()
  self.feed:rewind()
end

--- Trains `options.student`; see DistillOptions. Returns a Distilled.
return function(run, options)
  local self = new(run, options)
  if run.dry then require("gradus.experiment.dry_run").distill(self) else self:loop() end
  if self.restore_best and self.best then
    self.student:load_state_dict(self.best.weights)
    self.best = { value = self.best.value, step = self.best.step }
  end
  self.student:requires_grad_(true):eval()
  local s = self.state
  run:progress(s)
  run:event("flops", "spent", { charged = s.flops, spent = s.flops_spent })
  return distilled { student = self.student, steps = s.step, epochs = s.epoch, seconds = s.seconds, flops = s.flops,
    flops_spent = s.flops_spent, best = self.best, state = s, checkpoints = self.kept }
end
