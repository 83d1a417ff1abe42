--- The bottom of the terminal: lines that are written again and again, below those that stay. On anything but a terminal
--- only what stays is written.
local host = require "gradus.host"
local console = require "gradus.base.console"

local live = {}

---@class Live
---@field live boolean  whether `show` shows anything
local Live = {}
Live.__index = Live

local EVERY = .1  -- seconds between two drawings

---@param quiet boolean?
function live.new(quiet)
  return setmetatable({ live = console.live() and not quiet, shown = 0, lines = {}, drawn = 0 }, Live)
end

--- Takes the lines away.
function Live:clear()
  if self.shown > 0 then host.write(2, ("\r\27[%dA\27[J"):format(self.shown)) end
  self.shown, self.drawn = 0, 0
end

--- A line that stays, above the others.
function Live:say(text)
  self:clear()
  host.write(2, text .. "\n")
end

--- Writes the lines, the last ones where not all fit, at most ten times a second.
---@param lines string[]
function Live:show(lines)
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

return live
