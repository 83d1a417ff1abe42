-- The lines at the bottom of a terminal: each byte that is written, on a screen of our own.
local console = require "gradus.base.console"
local host = require "gradus.host"
local new_screen = require("gradus.experiment.screen").new

-- Calls fn(screen, written, clock): a terminal of so many columns and rows; written() gives what was written since.
local function on_screen(columns, rows, fn, terminal, quiet)
  local kept, out, clock = { host.write, host.columns, host.monotonic, console.live }, {}, { now = 100 }
  host.write = function(fd, text) out[#out + 1] = fd == 2 and text or "on " .. fd end
  host.columns = function() return columns, rows end
  host.monotonic = function() return clock.now end
  console.live = function() return terminal ~= false end
  local ok, why = pcall(function()
    fn(new_screen(quiet), function()
      local text = table.concat(out)
      out = {}
      return text
    end, clock)
  end)
  host.write, host.columns, host.monotonic, console.live = unpack(kept)
  if not ok then error(why, 0) end
end

describe("lines at the bottom of a terminal", function()
  it("are written over each other, at most ten times a second", function()
    on_screen(80, 24, function(screen, written, clock)
      screen:show { "one", "two" }
      expect(written()):equals "one\27[K\ntwo\27[K\n"
      clock.now = 100.09
      screen:show { "three" }
      expect(written()):equals ""
      clock.now = 100.125
      screen:show { "three", "four" }
      expect(written()):equals "\r\27[2Athree\27[K\nfour\27[K\n"
      clock.now = 101
      screen:show { "five" }
      expect(written()):equals "\r\27[2Afive\27[K\n\27[J"
      clock.now = 101.01
      screen:clear()
      screen:show { "six" }
      expect(written()):equals "\r\27[1A\27[Jsix\27[K\n"  -- at once, where nothing stands
    end)
  end)
  it("go below one that stays", function()
    on_screen(80, 24, function(screen, written)
      screen:say "before"
      screen:show { "one" }
      screen:say "after"
      screen:show { "one" }
      expect(written()):equals "before\none\27[K\n\r\27[1A\27[Jafter\none\27[K\n"
      screen:clear()
      screen:clear()
      expect(written()):equals "\r\27[1A\27[J"
    end)
  end)
  it("are the last ones where not all fit, as wide as the screen less one, twenty at least", function()
    for rows, wanted in pairs { [7] = "abcd", [6] = "abcd", [5] = "bcd", [4] = "cd", [3] = "d", [1] = "d" } do
      on_screen(80, rows, function(screen, written)
        screen:show { "a", "b", "c", "d" }
        expect(written()):equals((wanted:gsub(".", "%0\27[K\n")))
      end)
    end
    on_screen(80, nil, function(screen, written)
      local lines = {}
      for i = 1, 30 do lines[i] = tostring(i) end
      screen:show(lines)
      expect(select(2, written():gsub("\n", ""))):equals(22)
    end)
    for columns, wide in pairs { [40] = 39, [10] = 20, [21] = 20 } do
      on_screen(columns, 24, function(screen, written)
        screen:show { ("x"):rep(60) }
        expect(written()):equals(console.fit(("x"):rep(60), {}, nil, wide) .. "\27[K\n")
      end)
    end
  end)
  it("are none where it is no terminal, or quiet", function()
    for _, case in ipairs { { false, false }, { true, true } } do
      on_screen(80, 24, function(screen, written)
        screen:show { "one" }
        screen:say "stays"
        expect({ screen.live, written() }):equals { false, "stays\n" }
      end, case[1], case[2])
    end
  end)
end)

describe("a single line at the bottom", function()
  it("is written at most ten times a second too", function()
    on_screen(80, 24, function(screen, written, clock)
      screen:show { "one" }
      clock.now = 100.05
      screen:show { "two" }
      expect(written()):equals "one\27[K\n"
      clock.now = 100.125
      screen:show { "three" }
      expect(written()):equals "\r\27[1Athree\27[K\n"
    end)
  end)
end)
