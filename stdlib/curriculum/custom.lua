--- A sampler of one's own: a function that is asked at each step which rows come next.
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local places_of = require "gradus.data.places"
local Source = require "gradus.curriculum.source"

local ops = engine.ops

-- What C++ counts of other samplers: how often each row was drawn.
local Own = {}
Own.__index = Own

function Own:draw(size)
  local places = self.rule(size)
  local index = self.view.index:index_select(0, places)
  local visit, seen, rows = ops.zeros({ size }, { dtype = "int32" }), self.seen:data(), index:data()
  local counts = visit:data()
  for i = 0, size - 1 do
    local row = tonumber(rows[i])
    counts[i], seen[row] = seen[row], seen[row] + 1
  end
  self.drawn = self.drawn + size
  return index, visit
end

function Own:undo(index)
  local seen, rows = self.seen:data(), index:data()
  for i = 0, index:numel() - 1 do
    local row = tonumber(rows[i])
    seen[row] = seen[row] - 1
  end
  self.drawn = self.drawn - index:numel()
end

function Own:visits() return self.seen:clone() end
function Own:effective() return self.view:size() end
function Own:passes() return self.drawn / self.view:size() end
function Own:state() return { seen = self.seen:clone(), drawn = self.drawn } end
function Own:restore(state) self.seen, self.drawn = state.seen:clone(), state.drawn end

-- The places that the user's function gives, checked.
local function check_places(given, size, rows)
  local places = places_of(given)
  if not places or places:size(0) ~= size then
    check.fail("sampler.custom", "expected the function to return %d places of rows, whole numbers from 0; got %s", size,
      check.describe(places or given))
  end
  local low, high = places:amin():item(), places:amax():item()
  if low < 0 or high >= rows then
    check.fail("sampler.custom", "the function returned places from %d to %d; expected 0 to %d", low, high, rows - 1)
  end
  return places
end

--- A sampler of your own: fn(s, size) is asked at each step and returns `size` places of rows of d, whole numbers from 0, in
--- a Tensor or a list; s is the run's state (State: step, epoch, progress, student, …). Random numbers that it draws with
--- g.randint and the like are the run's: a repetition and a resumed run draw the same rows.
---   sampler.custom(d, function(s, size) return g.randint(d:size(), { size }) end)
---@param d Dataset
---@param fn fun(s: State, size: number): Tensor|number[]
return function(d, fn)
  if type(fn) ~= "function" then
    check.fail("sampler.custom", "expected a data set and a function(s, size) that returns places of rows; got %s", check.describe(fn))
  end
  local self = Source.new("sampler.custom", d, "custom", { adaptive = true })
  self.on_refresh = function(me, s) me.state_now = s end
  self.fn = fn  -- where a live edit finds it
  self.core = setmetatable({ view = d, seen = ops.zeros({ d.base.x:size(0) }, { dtype = "int32" }), drawn = 0, rule = function(size)
    host.entering(self.fn)
    return check_places(self.fn(rawget(self, "state_now") or {}, size), size, d:size())
  end }, Own)
  return self
end
