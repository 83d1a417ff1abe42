local g = require "gradus"
local host = require "gradus.host"

local folder = ("%s/gradus-spec-%s"):format(os.getenv "TMPDIR" or "/tmp", host.random_hex(8))
local path = folder .. "/gradus.db"
after_all(function() os.execute("rm -rf " .. folder) end)

local function make()
  local store = require("gradus.store").open(path)
  for seed = 1, 3 do
    local run = store:begin { name = "digits", seed = seed, params = { { key = "strategy", value = seed < 3 and "ramp" or "stages" } } }
    local key = run:key "val/acc"
    run:log(key, 10, seed / 10)
    run:log(key, 20, 0 / 0)
    run:log(key, 30, seed / 5)
    run:finish "finished"
  end
end

describe("g.runs", function()
  it("finds runs by the expression of the command line", function()
    make()
    local found = g.runs { store = path, where = "strategy == 'ramp' and best(val_acc) > 0.3" }
    expect(#found):equals(1)
    expect(found[1].seed):equals(2)
    expect(found[1].params.strategy):equals "ramp"
    expect(found[1].last["val/acc"]):near(.4, 1e-12)
    expect(#g.runs { store = path, limit = 2 }):equals(2)
  end)
  it("gives curves, with NaN where one was logged", function()
    local steps, values = g.runs({ store = path, where = "seed == 1" })[1]:curve "val/acc"
    expect(steps):equals { 10, 20, 30 }
    expect(values[3]):near(.2, 1e-12)
    expect(values[2] ~= values[2]):equals(true)
  end)
  it("gives events, all or of one kind", function()
    local store = require("gradus.store").open(path)
    local run = store:begin { name = "told", seed = 1 }
    run:event(0, "plan", "seeds", '{"sd":0.5}')
    run:event(3, "decision", "next", '{"numbers":{"acc":"nan"}}')
    run:finish "finished"
    local one = g.runs({ store = path, where = "name == 'told'" })[1]
    expect(one:events "decision"):equals { { step = 3, kind = "decision", name = "next", detail = { numbers = { acc = "nan" } } } }
    expect({ #one:events(), one:events()[1].detail.sd, #one:events "stage" }):equals { 2, .5, 0 }
    expect(function() one:events(5) end):fails_with "events: 'kind': expected a text; got 5"
  end)
  it("tells a value that is NaN from none", function()
    local store = require("gradus.store").open(path)
    local run = store:begin { name = "nan", seed = 8 }
    run:log(run:key "val/acc", 1, 0 / 0)
    run:log(run:key "val/inf", 1, math.huge)
    run:finish "finished"
    local one = g.runs({ store = path, where = "name == 'nan'" })[1]
    expect(one.last["val/acc"] ~= one.last["val/acc"]):equals(true)
    expect(one.last["val/loss"]):equals(nil)
    expect(one.last["val/inf"]):equals(math.huge)
    expect(#g.runs { store = path, where = "name == 'nan' and last(val/acc) != 0.5" }):equals(1)
    expect(#g.runs { store = path, where = "name == 'nan' and nans(val/acc) == 1 and not last(val/acc) < 1" }):equals(1)
  end)
  it("knows the best of a metric whose way is known", function()
    local store = require("gradus.store").open(path)
    local run = store:begin { name = "fresh", seed = 9 }
    for step, value in ipairs { 3, 5, 4 } do run:log(run:key "val/score", step, value) end
    run:flush()
    local one = g.runs({ store = path, where = "name == 'fresh'" })[1]
    expect(function() one:best "val/score" end):fails_with "gradus better val/score higher"
    expect(function() g.runs { store = path, where = "best(val/score) > 4" } end):fails_with "which way is better is not known"
    run:better("val/score", "lower")
    run:better("val/score", "lower")
    expect({ one:best "val/score" }):equals { 3, 1 }
    expect({ store:direction "val/score" }):equals { "lower", true }
    expect({ store:direction "val/acc" }):equals { "higher", false }
    expect(#g.runs { store = path, where = "best(val/score) < 4" }):equals(1)
    expect(function() run:better("val/score", "higher") end):fails_with "expected lower, as was said before"
    expect(function() run:better("val/score", "up") end):fails_with "expected higher or lower; got 'up'"
    run:finish "finished"
    local old = g.runs({ store = path, where = "seed == 2" })[1]
    expect({ old:best "val/acc" }):equals { .4, 30 }
    expect(old:best "val/score"):equals(nil)
  end)
  it("sorts as `gradus runs --sort` does: best first, those without the value last, the first of them", function()
    local failed = require("gradus.store").open(path):begin { name = "digits", seed = 9 }
    failed:finish "failed"
    local function seeds(options)
      local list = {}
      options.store, options.where = path, "name == 'digits'"
      for i, one in ipairs(g.runs(options)) do list[i] = one.seed end
      return list
    end
    expect(seeds { sort = "best(val/acc)" }):equals { 3, 2, 1, 9 }
    expect(seeds { sort = "best(val/acc)", reverse = true }):equals { 1, 2, 3, 9 }
    expect(seeds { sort = "val/acc", limit = 1 }):equals { 3 }
    expect(seeds { sort = "seed", limit = 2, reverse = true }):equals { 9, 3 }
    expect(rawget(g.runs({ store = path, sort = "seed", limit = 1 })[1], "columns")):equals(nil)
    expect(function() seeds { sort = "best/val/acc" } end):fails_with "'best/val/acc' is no name; did you mean best(val/acc)?"
    expect(function() seeds { reverse = true } end):fails_with "runs: reverse without sort"
  end)
  it("says what is wrong at the caller's line", function()
    expect(function() g.runs { store = path, where = "stategy == 'ramp'" } end):fails_with "did you mean 'strategy'"
    expect(function() g.runs { store = path, were = "" } end):fails_with "did you mean 'where'"
  end)
end)

describe("a run's writer", function()
  it("splits what was logged off as a run of its own", function()
    local store = require("gradus.store").open(path)
    local run = store:begin { name = "two", seed = 4 }
    run:log(run:key "val/acc", 1, .5)
    local id, uid = run:split { name = "fit", kind = "teacher" }
    run:log(run:key "val/acc", 1, .75)
    local other = run:split { name = "again" }
    expect(function() run:split {} end):fails_with "split: expected a name"
    run:finish "finished"
    local children = g.runs { store = path, where = "parent == " .. run.id, children = true }
    expect(#children):equals(2)
    local first, second = children[1], children[2]
    expect({ first.id, first.uid, first.name, first.kind, first.status }):equals { id, uid, "fit", "teacher", "finished" }
    expect({ second.id, second.kind }):equals { other, "training" }
    expect(children[1].last["val/acc"]):equals(.5)
    expect(children[2].last["val/acc"]):equals(.75)
  end)
end)

describe("g.compare", function()
  it("pairs groups by seed", function()
    local at = path:gsub("gradus.db", "pairs.db")
    local store = require("gradus.store").open(at)
    for _, method in ipairs { "one_shot", "extraction" } do
      for seed = 1, 3 do
        local run = store:begin { name = "parity", seed = seed, params = { { key = "method", value = method } } }
        run:log(run:key "result/gflops_to_95", 10, seed + (method == "extraction" and seed / 10 - 2 or 0))
        run:finish "finished"
      end
    end
    local c = g.compare { store = at, by = { "method" }, metrics = { "result/gflops_to_95" }, versus = "one_shot" }
    expect(#c.groups):equals(2)
    local one = c.versus.comparisons[1]
    expect(c.groups[one.group + 1].label.method):equals "extraction"
    expect(one.pairs):equals(3)
    expect(one.mean):near(-1.8, 1e-9)  -- of -1.9, -1.8 and -1.7: sd .1, t = 4.302653
    expect(one.high):near(-1.8 + 4.302653 * .1 / math.sqrt(3), 1e-6)
    expect(one.verdict):equals "better"  -- less is better
    local function verdict(margin)
      return g.compare { store = at, by = { "method" }, metrics = { "result/gflops_to_95" }, versus = "method=one_shot", margin = margin }
        .versus.comparisons[1].verdict
    end
    expect(verdict(3)):equals "no difference"
    expect(verdict(1.85)):equals "better"
    expect(function() verdict(0) end):fails_with "margin"
  end)
  it("takes no parameters, and what are texts", function()
    local groups = g.compare({ store = path, where = "name == 'digits'", by = {}, metrics = { "val/acc" } }).groups
    expect(#groups > 0):is_true()
    for _, wrong in ipairs { { 5 }, "strategy", { a = "strategy" } } do
      expect(function() g.compare { store = path, by = wrong } end):fails_with "compare: 'by': expected a list, each a text or an empty one"
    end
  end)
  it("says what is wrong", function()
    expect(function() g.compare { store = path, versos = "a" } end):fails_with "did you mean 'versus'"
    expect(function() g.compare { store = path, by = { "strategy" }, versus = "stage" } end):fails_with "did you mean 'stages'"
  end)
end)

os.execute("rm -rf '" .. path:gsub("/[^/]*$", "") .. "'")

describe("a stored run's weights", function()
  local function kept(paths)
    host.mkdirs(folder)
    local store = require("gradus.store").open(path)
    local run = store:begin { name = "kept", seed = 1 }
    for _, one in ipairs(paths) do run:artifact("weights", one, ("0"):rep(64), 1) end
    run:finish "finished"
    local found = g.runs { store = path, where = "name == 'kept'" }
    return found[#found]
  end
  it("are told as files for net:load, the best unless the last are asked for", function()
    local one = kept { "student.best.safetensors", "student.last.safetensors" }
    expect(one.folder):equals(folder .. "/" .. one.uid)
    expect(one:weights()):equals(one.folder .. "/student.best.safetensors")
    expect(one:weights "last"):equals(one.folder .. "/student.last.safetensors")
  end)
  it("are the last student's, where a teacher was trained before it", function()
    local one = kept { "student.best.safetensors", "student-2.last.safetensors", "student-2.best.safetensors" }
    expect(one:weights()):equals(one.folder .. "/student-2.best.safetensors")
    expect(one:weights "1.best"):equals(one.folder .. "/student.best.safetensors")
    expect(kept({ "student.last.safetensors" }):weights()):matches "student%.last%.safetensors$"
  end)
  it("that are not there are errors", function()
    local one = kept { "student.last.safetensors" }
    expect(function() one:weights "2.best" end):fails_with "has no student-2.best.safetensors; it has student.last.safetensors"
    expect(function() kept({}):weights() end):fails_with "it has no weights"
    expect(function() one:weights "worst" end):fails_with "weights: expected 'best', 'last' or '1.best'; got 'worst'"
    expect(function() one:weights(3) end):fails_with "weights"
    expect(function() return one.foldr end):fails_with "a stored run has no 'foldr'"
    expect(one.note):equals(nil)
  end)
end)

describe("a store that is not there", function()
  it("is an error where it was named, and without runs where it is this run's own", function()
    local none = os.tmpname()
    os.remove(none)
    host.mkdirs(none)
    after_all(function() os.execute("rm -rf " .. none) end)
    local file, kept = none .. "/none.db", host.options.store
    expect(function() g.runs { store = file } end):fails_with "none.db: no such store; expected a file that `gradus run SCRIPT` made"
    expect(host.exists(file)):equals(false)
    host.options.store = file
    local ok, found = pcall(g.runs, {})
    host.options.store = kept
    expect({ ok, found }):equals { true, {} }
  end)
end)
