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

describe("what a run that goes on is checked for", function()
  local edits, engine = require "gradus.experiment.edits", require "gradus.engine"
  local fork, instead = require "gradus.experiment.fork", require "instead"
  local sameness, sources = require "gradus.experiment.sameness", require "gradus.experiment.sources"
  -- What check_same says of code that was `texts` (and edited, where kept) and is `now`, and of a snapshot that differs by these.
  local function checked(had, now, goal, differences, options)
    local found, threads, asked, taken, files
    instead({ { edits, "until_then", function() return had end }, { sources, "now", function() return now end },
      { engine, "set_threads", function(n) threads = n end },
      { sameness, "differences", function(_, run)
        asked = run.device
        return differences
      end },
      { sameness, "agree", function(where, list, accept)
        found = { where = where, list = list, accept = accept }
        return { "accepted" }
      end } }, function() taken, files = resume.check_same("resume", nil, 1, goal, options) end)
    found.taken, found.files, found.threads, found.device = taken, files, threads, asked
    return found
  end
  it("is each file of its code that there still is, an edit of it, and what its snapshot was calculated by", function()
    local a, b, c = ("a"):rep(64), ("b"):rep(64), ("c"):rep(64)
    local had = { texts = { ["z.lua"] = a, ["x.lua"] = a, ["y.lua"] = b, ["gone.lua"] = c }, kept = "z.lua" }
    local found = checked(had, { ["z.lua"] = c, ["x.lua"] = b, ["y.lua"] = b, ["new.lua"] = a }, { identity = { threads = 3 } },
      { "torch" }, { accept = "script" })
    expect(found):equals { where = "resume", accept = "script", taken = { "accepted" }, threads = 3, device = "cpu",
      list = { { name = "script", what = "x.lua", was = ("a"):rep(12), now = ("b"):rep(12) },
        { name = "script", what = "z.lua", was = ("a"):rep(12), now = ("c"):rep(12) },
        { name = "script", what = "z.lua", was = "of the version before an edit", now = "of the file" }, "torch" },
      files = { { path = "x.lua", was = a, now = b }, { path = "z.lua", was = a, now = c } } }
  end)
  it("is no snapshot where there is none, and threads as they were unless others are said", function()
    local none = checked({ texts = { ["x.lua"] = "a" } }, { ["x.lua"] = "a" }, nil, nil, {})
    expect({ none.list, none.files, none.threads, none.taken }):equals { {}, nil, nil, { "accepted" } }
    for _, case in ipairs { { "auto", nil, 1 }, { 3, nil, 3 }, { 3, 2, 2 } } do
      local options = { threads = case[2] }
      expect(checked({ texts = {} }, {}, { identity = { threads = case[1] } }, {}, options).threads):equals(case[3])
      expect(options.threads):equals(case[1] ~= "auto" and case[3] or nil)
    end
  end)
  it("is told to whoever carries it out: from where, with what others, its schedules", function()
    in_store(function(store, begin)
      local finished = begin "finished"
      local goal = { point = { step = 40 } }
      instead({ { fork, "goal", function(_, id, at) return id == finished.id and at == "end" and goal end },
        { resume, "check_same", function() return { "torch was 1, now 2" }, { { path = "x.lua" } } end },
        { resume, "given_of", function() return { lr = .5, steps = 20 }, { tag = "a" } end } }, function()
        local planned = resume.planned(store, finished.id, experiment, { schedules = "keep" }, { steps = 30 })
        expect(planned):equals { seed = 7, name = "spec", resumes = finished.id, given = { lr = .5, steps = 30 },
          set = { tag = "a", steps = 30 }, goal = { point = { step = 40 }, schedules = "keep", other = true },
          detail = { from = 40, accepted = { "torch was 1, now 2" }, files = { { path = "x.lua" } }, set = { steps = 30 },
            schedules = "keep" } }
      end)
    end)
  end)
end)

describe("gradus resume", function()
  local instead, runner = require "instead", require "gradus.experiment.runner"
  it("says where the run goes on, unless it is to be quiet, and carries it out", function()
    local function resumed(goal, options)
      local said, done, code = "", nil, nil
      options.run = "12"
      instead({ { host, "write", function(to, text) said = said .. to .. " " .. text end },
        { runner, "prepare", function() return "store" end }, { runner, "expect", function(name) return name .. "'s experiment" end },
        { resume, "planned", function(_, id) return { resumes = id, goal = goal } end },
        { runner, "execute_alone", function(_, store, of, one, label)
          done = { store, of, one.resumes, label }
          return 7
        end } }, function() code = resume.run(options) end)
      expect({ done, code }):equals { { "store", "resume's experiment", 12, "run 12" }, 7 }
      return said
    end
    expect(resumed({ point = { step = 40 } }, {})):equals "2 run 12 goes on after step 40\n"
    expect(resumed(nil, {})):equals("2 run 12 has no snapshot: it begins anew (the first is taken after 5 s; --snapshots 1s, or 100 steps, "
      .. "asks for more)\n")
    expect(resumed(nil, { quiet = true }) .. resumed(nil, { json = true })):equals ""
  end)
end)
