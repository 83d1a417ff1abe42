local State = require "gradus.curriculum.state"
local support = require "support"

local function state()
  local s = support.state { params = { lr = 1 } }
  s:begin_stage("a", 1)
  return s
end

describe("the state of a run", function()
  it("knows nothing before the first evaluation", function()
    local s = state()
    expect(s:last "val/acc"):equals(nil)
    expect(s:best "val/acc"):equals(nil)
    expect(s:history "val/acc"):equals {}
    expect(s:first_step("val/acc", .5)):equals(nil)
  end)
  it("keeps what was evaluated", function()
    local s = state()
    for i, acc in ipairs { .5, .9, .7 } do
      s.counts.step = i * 100
      s:record { ["val/acc"] = acc, ["val/loss"] = 1 - acc }
    end
    expect(s:last "val/acc"):equals(.7)
    expect({ s:best "val/acc" }):equals { .9, 200 }
    expect(s:best "val/loss"):near(.1)
    expect(s:history "val/acc"):equals { .5, .9, .7 }
    expect(s:first_step("val/acc", .6)):equals(200)
    expect(s:first_step("val/acc", .5)):equals(100)
    expect(s:first_step("val/acc", .95)):equals(nil)
    expect(s:first_step("val/loss", .5)):equals(100)
    expect(s:first_step("val/loss", .2)):equals(200)
  end)
  it("the first of equal values is the best", function()
    local s = state()
    for i = 1, 3 do
      s.counts.step = i
      s:record { ["val/acc"] = .5 }
    end
    expect({ s:best "val/acc" }):equals { .5, 1 }
  end)
  it("NaN is never the best", function()
    local s = state()
    for i, loss in ipairs { 0 / 0, 2, 0 / 0, 1 } do
      s.counts.step = i
      s:record { ["val/loss"] = loss }
    end
    expect({ s:best "val/loss" }):equals { 1, 4 }
  end)
  it("NaN is better than nothing, another NaN among it", function()
    local s = support.state()
    expect { s:is_better("val/acc", 0 / 0, 0 / 0), s:is_better("val/acc", 0 / 0, .1), s:is_better("val/acc", .1, 0 / 0) }
      :equals { false, false, true }
    expect { s:is_better("val/loss", .1, .2), s:is_better("val/loss", .2, .1), s:is_better("val/loss", .1, .1) }
      :equals { true, false, false }
  end)
  it("goes by the directions that it was told, whatever a metric's name", function()
    local s = State.new { directions = { ["val/loss"] = "higher", ["val/rmse"] = "lower" } }
    s:begin_stage("a", 1)
    for i, value in ipairs { 1, 3, 2 } do
      s.counts.step = i
      s:record { ["val/loss"] = value, ["val/rmse"] = value, ["val/odd"] = value }
    end
    expect({ s:best "val/loss" }):equals { 3, 2 }
    expect({ s:best "val/rmse" }):equals { 1, 1 }
    expect(function() s:best "val/odd" end):fails_with "which way is 'val/odd' better? expected metrics = { odd = { better = 'higher'"
  end)
  it("its counts are the training's", function()
    local s = state()
    expect(function() s.step = 5 end):fails_with "the state: step is counted by the training"
    s.mine = 5
    expect(s.mine):equals(5)
  end)
  it("a metric that is evaluated later than others has its own history", function()
    local s = state()
    s:record { ["val/acc"] = .5 }
    s.counts.step = 7
    s:record { ["val/acc"] = .6, ["hard/acc"] = .1 }
    expect(s:history "hard/acc"):equals { .1 }
    expect({ s:best "hard/acc" }):equals { .1, 7 }
  end)
  it("a stage has its own counts and history", function()
    local s = state()
    support.count(s, { step = 10, epoch = 1, samples = 640, flops = 1e6, seconds = 2 })
    s:record { ["val/acc"] = .5 }
    s:begin_stage("b", 2)
    expect({ s.stage, s.stage_index, s.stage_steps, s.stage_epochs, s.stage_passes }):equals { "b", 2, 0, 0, 0 }
    support.count(s, { step = 15, epoch = 1.5, samples = 960, flops = 3e6, seconds = 3 })
    s:record { ["val/acc"] = .6 }
    expect({ s.stage_steps, s.stage_epochs, s.stage_samples, s.stage_flops, s.stage_seconds }):near { 5, .5, 320, 2e6, 1 }
    expect(s:stage_history "val/acc"):equals { .6 }
    expect(s:history "val/acc"):equals { .5, .6 }
  end)
  it("a misspelt metric is told", function()
    local s = state()
    s:record { ["val/acc"] = .5, ["val/loss"] = 1 }
    expect(function() s:last "val/los" end)
      :fails_with "state_spec.lua:%d+: no metric 'val/los' is evaluated in this run; did you mean 'val/loss'?"
    expect(function() s:history "quality of everything" end):fails_with "expected one of val/acc, val/loss"
  end)
end)

describe("the state's history", function()
  -- Three evaluations in two stages: at steps 10, 20 and 30, of 100, 200 and 300 FLOPs.
  local function three()
    local s = state()
    for i, acc in ipairs { .5, .75, .25 } do
      if i == 3 then s:begin_stage("b", 2) end
      support.count(s, { step = 10 * i, flops = 100 * i })
      s:record { ["val/acc"] = acc, ["val/loss"] = 1 - acc }
    end
    return s
  end
  it("is all that was known then", function()
    expect(three():entries "val/acc"):equals {
      { step = 10, value = .5, evaluation = 1, flops = 100, stage = 1 }, { step = 20, value = .75, evaluation = 2, flops = 200, stage = 1 },
      { step = 30, value = .25, evaluation = 3, flops = 300, stage = 2 } }
    expect(state():entries "val/acc"):equals {}
    expect(state():stage_history "val/acc"):equals {}
    expect(three():stage_history "val/acc"):equals { .25 }
  end)
  it("tells when a threshold was reached, itself included", function()
    local s = three()
    expect({ s:first_flops("val/acc", .5), s:first_flops("val/acc", .51), s:first_flops("val/acc", .8) }):equals { 100, 200 }
    expect({ s:first_flops("val/loss", .5), s:first_flops("val/loss", .25), s:first_step("val/loss", .25) }):equals { 100, 200, 20 }
  end)
  it("tells the value within so many FLOPs, rounding aside", function()
    local s, values = three(), {}
    for i, flops in ipairs { 99, 100, 199, 200 - 1e-8, 250, 300, 1e9 } do values[i] = s:at_flops("val/acc", flops) or "none" end
    expect(values):equals { "none", .5, .5, .75, .75, .25, .25 }
    expect(state():at_flops("val/acc", 5)):equals(nil)
  end)
  it("is asked by a name", function()
    expect(function() state():last(5) end):fails_with 'the state: expected a metric, such as "val/acc"; got 5'
    expect(function() return state()["val/acc"] end):fails_with
      [[the state has no 'val/acc'; expected s:last "val/acc", s:best "val/acc" or s:history "val/acc"]]
    expect(function() return state().val_acc end):fails_with [[the state has no 'val_acc'; expected s:last "val/acc"]]
    expect(function() return state().train_loss_b end):fails_with [[the state has no 'train_loss_b'; expected s:last "train/loss_b"]]
    for name, said in pairs { metrics = 's:last "val/acc"', acc = 's:last "val/acc"', loss = 's:last "val/loss"', global_step = "s.step",
      model = "s.student", temperature = "a value from s.progress", train = "a local of the script" } do
      expect(function() return state()[name] end):fails_with(("the state has no '%s'; expected %s"):format(name, said))
    end
    expect(function() return state().stage_epoch end):fails_with "did you mean 'stage_epochs'?"
    expect(function() return state().stpe end):fails_with "the state has no 'stpe'"
  end)
  it("of the furthest stage stays when one goes back", function()
    local s = three()
    expect(s.furthest):equals { index = 2, evaluations = 2 }
    s:begin_stage("a", 1)
    expect({ s.furthest.index, s.stage_index, s.stage, s.stage_evaluations }):equals { 2, 1, "a", 3 }
    s:begin_stage("b", 2)
    expect(s.furthest):equals { index = 2, evaluations = 2 }
    s:begin_stage("c", 3)
    expect(s.furthest):equals { index = 3, evaluations = 3 }
  end)
  it("is saved, and taken back as a copy", function()
    local s, other = three(), state()
    s.confidence = .5
    s.teacher_acc.easy, s.untrained_acc.easy = .9, .1
    table.insert(s.benchmarks, { index = 1, acc = { easy = .3 } })
    table.insert(s.findings, { name = "stagnant", step = 20, stage = "a" })
    local kept = s:save()
    other:load(kept)
    s:record { ["val/acc"] = 0 }
    s.benchmarks[1].acc.easy, s.teacher_acc.easy = 0, 0
    kept.findings[1].step, kept.furthest.index = 0, 9
    expect({ other.stage, other.stage_index, other.stage_evaluations, other.evaluations, other.confidence }):equals { "b", 2, 2, 3, .5 }
    expect({ other.furthest, other:history "val/acc", other.teacher_acc, other.untrained_acc }):equals
      { { index = 2, evaluations = 2 }, { .5, .75, .25 }, { easy = .9 }, { easy = .1 } }
    expect({ other.benchmarks, other.findings }):equals
      { { { index = 1, acc = { easy = .3 } } }, { { name = "stagnant", step = 20, stage = "a" } } }
  end)
end)

describe("the state of a run that is planned", function()
  it("has the coming counts, and all else as it is", function()
    local s = state()
    s:record { ["val/acc"] = .5 }
    local counts = s.clock:ahead()
    local view, asked = s:ahead(counts)
    counts.step, counts.progress = 7, .5
    expect({ view.step, view.progress, s.step, view.stage, view.params.lr }):equals { 7, .5, 0, "a", 1 }
    expect(view:last "val/acc"):equals(.5)
    view.mine = 3
    expect(s.mine):equals(3)
    expect(asked.unknown):is_false()
  end)
  for _, name in ipairs { "student", "teacher", "run", "confidence", "seconds", "stage_seconds", "findings", "updates" } do
    it("is asked for what nobody knows yet: " .. name, function()
      local s = state()
      s.student, s.teacher, s.run, s.confidence = 1, 1, 1, 1
      local view, asked = s:ahead(s.clock:ahead())
      expect(view[name] ~= nil and asked.unknown):is_true()
    end)
  end
end)

describe("a state of nobody's training", function()
  it("counts single rows of one epoch", function()
    local s = State.new {}
    expect({ s.stage_index, s.evaluations, s.evaluating, s.step, s.step_epochs, s.step_progress }):equals { 1, 0, false, 0, 1, 0 }
    expect({ s.series, s.suites, s.teacher_acc, s.untrained_acc, s.benchmarks, s.findings, s.directions }):equals
      { {}, {}, {}, {}, {}, {}, {} }
    expect({ State.new({ directions = { a = "higher" } }):sign "a", State.new({ directions = { a = "lower" } }):sign "a" }):equals { 1, -1 }
  end)
end)
