-- How one run of a plan is carried out: its words, what is told of it, and how it ends in the store.
local children = require "gradus.children"
local console = require "gradus.base.console"
local engine = require "gradus.engine"
local g = require "gradus"
local host = require "gradus.host"
local instead = require "instead"
local runner = require "gradus.experiment.runner"
local store_module = require "gradus.store"

describe("runs in words", function()
  local function labels(...)
    local plan = {}
    for i, given in ipairs { ... } do plan[i] = { given = given, seed = i } end
    for i = 1, #plan do expect(runner.describe(plan, i)):equals(runner.labels(plan)[i]) end
    return runner.labels(plan)
  end
  it("have what tells them apart, by its name where it is more than one parameter", function()
    expect(labels { T = 1 }):equals { "seed 1" }
    expect(labels({ T = 1 }, { T = 1 })):equals { "1/2 seed 1", "2/2 seed 2" }
    expect(labels({ T = 1, lr = 5 }, { T = 2, lr = 5 })):equals { "1/2 1 seed 1", "2/2 2 seed 2" }
    expect(labels({ T = 1, lr = 5 }, { T = 2, lr = 6 }, { T = 2, lr = 5 }))
      :equals { "1/3 T=1 lr=5 seed 1", "2/3 T=2 lr=6 seed 2", "3/3 T=2 lr=5 seed 3" }
    expect(labels({ T = 1 }, {})):equals { "1/2 1 seed 1", "2/2 nil seed 2" }
    expect(labels({}, { T = 1 })):equals { "1/2 nil seed 1", "2/2 1 seed 2" }
    expect(labels({ on = true, name = "a=b" }, { on = false, name = "a=b" })):equals { "1/2 true seed 1", "2/2 false seed 2" }
    expect(labels({ name = "a=b" }, { name = "c" })):equals { "1/2 a=b seed 1", "2/2 c seed 2" }
  end)
end)

-- Calls fn() where the script is this text.
local function with_script(text, fn)
  local found
  instead({ { host, "load_script", function() return assert(loadstring(text, "@x.lua")) end } }, function() found = fn() end)
  return found
end

describe("a script", function()
  it("returns an experiment, or nothing", function()
    local one = with_script("return require('gradus').experiment { name = 'x', run = function() end }",
      function() return runner.load { script = "x.lua" } end)
    expect(one.name):equals "x"
    expect(with_script("return nil", function() return runner.load {} end)):equals(nil)
    expect(with_script("local done = true", function() return runner.load {} end)):equals(nil)
    for text, kind in pairs { ["{}"] = "table", ["5"] = "number", ["false"] = "boolean" } do
      expect(function() with_script("return " .. text, function() return runner.load { script = "x.lua" } end) end)
        :fails_with(("x.lua: the script returned a %s; expected `return g.experiment { … }`, or nothing"):format(kind))
    end
  end)
  it("without one has no runs, no parameters, and is nothing to a command that wants one", function()
    local function plan(options) return with_script("return nil", function() return runner.plan(options) end) end
    expect({ plan {}, plan { set = {} } }):equals { {}, {} }
    expect(function() plan { set = { { "T", "1" } } } end):fails_with "--set: the script returns no experiment, so it has no parameters"
    expect(function() with_script("return nil", function() return runner.expect("fork", {}) end) end)
      :fails_with "fork: the script returns no experiment"
    local function text() return runner.plan {} end
    expect(with_script("return require('gradus').experiment { name = 'x', run = function() end, grid = { seed = { 1, 2 } } }", text))
      :equals { "1/2 seed 1", "2/2 seed 2" }
  end)
end)

-- Carries one run out. what: run, params, metrics, …, as an experiment has them; options of the command line; one: of the plan.
-- Returns what came of it, decoded, or nil and the error; and the rows of its store.
local function executed(what, options, one, watched)
  local folder = ("%s/gradus-runner-%s"):format(os.getenv "TMPDIR" or "/tmp", host.random_hex(8))
  host.mkdirs(folder)
  after_all(function() os.execute("rm -rf '" .. folder .. "'") end)
  what.name = what.name or "spec"
  local given = { quiet = true, store = folder .. "/s.db", script = "spec" }
  for key, value in pairs(options or {}) do given[key] = value end
  local store = store_module.open(given.store)
  local plan = { seed = 3, given = {} }
  for key, value in pairs(one or {}) do plan[key] = value end
  local ok, text = pcall(runner.execute_one, given, store, g.experiment(what), plan, "spec", watched)
  local function rows(query) return store:query(query) end
  if not ok then return nil, text, rows end
  return host.json_decode(text), nil, rows
end

describe("a run that is carried out", function()
  it("tells what it was and came to", function()
    local found, _, rows = executed({ params = { T = 2, optim = { lr = .1 } }, run = function(run, p)
      run:log { ["train/loss"] = 1 }
      return { acc = p.optim.lr, note = "good" }
    end }, nil, { given = { T = 4 } })
    local stored = rows("SELECT id, uid, status, seed, name FROM runs")[1]
    expect({ found.id, found.uid, found.name, found.seed, found.status, found.curve })
      :equals { stored.id, stored.uid, "spec", 3, "finished", "train/loss" }
    expect({ found.params, found.result, found.others }):equals { { T = 4, ["optim.lr"] = .1 }, { acc = .1, note = "good" },
      { note = "good" } }
    expect({ stored.status, stored.seed, stored.name }):equals { "finished", 3, "spec" }
    assert(found.seconds > 0 and found.seconds < 60)
  end)
  it("has the name that was said: of the plan, of the command line, of the experiment", function()
    local function named(options, one) return executed({ run = function() end }, options, one).name end
    expect({ named(), named { name = "mine" }, named({ name = "mine" }, { name = "other" }) }):equals { "spec", "mine", "other" }
  end)
  it("has the curve that tells most", function()
    local function curve(...)
      local names = { ... }
      return executed({ run = function(run)
        for _, name in ipairs(names) do run:log { [name] = 1 } end
        return { ["a"] = 1 }
      end }).curve
    end
    expect({ curve("train/loss", "val/loss", "val/acc"), curve("b", "train/loss", "val/loss"), curve("b", "train/loss"), curve("c", "b") })
      :equals { "val/acc", "val/loss", "train/loss", "b" }
    expect(curve()):equals(nil)
  end)
  it("tells who watches what it logs", function()
    local seen = {}
    executed({ run = function(run) run:log({ a = 5 }, 7) end }, nil, nil,
      function(run, name, value, step) seen[#seen + 1] = { run.name, name, value, step } end)
    expect(seen[1]):equals { "spec", "a", 5, 7 }
  end)
  it("keeps its students' weights unless it is not to", function()
    local function saves(save)
      local saved
      executed { save = save, run = function(run) saved = run.save_students end }
      return saved
    end
    expect({ saves(nil), saves(true), saves(false) }):equals { true, true, false }
  end)
  it("stores which way metrics are better, and what its seeds were calculated from", function()
    local _, _, rows = executed { metrics = { rmse = { better = "lower" } }, grid = { seed = g.seeds { sd = 1, effect = 2 } },
      run = function(run) run:log { rmse = 1 } end }
    expect(rows "SELECT name, better FROM keys WHERE name LIKE '%rmse' ORDER BY name")
      :equals { { name = "result/rmse", better = "lower" }, { name = "rmse", better = "lower" } }
    expect(#rows "SELECT * FROM events WHERE kind = 'plan' AND name = 'seeds'"):equals(1)
    local _, _, others = executed { grid = { seed = { 1, 2 } }, run = function() end }
    expect(#others "SELECT * FROM events WHERE kind = 'plan'"):equals(0)
  end)
end)

describe("the end of a run that is carried out", function()
  it("is a failure with its text where something is raised, whatever that is", function()
    local found, why, rows = executed { run = function() error("no luck", 0) end }
    expect({ found, tostring(why):match "^[^\n]*" }):equals { nil, "no luck" }
    local run = rows("SELECT status, error FROM runs")[1]
    expect({ run.status, run.error:match "^[^\n]*" }):equals { "failed", "no luck" }
    local told = rows("SELECT detail FROM events WHERE kind = 'error' AND name = 'script'")[1]
    expect(host.json_decode(told.detail).message):matches "^no luck"
    local odd = setmetatable({}, { __tostring = function() error "worse" end })
    local _, _, others = executed { run = function() error(odd, 0) end }
    expect(others("SELECT status FROM runs")[1].status):equals "failed"
  end)
  it("is an interruption where it is to end", function()
    local found, _, rows = executed { run = function(run)
      run.ending = "sweep: enough"
      run:log { a = 1 }
      run:breathe()
      error "never"
    end }
    expect({ found.status, found.result, found.others, found.curve }):equals { "interrupted", {}, nil, "a" }
    expect(rows "SELECT status, error FROM runs"):equals { { status = "interrupted", error = "sweep: enough" } }
  end)
end)

describe("a run whose script calls os.exit", function()
  it("is finished at 0, and has failed at any other code", function()
    for code, status in pairs { [0] = "finished", [1] = "failed", [7] = "failed" } do
      local rows
      instead({ { host, "exiting", function() return code end } }, function()
        local _
        _, _, rows = executed { run = function() error("exits", 0) end }
      end)
      expect(rows "SELECT status, error FROM runs"):equals { { status = status, error = ("os.exit(%d)"):format(code) } }
      expect(#rows "SELECT * FROM events WHERE kind = 'error'"):equals(0)
    end
  end)
end)

describe("a run's last line", function()
  it("says how long it took and what it came to", function()
    local said, progress = nil, console.progress
    instead({ { console, "progress", function(...)
      return setmetatable({ done = function(text) said = text end }, { __index = progress(...) })
    end } }, function() executed { run = function() return { acc = .5, note = "good" } end } end)
    expect(said):matches "^[%d.]+s  acc 0.5  note good$"
    said = nil
    executed { run = function() error("no luck", 0) end }
    expect(said):equals(nil)
  end)
end)

describe("a parameter that the script sets anew", function()
  local function warned(params, change, given)
    local _, _, rows = executed({ params = params, run = function(_, p) change(p) end }, nil, { given = given })
    local list = {}
    for i, row in ipairs(rows "SELECT detail FROM events WHERE kind = 'warning' AND name = 'params' ORDER BY id") do
      list[i] = host.json_decode(row.detail).text
    end
    return list
  end
  it("is warned of, by its whole name and both values", function()
    expect(warned({ T = 2, optim = { lr = .1 } }, function(p) p.T = 3 end))
      :equals { "run: parameter 'T' was set to 3; the store has 2; expected a local of another name" }
    expect(warned({ T = 2, optim = { lr = .1 } }, function(p) p.optim.lr = .5 end))
      :equals { "run: parameter 'optim.lr' was set to 0.5; the store has 0.1; expected a local of another name" }
    expect(warned({ T = 2, optim = { lr = .1 } }, function(p) p.T = nil end))
      :equals { "run: parameter 'T' was set to nil; the store has 2; expected a local of another name" }
    expect(#warned({ T = 2, optim = { lr = .1 } }, function(p) p.optim = nil end)):equals(1)
  end)
  it("to what it was is none", function()
    expect(warned({ T = 2, optim = { lr = .1 }, on = true }, function(p)
      p.T = 2
      p.optim = { lr = .1 }
    end)):equals {}
  end)
end)

describe("how often a run is saved", function()
  it("is what the command line says, else the experiment", function()
    local function policy(snapshots, options)
      local found
      local _, why = executed({ snapshots = snapshots, run = function(run) found = run.snapshots.policy end }, options)
      return found, why
    end
    local snapshots = require "gradus.experiment.snapshots"
    expect((policy(nil))):equals(snapshots.policy())
    expect((policy "none")):equals(snapshots.policy "none")
    expect((policy("none", { snapshots = "100" }))):equals(snapshots.policy "100")
    local _, why = policy("often")
    expect(tostring(why)):matches "%-%-snapshots: expected steps %(100%), a time %(30s, 5m%) or none; got 'often'"
  end)
end)

describe("what a run needs", function()
  it("is one thread, the processor and the store, unless said otherwise", function()
    local asked = {}
    instead({ { engine, "set_threads", function(n) asked[#asked + 1] = n end },
      { engine, "device", function(name) asked[#asked + 1] = name end },
      { store_module, "open", function(path) return "store " .. path end } }, function()
      expect(runner.prepare { store = "a.db" }):equals "store a.db"
      runner.prepare { store = "a.db", threads = 3, device = "cuda" }
    end)
    expect(asked):equals { 1, "cpu", 3, "cuda" }
  end)
end)

describe("a run alone", function()
  it("ends with the process's signal, or with its summary and 0", function()
    local stop, summed
    local function alone()
      summed = nil
      local code
      instead({ { runner, "execute_one", function() return "text" end }, { children, "stop_code", function() return stop end },
        { runner, "summarize", function(_, texts, experiment) summed = { texts, experiment } end } },
        function() code = runner.execute_alone({}, nil, "experiment", {}, "label") end)
      return code
    end
    stop = 0
    expect({ alone(), summed }):equals { 0, { { "text" }, "experiment" } }
    stop = 130
    expect({ alone(), summed }):equals { 130 }
  end)
end)

describe("an error of a call that is the last of its function", function()
  local words = {}
  for word in io.open("/proc/self/cmdline", "rb"):read "*a":gmatch "[^%z]+" do words[#words + 1] = word end
  local library = table.concat(words, " "):match " %-%-stdlib %S+" or ""
  -- What `gradus run` says of a script.
  local function said(text)
    local folder = os.tmpname()
    os.remove(folder)
    host.mkdirs(folder)
    after_all(function() os.execute("rm -rf " .. folder) end)
    local file = assert(io.open(folder .. "/script.lua", "w"))
    file:write(text)
    file:close()
    local pipe = assert(io.popen(("%s run%s %s/script.lua --store %s/s.db --quiet 2>&1"):format(words[1], library, folder, folder)))
    local out = pipe:read "*a"
    pipe:close()
    return out
  end
  it("has the line of the script", function()
    expect(said "local g = require 'gradus'\n\nreturn g.experiment { name = 'x', runs = 5 }")
      :matches "script.lua:3: experiment: no option 'runs'"
  end)
  it("has the line of the experiment's function", function()
    expect(said "return require('gradus').experiment { name = 'x', run = function(run)\n  return run:fit { modle = 5 }\nend }")
      :matches "script.lua:2: fit: no option 'modle'"
  end)
end)

describe("what a run of the store begins with", function()
  local run_module, live_edit = require "gradus.experiment.run", require "gradus.experiment.live_edit"
  it("is its live edits with --live, and none without", function()
    local made, lives = {}, {}
    instead({ { live_edit, "new", function(_, options, given, flat)
      made[#made + 1] = { options.live, given, flat }
      return false
    end } }, function()
      for _, live in ipairs { false, true } do
        local what = { params = { T = 2 }, run = function(run) lives[#lives + 1] = run.live end }
        executed(what, { live = live or nil }, { given = { T = 4 } })
      end
    end)
    expect({ made, lives }):equals { { { true, { T = 4 }, { T = 4 } } }, { false, false } }
  end)
  -- What run.begin is given, and what was asked of the store, of a run of the plan.
  local function begun(one)
    local given, asked = nil, {}
    local store = { query = function(_, _, id)
      asked[#asked + 1] = id
      return { { hash = "hash of " .. id } }
    end }
    instead({ { run_module, "begin", function(o)
      given = o
      error "begun"
    end } }, function()
      one.seed, one.given = 1, {}
      expect(function()
        runner.execute_one({ quiet = true }, store, g.experiment { name = "spec", run = function() end }, one, "spec")
      end):fails_with "begun"
    end)
    return given, asked
  end
  it("is the hash of the run that it was, where its parameters and code alone do not tell what it is", function()
    local given, asked = begun { forks = 5, detail = {} }
    expect({ given.forks, given.detail, asked }):equals { 5, { config = "hash of 5" }, { 5 } }
    given, asked = begun { resumes = 6, goal = { point = { step = 3 } }, detail = { set = { lr = 1 }, accepted = { "data" } } }
    expect({ given.resumes, given.detail.config, asked }):equals { 6, "hash of 6", { 6 } }
    given, asked = begun { resumes = 7, detail = { accepted = { "data" } } }
    expect({ given.resumes, given.detail.config, asked }):equals { 7, nil, {} }
    given, asked = begun { seed = 1 }
    expect({ given.detail, asked }):equals { nil, {} }
  end)
end)

describe("a run that goes on, and one that is forked", function()
  local run_module = require "gradus.experiment.run"
  -- The events "resume" of a run of the plan: who writes each, its step and more.
  local function events(one)
    local list, begin = {}, run_module.begin
    local function note(who) return function(_, step, kind, name, detail)
      if kind == "resume" then list[#list + 1] = { who, step, name, detail } end
    end end
    instead({ { run_module, "begin", function(o)
      local bare = {}
      for key, value in pairs(o) do bare[key] = value end
      bare.goal, bare.resumes, bare.forks = nil, nil, nil
      local run = begin(bare)
      run.step_number = 4
      local real = run.writer
      run.unmuted = { event = note "unmuted" }
      run.writer = setmetatable({ event = note "plain" }, { __index = function(_, key)
        return type(real[key]) == "function" and function(_, ...) return real[key](real, ...) end or real[key]
      end })
      return run
    end } }, function() executed({ run = function() end }, nil, one) end)
    return list
  end
  it("say so at the step where they stood, as soon as they begin", function()
    expect(events {}):equals {}
    expect(events { resumes = 1, detail = { from = 0 } }):equals { { "plain", 4, "resume", '{"from":0}' } }
    expect(events { resumes = 1, goal = { point = { step = 40 } }, detail = { from = 40 } })
      :equals { { "unmuted", 40, "resume", '{"from":40}' } }
    expect(events { detail = { kind = "fork" } }):equals { { "plain", 4, "fork", '{"kind":"fork"}' } }
  end)
  it("have what their seeds were calculated from already", function()
    for _, case in ipairs { { {}, 1 }, { { resumes = 1 }, 0 }, { { forks = 1 }, 0 } } do
      local begin, count = run_module.begin, nil
      instead({ { run_module, "begin", function(o)
        local bare = {}
        for key, value in pairs(o) do bare[key] = value end
        bare.resumes, bare.forks = nil, nil
        return begin(bare)
      end } }, function()
        local _, _, rows = executed({ grid = { seed = g.seeds { sd = 1, effect = 2 } }, run = function() end }, nil, case[1])
        count = #rows "SELECT * FROM events WHERE kind = 'plan' AND name = 'seeds'"
      end)
      expect(count):equals(case[2])
    end
  end)
end)
