-- What `gradus fork` finds in a store, and what it has done again. No run is carried out here: the store has rows as runs leave them, the
-- snapshots are made up.
local host = require "gradus.host"
local instead = require "instead"
local params = require "gradus.experiment.params"
local resume = require "gradus.experiment.resume"
local runner = require "gradus.experiment.runner"
local snapshot_files = require "gradus.experiment.snapshot_files"
local store_module = require "gradus.store"

local done = {}  -- what was done again: { row, how, run }
package.loaded["gradus.experiment.done_again"] = function(_, _, _, row, how)
  local run = { snapshots = {}, step_number = 17, line = { clear = function() done.cleared = true end } }
  done.row, done.how, done.run = row, how, run
  return run, { lr = .5 }
end
local fork = require "gradus.experiment.fork"

-- Calls fn(store, begin, kept) with a fresh store; begin() is a run of 30 steps and 300 epochs' worth of rows; kept: the snapshots, oldest
-- first, of which those that are `false` are damaged.
local function in_store(fn)
  local folder = ("%s/gradus-fork-%s"):format(os.getenv "TMPDIR" or "/tmp", host.random_hex(8))
  host.mkdirs(folder)
  local store, kept = store_module.open(folder .. "/s.db"), {}
  local function begin(more)
    local options = { name = "spec", seed = 7, params = { { key = "lr", value = .5 } } }
    for key, value in pairs(more or {}) do options[key] = value end
    local writer = store:begin(options)
    if not options.past then
      for step = 10, 30, 10 do
        writer:log(writer:key "val/acc", step, step / 100)
        writer:progress(step, step, step, step, step)
        writer:event(step, "decision", "at " .. step, "{}")
      end
      writer:log(writer:key "val/late", 30, 1)
      writer:log(writer:key "result/acc", 10, 1)
      writer:event(5, "flops", "flops", "{}")
    end
    writer:flush()
    return writer
  end
  local ok, why = pcall(instead, {
    { snapshot_files, "list", function(of)
      local list = {}
      for i in ipairs(kept) do list[i] = { file = of .. "/" .. i } end
      return list
    end },
    { snapshot_files, "open", function(file)
      local one = kept[tonumber(file:match "%d+$")]
      return one and { run = { axis = one[1] }, point = { step = one[2] }, number = file:match "%d+$" } or nil
    end },
  }, function() fn(store, begin, kept) end)
  os.execute("rm -rf '" .. folder .. "'")
  if not ok then error(why, 0) end
end

describe("the snapshot to fork from", function()
  local function found(store, id, at)
    local goal, row = fork.goal(store, id, at)
    return goal and tonumber(goal.number), goal and goal.folder, row
  end
  it("is the newest of the step or before it, of the run's last training, that is whole", function()
    in_store(function(store, begin, kept)
      local run = begin()
      for i, one in ipairs { { 1, 5 }, { 1, 10 }, { 1, 20 }, { 2, 12 } } do kept[i] = one end
      expect({ found(store, run.id, "10") }):equals { 2, store.folder .. "/" .. run.uid, resume.row_of("fork", store, run.id) }
      for at, number in pairs { ["9"] = 1, ["19"] = 2, ["20"] = 3, ["30"] = 3, ["end"] = 3, ["5"] = 1 } do
        expect((found(store, run.id, at))):equals(number)
      end
      expect((found(store, run.id, "4"))):equals(nil)
      kept[3] = false
      expect((found(store, run.id, "30"))):equals(2)
      kept[1], kept[2] = false, false
      expect((found(store, run.id, "30"))):equals(nil)
    end)
  end)
  it("is of a whole step from 1 to the run's last", function()
    in_store(function(store, begin)
      local run = begin()
      for _, text in ipairs { "0", "-1", "1.5", "soon" } do
        expect(function() found(store, run.id, text) end):fails_with(("fork: --at: expected a step from 1 to 30; got '%s'"):format(text))
      end
      expect(function() found(store, run.id, "31") end):fails_with(("fork: --at: run %d came to step 30; got 31"):format(run.id))
      expect((found(store, run.id, "1"))):equals(nil)
      local new = store:begin { name = "new", seed = 1 }
      new:flush()
      expect(function() found(store, new.id, "end") end):fails_with(("fork: run %d has made no step"):format(new.id))
    end)
  end)
end)

describe("a run that is to be done again", function()
  it("must not have been changed on the way", function()
    in_store(function(store, begin)
      local run = begin()
      run:event(12, "edit", "attach", "{}")
      run:event(15, "edit", "attach", "{}")
      run:event(20, "resume", "resume", '{"from":20}')                       -- interrupted: its bits are the same
      run:event(25, "resume", "resume", '{"from":25,"set":{"steps":40}}')
      run:event(5, "resume", "fork", '{"from":28,"set":{"steps":40}}')       -- of the fork that it is
      run:flush()
      local function why(from, to)
        local ok, text = pcall(fork.check_replays, store, run.id, from, to)
        return not ok and (type(text) == "table" and text.message or text):match "it was (.*); expected" or nil
      end
      expect({ why(0, 11), why(0, 12), why(11, 30), why(12, 14), why(12, 15), why(15, 24) }):equals { "given other parameters at step 25",
        "given other parameters at step 25", "given other parameters at step 25", "given other parameters at step 25",
        "given other parameters at step 25", "given other parameters at step 25" }
      expect({ why(25, 30), why(26, 30) }):equals {}
      local other = begin()
      other:event(12, "edit", "attach", "{}")
      other:event(15, "edit", "attach", "{}")
      other:flush()
      local function edited(from, to)
        local ok, text = pcall(fork.check_replays, store, other.id, from, to)
        return not ok and (type(text) == "table" and text.message or text):match "run %d+ cannot.*" or nil
      end
      expect(edited(0, 12)):equals(("run %d cannot be done again from step 0 to 12, as it was edited at step 12; expected a step that a "
        .. "snapshot is left of (`gradus show %d`), or a later one"):format(other.id, other.id))
      expect({ edited(0, 11), edited(15, 30) }):equals {}
      expect(edited(12, 15)):matches "edited at step 15"
    end)
  end)
end)

describe("where a fork began", function()
  it("is its origin's snapshot of that step, with the fork's own rows until then", function()
    in_store(function(store, begin, kept)
      local run = begin()
      kept[1] = { 1, 20 }
      expect(fork.beginning(store, run.id)):equals(nil)
      local child = begin { past = { run = run.id, event = 3, child = 0, progress = 20, keys = '["val/acc"]', step = 20 } }
      child:event(20, "resume", "fork", host.json_encode { kind = "fork", run = run.id, uid = run.uid, at = 20, axis = 1 })
      child:flush()
      local goal = fork.beginning(store, child.id)
      expect({ goal.folder, goal.on_arrival }):equals { store.folder .. "/" .. run.uid }
      expect({ goal.point.step, goal.point.progress, goal.point.child, goal.point.keys }):equals { 20, 20, 0, '["val/acc"]' }
      local last = store:query("SELECT max(id) AS id FROM events WHERE run_id = ?", child.id)[1].id
      expect(goal.point.event):equals(last)
      local taken
      fork.beginning(store, child.id, true).on_arrival { snapshots = { outer = "outer", take = function(_, ...) taken = { ... } end } }
      expect(taken):equals { "outer", false, true }
      kept[1] = { 1, 19 }
      expect(function() fork.beginning(store, child.id) end):fails_with(
        ("run %d was forked off run %d at step 20, of which no snapshot is left; expected `gradus fork` again"):format(child.id, run.id))
      kept[1] = nil
      local lost = begin { past = { run = run.id, event = 3, child = 0, progress = 20, keys = "[]", step = 20 } }
      lost:event(20, "resume", "fork", '{"kind":"fork","run":77,"uid":"0123456789abcdef","at":20,"axis":1}')  -- of another store
      lost:flush()
      expect(function() fork.beginning(store, lost.id) end)
        :fails_with(("run %d was forked off run 01234567 at step 20, of which"):format(lost.id))
    end)
  end)
end)

local SPECS = params.declare { lr = .1, T = 4 }

-- Calls fn(what, options) as the command would; what.ran: what was carried out, what.said: on standard error.
local function commanded(store, fn, more)
  local what = { said = "" }
  local experiment = { name = "spec", specs = SPECS, run = more and more.run or function(run) run.snapshots.reached = true end }
  instead({
    { runner, "prepare", function() return store end }, { runner, "expect", function() return experiment end },
    { runner, "execute_alone", function(_, _, of, one, label) what.ran = { of == experiment, one, label } return 3 end },
    { resume, "check_same", function(command, _, id, goal) what.checked = { command, id, goal and goal.point.step } end },
    { host, "write", function(fd, text) what.said = what.said .. fd .. text end },
  }, function() fn(what) end)
end

describe("gradus fork", function()
  it("does the run again to have a snapshot, where there is none of the step", function()
    in_store(function(store, begin, kept)
      local run = begin()
      local function prepare(at, more, options)
        done = {}
        options = options or {}
        options.run, options.at = tostring(run.id), at
        local seen
        commanded(store, function(what)
          expect(fork.prepare(options)):equals(0)
          seen = what
        end, more)
        return seen
      end
      kept[1] = { 1, 20 }
      expect({ prepare("20").checked, done.row }):equals {}
      local called
      local seen = prepare("25", { run = function(of, given)
        called = { of == done.run, given }
        of.snapshots.reached = true
      end })
      expect(seen.checked):equals { "fork", run.id, 20 }
      expect(seen.said):equals(("2run %d is done again from step 20 to step 25\n"):format(run.id))
      expect(called):equals { true, { lr = .5 } }
      expect({ done.row.id, done.how.goal.point.step, done.run.snapshots.stop, done.cleared }):equals { run.id, 20, { step = 25, axis = 1 },
        true }
      expect(done.how.point()):equals { event = 1, child = 0, progress = 10, keys = '["val/acc"]', step = 17 }  -- on the way
      done.run.step_number = 25
      expect(done.how.point()):equals { event = 2, child = 0, progress = 20, keys = '["val/acc"]', step = 25 }
      seen = prepare "10"
      expect({ seen.said, seen.checked }):equals { ("2run %d is done again from its beginning to step 10\n"):format(run.id),
        { "fork", run.id } }
      expect(done.how.goal):equals(nil)
      expect({ prepare("25", nil, { quiet = true }).said, prepare("25", nil, { json = true }).said }):equals { "", "" }
      expect(function() prepare("25", { run = function() end }) end):fails_with(
        ("fork: run %d, done again, ended at its step 17, before step 25; expected a script that does what it did"):format(run.id))
      for _, case in ipairs { { nil, 30, "30" }, { 20, 30, "20 or 30" }, { 20, nil, "20" }, { nil, nil, "a run of more rounds" } } do
        expect(function()
          prepare("25", { run = function(of)
            of.snapshots.stop.before, of.snapshots.stop.after, of.step_number = case[1], case[2], 30
            if case[2] then error("passed", 0) end
          end })
        end):fails_with(("run %d looks ahead, and is saved where its rounds end; expected %s; got 25"):format(run.id, case[3]))
      end
      local _, why = pcall(prepare, "25", { run = function() error("no luck", 0) end })
      expect(tostring(why):match "^[^\n]*"):equals "no luck"
      expect(prepare("25", { run = function(of)
        of.snapshots.reached = true
        error("the end", 0)
      end }).checked ~= nil):is_true()
      run:event(22, "edit", "attach", "{}")
      run:flush()
      expect(function() prepare "25" end):fails_with "cannot be done again from step 20 to 25, as it was edited at step 22"
      expect(function() prepare "30" end):fails_with "cannot be done again from step 20 to 30"
      prepare "21"
    end)
  end)
  it("is a run of its own, of the other's name, seed and parameters, but for what is said", function()
    in_store(function(store, begin, kept)
      local run = begin()
      kept[1] = { 1, 20 }
      commanded(store, function(what)
        expect(fork.run { run = tostring(run.id), at = "20" }):equals(3)
        local own, one, label = unpack(what.ran)
        expect({ own, label }):equals { true, ("fork of run %d at step 20"):format(run.id) }
        expect({ one.seed, one.name, one.forks, one.given, one.goal.point.step }):equals { 7, "spec", run.id, { lr = .5 }, 20 }
        expect(one.detail):equals { kind = "fork", run = run.id, uid = run.uid, at = 20, axis = 1 }
        local taken
        one.goal.on_arrival { snapshots = { outer = 1, take = function(_, ...) taken = { ... } end } }
        expect(taken):equals { 1, false, true }
        fork.run { run = tostring(run.id), at = "20", name = "own", set = { { "T", "8" }, { "lr", "1" } } }
        one = what.ran[2]
        expect({ one.name, one.given, one.detail.set }):equals { "own", { lr = 1, T = 8 }, { lr = 1, T = 8 } }
      end)
    end)
  end)
end)
