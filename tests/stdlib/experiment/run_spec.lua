-- A run as the program carries it out: exit codes, what the store keeps, repetition; and what a run's methods refuse.
local g = require "gradus"
local host = require "gradus.host"
local instead = require "instead"
local support = require "support"

local binary = io.open("/proc/self/cmdline", "rb"):read "*a":match "^[^%z]+"
local stdlib
do  -- the spec may read the library from a folder: its programs should read the same
  local seen
  for word in io.open("/proc/self/cmdline", "rb"):read "*a":gmatch "[^%z]+" do
    if seen == "--stdlib" then stdlib = word end
    seen = word
  end
end

-- Runs a script in a folder of its own; returns the exit code, what it printed, and queries of its store.
local function program(text, options)
  local folder = os.tmpname()
  os.remove(folder)
  after_all(function() os.execute("rm -rf " .. folder) end)
  host.mkdirs(folder)
  local file = assert(io.open(folder .. "/script.lua", "w"))
  file:write(text)
  file:close()
  local pipe = assert(io.popen(("%s run %s %s/script.lua --store %s/s.db %s 2>&1; echo exit=$?"):format(binary,
    stdlib and "--stdlib " .. stdlib or "", folder, folder, options or "")))
  local out = pipe:read "*a"
  pipe:close()
  local store = require("gradus.store").open(folder .. "/s.db")
  local function rows(query, ...) return store:query(query, ...) end
  return { code = tonumber(out:match "exit=(%d+)%s*$"), out = out, rows = rows, store = store, close = function()
    store = nil
    os.execute("rm -rf " .. folder)
  end }
end

local SCRIPT = [[
local g = require "gradus"
return g.experiment {
  name = "spec",
  params = { lr = .01, bad = false, stop = 0, width = g.int(8) },
  grid = { width = { 4, 8 }, seed = { 1, 2 } },
  run = function(run, p)
    local x = g.randn({ 120, 6 }, { generator = g.generator(17) })
    local y = x:slice(1, 0, 3):argmax(1)
    if p.bad then x[7] = 0 / 0 end
    local d = g.data.tensors(x, y, { classes = 3 }):split { train = .5, val = .5 }
    if p.bad then d = { train = g.data.tensors(x, y, { classes = 3 }), val = d.val } end
    local student = g.nn.MLP { 6, p.width, 3 }
    local r = run:distill { student = student, data = d, batch = 12, budget = { steps = 20 }, lr = p.lr, augment = .3,
      restore_best = not p.bad }
    return { acc = run:evaluate(student, d.val).acc, seed = run.seed, width = p.width }
  end,
}
]]

describe("a script of several runs", function()
  local one = program(SCRIPT)
  it("ends well, each run with its result, seed and parameters in the store", function()
    expect(one.code):equals(0)
    local runs = one.rows "SELECT id, name, status, seed FROM runs ORDER BY id"
    local seeds = {}
    for i, run in ipairs(runs) do seeds[i] = ("%s %s %d"):format(run.name, run.status, run.seed) end
    expect(seeds):equals { "spec finished 1", "spec finished 2", "spec finished 1", "spec finished 2" }
    for i, width in ipairs { 4, 4, 8, 8 } do
      expect(one.rows("SELECT value FROM params WHERE run_id = ? AND key = 'width'", runs[i].id)[1].value):equals(width)
      expect(one.rows("SELECT last FROM summaries WHERE run_id = ? AND key = 'result/width'", runs[i].id)[1].last):equals(width)
      expect(one.rows("SELECT last FROM summaries WHERE run_id = ? AND key = 'result/seed'", runs[i].id)[1].last):equals(runs[i].seed)
    end
  end)
  it("makes each run as if it ran alone", function()
    local alone = program(SCRIPT, "--set width=8 --seed 2")
    local query = "SELECT step, value FROM metrics WHERE run_id = ? AND key = 'train/loss' ORDER BY step"
    expect(alone.code):equals(0)
    expect(#alone.rows "SELECT id FROM runs"):equals(1)
    expect(#alone.rows(query, 1)):equals(20)
    expect(alone.rows(query, 1)):equals(one.rows(query, 4))
    alone.close()
  end)
  it("is the same in every metric when it is run again", function()
    local again = program(SCRIPT)
    local query = "SELECT run_id, key, step, value FROM metrics ORDER BY run_id, key, step"
    expect(again.rows(query)):equals(one.rows(query))
    again.close()
    one.close()
  end)
end)

describe("a loss that is not finite", function()
  it("ends the program with code 3, names the rows and keeps what was logged", function()
    local one = program(SCRIPT, "--set bad=true --seed 1 --set width=8")
    expect(one.code):equals(3)
    expect(one.out):matches "the loss is %-?nan"
    local event = one.rows "SELECT step, kind, name, detail FROM events WHERE kind = 'health'"
    expect(#event >= 1):is_true()
    local detail = host.json_decode(event[#event].detail)
    local found = false
    for _, row in ipairs(detail.rows) do found = found or row == 7 end
    expect(found):is_true()
    expect(#detail.rows):equals(12)
    expect(one.rows("SELECT status FROM runs")[1].status):equals "failed"
    one.close()
  end)
end)

describe("an error in a script", function()
  it("ends the program with code 65 and leaves a failed run with its message", function()
    local one = program([[
local g = require "gradus"
return g.experiment { name = "x", run = function(run)
  run:log { a = 1 }
  local t = g.zeros(2) + g.zeros(3)
end }
]])
    expect(one.code):equals(65)
    expect(one.out):matches "script.lua:4: add: The size of tensor a %(2%) must match the size of tensor b %(3%)"
    expect(one.rows("SELECT status FROM runs")[1].status):equals "failed"
    expect(one.rows("SELECT value FROM metrics WHERE key = 'a'")[1].value):equals(1)
    one.close()
  end)
end)

describe("the end of a run", function()
  it("keeps what was measured where a result has no metric's name: the run has failed, with the reason", function()
    local one = program([[
local g = require "gradus"
return g.experiment { name = "x", run = function(run)
  run:log { a = 1 }
  return { acc = .5, ["top-1 acc"] = .9 }
end }
]])
    expect(one.code):equals(65)
    expect(one.out):matches "result 'top%-1 acc': expected a name"
    expect(one.rows "SELECT key, last FROM summaries ORDER BY key"):equals { { key = "a", last = 1 }, { key = "result/acc", last = .5 } }
    local run = one.rows("SELECT status, error FROM runs")[1]
    expect(run.status):equals "failed"
    expect(run.error):matches "top%-1 acc"
    expect(one.rows("SELECT detail FROM events WHERE kind = 'result'")[1].detail):equals '{"top-1 acc":0.9}'
    one.close()
  end)
  it("reads tensors, keeps texts and booleans, and tells NaN from infinity in the JSON document", function()
    local one = program([[
local g = require "gradus"
return g.experiment { name = "x", metrics = { rmse = { better = "lower" } }, run = function(run)
  return { acc = g.ones(1):mean(), note = "good", ok = true, n = 3, bad = 0 / 0, big = 1 / 0, rmse = 2 }
end }
]], "--json")
    expect(one.code):equals(0)
    local run = host.json_decode(one.out:match "{.*}").runs[1]
    expect(run.result.bad):equals "nan"
    run.result.bad = nil
    expect(run.result):equals { acc = 1, n = 3, big = "inf", rmse = 2, note = "good", ok = true }
    expect(one.rows("SELECT last FROM summaries WHERE key = 'result/acc'")[1].last):equals(1)
    for _, key in ipairs { "rmse", "result/rmse" } do expect(one.store:direction(key)):equals "lower" end
    one.close()
  end)
  it("begins only where the store knows no other way of a metric", function()
    local one = program([[
local g = require "gradus"
return g.experiment { name = "x", metrics = { rmse = { better = "lower" }, ["result/rmse"] = { better = "higher" } }, run = function(run)
  run:log { a = 1 }
end }
]])
    expect(one.code):equals(65)
    expect(one.rows "SELECT status FROM runs"):equals { { status = "failed" } }
    expect(one.rows "SELECT * FROM metrics"):equals {}
    one.close()
  end)
  it("with --quiet prints the table alone", function()
    local one = program([[
local g = require "gradus"
return g.experiment { name = "x", run = function(run) return { acc = .5 } end }
]], "--quiet")
    expect(one.out):equals "\n  run  acc\n  ───  ───\n  x    0.5\n\nexit=0\n"
    one.close()
  end)
  it("is a failure where the last values cannot be read", function()
    local folder = os.tmpname()
    os.remove(folder)
    local ok, err = pcall(support.with_run, { folder = folder }, function(run)
      run.readback.settle = function() error "the device is gone" end
    end)
    expect({ ok, tostring(err):find "the device is gone" ~= nil }):equals { false, true }
    local store = require("gradus.store").open(folder .. "/s.db")
    expect(store:query("SELECT status FROM runs")[1].status):equals "failed"
    os.execute("rm -rf " .. folder)
  end)
end)

describe("a run's methods", function()
  it("log numbers, tensors of one value and booleans, the last of a step wins", function()
    local _, seen = support.with_run(nil, function(run)
      run:log { a = 1, t = g.tensor(2.5), b = g.tensor(true) }
      run:log({ a = 3 }, 7)
      run:log({ a = 4 }, 7)
      run:log { nan = 0 / 0, inf = math.huge }
    end)
    expect(seen.metric "a"):equals { { 0, 1 }, { 7, 4 } }
    expect({ seen.values("t")[1], seen.values("b")[1], seen.values("inf")[1] }):equals { 2.5, 1, math.huge }
    expect(#seen.metric "nan"):equals(1)
    expect(seen.values("nan")[1]):equals(nil)
  end)
  it("tell a listener what is read late under the names that the script gave", function()
    support.with_run(nil, function(run)
      local heard = {}
      run:log { ["t/a"] = 1, ["t/b"] = 2 }
      run.listener = function(name, number, at) heard[#heard + 1] = { name, number, at } end
      run.readback:push({ [run.keys["t/a"]] = g.tensor(4) }, 5)
      run.readback:settle()
      run.listener = false
      expect(heard):equals { { "t/a", 4, 5 } }
    end)
  end)
  it("train one after the other without overwriting each other's curves", function()
    local r, before
    local _, seen = support.with_run(nil, function(run)
      local d = support.points():split { train = .5, val = .5 }
      local teacher = run:fit { model = support.student(4), data = d, steps = 7, batch = 12, evaluate = { steps = 7 } }
      r = run:distill { student = support.student(), teacher = teacher, data = d, batch = 12,
        budget = { steps = 5 }, evaluate = { steps = 5 } }
      for i in run:batches(d.train, { size = 12, steps = 2 }) do run:log { open = i } end
      before = run.store:query([[SELECT r.name, m.step FROM runs r JOIN metrics m ON m.run_id = r.id
        WHERE r.parent = ? AND m.key = 'train/loss' ORDER BY m.step]], run.id)
    end)
    local function steps(key)
      local out = {}
      for i, pair in ipairs(seen.metric(key)) do out[i] = pair[1] end
      return out
    end
    expect({ #before, before[1].name, before[1].step, before[7].step }):equals { 7, "fit", 1, 7 }  -- a run of its own, below this one
    expect(steps "train/loss"):equals { 1, 2, 3, 4, 5 }
    expect(steps "val/acc"):equals { 5 }
    expect(steps "open"):equals { 6, 7 }
    expect({ r.steps, #seen.stages, seen.stages[1].step }):equals { 5, 1, 0 }
  end)
  it("keep what is registered by name", function()
    support.with_run(nil, function(run)
      local student = support.student()
      expect(run:register("student", student) == student):is_true()
      expect(run:register("student", student) == student):is_true()
      expect(function() run:register("student", support.student()) end):fails_with "register: 'student' is taken by another object"
      expect(function() run:register(5, student) end):fails_with "register: expected a name; got 5"
    end)
  end)
  it("evaluate", function()
    support.with_run(nil, function(run)
      local d = support.points(50)
      local student = support.student()
      local r = run:evaluate(student, d)
      local logits = g.no_grad(function() return student((d:gather())) end)
      expect(r.n):equals(50)
      expect(r.acc):near(logits:argmax(1):eq(d.base.y):double():mean():item())
      expect(r.loss):near(g.cross_entropy_loss(logits, d.base.y):item(), 1e-6)
      expect(run:evaluate(student, d, student).agreement):equals(1)
      expect(student.training):is_true()
    end)
  end)
  it("train nothing where a run only comes back to where it stood", function()
    support.with_run(nil, function(run)
      rawset(run, "replaying", true)
      local student = support.student()
      local plain, kept = run:distill { student = student }, run:distill { student = student, checkpoints = { steps = 1 } }
      expect({ plain.student == student, plain.checkpoints, kept.checkpoints:count() }):equals { true, nil, 0 }
      expect(run:lookahead({ student = student }).student == student):is_true()
      rawset(run, "replaying", nil)
    end)
  end)
  it("wait for a file that another run makes, and say so", function()
    support.with_run(nil, function(run)
      local asked, waited, breaths = {}, {}, 0
      run.line = setmetatable({ waiting = function(text) waited[#waited + 1] = text end }, { __index = run.line })
      rawset(run, "breathe", function() breaths = breaths + 1 end)
      instead({ { host, "lock", function(path, seconds)
        asked[#asked + 1] = { path, seconds }
        return #asked == 3 and "the lock" or nil
      end } }, function() expect(run:lock("x.lock", "the teacher")):equals "the lock" end)
      rawset(run, "breathe", nil)
      expect({ asked, breaths }):equals { { { "x.lock", 0 }, { "x.lock", .1 }, { "x.lock", .1 } }, 2 }
      expect(waited):equals { "waits for the teacher, which another run makes", "waits for the teacher, which another run makes" }
    end)
  end)
  it("derive streams from the seed by name", function()
    local function streams(seed)
      local out
      support.with_run({ seed = seed }, function(run) out = { run:stream "a", run:stream "b", run:stream("a", 1) } end)
      return out
    end
    expect(streams(1)):equals(streams(1))
    expect(streams(1)):differs_from(streams(2))
    local s = streams(1)
    expect(s[1] ~= s[2] and s[1] ~= s[3]):is_true()
  end)
  it("warn, and fail when strict", function()
    local _, seen = support.with_run(nil, function(run) run:warn("odd", "this is odd") end)
    expect(seen.warnings[1].detail):equals { text = "this is odd" }
    expect(function() support.with_run({ strict = true }, function(run) run:warn("odd", "this is odd") end) end):fails_with "this is odd"
  end)
  local cases = {
    { "a text as a metric's value", function(run) run:log { a = "1" } end,
      "log: 'a': expected a number or a 0-dim tensor; got string" },
    { "a list as a value", function(run) run:log { a = g.zeros(3) } end,
      "log: 'a': expected a number or a 0-dim tensor; got" },
    { "a metric with a blank", function(run) run:log { ["a b"] = 1 } end, "a b" },
    { "a number as metrics", function(run) run:log(5) end, "log: expected a table of numbers by name; got 5" },
    { "a step that is no number", function(run) run:log({ a = 1 }, "last") end,
      "log: step: expected a whole number from -2^63 to less than 2^63; got 'last'" },
    { "an evaluation of nothing", function(run) run:evaluate(nil, support.points(9)) end,
      "evaluate: expected a module; got nil" },
    { "an evaluation on a tensor", function(run) run:evaluate(support.student(), g.zeros(3)) end,
      "evaluate: expected a data set; got Tensor" },
    { "an evaluation without labels", function(run) run:evaluate(support.student(), g.data.tensors(g.zeros(3, 6))) end,
      "evaluate: the data set has no labels" },
    { "a fit without an end", function(run) run:fit { model = support.student(), data = support.points(30) } end,
      "fit: expected epochs = … or steps = …" },
    { "a misspelt option of fit", function(run) run:fit { modle = 1 } end,
      "fit: no option 'modle'; did you mean 'model'?" },
    { "a step that is no function", function(run) run:step(5) end,
      "step: expected a function(batch, knobs); got number" },
    { "a misspelt method", function(run) run:evalute() end, "no 'evalute'; did you mean 'evaluate'?" },
  }
  for _, case in ipairs(cases) do
    it("refuse " .. case[1], function() expect(function() support.with_run(nil, case[2]) end):fails_with(case[3]) end)
  end
  it("fit outside of a run says so", function()
    expect(function() g.fit { model = support.student(), data = support.points(9), steps = 1 } end):fails_with "fit: no run is going on"
  end)
end)

describe("the configuration's hash", function()
  -- The hashes of the runs of a script, always at the same place, where POINTS is the file of data.
  local folder = os.tmpname()
  os.remove(folder)
  after_all(function() os.execute("rm -rf " .. folder) end)
  local function write(name, text)
    host.mkdirs(folder)
    local file = assert(io.open(folder .. "/" .. name, "w"))
    file:write(text)
    file:close()
  end
  local times = 0
  local function hashes(script, csv, options)
    times = times + 1  -- this process keeps a store open: another name each time
    write("points.csv", csv)
    write("script.lua", (script:gsub("POINTS", folder .. "/points.csv")))
    local status = os.execute(("%s run %s %s/script.lua --store %s/%d.db --quiet %s"):format(binary, stdlib and "--stdlib " .. stdlib or "",
      folder, folder, times, options or ""))
    expect(status):equals(0)
    local store, found = require("gradus.store").open(("%s/%d.db"):format(folder, times)), {}
    for i, row in ipairs(store:query "SELECT config_hash FROM runs WHERE kind = 'run' ORDER BY id") do found[i] = row.config_hash end
    os.execute("rm -rf " .. folder)
    return found
  end
  local READS = [[
local g = require "gradus"
local function build(name) return g.fit { model = g.nn.Linear(2, 2), data = g.data.csv(name, { label = "y" }), steps = 2 } end
return g.experiment { name = "spec", params = { cached = false }, grid = { seed = { 1, 2 } }, run = function(run, p)
  if p.cached then return run:cached("teacher", build, "POINTS") and nil end
  local d = g.data.csv("POINTS", { label = "y" }):split { train = .5, val = .5 }
  run:distill { student = g.nn.Linear(2, 2), data = d, batch = 2, budget = { steps = 2 } }
end }
]]
  local A, B = "a,b,y\n1,2,0\n2,1,1\n3,1,1\n1,5,0\n", "a,b,y\n1,2,0\n2,1,1\n3,1,1\n1,6,0\n"
  it("is one for all seeds, and another for other data", function()
    local first = hashes(READS, A)
    expect(first[1]):equals(first[2])
    local other = hashes(READS, B)
    expect(other[1]):equals(other[2])
    expect(other[1]):differs_from(first[1])
    expect(hashes(READS, A)[1]):equals(first[1])
  end)
  it("covers what a cached build reads, on a hit as on a miss", function()
    local miss_hit = hashes(READS, A, "--set cached=true")
    expect(miss_hit[1]):equals(miss_hit[2])
    expect(hashes(READS, B, "--set cached=true")[1]):differs_from(miss_hit[1])
  end)
  it("does not cover what the script makes of its seed", function()
    local made = hashes([[
local g = require "gradus"
return g.experiment { name = "spec", grid = { seed = { 1, 2 } }, run = function(run)
  local d = g.data.parity { d = 6, k = 2, held_out = 20 }
  run:distill { student = g.nn.Linear(6, 2), data = d, batch = 2, budget = { steps = 2 } }
  run:evaluate(g.nn.Linear(3, 2), g.data.tensors(g.randn { 5, 3 }, g.zeros({ 5 }, { dtype = "int64" }), { classes = 2 }))
end }
]], "")
    expect(made[1]):equals(made[2])
  end)
end)

describe("a key that is logged twice", function()
  local function warnings(fn)
    local _, seen = support.with_run({}, fn)
    local names = {}
    for i, one in ipairs(seen.warnings) do names[i] = one.name end
    return names
  end
  it("at one step is told of once", function()
    expect(warnings(function(run)
      for _ = 1, 3 do run:log { a = 1 } end
    end)):equals { "logged_twice" }
    expect(warnings(function(run)
      run:log({ a = 1 }, 5)
      run:log({ a = 2 }, 5)
    end)):equals { "logged_twice" }
  end)
  it("at several steps is not, nor are two keys", function()
    expect(warnings(function(run)
      for i = 1, 3 do run:log({ a = i }, i) end
      run:log({ b = 1 }, 3)
      run.step_number = 4
      run:log { a = 1 }
      run.step_number = 5
      run:log { a = 1 }
    end)):equals {}
  end)
end)

describe("a run that was changed on its way", function()
  local in_a_run = require "a_run"
  it("is a repetition of none that was not, or was otherwise", function()
    local function hashed(change)
      local hash, list, tags
      in_a_run(function(run, events, rows)
        if change then change(run) end
        hash, list = rows("select config_hash from runs where id = ?")[1].config_hash, events()
        tags = rows "select name from tags where run_id = ?"
      end)
      return hash, list, tags
    end
    local function edit(lr) return function(run) run:edited("attach", { lr = lr }) end end
    local function data(text) return function(run) run:other_data { text } end end
    local plain = hashed()
    expect((hashed())):equals(plain)
    local hash, list, tags = hashed(edit(1))
    expect({ list[1].kind, list[1].name, list[1].detail, tags[1].name }):equals { "edit", "attach", { lr = 1 }, "edited" }
    expect((hashed(edit(1)))):equals(hash)
    expect(hash):differs_from(plain)
    expect((hashed(edit(2)))):differs_from(hash)
    local other
    other, list = hashed(data "data x was 1, now 2")
    expect({ list[1].kind, list[1].name, list[1].detail }):equals { "resume", "data", { accepted = { "data x was 1, now 2" } } }
    expect(other):differs_from(plain)
    expect((hashed(data "data x was 1, now 3"))):differs_from(other)
  end)
end)

describe("code that is loaded while a run goes on", function()
  local in_a_run = require "a_run"
  it("is stored once, as what the run is, and not by a run that has not come back to where it was", function()
    local current = require "gradus.base.current"
    in_a_run(function(run)
      local amended, read, real = {}, {}, host.sources()
      local writer = setmetatable({ amend = function(_, what) amended[#amended + 1] = what end }, { __index = run.writer })
      local function with(...)
        local all = { unpack(real) }
        for _, one in ipairs { ... } do all[#all + 1] = one end
        local before = run.writer
        run.writer = writer
        instead({ { host, "sources", function() return all end }, { current, "reads", function(text) read[#read + 1] = text end } },
          function() run:note_sources() end)
        run.writer = before
      end
      local a, b, c = { path = "a.lua", sha256 = "aa" }, { path = "b.lua", sha256 = "bb" }, { path = "c.lua", sha256 = "cc" }
      with()
      expect({ amended, read }):equals { {}, {} }
      with(a)
      with(a, b, c)
      with(a, b, c)
      expect({ amended, read }):equals { { { sources = { a } }, { sources = { b, c } } }, { "a.lua aa", "b.lua bb", "c.lua cc" } }
      local d = { path = "d.lua", sha256 = "dd" }
      for _, state in ipairs { { "live", true }, { "unmuted", {} } } do
        local kept = rawget(run, state[1])
        rawset(run, state[1], state[2])
        with(a, b, c, d)
        rawset(run, state[1], kept)
      end
      expect(#amended):equals(2)
      rawset(run, "unmuted", writer)
      with(a, b, c, d)
      rawset(run, "unmuted", false)
      expect({ #amended, amended[3] }):equals { 3, { sources = { d } } }
    end)
  end)
end)
