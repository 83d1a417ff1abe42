-- What `gradus resume` knows of a run, and what it refuses.
local host = require "gradus.host"
local params = require "gradus.experiment.params"
local resume = require "gradus.experiment.resume"
local run_module = require "gradus.experiment.run"
local store_module = require "gradus.store"

local specs = params.declare { lr = .1, steps = 10, tag = params.choice { "a", "b" }, on = true }
local experiment = { name = "spec", specs = specs }

-- Calls fn(store, begin) with a fresh store; begin(status, more) is a run with that status, its part where `more` says a parent.
local function in_store(fn)
  local folder = ("%s/gradus-resume-%s"):format(os.getenv "TMPDIR" or "/tmp", host.random_hex(8))
  host.mkdirs(folder)
  local store = store_module.open(folder .. "/s.db")
  local function begin(status, more)
    local flat = { lr = .5, steps = 20, tag = "b", on = false }
    local options = { store = store, name = "spec", seed = 7, flat = flat, params = params.nest(flat),
      options = { quiet = true }, label = "spec" }
    for key, value in pairs(more or {}) do options[key] = value end
    local run = run_module.begin(options)
    if status ~= "running" then run:finish(status) end
    return run
  end
  local ok, why = xpcall(fn, host.traceback, store, begin)
  os.execute("rm -rf '" .. folder .. "'")
  if not ok then error(why, 0) end
end

describe("a run to go on with", function()
  it("is known by its number, and is no part of another", function()
    in_store(function(store, begin)
      local one, other = begin "failed", begin "finished"
      local row = resume.row_of("resume", store, one.id)
      expect({ row.id, row.uid, row.name, row.status, row.seed }):equals { one.id, one.uid, "spec", "failed", 7 }
      expect(resume.row_of("resume", store, other.id).uid):equals(other.uid)
      local whole = begin "running"
      local part = begin("finished", { parent = whole })
      whole:finish "failed"
      expect(function() resume.row_of("fork", store, part.id) end)
        :fails_with(("fork: run %d is a part of run %d; expected `gradus fork %d`"):format(part.id, whole.id, whole.id))
    end)
  end)
  it("has its parameters, of those that there still are", function()
    in_store(function(store, begin)
      local run = begin "failed"
      expect(resume.given_of(store, run.id, specs)):equals { lr = .5, steps = 20, tag = "b", on = false }
      expect(resume.given_of(store, run.id, params.declare { steps = 3 })):equals { steps = 20 }
    end)
  end)
  it("takes one value each of --set", function()
    expect(resume.set_of(experiment, { set = { { "steps", "30" }, { "tag", "a" } } })):equals { steps = 30, tag = "a" }
    expect(resume.set_of(experiment, {})):equals {}
    expect(function() resume.set_of(experiment, { set = { { "steps", "30,40" } } }) end)
      :fails_with "--set: steps: expected one value; got 2"
  end)
  it("begins anew where no snapshot was taken, with its seed and parameters", function()
    in_store(function(store, begin)
      local planned = resume.planned(store, begin "failed".id, experiment, {})
      expect({ planned.seed, planned.given, planned.resumes, planned.goal, planned.set, planned.detail }):equals { 7,
        { lr = .5, steps = 20, tag = "b", on = false }, 1, nil, {}, { from = 0 } }
    end)
  end)
  it("is not running, and takes new parameters only where it is finished", function()
    in_store(function(store, begin)
      local failed, finished = begin "failed", begin "finished"
      local running = begin "running"
      local function refused(run, options, set, text)
        expect(function() resume.planned(store, run.id, experiment, options, set) end):fails_with(text:format(run.id, run.id))
      end
      refused(running, {}, nil, "resume: run %d is running; expected one that is over")
      refused(finished, {}, nil, "resume: run %d is finished; expected an interrupted or failed one, or --set with a larger budget")
      refused(failed, {}, { steps = 30 }, "resume: --set: run %d is not finished; expected `gradus fork %d --at STEP --set …`")
      refused(finished, {}, { steps = 30 }, "or --schedules keep, as they were, standing still after the old one's end; got neither")
      refused(finished, { schedules = "longer" }, { steps = 30 }, "got 'longer'")
      running:finish "failed"
    end)
  end)
end)
