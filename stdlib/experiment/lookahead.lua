--- run:lookahead { … }: a distillation that looks ahead. Every `steps` steps each of several continuations (`try`) is tried from where the
--- training stands, the one that comes out best by a metric goes on, and so to the end of the budget. A trial writes nothing; what goes on
--- is done again from the same state, with the same bits, and is written as a distillation is. Greedy search over curricula: k
--- continuations cost k + 1 times the steps.
local host = require "gradus.host"
local check = require "gradus.base.check"
local copy = require "gradus.base.copy"
local distill = require "gradus.training.distill"
local is_module = require("gradus.nn.module").is_module
local is_news = require "gradus.base.news"
local source = require "gradus.curriculum.source"
local random_streams = require "gradus.experiment.streams"
local sorted_keys = require "gradus.base.sorted_keys"
local take_over = require "gradus.training.take_over"
local tensor = require "gradus.base.tensor"

---@class Lookahead
---@field options table           distill's, common to all
---@field try table<string, table>  by name: what a continuation has of its own
---@field steps number            of a round
---@field by string               the metric that decides
---@field chosen string[]          the names by round
---@field kept table?             the training's state at the end of the last round
---@field stood string[]          the names of its stages
---@field rounds number           that are done
---@field step number             of the training
---@field clock Clock             of the training, as far as it was done before
---@field told table<string, boolean>  continuations of which it was said that they fail
local Lookahead = {}
Lookahead.__index = Lookahead

local OWN = { try = true, steps = true, by = true }

local function new(run, options)
  check.value("lookahead", "options", options, check.table)
  local self = setmetatable({ run = run, options = {}, rounds = 0, step = 0, chosen = {}, told = {} }, Lookahead)
  for name, value in pairs(options) do
    if not OWN[name] then self.options[name] = value end
  end
  self.try = check.value("lookahead", "try", options.try, check.table)
  for name, one in pairs(self.try) do
    if type(name) ~= "string" or type(one) ~= "table" then
      host.fail(("lookahead: try: expected options by name, { hot = { temperature = 8 }, cold = { temperature = 2 } }; got %s under %s")
        :format(check.describe(one), check.describe(name)))
    end
    for key in pairs(one) do
      if key == "student" or key == "data" or key == "budget" then
        host.fail(("lookahead: try: %s: '%s' is common to all; expected it beside try"):format(name, key))
      end
    end
  end
  self.names = sorted_keys(self.try)
  if #self.names == 0 then host.fail "lookahead: try: expected at least one continuation" end
  self.steps = check.value("lookahead", "steps", options.steps, check.int(1))
  self.by = check.value("lookahead", "by", options.by or "val/loss", check.string)
  return self
end

local function options_of(self, name)
  local all = {}
  for key, value in pairs(self.options) do all[key] = value end
  for key, value in pairs(self.try[name]) do all[key] = value end
  return all
end

-- All that the continuations train besides the student: modules of their losses, and what an optimizer of the script's own holds. Tensor
-- -> what it is now.
local function trained_along(self)
  local now = {}
  local function keep(tensors)
    for _, one in pairs(tensors) do now[one] = now[one] or one:detach():clone() end
  end
  for _, name in ipairs(self.names) do
    local o = options_of(self, name)
    if type(o.optimizer) == "table" and o.optimizer.state_dict then
      keep(o.optimizer.params)
      keep(o.optimizer:state_dict())
    end
    for _, term in pairs(type(o.losses) == "table" and o.losses or {}) do
      if type(term) == "table" and is_module(term.module) then keep(term.module:state_dict()) end
    end
  end
  return now
end

-- Where every continuation of a round begins.
local function stand(self)
  local run = self.run
  random_streams.load_state(self.streams)
  tensor.no_grad(function()
    for one, was in pairs(self.along) do one:copy_(was) end
  end)
  self.options.student:load_state_dict(self.weights)
  run.step_number = self.before + self.step
end

-- One continuation for a round. Returns the training, which stopped there, its state, and whether its budget, or a rule, ended it.
local function go(self, name)
  stand(self)
  source.forget(self.known)
  source.numbered(self.numbered)  -- so that a continuation's samplers have the same numbers in each round
  local one = distill.remake(self.first, options_of(self, name))
  one.evaluator:check_key("lookahead: by", self.by)
  if self.kept then
    if name == self.chosen[self.rounds] then one:load_state(copy(self.kept))  -- the same options: all of it
    else take_over(one, self.stood, copy(self.kept)) end
  end
  local target, kept, ended = self.step + self.steps, nil, one.over
  one.ahead.wants = target
  one.at_boundary = function(training, over)
    if training.s.step < target and not over then return false end
    local list = training.s:entries(self.by)
    if #list == 0 or list[#list].step ~= training.s.step then training:evaluate() end
    training.reporter:settle()
    kept, ended = copy(training:state()), over
    return true
  end
  one:run_all()
  return one, kept, ended
end

-- What each continuation comes to: its name -> the metric, or what went wrong.
local function tried(self)
  local scores, failed = {}, {}
  for _, name in ipairs(self.names) do
    self.run:silently(function()
      local ok, one = pcall(go, self, name)
      if self.run.interrupted then error(one, 0) end
      if ok then scores[name], self.sign = one.s:last(self.by), one.s:sign(self.by) else failed[name] = host.error_text(one) end
    end)
  end
  return scores, failed
end

local function best_of(self, scores)
  local best
  for _, name in ipairs(self.names) do
    local score = scores[name]
    if score and score == score and (not best or self.sign * score > self.sign * scores[best]) then best = name end
  end
  return best
end

-- A round: who goes on is decided, and goes on. Returns the training where it is over.
local function round(self)
  local run = self.run
  self.streams, self.weights, self.along = random_streams.state(run), copy(self.options.student:state_dict()), trained_along(self)
  local scores, failed = {}, {}
  if #self.names > 1 then scores, failed = tried(self) end
  local name = #self.names == 1 and self.names[1] or best_of(self, scores)
  if not name then
    local first = sorted_keys(failed)[1]
    host.fail(("lookahead: no continuation came to a value of %s; %s"):format(self.by,
      first and first .. ": " .. failed[first] or "all were NaN"))
  end
  run.step_number = self.before + self.step
  for _, one in ipairs(sorted_keys(failed)) do
    if is_news(self.told, one) then
      run.line.say(("lookahead: step %d: '%s' fails, and is not chosen: %s"):format(self.step, one, failed[one]))
    end
  end
  run:decide("lookahead", { chosen = name, by = self.by, scores = scores, failed = next(failed) and failed or nil })
  local one, kept, ended = go(self, name)
  self.kept, self.rounds, self.step, self.stood = kept or self.kept, self.rounds + 1, one.s.step, one.stages:stage_names()
  self.chosen[self.rounds] = name
  if ended then return one end
  self.options.student:load_state_dict(kept.student)  -- not the best so far, which the end gave it
end

function Lookahead:state()
  return { rounds = self.rounds, step_of = self.step, inner = self.kept, chosen = self.chosen, stood = self.stood }
end

function Lookahead:load_state(kept)
  self.rounds, self.step, self.kept, self.chosen, self.stood = kept.rounds, kept.step_of, kept.inner, kept.chosen, kept.stood
  self.kept.schedules = kept.schedules  -- of a run that goes on for longer
  self.clock:load_state(self.kept.clock, kept.schedules == "keep")
  self.options.student:load_state_dict(copy(self.kept.student))
end

-- The first continuation stands for all; what the others were given is checked.
local function dry(self)
  local first = distill.make(self.run, options_of(self, self.names[1]), "distill")
  for _, name in ipairs(self.names) do distill.remake(first, options_of(self, name)) end
  local result = distill.train(first)
  rawset(result, "chosen", { self.names[1] })
  return result
end

---@param run Run
---@param options table  see Run:lookahead
---@return Distilled
return function(run, options)
  local self = new(run, options)
  if run.dry then return dry(self) end
  self.known, self.numbered = source.known(), source.numbered()
  self.first = distill.make(run, options_of(self, self.names[1]), "distill")
  self.before, self.clock = self.first.before, self.first.clock
  local last
  run.snapshots:around(self, function()
    repeat
      last = round(self)
      if not last then
        run:breathe(nil, self)
        if run.live then run.live:look_past "a look-ahead" end
      end
    until last
    run.snapshots:over(self)
  end)
  local result = distill.result(last)
  rawset(result, "chosen", self.chosen)
  return result
end
