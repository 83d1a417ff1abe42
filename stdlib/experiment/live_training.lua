--- A training of a live run, swapped for one of another version of the script, and what takes that back (live_edit.lua).
local copy = require "gradus.base.copy"
local distill = require "gradus.training.distill"
local random_streams = require "gradus.experiment.streams"
local source = require "gradus.curriculum.source"
local take_over = require "gradus.training.take_over"

---@class TrainingTrial
---@field run Run
---@field before Training     of the version before
---@field works boolean       an evaluation was made, so that the functions have been asked
---@field kept table?         the state at the swap, until then; nil of a training that began with the new version
---@field streams table       the random streams at the last boundary; until it works at the swap
---@field here {state: table, streams: table, epoch: number?}?  before the boundary that goes on, where functions are asked there
---@field previous TrainingTrial?  what was on trial then, until it works
local TrainingTrial = {}
TrainingTrial.__index = TrainingTrial

local live_training = {}

local function move_student(run, from, to)
  for _, one in ipairs(run.students or {}) do
    if one.student == from then one.student = to end
  end
end

-- The student that the script holds gets the weights in the end; raises where they would not fit.
local function expect_fit(own, student)
  local kept = copy(own:state_dict())
  local ok, why = pcall(own.load_state_dict, own, student:state_dict())
  own:load_state_dict(kept)
  if not ok then error(why, 0) end
end

--- The new version in place of `training`. Raises where it cannot go on from there.
---@param run Run
---@param training Training
---@param new table         what rehearsal.ask gave
---@param begins boolean?   the training has not begun
---@return Training
---@return TrainingTrial
function live_training.make(run, training, new, begins)
  local self = setmetatable({ run = run, before = training, works = false, params = run.params, step = run.step_number }, TrainingTrial)
  run.params = new.params
  training.reporter:settle()
  self.streams, self.kept = random_streams.state(run), not begins and copy(training:state()) or nil
  self.samplers = source.hand_over(new.stand_in, run)
  local ok, one = pcall(function()
    local one = distill.remake(training, new.options)
    if self.kept then
      take_over(one, training.stages:stage_names(), copy(self.kept))
      run.beforehand.judge_anew(run, one)
    else expect_fit(training.student, one.student) end
    return one
  end)
  if not ok then
    run.params = self.params
    source.take_back(self.samplers, run)
    error(one, 0)
  end
  one.live_index = training.live_index
  one.feed:remember()
  move_student(run, training.student, one.student)
  return one, self
end

--- A boundary begins at which functions are asked: where the version is taken back, it is to this point.
---@param training Training
---@param epoch number?  before the step; nil where the boundary is none that would follow
function TrainingTrial:keep(training, epoch)
  if self.works then self.here = { state = copy(training:state()), streams = random_streams.state(self.run), epoch = epoch } end
end

--- A boundary is over.
---@param evaluated boolean
function TrainingTrial:passed(evaluated)
  self.here = nil
  if evaluated and not self.works then self.works, self.kept, self.previous = true, nil, nil end
  if self.works then self.streams = random_streams.state(self.run) end
end

-- Where the training stands, of which a function has failed.
local function stand(self, training)
  if self.here then return self.here end
  training:take_back_step()
  return { state = copy(training:state()), streams = self.streams }
end

--- Takes the version back. Returns the training of the version before, which goes on.
---@param training Training  of this one, which has failed
---@return Training
function TrainingTrial:take_back(training)
  local run, before = self.run, self.before
  local here = self.works and stand(self, training)
  run.params = self.params
  move_student(run, training.student, before.student)
  source.take_back(self.samplers, run)
  if here then
    take_over(before, training.stages:stage_names(), here.state)
    before.boundary_due = here.epoch
  elseif self.kept then before:load_state(self.kept) end
  random_streams.load_state(here and here.streams or self.streams)
  run.step_number = here and before.before + before.s.step or self.step
  return before
end

return live_training
