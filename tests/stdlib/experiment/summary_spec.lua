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
    expect(err):equals "4 of 6 runs failed, all with the same error: 2/6 a seed 2, 4/6 b seed 1, 5/6 b seed 2, 6/6 b seed 3\n"
    for i = 1, 6 do list[i] = host.json_encode { run = i, error = "boom", code = 65 } end
    text, err = shown({}, list, one, plan)
    expect(text):equals ""
    expect(err):equals "6 of 6 runs failed, all with the same error\n"
    list[6] = host.json_encode { run = 6, error = "bang", code = 65 }
    expect(select(2, shown({}, list, one, plan))):matches "^6 of 6 runs failed: 1/6 a seed 1, "
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

-- What is said of runs, each { strategy, seed, its result or nil }.
local function told(runs, more, options)
  local list = {}
  for i, one in ipairs(runs) do
    list[i] = host.json_encode { id = i, seed = one[2], params = { strategy = one[1], width = one.width }, result = one[3],
      curve = one.curve, others = one.others, status = one.status or one[3] and "finished" or "interrupted", label = "run " .. i,
      error = one.error }
  end
  return shown(options or {}, list, experiment(more))
end

describe("the text after the runs, word by word", function()
  it("of one run has neither spread nor groups", function()
    expect((told({ { "a", 1, { acc = .5 } } }, { grid = {} }))):equals [[

  run  acc
  ───  ───
  t    0.5

Look further:
  gradus show 1  all of one run]]
    expect((told({ { "a", 1, { acc = .5 }, curve = "val/acc" } }, { columns = { { "acc", "accuracy", "%.1f%%" } }, footer = "the end" })))
      :equals [[

  strategy  accuracy
  ────────  ────────
  a            50.0%

the end
Look further:
  gradus plot val/acc  curves
  gradus show 1        all of one run]]
  end)
  it("of two runs has their spread, and how to compare them", function()
    expect((told({ { "a", 1, { b = 2, acc = .5 } }, { "a", 2, { acc = .75, b = 1 }, curve = "a b" } }, { by = "strategy" })))
      :equals [[

  strategy          acc            b
  ────────  ───────────  ───────────
  a         0.63 ± 0.18  1.50 ± 0.71

  mean ± sd over 2 runs

Look further:
  gradus compare                   groups, paired by seed
  gradus runs --sort result/acc    every run
  gradus plot 'a b' --by strategy  curves
  gradus show 2                    all of one run]]
    expect((told({ { "a", 1, {} }, { "a", 2, {}, curve = "loss" } }, { grid = {} }, { store = "x.db" }))):equals [[

  run
  ───
  t

  mean ± sd over 2 runs

Look further:
  gradus compare --store x.db    groups, paired by seed
  gradus plot loss --store x.db  curves
  gradus show 2 --store x.db     all of one run]]
    local two = { params = { width = 1, strategy = "a" }, grid = { width = { 2, 1 }, strategy = { "a" }, seed = { 1, 2, 3 } } }
    for _, by in ipairs { false, { "width", "strategy" } } do
      two.by = by or nil
      local text = told({ { "a", 1, { acc = 0 } }, { "a", 2, { acc = 0 } }, { "a", 3, { acc = 0 } } }, two, { quiet = true })
      expect(text):matches(by and "width  strategy    acc\n.*\n  nil    a         0 ± 0\n\n  mean ± sd over 3 runs\n"
        or "strategy  width    acc\n.*\n  a         nil    0 ± 0\n\n  mean ± sd over 3 runs\n")
    end
  end)
  it("pairs what has a partner, and says of how many", function()
    local runs = { { "a", 1, { acc = 1, loss = 9 } }, { "a", 2, { acc = 2 } }, { "b", 1, { acc = 1.5 } }, { "b", 3, { acc = 9 } },
      { "b", 2, {} } }
    local columns = { { "acc" }, { "loss", "loss", "%.2f" } }
    expect((told(runs, { versus = { "acc", "a" }, columns = columns }, { quiet = true }))):equals [[

  strategy  runs                 acc           loss  acc − a
  ────────  ────  ──────────────────  ─────────────  ───────
  a            2         1.50 ± 0.71  9.00 (1 of 2)
  b            3  5.3 ± 5.3 (2 of 3)              –     +0.5

  mean ± sd over runs; the last column pairs those of one seed
]]
    expect((told(runs, { versus = { "loss", "b", "more" }, columns = columns }, { quiet = true }))):equals [[

  strategy  runs                 acc           loss  more
  ────────  ────  ──────────────────  ─────────────  ────
  a            2         1.50 ± 0.71  9.00 (1 of 2)
  b            3  5.3 ± 5.3 (2 of 3)              –

  mean ± sd over runs; the last column pairs those of one seed
]]
    expect((told(runs, { versus = { "acc", "c" }, columns = columns }, { quiet = true }))):equals [[

  strategy  runs                 acc           loss
  ────────  ────  ──────────────────  ─────────────
  a            2         1.50 ± 0.71  9.00 (1 of 2)
  b            3  5.3 ± 5.3 (2 of 3)              –

  mean ± sd over runs
]]
    local signed = { { "a", 1, { acc = 1 } }, { "b", 1, { acc = 1 } }, { "b", 2, { acc = 3 } } }
    columns = { { "acc", "acc", "%.1f" }, { "x", "x", "%.3f" } }
    expect((told(signed, { versus = { "acc", "a" }, columns = columns }, { quiet = true }))):equals [[

  strategy  runs        acc  x  acc − a
  ────────  ────  ─────────  ─  ───────
  a            1        1.0  –
  b            2  2.0 ± 1.4  –     +0.0

  mean ± sd over runs; the last column pairs those of one seed
]]
    expect((told(signed, { versus = { "acc", "a" } }, { quiet = true }))):equals [[

  strategy  runs        acc  acc − a
  ────────  ────  ─────────  ───────
  a            1          1
  b            2  2.0 ± 1.4        0

  mean ± sd over runs; the last column pairs those of one seed
]]
    expect((told({ signed[2] }, { versus = { "acc", "b" } }, { quiet = true }))):equals [[

  strategy  acc
  ────────  ───
  b           1
]]
  end)
  it("pairs each group with the one that differs in the named value alone, or with the only one of that value", function()
    local two = { params = { width = 1, strategy = "a" }, versus = { "acc", "a", "more" }, by = { "strategy", "width" },
      grid = { width = { 1, 2 }, strategy = { "a", "b" }, seed = { 1 } } }
    local runs = { { "a", 1, { acc = 1 }, width = 1 }, { "a", 1, { acc = 5 }, width = 2 }, { "b", 1, { acc = 2 }, width = 1 },
      { "b", 1, { acc = 7 }, width = 2 } }
    expect((told(runs, two, { quiet = true }))):equals [[

  strategy  width  acc  more
  ────────  ─────  ───  ────
  a         1        1
  a         2        5
  b         1        2    +1
  b         2        7    +2
]]
    expect((told({ runs[1], runs[3], runs[4] }, two, { quiet = true }))):matches "b +1 +2 +%+1\n +b +2 +7 +%+6\n"
    two.versus = { "acc", 1, "more" }
    expect((told(runs, two, { quiet = true }))):matches "a +1 +1\n +a +2 +5 +%+4\n +b +1 +2\n +b +2 +7 +%+5\n"
  end)
  it("counts the runs of each group where they differ", function()
    local runs = { { "a", 1, { acc = 1 } }, { "b", 1 }, { "b", 2, { acc = 3 }, status = "failed" } }
    local text, err = told(runs, {}, { quiet = true })
    expect(text):equals [[

  strategy    runs  acc
  ────────  ──────  ───
  a              1    1
  b         0 of 2    –
]]
    expect(err):equals [[
2 of 3 runs failed: run 2, run 3
]]
    text, err = told({ { "a", 1, { acc = 1 } }, { "a", 2 } }, {}, { quiet = true })
    expect(text .. err):equals [[

  strategy    runs  acc
  ────────  ──────  ───
  a         1 of 2    1
1 of 2 runs failed: run 2
]]
    local many = {}
    for i = 1, 9 do many[i] = { "a", i } end
    expect(select(2, told(many))):equals [[
9 of 9 runs failed: run 1, run 2, run 3, run 4, run 5, run 6, run 7, run 8, …
]]
    many[9] = nil
    expect(select(2, told(many))):equals [[
8 of 8 runs failed: run 1, run 2, run 3, run 4, run 5, run 6, run 7, run 8
]]
  end)
  it("names the column that no run filled, and the nearest that one did", function()
    local _, err = told({ { "a", 1, { acc = 1 }, others = { note = "x" } } },
      { columns = { { "acd", "heading" }, { "acc", "acc" }, { "note", "n" } } })
    expect(err):equals [[
column 1: no run returned a number named 'acd'; did you mean 'acc'?
column 3: no run returned a number named 'note'
]]
  end)
end)

describe("the document after the runs", function()
  -- What --json writes, decoded.
  local function document(runs, more)
    local out, stdout = {}, io.stdout
    io.stdout = { write = function(_, ...) for _, text in ipairs { ... } do out[#out + 1] = text end end }
    local ok, why = pcall(told, runs, more, { json = true })
    io.stdout = stdout
    if not ok then error(why, 0) end
    return host.json_decode(table.concat(out)), table.concat(out)
  end

  it("has the groups, all runs, and those that failed", function()
    local found = document({ { "a", 1, { acc = 1 } }, { "a", 2, { acc = 3 }, others = { note = "x" } }, { "b", 1, error = "boom" },
      { "c", 1, {} } }, { columns = { { "acc", "accuracy" } } })
    expect(found.groups):equals {
      { acc = { mean = 2, sd = math.sqrt(2) }, by = { strategy = "a" }, n = 2, runs = { 1, 2 }, total = 2 },
      { by = { strategy = "b" }, n = 0, total = 1 }, { by = { strategy = "c" }, n = 1, runs = { 4 }, total = 1 } }
    local failed = found.failures[1]
    expect({ found.failed, #found.failures, failed.run, failed.seed, failed.params, failed.error })
      :equals { 1, 1, "run 3", 1, { strategy = "b" }, "boom" }
    expect({ #found.runs, found.runs[2].result, found.runs[2].others }):equals { 3, { acc = 3, note = "x" }, nil }
  end)
  it("has a group's parameters as they are typed", function()
    local found = document({ { 4, 1, { acc = 1 } }, { true, 1, { acc = 1 } } })
    expect({ found.groups[1].by, found.groups[2].by }):equals { { strategy = 4 }, { strategy = true } }
  end)
  it("has lists that are empty as such", function()
    local _, text = document { { "a", 1, { acc = 1 } } }
    expect(text):matches '"failures":%[%],'
    _, text = document { { "a", 1 } }
    expect(text):matches '"runs":%[%]}'
    assert(not text:find '"groups":%[%]')
  end)
end)

describe("a run's line", function()
  it("has its numbers, texts and booleans", function()
    expect(summary.line(experiment(), { acc = .91234, n = 3 }, { note = "good", ok = true })):equals "acc 0.9123  n 3  note good  ok true"
    expect(summary.line(experiment { columns = { { "acc", "accuracy", "%.1f%%" }, { "loss" } } }, { acc = .91234 })):equals "accuracy 91.2%"
    expect(summary.line(experiment(), { b = 2, a = 1, c = 3, d = 0 }, { z = 1, y = 2 })):equals "a 1  b 2  c 3  d 0  y 2  z 1"
  end)
end)

describe("what is said of a column, and of a run that failed", function()
  it("suggests no other name for one that runs returned as a text", function()
    local _, err = told({ { "a", 1, { acc = 1 }, others = { acd = "x" } } }, { columns = { { "acd" } } })
    expect(err):equals "column 1: no run returned a number named 'acd'\n"
  end)
  it("keeps what the run itself has told, and fills the rest in from the plan", function()
    local one = experiment()
    local plan = one:plan { seeds = nil, set = {} }
    local function lost(more)
      more.run, more.error, more.code = 2, "boom", 65
      return host.json_encode(more)
    end
    local done = host.json_encode { run = 1, id = 1, seed = 1, params = { strategy = "a" }, result = { acc = 1 }, status = "finished" }
    for _, case in ipairs { { {}, "2/6 a seed 2", "a +1 of 2 +1\n" },
      { { params = { strategy = "own" }, label = "mine" }, "mine", "own +0 of 1 +–\n" } } do
      local text, err = shown({}, { done, lost(case[1]) }, one, plan)
      expect(err):equals("1 of 2 runs failed: " .. case[2] .. "\n")
      expect(text):matches(case[3])
    end
    local bare = host.json_encode { run = 2, id = 2, seed = 9, label = "its own", result = { acc = 1 }, status = "finished" }
    expect((shown({}, { done, bare }, one, plan))):matches "nil +1\n"
  end)
end)

describe("a column under a heading of its own", function()
  it("is looked for by its name, also among texts, which need no other name", function()
    local list = texts(acc, { others = { acb = "good" } })
    local _, err = shown({}, list, experiment { columns = { { "acb", "heading" }, { "acd", "acb" } } })
    expect(err):equals("column 1: no run returned a number named 'acb'\n"
      .. "column 2: no run returned a number named 'acd'; did you mean 'acc'?\n")
  end)
end)
