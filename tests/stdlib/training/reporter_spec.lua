-- What of a step waits to be read is plain data in a snapshot.
local g = require "gradus"
local reporter = require "gradus.training.reporter"

local function with_queue(queue)
  local run = { device = "cpu", training_line = function() return function() end end }
  local one = reporter.new { run = run, names = {}, deliver = function() end }
  one.queue = { state = function() return queue end, load_state = function(self, kept) self.kept = kept end }
  return one
end

describe("what a reporter is told of a training's health", function()
  it("is said, stored and kept among the findings; a setting out of range is blamed where nothing moves", function()
    local said, stored = {}, {}
    local run = { device = "cpu", training_line = function() return function() end end,
      line = { say = function(text) said[#said + 1] = text end },
      event = function(_, kind, name, detail) stored[#stored + 1] = { kind, name, detail } end }
    local one, s = reporter.new { run = run, names = {}, deliver = function() end }, { step = 7, stage = "easy", findings = {} }
    one:tell({ { name = "stagnant", advice = "nothing moves", numbers = {} } }, { step = 3, stage = "easy", findings = {} })
    expect({ table.remove(said), table.remove(stored)[3].advice }):equals { "health: step 3: stagnant: nothing moves", "nothing moves" }
    one:blame "the rate is 1e-9"
    one:blame "alpha is 2"
    one:tell({ { name = "stagnant", advice = "nothing moves", numbers = { loss = 1 } },
      { name = "other", advice = "look", numbers = {} } }, s)
    one:tell(nil, s)
    local why = "nothing moves. Out of the guides' ranges here: the rate is 1e-9; alpha is 2"
    expect(said):equals { "health: step 7: stagnant: " .. why, "health: step 7: other: look" }
    expect(stored):equals { { "health", "stagnant", { loss = 1, advice = why, stage = "easy" } },
      { "health", "other", { advice = "look", stage = "easy" } } }
    expect(s.findings):equals { { name = "stagnant", step = 7, stage = "easy" }, { name = "other", step = 7, stage = "easy" } }
  end)
end)

describe("a step that is logged", function()
  it("is shown to health: its loss, that of the labels, of classes or numbers, and its rate", function()
    local asked, stored
    local run = { device = "cpu", training_line = function() return function() end end, log = function(_, ...) stored = { ... } end }
    local one = reporter.new { run = run, names = { "lr" }, deliver = function() end }
    one.health = { step = function(_, ...) asked = { ... } end }
    for _, case in ipairs { { { ["train/loss"] = 1, ["train/ce"] = 2 }, { 1, 2, .5 } },
      { { ["train/loss"] = 1, ["train/mse"] = 3 }, { 1, 3, .5 } },
      { { ["train/loss"] = 1, ["train/ce"] = 2, ["train/mse"] = 3 }, { 1, 2, .5 } } } do
      one:log(case[1], {}, { lr = .5 }, .25, 7, { step = 7, findings = {} })
      expect(asked):equals(case[2])
      expect({ stored[1]["knob/lr"], stored[1]["knob/share"], stored[2] }):equals { .5, .25, 7 }
    end
  end)
end)

describe("the state of a reporter", function()
  it("has rows that are at hand, those that are waited for, and steps that have none", function()
    local rows, later, waited = g.tensor { 1, 2 }, g.tensor { 3 }, 0
    local one = with_queue { { at = { step = 1 } }, { at = { step = 2, seen = rows } }, { at = { step = 3, seen = { wait = function()
      waited = waited + 1
      return later
    end } } } }
    local queue = one:state().queue
    expect({ #queue, queue[1].at.seen, waited }):equals { 3, nil, 1 }
    assert(queue[2].at.seen == rows and queue[3].at.seen == later)
  end)
  it("comes back whole", function()
    local one = with_queue {}
    one.sum, one.steps, one.early = 3, 2, 1
    one.warned.before = true
    one:blame "the rate is 1e-9"
    local other = with_queue {}
    other.warned.here = true
    other:load_state(one:state())
    expect({ other.sum, other.steps, other.early, other.warned, other.blamed })
      :equals { 3, 2, 1, { before = true, here = true }, { "the rate is 1e-9" } }
    expect(other.queue.kept):equals {}
  end)
end)
