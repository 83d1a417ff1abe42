-- What a training returns, over a history of our own.
local result = require "gradus.training.result"

-- Metrics of a run: acc by evaluation, with its FLOPs and stage.
local entries = { { value = 1, flops = 10, stage = "a" }, { value = 2, flops = 20, stage = "a" }, { value = 3, flops = 60, stage = "b" },
  { value = 4, flops = 80, stage = "c" } }
local state = { last = function(_, key) return ({ ["val/acc"] = .5, ["val/loss"] = 3, ["hard/forgotten"] = .25 })[key] end,
  best = function(_, key) return ({ ["val/acc"] = .75, ["val/loss"] = 1 })[key], 7 end,
  sign = function(_, key) return key == "val/loss" and -1 or 1 end,
  entries = function(_, key) return key == "x/none" and {} or entries end, history = function(_, key) return { key } end,
  first_step = function(_, ...) return table.concat({ "step", ... }, " ") end,
  first_flops = function(_, ...) return table.concat({ "first", ... }, " ") end,
  at_flops = function(_, ...) return table.concat({ "at", ... }, " ") end }

local function new(best) return result { state = state, best = best } end

describe("a result", function()
  it("asks the state", function()
    local r = new()
    expect({ r:first_step("k", 1), r:first_flops("k", 2), r:at_flops("k", 3), r:last "val/acc", r:history "k" })
      :equals { "step k 1", "first k 2", "at k 3", .5, { "k" } }
  end)
  it("knows the best of any metric, and of the monitored one its value and step alone", function()
    local r = new { value = .75, step = 7, more = 1 }
    expect({ r.best.value, r.best.step, rawget(r.best, "more"), { r:best "val/acc" } }):equals { .75, 7, nil, { .75, 7 } }
    expect(function() return r.best.more end):fails_with "best has no 'more'; expected r:best"
    expect(function() return new().best.value end):fails_with "best.value: nothing was monitored; expected validation data"
    expect(function() return new().best.step end):fails_with "best.step: nothing was monitored"
    expect({ new():best "val/acc" }):equals { .75, 7 }
    expect(function() return r.best "val/acc" end):fails_with "expected r:best \"val/acc\", with a colon"
    expect(function() return r:best() end):fails_with "expected a metric, such as r:best \"val/acc\"; got nil"
  end)
  it("forgot what it fell by since its best, by the metric's direction, and of a suite's examples", function()
    local r = new()
    expect({ r:forgetting "val/acc", r:forgetting "val/loss", r:forgetting "hard", r:forgetting "x/none" }):equals { .25, 2, .25, nil }
  end)
  it("has a line with marks where stages began, by evaluations and by FLOPs", function()
    local r = new()
    expect(r:sparkline "val/acc"):equals "▁▃┆▆┆█"
    expect(r:sparkline("val/acc", { width = 8, over = "flops" })):equals "▁▃▃▃▃┆▆▆┆█"
    expect(r:sparkline("val/acc", { width = 60, over = "flops" })):equals(("▁"):rep(14) .. ("▃"):rep(30) .. "┆" .. ("▆"):rep(15) .. "┆█")
    expect(r:sparkline("x/none", { over = "flops" })):equals ""
  end)
  it("names the way to what it has not", function()
    local r = new()
    for name, wanted in pairs { ["val/acc"] = 'r:last "val/acc" or r:best "val/acc"',
      acc = 'r:last "val/acc", r:best "val/acc" or r:last "val/loss"',
      accuracy = 'r:last "val/acc", r:best', loss = 'r:last "val/acc", r:best', val_acc = 'r:last "val/acc"', val_a_b = 'r:last "val/a_b"',
      train_loss = 'r:last "train/loss"' } do
      expect(function() return r[name] end):fails_with(wanted)
    end
  end)
end)
