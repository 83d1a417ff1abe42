-- A distillation that tries continuations and goes on with the best.
local copy = require "gradus.base.copy"
local g = require "gradus"
local streams = require "gradus.experiment.streams"
local support = require "support"

local function data() return support.points():split({ train = .5, val = .5 }, { seed = 3 }) end

local function options(more)
  local o = { student = support.student(), data = data(), teacher = support.student(4), batch = 12, budget = { steps = 60 }, lr = .02,
    evaluate = { steps = 10 } }
  for key, value in pairs(more or {}) do o[key] = value end
  return o
end

describe("lookahead", function()
  it("with one continuation is the distillation, bit for bit", function()
    local function outcome(ahead)
      local weights
      local _, seen = support.with_run({ seed = 7 }, function(run)
        local o = options { temperature = g.schedule.linear(6, 2), augment = .3 }
        local r
        if ahead then
          o.try, o.steps, o.by = { only = {} }, 20, "val/acc"
          r = run:lookahead(o)
          expect(r.chosen):equals { "only", "only", "only" }
        else
          r = run:distill(o)
        end
        weights = support.weights(o.student)
        expect(r.steps):equals(60)
      end)
      return { weights, seen.metric "train/loss", seen.metric "val/loss", seen.metric "knob/temperature" }
    end
    expect(outcome(true)):equals(outcome(false))
  end)
  it("goes on with the best, writes it alone, and says what the others came to", function()
    local chosen
    local _, seen = support.with_run({ seed = 7 }, function(run)
      local r = run:lookahead(options { try = { good = {}, still = { lr = 1e-9, warmup = 0 } }, steps = 20, by = "val/loss" })
      chosen = r.chosen
    end)
    expect(chosen):equals { "good", "good", "good" }
    expect(#seen.metric "train/loss"):equals(60)
    expect(#seen.decisions):equals(3)
    local detail = seen.decisions[1].detail
    expect(detail.chosen):equals "good"
    expect(detail.scores.good < detail.scores.still):is_true()
  end)
  it("goes on from what it kept after a round as if it had not stopped", function()
    -- around(lookahead, work) stands for the run's snapshots, breathe(lookahead) for its pauses between rounds.
    local function outcome(around, breathe)
      local chosen, o
      support.with_run({ seed = 7 }, function(run)
        o = options { try = { good = {}, still = { lr = 1e-9, warmup = 0 } }, steps = 20, by = "val/loss" }
        local snapshots = run.snapshots
        run.snapshots = setmetatable({ around = function(_, ahead, work)
          if around and rawget(ahead, "try") then around(ahead, o.student) end
          snapshots:around(ahead, work)
        end }, { __index = function(_, name)
          return type(snapshots[name]) == "function" and function(_, ...) return snapshots[name](snapshots, ...) end or snapshots[name]
        end })
        rawset(run, "breathe", breathe and function(_, _, part) if part and rawget(part, "try") then breathe(part) end end or nil)
        chosen = run:lookahead(o).chosen
        rawset(run, "breathe", nil)
      end)
      return { chosen, support.weights(o.student) }
    end
    local kept, random
    local whole = outcome(nil, function(ahead)
      kept, random = kept or copy(ahead:state()), random or copy(streams.state(ahead.run))
    end)
    expect({ kept.rounds, kept.step_of, kept.chosen }):equals { 1, 20, { "good" } }
    local rest = outcome(function(ahead, student)
      ahead:load_state(kept)
      streams.load_state(random)
      local there = ahead:state()
      expect({ there.rounds, there.step_of, there.chosen[1], there.inner == kept.inner, there.stood }):equals
        { 1, 20, "good", true, kept.stood }
      for name, value in pairs(student:state_dict()) do expect(value:equal(kept.inner.student[name])):is_true() end
    end)
    expect(rest):equals(whole)
  end)
  it("says once of a continuation that it fails, and goes on", function()
    local said = {}
    local _, seen = support.with_run({ seed = 7 }, function(run)
      run.line = setmetatable({ say = function(text) said[#said + 1] = text:match "^lookahead.*" end }, { __index = run.line })
      run:lookahead(options { try = { good = {}, typo = { temprature = 8 } }, steps = 20, by = "val/loss" })
    end)
    expect(#said):equals(1)
    expect(said[1]):matches "^lookahead: step 0: 'typo' fails, and is not chosen: .*did you mean 'temperature'"
    expect(#seen.decisions):equals(3)
  end)
  it("what was chosen is what the trial was: the logged metric at a round's end is its score", function()
    local _, seen = support.with_run({ seed = 7 }, function(run)
      run:lookahead(options { steps = 15, by = "val/loss",
        try = { hot = { temperature = 8 }, cold = { temperature = 1 }, labels = { alpha = 1 } } })
    end)
    local at = {}
    for _, pair in ipairs(seen.metric "val/loss") do at[pair[1]] = pair[2] end
    expect(#seen.decisions):equals(4)
    for _, one in ipairs(seen.decisions) do
      expect(at[one.step + 15]):equals(one.detail.scores[one.detail.chosen])
      for _, score in pairs(one.detail.scores) do expect(score >= at[one.step + 15]):is_true() end
    end
  end)
  it("what was chosen is what the trial was where a loss has a module, or the optimizer is the script's own", function()
    for _, of in ipairs { "module", "optimizer" } do
      local _, seen = support.with_run({ seed = 7 }, function(run)
        local o = options { steps = 30, by = "val/loss", try = { a = {}, b = { temperature = 2 }, c = { temperature = 1 } } }
        local map = g.nn.Linear(8, 4)
        if of == "module" then
          o.losses = { kd = 1, hint = { weight = 3, module = map, student = { "layers.1" }, teacher = { "layers.1" },
            loss = function(_, out) return g.loss.mse(map(out.student["layers.1"]), out.teacher["layers.1"]) end } }
        else
          o.optimizer = g.optim.AdamW(o.student)
        end
        run:lookahead(o)
      end)
      local at = {}
      for _, pair in ipairs(seen.metric "val/loss") do at[pair[1]] = pair[2] end
      for _, one in ipairs(seen.decisions) do
        expect(at[one.step + 30]):equals(one.detail.scores[one.detail.chosen])
      end
    end
  end)
  it("continuations may differ in their curricula: samplers, stages, targets", function()
    local _, seen = support.with_run({ seed = 7 }, function(run)
      local o = options { steps = 10, by = "val/loss" }
      o.try = { plain = {}, confident = { curriculum = "confidence" }, labels = { curriculum = { target = "labels" } },
        stages = { curriculum = { { "a", advance = g.when.steps(15), temperature = 6 }, { "b", temperature = 2 } } } }
      expect(#run:lookahead(o).chosen):equals(6)
    end)
    for _, one in ipairs(seen.decisions) do
      if one.name == "lookahead" then expect(one.detail.failed):equals(nil) end
    end
  end)
  it("goes from a layer of the teacher to its logits, and may go back", function()
    local _, seen = support.with_run({ seed = 7 }, function(run)
      local o = options { steps = 20, by = "val/loss" }
      o.try = { direct = { lr = function(s) return s.step < 20 and 30 or .02 end },
        layer = { curriculum = { target = g.target.layer { teacher = o.teacher, from = "layers.0", to = "layers.0" } } } }
      expect(run:lookahead(o).chosen):equals { "layer", "direct", "direct" }
    end)
    for _, one in ipairs(seen.decisions) do expect(one.detail.failed):equals(nil) end
  end)
  it("leaves samplers with a number each, whichever continuations went on", function()
    support.with_run({ seed = 7 }, function(run)
      local o = options { try = { one = {}, two = {} }, steps = 20, by = "val/loss", budget = { steps = 80 } }
      o.try.one.lr, o.try.two.lr = function(s) return s.step < 20 and .02 or 1e-9 end, function(s) return s.step < 20 and 1e-9 or .02 end
      expect(run:lookahead(o).chosen):equals { "one", "two", "two", "two" }
      local last = g.sampler.uniform(o.data.train)
      for number in pairs(require("gradus.curriculum.source").of_run()) do expect(last.number > number):is_true() end
    end)
  end)
  it("a continuation that fails is none", function()
    local _, seen = support.with_run({ seed = 7 }, function(run)
      run:lookahead(options { try = { a = {}, b = { curriculum = { advance = function() error "no" end } } }, steps = 30 })
    end)
    expect(seen.decisions[1].detail.chosen):equals "a"
    expect(seen.decisions[1].detail.failed.b):matches "no"
  end)
  it("refuses what are no options", function()
    expect(function() support.with_run(nil, function(run) run:lookahead(5) end) end):fails_with
      "lookahead: 'options': expected a table; got 5"
  end)
  for what, case in pairs {
    ["a number as continuations"] = { { try = 5, steps = 5 }, "lookahead: 'try': expected a table; got 5" },
    ["no continuations"] = { { try = {}, steps = 5 }, "at least one continuation" },
    ["a list of them"] = { { try = { {} }, steps = 5 }, "expected options by name" },
    ["no steps"] = { { try = { a = {} } }, "'steps': expected" },
    ["an unknown metric"] = { { try = { a = {}, b = {} }, steps = 5, by = "val/los" }, "val/loss" },
    ["a budget of one's own"] = { { try = { a = { budget = { steps = 5 } } }, steps = 5 }, "'budget' is common to all" },
    ["an option that is none"] = { { try = { a = { temprature = 5 } }, steps = 5 }, "temperature" },
  } do
    it("refuses " .. what, function()
      expect(function() support.with_run(nil, function(run) run:lookahead(options(case[1])) end) end):fails_with(case[2])
    end)
  end
end)
