-- What a store says of runs: what live edits made of them by a snapshot, what a sweep's came to, on which axis they stand.
local axes = require "gradus.experiment.axes"
local edits = require "gradus.experiment.edits"
local finished = require "gradus.experiment.finished"
local halving = require "gradus.experiment.halving"
local host = require "gradus.host"
local instead = require "instead"
local known_runs = require "gradus.experiment.known_runs"
local params = require "gradus.experiment.params"
local snapshot_files = require "gradus.experiment.snapshot_files"
local store_module = require "gradus.store"

-- A store that answers by the first part of a query that it knows; a function is called with what the query was given.
local function store_of(answers)
  return { folder = "runs", query = function(_, sql, ...)
    for part, answer in pairs(answers) do
      if sql:find(part, 1, true) then return type(answer) == "function" and answer(...) or answer end
    end
    error("nobody knows: " .. sql)
  end }
end

describe("live edits of a run", function()
  local function event(before, detail) return { before = before, detail = host.json_encode(detail) } end
  local list = {
    event(1, { files = { { path = "a.lua", now = "a2" } }, params = { alpha = { was = 1, now = 2 } }, kept = "s.lua:3" }),
    event(1, { files = { { path = "b.lua", now = "b2" } } }), event(1, {}),
    event(0, { files = { { path = "a.lua", now = "a3" } }, params = { alpha = { was = 2, now = 3 }, n = { was = 5, now = 6 } } }),
    event(0, { params = { alpha = { was = 3, now = 4 } } }) }
  local function told(goal, wanted, events)
    return edits.until_then(store_of { ["FROM run_sources"] = { { path = "a.lua", sha256 = "a1" }, { path = "c.lua", sha256 = "c1" } },
      ["FROM events"] = function(id, ...)
        expect({ id, ... }):equals { 7, unpack(wanted) }
        return events or list
      end }, 7, goal)
  end
  it("are the files that it had at a snapshot, and parameters as they were before later ones", function()
    expect(told({ point = { event = 4, child = 2 } }, { 4, 2 })):equals { texts = { ["a.lua"] = "a2", ["b.lua"] = "b2", ["c.lua"] = "c1" },
      params = { alpha = 2, n = 5 } }
    expect(told(nil, { -1, -1 }, { list[4], list[5] })):equals { texts = { ["a.lua"] = "a1", ["c.lua"] = "c1" },
      params = { alpha = 2, n = 5 } }
    expect(told({ point = { event = 1, child = 0 } }, { 1, 0 }, { list[1] }).kept):equals "s.lua:3"
  end)
end)

describe("a sweep's runs in the store", function()
  it("are their values in order", function()
    local function values(id, by)
      expect({ id, by }):equals { 3, "val/acc" }
      return { { value = .1 }, { value = .3 } }
    end
    expect(known_runs.values(store_of { ["FROM metrics"] = values }, 3, "val/acc")):equals { .1, .3 }
  end)
  it("were stopped at a rung, where a snapshot is left", function()
    for _, case in ipairs { { {}, { training = 1, count = 2 }, false }, { { "one" }, { training = 1, count = 2 }, halving.rung(1, 2) },
      { { "one" }, nil, false }, { { "one" }, {}, false } } do
      instead({ { snapshot_files, "list", function(folder) return folder == "runs/u1" and case[1] end } }, function()
        expect(known_runs.stopped_at(store_of { ["FROM events"] = { case[2] } }, 3, "u1")):equals(case[3])
      end)
    end
  end)
  it("are what has come to something, and what can go on", function()
    local showed = {}
    local function looked(of)
      local sweep = { options = { store = "s.db" }, experiment = { name = "e", specs = "specs" }, seeds = 2, known = {}, by = "val/acc",
        greater = of.greater, halving = of.halving and { showed = function(_, who, training, values)
          showed[#showed + 1] = { who, training, values[1] }
        end } or nil }
      for name, value in pairs(of.options or {}) do sweep.options[name] = value end
      local trials = { { number = 4, plan = { "4/1", "4/2" } }, { number = 6, plan = { "6/1", "6/2" } } }
      instead({ { store_module, "open", function(path)
        expect(path):equals "s.db"
        return store_of { ["FROM runs WHERE id = ?"] = function(id) return { { status = of.status or "finished", uid = "u" .. id } } end,
          ["SELECT max AS best"] = { { best = 9 } }, ["SELECT min AS best"] = { { best = 1 } },
          ["WHERE parent = ?"] = { { id = 50 } }, ["FROM metrics"] = function(id) return { { value = id } } end, ["FROM events"] = {} }
      end }, { snapshot_files, "list", function() return {} end },
        { finished, "ids", function(_, name, specs, plan, stopped)
          expect({ name, specs, plan, stopped }):equals { of.name or "e", "specs", { "4/1", "4/2", "6/1", "6/2" }, of.halving or false }
          return { [1] = 10, [4] = 13 }
        end }, { finished, "unfinished", function() return { [2] = 11, [4] = 99 } end } }, function()
        known_runs.look_up(sweep, trials)
      end)
      return sweep.known
    end
    local function result(id, value, stopped)
      return { result = { id = id, value = value, stopped = stopped }, stopped_at = false }
    end
    expect(looked { greater = true }):equals { [4] = { result(10, 9, false), { left = 11 } }, [6] = { [2] = result(13, 9, false) } }
    expect(looked { greater = false, options = { name = "own" }, name = "own" }[4][1].result.value):equals(1)
    expect(#showed):equals(0)
    expect(looked { greater = true, halving = true, status = "interrupted" }[4][1]):equals(result(10, 9, true))
    expect(showed):equals { { 4, 1, 50 }, { 4, 2, 10 } }
  end)
end)

describe("the finished runs of a plan", function()
  local specs = params.declare { lr = .1, n = params.int(3) }
  local plan = { { given = {}, seed = 1 }, { given = { lr = .2 }, seed = 1 }, { given = {}, seed = 2 } }
  local sources = { [1] = "a1 b1", [7] = "a1 b1", [8] = "a1 b1", [9] = "a1", [10] = "a1 b2", [11] = "a1 b1 c1" }  -- by run
  local function stored(asked)
    return store_of {
      ["FROM run_sources"] = function(...)
        asked[1] = { ... }
        local rows = {}
        for id, list in pairs(sources) do
          for path, number in list:gmatch "(%w)(%d)" do rows[#rows + 1] = { id = id, path = path, sha256 = path .. number } end
        end
        return rows
      end,
      ["SELECT seed FROM runs"] = { { seed = 1 } },
      ["FROM params"] = function(id)
        return { { key = "lr", value = id == 8 and .2 or .1, type = "number" }, { key = "n", value = 3, type = "number" } }
      end,
      ["SELECT uid"] = function(id) return { { uid = "u" .. id, name = "e", seed = 1, seconds = 2.5 } } end,
      ["FROM summaries"] = { { key = "result/acc", last = .5 }, { key = "result/lost" } },
      ["SELECT detail FROM events"] = function(id) return id == 8 and {} or { { detail = host.json_encode { verdict = "good" } } } end }
  end
  local function with_sources(fn)
    instead({ { host, "sources", function() return { { path = "a", sha256 = "a1" }, { path = "b", sha256 = "b1" } } end } }, fn)
  end
  it("are those of the same sources, all of them, parameters and seed; the newest counts", function()
    with_sources(function()
      local asked = {}
      expect(finished.ids(stored(asked), "e", specs, plan)):equals { [1] = 7, [2] = 8 }
      expect(asked[1]):equals { "e", false, "sweep: ", '["finished"]' }
      expect(finished.ids(stored(asked), "e", specs, plan, true)):equals { [1] = 7, [2] = 8 }
      expect(asked[1][2]):equals(true)
      expect(finished.unfinished(stored(asked), "e", specs, plan)):equals { [1] = 7, [2] = 8 }
      expect(asked[1]):equals { "e", false, "sweep: ", '["interrupted","failed"]' }
    end)
  end)
  it("are read back as they ended", function()
    with_sources(function()
      for _, name in ipairs { "e", "own" } do
        local asked = {}
        instead({ { store_module, "open", function(path)
          expect(path):equals "s.db"
          return stored(asked)
        end } }, function()
          local results = finished.results({ store = "s.db", name = name == "own" and name or nil }, { name = "e", specs = specs }, plan)
          local one, two = host.json_decode(results[1]), host.json_decode(results[2])
          expect({ one.result.acc, one.result.verdict, one.others }):equals { .5, "good", { verdict = "good" } }
          expect(tostring(one.result.lost)):equals "nan"
          expect({ one.id, one.uid, one.name, one.seed, one.seconds, one.status }):equals { 7, "u7", "e", 1, 2.5, "finished" }
          expect({ one.params, two.params, two.others, results[3] }):equals { { lr = .1, n = 3 }, { lr = .2, n = 3 } }
          expect(asked[1][1]):equals(name)
        end)
      end
    end)
  end)
end)

describe("a run's axis", function()
  local function run_at(axis, trained, dry)
    local log = {}
    local function note(what) return { settle = function() log[#log + 1] = what end } end
    return { axis = axis, trained = trained, dry = dry, step_number = 9, latest = { 1 }, readback = note "readback", looked = note "looked",
      writer = { split = function(_, one) log[#log + 1] = one.name .. " " .. one.kind .. " " .. one.prefixes end } }, log
  end
  local before = { name = "fit", prefixes = { "train/" } }
  for name, case in pairs {
    ["is the first training's"] = { nil, "distill", 1, 9, "distill", {} },
    ["is another for each training"] = { before, "distill", 2, 0, "distill", { "readback", "looked", 'fit training ["train/"]' } },
    ["is another for a loop after a teacher's fit"] = { before, "batches", 2, 0, "batches",
      { "readback", "looked", 'fit training ["train/"]' } },
    ["stays for a loop after another training"] = { { name = "distill", prefixes = {} }, "batches", 1, 9, "distill", {} },
    ["stays for a second loop"] = { { name = "batches", prefixes = {} }, "batches", 1, 9, "batches", {} },
    ["moves of a dry run, which writes nothing"] = { before, "distill", 2, 9, "distill", {}, true } } do
    it(name, function()
      local run, log = run_at(1, case[1], case[7])
      local step = axes.begin(run, case[2], { "p/" })
      expect({ run.axis, step, run.trained.name, log, #run.latest }):equals { case[3], case[4], case[5], case[6], case[4] == 0 and 0 or 1 }
    end)
  end
  it("is told by the store, a fork's with those of its origin", function()
    local runs = { [1] = { 2 }, [2] = { 1, { axis = 5, origin = 1 } }, [3] = { 1, { origin = 1 } }, [4] = { 0, {} }, [5] = { 0 } }
    local store = store_of { ["SELECT count(*)"] = function(id) return { { n = runs[id][1] } } end,
      ["FROM forks"] = function(id) return { runs[id][2] } end }
    for id, axis in pairs { 3, 6, 4, 1, 1 } do expect({ id, axes.last(store, id) }):equals { id, axis } end
  end)
end)
