-- What a sweep prints and writes: the whole of it, for a few trials and for many.
local instead = require "instead"
local report = require "gradus.experiment.sweep_report"
local params = require "gradus.experiment.params"
local space = require "gradus.experiment.space"
local store = require "gradus.store"

local specs = params.declare { T = 2, lr = 1e-2, tag = params.choice { "a", "b" } }
local T, tag, lr = space.parse("T", "1,2", specs), space.parse("tag", "a,b", specs), space.parse("lr", "log(1e-4,1)", specs)

-- Trials by their value, the best first: { T, tag, lr, value, more }.
local function found(axes, rows, more)
  local list = {}
  for i, row in ipairs(rows) do
    list[i] = { given = { T = row[1], tag = row[2], lr = row[3] }, value = row[4], number = 10 + i, ids = { i, 20 + i }, runs = 2 }
    for key, value in pairs(row[5] or {}) do list[i][key] = value end
  end
  local sweep = { axes = axes, by = "val/acc", options = { store = "runs/gradus.db" }, greater = true, search = "grid",
    skipped = 3, failed = 4 }
  for key, value in pairs(more or {}) do sweep[key] = value end
  return { sweep = sweep, ranked = list, trials = list, best = list[1] }
end

local function printed(what)
  local said, real = {}, print
  _G.print = function(text) said[#said + 1] = text end
  local ok, why = pcall(report.print, what)
  _G.print = real
  if not ok then error(why, 0) end
  return table.concat(said, "\n")
end

local FOUR = { { 2, "a", .1, .91234567, { sd = .0123, stopped = true } }, { 2, "b", .1, .75 }, { 1, "a", .1, .5, { ids = { 7 } } },
  { 1, "b", .1, .25, { stopped = true } } }

describe("what a sweep prints", function()
  it("names the trials without a number, and calls none stopped that has failed", function()
    local what = found({ T, tag }, FOUR)
    what.trials = { what.ranked[1], what.ranked[2], { number = 15, ids = { 8, 9 }, runs = 1, value = .1 },
      { number = 16, ids = { 10 }, runs = 0 },
      { number = 17, ids = {}, runs = 0, stopped = true } }
    local text = printed(what)
    expect(text):matches "Without a val/acc that is a number, and not counted: trial 15 %(1 of 2 runs%), 16 %(1 of 1 runs%)%.\n"
    expect(text):matches "\n1 of 5 trials were stopped early"
  end)
  it("is the table, a map, what mattered and what to try", function()
    expect(printed(found({ T, tag }, FOUR))):equals [[

  trial  T  tag   best(val/acc)          runs
  ─────  ─  ───  ──────────────  ────────────
  11     2    a  0.9123 ± 0.012  1,21 stopped
  12     2    b            0.75          2,22
  13     1    a             0.5             7
  14     1    b            0.25  4,24 stopped

best(val/acc), mean of the trials in each cell; * holds the best
  T \ tag        a     b
  ───────  ───────  ────
  1            0.5  0.25
  2        0.9123*  0.75

How much each parameter matters by itself (share of the trials' variance in an additive model, ranges in quarters):
  T                         82 %  ████████████████████████
  tag                       16 %  █████

What to try next:
  T: the best is its largest value: --set T=2,4

2 of 4 trials were stopped early: their first runs lagged behind.

Look further: gradus show 1   gradus compare --by T]]
  end)
  it("is the table alone where it is to be quiet", function()
    local real, said = print, {}
    _G.print = function(text) said[#said + 1] = text end
    local ok, why = pcall(report.print, found({ T, tag }, FOUR), true)
    _G.print = real
    assert(ok, why)
    expect({ #said, (said[1]:match "^\n  trial  T  tag  .* stopped\n$") ~= nil }):equals { 1, true }
  end)
  it("names the store where it is another, and a result as it is", function()
    local text = printed(found({ tag, T }, FOUR, { by = "result/acc", options = { store = "x.db" } }))
    expect(text):matches "  trial  tag  T      result/acc          runs\n.-\n  11       a  2  0%.9123"
    expect(text):matches "\nLook further: gradus show 1 %-%-store x%.db   gradus compare %-%-store x%.db %-%-by T$"
  end)
  it("has the ten best, and says how many there are and which tie", function()
    local rows = {}
    for i = 1, 11 do rows[i] = { i <= 3 and 2 or 1, "a", 1, i <= 2 and 5 or -i } end
    expect(printed(found({ T }, rows))):equals [[

  trial  T  best(val/acc)   runs
  ─────  ─  ─────────────  ─────
  11     2              5   1,21
  12     2              5   2,22
  13     2             -3   3,23
  14     1             -4   4,24
  15     1             -5   5,25
  16     1             -6   6,26
  17     1             -7   7,27
  18     1             -8   8,28
  19     1             -9   9,29
  20     1            -10  10,30

and 1 more; gradus runs --sort 'best(val/acc)' has them all

As good as trial 11: 12. The first of them stands for all.

How much each parameter matters by itself (share of the trials' variance in an additive model, ranges in quarters):
  T                         68 %  ████████████████████

What to try next:
  T: the best is its largest value: --set T=2,4

Look further: gradus show 1   gradus compare --by T]]
    rows[11] = nil
    assert(not printed(found({ T }, rows)):find "more; gradus")
    assert(not printed(found({ T }, { { 1, "a", 1, 5 }, { 2, "a", 1, 5 } })):find "What to try next")
  end)
  it("says so where no run logged the metric, or none came to a number", function()
    local function nothing(...)
      local keys, said = {}, nil
      for i, name in ipairs { ... } do keys[i] = { name = name } end
      instead({ { store, "open", function(path)
        expect(path):equals "runs/gradus.db"
        return { query = function() return keys end }
      end } }, function() said = printed(found({ T }, {})) end)
      return said
    end
    expect({ nothing(), nothing "train/loss", nothing("train/loss", "val/ac"), nothing("train/loss", "val/acc") }):equals {
      "No run logged val/acc.", "No run logged val/acc.", "No run logged val/acc; did you mean 'val/ac'?",
      "No run came to a val/acc that is a number." }
  end)
  it("has bars as long as the shares, the most important first, by name where none is known", function()
    local what = found({ T, tag, lr }, { FOUR[1], FOUR[2], FOUR[3] })
    local shares, order = report.importance(what.sweep, what.ranked)
    expect({ shares, order[1].key, order[2].key, order[3].key }):equals { {}, "T", "lr", "tag" }
    expect(printed(what)):matches "  T                        too few trials to say\n  lr   "
    local rows = {}
    for i = 1, 16 do rows[i] = { 1 + i % 2, i % 4 < 2 and "a" or "b", .1, (i % 4 < 2 and 3 or 0) + i % 2 } end
    expect(printed(found({ T, tag }, rows)))
      :matches("\n  tag                       90 %%  " .. ("█"):rep(27) .. "\n  T                         10 %%  ███\n")
  end)
end)

describe("a sweep's map", function()
  it("has the mean of each cell, and a mark where the best lies", function()
    local what = found({ T, tag }, { { 2, "b", 1, 4 }, { 1, "a", 1, 3 }, { 2, "b", 1, 1 } }, { by = "val/acc" })
    expect(report.map(what.sweep, what.ranked, T, tag)):equals [[
best(val/acc), mean of the trials in each cell; * holds the best
  T \ tag  a     b
  ───────  ─  ────
  1        3     ·
  2        ·  2.5*]]
  end)
  it("has eight cells of a range, by its scale", function()
    local even = space.parse("lr", "lin(0,8)", specs)
    local what = found({ T, lr }, { { 2, "b", 1, 4 }, { 1, "a", 1e-4, 3 }, { 1, "a", 3.2e-4, 2 }, { 1, "a", 1e-2, 1 } })
    expect(report.map(what.sweep, what.ranked, T, lr)):equals [[
best(val/acc), mean of the trials in each cell; * holds the best
  T \ lr  ~0.00018  ~0.00056  ~0.0018  ~0.0056  ~0.018  ~0.056  ~0.18  ~0.56
  ──────  ────────  ────────  ───────  ───────  ──────  ──────  ─────  ─────
  1              3         2        ·        ·       1       ·      ·      ·
  2              ·         ·        ·        ·       ·       ·      ·     4*]]
    what = found({ T, even }, { { 2, "b", 8, 4 }, { 1, "a", 0, 3 }, { 1, "a", .99, 2 }, { 1, "a", 1, 1 } })
    expect(report.map(what.sweep, what.ranked, even, T)):equals [[
best(val/acc), mean of the trials in each cell; * holds the best
  lr \ T    1   2
  ──────  ───  ──
  ~0.5    2.5   ·
  ~1.5      1   ·
  ~2.5      ·   ·
  ~3.5      ·   ·
  ~4.5      ·   ·
  ~5.5      ·   ·
  ~6.5      ·   ·
  ~7.5      ·  4*]]
  end)
end)

describe("a sweep for programs", function()
  it("has all of it", function()
    local what = found({ T, tag }, FOUR)
    expect(report.json(what)):equals { by = "val/acc", direction = "max", search = "grid", skipped = 3, failed = 4,
      importance = report.importance(what.sweep, what.ranked),
      best = { trial = 11, params = { T = 2, tag = "a", lr = .1 }, value = .91234567, sd = .0123, runs = { 1, 21 }, stopped = true },
      trials = { { trial = 11, params = { T = 2, tag = "a", lr = .1 }, value = .91234567, sd = .0123, runs = { 1, 21 }, stopped = true },
        { trial = 12, params = { T = 2, tag = "b", lr = .1 }, value = .75, runs = { 2, 22 } },
        { trial = 13, params = { T = 1, tag = "a", lr = .1 }, value = .5, runs = { 7 } },
        { trial = 14, params = { T = 1, tag = "b", lr = .1 }, value = .25, runs = { 4, 24 }, stopped = true } } }
    assert(next(report.json(what).importance))
    local none = found({ T }, {}, { greater = false })
    expect(report.json(none)):equals { by = "val/acc", direction = "min", search = "grid", skipped = 3, failed = 4,
      importance = {}, trials = {} }
    expect(report.json_text(none)):matches '^{"best":null,"by":"val/acc",'
    expect(report.json_text(what)):matches '^{"best":{'
  end)
end)
