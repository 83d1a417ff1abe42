--- A loop of the script's own in a live run: what it calls is swapped at the next step's boundary (live_swap.lua). A new function is on
--- trial until it has returned once: before, what the loop can see is kept, and if it fails, all of it is put back and the version before
--- is called in its place.
local host = require "gradus.host"
local copy = require "gradus.base.copy"
local reachable = require "gradus.experiment.reachable"
local recording = require "gradus.base.recording"
local refill = require "gradus.base.refill"
local random_streams = require "gradus.experiment.streams"

local live_loop = {}

---@class LoopTrial
---@field live LiveEdit
---@field loop table
---@field over boolean           it was taken back, or a newer one has begun
---@field inside boolean         a function is being tried: what it calls is part of it
---@field pending number         functions and steps that have not shown that they work
---@field waiting table<function, function>  functions that stand for others -> those, until they have shown that they work
---@field shown table<function, function>    the same, of those that have
local LoopTrial = {}
LoopTrial.__index = LoopTrial

local function keep(self)
  local run = self.live.run
  return { seen = copy((run.snapshots:reachable(self.loop))), streams = random_streams.state(run), state = copy(run.state) }
end

local function put_back(self, kept)
  local run = self.live.run
  reachable.restore(self.loop.fn, kept.seen)
  refill(run.state, kept.state)
  random_streams.load_state(kept.streams)
end

-- Calls new(…); where that fails, all is as it was, and old(…) is called.
local function try(self, works, new, old, ...)
  local kept = keep(self)
  self.inside = true
  local count, given = select("#", ...), { ... }
  local results = { pcall(new, ...) }
  self.inside = false
  if results[1] then
    works()
    self.pending = self.pending - 1
    return unpack(results, 2, table.maxn(results))
  end
  local why = results[2]
  if type(why) == "table" and (why.interrupted or why.exit) or host.exiting() then error(why, 0) end
  self.over = true
  put_back(self, kept)  -- in what it was taken of
  self.loop.swap:take_back()
  self.live:loop_taken_back(self, why)
  for i = 1, count do given[i] = self.loop.swap:as_before(given[i]) end  -- the loop's function has read them already
  return old(unpack(given, 1, count))
end

local function is_part(self) return self.over or self.inside or recording.active end

-- What is called in the place of a new function.
local function on_trial(self, old, new)
  local function stand_in(...)
    if is_part(self) or not self.waiting[stand_in] then return new(...) end
    return try(self, function() self.waiting[stand_in], self.shown[stand_in] = nil, new end, new, old, ...)
  end
  self.waiting[stand_in], self.pending = new, self.pending + 1
  reachable.stands_for[stand_in] = new
  return stand_in
end

-- A step is tried as a whole: a function inside of it is recorded.
local function step_on_trial(self, step)
  local Step = getmetatable(step)
  local Tried = { __index = Step }
  function Tried.__call(one, batch, knobs)
    if is_part(self) then return Step.__call(one, batch, knobs) end
    return try(self, function() setmetatable(one, Step) end, Step.__call, function(again, ...)
      return Step.__call(setmetatable(again, Step), ...)
    end, one, batch, knobs)
  end
  self.pending = self.pending + 1
  setmetatable(step, Tried)
end

-- The names of what was swapped, in a line.
local function in_words(found)
  local words = {}
  for _, name in ipairs(found.names) do words[#words + 1] = name end
  for _, text in ipairs(found.values) do words[#words + 1] = text end
  return table.concat(words, ", ")
end

--- A new version in a loop that stands at a boundary. Raises where nothing of it can take part.
---@param live LiveEdit
---@param loop table
---@param new table          what rehearsal.ask gave
---@return LoopTrial
function live_loop.swap(live, loop, new)
  local self = setmetatable({ live = live, loop = loop, over = false, inside = false, pending = 0, waiting = {}, shown = {} }, LoopTrial)
  local info = debug.getinfo(loop.fn, "S")
  local place = ("%s:%d"):format(info.short_src, info.linedefined)
  local ok, found = pcall(loop.swap.apply, loop.swap, new.found, { takes_values = loop.takes_values,
    wrap = function(old, one) return on_trial(self, old, one) end })
  if not ok then
    loop.swap:take_back()
    error(found, 0)
  end
  local words = in_words(found)
  if words == "" and found.own then
    loop.swap:take_back()
    error(("the change is in the function that runs (%s), which cannot be swapped; expected it in what it calls"):format(place), 0)
  end
  for _, step in ipairs(words ~= "" and found.steps or {}) do step_on_trial(self, step) end
  local seen = live.run.snapshots.seen
  for value in pairs(seen and found.fresh or {}) do seen[value] = true end  -- the script makes it before the loop
  self.words = (words == "" and "nothing that runs has changed" or "the new version goes on: " .. words)
    .. (found.own and ("; the function that runs (%s) goes on as it was"):format(place) or "")
  self.swapped = { functions = found.names, values = found.values, kept = found.own and place or nil }
  return self
end

--- At a boundary: what has shown that it works stands there itself from now on; `all`: what has not been called, too.
---@param all? boolean
function LoopTrial:settle(all)
  if self.over then return end
  local map = self.shown
  for stand_in, new in pairs(all and self.waiting or {}) do map[stand_in] = new end
  self.shown, self.over = {}, all or self.pending == 0
  if next(map) then self.loop.swap:replace(map) end
  if self.over then self.loop.swap:settle() end
end

return live_loop
