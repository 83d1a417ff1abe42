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
