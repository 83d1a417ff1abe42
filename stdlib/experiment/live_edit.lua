--- `gradus run --live`: saving the script, or what it requires, swaps the curriculum of the training that goes on, at its next boundary.
--- The script is read anew and its `run` function called with a stand-in that writes nothing (a rehearsal): trainings that are over
--- give what they gave, and the one that goes on gives its options. A training is made of them, takes over the state of the old one,
--- as a snapshot's would be, and goes on in its place; the student that the old code holds gets the weights at the end.
--- A new version that fails, now or before its first evaluation is done, is taken back, with all that it did.
local children = require "gradus.children"
local host = require "gradus.host"
local copy = require "gradus.base.copy"
local current = require "gradus.base.current"
local nn = require "gradus.nn"
local params = require "gradus.experiment.params"
local run_writer = require "gradus.experiment.run_writer"
local sampler = require "gradus.curriculum.sampler"
local random_streams = require "gradus.experiment.streams"
local stand_in_for = require "gradus.experiment.stand_in"
local source = require "gradus.curriculum.source"

local live_edit = {}

local LOOK_EVERY = .1  -- seconds

local own = {}  -- modules that are not the user's
for name in pairs(package.loaded) do own[name] = true end

---@class LiveEdit
---@field done Distilled[]  of the trainings that are over
---@field trial table?      a version that has not shown that it works: { before: Training, kept, sources, step }
local LiveEdit = {}
LiveEdit.__index = LiveEdit

---@param run Run
---@param options table   the command line
---@param given table     the parameters that the command line and the grid give
---@param flat table      all of them
function live_edit.new(run, options, given, flat)
  local self = setmetatable({ run = run, options = options, given = given, flat = flat, done = {}, next = 0, watched = {} }, LiveEdit)
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
  for _, path in ipairs(params.sorted_keys(after)) do
    local was, now = before[path], after[path]
    if not was or was.sha256 ~= now.sha256 then list[#list + 1] = { path = path, was = was and was.sha256 or nil, now = now.sha256 } end
  end
  return list
end

local function user_modules()
  local found = {}
  for name, value in pairs(package.loaded) do
    if not own[name] and not name:find "^gradus%.?" then found[name] = value end
  end
  return found
end

local function set_modules(modules)
  for name in pairs(user_modules()) do package.loaded[name] = nil end
  for name, value in pairs(modules) do package.loaded[name] = value end
end

-- --- the rehearsal --------------------------------------------------------------------------------------------------------------

-- What is wrong with the new version, on no line of it.
local function refuse(text, ...) error(text:format(...), 0) end

-- What takes the place of `run` while the new version is asked for its options.
local function stand_in_of(self, nested)
  local run = self.run
  local rehearsal = { count = 0 }
  function rehearsal.loops() refuse "a loop over run:batches would be done again; live edits reach what distill and fit train" end
  function rehearsal.train(_, _, given, where)
    rehearsal.count = rehearsal.count + 1
    local done = self.done[rehearsal.count]
    if not done then error({ reached = true, given = given, where = where }, 0) end
    given.student:load_state_dict(done.student:state_dict())
    given.student:eval()
    local again = {}
    for name, value in next, done do again[name] = value end
    again.student = given.student
    return setmetatable(again, getmetatable(done))
  end
  return stand_in_for(run, { live = rehearsal, line = run_writer.silent(), params = nested, threads = run.threads,
    step_number = run.step_number, students = false, save_students = false, listener = false, ending = false, parent = false,
    snapshots = run.snapshots, trained = run.trained })
end

-- From here on the stand-in is the run: functions of the new version hold it.
local function become(stand_in, run)
  for name in pairs(stand_in) do rawset(stand_in, name, nil) end
  setmetatable(stand_in, { __index = run, __newindex = run })
end

-- Calls fn() as a run's beginning would find the random streams; afterwards they are where they were.
local function in_own_streams(run, fn)
  local streams, init, before = random_streams.state(run), nn.init_generator, current.run
  require("gradus.experiment.run").seed_streams(run.seed)
  sampler.numbered(0)
  local ok, result = pcall(fn)
  nn.init_generator, current.run = init, before
  random_streams.load_state(streams)
  if not ok then error(result, 0) end
  return result
end

-- The options that the new version gives the training that goes on, and its parameters.
local function rehearse(self, training)
  local experiment = require("gradus.experiment.runner").load(self.options)
  if not experiment then refuse("%s: the script returns no experiment any more", self.options.script) end
  local flat = params.resolve(experiment.specs, self.given)
  local nested = params.nest(flat)
  local stand_in = stand_in_of(self, nested)
  local met = in_own_streams(self.run, function()
    current.run = stand_in
    host.entering(experiment.run)
    local ok, why = pcall(experiment.run, stand_in, nested)
    if not ok and type(why) == "table" and why.reached then return why end
    if not ok then error(why, 0) end
    refuse("%s: the run function ended after %d of its trainings; expected the one that goes on", self.options.script, #self.done)
  end)
  if met.where ~= training.where then
    refuse("%s: training %d is a %s now, and was a %s", self.options.script, #self.done + 1, met.where, training.where)
  end
  return { options = met.given, params = nested, flat = flat, stand_in = stand_in }
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
    refuse("curriculum: the training is in stage %d, '%s'; the new version has %d stages", old.index, name, #new.list)
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

local function tell(self, training, text)
  self.run.line.say(("live: step %d: %s"):format(training.run.step_number, text))
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
  for _, name in ipairs(params.sorted_keys(changes or {})) do
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

-- The new version in place of `training`; nil where nothing was saved that differs.
local function attempt(self, training)
  local modules, mark = user_modules(), host.read_again()
  set_modules {}
  local ok, new = pcall(rehearse, self, training)
  local sources = ok and self:sources()
  local files = ok and changed(self.versions, sources)
  local next_one, trial
  if ok and #files > 0 then
    ok, next_one, trial = pcall(make, self, training, new)
    if not ok then new = next_one end
  end
  if not ok or #files == 0 then
    host.put_back_sources(mark)
    set_modules(modules)
    if ok then return nil end
    error(new, 0)
  end
  become(new.stand_in, self.run)
  trial.before, trial.modules, trial.mark, trial.step = training, modules, mark, self.run.step_number
  trial.versions, trial.flat, trial.evaluations = self.versions, self.flat, next_one.s.evaluations
  self.trial = trial
  local changes = moved(self.flat, new.flat)
  self.run:edited("live", { files = files, params = changes })
  keep_params(self, new.flat, changes)
  keep_sources(self, files, sources)
  self.versions, self.flat = sources, new.flat
  move_student(self.run, training.student, next_one.student)
  tell(self, training, "the new version goes on")
  return next_one
end

--- At a boundary. Returns the training that goes on in place of this one, if somebody has saved a version that works.
---@param training Training
---@return Training?
function LiveEdit:look(training)
  local trial = self.trial
  if trial and training.s.evaluations > trial.evaluations then self.trial = nil end
  local now = host.monotonic()
  if now < self.next then return nil end
  self.next = now + LOOK_EVERY
  local saved = false
  for _, event in ipairs(children.wait(0)) do saved = saved or event.kind == "saved" end
  if not saved then return nil end
  local ok, next_one = pcall(attempt, self, training)
  if ok then return next_one end
  if type(next_one) == "table" and (next_one.interrupted or next_one.exit) then error(next_one, 0) end
  local text = host.error_text(next_one)
  self.run:event("warning", "live", { text = text })
  tell(self, training, text .. "; the version before goes on")
end

--- A training has ended in an error. Where a new version of it had not shown that it works, it is taken back: returns the training
--- before, as it was at the swap.
---@param training Training
---@param why any
---@return Training?
function LiveEdit:taken_back(training, why)
  local trial = self.trial
  if not trial or type(why) == "table" and why.interrupted or host.exiting() then return nil end
  self.trial = nil
  local before, run, text = trial.before, self.run, host.error_text(why)
  host.put_back_sources(trial.mark)
  set_modules(trial.modules)
  keep_params(self, trial.flat, moved(self.flat, trial.flat))
  self.versions, self.flat, run.params = trial.versions, trial.flat, trial.params
  move_student(run, training.student, before.student)
  source.take_back(trial.samplers, run)
  before:load_state(trial.kept)
  run.step_number = trial.step
  run:edited("live", { taken_back = true, error = text })
  tell(self, before, text .. "; the version before goes on from there")
  return before
end

--- A loop of the script's own begins.
---@param run Run
function LiveEdit:loops(run)
  if self.told then return end
  self.told = true
  run:event("warning", "live", { text = "a loop over run:batches goes on as it is" })
  run.line.say("live: a loop over run:batches goes on as it is; live edits reach what distill and fit train")
end

--- Trains, with a look at the files at each boundary.
---@param run Run
---@param given DistillOptions
---@param where string
function LiveEdit:train(run, given, where)
  local distill = require "gradus.training.distill"
  local training = distill.make(run, given, where)
  training.live = self
  local done = distill.train(training)
  self.trial = nil
  table.insert(self.done, done)
  return done
end

return live_edit
