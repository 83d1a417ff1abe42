--- `gradus run --live`: saving the script, or what it requires, swaps the curriculum of the training that goes on, at its next boundary.
--- The script is read anew and its `run` function called with a stand-in that writes nothing (a rehearsal): trainings that are over
--- give what they gave, and the one that goes on gives its options. A training is made of them, takes over the state of the old one,
--- as a snapshot's would be, and goes on in its place; the student that the old code holds gets the weights at the end.
--- A new version that fails, now or before its first evaluation is done, is taken back, with all that it did. In a loop of the script's
--- own the functions that it calls are swapped (live_loop.lua).
local children = require "gradus.children"
local host = require "gradus.host"
local copy = require "gradus.base.copy"
local live_loop = require "gradus.experiment.live_loop"
local live_swap = require "gradus.experiment.live_swap"
local live_users = require "gradus.experiment.live_users"
local rehearsal = require "gradus.experiment.rehearsal"
local sampler = require "gradus.curriculum.sampler"
local sorted_keys = require "gradus.base.sorted_keys"
local source = require "gradus.curriculum.source"

local live_edit = {}

local LOOK_EVERY = .1  -- seconds

---@class LiveEdit
---@field done table<number, Distilled|{loop: true}>  of the trainings that are over, and of loops
---@field begun number      trainings and loops
---@field trial table?      a version that has not shown that it works: { before: Training, kept, sources, step }
local LiveEdit = {}
LiveEdit.__index = LiveEdit

---@param run Run
---@param options table   the command line
---@param given table     the parameters that the command line and the grid give
---@param flat table      all of them
function live_edit.new(run, options, given, flat)
  local self = setmetatable({ run = run, options = options, given = given, flat = flat, done = {}, begun = 0, next = 0, watched = {} },
    LiveEdit)
  self.versions = self:sources()
  return self
end

-- --- files ---------------------------------------------------------------------------------------------------------------------

--- Path -> { sha256, text } of the user's files, the newest version of each; all are watched from now on.
function LiveEdit:sources()
  local found, paths = {}, {}
  for _, one in ipairs(host.sources()) do
    found[one.path] = one
    if not self.watched[one.path] then paths[#paths + 1] = one.path end
    self.watched[one.path] = true
  end
  if #paths > 0 then children.watch(paths) end
  return found
end

-- What differs between two versions: a list of { path, was, now } with the hashes.
local function changed(before, after)
  local list = {}
  for _, path in ipairs(sorted_keys(after)) do
    local was, now = before[path], after[path]
    if not was or was.sha256 ~= now.sha256 then list[#list + 1] = { path = path, was = was and was.sha256 or nil, now = now.sha256 } end
  end
  return list
end

-- From here on the stand-in is the run: functions of the new version hold it.
local function become(stand_in, run)
  for name in pairs(stand_in) do rawset(stand_in, name, nil) end
  setmetatable(stand_in, { __index = run, __newindex = run })
end

-- --- the swap --------------------------------------------------------------------------------------------------------------------

-- Where the new list of stages goes on: in the stage of the same name, else in that of the same number.
local function fit_stages(kept, old, new)
  local name, to = old.stage.name, nil
  for i, stage in ipairs(new.list) do
    if stage.name == name then to = i end
  end
  to = to or new.list[old.index] and old.index
  if not to then
    error(("curriculum: the training is in stage %d, '%s'; the new version has %d stages"):format(old.index, name, #new.list), 0)
  end
  local history = kept.stages.history
  kept.stages.index, kept.stages.told = to, {}
  kept.stages.reached = math.max(to, math.min(kept.stages.reached, #new.list))
  history.stage, history.stage_index = new.list[to].name, to
  history.furthest.index = math.max(to, math.min(history.furthest.index, #new.list))
end

local function equal(a, b)
  return a:numel() == b:numel() and (a:numel() == 0 or a:eq(b):all():item())
end

-- The state that a sampler of the new version has: what the rows have shown and how often they came from the old one, its settings
-- from the new one; where the same rows can be drawn, it stands where the old one stood.
local function joined(old, fresh)
  if type(fresh.subset) == "nil" or old.mode ~= fresh.mode or old.rows ~= fresh.rows then return nil end
  local state = {}
  for name, value in pairs(fresh) do state[name] = value end
  for _, name in ipairs { "seed", "draws", "visits", "confidence", "counted" } do state[name] = old[name] end
  local same = equal(old.subset, fresh.subset)
  state.cursor, state.passes, state.order = same and old.cursor or 0, same and old.passes or 0, same and old.order or old.order + 1
  return state
end

-- The feed of a new version takes over what fits; a sampler of another kind begins anew.
local function take_over_rows(feed, kept, ask)
  sampler.numbered(kept.numbered)
  ask()
  pcall(feed.restore_others, feed, kept)  -- of those that are of the same kind as before
  sampler.numbered(kept.made)
  feed.drawn = kept.drawn
  local rows = feed.source
  if rows.core then
    local state = joined(kept.source, rows:state())
    if state then rows:restore(state) end
  else
    pcall(rows.restore, rows, kept.source)
  end
end

--- Has a training of other options go on from the state of another one: in the stage of the same name, with the rows that still fit.
---@param one Training     made of the new options
---@param stages Stages    the other one's
---@param state table      of its own from here on
function live_edit.take_over(one, stages, state)
  one.feed.load_state = take_over_rows  -- this once
  fit_stages(state, stages, one.stages)
  one:load_state(state)
  one.feed.load_state = nil
end

local function make(self, training, new)
  local distill = require "gradus.training.distill"
  local run, before = self.run, self.run.params
  run.params = new.params
  training.reporter:settle()
  local kept = copy(training:state())
  local samplers = source.hand_over(new.stand_in, run)
  local ok, next_one = pcall(function()
    local one = distill.remake(training, new.options)
    live_edit.take_over(one, training.stages, copy(kept))
    return one
  end)
  if not ok then
    run.params = before
    source.take_back(samplers, run)
    error(next_one, 0)
  end
  return next_one, { kept = kept, params = before, samplers = samplers }
end

local function tell(self, text)
  self.run.line.say(("live: step %d: %s"):format(self.run.step_number, text))
end

-- What a parameter was and is now, of those that differ.
local function moved(before, after)
  local list = {}
  for name, value in pairs(after) do
    if before[name] ~= value then list[name] = { was = before[name], now = value } end
  end
  return next(list) and list or nil
end

-- The store has the parameters as they are now: a run that goes on later begins with them.
local function keep_params(self, flat, changes)
  local list = {}
  for _, name in ipairs(sorted_keys(changes or {})) do
    list[#list + 1] = { key = name, value = flat[name], type = type(flat[name]) == "number" and flat.types and flat.types[name] or nil }
  end
  if #list > 0 then self.run.writer:amend { params = list } end
end

local function keep_sources(self, files, sources)
  local list = {}
  for i, one in ipairs(files) do
    list[i] = { path = ("%s@%d"):format(one.path, self.run.step_number), sha256 = one.now, text = sources[one.path].text }
  end
  self.run.writer:amend { sources = list }
end

local function move_student(run, from, to)
  for _, one in ipairs(run.students or {}) do
    if one.student == from then one.student = to end
  end
end

-- Asks the new version, and has make_of(new) put it in the place of what goes on. make_of returns what goes on from here, and a table
-- that gets what has to be known to take it back. Returns the first of these; nil where nothing was saved that differs.
local function attempt(self, where, index, capture, make_of)
  local held, mark = live_users.held(), host.read_again()
  live_users.forget_modules()
  local ok, new = pcall(rehearsal.ask, self, where, index, capture)
  local sources = ok and self:sources()
  local files = ok and changed(self.versions, sources)
  local made, trial
  if ok and #files > 0 then
    if capture then live_users.put_back(held) end  -- a loop's functions are swapped where they are
    ok, made, trial = pcall(make_of, new)
    if not ok then new = made end
  end
  if not ok or #files == 0 then
    host.put_back_sources(mark)
    live_users.put_back(held)
    if ok then return nil end
    error(new, 0)
  end
  become(new.stand_in, self.run)
  trial.held, trial.mark, trial.step = held, mark, self.run.step_number
  trial.versions, trial.flat = self.versions, self.flat
  local changes = moved(self.flat, new.flat)
  self.run:edited("live", { files = files, params = changes, swapped = trial.swapped })
  keep_params(self, new.flat, changes)
  keep_sources(self, files, sources)
  self.versions, self.flat = sources, new.flat
  return made
end

-- The new version in place of `training`.
local function attempt_training(self, training)
  local trial
  local next_one = attempt(self, training.where, training.live_index, nil, function(new)
    local one
    one, trial = make(self, training, new)
    trial.before, trial.evaluations = training, one.s.evaluations
    return one, trial
  end)
  if not next_one then return nil end
  self.trial = trial
  next_one.live_index = training.live_index
  move_student(self.run, training.student, next_one.student)
  tell(self, "the new version goes on")
  return next_one
end

-- Whether somebody has saved a file since the last look.
local function saved_since(self)
  local now = host.monotonic()
  if now < self.next then return false end
  self.next = now + LOOK_EVERY
  local saved = false
  for _, event in ipairs(children.wait(0)) do saved = saved or event.kind == "saved" end
  return saved
end

-- Calls fn(…) for a version that was saved; what is wrong with it is told.
local function attempted(self, fn, ...)
  local ok, result = pcall(fn, self, ...)
  if ok then return result end
  if type(result) == "table" and (result.interrupted or result.exit) then error(result, 0) end
  local text = host.error_text(result)
  self.run:event("warning", "live", { text = text })
  tell(self, text .. "; the version before goes on")
end

-- A version that was on trial is none of the run's.
local function forget(self, trial, why)
  local text = host.error_text(why)
  self.trial = nil
  host.put_back_sources(trial.mark)
  live_users.put_back(trial.held)
  keep_params(self, trial.flat, moved(self.flat, trial.flat))
  self.versions, self.flat = trial.versions, trial.flat
  self.run.step_number = trial.step
  return text
end

--- At a boundary. Returns the training that goes on in place of this one, if somebody has saved a version that works.
---@param training Training
---@return Training?
function LiveEdit:look(training)
  local trial = self.trial
  if trial and training.s.evaluations > trial.evaluations then self.trial = nil end
  return saved_since(self) and attempted(self, attempt_training, training) or nil
end

--- A training has ended in an error. Where a new version of it had not shown that it works, it is taken back: returns the training
--- before, as it was at the swap.
---@param training Training
---@param why any
---@return Training?
function LiveEdit:taken_back(training, why)
  local trial = self.trial
  if not trial or type(why) == "table" and why.interrupted or host.exiting() then return nil end
  local before, run, text = trial.before, self.run, forget(self, trial, why)
  run.params = trial.params
  move_student(run, training.student, before.student)
  source.take_back(trial.samplers, run)
  before:load_state(trial.kept)
  run.step_number = trial.step
  run:edited("live", { taken_back = true, error = text })
  tell(self, text .. "; the version before goes on from there")
  return before
end

-- --- loops of the script's own -----------------------------------------------------------------------------------------------------

--- Such a loop is made.
function LiveEdit:loops() self.begun = self.begun + 1 end

--- It begins; its function's frame is there.
---@param loop table  see batches.lua
function LiveEdit:enter(loop)
  loop.takes_values = true
  for i = 1, loop.index - 1 do
    if self.done[i] and self.done[i].loop then loop.takes_values = false end  -- what they came to is not known to a rehearsal
  end
  self.done[loop.index] = { loop = true }
  loop.swap = live_swap.new(live_users.world_of(loop.fn, self.run.params))
end

local function attempt_loop(self, loop)
  if loop.trial then loop.trial:settle(true) end
  local trial = attempt(self, "batches", loop.index, function(fn, given)
    return live_swap.capture(live_users.world_of(fn, given))
  end, function(new)
    local one = live_loop.swap(self, loop, new)
    return one, one
  end)
  if not trial then return end
  loop.trial = trial
  tell(self, trial.words)
end

--- At a boundary of such a loop.
---@param loop table
function LiveEdit:look_at_loop(loop)
  if loop.trial then loop.trial:settle() end
  if saved_since(self) then attempted(self, attempt_loop, loop) end
end

--- A function of a new version has failed, and the loop has what it had.
---@param trial LoopTrial
---@param why any
function LiveEdit:loop_taken_back(trial, why)
  local step = self.run.step_number
  local text = forget(self, trial, why)
  self.run.step_number = step
  self.run:edited("live", { taken_back = true, error = text })
  tell(self, text .. "; the version before goes on")
end

--- Trains, with a look at the files at each boundary.
---@param run Run
---@param given DistillOptions
---@param where string
function LiveEdit:train(run, given, where)
  local distill = require "gradus.training.distill"
  self.begun = self.begun + 1
  local index, training = self.begun, distill.make(run, given, where)
  training.live, training.live_index = self, index
  local done = distill.train(training)
  self.trial, self.done[index] = nil, done
  return done
end

return live_edit
