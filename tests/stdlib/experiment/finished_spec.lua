-- Which runs of a plan are done: in a store, by code, parameters and seed.
local finished = require "gradus.experiment.finished"
local host = require "gradus.host"
local instead = require "instead"
local params = require "gradus.experiment.params"
local sources = require "gradus.experiment.sources"

local folder = ("%s/gradus-spec-%s"):format(os.getenv "TMPDIR" or "/tmp", host.random_hex(8))
after_all(function() os.execute("rm -rf " .. folder) end)

local HASH, OTHER = ("a"):rep(64), ("b"):rep(64)
local specs = params.declare({ T = 1.5, wide = true, mode = "x" }, "spec")

-- What is loaded and what is on the disk, for as long as fn runs; all that a run has is a.lua where nothing else is said.
local function having(loaded, disk, fn)
  instead({
    { sources, "loaded", function()
      local count = 0
      for _ in pairs(loaded) do count = count + 1 end
      return loaded, count
    end },
    { sources, "now", function()
      local all = {}
      for path, hash in pairs(loaded) do all[path] = hash end
      for path, hash in pairs(disk) do all[path] = hash end
      return setmetatable(all, { __index = function() return false end })
    end },
  }, fn)
end

local count = 0
local function new_store()
  count = count + 1
  return require("gradus.store").open(("%s/%d.db"):format(folder, count))
end

-- A run of T, wide, mode and a seed; how: { status =, why =, name =, sources =, event =, results = }.
local function add(store, T, seed, how)
  how = how or {}
  local list = {}
  for path, hash in pairs(how.sources or { ["a.lua"] = HASH }) do list[#list + 1] = { path = path, sha256 = hash, text = "" } end
  local run = store:begin { name = how.name or "e", seed = seed, parent = how.parent, config_hash = how.config, sources = list, params = {
    { key = "T", value = T }, { key = "wide", value = how.wide ~= false, type = "boolean" }, { key = "mode", value = "x" } } }
  for key, value in pairs(how.results or {}) do run:log(run:key(key), 1, value) end
  for _, event in ipairs(how.events or {}) do run:event(unpack(event)) end
  run:finish(how.status or "finished", how.why)
  return run.id
end

local function plan_of(...)
  local plan = {}
  for i, one in ipairs { ... } do plan[i] = { given = { T = one[1], wide = one[3] }, seed = one[2] } end
  return plan
end

describe("runs that are done", function()
  it("have the parameters and the seed of the plan, to the last digit; of several the newest counts", function()
    local store = new_store()
    add(store, 1.5, 1)
    local newest, other_seed, narrow = add(store, 1.5, 1), add(store, 1.5, 2), add(store, 1.5, 3, { wide = false })
    local close = add(store, .1 + .2, 1)
    having({ ["a.lua"] = HASH }, {}, function()
      local plan = plan_of({ 1.5, 1 }, { 1.5, 2 }, { 1.5, 3 }, { 1.5, 3, false }, { .1 + .2, 1 }, { .3, 1 }, { nil, 2 })
      expect(finished.ids(store, "e", specs, plan)):equals { newest, other_seed, nil, narrow, close, nil, other_seed }
      expect(finished.ids(store, "none", specs, plan)):equals {}
    end)
  end)
  it("have the code that is loaded, what they loaded later as it is on the disk, and no other", function()
    local store = new_store()
    local same = add(store, 1, 1, { sources = { ["a.lua"] = HASH, ["m.lua"] = HASH } })
    add(store, 2, 1, { sources = { ["a.lua"] = HASH, ["m.lua"] = OTHER } })
    add(store, 3, 1, { sources = { ["m.lua"] = HASH } })
    add(store, 4, 1, { sources = { ["a.lua"] = OTHER } })
    local plain = add(store, 5, 1)
    local plan = plan_of({ 1, 1 }, { 2, 1 }, { 3, 1 }, { 4, 1 }, { 5, 1 })
    having({ ["a.lua"] = HASH }, { ["m.lua"] = HASH }, function()
      expect(finished.ids(store, "e", specs, plan)):equals { [1] = same, [5] = plain }
    end)
    having({ ["a.lua"] = HASH, ["m.lua"] = HASH }, {}, function()
      expect(finished.ids(store, "e", specs, plan)):equals { same }  -- the others have not loaded all
    end)
  end)
  it("are neither failed, nor interrupted unless a sweep stopped them and that is asked", function()
    local store = new_store()
    add(store, 1, 1, { status = "failed", why = "boom" })
    add(store, 2, 1, { status = "interrupted", why = "SIGINT" })
    local stopped = add(store, 3, 1, { status = "interrupted", why = finished.STOPPED .. "at 3" })
    local plan = plan_of({ 1, 1 }, { 2, 1 }, { 3, 1 })
    having({ ["a.lua"] = HASH }, {}, function()
      expect(finished.ids(store, "e", specs, plan)):equals {}
      expect(finished.ids(store, "e", specs, plan, false)):equals {}
      expect(finished.ids(store, "e", specs, plan, true)):equals { [3] = stopped }
      expect(finished.unfinished(store, "e", specs, plan)):equals { 1, 2, stopped }
    end)
  end)
  it("are no runs that were edited, were something else on their way, or belong to others", function()
    local store = new_store()
    local edited = add(store, 1, 1)
    store:tag(edited, "edited", "")
    add(store, 2, 1, { events = { { 2, "resume", "data", "{}" } } })
    add(store, 3, 1, { events = { { 4, "resume", "fork", "{}" } } })
    add(store, 4, 1, { events = { { 4, "resume", "resume", '{"set":{"T":4}}' } } })
    add(store, 5, 1, { parent = edited })
    local went_on = add(store, 6, 1, { events = { { 4, "resume", "resume", "{}" } } })
    local tagged = add(store, 7, 1)
    store:tag(tagged, "best", "")
    local plan = plan_of({ 1, 1 }, { 2, 1 }, { 3, 1 }, { 4, 1 }, { 5, 1 }, { 6, 1 }, { 7, 1 })
    having({ ["a.lua"] = HASH }, {}, function()
      expect(finished.ids(store, "e", specs, plan)):equals { [6] = went_on, [7] = tagged }
    end)
  end)
  it("give what they returned: numbers of the store, and what it has no place for as the run told it", function()
    local store = new_store()
    local id = add(store, 1.5, 1, { results = { ["result/acc"] = .5, ["result/lost"] = 0 / 0, ["val/acc"] = 3 },
      events = { { 1, "result", "returned", '{"note":"old"}' }, { 1, "result", "returned", '{"note":"fine"}' } } })
    add(store, 2, 1, { name = "own", results = { ["result/acc"] = 1 } })
    having({ ["a.lua"] = HASH }, {}, function()
      instead({ { require "gradus.store", "open", function(path) return path == "s" and store end } }, function()
        local experiment = { name = "e", specs = specs }
        local texts = finished.results({ store = "s" }, experiment, plan_of({ 1.5, 1 }, { 2, 1 }))
        expect(texts[2]):equals(nil)
        local one = host.json_decode(texts[1])
        expect({ one.id, one.name, one.seed, one.status, one.params, one.others }):equals { id, "e", 1, "finished",
          { T = 1.5, wide = true, mode = "x" }, { note = "fine" } }
        expect({ one.result.acc, one.result.note, one.result["val/acc"] }):equals { .5, "fine" }
        assert(one.result.lost == "nan" or one.result.lost ~= one.result.lost, tostring(one.result.lost))
        expect(one.uid):matches "^%x+$"
        local own = finished.results({ store = "s", name = "own" }, experiment, plan_of({ 1.5, 1 }, { 2, 1 }))
        expect({ own[1], host.json_decode(own[2]).result.acc, host.json_decode(own[2]).others }):equals { nil, 1 }
      end)
    end)
  end)
  it("read other data where their configuration is another with the same parameters", function()
    local store = new_store()
    local before = { add(store, 1, 1, { config = "old" }), add(store, 2, 1, { config = "two" }), add(store, 3, 1, { config = "three" }),
      add(store, 4, 1, { config = "four" }) }
    local new = { add(store, 1, 2, { config = "new" }), add(store, 2, 2, { config = "two" }),
      add(store, 3, 2, { config = "cut", status = "failed" }) }
    expect(finished.of_other_data(store, before, new)):equals { before[1] }
    expect(finished.of_other_data(store, {}, new)):equals {}
    expect(finished.of_other_data(store, before, {})):equals {}
  end)
end)
