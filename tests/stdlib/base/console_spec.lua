local console = require "gradus.base.console"
local host = require "gradus.host"

-- Calls fn(console, out, clock) with a console of its own on a terminal (or none) of so many columns; `out` gets what is written,
-- clock.now is the time.
local function on_terminal(live, columns, fn)
  local before, out, clock = {}, {}, { now = 100 }
  local stand_ins = { isatty = function() return live end, columns = function() return columns end,
    monotonic = function() return clock.now end,
    write = function(to, text) out[#out + 1] = to == 2 and text or "not on standard error" end }
  for name, stand_in in pairs(stand_ins) do before[name], host[name] = host[name], stand_in end
  local getenv = os.getenv
  os.getenv = function(name) return name ~= "TERM" and getenv(name) or name == "TERM" and "xterm" or nil end
  package.loaded["gradus.base.console"] = nil
  local ok, why = pcall(function() fn(require "gradus.base.console", out, clock) end)
  package.loaded["gradus.base.console"], os.getenv = console, getenv
  for name in pairs(stand_ins) do host[name] = before[name] end
  if not ok then error(why, 0) end
end

-- A state of a run at a step.
local function at(step, more)
  local s = { step = step, epoch = step / 10, evaluations = math.floor(step / 5) }
  for key, value in pairs(more or {}) do s[key] = value end
  return s
end

local function parts(s, elapsed) return { "step " .. s.step, ("%gs"):format(elapsed), "optional" }, { "optional" } end

describe("the console", function()
  it("writes durations as people read them", function()
    local cases = { [0] = "0.0s", [.44] = "0.4s", [9.96] = "10.0s", [12.7] = "12s", [59.99] = "59s", [60] = "1m 00s", [185] = "3m 05s",
      [3599] = "59m 59s", [3600] = "1h 00m", [7800] = "2h 10m", [math.huge] = "?" }
    for seconds, text in pairs(cases) do expect(console.duration(seconds)):equals(text) end
    expect(console.duration(0 / 0)):equals "?"
  end)
  it("writes counts shortly", function()
    local cases = { [0] = "0", [950] = "950", [12345] = "12.3k", [4.5e6] = "4.5M", [2e9] = "2.0G" }
    for n, text in pairs(cases) do expect(console.count(n)):equals(text) end
  end)
  it("aligns tables, text to the left and numbers to the right, by letters and not by bytes", function()
    local text = console.table({ "strategy", "runs", "acc" }, { { "one_shot", "3", "90.1 ± 0.2" }, { "über", "12", "–" } }, 1)
    expect(text):equals(table.concat({
      "  strategy  runs         acc",
      "  ────────  ────  ──────────",
      "  one_shot     3  90.1 ± 0.2",
      "  über        12           –" }, "\n"))
  end)
  it("says what a training line says", function()
    local row, knobs = { ["train/loss"] = .52344 }, { temperature = 4 }
    local line = console.training_parts(100, knobs, row)
    local s = { step = 50, stage = "easy", samples = 3200, seconds = 2, progress = .5, series = { ["val/acc"] = { { value = .9 } } } }
    expect(line(s, 2)):equals { "step 50/100", "loss 0.5234", "val 90.0%", "easy", "T 4.0", "1.6k samples/s", "2.0s left" }
    s.stage, s.progress, s.series = "all", 1, {}
    expect(console.training_parts(nil, {}, {})(s, 2)):equals { "step 50", "1.6k samples/s" }
  end)
end)

describe("a run's line", function()
  it("on a terminal takes its own place, ten times a second at most, a look at the clock each 16 steps", function()
    on_terminal(true, 80, function(one, out, clock)
      assert(one.live())
      local line = one.progress "a"
      line.step(at(16), parts)
      expect(out):equals { "\r\27[Ka  step 16  0s  optional" }
      line.step(at(32), parts)
      expect(#out):equals(1)
      clock.now = 100.2
      line.step(at(40), parts)
      expect(#out):equals(1)
      line.step(at(48), parts)
      expect(out[2]):equals "\r\27[Ka  step 48  0.2s  optional"
      line.step(at(49), parts, true)
      expect(out[3]):equals "\r\27[Ka  step 49  0.2s  optional"
      line.say "stays"
      expect({ out[4], out[5] }):equals { "\r\27[K", "stays\n" }
      line.done "over"
      expect({ out[6], out[7] }):equals { "a  over\n" }
      line.waiting "for b"
      expect(out[7]):equals "\r\27[Ka  for b"
      line.clear()
      line.clear()
      expect({ out[8], out[9] }):equals { "\r\27[K" }
    end)
  end)
  it("fits the columns, twenty at least", function()
    for columns, wanted in pairs { [80] = "a  step 16  0s  optional", [24] = "a  step 16  0s", [25] = "a  step 16  0s  optional",
      [9] = "a  step 16  0s" } do
      on_terminal(true, columns, function(one, out)
        one.progress "a".step(at(16), parts)
        expect(out[1]):equals("\r\27[K" .. wanted)
      end)
    end
    on_terminal(true, 9, function(one, out)
      one.progress(("x"):rep(30)).waiting "b"
      expect(out[1]):equals("\r\27[K" .. ("x"):rep(19) .. "…")
    end)
  end)
  it("elsewhere is a line each five seconds, and says nothing of waiting", function()
    on_terminal(false, 80, function(one, out, clock)
      assert(not one.live())
      local line = one.progress "a"
      line.step(at(16), parts)
      clock.now = 104.9
      line.step(at(32), parts)
      line.waiting "for b"
      expect(out):equals {}
      clock.now = 105.1
      line.step(at(48), parts)
      expect(out):equals { "a  step 48  5.1s  optional\n" }
      line.say "stays"
      expect({ out[2], out[3] }):equals { "stays\n" }
    end)
  end)
  it("stays for each epoch or evaluation where it was asked for", function()
    for log, wanted in pairs { epoch = { 10, 20, 30 }, evaluation = { 5, 10, 15, 20, 25, 30 } } do
      on_terminal(false, 80, function(one, out, clock)
        local line, s = one.progress("a", false, log), at(0)
        for step = 1, 30 do
          clock.now = 100 + step
          for key, value in pairs(at(step)) do s[key] = value end
          line.step(s, parts)
        end
        local lines = {}
        for i, step in ipairs(wanted) do lines[i] = ("a  epoch %g  step %d  %ds  optional\n"):format(step / 10, step, step) end
        expect(out):equals(lines)
      end)
    end
  end)
  it("is silent where it is to be quiet, and goes to whoever shows all runs", function()
    for _, live in ipairs { true, false } do
      on_terminal(live, 80, function(one, out)
        local line = one.progress("a", true)
        line.step(at(16), parts, true)
        line.say "b"
        line.done "c"
        line.waiting "d"
        expect(out):equals {}
        local told = {}
        one.tell = function(kind, text) told[#told + 1] = kind .. ": " .. text end
        line = one.progress "a"
        line.step(at(16), parts, true)
        line.say "b"
        line.done "c"
        line.waiting "d"
        expect(told):equals { "status: step 16  0s  optional", "say: b", "done: c", "waiting: d" }
        expect(out):equals {}
      end)
    end
  end)
  it("says how long is left", function()
    local s = { step = 20, stage = "all", samples = 10, seconds = 2, progress = .2, series = {} }
    local left = console.training_parts(100, {}, {})
    expect(left(s, 10)):equals { "step 20/100", "5 samples/s", "40s left" }
    s.progress, s.seconds = .02, 0
    expect(left(s, 10)):equals { "step 20/100" }
  end)
end)
