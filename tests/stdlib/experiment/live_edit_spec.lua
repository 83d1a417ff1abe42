-- Versions of a live run's script: which goes on, what the store is told, and what gives way. The parts are said to do what they do.
local host = require "gradus.host"
local instead = require "instead"
local live_edit = require "gradus.experiment.live_edit"
local live_files = require "gradus.experiment.live_files"
local live_loop = require "gradus.experiment.live_loop"
local live_swap = require "gradus.experiment.live_swap"
local live_training = require "gradus.experiment.live_training"
local live_users = require "gradus.experiment.live_users"
local rehearsal = require "gradus.experiment.rehearsal"

local function texts(text) return { ["s.lua"] = { path = "s.lua", text = text, sha256 = "sha of " .. text } } end

-- Calls fn(live, world): world.log is what was done; .text, .flat and .asks are the version that is saved, .makes and .swaps what its
-- parts do.
local function with_live(fn)
  local log = {}
  local world = { log = log, text = "one", flat = { alpha = .5 }, saved = true, asks = function() end }
  local function note(what)
    return function(...) log[#log + 1] = what .. (select("#", ...) > 0 and " " .. host.json_encode { ... } or "") end
  end
  local run = { line = { say = function(text, is_error) note(is_error and "say wrong" or "say") (text) end }, step_number = 7,
    params = { alpha = .5 },
    writer = { amend = function(_, what) note "amend" (what) end }, edited = function(_, name, detail) note "edited" (name, detail) end,
    event = function(_, kind, name, detail) note "event" (kind, name, detail.text) end }
  world.run = run
  local marks = 0
  instead({
    { live_files, "new", function()
      return { read = function() return texts(world.text) end,
        look = function(_, of) return world.saved and of["s.lua"].text ~= world.text end,
        failed = function(_, why) note "watch for" (why) end }
    end },
    { rehearsal, "ask", function(_, where, index, capture)
      note "ask" (where, index)
      world.asks(capture)
      return { stand_in = setmetatable({ mine = 1 }, {}), flat = world.flat, found = capture and "found" }
    end },
    { live_training, "make", function(_, training, new, begins)
      if world.makes then world.makes() end
      world.stand_in = new.stand_in
      return { name = training.name .. "'", begins = begins }, { works = false,
        keep = function(_, one, epoch) note "keep" (one.name, epoch) end, passed = function(_, evaluated) note "passed" (evaluated) end,
        take_back = function(trial) note "trial taken back" (trial.works) return training end }
    end },
    { live_loop, "swap", function() return world.swap end }, { live_swap, "capture", function(of) return of end },
    { live_swap, "new", function(of) return { of = of } end },
    { live_users, "held", function() return "held" end }, { live_users, "put_back", function(held) note "put back" (held) end },
    { live_users, "forget_modules", note "forget" }, { live_users, "world_of", function(_, params) return params.alpha end },
    { host, "read_again", function() marks = marks + 1 return marks end },
    { host, "put_back_sources", function(mark) note "sources back" (mark) end } }, function()
    local live = live_edit.new(run, { script = "s.lua" }, {}, world.flat)
    fn(live, world)
  end)
end

local function taken(world)
  local list = { unpack(world.log) }
  for i = #world.log, 1, -1 do world.log[i] = nil end
  return list
end

local EDITED = 'edited ["live",{"files":[{"now":"sha of two","path":"s.lua","was":"sha of one"}]}]'
local SOURCES = 'amend [{"sources":[{"path":"s.lua@7","sha256":"sha of two","text":"two"}]}]'

describe("a live run", function()
  it("goes on with a saved version that works", function()
    with_live(function(live, world)
      local training = { where = "distill", live_index = 2, name = "t" }
      expect(live:look(training)):equals(nil)
      expect(taken(world)):equals {}
      world.text = "two"
      local one = live:look(training)
      expect({ one.name, one.begins, live.version.texts["s.lua"].text, live.trial.was == live.first }):equals { "t'", nil, "two", true }
      expect(taken(world)):equals { "forget", 'ask ["distill",2]', EDITED, SOURCES, 'say ["live: step 7: the new version goes on"]' }
      -- Functions of the new version hold its stand-in.
      expect({ world.stand_in.step_number, rawget(world.stand_in, "mine") }):equals { 7, nil }
      world.stand_in.ending = "x"
      expect(world.run.ending):equals "x"
      live:keep(training, true, 3)
      expect(taken(world)):equals { 'keep ["t",3]' }
      expect(live:look(training)):equals(nil)
      expect(taken(world)):equals { "passed [true]" }
      live:look(training)
      expect(taken(world)):equals { "passed [false]" }
      world.text, world.saved = "three", false
      expect(live:look(training)):equals(nil)
    end)
  end)
  it("keeps what parameters have become", function()
    with_live(function(live, world)
      world.text, world.flat = "two", setmetatable({ alpha = .25, n = 3, tag = "b" }, { __index = { types = { n = "int" } } })
      live:look { where = "distill", live_index = 1, name = "t" }
      expect({ unpack(taken(world), 3, 4) }):equals {
        'edited ["live",{"files":[{"now":"sha of two","path":"s.lua","was":"sha of one"}],"params":{"alpha":{"now":0.25,"was":0.5},'
          .. '"n":{"now":3},"tag":{"now":"b"}}}]',
        'amend [{"params":[{"key":"alpha","value":0.25},{"key":"n","type":"int","value":3},{"key":"tag","value":"b"}]}]' }
    end)
  end)
  it("goes on as it was where a version fails, and says why", function()
    for _, case in ipairs { { "asks", { "watch for [\"oh\\n  more\"]", "sources back [1]", 'put back ["held"]' } },
      { "makes", { "sources back [1]", 'put back ["held"]' } } } do
      with_live(function(live, world)
        world.text = "two"
        world[case[1]] = function() error("oh\n  more", 0) end
        expect(live:look { where = "distill", live_index = 1, name = "t" }):equals(nil)
        local wanted = { "forget", 'ask ["distill",1]', unpack(case[2]) }
        wanted[#wanted + 1] = 'event ["warning","live",{"text":"oh more; the version before goes on"}]'
        local log = taken(world)
        expect({ unpack(log, 1, 2 + #case[2]) }):equals { unpack(wanted, 1, 2 + #case[2]) }
        expect({ log[#log - 1], log[#log], live.version == live.first }):equals { 'event ["warning","live","oh more"]',
          'say wrong ["live: step 7: oh more; the version before goes on"]', true }
        world[case[1]] = function() error({ interrupted = "now" }, 0) end
        local ok, why = pcall(live.look, live, { where = "distill", live_index = 1, name = "t" })
        expect({ ok, why.interrupted }):equals { false, "now" }
      end)
    end
  end)
  it("takes back a version that fails later", function()
    for _, case in ipairs { { false, nil, "there" }, { true, nil, "here" }, { false, true, "there" } } do
      with_live(function(live, world)
        local training = { where = "distill", live_index = 1, name = "t" }
        expect(live:taken_back(training, "oh")):equals(nil)  -- none is on trial
        world.text = "two"
        local one = live:look(training)
        live.trial.works, one.books = case[1], case[2]
        taken(world)
        expect(live:taken_back(one, { interrupted = "now" })):equals(nil)
        assert(live:taken_back(one, "oh\n no") == training and live.trial == nil and live.version == live.first)
        expect(taken(world)):equals { ("trial taken back [%s]"):format(tostring(case[1])), "sources back [1]", 'put back ["held"]',
          'edited ["live",{"error":"oh no","files":[{"now":"sha of one","path":"s.lua","was":"sha of two"}],"taken_back":true}]',
          ('say wrong ["live: step 7: oh no; the version before goes on from %s"]'):format(case[3]) }
      end)
    end
    with_live(function(live, world)  -- nobody's function: a loss that is not finite
      world.text = "two"
      local one = live:look { where = "distill", live_index = 1, name = "t" }
      live.trial.works, one.books = true, true
      expect(live:taken_back(one, "oh")):equals(nil)
    end)
  end)
  it("begins what comes later with the version that goes on, or as the one at the start has it", function()
    with_live(function(live, world)
      local training = { where = "fit", live_index = 2, name = "t" }
      expect(live:begin(training)):equals(nil)
      world.text = "two"
      live:look(training)
      taken(world)
      local one = live:begin(training)
      expect({ one.name, one.begins }):equals { "t'", true }
      expect(world.log[#world.log]):equals 'say ["live: step 7: fit begins with the new version"]'
      taken(world)
      world.asks = function() error("oh", 0) end
      expect({ live:begin(training), live.version.kept, live.version.texts["s.lua"].text }):equals {
        nil, "fit of the version at the start", "two" }
      expect(world.log[#world.log]):equals 'edited ["live",{"files":{},"kept":"fit of the version at the start"}]'
    end)
  end)
  it("swaps what a loop calls, and tells what becomes of it", function()
    with_live(function(live, world)
      local loop = { index = 2, fn = print }
      live:loops()
      live:loops()
      expect(live.begun):equals(2)
      live.done[1] = { student = 1 }
      live:enter(loop)
      expect({ loop.takes_values, loop.swap.of, live.done[2].loop }):equals { true, .5, true }
      live:begin_loop(loop)  -- the first version's
      live:look_at_loop(loop)
      expect(taken(world)):equals {}
      world.text, world.swap = "two", { words = "the new version goes on: f", swapped = { kept = "s.lua:3" } }
      live:look_at_loop(loop)
      expect({ loop.trial == world.swap, live.version.kept }):equals { true, "s.lua:3" }
      expect(taken(world)):equals { "forget", 'ask ["batches",2]', 'put back ["held"]',
        'edited ["live",{"files":[{"now":"sha of two","path":"s.lua","was":"sha of one"}],"kept":"s.lua:3","swapped":'
          .. '{"kept":"s.lua:3"}}]', SOURCES, 'say ["live: step 7: the new version goes on: f"]' }
      live:loop_taken_back(world.swap, "oh")
      local log = taken(world)
      expect({ log[1], log[#log], live.version == live.first }):equals { "sources back [1]",
        'say wrong ["live: step 7: oh; the version before goes on"]', true }
      world.swap = { nothing = true, words = "the change takes effect later" }
      live:look_at_loop(loop)
      log = taken(world)
      expect({ log[#log - 1], log[#log] }):equals { 'event ["warning","live","the change takes effect later"]',
        'say wrong ["live: step 7: the change takes effect later"]' }
      local after = { index = 3, fn = print }
      live:enter(after)
      expect(after.takes_values):is_false()
      live.version = { texts = texts "three", flat = world.flat }
      world.asks = function() error("oh", 0) end
      live:begin_loop(after)
      expect(live.version.kept):equals "batches of the version at the start"
    end)
  end)
  it("says what goes on as it is", function()
    with_live(function(live, world)
      live:look_past "a look-ahead"
      expect(taken(world)):equals {}
      world.text = "two"
      live:look_past "a look-ahead"
      expect(taken(world)):equals {
        'event ["warning","live","a look-ahead goes on as it was; what was saved takes effect at the next run"]',
        'say wrong ["live: step 7: a look-ahead goes on as it was; what was saved takes effect at the next run"]' }
      live.looks_ahead()
    end)
  end)
end)

describe("a live run whose files nobody has saved", function()
  it("keeps nothing at its boundaries, and counts its trainings and loops", function()
    with_live(function(live, world)
      live:keep({ name = "t" }, true, 1)
      expect({ live.trial, live.evaluates, taken(world) }):equals { nil, true, {} }
      live:loops()
      live:loops()
      expect(live.begun):equals(2)
    end)
  end)
  it("counts its trainings, knows what each came to, and has none on trial afterwards", function()
    local distill = require "gradus.training.distill"
    with_live(function(live, world)
      local asked = {}
      live:loops()
      instead({ { distill, "make", function(...)
        asked[#asked + 1] = { ... }
        return { n = #asked }
      end }, { distill, "train", function(training)
        live.trial = "on trial"
        return { live = training.live, index = training.live_index, n = training.n }
      end } }, function()
        for n = 1, 2 do
          local done = live:train(world.run, { "given" }, "fit")
          expect({ done.index, done.n, done.live == live, live.done[n + 1] == done, live.trial, live.begun }):equals { n + 1, n, true, true,
            nil, n + 1 }
        end
      end)
      expect(asked[2]):equals { world.run, { "given" }, "fit" }
      local loop = { index = 2, fn = print }
      live:enter(loop)
      expect(loop.takes_values):is_true()  -- a training is before it
      live:enter { index = 1, fn = print }
      loop = { index = 3, fn = print }
      live:enter(loop)
      expect(loop.takes_values):is_false()
    end)
  end)
  it("keeps a single parameter that was moved", function()
    with_live(function(live, world)
      world.text, world.flat = "two", { alpha = .25 }
      live:look { where = "distill", live_index = 1, name = "t" }
      expect(world.log[4]):equals 'amend [{"params":[{"key":"alpha","value":0.25}]}]'
    end)
  end)
end)
