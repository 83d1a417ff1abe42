--- The curriculum's automaton: in which stage a training is, since when, its knobs for the coming step, what its rules say and what
--- follows. What the rules have seen is the state's (state.lua); a stage is entered by the training, which tells the other parts.
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local data = require "gradus.data.dataset"
local schedule = require "gradus.curriculum.schedule"
local when = require "gradus.curriculum.when"

local stages = {}

---@class Stages
---@field list Stage[]      see curriculum.lua
---@field knobs table       of the training: name -> number, schedule or function; a stage's stand over them
---@field stage Stage       the one that is going on
---@field index number
---@field reached number    the furthest
---@field level {index: number, share: number?}  of a ramp, in the stage; 0 where it has none
---@field by_hand table<string, number>?  knobs that somebody has set while the training goes on: over all others
local Stages = {}
Stages.__index = Stages

local VERDICTS = { next = true, stop = true, back = true, stay = true, ["end"] = true }
local BUILT_IN = { temperature = true, alpha = true, augment = true, lr = true }

---@param options {list: Stage[], knobs: table, state: State, run: Run, early: Rule?}  early: early stopping
---@return Stages
function stages.new(options)
  local self = setmetatable({ list = options.list, base = options.knobs, s = options.state, run = options.run, early = options.early,
    reached = 0, told = {}, names = {}, good = {} }, Stages)
  for name in pairs(self.base) do self.names[#self.names + 1] = name end
  table.sort(self.names)
  for i, stage in ipairs(self.list) do
    for name in pairs(stage.knobs) do
      if self.base[name] == nil then
        local where = #self.list > 1 and ("curriculum: stage %d"):format(i) or "curriculum"
        check.unknown(where .. (stage.said_by[name] or ": losses"), "knob", name, { unpack(self.names) })
      end
    end
  end
  return self
end

-- --- knobs ---------------------------------------------------------------------------------------------------------------

--- What is expected of a knob, where this number is not it; nil where it is good.
function stages.wanted(name, value)
  local good = type(value) == "number" and value == value and math.abs(value) ~= math.huge
    and (name ~= "temperature" or value > 0) and (name ~= "lr" or value >= 0)
    and (name ~= "alpha" and name ~= "augment" or value >= 0 and value <= 1)
  if good then return nil end
  if not BUILT_IN[name] then return "a number" end
  return name == "temperature" and "a number above 0" or name == "lr" and "a number of at least 0" or "a number from 0 to 1"
end

-- A knob is a number, or one for each example: a tensor, or a schedule that makes one of the batch.
local function check_knob(self, name, value)
  if type(value) == "table" and name ~= "temperature" and not (name == "alpha" and value.of_rows) then
    host.fail(("%s: schedule.%s gives one value for each example, which only the temperature%s"):format(name,
      value.of_rows and "by_part" or "by_entropy", value.of_rows and " and alpha take" or " takes"))
  end
  if (name == "temperature" or name == "alpha") and (type(value) == "table" or engine.is_tensor(value)) then return end
  local wanted = stages.wanted(name, value)
  if not wanted then return end
  host.fail(("stage '%s', step %d: %s: expected %s; got %s"):format(self.stage.name, self.s.step, name, wanted, check.describe(value)))
end

local function said_by(asked, s, names)
  if not asked then return {} end
  host.entering(asked)
  local said = asked(s) or {}
  if type(said) ~= "table" then host.fail("curriculum: pressure: expected a table of knobs; got " .. type(said)) end
  for name in pairs(said) do
    local known = false
    for _, one in ipairs(names) do known = known or one == name end
    if not known then check.unknown("curriculum: pressure", "option", name, { unpack(names) }) end
  end
  return said
end

local function ask(self, s)
  local values, said = {}, said_by(self.stage.pressure, s, self.names)
  for name, base in pairs(self.base) do
    local one = self.by_hand and self.by_hand[name]
    if one == nil then one = said[name] end
    if one == nil then one = self.stage.knobs[name] end
    if one == nil then one = base end
    if type(one) == "function" then host.entering(one) end
    local value = one
    if type(one) == "function" or schedule.is(one) and not one.of_batch then value = schedule.value(one, s) end
    if value == nil or value ~= self.good[name] then check_knob(self, name, value) end
    values[name], self.good[name] = value, value
  end
  return values
end

--- The knobs of the step that follows the state s, which may be one that looks ahead: a function is asked once for each step, and
--- what it said is kept until the step is done. With `keeps` false it is forgotten.
---@param s State
---@param keeps fun(): boolean   asked afterwards
function Stages:ask_knobs(s, keeps)
  local step = s.step
  local knobs = self.told[step]
  if knobs then return knobs end
  knobs = ask(self, s)
  if keeps() then self.told[step] = knobs end
  return knobs
end

--- A knob is this number from the next step on, whatever the curriculum says; nil gives it back. Returns whether that is another.
---@param name string
---@param value number?
function Stages:set_by_hand(name, value)
  local before = self.by_hand and self.by_hand[name]
  self.by_hand = self.by_hand or {}
  self.by_hand[name], self.told = value, {}
  if next(self.by_hand) == nil then self.by_hand = nil end
  return before ~= value
end

---@return string[]  of all knobs that there are
function Stages:knob_names() return self.names end

---@return string[]  the names of the stages, in their order
function Stages:stage_names()
  local names = {}
  for i, stage in ipairs(self.list) do names[i] = stage.name end
  return names
end

--- The step is done: its knobs need not be kept.
function Stages:done(step) self.told[step] = nil end

--- Temperature and alpha as numbers, for what is measured beside the steps; nil where they are none.
function Stages:numbers()
  local last = self.last or {}
  local temperature, alpha = last.temperature, last.alpha
  if type(temperature) ~= "number" or type(alpha) ~= "number" then return nil end
  return { temperature = temperature, alpha = alpha }
end

-- --- the automaton ---------------------------------------------------------------------------------------------------------

--- Stage `index` goes on from here; s.stage and its counts begin, unless it is a snapshot's stage that goes on.
---@param index number
---@param resumed? boolean
function Stages:enter(index, resumed)
  self.stage, self.index, self.told = self.list[index], index, {}
  self.reached = math.max(self.reached, index)
  if not resumed then
    self.s:begin_stage(self.stage.name, index)
    self.level = { index = 0 }
  end
  return self.stage
end

local function share_of_level(source, s) return not data.is_generator(source) and source.level_at and source:level_at(s) or nil end

--- Whether a level of the ramp that these rows go through ends here.
---@param source Source|Generator
function Stages:level_ends(source)
  local share, known = share_of_level(source, self.s), self.level.share
  -- Half a row is rounding: what holds is computed anew at each step.
  return share ~= nil and (known == nil or math.abs(share - known) * source.data:size() > .5)
end

--- Tells the level that begins with what was just drawn; nothing where it goes on, or there are none.
---@param source Source|Generator
function Stages:tell_level(source)
  if not self:level_ends(source) then return end
  self.level = { index = self.level.index + 1, share = source.share_now }
  self.run:event("level", "level " .. self.level.index,
    { index = self.level.index, share = source.share_now, rows = source:size(), stage = self.stage.name })
end

--- "stage 'easy'", for errors.
function Stages:where() return ("stage '%s'"):format(self.stage.name) end

local function answer(value, s)
  if type(value) ~= "function" then return value end
  host.entering(value)
  return value(s)
end

--- What the stage's target and sample axes answer; the defaults where it says nothing.
function Stages:target(default)
  if self.stage.target == nil then return default end
  local said = answer(self.stage.target, self.s)
  if said == nil and default ~= nil then
    host.fail(self:where() .. ": target: the function returned nothing; expected the teacher (s.teacher), another, or 'labels'")
  end
  return said
end

function Stages:sample(default)
  if self.stage.sample == nil then return default end
  return answer(self.stage.sample, self.s)
end

--- The answer of a knob in this stage, without asking it.
function Stages:answer_of(name)
  if self.by_hand and self.by_hand[name] then return self.by_hand[name] end
  return self:answer_in(self.stage, name)
end

--- What the curriculum answers in any of its stages, without asking it.
---@param stage table
---@param name string
function Stages:answer_in(stage, name)
  local own = stage.knobs[name]
  if own ~= nil then return own end
  return self.base[name]
end

--- Whether some rule would be asked after a step that is no evaluation's, and say something, at a state that looks ahead.
function Stages:awaits(s)
  local rule = self.stage.advance
  return when.is(rule) and rule.every == "step" and rule(s)
end

local function checked(self, verdict, s)
  if verdict == true then verdict = "next" end
  if verdict and not VERDICTS[verdict] then
    host.fail(("stage '%s': advance: expected 'next', 'stop', 'back', 'stay', true or false; got '%s'"):format(s.stage, tostring(verdict)))
  end
  return verdict
end

-- What a verdict leads to: a stage's index, false for the training's end, nil where nothing changes.
local function follow(self, verdict)
  if verdict == "next" and self.index == #self.list then verdict = "stop" end
  if verdict == "back" and self.index == 1 then return nil, nil end
  if verdict == "next" then return self.index + 1, verdict end
  if verdict == "back" then return self.index - 1, verdict end
  if verdict == "stay" then return nil, verdict end
  return false, verdict
end

--- Asks the stage's rule, then early stopping; the first that says something decides, and its numbers are stored. Returns the index
--- of the stage that follows, false where the training ends, nil where it goes on.
function Stages:decide()
  local s = self.s
  for _, rule in ipairs { self.stage.advance or false, self.early or false } do
    if rule and (s.evaluating or when.is(rule) and rule.every == "step") then
      if type(rule) == "function" then host.entering(rule) end
      local verdict, numbers = rule(s)
      verdict = checked(self, verdict, s)
      if verdict then
        local to, said = follow(self, verdict)
        if said then
          self.run:event("decision", said, { stage = s.stage, to = to and self.list[to].name or nil,
            rule = when.is(rule) and tostring(rule) or "function", numbers = numbers })
        end
        return to
      end
    end
  end
  return nil
end

--- The first stage that never began; nil where all did.
function Stages:unreached() return self.reached < #self.list and self.list[#self.list].name or nil end

function Stages:state()
  return { index = self.index, reached = self.reached, told = self.told, last = self.last, level = self.level, by_hand = self.by_hand,
    history = self.s:save() }
end

function Stages:load_state(kept)
  self.s:load(kept.history)
  self.index, self.reached, self.told, self.last, self.level = kept.index, kept.reached, kept.told, kept.last, kept.level
  self.by_hand = kept.by_hand
end

return stages
