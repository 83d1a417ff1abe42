--- The bottom of the terminal: lines that are written again and again, below those that stay. On anything but a terminal
--- only what stays is written.
local host = require "gradus.host"
local console = require "gradus.base.console"

local screen = {}

---@class Screen
---@field live boolean  whether it is a terminal, so that `show` shows anything
local Screen = {}
Screen.__index = Screen

local EVERY = .1  -- seconds between two drawings

---@param quiet boolean?
function screen.new(quiet)
  return setmetatable({ live = console.live() and not quiet, shown = 0, drawn = 0 }, Screen)
end

--- Takes the lines away.
function Screen:clear()
  if self.shown > 0 then host.write(2, ("\r\27[%dA\27[J"):format(self.shown)) end
  self.shown, self.drawn = 0, 0
end

--- A line that stays, above the others.
function Screen:say(text)
  self:clear()
  host.write(2, text .. "\n")
end

--- Writes the lines, the last ones where not all fit, at most ten times a second.
---@param lines string[]
function Screen:show(lines)
  local now = host.monotonic()
  if not self.live or now - self.drawn < EVERY and self.shown > 0 then return end
  local columns, rows = host.columns()
  columns = math.max(20, columns - 1)
  local out, first = {}, math.max(1, #lines - math.max(1, (rows or 24) - 2) + 1)
  for i = first, #lines do out[#out + 1] = console.fit(lines[i], {}, nil, columns) .. "\27[K\n" end
  local up = self.shown > 0 and ("\r\27[%dA"):format(self.shown) or ""
  host.write(2, up .. table.concat(out) .. (self.shown > #out and "\27[J" or ""))
  self.shown, self.drawn = #out, now
end

return screen
