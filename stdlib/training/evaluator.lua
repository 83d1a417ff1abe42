--- What a training measures and when: validation data and suites, by the task's measures, beside the teacher's.
local host = require "gradus.host"
local check = require "gradus.base.check"
local data = require "gradus.data.dataset"
local engine = require "gradus.engine"
local forgetting = require "gradus.training.forgetting"
local labels = require "gradus.data.labels"
local task = require "gradus.training.task"
local sorted_keys = require "gradus.base.sorted_keys"

local ops = engine.ops

local evaluator = {}

---@class Evaluator
---@field val Dataset?
---@field suites table<string, Dataset>
---@field untrained_loss number?  of the student as it comes, the most of a suite
---@field streams boolean         whether what is trained on is made on the way
---@field every number           steps between evaluations
---@field teacher_moves boolean   whether the teacher is, or shares, what is trained
---@field directions table<string, string>  metric -> which way is better
local Evaluator = {}
Evaluator.__index = Evaluator

local SAMPLE = 256  -- rows of a stage that are looked at
local EARLY = 20    -- steps into a stage after which they are, too

local OF_A_TEACHER = { agreement = true, kd_loss = true }

local function check_parts(where, val, teacher, suites, known)
  if val ~= nil then task.check_data(where .. ": data: val", val, teacher) end
  for name, suite in pairs(check.value(where, "suites", suites, check.table)) do
    local at = ("%s: suites: '%s'"):format(where, tostring(name))
    if type(name) ~= "string" or not name:find "^[%w_.-]+$" then
      host.fail(at .. ": expected a name of letters, digits, '_', '.' and '-'")
    end
    if name == "val" or name == "train" then host.fail(at .. ": is taken; expected another name") end
    task.check_data(at, suite)
    if known.kind ~= "none" then labels.agree(at, suite.labels, known) end
  end
end

---@param options {where: string, task: Task, train: Dataset|Generator, val: Dataset?, suites: table?, every: number, teacher: Module?,
---   student: Module}
---@return Evaluator
function evaluator.new(options)
  local suites = options.suites or {}
  check_parts(options.where, options.val, options.teacher, suites, options.task.labels)
  local self = setmetatable({ task = options.task, val = options.val, suites = suites, every = options.every, student = options.student,
    streams = data.is_generator(options.train), teacher = options.teacher, directions = {},
    teacher_acc = {}, untrained_acc = {}, forgetting = forgetting.new(), moved_on = false }, Evaluator)
  local function add(name, measure, way) self.directions[name .. "/" .. measure] = way end
  local function is_told(measure) return self.task.metrics[measure] or task.tells(self.val, measure) end
  for measure, way in pairs(self.task.better) do
    if not OF_A_TEACHER[measure] and not self.task.metrics[measure] then add("stage", measure, way) end
    if self.val and (self.teacher or not OF_A_TEACHER[measure]) and is_told(measure) then add("val", measure, way) end
    for name in pairs(suites) do
      if not OF_A_TEACHER[measure] then add(name, measure, way) end
    end
  end
  self.directions["train/mean_loss"] = "lower"
  if self.task.better.acc then  -- elsewhere nothing is right or wrong
    if self.val and task.tells(self.val, "acc") then add("val", "forgotten", "lower") end
    for name in pairs(suites) do add(name, "forgotten", "lower") end
  end
  return self
end

--- What the names of a training's metrics begin with.
---@return string[]
function Evaluator:prefixes()
  local list = { "train/", "knob/", "val/", "stage/", "sample/" }
  for name in pairs(self.suites) do list[#list + 1] = name .. "/" end
  return list
end

--- Whether anything is measured at all.
function Evaluator:has_data() return self.val ~= nil or next(self.suites) ~= nil end

--- Raises unless the metric is among those that are measured.
function Evaluator:check_key(where, key)
  if type(key) ~= "string" then check.fail(where, "expected a metric's name, such as 'val/loss'; got %s", check.describe(key)) end
  if not self:has_data() then host.fail(("%s: nothing is evaluated; expected validation data or suites, for %s"):format(where, key)) end
  if self.streams and key:find "^stage/" then host.fail(("%s: %s is not measured of a stream's rows"):format(where, key)) end
  if self.directions[key] or key:find "^sample/" then return key end
  host.fail(("%s: no metric '%s' is evaluated in this run; %s"):format(where, tostring(key),
    check.suggest(key, sorted_keys(self.directions))))
end

--- Whether it is time after so many steps.
function Evaluator:due(step) return step % self.every == 0 end

--- Whether the stage's own rows are looked at, soon after it began; not where an evaluation will do it soon.
---@param counts table
function Evaluator:due_early(counts)
  return counts.stage_steps == EARLY and self.every - counts.step % self.every >= EARLY
end

-- What the teacher says of the validation rows, asked once unless it is what is trained.
local function answers_of(self)
  if self.teacher_moves then return self.teacher end
  if not self.answers and self.teacher then self.answers = self.task:teacher_answers(self.teacher, self.val) end
  return self.answers
end

--- The teacher's accuracy on the validation data; nil without.
function Evaluator:teacher_on_val()
  if not self.val or not self.teacher then return nil end
  if self.of_teacher == nil then self.of_teacher = self.task:evaluate(self.teacher, self.val) end
  return self.of_teacher
end

--- The accuracy of the checkpoint that is imitated, asked once; nil of other targets.
---@param goal Target
---@return number?
function Evaluator:acc_of_checkpoint(goal)
  if not self.val or not (goal.detail and goal.detail.checkpoint) then return nil end
  if self.checkpoint ~= goal then self.checkpoint, self.checkpoint_acc = goal, self.task:evaluate(goal.teacher, self.val).acc end
  return self.checkpoint_acc
end

--- Measures the student: numbers by metric, and what the validation data gave (nil without).
---@param knobs table   temperature and alpha of the coming step, for val/kd_loss
---@param goal Target    while a layer is aligned, what is right is so by chance, and nothing to forget
function Evaluator:measure(knobs, goal)
  local numbers = {}
  local function measure(name, d, answers)
    local right = {}
    local found = self.task:evaluate(self.student, d, answers, knobs, right)
    for one, value in pairs(found) do
      if self.task.better[one] then numbers[name .. "/" .. one] = value end
    end
    if goal.kind ~= "layer" then numbers[name .. "/forgotten"] = self.forgetting:look(name, right) end
    return found
  end
  local of_val = self.val and measure("val", self.val, answers_of(self)) or nil
  for name, suite in pairs(self.suites) do measure(name, suite) end
  return numbers, of_val
end

--- Which rows the stage draws from, from here on.
function Evaluator:look_at(source)
  local before, view = self.view, not data.is_generator(source) and source:view() or nil
  self.view = view
  if before and view and (before == view or before.base == view.base and before.index:equal(view.index)) then return end
  self.own_rows, self.moved_on = nil, true
end

--- Whether the stage's own rows are others than when this was asked last.
function Evaluator:rows_moved()
  local moved = self.moved_on
  self.moved_on = false
  return moved
end

--- Adds stage/loss, stage/acc, …: the student on a fixed sample of the stage's own rows, without augmentation, at no temperature. A
--- layer's target, and a stream, say nothing of it.
function Evaluator:measure_stage(numbers, goal)
  if not self.view or goal.kind == "layer" or not self:has_data() then return end
  local view = self.view
  self.own_rows = self.own_rows or view:size() > SAMPLE and view:shuffled(0):subset(ops.arange(SAMPLE)) or view
  for measure, value in pairs(self.task:measure(self.student, self.own_rows)) do
    if self.task.better[measure] then numbers["stage/" .. measure] = value end
  end
end

--- An evaluation: what `measure` gives, and of the stage's own rows.
function Evaluator:look(knobs, goal)
  local numbers, of_val = self:measure(knobs, goal)
  self:measure_stage(numbers, goal)
  return numbers, of_val
end

--- The accuracies that the student's are compared with: its own as it comes, and the teacher's. Returns what is logged.
function Evaluator:baselines()
  local numbers = {}
  for name, suite in pairs(self.suites) do
    local untrained = self.task:evaluate(self.student, suite)
    self.untrained_acc[name] = untrained.acc
    if untrained.loss then self.untrained_loss = math.max(self.untrained_loss or 0, untrained.loss) end
    self.teacher_acc[name] = self.teacher and self.task:evaluate(self.teacher, suite).acc
    numbers[name .. "/teacher_acc"] = self.teacher_acc[name]
  end
  local of_teacher = self:teacher_on_val()
  numbers["val/teacher_acc"] = of_teacher and of_teacher.acc
  numbers["val/teacher_loss"] = of_teacher and not of_teacher.acc and of_teacher.loss or nil
  return numbers
end

--- The share of the validation labels' most frequent class, asked once; nil where there are none.
function Evaluator:majority()
  if self.most == nil then self.most = self.val and self.task:majority(self.val) or false end
  return self.most or nil
end

--- The loss on the validation labels of one who knows how often each answer is right, and no more; asked once, nil where there are none.
function Evaluator:guess()
  if self.guessed == nil then self.guessed = self.val and self.task:guess(self.val) or false end
  return self.guessed or nil
end

function Evaluator:state()
  return { teacher_acc = self.teacher_acc, untrained_acc = self.untrained_acc, forgetting = self.forgetting:state(),
    moved_on = self.moved_on }
end

function Evaluator:load_state(kept)
  self.moved_on = kept.moved_on
  for name, value in pairs(kept.teacher_acc) do self.teacher_acc[name] = value end
  for name, value in pairs(kept.untrained_acc) do self.untrained_acc[name] = value end
  self.forgetting:load_state(kept.forgetting)
end

return evaluator
