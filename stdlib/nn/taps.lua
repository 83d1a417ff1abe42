--- Taps: what modules inside of a model returned while the model was called.
local check = require "gradus.base.check"
local recording = require "gradus.base.recording"

local taps = {}

-- While taps are taken: module -> list of its paths, what each returned, and how many are missing until the call stops.
local tapping
local TAPPED = {}  -- raised by the last tap of a call that stops there

--- What module(…) does: calls its forward, and keeps what it returned where a tap asks for it.
function taps.call(self, ...)
  if recording.modules then recording.called(self) end
  local paths = tapping and tapping.paths[self]
  if not paths then return self:forward(...) end
  local taken, outputs = tapping.taken, { self:forward(...) }
  for _, path in ipairs(paths) do
    if not taken[path] and tapping.missing then tapping.missing = tapping.missing - 1 end
    taken[path] = outputs[1]
  end
  if tapping.missing == 0 then error(TAPPED, 0) end
  return unpack(outputs)
end

--- Whether a call that is going on wants what this module returns.
function taps.is_tapped(module) return tapping ~= nil and tapping.paths[module] ~= nil end

local function end_taps(outer, ok, ...)
  tapping = outer
  if ok then return ... end
  if (...) ~= TAPPED then error((...), 0) end
end

--- As Module:forward_taps, which checks its options.
---@param self Module
---@param x Tensor
---@param paths string[]
---@param stop? boolean
function taps.forward(self, x, paths, stop)
  local by_module, taken, outer = {}, {}, tapping
  for _, path in ipairs(paths) do
    local module = self:get_submodule(path)
    by_module[module] = by_module[module] or {}
    table.insert(by_module[module], path)
  end
  tapping = { paths = by_module, taken = taken, missing = stop and #paths or nil }
  local out = end_taps(outer, pcall(taps.call, self, x))
  for _, path in ipairs(paths) do
    if not taken[path] then check.fail(self.__name, "module '%s' was not called in forward; expected one that is", path) end
  end
  return out, taken
end

return taps
