-- What is printed after the runs.
local g = require "gradus"
local host = require "gradus.host"
local summary = require "gradus.experiment.summary"

local function experiment(more)
  local options = { name = "t", run = function() end, params = { strategy = "a" }, grid = { strategy = { "a", "b" }, seed = { 1, 2, 3 } } }
  for key, value in pairs(more or {}) do options[key] = value end
  return g.experiment(options)
end

-- Runs of two strategies and three seeds, each with the result that of(strategy, seed) gives.
local function texts(of, more)
  local list = {}
  for _, strategy in ipairs { "a", "b" } do
    for seed = 1, 3 do
      local one = { id = #list + 1, seed = seed, params = { strategy = strategy }, result = of(strategy, seed), status = "finished",
        curve = "val/acc" }
      for key, value in pairs(more or {}) do one[key] = value end
      list[#list + 1] = host.json_encode(one)
    end
  end
  return list
end

-- What summary.show prints, and writes to standard error.
local function shown(options, list, of, plan)
  local out, err, print_, stderr = {}, {}, print, io.stderr
  options.store = options.store or "runs/gradus.db"
  print = function(text) out[#out + 1] = text end
  io.stderr = { write = function(_, text) err[#err + 1] = text end }
  local ok, why = pcall(summary.show, options, list, of, plan)
  print, io.stderr = print_, stderr
  if not ok then error(why, 0) end
  return table.concat(out, "\n"), table.concat(err)
end

local function acc(strategy, seed) return { acc = strategy == "a" and .9214 or .9 + seed / 100 } end

describe("the table after the runs", function()
  it("has no rows of zeros, fits 80 columns, and says how to sort, draw and compare", function()
    local text = shown({}, texts(acc), experiment())
    expect(text):matches "a +0%.9214 ± 0\n"
    expect(text):matches "b +0%.920 ± 0%.010\n"
    for _, command in ipairs { "gradus compare", "gradus runs %-%-sort result/acc", "gradus plot val/acc %-%-by strategy",
      "gradus show 6" } do
      expect(text):matches(command)
    end
    local many = {}
    for i = 1, 20 do many["result_number_" .. i] = i end
    for line in (shown({}, texts(function() return many end), experiment()) .. "\n"):gmatch "(.-)\n" do
      local _, continuation = line:gsub("[\128-\191]", "")
      expect(#line - continuation <= 80):is_true()
    end
  end)
  it("does not take the rounding of a sum for a spread", function()
    local text = shown({}, texts(function() return { acc = .1 + .2 } end), experiment())
    expect(text):matches "0%.3 ± 0\n"
  end)
  it("shows NaN and infinities as such, and says of how many runs a mean is", function()
    local text = shown({}, texts(function(strategy, seed)
      return strategy == "a" and { acc = seed == 2 and 0 / 0 or .5 } or { acc = seed > 1 and 1 / 0 or nil }
    end), experiment())
    expect(text):matches "a .*nan"
    expect(text):matches "b .*inf.*%(2 of 3%)"
  end)
  it("pairs differences by seed, in the column's format and without one", function()
    local one = experiment { columns = { { "acc", "accuracy", "%.1f%%" } }, versus = { "acc", "a", "more" } }
    expect(shown({}, texts(acc), one)):matches "b +92%.0%% ± 1%.0%% +%-0%.1%% ± 1%.0%%\n"
    one = experiment { columns = { { "acc", "accuracy" } }, versus = { "acc", "b", "more" } }
    expect(shown({}, texts(acc), one)):matches "a +0%.9214 ± 0 +%+0%.001 ± 0%.010\n"
    one = experiment { columns = { { "acc", "accuracy", "%+.2f" } }, versus = { "acc", "a", "more" } }
    expect(shown({}, texts(acc), one)):matches "b +%+0%.92 ± 0%.01 +%-0%.00 ± 0%.01\n"
  end)
  it("has a row for a group whose runs failed, and says of how many runs the others are", function()
    local one, list = experiment(), texts(acc)
    local plan = one:plan { seeds = nil, set = {} }
    for _, i in ipairs { 2, 4, 5, 6 } do list[i] = host.json_encode { run = i, error = "boom", code = 65 } end
    local text, err = shown({}, list, one, plan)
    expect(text):matches "strategy +runs +acc"
    expect(text):matches "a +2 of 3 +0%.9214 ± 0\n"
    expect(text):matches "b +0 of 3 +–\n"
    expect(err):equals "4 of 6 runs failed: 2/6 a seed 2, 4/6 b seed 1, 5/6 b seed 2, 6/6 b seed 3\n"
    for i = 1, 6 do list[i] = host.json_encode { run = i, error = "boom", code = 65 } end
    text, err = shown({}, list, one, plan)
    expect(text):equals ""
    expect(err):matches "^6 of 6 runs failed"
    expect(select(2, shown({}, { list[1] }, one, plan))):equals ""  -- of a single run the error is said already
  end)
  it("with --quiet is all", function()
    local text = shown({ quiet = true }, texts(acc), experiment { footer = "the end" })
    expect(text):matches "0%.9214 ± 0"
    expect(text:find "Look further" or text:find "the end"):equals(nil)
    expect(shown({ quiet = true }, texts(function() return {} end), experiment())):equals ""
  end)
  it("tells of a column that nobody filled", function()
    local _, err = shown({}, texts(acc), experiment { columns = { { "accc" }, { "acc" } } })
    expect(err):equals "column 1: no run returned a number named 'accc'; did you mean 'acc'?\n"
    _, err = shown({}, texts(acc, { others = { note = "good" } }), experiment { columns = { { "note" } } })
    expect(err):equals "column 1: no run returned a number named 'note'\n"
  end)
  it("names the store where it is another", function()
    expect(shown({ store = "x.db" }, texts(acc), experiment())):matches "gradus show 6 %-%-store x%.db"
  end)
end)

describe("a run's line", function()
  it("has its numbers, texts and booleans", function()
    expect(summary.line(experiment(), { acc = .91234, n = 3 }, { note = "good", ok = true })):equals "acc 0.9123  n 3  note good  ok true"
    expect(summary.line(experiment { columns = { { "acc", "accuracy", "%.1f%%" } } }, { acc = .91234 })):equals "accuracy 91.2%"
  end)
end)
