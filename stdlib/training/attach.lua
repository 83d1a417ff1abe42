--- `gradus attach RUN`: what a person asks of a training that goes on. A request lies in the run's folder; at a boundary, at most ten
--- times a second, the training looks for one, does all of it or nothing, and answers. What was done is an event, and the run is
--- marked as edited: it is no repetition of others. Nobody asks: nothing is done, and no bit is another.
---   attach.request   { id, expires = Unix time, set = { temperature = "3" }, release = { "lr" }, stage = "next", stop = true }
---   attach.answer    { id, step, done = { "temperature = 3 (was 4)" }, warnings = { "…" } } or { id, step, error = "…" }
local host = require "gradus.host"
local check = require "gradus.base.check"
local sorted_keys = require "gradus.base.sorted_keys"
local stages = require "gradus.training.stages"

local attach = {}

local LOOK_EVERY = .1  -- seconds

---@class Attach
---@field next number   when to look again, monotonic
local Attach = {}
Attach.__index = Attach

---@param run Run
---@return Attach
function attach.new(run)
  return setmetatable({ run = run, next = 0, request = run.folder .. "/attach.request", answer = run.folder .. "/attach.answer" }, Attach)
end

-- --- what is asked -----------------------------------------------------------------------------------------------------------

local function refuse(text, ...) error({ refused = text:format(...) }) end

local function known(what, name, names)
  if #names == 0 then refuse("no %s '%s'; this loop gives its steps none: expected step(batch, { %s = … })", what, name, name) end
  for _, one in ipairs(names) do
    if one == name then return end
  end
  refuse("no %s '%s'; %s", what, name, check.suggest(name, names, "expected "))
end

-- The numbers to set, checked: name -> number.
local function numbers_of(training, set)
  local numbers = {}
  for name, text in pairs(set or {}) do
    known("knob", name, training.stages:knob_names())
    local value = tonumber(text)
    local wanted = value == nil and "a number" or stages.wanted(name, value)
    if wanted then refuse("%s: expected %s; got '%s'", name, wanted, tostring(text)) end
    if name == "augment" and value > 0 and training.feed and not next(training.feed.augmentations) then
      refuse "augment has no effect: distill's augmentations are empty"
    end
    numbers[name] = value
  end
  return numbers
end

-- The stage that is asked for, by its number.
local function stage_of(training, name)
  local automaton = training.stages
  local list, index = automaton.list, automaton.index
  if #list == 0 then refuse "a loop of one's own has no stages; expected --set or --stop" end
  if name == "next" then
    if index == #list then refuse("stage '%s' is the last; expected --stop to end the training", list[index].name) end
    return index + 1
  elseif name == "back" then
    if index == 1 then refuse("stage '%s' is the first", list[index].name) end
    return index - 1
  end
  local names = { "next", "back" }
  for i, one in ipairs(list) do
    if one.name == name then return i end
    names[#names + 1] = one.name
  end
  known("stage", name, names)
end

-- --- what is done ----------------------------------------------------------------------------------------------------------------

local function in_words(value) return type(value) == "number" and ("%.6g"):format(value) or "a tensor" end

-- Sets and releases knobs; returns what was done in words, and what they were before.
local function move_knobs(training, numbers, release)
  local automaton, done, before = training.stages, {}, {}
  local last = automaton.last or {}
  for _, name in ipairs(release or {}) do
    if automaton:set_by_hand(name, nil) then
      done[#done + 1] = ("%s as the %s has it"):format(name, #automaton.list > 0 and "curriculum" or "loop")
    end
  end
  for _, name in ipairs(sorted_keys(numbers)) do
    before[name] = type(last[name]) == "number" and last[name] or nil
    automaton:set_by_hand(name, numbers[name])
    done[#done + 1] = ("%s = %s%s"):format(name, in_words(numbers[name]), last[name] and (" (was %s)"):format(in_words(last[name])) or "")
  end
  if training.feed and (numbers.augment or release and #release > 0) then training:augment_anew() end
  return done, before
end

-- What is amiss with the numbers, for a training by distill or fit; a strict run refuses them.
local function judged(training, numbers)
  local run, amiss = training.run, training.evaluator and training.run.beforehand.of_hand(training, numbers) or {}
  if amiss[1] and run.options.strict then refuse("%s", amiss[1].text) end
  return amiss
end

local function tell(training, amiss)
  local texts = {}
  for i, one in ipairs(amiss) do
    texts[i] = one.text
    training.reporter:blame(one.text)
    if one.mistake then training.run:warn("settings", "attach: " .. one.text)
    else training.run:advise("settings", one.text, nil, "attach: ") end
  end
  return texts
end

local function carry_out(training, asked)
  local numbers = numbers_of(training, asked.set)
  local amiss = judged(training, numbers)
  for _, name in ipairs(asked.release or {}) do
    known("knob", name, training.stages:knob_names())
    if not (training.stages.by_hand or {})[name] then refuse("--release: nobody has set %s", name) end
  end
  local to = asked.stage and stage_of(training, asked.stage)
  local from = training.s.stage
  local done, before = move_knobs(training, numbers, asked.release)
  if to then done[#done + 1] = ("stage '%s' (was '%s')"):format(training.stages.list[to].name, from) end
  if asked.stop then done[#done + 1] = "the training stops" end
  training.run:edited("attach", { done = done, set = next(numbers) and numbers or nil, was = next(before) and before or nil,
    release = asked.release and #asked.release > 0 and asked.release or nil,
    stage = to and training.stages.list[to].name or nil, from = to and from or nil, stop = asked.stop or nil })
  if to then training:go_to(to) end
  return done, tell(training, amiss)
end

-- --- the folder ---------------------------------------------------------------------------------------------------------------------

local function take(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  os.remove(path)
  local ok, asked = pcall(host.json_decode, text)
  return ok and type(asked) == "table" and asked or nil
end

local function put(path, answer)
  local file = io.open(path .. ".part", "wb")
  if not file then return end
  file:write(host.json_encode(answer))
  file:close()
  os.rename(path .. ".part", path)
end

--- At a boundary. Returns whether the training is to stop. What fails in it that is not the request's fault ends the run, as any
--- error in a curriculum would.
---@param training Training|table  of a loop of one's own: { run, where, s, stages: LoopKnobs }
---@return boolean
function Attach:look(training)
  local now = host.monotonic()
  if now < self.next then return false end
  self.next = now + LOOK_EVERY
  if not host.exists(self.request) then return false end
  local asked = take(self.request)
  if not asked then return false end
  if type(asked.expires) == "number" and os.time() > asked.expires then return false end  -- whoever asked has left
  local ok, done, warnings = pcall(carry_out, training, asked)
  local step = training.run.step_number
  if not ok then
    put(self.answer, { id = asked.id, step = step, error = type(done) == "table" and done.refused or host.error_text(done) })
    if type(done) ~= "table" or not done.refused then error(done, 0) end
    return false
  end
  put(self.answer, { id = asked.id, step = step, training = training.where, done = done,
    warnings = warnings[1] and warnings or nil })
  training.run.line.say(("attach: step %d: %s"):format(step, table.concat(done, ", ")))
  return asked.stop == true
end

return attach
