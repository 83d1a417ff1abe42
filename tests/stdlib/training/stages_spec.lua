-- The curriculum's automaton by itself: knobs, who has the last word about one, levels, and what each verdict leads to.
local g = require "gradus"
local stages = require "gradus.training.stages"
local support = require "support"
local schedule, when = g.schedule, g.when

local BASE = { temperature = 4, alpha = .7, augment = 0, lr = .1 }

-- Stages from { name =, knobs =, pressure =, advance =, … } each, the state and the events that they store.
local function made(list, more)
  local events, s = {}, support.state()
  for i, one in ipairs(list) do
    one.name, one.knobs, one.said_by = one.name or "stage " .. i, one.knobs or {}, one.said_by or {}
  end
  local options = { list = list, knobs = BASE, state = s,
    run = { event = function(_, kind, name, detail) events[#events + 1] = { kind, name, detail } end } }
  for key, value in pairs(more or {}) do options[key] = value end
  local self = stages.new(options)
  self:enter(1)
  return self, s, events
end

local function never() return false end
local function always() return true end

describe("a knob", function()
  it("has its own range", function()
    local nan, inf = 0 / 0, math.huge
    for _, case in ipairs {
      { "temperature", { 1e-9, 1, 50 }, { 0, -1, nan, inf, -inf, "4" }, "a number above 0" },
      { "lr", { 0, 1e-9, 10 }, { -1e-9, nan, inf, true }, "a number of at least 0" },
      { "alpha", { 0, .5, 1 }, { -1e-9, 1 + 1e-9, nan, inf }, "a number from 0 to 1" },
      { "augment", { 0, .5, 1 }, { -1e-9, 1 + 1e-9, nan, {} }, "a number from 0 to 1" },
      { "mine", { -5, 0, 2 }, { nan, inf, "1" }, "a number" },
    } do
      for _, value in ipairs(case[2]) do expect({ case[1], value, stages.wanted(case[1], value) }):equals { case[1], value } end
      for _, value in ipairs(case[3]) do expect(stages.wanted(case[1], value)):equals(case[4]) end
    end
  end)
  it("that the training does not have is refused, by the stage and the option that gave it", function()
    local function said(list) return function() made(list) end end
    expect(said { { knobs = { temprature = 3 } } }):fails_with "curriculum: losses: no knob 'temprature'; did you mean 'temperature'?"
    expect(said { {}, { knobs = { temprature = 3 } } }):fails_with "curriculum: stage 2: losses: no knob 'temprature'"
    expect(said { { knobs = { temprature = 3 }, said_by = { temprature = ": pressure" } } })
      :fails_with "curriculum: pressure: no knob 'temprature'"
    expect(made({ { knobs = { mine = 2 } } }, { knobs = { mine = 1, lr = .1 } }):knob_names()):equals { "lr", "mine" }
  end)
  it("is what the nearest says: a hand, the pressure, the stage, the training", function()
    local list = { { knobs = { temperature = 6, lr = .2 }, pressure = function() return { temperature = 8 } end }, {} }
    local self, s = made(list)
    expect(self:ask_knobs(s, never)):equals { temperature = 8, alpha = .7, augment = 0, lr = .2 }
    self:set_by_hand("temperature", 2)
    expect(self:ask_knobs(s, never)):equals { temperature = 2, alpha = .7, augment = 0, lr = .2 }
    self:enter(2)
    expect(self:ask_knobs(s, never)):equals { temperature = 2, alpha = .7, augment = 0, lr = .1 }
    self:set_by_hand("temperature", nil)
    expect(self:ask_knobs(s, never)):equals(BASE)
    local silent = made { { pressure = function() end } }
    expect(silent:ask_knobs(s, never)):equals(BASE)
  end)
  it("is asked of functions and schedules, at the state", function()
    local self, s = made { { knobs = { temperature = schedule.linear(6, 2), lr = function(state) return state.step / 100 end } } }
    support.count(s, { step = 5, progress = .5 })
    local knobs = self:ask_knobs(s, never)
    expect({ knobs.temperature, knobs.lr }):near { schedule.value(schedule.linear(6, 2), s), .05 }
    local by_entropy = schedule.by_entropy(2, 6)
    expect(made({ { knobs = { temperature = by_entropy } } }):ask_knobs(s, never).temperature):equals(by_entropy)
    local each = g.ones(3)
    for _, name in ipairs { "temperature", "alpha" } do
      expect(made({ { knobs = { [name] = function() return each end } } }):ask_knobs(s, never)[name]):equals(each)
    end
  end)
  it("is refused where what was said is none, by stage and step", function()
    local function said(knobs)
      return function()
        local self, s = made { { name = "easy", knobs = knobs } }
        s.counts.step = 5
        self:ask_knobs(s, never)
      end
    end
    expect(said { lr = function() return -1 end }):fails_with "stage 'easy', step 5: lr: expected a number of at least 0; got -1"
    expect(said { lr = function() return g.ones(3) end }):fails_with "stage 'easy', step 5: lr: expected a number of at least 0"
    expect(said { temperature = function() return 0 end }):fails_with "stage 'easy', step 5: temperature: expected a number above 0; got 0"
    expect(said { alpha = schedule.by_entropy(.2, .6) })
      :fails_with "alpha: schedule.by_entropy gives one value for each example, which only the temperature takes"
    expect(said { augment = schedule.by_entropy(.2, .6) }):fails_with "augment: schedule.by_entropy gives one value"
    expect(said { lr = { of_rows = {}, of_batch = never } })
      :fails_with "lr: schedule.by_part gives one value for each example, which only the temperature and alpha take"
  end)
  it("is said by a pressure function in a table of knobs that there are", function()
    local function said(what)
      return function()
        local self, s = made { { pressure = function() return what end } }
        return self:ask_knobs(s, never)
      end
    end
    expect(said(5)):fails_with "curriculum: pressure: expected a table of knobs; got number"
    expect(said { temprature = 5 }):fails_with "curriculum: pressure: no option 'temprature'; did you mean 'temperature'?"
    expect(said({ augment = .5 })().augment):equals(.5)
  end)
  it("is asked for once each step, where that is kept", function()
    local asked = 0
    local self, s = made { { pressure = function()
      asked = asked + 1
      return { lr = asked }
    end } }
    expect({ self:ask_knobs(s, never).lr, self:ask_knobs(s, always).lr, self:ask_knobs(s, always).lr, self:ask_knobs(s, never).lr })
      :equals { 1, 2, 2, 2 }
    self:done(0)
    expect(self:ask_knobs(s, always).lr):equals(3)
    s.counts.step = 1
    expect(self:ask_knobs(s, always).lr):equals(4)
    self:done(0)
    expect(self:ask_knobs(s, always).lr):equals(4)
    self:set_by_hand("temperature", 3)
    expect(self:ask_knobs(s, always).lr):equals(5)
    self:enter(1)
    expect(self:ask_knobs(s, always).lr):equals(6)
  end)
  it("is set by hand, and given back", function()
    local self = made { { knobs = { lr = .2 } } }
    expect({ self:set_by_hand("lr", nil), self:set_by_hand("lr", 1), self:set_by_hand("lr", 1), self:set_by_hand("lr", 2) })
      :equals { false, true, false, true }
    expect({ self:answer_of "lr", self:answer_of "alpha", self:answer_in(self.list[1], "lr"), self:state().by_hand })
      :equals { 2, .7, .2, { lr = 2 } }
    expect({ self:set_by_hand("lr", nil), self:state().by_hand, self:answer_of "lr" }):equals { true, nil, .2 }
  end)
  it("is a number beside the steps where both temperature and alpha are", function()
    local self = made { {} }
    expect(self:numbers()):equals(nil)
    self.last = { temperature = 2, alpha = .5, lr = 1 }
    expect(self:numbers()):equals { temperature = 2, alpha = .5 }
    self.last = { temperature = g.ones(2), alpha = .5 }
    expect(self:numbers()):equals(nil)
    self.last = { temperature = 2, alpha = g.ones(2) }
    expect(self:numbers()):equals(nil)
  end)
end)

describe("a stage", function()
  it("that is entered has begun at the state, and is reached for good", function()
    local self, s = made { { name = "a" }, { name = "b" }, { name = "c" } }
    expect({ self.index, s.stage, self:unreached(), self:where() }):equals { 1, "a", "c", "stage 'a'" }
    support.count(s, { step = 7 })
    expect(self:enter(2)):equals(self.list[2])
    expect({ self.index, self.reached, s.stage, s.counts.stage_steps, self:unreached() }):equals { 2, 2, "b", 0, "c" }
    self:enter(3)
    self:enter(1)
    expect({ self.index, self.reached, self:unreached() }):equals { 1, 3 }
    self.level = { index = 4, share = .5 }
    support.count(s, { step = 9 })
    self:enter(1, true)
    expect({ self.level, s.counts.stage_steps }):equals { { index = 4, share = .5 }, 2 }
    self:enter(1)
    expect({ self.level, s.counts.stage_steps }):equals { { index = 0 }, 0 }
  end)
  it("answers its target and sample, or leaves them as they are", function()
    local self, s = made { { target = "labels", sample = function(state) return state end }, { sample = "rows" },
      { target = function(state) return state.stage end } }
    expect({ self:target "t", self:sample "d" }):equals { "labels", s }
    self:enter(2)
    expect({ self:target "t", self:sample "d" }):equals { "t", "rows" }
    self:enter(3)
    expect({ self:target "t", self:sample "d" }):equals { "stage 3", "d" }
  end)
  it("is kept and taken up", function()
    local list = { { name = "a" }, { name = "b" } }
    local self, s = made(list)
    support.count(s, { step = 12 })
    self:enter(2)
    self:set_by_hand("lr", 1)
    self.last, self.level = { lr = 1 }, { index = 2, share = .25 }
    self:ask_knobs(s, always)
    local kept = self:state()
    local other, there = made(list)
    other:load_state(kept)
    expect({ other.index, other.reached, other.last, other.level, other.by_hand, other.told[12].lr }):equals { 2, 2, { lr = 1 },
      { index = 2, share = .25 }, { lr = 1 }, 1 }
    expect({ there.stage, there:save() }):equals { "b", s:save() }
  end)
end)

describe("a ramp's level", function()
  -- Rows whose share is what `at` says.
  local function source(at)
    return { level_at = function() return at.share end, data = { size = function() return 4 end },
      size = function() return 4 * at.share end, share_now = at.share }
  end
  it("begins with what is drawn first, and where the share moves by more than half a row", function()
    local self, _, events = made { { name = "a" } }
    for _, case in ipairs { { .25, 1 }, { .25, 1 }, { .375, 1 }, { .5, 2 }, { 1, 3 }, { .875, 3 }, { .25, 4 } } do
      local one = source { share = case[1] }
      local ends = self:level_ends(one)
      expect(ends):equals(#events < case[2])
      self:tell_level(one)
      expect({ case[1], #events }):equals { case[1], case[2] }
    end
    expect(events[3]):equals { "level", "level 3", { index = 3, share = 1, rows = 4, stage = "a" } }
  end)
  it("is none of rows without a share, and of a stream", function()
    local self, _, events = made { {} }
    for _, one in ipairs { {}, { level_at = function() end }, g.data.generator(function() end, { epoch = 10, classes = 2 }) } do
      expect(self:level_ends(one)):equals(false)
      self:tell_level(one)
    end
    expect(events):equals {}
  end)
end)

describe("what a rule says", function()
  -- What follows in stage `index` of three, and what was stored.
  local function decided(index, advance, more)
    local self, s, events = made({ { name = "a" }, { name = "b" }, { name = "c" } }, more)
    self:enter(index)
    self.stage.advance = advance
    s.evaluating = true
    return self:decide(), events
  end
  local function says(...)
    local words = { ... }
    return function() return unpack(words, 1, 2) end
  end
  it("leads to the next stage, the one before, the end, or nowhere", function()
    for _, case in ipairs { { 1, "next", 2, "next", "b" }, { 2, "next", 3, "next", "c" }, { 3, "next", false, "stop" },
      { 1, true, 2, "next", "b" }, { 2, "back", 1, "back", "a" }, { 3, "back", 2, "back", "b" }, { 2, "stop", false, "stop" },
      { 2, "end", false, "end" }, { 2, "stay", nil, "stay" } } do
      local to, events = decided(case[1], says(case[2], { acc = .5 }))
      expect(to):equals(case[3])
      expect(events):equals { { "decision", case[4], { stage = ({ "a", "b", "c" })[case[1]], to = case[5], rule = "function",
        numbers = { acc = .5 } } } }
    end
    for _, nothing in ipairs { says(false), says(nil) } do
      local to, events = decided(2, nothing)
      expect({ to, #events }):equals { nil, 0 }
    end
    local to, events = decided(1, says "back")
    expect({ to, #events }):equals { nil, 0 }
  end)
  it("is one of a few words", function()
    for _, word in ipairs { "forward", 5, "Next" } do
      expect(function() decided(2, says(word)) end)
        :fails_with(("stage 'b': advance: expected 'next', 'stop', 'back', 'stay', true or false; got '%s'"):format(tostring(word)))
    end
  end)
  it("comes before early stopping, which comes where it says nothing", function()
    expect((decided(1, says "next", { early = says "stop" }))):equals(2)
    expect((decided(1, says(nil), { early = says "stop" }))):equals(false)
    expect((decided(1, nil, { early = says "stop" }))):equals(false)
    expect((decided(1, says "stay", { early = says "stop" }))):equals(nil)
    expect((decided(1, nil))):equals(nil)
  end)
  it("is asked at evaluations, a rule of steps after each", function()
    local function at_step(rule)
      local self, s, events = made { { name = "a", advance = rule }, { name = "b" } }
      support.count(s, { step = 5 })
      local to = self:decide()
      return to, events[1] and events[1][3].rule, self:awaits(s)
    end
    local rule = when.steps(5)
    expect({ at_step(rule) }):equals { 2, tostring(rule), "next" }
    expect({ (at_step(when.steps(6))) }):equals {}
    expect({ (at_step(says "next")) }):equals {}
    expect({ (at_step(when.above("val/acc", .5))) }):equals {}
    for _, none in ipairs { says "next", when.above("val/acc", .5), when.steps(6) } do
      local _, _, awaits = at_step(none)
      expect(not awaits):is_true()
    end
  end)
end)

describe("a target's function that returns nothing", function()
  it("is refused where there is a teacher, and leaves it at that where there is none", function()
    local self = made { { name = "a", target = function() end } }
    expect(function() self:target "t" end):fails_with
      "stage 'a': target: the function returned nothing; expected the teacher (s.teacher), another, or 'labels'"
    expect(self:target(nil)):equals(nil)
    expect(made({ { target = function() return "labels" end } }):target(nil)):equals "labels"
  end)
end)
