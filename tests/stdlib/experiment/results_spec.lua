-- What a run's function may return, and where it is kept.
local g = require "gradus"
local results = require "gradus.experiment.results"
local support = require "support"

local function sorted(returned)
  local numbers, others, problems = results.sort(returned)
  return { numbers, others, problems }
end

describe("what a run returns", function()
  it("is numbers, tensors of one element, texts and booleans", function()
    expect(sorted { acc = g.ones(1):mean(), one = g.full({ 1, 1 }, 2), note = "good", ok = true, n = 3, yes = g.ones(1):gt(0) })
      :equals { { acc = 1, one = 2, n = 3 }, { note = "good", ok = true, yes = true }, {} }
    expect(sorted(nil)):equals { {}, {}, {} }
    expect(sorted {}):equals { {}, {}, {} }
  end)
  it("is the numbers of what distill returns", function()
    local one = support.with_run(nil, function(run)
      return run:distill { student = support.student(), data = support.points(), budget = { steps = 3 } }
    end)
    local numbers, others, problems = results.sort(one)
    expect({ numbers.steps, problems }):equals { 3, {} }
    expect(others.student):equals(nil)
  end)
  local cases = {
    { "a name with a blank", { ["top-1 acc"] = .9 }, {}, { ["top-1 acc"] = .9 },
      "result 'top-1 acc': expected a name of 1 to 193 letters, digits and _ . / -, such as 'top-1_acc'" },
    { "an endless name", { [("x"):rep(194)] = 1 }, {}, { [("x"):rep(194)] = 1 }, "expected a name of 1 to 193" },
    { "a list", { .5, .7 }, {}, { ["1"] = .5, ["2"] = .7 }, "result '1': expected a name, as in { acc = .9 }" },
    { "a tensor of several", { acc = .5, curve = g.ones(3) }, { acc = .5 }, { curve = "Tensor [3] float32" },
      "result 'curve': expected a number, a tensor of one element, a text or a boolean; got Tensor [3] float32" },
    { "a table", { acc = .5, val = { acc = 1 } }, { acc = .5 }, { val = "a table" }, "result 'val': expected a number" },
    { "a function", { f = print }, {}, { f = "a function" }, "result 'f': expected a number" },
    { "a number alone", .5, {}, { ["1"] = .5 }, "expected a table of results by name, or nothing; got 0.5" },
  }
  for _, case in ipairs(cases) do
    it("keeps, and tells of, " .. case[1], function()
      local numbers, others, problems = results.sort(case[2])
      expect({ numbers, others }):equals { case[3], case[4] }
      expect(problems[1]):matches(case[5]:gsub("%p", "%%%0"))
    end)
  end
  it("is stored before the error", function()
    local store
    local folder = os.tmpname()
    os.remove(folder)
    local ok, err = pcall(support.with_run, { folder = folder }, function(run)
      store = run.store
      run:store_result { acc = .5, ["top-1 acc"] = .9, note = "good" }
    end)
    expect({ ok, err:find("result 'top-1 acc': expected a name", 1, true) ~= nil }):equals { false, true }
    expect(store:query "SELECT key, last FROM summaries"):equals { { key = "result/acc", last = .5 } }
    expect(store:query("SELECT detail FROM events WHERE kind = 'result'")[1].detail):equals '{"note":"good","top-1 acc":0.9}'
    os.execute("rm -rf " .. folder)
  end)
end)

describe("a key that is logged twice at one step", function()
  local function warnings(fn, options)
    local _, seen = support.with_run(options, fn)
    local texts = {}
    for i, one in ipairs(seen.warnings) do texts[i] = one.detail.text end
    return texts
  end
  it("is told of once, with what to write", function()
    expect(warnings(function(run) for i = 1, 5 do run:log { a = 1 / i } end end)):equals {
      "log: 'a' is logged again at step 0, so only its last value is kept; expected run:log(values, step), or a loop over run:batches, "
        .. "which counts steps" }
  end)
  it("is an error with --strict", function()
    local function twice(run) for i = 1, 2 do run:log { a = i } end end
    expect(function() warnings(twice, { strict = true }) end):fails_with "log: 'a' is logged"
  end)
  it("is none where steps are given, where they count, and where other keys are logged", function()
    expect(warnings(function(run)
      for i = 1, 5 do run:log({ a = 1 }, i) end
      run:log { b = 1 }
      run:log { c = 1 }
      for _ in run:batches(support.points(), { size = 8, steps = 5 }) do run:log { d = 1 } end
      run:distill { student = support.student(), data = support.points():split { train = .5, val = .5 }, budget = { steps = 10 } }
      run:store_result { a = 1 }
    end)):equals {}
  end)
end)

describe("what is wrong with a run's results", function()
  it("is told once of a value alone, and of each of a list", function()
    expect(sorted(.5)[3]):equals { "expected a table of results by name, or nothing; got 0.5" }
    local unnamed = ": expected a name, as in { acc = .9 }"
    expect(sorted { .5, .7 }[3]):equals { "result '1'" .. unnamed, "result '2'" .. unnamed }
    expect(sorted { [("x"):rep(193)] = 1 }[3]):equals {}
  end)
end)

describe("the event of what a run returned", function()
  it("is there where it was more than numbers", function()
    local in_a_run = require "a_run"
    in_a_run(function(run, events)
      expect({ results.store(run, { acc = .5 }) }):equals { { acc = .5 }, {} }
      expect({ results.store(run, nil) }):equals { {}, {} }
      expect(events()):equals {}
      results.store(run, { note = "good" })
      expect({ #events(), events()[1].kind, events()[1].name, events()[1].detail }):equals { 1, "result", "returned", { note = "good" } }
    end)
  end)
end)

describe("problems of many results", function()
  it("are told in the order of their names", function()
    local returned, wanted = {}, {}
    for i = 1, 20 do
      local name = ("r%02d"):format(21 - i)
      returned[name] = {}
      wanted[21 - i] = ("result '%s': expected a number, a tensor of one element, a text or a boolean; got %s"):format(name, "a table")
    end
    expect(sorted(returned)[3]):equals(wanted)
  end)
end)
