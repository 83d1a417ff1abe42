-- A version in a loop of the script's own that fails: what it has done is taken back, and the one before goes on. No run, no files.
local edit = require "edited"
local live_loop = require "gradus.experiment.live_loop"
local live_swap = require "gradus.experiment.live_swap"
local reachable = require "gradus.experiment.reachable"
local step_module = require "gradus.step.step"
local streams = require "gradus.experiment.streams"
local g = require "gradus"

local SCRIPT = [[
local count, last = 0, 0
local function inner(x) return x end
local function f(x, T) last = x return inner(x) * T, "two", nil end
local other = f
local step = spec_step(function(b) return { y = b.x * 2 } end)
return function()
  local T, kept = 4, nil
  local got = {}
  for i = 1, 6 do
    spec_at(i)
    count = count + 1
    local value, two, three = f(i, T)
    if i == 3 then kept = f end
    got[i] = { same = other == f, value = value, n = two == "two" and three == nil, count = count, last = last, T = T,
      kept = kept and kept(1, 1), step = step({ x = spec_one }, {}).y:item(), random = math.random(), state = spec_state.a }
  end
  return got
end
]]

local function version(text)
  return { fn = assert(loadstring(text, "@s.lua"))(), texts = { ["s.lua"] = text }, params = {},
    roots = { { table = package.loaded, names = {} }, { table = _G, names = {} } } }
end

local function edited(...) return edit(SCRIPT, ...) end

-- Runs the loop; texts: step -> the version that takes over before it. Returns what it got, the trials, and why each was taken back.
local function run(texts, wants_seen)
  local trials, told, old, got = {}, {}, nil, nil
  local snapshots = { seen = wants_seen and {} or nil, reachable = function(self, loop) return reachable.save(loop.fn, self.of) end }
  local live = { run = { device = "cpu", snapshots = snapshots, state = { a = 1 } },
    loop_taken_back = function(_, trial, why) told[#told + 1] = { trial, tostring(type(why) == "table" and why.message or why) } end }
  local loop = { takes_values = true }
  local globals = { spec_one = g.tensor { 1 }, spec_state = live.run.state, spec_step = function(fn)
    return step_module.new(fn, function() end, "cpu")
  end }
  function globals.spec_at(i)
    if i == 1 then
      loop.swap, snapshots.of = live_swap.new(old, {}), reachable.seen(old.fn)
    elseif texts[i] then
      local new, at = version(texts[i]), rawget(_G, "spec_at")
      rawset(_G, "spec_at", function() error({ found = live_swap.capture(new) }, 0) end)
      local _, reached = pcall(new.fn)
      rawset(_G, "spec_at", at)
      trials[#trials + 1] = live_loop.swap(live, loop, reached)
      loop.trial = trials[#trials]
    end
  end
  for name, value in pairs(globals) do rawset(_G, name, value) end
  streams.begin(1)
  local ok, why = pcall(function()
    old = version(SCRIPT)
    loop.fn = old.fn
    got = old.fn()
  end)
  for name in pairs(globals) do rawset(_G, name, nil) end
  if not ok then error(why, 0) end
  return got, trials, told, loop, snapshots
end

local PLAIN = run {}

describe("a version in a loop", function()
  it("goes on", function()
    local got, trials, told, loop = run { [2] = edited("* T, ", "* T + 100, ", "b.x * 2", "b.x * 3") }
    for i = 1, 6 do
      local wanted, more = PLAIN[i], i > 1 and 1 or 0
      expect(got[i]):equals { same = true, value = wanted.value + 100 * more, n = true, count = i, last = wanted.last, T = 4,
        kept = wanted.kept and wanted.kept + 100, step = 2 + more, random = wanted.random, state = 1 }
    end
    expect({ #told, trials[1].words, trials[1].nothing, trials[1].over }):equals { 0, "the new version goes on: f, step", false, false }
    expect(trials[1].swapped):equals { functions = { "f", "step" }, values = {} }
    expect(loop.trial == trials[1]):is_true()
  end)
  for _, case in ipairs {
    { "nothing that runs has changed", "spec_at(i)", "spec_at(i)  ", nothing = false },
    { "the change in the function that runs (s.lua:6) takes effect at the next run", "count = count + 1", "count = count + 2",
      nothing = true },
    { "the new version goes on: T = 8", "nil\n  local got", "nil\n  local got", "T, kept = 4", "T, kept = 8", values = 1 },
    { "the new version goes on: f.inner", "return x end", "return x + 1 end" } } do
    it("is told: " .. case[1], function()
      local _, trials = run { [2] = edited(unpack(case, 2)) }
      expect(trials[1].words:sub(1, #case[1])):equals(case[1])
      expect(trials[1].nothing):equals(case.nothing or false)
    end)
  end
  for name, text in pairs {
    ["at once, after it has moved things"] = edited("last = x return",
      "last = 99 count = 50 spec_state.a = 7 spec_state.b = 1 math.random() error 'oh' return"),
    ["within what it calls"] = edited("return x end", "error 'oh' end", "last = x return", "last = 99 count = 50 return 0 +"),
    ["within a step"] = edited("return { y = b.x * 2 }", "count = 50 math.random() error 'oh'"),
    ["of a number that it brought"] = edited("T, kept = 4", "T, kept = -4", "last = x return",
      "last = x if T < 0 then error 'oh' end return 0 +") } do
    it("that fails " .. name .. " leaves no trace", function()
      local got, trials, told, loop = run { [2] = text }
      expect(got):equals(PLAIN)
      expect({ #told, told[1][1] == trials[1], trials[1].over, loop.trial == nil }):equals { 1, true, true, true }
      expect(told[1][2]):matches "oh"
    end)
  end
  it("that fails later leaves what it did, but for the random numbers", function()
    local late = "last = x if x > 3 then math.random() count = 50 error 'oh' end return x +"
    local got, trials, told = run { [2] = edited("last = x return", late) }
    for i, one in ipairs(PLAIN) do
      local more = (i == 2 or i == 3) and i or 0  -- works
      expect({ got[i].random, got[i].value, got[i].kept }):equals { one.random, one.value + more,
        one.kept and one.kept + (i == 3 and 1 or 0) }
    end
    expect({ got[3].count, got[4].count, got[6].count, #told, trials[1].over }):equals { 3, 50, 52, 1, true }
  end)
  it("is taken back with those after it, and alone where it is the last", function()
    local late = "last = x if x > 3 then error 'oh' end return"
    local got, trials, told, loop = run { [2] = edited("last = x return", late),
      [3] = edited("last = x return", late, "b.x * 2", "b.x * 3") }
    expect({ #told, told[1][1] == trials[2], told[2][1] == trials[1], loop.trial == nil }):equals { 2, true, true, true }
    expect({ got[3].step, got[6].step, got[6].value }):equals { 3, 2, 24 }
    got, trials, told, loop = run { [2] = edited("b.x * 2", "b.x * 3"), [3] = edited("last = x return", late, "b.x * 2", "b.x * 3") }
    expect({ #told, told[1][1] == trials[2], loop.trial == trials[1], trials[1].over }):equals { 1, true, true, false }
    expect({ got[6].step, got[6].value }):equals { 3, 24 }
  end)
  it("lets an end pass", function()
    local ok, why = pcall(run, { [2] = edited("last = x return", "error({ interrupted = 'the end' }, 0) return") })
    expect({ ok, why.interrupted }):equals { false, "the end" }
  end)
  it("has what it brings known as there before the loop, where that is asked", function()
    local _, _, _, _, snapshots = run({ [2] = edited("* T, ", "* T + 100, ") }, true)
    local functions = 0
    for value, yes in pairs(snapshots.seen) do functions = functions + (type(value) == "function" and yes and 1 or 0) end
    expect(functions > 1):is_true()
  end)
end)
