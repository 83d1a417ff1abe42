--- The reporter of a training: what is logged of each step, the line that is shown, and what health.lua is asked and said. On an
--- accelerator a step's numbers come back one step late; they wait in its queue as plain data.
local engine = require "gradus.engine"
local is_news = require "gradus.base.news"
local finite = require "gradus.training.finite"
local readback = require "gradus.step.readback"
local data = require "gradus.data.dataset"
local health = require "gradus.training.health"

local reporter = {}

---@class Reporter
---@field knobs table<string, number>  of the last step, as the line shows them
---@field row table<string, number>
local Reporter = {}
Reporter.__index = Reporter

-- Knobs that only the loss against a teacher's logits takes.
local OF_A_TEACHER = { temperature = true, alpha = true }

---@param options {run: Run, names: string[], total_steps: number?, classes: number?, val: Dataset?, deliver: fun(row: table, at: table)}
---   names: of the knobs; deliver: called with each step's numbers and what `push` was told of it
---@return Reporter
function reporter.new(options)
  local self = setmetatable({ run = options.run, names = options.names, warned = {}, knobs = {}, row = {}, sum = 0, early = 0, steps = 0,
    blamed = {},
    health = health.new { classes = options.classes, rows = options.val and options.val:size() } }, Reporter)
  self.queue = readback(options.run.device, options.deliver)
  self.parts = options.run:training_line(options.total_steps, self.knobs, self.row)
  return self
end

--- Whether this is asked for the first time in the training.
---@param name string
function Reporter:is_news(name) return is_news(self.warned, name) end

--- Warns once.
function Reporter:warn(name, text)
  if self:is_news(name) then self.run:warn(name, text) end
end

--- The highest learning rate so far.
function Reporter:highest_rate() return self.health.peak_lr end

--- A stage goes on with this target, whose steps are asked for these outputs.
---@param goal Target
---@param outputs table<string, boolean>
function Reporter:reads(goal, outputs) self.goal, self.outputs = goal, outputs end

--- A stage begins.
function Reporter:stage()
  self.health:stage(self.goal.kind == "layer")
  for name in pairs(self.knobs) do self.knobs[name] = nil end  -- of the stage before
end

-- Whether the stage's loss takes the knob.
local function is_taken(self, name) return not OF_A_TEACHER[name] or self.goal.kind == "logits" end

-- "lr" -> "knob/lr", made once.
local KEYS = setmetatable({}, { __index = function(keys, name)
  keys[name] = "knob/" .. name
  return keys[name]
end })

--- Hands a step's outputs over, to be delivered when they are at hand.
---@param out table
---@param knobs table
---@param at table   plain data of the step: step, index, …
function Reporter:push(out, knobs, at)
  local found, outputs = {}, self.outputs
  for name, value in pairs(out) do
    if outputs[name] then found[name] = value end
  end
  at.knobs = {}
  for name, knob in pairs(knobs) do
    if type(knob) == "number" then at.knobs[name] = knob
    elseif is_taken(self, name) then found[KEYS[name]] = knob:mean() end
  end
  self.queue:push(found, at)
end

--- The numbers of many steps, each delivered by fn(row, i).
function Reporter:each(out, done, fn)
  local columns = {}
  for name, value in pairs(out) do
    if self.outputs[name] then columns[name] = value:totable() end
  end
  local row = {}  -- one for all
  for i = 1, done do
    for name, values in pairs(columns) do row[name] = values[i] end
    fn(row, i)
  end
end

--- Waits for what is under way.
function Reporter:settle() self.queue:settle() end

--- Logs a step: its numbers (by metric), its knobs, and what health makes of them.
---@param logged table   train/loss, …; from objective
---@param row table      what was read, with the means of knobs that are tensors
---@param knobs table<string, number>
---@param share number?  of the rows that are open
---@param at number      the run's step
---@param s State
function Reporter:log(logged, row, knobs, share, at, s)
  for _, name in ipairs(self.names) do
    if is_taken(self, name) then
      local key = KEYS[name]
      local value = knobs[name] or row[key]
      logged[key], self.knobs[name] = value, value
    end
  end
  logged["knob/share"] = share
  self.row["train/loss"] = logged["train/loss"]
  if self.early > 0 then self.early = self.early - 1
  else self.sum, self.steps = self.sum + logged["train/loss"], self.steps + 1 end
  self.run:log(logged, at)
  self:tell(self.health:step(logged["train/loss"], logged["train/ce"] or logged["train/mse"], logged["knob/lr"]), s)
end

--- A setting is out of the guides' ranges: where nothing moves, that may be why.
---@param text string
function Reporter:blame(text) table.insert(self.blamed, text) end

--- The settings are judged anew, and none is blamed by now.
function Reporter:absolve() self.blamed = {} end

--- Keeps, stores and shows what health.lua found.
function Reporter:tell(found, s)
  for _, one in ipairs(found or {}) do
    if one.name == "stagnant" and #self.blamed > 0 then
      one.advice = ("%s. Out of the guides' ranges here: %s"):format(one.advice, table.concat(self.blamed, "; "))
    end
    one.numbers.advice, one.numbers.stage = one.advice, s.stage
    table.insert(s.findings, { name = one.name, step = s.step, stage = s.stage })
    self.run:event("health", one.name, one.numbers)
    self.run.line.say(("health: step %d: %s: %s"):format(s.step, one.name, one.advice))
  end
end

-- What may be drawn now, of all that there is to learn from; 0 of a stream.
local function open_share(source, train)
  if data.is_generator(source) then return 0 end
  local all = data.is(train) and source.data.base == train.base and train:size() or source.data:size()
  return source:size() / all
end

--- What the student makes of the stage's own rows before the stage's first step.
---@param numbers table<string, number>
function Reporter:begins_with(numbers) self.health:begins_with(numbers["stage/loss"]) end

-- Of the steps since the last evaluation. Where something was measured, which waits for a device, also those whose numbers are under
-- way; they are not counted again.
local function mean_loss(self, waits)
  local sum, steps, early = self.sum, self.steps, 0
  for _, one in ipairs(waits and self.queue:state() or {}) do
    local row = one.numbers
    if finite.is(row.loss) and finite.is(row.norm) then sum, steps, early = sum + row.loss, steps + 1, early + 1 end
  end
  self.sum, self.steps, self.early = 0, 0, early
  return steps > 0 and sum / steps or nil
end

--- Logs an evaluation and asks health about the training so far. found: what the validation data gave, nil without any; a layer's
--- target says nothing of it.
---@param numbers table<string, number>
---@param found table?
---@param s State
---@param context {source: table, train: any, new_rows: boolean, majority: number?, teacher_acc: number?,
---   target_acc: number?, guess: number?}  target_acc: of the checkpoint that is imitated
function Reporter:evaluation(numbers, found, s, context)
  local e = { progress = s.progress, share = open_share(context.source, context.train),
    new_rows = context.new_rows, own_loss = numbers["stage/loss"], own_acc = numbers["stage/acc"] }
  if found and self.goal.kind ~= "layer" then
    self.health.teacher_acc = self.health.teacher_acc or context.teacher_acc
    e.loss, e.acc, e.constant, e.majority = found.loss, found.acc, found.constant, context.majority
    e.target_acc, e.guess = context.target_acc, context.guess
  end
  self:tell(self.health:evaluation(e), s)
  numbers["train/mean_loss"] = mean_loss(self, found ~= nil)
  if next(numbers) == nil then return end
  self.run:log(numbers)
  self.run:progress(s)
end

--- Once, at the first evaluation: what the whole training will take, at the cost so far.
---@param s State
---@param steps number?  of the whole training, where they are known
---@param bytes fun(): number  of what stays in memory
function Reporter:foresee(s, steps, bytes)
  if self.warned.forecast or self.run.dry or not (s.progress > 0 and s.progress < 1) then return end
  self.warned.forecast = true
  self.run:event("flops", "forecast", { steps = steps or math.ceil(s.step / s.progress), flops = s.flops / s.progress,
    seconds = s.seconds / s.progress, bytes = bytes() })
end

--- The line on the terminal; console.lua decides how often.
function Reporter:show(s) self.run:show(s, self.parts) end

function Reporter:state()
  local queue = self.queue:state()
  for _, one in ipairs(queue) do
    local at, seen = {}, one.at.seen
    if seen and not engine.is_tensor(seen) then one.at.seen = seen:wait() end
    for key, value in pairs(one.at) do at[key] = value end
    at.x = nil  -- the whole data set
    one.at = at
  end
  return { queue = queue, health = self.health:state(), warned = self.warned, blamed = self.blamed, sum = self.sum,
    steps = self.steps, early = self.early }
end

function Reporter:load_state(kept)
  self.queue:load_state(kept.queue)
  self.health:load_state(kept.health)
  self.sum, self.steps, self.early = kept.sum, kept.steps, kept.early
  for name in pairs(kept.warned) do self.warned[name] = true end
  self.blamed = kept.blamed or {}
end

return reporter
