-- When a run's snapshots are taken, which of them stay, and that a run which goes on from one has the rows and
-- weights that it would have had.
local g = require "gradus"
local engine = require "gradus.engine"
local host = require "gradus.host"
local run_module = require "gradus.experiment.run"
local sameness = require "gradus.experiment.sameness"
local snapshot_files = require "gradus.experiment.snapshot_files"
local snapshots = require "gradus.experiment.snapshots"
local store_module = require "gradus.store"
local support = require "support"

local function in_folder(fn)
  local folder = ("%s/gradus-snapshots-%s"):format(os.getenv "TMPDIR" or "/tmp", host.random_hex(8))
  host.mkdirs(folder)
  local ok, why = xpcall(fn, host.traceback, folder)
  os.execute("rm -rf '" .. folder .. "'")
  if not ok then error(why, 0) end
end

-- A run that calls work(run). Returns what it left: its id and folder, whether it finished, its warnings.
local function a_run(folder, work, more)
  local store = store_module.open(folder .. "/s.db")
  local options = { store = store, name = "spec", seed = 1, flat = {}, params = {}, options = { quiet = true }, label = "spec" }
  for key, value in pairs(more or {}) do options[key] = value end
  local run = run_module.begin(options)
  local ok, why = pcall(work, run)
  run:finish(ok and "finished" or "failed", not ok and tostring(why) or nil)
  local seen = { id = run.id, folder = run.folder, ok = ok, why = why, rows = {}, warnings = {} }
  for _, row in ipairs(store:query("SELECT key, step, value FROM metrics WHERE run_id = ? ORDER BY key, step", run.id)) do
    seen.rows[#seen.rows + 1] = ("%s %d %.9g"):format(row.key, row.step, row.value)
  end
  for _, row in ipairs(store:query "SELECT detail FROM events WHERE kind = 'warning' ORDER BY id") do  -- of the teacher's part too
    seen.warnings[#seen.warnings + 1] = row.detail
  end
  return seen
end

local function files(folder, of_training)
  local list = {}
  for _, one in ipairs(snapshot_files.list(folder)) do
    if not of_training or one.training == of_training then list[#list + 1] = one.file:match "[^/]*$" end
  end
  return list
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

-- A teacher's training and a distillation of 40 steps each; `fails` at a step of the second. Dropout and math.random draw on.
local function two_trainings(out, fails)
  return function(run)
    local d = support.points():split({ train = .5, val = .5 }, { seed = 3 })
    local teacher = support.student(12)
    run:fit { model = teacher, data = d, steps = 40, batch = 12, evaluate = { steps = 5 } }
    local student = g.nn.MLP { 6, 8, 3, dropout = .2 }
    run:distill { student = student, teacher = teacher, data = d, batch = 12, budget = { steps = 40 }, evaluate = { steps = 5 },
      lr = function(s)
        if fails and s.step >= fails then error "power cut" end
        return .02 + 1e-3 * math.random()
      end }
    out.weights, out.random = support.weights(student), math.random()
  end
end

describe("how often", function()
  it("is steps, a time, none, or every minute", function()
    for text, wanted in pairs { ["100"] = { steps = 100 }, ["1"] = { steps = 1 }, ["30s"] = { seconds = 30 }, ["0.5s"] = { seconds = .5 },
      ["5m"] = { seconds = 300 }, ["2h"] = { seconds = 7200 }, none = { none = true } } do
      expect(snapshots.policy(text)):equals(wanted)
    end
    expect(snapshots.policy(50)):equals { steps = 50 }
    expect(snapshots.policy()):equals { first = 5, seconds = 60 }
    for _, text in ipairs { "0", "0s", "-1", "1.5", "often", "", "5d", "s", "1e", "nan" } do expect(snapshots.policy(text)):equals(nil) end
  end)
  it("is kept to, and of a training the newest stay", function()
    in_folder(function(folder)
      local seen = a_run(folder, two_trainings({}, 36), { policy = { steps = 5 } })
      assert(not seen.ok)
      expect(files(seen.folder, 2)):equals { "2-25.safetensors", "2-30.safetensors", "2-35.safetensors" }
      local first = files(seen.folder, 1)
      expect(first[#first]):equals "1-end.safetensors"
      expect(files(a_run(folder, two_trainings({}, 36), { policy = { none = true } }).folder)):equals {}
      expect(files(a_run(folder, two_trainings({}, 36)).folder)):equals {}  -- in no minute
    end)
  end)
  it("of a run that finished, the last training's end stays", function()
    in_folder(function(folder)
      local seen = a_run(folder, two_trainings {}, { policy = { steps = 10 } })
      assert(seen.ok, seen.why)
      expect(files(seen.folder)):equals { "2-end.safetensors" }
    end)
  end)
  it("what is being written when the run ends is waited for", function()
    in_folder(function(folder)
      local saved, waited = engine.data.snapshot_saved, false
      engine.data.snapshot_saved = function(wait)
        waited = waited or wait
        return saved(wait)
      end
      local ok, seen = pcall(a_run, folder, two_trainings({}, 36), { policy = { steps = 5 } })
      engine.data.snapshot_saved = saved
      assert(ok, seen)
      expect(waited):is_true()
    end)
  end)
  it("a disk that takes none is told of once, and the run goes on", function()
    in_folder(function(folder)
      local seen = a_run(folder, function(run)
        host.mkdirs(run.folder)
        io.open(run.folder .. "/snapshots", "w"):close()  -- a file where the folder belongs
        two_trainings {}(run)
      end, { policy = { steps = 10 } })
      assert(seen.ok, seen.why)
      expect(#seen.warnings):equals(1)
      expect(seen.warnings[1]):matches "no snapshot could be taken, so the run cannot go on after an interruption: "
    end)
  end)
end)

describe("by the clock", function()
  -- When one is taken of a training that looks every `wait` seconds, n times; the stage moves at the looks of `moves`.
  local function taken(wait, n, moves)
    local monotonic, now, stage, times = host.monotonic, 1000, { stage_index = 1 }, {}
    host.monotonic = function() return now end
    local ok, why = pcall(function()
      local run = { folder = "/nowhere", step_number = 0, axis = 1 }
      local part, one = { s = stage }, snapshots.new(run, { seconds = 60 })
      one:begin(part)
      one.take = function(self)
        times[#times + 1] = now - 1000
        self.time, self.looks = now, 0
      end
      for i = 1, n do
        now = now + wait
        if moves[i] then stage.stage_index = stage.stage_index + 1 end
        one:look(part)
      end
    end)
    host.monotonic = monotonic
    if not ok then error(why, 0) end
    return times
  end
  it("one is taken each minute, seen at each eighth boundary", function()
    expect(taken(10, 20, {})):equals { 80, 160 }
    expect(taken(7, 20, {})):equals { 112 }
  end)
  it("one is taken where a stage has ended, if it is worth it", function()
    expect(taken(1, 20, { [4] = true })):equals {}
    expect(taken(1, 20, { [5] = true })):equals { 5 }
    expect(taken(1, 20, { [9] = true, [12] = true, [14] = true })):equals { 9, 14 }
    expect(taken(6, 6, { [2] = true })):equals { 12 }
  end)
end)

describe("a run that goes on", function()
  for name, at in pairs { ["from the middle of its second training"] = 27, ["from its first training's end"] = 0 } do
    it(name .. " has the rows, weights and draws that it would have had", function()
      in_folder(function(folder)
        local wanted, got = {}, {}
        local whole = a_run(folder, two_trainings(wanted), { policy = { steps = 10 } })
        local cut = a_run(folder, two_trainings({}, at), { policy = { steps = 10 } })
        local goal = snapshot_files.newest(cut.folder, error)
        expect(goal.training):equals(at > 0 and 2 or 1)
        expect(sameness.differences(goal, { device = "cpu", options = {} })):equals {}
        local again = a_run(folder, two_trainings(got), { policy = { steps = 10 }, resumes = cut.id, goal = goal })
        assert(again.ok, again.why)
        expect(again.id):equals(cut.id)
        expect(got):equals(wanted)
        expect(again.rows):equals(whole.rows)
      end)
    end)
  end
  it("for longer takes its schedules over the new budget, or leaves them where they ended", function()
    local function train(steps)
      return function(run)
        local d = support.points():split({ train = .5, val = .5 }, { seed = 3 })
        run:fit { model = support.student(), data = d, steps = steps, batch = 12, evaluate = { steps = 10 }, warmup = false,
          decay = "constant", lr = g.schedule.linear(.04, .02), restore_best = false }
      end
    end
    for way, wanted in pairs { keep = { .03, .02, .02 }, stretch = { .03, .025, .02 } } do
      in_folder(function(folder)
        local first = a_run(folder, train(40), { policy = { steps = 10 } })
        assert(first.ok, first.why)
        local goal = snapshot_files.newest(first.folder, error)
        goal.schedules = way
        local longer = a_run(folder, train(80), { resumes = first.id, goal = goal })
        assert(longer.ok, longer.why)
        for i, step in ipairs { 20, 60, 80 } do
          local row = table.concat(longer.rows, "\n"):match(("knob/lr %d (%%S+)"):format(step))
          expect(tonumber(row)):near(wanted[i], 6e-4)
        end
      end)
    end
  end)
  it("for longer stays ended where a rule has ended it", function()
    local function train(steps, rule)
      return function(run)
        run:fit { model = support.student(), data = support.points(), steps = steps, batch = 12, stop = rule and g.when.steps(30),
          restore_best = false }
        return run.step_number
      end
    end
    for _, case in ipairs { { true, 30 }, { false, 80 } } do
      in_folder(function(folder)
        local first = a_run(folder, train(40, case[1]), { policy = { steps = 10 } })
        assert(first.ok, first.why)
        local steps
        local longer = a_run(folder, function(run) steps = train(80, case[1])(run) end, { resumes = first.id,
          goal = snapshot_files.newest(first.folder, error) })
        assert(longer.ok, longer.why)
        expect(steps):equals(case[2])
      end)
    end
  end)
  it("in a loop of its own has the weights and locals that it would have had", function()
    local function loop(out)
      return function(run)
        local model = support.student()
        local opt, total = g.optim.AdamW(model), 0
        local step = run:step(function(b, k)
          local loss = g.loss.cross_entropy(model(b.x), b.y)
          opt:minimize(loss, { lr = k.lr })
          return loss
        end)
        for i, b in run:batches(support.points(), { size = 12, steps = 30 }) do
          if i >= (run.params.fails or 99) then error "power cut" end  -- a local would be put back
          step(b, { lr = .01, idle = 1 })
          total = total + i * math.random()
        end
        out.weights, out.total = support.weights(model), total
      end
    end
    in_folder(function(folder)
      local wanted, got = {}, {}
      local whole = a_run(folder, loop(wanted))
      assert(whole.ok, whole.why)
      local cut = a_run(folder, loop {}, { policy = { steps = 10 }, params = { fails = 24 } })
      local goal = snapshot_files.newest(cut.folder, error)
      expect(goal.point.step):equals(20)
      local again = a_run(folder, loop(got), { resumes = cut.id, goal = goal })
      assert(again.ok, again.why)
      expect(got):equals(wanted)
      expect(#again.warnings):equals(2)  -- of both runs the knob that does nothing; not once more of the one that went on
    end)
  end)
  it("must come to where its snapshot was taken", function()
    in_folder(function(folder)
      local cut = a_run(folder, two_trainings({}, 27), { policy = { steps = 10 } })
      local goal = snapshot_files.newest(cut.folder, error)
      local again = a_run(folder, function(run) run.snapshots:expect_arrival() end, { resumes = cut.id, goal = goal })
      expect(tostring(host.error_text(again.why))):matches "resume: the script ended in its training 0, before step 20 of training 2"
    end)
  end)
  it("has the same data, unless others are accepted", function()
    in_folder(function(folder)
      local function train(scale, fails, accept)
        return function(run)
          run.options.accept = accept
          local x = g.randn({ 60, 6 }, { generator = g.generator(5) }) * scale
          local d = g.data.tensors(x, x:select(1, 0):gt(0):long(), { classes = 2 })
          run:fit { model = g.nn.MLP { 6, 4, 2 }, data = d:split({ train = .5, val = .5 }, { seed = 3 }), batch = 12, steps = 30,
            lr = function(s) return s.step >= fails and error "power cut" or .01 end }
        end
      end
      local cut = a_run(folder, train(1, 25), { policy = { steps = 10 } })
      local goal = snapshot_files.newest(cut.folder, error)
      local again = a_run(folder, train(2, 99), { resumes = cut.id, goal = goal })
      expect(host.error_text(again.why)):matches "resume: other bits would follow: data %w+ was %x+, now %x+"
      expect(host.error_text(again.why)):matches "expected the same, or %-%-accept data$"
      local other = a_run(folder, train(2, 99, "data"), { resumes = cut.id, goal = snapshot_files.newest(cut.folder, error) })
      assert(other.ok, other.why)
    end)
  end)
end)

describe("snapshots of a folder", function()
  local function with_two(fn)
    in_folder(function(folder)
      local cut = a_run(folder, two_trainings({}, 27), { policy = { steps = 10 } })
      expect(files(cut.folder, 2)):equals { "2-10.safetensors", "2-20.safetensors" }
      expect(files(cut.folder, 1)):equals { "1-30.safetensors", "1-end.safetensors" }  -- an ended one's: its end and the one before
      fn(cut.folder)
    end)
  end
  it("are read newest first, past damaged ones, which are told of", function()
    with_two(function(folder)
      local told = {}
      local function read() return snapshot_files.newest(folder, function(text) told[#told + 1] = text end) end
      expect(read().point.step):equals(20)
      expect(told):equals {}
      local function damage(file) write(folder .. "/snapshots/" .. file, "damaged") end
      damage "2-20.safetensors"
      expect(read().point.step):equals(10)
      expect(#told):equals(1)
      expect(told[1]):matches "2%-20.safetensors.*; the one before is taken$"
      damage "2-10.safetensors"
      expect(read().over):equals(true)
      damage "1-end.safetensors"
      local all = files(folder)
      for _, file in ipairs(all) do damage(file) end
      told = {}
      expect(read()):equals(nil)
      expect(#told):equals(#all)
      assert(told[#all]:find(all[1], 1, true))
      assert(not told[#all]:find("the one before is taken", 1, true))
    end)
  end)
  it("after the one to go on from are removed, and what was being written", function()
    with_two(function(folder)
      local function put(name) write(folder .. "/snapshots/" .. name, "x") end
      local goal = snapshot_files.open(folder .. "/snapshots/2-10.safetensors")
      put "2-20.safetensors.tmp-1"
      put "3-70.safetensors"
      snapshot_files.forget_after(folder, goal)
      expect(files(folder, 2)):equals { "2-10.safetensors" }
      expect(files(folder, 3)):equals {}
      expect(#host.list_folder(folder .. "/snapshots")):equals(#files(folder))
      snapshot_files.forget_after(folder, snapshot_files.open(folder .. "/snapshots/1-end.safetensors"))
      expect(files(folder, 2)):equals {}
      expect(#files(folder, 1) > 0):is_true()
      snapshot_files.forget_after(folder, nil)
      expect(files(folder)):equals {}
    end)
  end)
  it("are in the order of trainings, steps and ends, whatever else is there", function()
    in_folder(function(folder)
      host.mkdirs(folder .. "/snapshots")
      for _, name in ipairs { "2-9", "10-1", "2-end", "2-100", "1-end", "x-1", "3-" } do
        write(("%s/snapshots/%s.safetensors"):format(folder, name), "")
      end
      write(folder .. "/snapshots/notes.txt", "")
      expect(files(folder)):equals { "1-end.safetensors", "2-9.safetensors", "2-100.safetensors", "2-end.safetensors", "10-1.safetensors" }
    end)
  end)
  it("are taken at the step that was asked for, or at the training's end, and all else ends", function()
    for step, file in pairs { [10] = "1-10.safetensors", [20] = "1-end.safetensors" } do
      in_folder(function(folder)
        local reached
        local seen = a_run(folder, function(run)
          run.snapshots.stop = { step = step, axis = run.axis }
          local ok, why = pcall(run.distill, run, { student = support.student(), teacher = support.student(4), batch = 12,
            data = support.points():split({ train = .5, val = .5 }, { seed = 3 }), budget = { steps = 20 }, evaluate = { steps = 5 } })
          reached = run.snapshots.reached
          if not ok then error(why, 0) end
        end, { policy = { none = true } })
        assert(not seen.ok and seen.why.interrupted and reached)
        expect(files(seen.folder)):equals { file }
        local kept = snapshot_files.newest(seen.folder, error)
        expect({ kept.over, kept.point.step }):equals { step == 20, step }
      end)
    end
  end)
  it("of a look-ahead are taken where a round ends: of another step the nearest are known", function()
    for step, wanted in pairs { [5] = { nil, 10 }, [15] = { 10, 20 }, [25] = { 20, 30 }, [20] = { 10, nil, "1-20.safetensors" },
      [30] = { 20, nil, "1-end.safetensors" } } do
      in_folder(function(folder)
        local stop
        local seen = a_run(folder, function(run)
          stop = { step = step, axis = run.axis }
          run.snapshots.stop = stop
          run:lookahead { student = support.student(), teacher = support.student(4), batch = 12, steps = 10,
            try = { a = {}, b = { lr = .1 } }, data = support.points():split({ train = .5, val = .5 }, { seed = 3 }),
            budget = { steps = 30 }, by = "val/loss" }
        end, { policy = { none = true } })
        expect({ stop.before, stop.after, files(seen.folder)[1] }):equals(wanted)
      end)
    end
  end)
  it("of another format are refused", function()
    in_folder(function(folder)
      local file = folder .. "/other.safetensors"
      engine.data.save_snapshot(file, {}, { run = "x", step = "1" }, (require("gradus.base.plain").write({ format = 99 }, "")))
      engine.data.snapshot_saved(true)
      local kept, why = snapshot_files.open(file)
      assert(kept == nil)
      expect(why):matches "other.safetensors: made by another gradus; expected format 1; got 99"
    end)
  end)
end)

describe("what gives other bits", function()
  local run = { device = "cpu", options = {} }
  it("is told by name, with what was and what is", function()
    local identity
    in_folder(function(folder)
      identity = snapshot_files.newest(a_run(folder, two_trainings({}, 27), { policy = { steps = 10 } }).folder, error).identity
    end)
    expect(sameness.differences({ identity = identity }, run)):equals {}
    for _, name in ipairs { "gradus", "library", "torch", "device", "machine", "threads" } do
      local other = {}
      for key, value in pairs(identity) do other[key] = value end
      other[name] = "another"
      expect(sameness.differences({ identity = other }, run)):equals { { name = name, was = "another", now = tostring(identity[name]) } }
    end
    expect(sameness.differences({ identity = identity }, { device = "cpu", options = { threads = 3 } }))
      :equals { { name = "threads", was = "auto", now = "3" } }
  end)
  it("is refused whole, or accepted by name", function()
    local found = { { name = "torch", was = "1", now = "2" }, { name = "script", what = "a.lua", was = "x", now = "y" },
      { name = "script", what = "b.lua", was = "z", now = "w" } }
    expect(sameness.agree("resume", {})):equals {}
    expect(function() sameness.agree("resume", found) end):fails_with("resume: other bits would follow: torch was 1, now 2; "
      .. "script a.lua was x, now y; script b.lua was z, now w; expected the same, or --accept script,torch")
    expect(function() sameness.agree("fork", found, "script") end)
      :fails_with "fork: other bits would follow: torch was 1, now 2; expected the same, or --accept torch"
    expect(function() sameness.agree("resume", {}, "script,troch") end):fails_with "resume: --accept: no 'troch'; did you mean 'torch'?"
    for _, accept in ipairs { "script,torch", "torch, script", "torch script data" } do
      expect(sameness.agree("resume", found, accept)):equals { "torch was 1, now 2", "script a.lua was x, now y",
        "script b.lua was z, now w" }
    end
  end)
end)

-- Looks each second, as a loop of steps would; the seconds at which a snapshot was taken. taking: how long each takes; memory: bytes.
local function times(policy, seconds, o)
  local real, memory, now, found = host.monotonic, engine.memory, 1000, {}
  local ok, err = pcall(support.with_run, {}, function(run)
    host.monotonic = function() return now end
    engine.memory = function() return o.memory or 0 end
    local kept = snapshots.new(run, policy)
    local part = { s = { stage_index = 1 }, state = function() now = now + (o.taking or 0) return {} end }
    kept.outer, kept.number, kept.began = part, 1, now
    while now - 1000 < seconds do
      now = now + 1
      local before, began = kept.time, now
      for _ = 1, 8 do kept:look(part) end
      if kept.time ~= before then found[#found + 1] = began - 1000 end
    end
  end)
  host.monotonic, engine.memory = real, memory
  if not ok then error(err, 0) end
  return found
end

describe("by a clock, snapshots", function()
  it("are taken after 5 s and then each minute", function()
    expect(times(snapshots.policy(nil), 130, {})):equals { 5, 65, 125 }
  end)
  it("cost at most a hundredth of the time", function()
    expect(times(snapshots.policy(nil), 420, { taking = 2 })):equals { 5, 207, 409 }
  end)
  it("of much that could be copied begin later, but with the first minute", function()
    expect(times(snapshots.policy(nil), 61, { memory = 2e8 })):equals { 20 }
    expect(times(snapshots.policy(nil), 61, { memory = 1e12 })):equals { 60 }
  end)
  it("are taken when somebody asks for one, whatever --snapshots says, once for each that is asked for", function()
    local real = host.saves_wanted
    host.saves_wanted = function()
      local second = host.monotonic() - 1000
      return second < 3 and 0 or second < 6 and 1 or 3
    end
    local ok, found = pcall(times, snapshots.policy "none", 9, {})
    host.saves_wanted = real
    expect({ ok, found }):equals { true, { 3, 6 } }
  end)
  it("are taken as --snapshots says", function()
    expect(times(snapshots.policy "30s", 70, {})):equals { 30, 60 }
    expect(times(snapshots.policy "2s", 7, {})):equals { 2, 4, 6 }
    expect(times(snapshots.policy "30s", 130, { taking = 2 })):equals { 30, 62, 94, 126 }  -- whatever they cost
    expect(times(snapshots.policy "none", 70, {})):equals {}
  end)
end)

describe("of trainings within others", function()
  local in_a_run = require "a_run"
  it("the outermost is the one that is saved, until it ends or another takes its place", function()
    in_a_run(function(run)
      local own = require("gradus.experiment.snapshots").new(run, { none = true })
      local outer, inner = { s = { stage_index = 2 } }, { s = {} }
      own:begin(outer)
      expect({ own.outer == outer, own.count, own.number, own.stage }):equals { true, 1, 1, 2 }
      own:begin(inner)
      expect({ own.outer == outer, own.count, own.number }):equals { true, 2, 1 }
      own:left(inner)
      expect(own.outer):equals(outer)
      own:swap(inner, { "other" })
      expect(own.outer):equals(outer)
      own:swap(outer, inner)
      expect(own.outer):equals(inner)
      own:left(inner)
      expect(own.outer):equals(false)
      own:begin(outer)
      expect({ own.outer == outer, own.count, own.number }):equals { true, 3, 3 }
    end)
  end)
  it("the inner ones are not looked at, nor any before the run is where it goes on from", function()
    in_a_run(function(run)
      local own, taken = require("gradus.experiment.snapshots").new(run, { steps = 1 }), {}
      local outer, inner = { name = "outer" }, { name = "inner" }
      rawset(own, "take", function(_, part, over) taken[#taken + 1] = part.name .. (over and " at its end" or "") end)
      own:begin(outer)
      own.step = run.step_number - 1
      for _, goal in ipairs { {}, false } do
        own.goal = goal
        for _, part in ipairs { inner, outer } do
          own:look(part)
          own:look(part, "a signal")
          own:over(part)
        end
      end
      expect(taken):equals { "outer", "outer", "outer at its end" }
    end)
  end)
  it("one is over when its work is, whatever became of it", function()
    in_a_run(function(run)
      local own = require("gradus.experiment.snapshots").new(run, { none = true })
      local outer, inner, seen = {}, {}, {}
      own:around(outer, function()
        own:around(inner, function() seen[1] = own.outer == outer end)
        seen[2] = own.outer == outer
      end)
      expect({ seen, own.outer }):equals { { true, true }, false }
      local ok, why = pcall(own.around, own, outer, function() error("no luck", 0) end)
      expect({ ok, why, own.outer }):equals { false, "no luck", false }
    end)
  end)
end)

describe("the newest snapshot of a folder", function()
  it("knows the folder, where those of earlier trainings are", function()
    in_folder(function(folder)
      local cut = a_run(folder, two_trainings({}, 27), { policy = { steps = 10 } })
      expect(snapshot_files.newest(cut.folder, error).folder):equals(cut.folder)
    end)
  end)
end)

describe("what a snapshot lacks", function()
  local in_a_run = require "a_run"
  it("is told of once, by name, whether it is taken or gone back to", function()
    local own, warned
    in_a_run(function(run)
      own, warned = snapshots.new(run, { none = true }), {}
      rawset(run, "warn", function(_, name, text) warned[#warned + 1] = name .. ": " .. text end)
      local function fn() return own end
      own:put_back({ fn = fn }, { moved = {}, unsaved = {} })
      expect(warned):equals {}
      own:put_back({ fn = fn }, { moved = {}, unsaved = { "net", "history" } })
      own:put_back({ fn = fn }, { moved = {}, unsaved = { "net" } })
    end)
    expect(warned):equals { "snapshot: a snapshot of this loop lacks what it has made: net, history; expected it before the loop, in a "
      .. "module, an optimizer or a table of numbers" }
  end)
end)

describe("the end of a training", function()
  local in_a_run = require "a_run"
  it("is kept where it was worth five seconds, was to be saved by steps, or may be edited", function()
    local function kept(seconds, policy, live)
      local taken, now, real = 0, 1000, host.monotonic
      in_a_run(function(run)
        rawset(run, "options", { live = live })
        host.monotonic = function() return now end
        local ok, why = pcall(function()
          local own, part = snapshots.new(run, policy), { s = {} }
          rawset(own, "take", function(_, of, over) taken = taken + (of == part and over and 1 or 100) end)
          own:begin(part)
          now = now + seconds
          own:over(part)
        end)
        host.monotonic = real
        if not ok then error(why, 0) end
      end)
      return taken
    end
    local often = { seconds = 60 }
    expect({ kept(4.5, often), kept(5, often), kept(60, often), kept(0, { steps = 1000 }), kept(0, often, true) }):equals { 0, 1, 1, 1, 1 }
    expect({ kept(60, { none = true }), kept(60, { none = true }, true) }):equals { 0, 0 }
  end)
end)
