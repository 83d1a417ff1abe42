--- A loop of the script's own in a live run: what it calls is swapped at the next step's boundary (live_swap.lua), and is called through a
--- guard from then on. Where a new function fails, the version before is put back, and the old function is called in its place with the
--- same arguments. All that the loop can see is then as it was before the call: of a function the first time that it is called, of a
--- step each time that its own function runs, which a replay does not. To keep that at every call of a function would cost as much as a
--- step; later the random streams are put back, and what it has done before it fails (steps that it took, tables that it filled) stays.
local copy = require "gradus.base.copy"
local is_ending = require "gradus.base.is_ending"
local live_swap = require "gradus.experiment.live_swap"
local reachable = require "gradus.experiment.reachable"
local recording = require "gradus.base.recording"
local refill = require "gradus.base.refill"
local random_streams = require "gradus.experiment.streams"

local live_loop = {}

---@class LoopTrial              a version, and what takes it back
---@field live LiveEdit
---@field loop table
---@field before LoopTrial?      the version before it, where that came while the loop went on, too
---@field undo fun()[]
---@field moved table[]          numbers that it has changed (live_swap.lua)
---@field over boolean           it was taken back
---@field inside boolean         a call is going on of which all that the loop can see was kept: what it calls is part of it
---@field guards table<function, function>  of this version -> what is called in their places
---@field words string           what becomes of it; swapped: the same as data
---@field nothing boolean        of it the function that runs alone is another
local LoopTrial = {}
LoopTrial.__index = LoopTrial

-- --- a call that may fail ----------------------------------------------------------------------------------------------------------

local function keep(self, all)
  local run = self.live.run
  return { streams = random_streams.state(run), seen = all and copy((run.snapshots:reachable(self.loop))), state = all and copy(run.state) }
end

local function put_back(self, kept)
  if not kept then return end  -- the step refused what it was given: nothing has moved
  local run = self.live.run
  if kept.seen then
    reachable.restore(self.loop.fn, kept.seen)
    refill(run.state, kept.state)
  end
  random_streams.load_state(kept.streams)
end

-- Takes this version back, and those that have come after it.
local function take_back(self, why)
  local loop = self.loop
  repeat
    local last = loop.trial
    last.over, loop.trial = true, last.before
    live_swap.take_back(last.undo)
    self.live:loop_taken_back(last, why)
  until last == self
end

local function pack(...) return { n = select("#", ...), ... } end

-- What new(…) returns; where it fails, what kept() tells is put back, and old(…) is called.
---@param whole boolean  whether all that the loop can see is
local function try(self, whole, kept, new, old, ...)
  local inside = self.inside
  self.inside = inside or whole
  local results = pack(pcall(new, ...))
  self.inside = inside
  if results[1] then return unpack(results, 2, results.n) end
  local why = results[2]
  if is_ending(why) then error(why, 0) end
  put_back(self, kept())  -- in what it was taken of
  if not self.over then take_back(self, why) end
  local given = pack(...)
  for i = 1, given.n do given[i] = live_swap.as_before(self.moved, given[i]) end  -- the loop's function has read them already
  return old(unpack(given, 1, given.n))
end

-- Whether a call is part of one that is guarded as a whole.
local function is_part(self) return self.inside or recording.active end

-- What is called in the place of a new function.
local function guard(self, old, new)
  if self.guards[new] then return self.guards[new] end
  local works = false
  local function guarded(...)
    if self.over then return old(...) end
    if is_part(self) then return new(...) end
    local first = not works
    local kept = keep(self, first)
    works = true  -- unless it fails, and is called no more
    return try(self, first, function() return kept end, new, old, ...)
  end
  self.guards[new] = guarded
  reachable.stands_for[guarded] = new
  return guarded
end

-- A step is guarded as a whole: a function inside of it is recorded.
local function guard_step(self, step)
  local before, before_lua, kept = getmetatable(step), step.before_lua, nil
  local Step = before.of_library or before
  local function guarded(method, all)
    return function(one, ...)
      if is_part(self) then return Step[method](one, ...) end
      kept = all and keep(self, true) or nil
      return try(self, true, function() return kept end, Step[method], function(again, ...)
        return getmetatable(again)[method](again, ...)
      end, one, ...)
    end
  end
  -- Of several steps in a call all that were taken are taken back.
  local methods = setmetatable({ scan = guarded("scan", true) }, { __index = Step })
  setmetatable(step, { __index = methods, __call = guarded "__call", of_library = Step, scan = methods.scan })
  step.before_lua = function() kept = kept or keep(self, true) end
  table.insert(self.undo, function()
    setmetatable(step, before)
    step.before_lua = before_lua
  end)
end

-- --- a version ---------------------------------------------------------------------------------------------------------------------

-- What becomes of it, in a line.
local function in_words(found, place)
  local words, parts = {}, {}
  for _, name in ipairs(found.names) do words[#words + 1] = name end
  for _, text in ipairs(found.values) do words[#words + 1] = text end
  if #words > 0 then parts[1] = "the new version goes on: " .. table.concat(words, ", ")
  elseif not found.own then return "nothing that runs has changed" end
  if found.own then parts[#parts + 1] = ("the change in the function that runs (%s) takes effect at the next run"):format(place) end
  return table.concat(parts, "; ")
end

--- A new version in a loop that stands at a boundary.
---@param live LiveEdit
---@param loop table
---@param new table          what rehearsal.ask gave
---@return LoopTrial
function live_loop.swap(live, loop, new)
  local self = setmetatable({ live = live, loop = loop, before = loop.trial, over = false, inside = false, undo = {}, guards = {} },
    LoopTrial)
  local ok, found = pcall(loop.swap.apply, loop.swap, new.found, { takes_values = loop.takes_values, undo = self.undo,
    wrap = function(old, one) return guard(self, old, one) end, wrap_step = function(step) guard_step(self, step) end })
  if not ok then
    live_swap.take_back(self.undo)
    error(found, 0)
  end
  local seen = live.run.snapshots.seen
  for value in pairs(seen and found.fresh or {}) do seen[value] = true end  -- the script makes it before the loop
  local info = debug.getinfo(loop.fn, "S")
  local place = ("%s:%d"):format(info.short_src, info.linedefined)
  self.moved, self.words = found.moved, in_words(found, place)
  self.swapped = { functions = found.names, values = found.values, kept = found.own and place or nil }
  self.nothing = found.own and #found.names + #found.values == 0
  return self
end

return live_loop
