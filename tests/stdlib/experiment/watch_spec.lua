-- gradus watch: what becomes of the runs and what is shown of them, by what the children and the clock are said to do.
local children = require "gradus.children"
local console = require "gradus.base.console"
local grid = require "gradus.experiment.grid"
local host = require "gradus.host"
local instead = require "instead"
local runner = require "gradus.experiment.runner"
local screen = require "gradus.experiment.screen"
local sparkline = require "gradus.base.sparkline"
local store_keeper = require "gradus.experiment.store_keeper"
local watch = require "gradus.experiment.watch"

-- Watches for as many turns as there are: { now, events } each, an event { child, kind, text } or "saved". Run n is child 10 * n.
-- Returns what was done, in order; of a live screen the lines that it shows.
local function watched(turns, options, live, columns)
  local done, now, at, stopping, started = {}, 100, 0, false, 0
  local function note(what)
    return function(...)
      local words = { what }
      for i = 1, select("#", ...) do words[i + 1] = tostring((select(i, ...))) end
      done[#done + 1] = table.concat(words, " ")
    end
  end
  local shown = { live = live or false, clear = function() note "clear" () end, say = function(_, text) note "say" (text) end,
    show = function(_, lines) note "show" (table.concat(lines, "|")) end }
  local code
  instead({
    { screen, "new", function(quiet) return quiet == false and shown end }, { grid, "warm", note "warm" },
    { store_keeper, "start", function(store) note "keeper of" (store) return "it" end }, { store_keeper, "stop", note "no keeper:" },
    { children, "watch", function(paths) note "watch" (unpack(paths)) end }, { children, "stop", note "stop" },
    { children, "show_output", note "output of" }, { children, "stop_code", function() return 130 end },
    { children, "spawn", function() started = started + 1 note "start" (started) return 10 * started end },
    { host, "monotonic", function() return now end }, { host, "stopping", function() return stopping end },
    { host, "columns", function() return columns or 120 end },
    { children, "wait", function(seconds)
      expect(seconds):equals(.1)
      at = at + 1
      now, stopping = turns[at][1], turns[at].stopping or at == #turns
      local events = {}
      for i, one in ipairs(turns[at][2] or {}) do
        events[i] = one == "saved" and { kind = "saved" } or { child = one[1], kind = one[2], text = one[3] or "", code = one.code }
      end
      return events
    end } }, function() code = watch.run(options or { script = "x.lua", store = "runs" }) end)
  return done, code
end

local function line(number, values, limits, words, width)
  local curve = sparkline(values, { low = limits[1], high = limits[2], width = width or 40 })
  local _, columns = curve:gsub("[^\128-\191]", "")
  return ("#%d  %s%s  %s"):format(number, curve, (" "):rep((width or 40) - columns), words)
end

local function value(name, number) return { 10, "value", name .. " " .. number } end

describe("gradus watch", function()
  it("begins a run at once, and one at each save, once for all that was saved; none while it stops", function()
    local done, code = watched { { 100 }, { 101, { "saved", "saved" } }, { 102 }, { 103, { "saved" }, stopping = true },
      { 104, { { 10, "end", code = 1 }, { 20, "end", code = 1 } } } }
    expect(done):equals { "warm", "watch x.lua", "start 1", "start 2", "clear", "output of 10",
      "say " .. line(1, {}, {}, "no train/loss  interrupted  4.0s"), "clear", "output of 20",
      "say " .. line(2, {}, {}, "no train/loss  interrupted  3.0s") }
    expect(code):equals(130)
  end)
  it("ends the runs before one whose script is read, and says what became of each", function()
    local done = watched { { 100.5, { { 10, "loaded" }, { 10, "sources", '["x.lua","part.lua"]' }, { 10, "first", "100.25" },
        { 10, "value", "train/loss 2" } } },
      { 101, { "saved" } }, { 102, { { 20, "loaded" } } }, { 103, { { 10, "end", code = 0 } } }, { 104, { { 20, "first", "102.5" } } },
      { 105, { { 20, "end", code = 0 }, { 20, "say", "too late" } } }, { 106 } }
    expect(done):equals { "warm", "watch x.lua", "start 1", "watch x.lua", "watch part.lua", "keeper of runs", "start 2", "stop 10",
      "clear", "output of 10", "say " .. line(1, { 2 }, { 2, 2 }, "train/loss 2  replaced  3.0s  first step after 250 ms"), "clear",
      "output of 20", "say " .. line(2, {}, {}, "no train/loss  finished  4.0s  first step after 1500 ms"), "no keeper: it" }
  end)
  it("says how a run ended, one that ended while its script was read too", function()
    for _, case in ipairs { { "finished", 0 }, { "failed", 1 }, { "interrupted", 1, true } } do
      for _, begun in ipairs { { { 10, "loaded" } }, {} } do
        local done = watched { { 100, begun }, { 101, { { 10, "end", code = case[2] } }, stopping = case[3] }, { 102 } }
        expect(done[#done]):equals("say " .. line(1, {}, {}, "no train/loss  " .. case[1] .. "  1.0s"))
      end
    end
  end)
  it("says of a script that never came to its end that a later one is in its place", function()
    local done = watched { { 100, { "saved" } }, { 101, { { 20, "loaded" } } },
      { 102, { { 20, "end", code = 0 }, { 10, "loaded" }, { 10, "end", code = 1 } } }, { 103 } }
    expect(done[#done]):equals("say " .. line(1, {}, {}, "no train/loss  replaced  2.0s"))
  end)
  it("tells an error, and that the run before goes on where there is one", function()
    local text = '{"text":"x.lua:1: oh\\n"}'
    for _, case in ipairs {
      { {}, "say x.lua:1: oh" },  -- nobody before
      { { "saved" }, "say x.lua:1: oh\nthe run before goes on" },
      { { "saved", { 10, "loaded" } }, "say x.lua:1: oh", 10 } } do  -- it had begun itself
      local done = watched { { 100, case[1] }, { 101, { { case[3] or (case[1][1] and 20 or 10), "error", text } } },
        { 102, { { 10, "end", code = 1 }, { 20, "end", code = 1 } } } }
      local said = {}
      for _, one in ipairs(done) do
        if one:find "oh" then said[#said + 1] = one end
      end
      expect(said):equals { case[2] }
      expect(table.concat(done, "\n")):matches "  failed  "
    end
  end)
  it("shows what a run says, each with its number, and lines as they are", function()
    local done = watched {
      { 100, { { 10, "say", "a" }, { 10, "done", "b" }, { 10, "line", "c" }, { 10, "nobody's", "d" }, { 30, "say", "e" } } },
      { 101, { { 10, "end", code = 0 } } } }
    expect({ done[4], done[5], done[6], done[7] }):equals { "say #1  a", "say #1  b", "say c", "clear" }
  end)
  it("shows the last six, between the same limits, of validation's first metric or the one asked for", function()
    local events = { { 10, "loaded" }, { 10, "status", "step 5" }, value("val/loss", 4), value("val/acc", .5), value("val/acc", 0 / 0),
      value("val/acc", .25), value("train/loss", 9) }
    local turns = { { 100, events }, { 101, { "saved" } }, { 102, { { 20, "value", "val/acc 0.75" }, { 20, "waiting", "waits" } } },
      { 103, { { 10, "end", code = 0 }, { 20, "end", code = 0 } } }, { 104 }, { 105 } }
    local shown = watched(turns, nil, true)
    local limits, nan = { .25, .75 }, 0 / 0
    expect({ unpack(shown, 4) }):equals {
      "show " .. line(1, { .5, nan, .25 }, { .25, .5 }, "val/acc 0.25  runs  step 5"),
      "start 2",
      "show " .. line(1, { .5, nan, .25 }, { .25, .5 }, "val/acc 0.25  runs  step 5") .. "|" .. line(2, {}, {}, "no val/acc  starts"),
      "show " .. line(1, { .5, nan, .25 }, limits, "val/acc 0.25  runs  step 5") .. "|" .. line(2, { .75 }, limits, "val/acc 0.75  starts"),
      "clear", "output of 10", "clear", "output of 20",  -- nobody runs: once more, and then what is shown stays
      "show " .. line(1, { .5, nan, .25 }, limits, "val/acc 0.25  finished  3.0s") .. "|"
        .. line(2, { .75 }, limits, "val/acc 0.75  finished  2.0s") }
    local done = watched({ { 100, events }, { 101, { { 10, "end", code = 0 } } } }, { script = "x.lua", by = "val/loss" })
    expect(done[#done]):equals("say " .. line(1, { 4 }, { 4, 4 }, "val/loss 4  finished  1.0s"))
    local many, ends = { { 100, { value("val/acc", 7) } } }, {}
    for i = 1, 7 do
      many[#many + 1], ends[i] = { 100 + i, i < 7 and { "saved" } or nil }, { 10 * i, "end", code = 0 }
    end
    many[#many + 1] = { 109, ends }
    shown = watched(many, nil, true)
    local last = {}
    for i = 2, 7 do last[i - 1] = line(i, {}, {}, "no train/loss  starts") end
    expect(shown[#shown - 15]):equals("show " .. table.concat(last, "|"))  -- #1's curve is none of them
    done = watched(many)
    expect({ done[#done - 18], done[#done - 15] }):equals { "say " .. line(1, {}, {}, "no train/loss  finished  9.0s"),
      "say " .. line(2, {}, {}, "no train/loss  finished  8.0s") }
  end)
  it("draws shorter curves in a narrower terminal, so that what is said beside them is seen; how it goes is said first", function()
    for _, case in ipairs { { 80, 18 }, { 40, 10 }, { 300, 40 } } do
      local shown = watched({ { 100, { { 10, "loaded" }, { 10, "first", "100.5" }, { 10, "status", "step 5" }, value("val/acc", 1) } },
        { 101, { { 10, "end", code = 0 } } } }, nil, true, case[1])
      expect(shown[5]):equals("show " .. line(1, { 1 }, { 1, 1 }, "val/acc 1  runs  step 5  first step after 500 ms", case[2]))
    end
  end)
end)

-- The child's part: { kind, text } that it tells, of the values { name, value, step, now } each that its run logs.
local function told(logged, by, experiment)
  local list, now = {}, 0
  local tell = console.tell
  local returned
  instead({ { children, "spawn", function(fn) returned = { fn() } return 10 end }, { console, "tell", tell },
    { children, "tell", function(kind, text) list[#list + 1] = kind .. " " .. text end }, { children, "watch", function() end },
    { children, "wait", function() return { { child = 10, kind = "end", code = 0 } } end },
    { children, "show_output", function() end }, { grid, "warm", function() end },
    { host, "stopping", function() return true end }, { host, "monotonic", function() return now end },
    { children, "stop_code", function() end },
    { screen, "new", function() return { live = true, clear = function() end, show = function() end } end },
    { host, "sources", function() return { { path = "a.lua" }, { path = "b.lua" } } end },
    { host, "read_script", function() list[#list + 1] = "read" end }, { runner, "load", function() return experiment end },
    { runner, "prepare", function() return "store" end }, { runner, "describe", function(plan, i) return #plan .. " " .. i end },
    { runner, "execute_one", function(_, store, _, one, label, listener)
      list[#list + 1] = table.concat({ store, one, label }, ", ")
      for _, each in ipairs(logged) do
        now = each[4]
        listener(nil, each[1], each[2], each[3])
      end
      return "done"
    end } }, function()
    watch.run { script = "a.lua", by = by }
  end)
  return list, returned
end

describe("what a watched run tells", function()
  local experiment = { plan = function() return { "first", "second" } end }
  it("is its files, its first step, and what is shown", function()
    local list, returned = told({ { "val/acc", 1, 0, 1 }, { "lr", 2, 1, 2 }, { "train/loss", 3, 2, 3 }, { "train/loss", 4, 3, 3.03125 },
      { "train/loss", 5, 4, 3.0625 }, { "own", 1, 5, 4 }, { "train/acc", 1, 6, 5 }, { "val/acc", .1, 7, 5 },
      { "val/acc", .2, 7, 5 } }, nil, experiment)
    expect(list):equals { "read", 'sources ["a.lua","b.lua"]', "loaded ", "store, first, 2 1", "value val/acc 1", "first 2.000000000",
      'sources ["a.lua","b.lua"]', "value train/loss 3", "value train/loss 5", "value val/acc 0.10000000000000001",
      "value val/acc 0.20000000000000001", 'sources ["a.lua","b.lua"]' }
    expect(returned):equals { "done" }
  end)
  it("is the metric asked for too", function()
    local list = told({ { "own", 1, 5, 4 }, { "own", 2, 5, 4 }, { "train/loss", 1, 5, .0625 } }, "own", experiment)
    expect({ unpack(list, 7, 9) }):equals { "value own 1", "value own 2", "value train/loss 1" }
  end)
  it("ends with the files of a script that has none", function()
    expect((told({}, nil, nil))):equals { "read", 'sources ["a.lua","b.lua"]', "loaded ", 'sources ["a.lua","b.lua"]' }
  end)
end)
