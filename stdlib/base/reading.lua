--- What a function that is built once reads of the world around it is told to whoever watches (experiment/traced.lua).
local reading = {
  watcher = nil,  ---@type { note: fun(kind: string, name: string), refuse: fun(what: string) }?
}

--- Tells the watcher, if there is one, that something was read.
---@param kind string  "parameter", "run", "global", "module", "environment" or "file"
---@param name string
function reading.note(kind, name)
  if reading.watcher then reading.watcher.note(kind, name) end
end

--- Raises where somebody watches: what is read here cannot be compared later.
---@param what string  as a script would write it
function reading.refuse(what)
  if reading.watcher then reading.watcher.refuse(what) end
end

local function back_to(watcher, ok, ...)
  reading.watcher = watcher
  if not ok then error((...), 0) end
  return ...
end

--- fn(…) while `watcher`, or nobody, is told; what it returns.
---@param watcher table?
function reading.told_to(watcher, fn, ...)
  local before = reading.watcher
  reading.watcher = watcher
  return back_to(before, pcall(fn, ...))
end

--- fn(…), whose own reading is nobody's: what it reads follows from what is known already.
function reading.unnoted(fn, ...) return reading.told_to(nil, fn, ...) end

return reading
