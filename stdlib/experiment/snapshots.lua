--- The snapshots of a run: all that it needs to go on, in one file each, which other tools read for its weights (safetensors):
---   <run's folder>/snapshots/N-STEP.safetensors   of the run's N-th training (distill, fit or a loop over batches)
---   <run's folder>/snapshots/N-end.safetensors    where it ended
--- They are taken after 5 s, then every minute, or as `--snapshots` says, after stages and trainings of some seconds, and at signals;
--- written by another thread, whole or not at all; of a training the newest two are kept, of an ended one its end and the one before.
---
--- A run that goes on executes its script from the top with its writing muted. Trainings whose end was kept are taken from there, others
--- are done again, with the same bits; the training of the snapshot (the goal) takes it back, and from there on all is written.
local clock = require "gradus.curriculum.clock"
local engine = require "gradus.engine"
local host = require "gradus.host"
local files = require "gradus.experiment.snapshot_files"
local plain = require "gradus.base.plain"
local refill = require "gradus.base.refill"
local reachable = require "gradus.experiment.reachable"
local sameness = require "gradus.experiment.sameness"
local streams = require "gradus.experiment.streams"

local snapshots = {}

local SECONDS = 60       -- between two, unless said otherwise
local FIRST = 5          -- seconds before the first, unless said otherwise
local COPIED = 1e9       -- bytes a second, as slow as the copies of a first snapshot are taken to be
local WORTH = 5          -- seconds of work for which the end of a stage or of a training is kept
local SHARE = .01        -- of the time, at most, that taking them may cost
local LOOK_EVERY = 8     -- boundaries between two looks at the time

---@class Snapshots
---@field count number      trainings that have begun
---@field goal table?       the snapshot that the run goes on from, until it is reached; `other`: with other settings
---@field outer any         the training that goes on, the outermost one
---@field stop? {step: number, axis: number, before: number?, after: number?}  where a run that is done again ends; where it was asked
---   before that, and after it
local Snapshots = {}
Snapshots.__index = Snapshots

--- How often, from "100" (steps), "30s", "5m" or "none"; nil where the text says nothing.
---@param text string?
---@return {steps: number?, seconds: number?, first: number?, none: boolean?}?
function snapshots.policy(text)
  if text == nil then return { seconds = SECONDS, first = FIRST } end
  if text == "none" then return { none = true } end
  local amount, unit = tostring(text):match "^(%d+%.?%d*)([smh]?)$"
  amount = tonumber(amount)
  if not amount or amount <= 0 then return nil end
  if unit == "" then return amount % 1 == 0 and { steps = amount } or nil end
  return { seconds = amount * ({ s = 1, m = 60, h = 3600 })[unit] }
end

---@param run Run
---@param policy table
---@param goal? table  what `snapshot_files.newest` gave
---@return Snapshots
function snapshots.new(run, policy, goal)
  return setmetatable({ run = run, policy = policy, goal = goal, count = 0, outer = false, looks = 0, files = {}, cost = 0, taken = false,
    other_data = {}, step = 0, time = host.monotonic(), wanted = host.saves_wanted(), folder = run.folder .. "/snapshots" }, Snapshots)
end

-- --- taking ----------------------------------------------------------------------------------------------------------

local function registered_of(run)
  local kept = {}
  for name, object in pairs(run.registered) do
    local take = reachable.protocol(object)
    kept[name] = take and take()
  end
  return kept
end

-- Copies on the CPU: the training goes on while they are written.
local function frozen(tensors)
  local copies = {}
  for name, one in pairs(tensors) do
    one = one:detach()
    copies[name] = (one.device == "cpu" and one:clone() or one:to "cpu"):contiguous()
  end
  return copies
end

-- What a loop has made and cannot be kept: told when a snapshot is taken, and once.
local function tell_unsaved(self, names)
  if self.told_unsaved then return end
  self.told_unsaved = true
  self.run:warn("snapshot", ("a snapshot of this loop lacks what it has made: %s; expected it before the loop, in a module, an "
    .. "optimizer or a table of numbers"):format(table.concat(names, ", ")))
end

local function state_of(self, part, over)
  local run = self.run
  run.readback:settle()
  run.looked:settle()
  run:note_sources()
  local point = run.writer:point()
  point.step = run.step_number
  local kept = { format = files.FORMAT, training = self.number, count = self.count, over = over, point = point,
    run = { step_number = run.step_number, axis = run.axis, trained = run.trained, threads = run.threads, engine_threads = engine.threads(),
      state = run.state, told = run.told, registered = registered_of(run) },
    streams = streams.state(run), identity = sameness.identity(run) }
  for name, value in pairs(part:state()) do kept[name] = value end
  if kept.unsaved and #kept.unsaved > 0 then tell_unsaved(self, kept.unsaved) end
  return kept
end

-- The newest two of a training stay, or its end and the one before; what is older goes once these are whole.
local function thin(self, file, most)
  table.insert(self.files, file)
  while #self.files > most do os.remove(self.folder .. "/" .. table.remove(self.files, 1)) end
end

local function take(self, part, over)
  local run, began = self.run, host.monotonic()
  local file = ("%d-%s.safetensors"):format(self.number, over and "end" or run.step_number)
  local text, tensors = plain.write(state_of(self, part, over), "")
  host.mkdirs(self.folder)
  engine.data.save_snapshot(self.folder .. "/" .. file, frozen(tensors), { run = run.uid, step = tostring(run.step_number) }, text)
  thin(self, file, over and 2 or 3)
  if over then self.files = {} end
  self.step, self.time, self.looks = run.step_number, host.monotonic(), 0
  self.cost, self.taken = self.time - began, true
end

--- Takes one now. A disk that is full, or a value that cannot be kept, is told of and is no reason for the run to fail.
---@param part table   the training
---@param over? boolean whether it has ended
---@param wait? boolean until it is on the disk
function Snapshots:take(part, over, wait)
  local ok, why = pcall(function()
    take(self, part, over or false)
    if wait then engine.data.snapshot_saved(true) end
  end)
  if ok or self.failed then return end
  self.failed = true
  self.run:warn("snapshot", "no snapshot could be taken, so the run cannot go on after an interruption: " .. host.error_text(why))
end

-- Seconds until the next one: as was asked for, whatever it costs, or a minute and no more than the share.
local function pause(self)
  local policy = self.policy
  if not policy.first then return policy.seconds end
  if self.taken then return math.max(policy.seconds, self.cost / SHARE) end
  -- What the first will cost nobody knows: at most all tensors there are would be copied.
  return math.min(policy.seconds, math.max(policy.first, engine.memory() / COPIED / SHARE))
end

local function is_due(self, part)
  local policy = self.policy
  local wanted = host.saves_wanted()
  if wanted ~= self.wanted then
    self.wanted = wanted
    return true
  end
  if policy.none then return false end
  if policy.steps then return self.run.step_number - self.step >= policy.steps end
  self.looks = self.looks + 1
  local stage = part.s and part.s.stage_index
  local moved = stage ~= self.stage
  self.stage = stage
  if not moved and self.looks % LOOK_EVERY ~= 0 then return false end
  local now = host.monotonic() - self.time
  return now >= pause(self) or moved and now >= WORTH
end

-- Where a run that is done again for a snapshot of a step of it has come there, it is taken, and all else ends. A look-ahead comes to the
-- ends of its rounds alone.
local function stop_if_there(self, part, over)
  local stop, run = self.stop, self.run
  if not (stop and run.axis == stop.axis) then return end
  if run.step_number < stop.step then
    stop.before = run.step_number
    return
  end
  if run.step_number > stop.step then
    stop.after = run.step_number
    error({ interrupted = "the step was passed" })
  end
  take(self, part, over or false)
  engine.data.snapshot_saved(true)
  self.reached = true
  error({ interrupted = "the step was reached" })
end

--- At a boundary of a training: takes one where it is due, and before a signal ends the run.
---@param part table
---@param signal? any  what ends the run now
function Snapshots:look(part, signal)
  if part ~= self.outer or self.goal then return end
  stop_if_there(self, part)
  if signal then return self:take(part, false, true) end
  if is_due(self, part) then self:take(part) end
end

--- A training has ended, and its student is as it was after the last step.
---@param part table
function Snapshots:over(part)
  if part ~= self.outer or self.goal then return end
  stop_if_there(self, part, true)
  if self.policy.none then return end
  local edits = self.run.options.live  -- may change what it would be if it were done again
  if edits or self.policy.steps or host.monotonic() - self.began >= WORTH then self:take(part, true) end
end

-- --- going on --------------------------------------------------------------------------------------------------------

local function restore_registered(run, kept)
  for name, state in pairs(kept) do
    local _, give = reachable.protocol(run.registered[name])
    if give then give(state) end
  end
end

local function restore(self, kept)
  local run, of_run = self.run, kept.run
  run.step_number, run.axis, run.trained, run.threads, run.latest = of_run.step_number, of_run.axis, of_run.trained, of_run.threads, {}
  refill(run.state, of_run.state)
  refill(run.told, of_run.told)
  restore_registered(run, of_run.registered)
  self.count = kept.count
  engine.set_threads(of_run.engine_threads)
  streams.load_state(kept.streams)
end

-- What was kept of this training, if the run goes on from a snapshot and something was.
local function kept_of(self)
  local goal = self.goal
  if not goal then return nil end
  if goal.training == self.number then return goal end
  local path = ("%s/snapshots/%d-end.safetensors"):format(goal.folder, self.number)
  if self.number < goal.training and host.exists(path) then return files.read(path) end
end

local function arrive(self, part)
  local goal = self.goal
  if goal.schedules and clock.is_over(part.clock.counts) then  -- before anything of the run is changed
    host.fail(("resume: %s: the budget is used up by now; expected a larger one; the run stays as it is"):format(part.where), 64)
  end
  self.goal, self.step, self.time = nil, self.run.step_number, host.monotonic()
  self.run:unmute()
  if #self.other_data > 0 then self.run:other_data(self.other_data) end
  if goal.on_arrival then goal.on_arrival(self.run) end
  if goal.other and part.evaluator then self.run.beforehand.judge_anew(self.run, part, goal.as_it_was) end  -- by distill or fit
  stop_if_there(self, part, goal.over)
end

--- A training begins, the run's next; it goes on with what was kept of it.
---@param part {state: fun(self: any): table, load_state: fun(self: any, kept: table)}
function Snapshots:begin(part)
  self.count = self.count + 1
  if self.outer then return end
  self.outer, self.number, self.began, self.files = part, self.count, host.monotonic(), {}
  self.step, self.stage = self.run.step_number, part.s and part.s.stage_index
  if self.stop and part.ahead then part.ahead.wants = self.stop.step - part.before end
  if part.fn then self.seen = reachable.seen(part.fn) end
  local kept = kept_of(self)
  if not kept then return end
  for _, text in ipairs(sameness.check_data(part, kept, self.run.options.accept)) do table.insert(self.other_data, text) end
  part:load_state(kept)
  restore(self, kept)
  if kept == self.goal then arrive(self, part) end
end

--- Calls work() for a training from its beginning to its end, whatever happens in it.
---@param part table
---@param work fun()
function Snapshots:around(part, work)
  self:begin(part)
  local ok, why = pcall(work)
  if self.outer == part then self.outer = false end
  if not ok then error(why, 0) end
end

--- The script is through: where the run was to go on from must have been reached.
function Snapshots:expect_arrival()
  local goal = self.goal
  if not goal then return end
  host.fail(("resume: the script ended in its training %d, before step %d of training %d, where the snapshot was taken; expected a script "
    .. "that does what it did"):format(self.count, goal.point.step, goal.training))
end

--- Another training goes on in place of this one (gradus run --live).
function Snapshots:swap(part, by)
  if self.outer == part then self.outer = by end
end

--- A loop of the script's own has ended.
function Snapshots:left(loop)
  if self.outer == loop then self.outer = false end
end

--- What the loop's function moves (reachable.lua), and the names of what cannot be kept of it.
function Snapshots:reachable(loop) return reachable.save(loop.fn, self.seen) end

function Snapshots:put_back(loop, kept)
  reachable.restore(loop.fn, kept.moved)
  if #kept.unsaved > 0 then tell_unsaved(self, kept.unsaved) end
end

--- The run ends: what is being written is waited for; of a run that finished, the end of its last training stays.
---@param finished boolean
function Snapshots:finish(finished)
  pcall(engine.data.snapshot_saved, true)
  if not finished then return end
  local all = files.list(self.run.folder)
  for i, one in ipairs(all) do
    if i < #all or one.step ~= math.huge then os.remove(one.file) end
  end
end

return snapshots
