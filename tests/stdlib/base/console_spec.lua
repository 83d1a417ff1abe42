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
        line.say("it failed", true)
        expect(out):equals { "it failed\n" }
        local told = {}
        one.tell = function(kind, text) told[#told + 1] = kind .. ": " .. text end
        line = one.progress "a"
        line.step(at(16), parts, true)
        line.say "b"
        line.done "c"
        line.waiting "d"
        expect(told):equals { "status: step 16  0s  optional", "say: b", "done: c", "waiting: d" }
        expect(#out):equals(1)
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

describe("numbers at their limits", function()
  it("durations", function()
    for seconds, text in pairs { [9.94] = "9.9s", [10] = "10s", [59] = "59s", [61] = "1m 01s", [119.9] = "1m 59s", [3661] = "1h 01m",
      [7199] = "1h 59m", [36000] = "10h 00m" } do
      expect(console.duration(seconds)):equals(text)
    end
  end)
  it("counts", function()
    for n, text in pairs { [999] = "999", [1000] = "1.0k", [999949] = "999.9k", [1e6] = "1.0M", [1e9] = "1.0G", [2.5e12] = "2500.0G" } do
      expect(console.count(n)):equals(text)
    end
  end)
end)

describe("label and words in a line", function()
  local words, optional = { "one", "two", "three" }, { "two", "one" }
  for columns, text in pairs { [17] = "l  one  two  three", [18] = "l  one  two  three", [16] = "l  one  three", [13] = "l  one  three",
    [12] = "l  three", [8] = "l  three", [7] = "l  thr…", [3] = "l …", [1] = "…" } do
    it(("of %d columns"):format(columns), function()
      local wanted = columns == 17 and "l  one  three" or text
      expect(console.fit("l", words, optional, columns)):equals(wanted)
    end)
  end
  it("is counted by letters", function()
    expect(console.fit("é", { "ü" }, nil, 4)):equals "é  ü"
    expect(console.fit("é", { "üü" }, nil, 4)):equals "é  …"
    expect(console.fit("éa", { "ü" }, { "ü" }, 3)):equals "éa"
    expect(console.fit("ab", {}, nil, 2)):equals "ab"
  end)
end)

describe("a table", function()
  local function on(columns, ...)
    local before, arguments, text = host.columns, { ... }, nil
    host.columns = function() return columns end
    local ok, err = pcall(function() text = console.table(unpack(arguments)) end)
    host.columns = before
    if not ok then error(err, 0) end
    return text
  end
  local headings, rows = { "name", "aaaa", "bbbb", "cccc" }, { { "x", "1", "22", "3" }, { "yy", "4444", "5", "6" } }
  local whole = "  name  aaaa  bbbb  cccc\n  ────  ────  ────  ────\n  x        1    22     3\n  yy    4444     5     6"
  it("that fits is whole", function()
    expect(on(80, headings, rows, 1)):equals(whole)
    expect(on(24, headings, rows, 1)):equals(whole)
  end)
  it("that is wider goes on below, under its texts", function()
    local two = "  name  aaaa  bbbb\n  ────  ────  ────\n  x        1    22\n  yy    4444     5\n\n"
      .. "  name  cccc\n  ────  ────\n  x        3\n  yy       6"
    expect(on(23, headings, rows, 1)):equals(two)
    expect(on(18, headings, rows, 1)):equals(two)
    local three = "  name  aaaa\n  ────  ────\n  x        1\n  yy    4444\n\n  name  bbbb\n  ────  ────\n  x       22\n  yy       5\n\n"
      .. "  name  cccc\n  ────  ────\n  x        3\n  yy       6"
    for _, columns in ipairs { 17, 12, 5, 1 } do expect(on(columns, headings, rows, 1)):equals(three) end
  end)
  it("of texts alone, or without rows", function()
    expect(on(80, { "a", "b" }, { { "x", "yy" } }, 2)):equals "  a  b\n  ─  ──\n  x  yy"
    expect(on(80, { "a", "bb" }, {}, 1)):equals "  a  bb\n  ─  ──"
    expect(on(80, { "a", "b" }, { { "1", "2" } }, 0)):equals "  a  b\n  ─  ─\n  1  2"
  end)
end)

describe("a training's line", function()
  local function said(more, total, knobs, row)
    local s = { step = 5, stage = "all", samples = 0, seconds = 0, progress = 0, series = {} }
    for key, value in pairs(more) do s[key] = value end
    local found, optional = console.training_parts(total, knobs or {}, row or {})(s, 30)
    return found, optional
  end
  it("leaves out what is not known", function()
    expect((said {})):equals { "step 5" }
    expect((said({}, 9))):equals { "step 5/9" }
    expect((said({ seconds = .5, samples = 100 }))):equals { "step 5", "200 samples/s" }
    expect((said({ stage = "easy" }))):equals { "step 5", "easy" }
    expect((said({ progress = .02 }))):equals { "step 5" }
    expect((said({ progress = .25 }))):equals { "step 5", "1m 30s left" }
    expect((said({ progress = 1 }))):equals { "step 5" }
  end)
  it("tells which parts a narrow terminal does without", function()
    local found, optional = said({ stage = "easy", seconds = 1, samples = 10, series = { ["val/acc"] = { { value = .1 },
      { value = .25 } } } }, 9,
      { temperature = 2 }, { ["train/loss"] = 1 })
    expect(found):equals { "step 5/9", "loss 1.0000", "val 25.0%", "easy", "T 2.0", "10 samples/s" }
    expect(optional):equals { "10 samples/s", "T 2.0", "easy" }
    expect({ select(2, said {}) }):equals { {} }
  end)
end)

describe("a line on a terminal that is looked at anew", function()
  it("after a step back, and with the first line at once", function()
    on_terminal(true, 80, function(one, out, clock)
      local line = one.progress "a"
      line.step(at(15), parts)
      expect(#out):equals(0)
      line.step(at(16), parts)
      expect(#out):equals(1)
      clock.now = 101
      line.step(at(3), parts)  -- another training began
      expect(#out):equals(2)
      line.step(at(18), parts)
      expect(#out):equals(2)
      clock.now = 101.09
      line.step(at(19), parts)
      expect(#out):equals(2)
      clock.now = 101.5
      line.step(at(34), parts)
      expect(#out):equals(2)
      line.step(at(35), parts)
      expect(#out):equals(3)
    end)
  end)
  it("writes plain lines every five seconds from its beginning", function()
    on_terminal(false, 80, function(one, out, clock)
      local line = one.progress "a"
      clock.now = 105
      line.step(at(16), parts)
      expect(#out):equals(1)
      clock.now = 109.9
      line.step(at(32), parts)
      expect(#out):equals(1)
      clock.now = 110
      line.step(at(48), parts)
      expect(#out):equals(2)
      line.step(at(49), parts, true)
      expect(#out):equals(3)
    end)
  end)
end)

describe("a line for each epoch or evaluation", function()
  it("is due where a training is first seen after its first one, and begins anew with another training", function()
    for log, steps in pairs { epoch = { 10, 11, 20 }, evaluation = { 5, 6, 10 } } do
      on_terminal(false, 80, function(one, out)
        local line, seen = one.progress("a", false, log), {}
        for _ = 1, 2 do
          local s = at(0)
          for i, step in ipairs(steps) do
            for key, value in pairs(at(step)) do s[key] = value end
            local before = #out
            line.step(s, parts)
            seen[#seen + 1] = ("%d:%d"):format(i, #out - before)
          end
        end
        expect(seen):equals { "1:1", "2:0", "3:1", "1:1", "2:0", "3:1" }
      end)
    end
    on_terminal(false, 80, function(one, out)
      one.progress("a", false, "epoch").step(at(9), parts)
      expect(out):equals {}
    end)
  end)
end)
