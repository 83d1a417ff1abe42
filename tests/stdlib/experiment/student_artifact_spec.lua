-- The students that a run leaves.
local g = require "gradus"
local engine = require "gradus.engine"
local host = require "gradus.host"
local student_artifact = require "gradus.experiment.student_artifact"
local support = require "support"

-- Calls fn(run) in a folder that is kept for check(folder of the run, store).
local function after(fn, check)
  local path, folder = os.tmpname(), nil
  os.remove(path)
  local ok, err = pcall(support.with_run, { folder = path }, function(run)
    folder = run.folder
    fn(run)
  end)
  local store = require("gradus.store").open(path .. "/s.db")
  local checked, why = pcall(check, folder, store, ok, err)
  os.execute("rm -rf " .. path)
  if not checked then error(why, 0) end
end

local function artifacts(store)
  local list = {}
  for i, row in ipairs(store:query "SELECT kind, path FROM artifacts ORDER BY path") do list[i] = row.kind .. " " .. row.path end
  return list
end

local function tracked(run, about)
  local student = support.student()
  student_artifact.track(run, student, about)
  return student
end

describe("a run's student", function()
  it("is left with its last and best weights, and what is needed to use them", function()
    local last, best
    after(function(run)
      local student = support.student()
      local kept = student:clone()
      student_artifact.track(run, student, { best = function() return kept:state_dict() end,
        metadata = function()
          return { class_names = { "cat", "dog", "über" }, columns = { "a", "b" }, step = 7, monitor = "val/loss" }
        end })
      g.no_grad(function() student:state_dict()["layers.0.weight"]:fill_(3) end)
      last, best = support.weights(student), support.weights(kept)
    end, function(folder, store, ok)
      expect(ok):is_true()
      expect(artifacts(store)):equals { "weights student.best.safetensors", "weights student.last.safetensors" }
      for name, weights in pairs { last = last, best = best } do
        local again = support.student()
        local _, told = again:load(folder .. "/student." .. name .. ".safetensors")
        expect(support.weights(again)):equals(weights)
        expect(host.json_decode(told.class_names)):equals { "cat", "dog", "über" }
        expect({ told.columns, told.step, told.monitor, told.model }):equals { '["a","b"]', "7", "val/loss", tostring(again) }
        expect(told.run):equals(store:query("SELECT uid FROM runs")[1].uid)
      end
      for _, row in ipairs(store:query "SELECT path, sha256, bytes FROM artifacts") do
        expect({ host.hash_file(folder .. "/" .. row.path) }):equals { row.sha256, row.bytes }
      end
    end)
  end)
  it("holds the best weights in the end: the last are another state", function()
    after(function(run)
      local student = support.student()
      student_artifact.track(run, student, { last = function() return { t = g.full({ 1 }, 7) } end,
        best = function() return student:state_dict() end })
    end, function(folder)
      expect(engine.data.read_safetensors(folder .. "/student.last.safetensors").t:item()):equals(7)
    end)
  end)
  it("has only its last weights where nothing was monitored", function()
    after(function(run) tracked(run, { best = function() return nil end }) end, function(_, store)
      expect(artifacts(store)):equals { "weights student.last.safetensors" }
    end)
  end)
  it("that was distilled has the weights of its best evaluation and of its last step, and tells which these were", function()
    local best
    after(function(run)
      local d = support.points():split { train = .6, val = .4 }
      local r = run:distill { student = support.student(), teacher = support.student(16), data = d, batch = 12, lr = .5, alpha = .5,
        budget = { steps = 30 }, evaluate = { steps = 5 }, monitor = "val/agreement" }
      best = support.weights(r.student)
    end, function(folder, store, ok, why)
      assert(ok, why)
      expect(artifacts(store)):equals { "weights student.best.safetensors", "weights student.last.safetensors" }
      local row = store:query "SELECT argmax FROM summaries WHERE key = 'val/agreement'"[1]
      local other = 0
      for _, name in ipairs { "best", "last" } do
        local stored, told = engine.data.read_safetensors(("%s/student.%s.safetensors"):format(folder, name))
        local student = support.student()
        student:load_state_dict(stored)
        if name == "best" then expect(support.weights(student)):equals(best) end
        if not pcall(function() expect(support.weights(student)):equals(best) end) then other = other + 1 end
        expect({ told.best_step, told.step, told.monitor }):equals { tostring(row.argmax), "30", "val/agreement" }
      end
      expect(other):equals(row.argmax == 30 and 0 or 1)
    end)
  end)
  it("is left by a run that fails or is interrupted", function()
    for _, how in ipairs { function() error "too bad" end, function(run)
      run.interrupted = "SIGINT"
      error({ interrupted = "SIGINT" }, 0)
    end } do
      after(function(run)
        tracked(run)
        how(run)
      end, function(_, store, ok)
        expect(ok):is_false()
        expect(artifacts(store)):equals { "weights student.last.safetensors" }
      end)
    end
  end)
  it("is one of several", function()
    after(function(run)
      local first = tracked(run)
      tracked(run)
      student_artifact.track(run, first)
    end, function(_, store)
      expect(artifacts(store)):equals { "weights student-2.last.safetensors", "weights student.last.safetensors" }
    end)
  end)
  it("is not left where the experiment says so, in a dry run, on a hit, and of what is cached", function()
    after(function(run)
      run.save_students = false
      tracked(run)
    end, function(_, store) expect(artifacts(store)):equals {} end)
    after(function(run)
      run:cached("t", function()
        local student = support.student()
        student_artifact.track(require("gradus.base.current").run, student)
        return student
      end)
    end, function(_, store)
      expect(#artifacts(store)):equals(1)
      expect(artifacts(store)[1]):matches "^weights %.%./cache/t%-"
    end)
  end)
  it("that cannot be written is told of, and the run goes on", function()
    local said = {}
    after(function(run)
      run.line = setmetatable({ say = function(text) said[#said + 1] = text end }, { __index = run.line })
      tracked(run, { metadata = function() return { fn = print } end })
    end, function(_, store, ok)
      expect(ok):is_true()
      expect(said[1]):matches "^warning: the student is not kept: .*has no JSON form"
      expect(store:query("SELECT name, detail FROM events WHERE kind = 'warning'")[1].detail):matches "has no JSON form"
      expect(store:query("SELECT status FROM runs")[1].status):equals "finished"
    end)
  end)
  it("is saved under a name", function()
    after(function(run)
      local t = g.ones(2)
      student_artifact.save(run, "mine-1", { t = t }, { note = "x" })
      student_artifact.save(run, "mine-1", { t = t * 2 })
      for _, name in ipairs { "../x", "a b", "", ".x", 5 } do
        expect(function() student_artifact.save(run, name, { t = t }) end):fails_with "student_artifact: name: expected letters"
      end
    end, function(folder, store, ok, err)
      if not ok then error(err, 0) end
      expect(artifacts(store)):equals { "weights mine-1.safetensors" }
      expect(engine.data.read_safetensors(folder .. "/mine-1.safetensors").t:totable()):equals { 2, 2 }
    end)
  end)
end)

describe("the students of a run that goes on", function()
  it("are left as they were where it has not come back to where it was", function()
    after(function(run)
      tracked(run)
      run.snapshots.goal = { point = { step = 5 } }
    end, function(_, store) expect(artifacts(store)):equals {} end)
  end)
end)

describe("students that were written", function()
  it("are not written again, and one without best weights is no reason to warn", function()
    after(function(run)
      tracked(run, { best = function() return nil end })
      student_artifact.save_all(run)
      expect(run.students):equals(false)
    end, function(_, store, ok, why)
      assert(ok, why)
      expect(artifacts(store)):equals { "weights student.last.safetensors" }
      expect(store:query "SELECT COUNT(*) AS n FROM events WHERE kind = 'warning'"[1].n):equals(0)
    end)
  end)
end)
