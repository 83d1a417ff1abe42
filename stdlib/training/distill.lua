--- Distillation: a student learns from a teacher (or from labels alone) under a curriculum. `run:distill { … }`. What is given is
--- checked and made into the parts of a training (training.lua), each in a file of its own:
---   task       what labels are, their loss, measures    objective  the weighted loss terms
---   teacher    whose answers, from where                feed       rows, augmented, with the answers
---   stages     the curriculum's automaton               updater    optimizer, rate, clipping, accumulation, NaN
---   evaluator  validation data and suites               keeper     best weights, patience, checkpoints
---   clock      counts and the budget                    reporter   log, line, health
local host = require "gradus.host"
local check = require "gradus.base.check"
local accumulate = require "gradus.training.accumulate"
local attach = require "gradus.training.attach"
local augment = require "gradus.training.augment"
local clock = require "gradus.curriculum.clock"
local curriculum = require "gradus.curriculum.curriculum"
local data = require "gradus.data.dataset"
local evaluator = require "gradus.training.evaluator"
local feed = require "gradus.training.feed"
local is_module = require("gradus.nn.module").is_module
local keeper = require "gradus.training.keeper"
local labels = require "gradus.data.labels"
local objective = require "gradus.training.objective"
local effects = require "gradus.training.effects"
local reporter = require "gradus.training.reporter"
local result = require "gradus.training.result"
local schedule = require "gradus.curriculum.schedule"
local stages = require "gradus.training.stages"
local State = require "gradus.curriculum.state"
local task = require "gradus.training.task"
local teacher = require "gradus.training.teacher"
local teacher_cache = require "gradus.training.teacher_cache"
local teachers = require "gradus.curriculum.teachers"
local training = require "gradus.training.training"
local updater = require "gradus.training.updater"

---@class DistillOptions
---@field student Module
---@field data Dataset|table    a data set, or a split with parts train and (optional) val
---@field teacher? Module|table what is imitated (target.lua); none: labels alone
---@field curriculum? any       see g.curriculum; none: one-shot
---@field budget table          { epochs = | steps = | samples = | seconds = | flops = }: the run ends at the first one reached
---@field losses? table         { kd = 1 }; weighted loss terms, built in and of your own (objective.lua)
---@field metrics? table        { f1 = { better = "higher", of = function(model, d) … end } }: measured at each evaluation
---@field batch? number         64; training batches are always full
---@field accumulate? number    1; the batch in so many parts, one after the other, for memory; one update (accumulate.lua)
---@field lr? any               number, schedule or function; the optimizer's own, or 1e-3
---@field warmup? any           share of the budget, { steps = } or { epochs = }; .05 when lr is a number
---@field decay? string         "constant", "linear", "cosine", "exponential" or "step"; "cosine" when lr is a number
---@field teacher_view? string  "augmented": the teacher sees what the student sees; "clean": the inputs without augmentation
---@field teacher_cache? any     whether the teacher's answers to a fixed data set are computed once and reused (teacher_cache.lua): where
---                             that changes no bit when left out (no augmentation, or teacher_view = "clean"; as many samples as rows;
---                             up to 1 GiB); true, false, or { top = k } for the k largest logits of each row
---@field temperature? any      4; number, schedule or function; schedule.by_entropy gives one per example
---@field alpha? any            .7, weight of the labels: α CE + (1 − α) T² KL; schedule.by_part gives one for each part of the data
---@field augment? any          0, strength of the augmentations, 0 to 1
---@field augmentations? table  { noise = standard deviation, shift = pixels, erase = share of the area, mixup = Beta's parameter } at
---                             strength 1; { noise = .3, shift = 1 } for images, { noise = .3 } otherwise
---@field optimizer? string|table  "AdamW", "Adam", "SGD", { "SGD", momentum = .9 }, or an optimizer over all that is trained
---@field weight_decay? number  .01
---@field clip? number          1, largest gradient norm; false for none
---@field label_smoothing? number
---@field t2? boolean           true; false for the papers that do not scale by T²
---@field teacher_temperature? number  the teacher's own temperature; the student's when left out
---@field evaluate? table       { epochs = 1 } or { steps = }
---@field suites? table         name -> data set, evaluated along: "easy/acc", "hard/acc"
---@field monitor? string       "val/loss": what the best checkpoint and patience go by
---@field patience? any         evaluations of the run without a new best until it stops (when.patience), or { epochs = }; none if left out
---@field restore_best? boolean true where there is validation data
---@field non_finite? string   "stop"; what follows a NaN or infinite gradient, which never reaches the weights: "stop", "skip" the
---                             batch, or "roll_back" to the last evaluation or the stage's beginning
---@field checkpoints? table    { steps = } or { epochs = }: the student's weights are kept this often (checkpoints.lua)
local OPTIONS = { "student", "data", "teacher", "curriculum", "budget", "batch", "lr", "warmup", "decay", "temperature", "alpha",
  "augment", "augmentations", "optimizer", "weight_decay", "clip", "label_smoothing", "t2", "teacher_temperature", "evaluate",
  "suites", "monitor", "patience", "restore_best", "checkpoints", "non_finite", "teacher_view", "teacher_cache", "accumulate",
  "losses", "metrics" }

-- --- what is given -----------------------------------------------------------------------------------------------------------

local PARTS = { train = true, val = true, test = true }
local MEANT_VAL = { validation = true, valid = true, dev = true, eval = true, evaluation = true, devel = true }

-- Parts that nobody would look at: a misspelt val, or data beside the known parts in a table of the script's own.
local function check_parts(where, given)
  for name, part in pairs(given) do
    if not PARTS[name] and data.is(part) then
      if MEANT_VAL[name] then host.fail(("%s: data: no part '%s'; did you mean 'val'?"):format(where, tostring(name))) end
      if not getmetatable(given) then host.fail(("%s: data: no part '%s'; expected train, val, test"):format(where, tostring(name))) end
    end
  end
end

local function parts_of(where, given)
  if data.is(given) or data.is_generator(given) then return given, nil end
  if type(given) == "table" and rawget(given, "train") then
    check_parts(where, given)
    return given.train, rawget(given, "val")
  end
  host.fail(("%s: data: expected a data set or a split with a part 'train'; got %s"):format(where, type(given)))
end

-- Options that a named strategy brings (S10's) stand where the user left them out.
local function with_defaults(where, options, defaults)
  local o = {}
  check.options(where .. ": curriculum: defaults", defaults, OPTIONS)
  for key, value in pairs(defaults) do o[key] = value end
  for key, value in pairs(options) do o[key] = value end
  o.teacher = teachers.list(o.teacher)
  return o
end

local function check_student(where, student)
  if not is_module(student) then
    host.fail(("%s: student: expected a module; got %s"):format(where, type(student)))
  end
end

local function check_trained(where, optimizer)
  for _, p in ipairs(optimizer.params) do
    if p.requires_grad then return end
  end
  host.fail(where .. ": student: all of its parameters are frozen; expected some that require a gradient")
end

-- The task of the training labels; a generator that says nothing of them is looked at.
local function task_of(where, train, val, rows, metrics)
  local known = data.is_generator(train) and train:look(rows) or train.labels
  if data.is(val) then
    if known.kind == "none" and val.labels.kind ~= "none" then known = val.labels
    else labels.agree(where .. ": data.val", val.labels, known) end
  end
  return task.new(known, metrics)
end

-- Without labels there is nothing that alpha weighs.
local function knobs_of(where, o, lr, weights, unlabelled)
  local knobs = { lr = lr, temperature = schedule.check(where .. ": temperature", o.temperature or 4),
    alpha = schedule.check(where .. ": alpha", o.alpha == nil and (unlabelled and 0 or o.teacher and .7 or 1) or o.alpha),
    augment = schedule.check(where .. ": augment", o.augment or 0) }
  for name, weight in pairs(weights) do knobs[name] = weight end
  return knobs
end

-- --- the parts -----------------------------------------------------------------------------------------------------------------

local function assemble(run, where, options)
  options = options or {}
  check.options(where, options, OPTIONS)
  check_student(where, options.student)
  local train, val = parts_of(where, options.data)
  local list, defaults = curriculum.normalise(options.curriculum, { train = train,
    teacher = teachers.module_of(where .. ": teacher", options.teacher) })
  local o = with_defaults(where, options, defaults)
  if val ~= nil then task.check_data(where .. ": data: val", val, o.teacher) end
  local budget = clock.check_budget(where .. ": budget", o.budget)
  if train:size() < 1 then host.fail(where .. ": data: the training set is empty") end
  local batch = updater.check_batch(where, o.batch)

  local t = { run = run, where = where, given = options, options = o, train = train, val = val, student = o.student,
    given_teacher = o.teacher }
  local rows = accumulate.rows(batch, o.accumulate or 1)
  t.task = task_of(where, train, val, run.dry and run.dry.rows(rows) or rows, task.check_metrics(where, o.metrics))
  t.objective = objective.new(where, o, t.task)
  t.updater = updater.new(where, o, { run = run, student = o.student, modules = t.objective:modules() })
  t.objective.others = t.updater:others(t.objective:modules())
  check_trained(where, t.updater.optimizer)
  if run.dry then run.dry.shrink(t) end
  t.clock = clock.new { budget = budget, batch = batch, epoch_size = train:size() }
  t.evaluator = evaluator.new { where = where, task = t.task, train = train, val = t.val, suites = o.suites,
    teacher = teachers.module_of(where .. ": teacher", o.teacher), student = o.student,
    every = t.clock:steps_of(clock.check_every(where .. ": evaluate", o.evaluate or { epochs = 1 })) }
  t.keeper = keeper.new(where, o, { run = run, student = o.student, modules = t.objective:modules(), optimizer = t.updater.optimizer,
    evaluator = t.evaluator, clock = t.clock, policy = t.updater.policy })
  t.s = State.new { run = run, student = o.student, teacher = o.teacher, params = run.params, seed = run.seed, clock = t.clock,
    suites = t.evaluator.suites, directions = t.evaluator.directions }
  local knobs = knobs_of(where, o, t.updater.lr, t.objective:weights(), train.labels and train.labels.kind == "none")
  t.stages = stages.new { list = list, knobs = knobs, state = t.s, run = run, early = t.keeper.early }

  local augmentations = augment.check(where .. ": augmentations", o.augmentations or augment.default(train), train)
  local view = teacher_cache.check_view(where, o.teacher_view, augmentations)
  teacher_cache.check(where .. ": teacher_cache", o.teacher_cache)
  effects.check(t)
  t.feed = feed.new { where = where, size = t.updater.rows, augmentations = augmentations, clean = view == "clean", device = run.device }
  t.teacher = teacher.new { run = run, cache = o.teacher_cache, view = view, batch = batch, rows = t.updater.rows, train = train,
    student = o.student, taps = t.objective:teacher_paths(), samples = t.clock.total_steps and t.clock.total_steps * batch }
  t.reporter = reporter.new { run = run, names = t.stages.names, total_steps = t.clock.total_steps,
    classes = t.task.kind ~= "multilabel" and t.task.labels.classes or nil, val = val,
    deliver = function(row, at) t:deliver(row, at) end }
  return training.new(t)
end

local distill = {}

--- The training that the options stand for, ready to begin: `train` runs it, state and load_state save it and take it back.
---@param run Run
---@param options DistillOptions
---@param where? string  whom errors blame: "distill" or "fit"
---@return Training
function distill.make(run, options, where)
  local self = assemble(run, where or "distill", options)
  if not run.dry then self.attach = attach.new(run) end
  self.before = run:begin_training(where or "distill", self.evaluator:prefixes())
  for key, way in pairs(self.evaluator.directions) do run:better(key, way) end
  return self
end

--- The same in place of one that goes on: told nothing anew, on the axis of the other.
---@param of Training  the one that goes on
---@return Training
function distill.remake(of, options)
  local self = assemble(of.run, of.where, options)
  self.attach, self.live, self.before = of.attach, of.live, of.before
  return self
end

--- Runs a training to its end.
---@param self Training
---@return Result
function distill.train(self)
  local run, last = self.run, self
  if run.dry then run.dry.train(self) else last = self:run_all() end
  return distill.result(last, self.student)
end

--- What a training that has ended came to; told to the store.
---@param last Training
---@param student? Module  that the script holds
---@return Result
function distill.result(last, student)
  local run, s = last.run, last.s
  run:progress(s)
  run:event("flops", "spent", { charged = s.flops, spent = s.flops_spent })
  return result { student = student or last.student, steps = s.step, epochs = s.epoch, seconds = s.seconds, flops = s.flops,
    flops_spent = s.flops_spent, best = last.keeper.best, state = s, checkpoints = last.keeper.kept }
end

return distill
