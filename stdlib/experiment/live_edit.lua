--- `gradus run --live`: saving the script, or what it requires, swaps the curriculum of the training that goes on, at its next boundary.
--- The script is read anew and its `run` function called with a stand-in that writes nothing (a rehearsal): trainings that are over
--- give what they gave, and the one that goes on gives its options. A training is made of them, takes over the state of the old one,
--- as a snapshot's would be, and goes on in its place; the student that the old code holds gets the weights at the end. What begins
--- later is made of the version that goes on then, too. In a loop of the script's own the functions that it calls are swapped
--- (live_loop.lua).
---
--- A new version that fails, now or before its first evaluation is done, is taken back, with all that it did. One that fails later gives
--- way to the version before where it stands: what failed has changed nothing, and is asked of the version before.
local host = require "gradus.host"
local is_ending = require "gradus.base.is_ending"
local live_files = require "gradus.experiment.live_files"
local live_loop = require "gradus.experiment.live_loop"
local live_swap = require "gradus.experiment.live_swap"
local live_training = require "gradus.experiment.live_training"
local live_users = require "gradus.experiment.live_users"
local rehearsal = require "gradus.experiment.rehearsal"
local run_writer = require "gradus.experiment.run_writer"
local sorted_keys = require "gradus.base.sorted_keys"

local live_edit = {}

---@class LiveVersion
---@field texts Texts       of the files
---@field flat table        the parameters
---@field kept string?      what goes on as an older version has it, whatever the files say

---@class LiveEdit
---@field done table<number, Distilled|{loop: true}>  of the trainings that are over, and of loops
---@field begun number      trainings and loops
---@field first LiveVersion  the one whose `run` function runs
---@field version LiveVersion  the one that goes on
---@field trial TrainingTrial?  of the training that goes on, where it was swapped
---@field texts table<function, string>  of functions of loops (live_swap.lua)
local LiveEdit = {}
LiveEdit.__index = LiveEdit

---@param run Run
---@param options table   the command line
---@param given table     the parameters that the command line and the grid give
---@param flat table      all of them
function live_edit.new(run, options, given, flat)
  local self = setmetatable({ run = run, options = options, given = given, done = {}, begun = 0, files = live_files.new(),
    texts = setmetatable({}, { __mode = "k" }) }, LiveEdit)
  self.first = { texts = self.files:read(), flat = flat }
  self.version = self.first
  return self
end

-- --- a version ---------------------------------------------------------------------------------------------------------------------

local function tell(self, text, is_error)
  self.run.line.say(("live: step %d: %s"):format(self.run.step_number, text), is_error)
end

-- A version has failed, or cannot be taken.
local function tell_failure(self, text) tell(self, text, true) end

-- What went wrong, in a line.
local function in_a_line(why) return (host.error_text(why):gsub("%s*\n%s*", " ")) end

-- From here on the stand-in is the run: functions of the new version hold it.
local function become(stand_in, run)
  for name in pairs(stand_in) do rawset(stand_in, name, nil) end
  setmetatable(stand_in, { __index = run, __newindex = run })
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

local function keep_sources(self, files, texts)
  run_writer.keep_sources(self.run.writer, self.run.step_number, files, function(path) return texts[path].text end)
end

-- Another version goes on from here: told to the store.
local function go_on_with(self, version, detail)
  local before = self.version
  local changes = moved(before.flat, version.flat)
  detail.files, detail.params, detail.kept = live_files.changes(before.texts, version.texts), changes, version.kept
  self.version = version
  self.run:edited("live", detail)
  keep_params(self, version.flat, changes)
  return detail.files
end

-- Asks the new version, and has make_of(new) put it in the place of what goes on. make_of returns what goes on from here, and a table
-- that gets what has to be known to take it back. Returns the first of these; nil where nothing was saved that differs.
local function attempt(self, where, index, capture, make_of)
  local held, mark = live_users.held(), host.read_again()
  local function back()
    host.put_back_sources(mark)
    live_users.put_back(held)
  end
  live_users.forget_modules()
  local ok, new = pcall(rehearsal.ask, self, where, index, capture)
  if not ok then
    self.files:failed(host.error_text(new))
    back()
    error(new, 0)
  end
  local texts = self.files:read()
  if capture then live_users.put_back(held) end  -- a loop's functions are swapped where they are
  local made, trial
  ok, made, trial = pcall(make_of, new)
  if not ok then
    back()
    error(made, 0)
  end
  become(new.stand_in, self.run)
  trial.held, trial.mark, trial.was = held, mark, self.version
  local files = go_on_with(self, { texts = texts, flat = new.flat, kept = trial.swapped and trial.swapped.kept },
    { swapped = trial.swapped })
  keep_sources(self, files, texts)
  return made
end

-- Calls fn(…) for a version that was saved; what is wrong with it is told.
local function attempted(self, fn, ...)
  local ok, result = pcall(fn, self, ...)
  if ok then return result end
  if is_ending(result) then error(result, 0) end
  local later = type(result) == "table" and result.later
  local text = later or in_a_line(result)
  self.run:event("warning", "live", { text = text })
  tell_failure(self, later and text or text .. "; the version before goes on")
end

-- What begins, begins as the version at the start has it.
local function keep_old(self, what)
  local version = self.version
  go_on_with(self, { texts = version.texts, flat = version.flat, kept = what .. " of the version at the start" }, {})
end

-- A version is none of the run's any more.
local function take_back(self, trial, why)
  local text = in_a_line(why)
  host.put_back_sources(trial.mark)
  live_users.put_back(trial.held)
  go_on_with(self, trial.was, { taken_back = true, error = text })
  return text
end

-- --- trainings ---------------------------------------------------------------------------------------------------------------------

local function attempt_training(self, training, begins)
  local trial
  local one = attempt(self, training.where, training.live_index, nil, function(new)
    local one
    one, trial = live_training.make(self.run, training, new, begins)
    return one, trial
  end)
  trial.previous, self.trial = self.trial, trial
  tell(self, begins and training.where .. " begins with the new version" or "the new version goes on")
  return one
end

--- A training begins, in a `run` function that may be of an older version. Returns the one that begins in its place.
---@param training Training
---@return Training?
function LiveEdit:begin(training)
  if self.version == self.first then return nil end
  local one = attempted(self, attempt_training, training, true)
  if not one then keep_old(self, training.where) end
  return one
end

--- A boundary begins at which functions of the user's are asked.
---@param training Training
---@param evaluates boolean
---@param epoch number?  see TrainingTrial:keep
function LiveEdit:keep(training, evaluates, epoch)
  self.evaluates = evaluates
  if self.trial then self.trial:keep(training, epoch) end
end

--- At a boundary. Returns the training that goes on in place of this one, if somebody has saved a version that works.
---@param training Training
---@return Training?
function LiveEdit:look(training)
  if self.trial then self.trial:passed(self.evaluates) end
  self.evaluates = false
  return self.files:look(self.version.texts) and attempted(self, attempt_training, training) or nil
end

--- A training has ended in an error. Where it is of a new version, that is taken back: returns the training before, which goes on as it
--- was at the swap, or, where the new version had shown that it works, from where this one stood.
---@param training Training
---@param why any
---@return Training?
function LiveEdit:taken_back(training, why)
  local trial = self.trial
  if not trial or is_ending(why) then return nil end
  if trial.works and training.books then return nil end  -- nobody's function: a loss that is not finite, a full disk
  local before = trial:take_back(training)
  self.trial = trial.previous
  local text = take_back(self, trial, why)
  tell_failure(self, text .. "; the version before goes on from " .. (trial.works and "here" or "there"))
  return before
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

-- --- loops of the script's own -----------------------------------------------------------------------------------------------------

--- Such a loop is made.
function LiveEdit:loops() self.begun = self.begun + 1 end

local function attempt_loop(self, loop)
  local trial = attempt(self, "batches", loop.index, function(fn, given)
    return live_swap.capture(live_users.world_of(fn, given))
  end, function(new)
    local one = live_loop.swap(self, loop, new)
    if one.nothing then error({ later = one.words }) end
    return one, one
  end)
  loop.trial = trial
  tell(self, trial.words)
  return true
end

--- It begins; its function's frame is there.
---@param loop table  see batches.lua
function LiveEdit:enter(loop)
  loop.takes_values = true
  for i = 1, loop.index - 1 do
    if self.done[i] and self.done[i].loop then loop.takes_values = false end  -- what they came to is not known to a rehearsal
  end
  self.done[loop.index] = { loop = true }
  loop.swap = live_swap.new(live_users.world_of(loop.fn, self.run.params), self.texts)
end

--- It stands before its first step, in a function that may be of an older version.
---@param loop table
function LiveEdit:begin_loop(loop)
  if self.version ~= self.first and not attempted(self, attempt_loop, loop) then keep_old(self, "batches") end
end

--- At a boundary of such a loop.
---@param loop table
function LiveEdit:look_at_loop(loop)
  if self.files:look(self.version.texts) then attempted(self, attempt_loop, loop) end
end

--- A function of a new version has failed, and the loop has what it had.
---@param trial LoopTrial
---@param why any
function LiveEdit:loop_taken_back(trial, why)
  tell_failure(self, take_back(self, trial, why) .. "; the version before goes on")
end

-- --- what cannot be swapped ----------------------------------------------------------------------------------------------------------

--- A look-ahead begins.
function LiveEdit.looks_ahead() end

--- At a boundary of something that goes on as it is.
---@param what string  "a look-ahead"
function LiveEdit:look_past(what)
  if not self.files:look(self.version.texts) then return end
  local text = ("%s goes on as it was; what was saved takes effect at the next run"):format(what)
  self.run:event("warning", "live", { text = text })
  tell_failure(self, text)
end

return live_edit
