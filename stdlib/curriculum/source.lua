--- A source of rows: what every sampler is (sampler.lua). It draws, takes back, follows the student, tells what it drew, and is saved.
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local current = require "gradus.base.current"
local data = require "gradus.data.dataset"

local ops = engine.ops

---@class Source
---@field data Dataset      the rows it may draw
---@field level_at false|fun(self: Source, s: State): number  the share that is open, where it goes through levels
---@field adaptive boolean  whether draws depend on what the student has shown: then nothing is drawn ahead
local Source = check.methods("a sampler", {})
Source.__index = Source

local made = 0  -- numbers the sources of a run, so that each has its own stream
local runs = setmetatable({}, { __mode = "k" })  -- source -> its run

--- A source of rows of d; mode: runtime/data/sampler.h's, or "custom".
---@param where string  whom errors blame
---@param fields? table
function Source.new(where, d, mode, fields)
  if data.is_generator(d) then
    check.fail(where, "a generator makes new rows each time; expected a data set: its held-out part (val), or take(10000) of them")
  end
  if not data.is(d) then check.fail(where, "expected a data set; got %s", check.describe(d)) end
  made = made + 1
  local self = setmetatable(fields or {}, Source)
  self.adaptive = rawget(self, "adaptive") or false  -- asked for at every step
  self.level_at = rawget(self, "level_at") or false
  self.data, self.mode, self.number, self.where = d, mode, made, where
  self.options, self.share_now, self.open, self.shown = rawget(self, "options") or {}, false, false, false
  runs[self] = current.run or false
  return self
end

-- The C++ sampler is made at the first draw, inside the run that seeds it.
local function core(self)
  if not self.core then
    local options = { rows = self.data.base.x:size(0), mode = self.mode, seed = current.stream("order", self.number) }
    for key, value in pairs(self.options) do options[key] = value end
    self.core = engine.data.Sampler(options)
    self.core:set_subset(self.data.index)
    if self.weights then self.core:set_weights(self.data.index, self.weights) end
    local first = rawget(self, "first_seen")
    if first then self.core:observe(first.index, first.confidence) end
  end
  return self.core
end

--- What draws: the C++ sampler, or custom.lua's.
function Source:drawer() return core(self) end

--- The next batch's rows and how often each was drawn before: int64 [size], int32 [size].
function Source:draw(size) return core(self):draw(size) end

--- Takes back the latest draw.
function Source:undo(index) core(self):undo(index) end

--- Tells the source what the student made of a batch: the probability it gave to each right class. From an accelerator
--- it is read at the next observation, so that the device always has the next step to do: draws lag by one step.
function Source:observe(index, confidence)
  if self.mode ~= "confidence" then return end
  local before, on_host = rawget(self, "under_way"), confidence.device == "cpu"
  self.under_way = nil
  if before then core(self):observe(before.index, before.confidence:wait()) end
  if on_host then return core(self):observe(index, confidence) end
  self.under_way = { index = index, confidence = engine.transfer(confidence) }
end

--- Asks for the subset or the weights of the coming epoch.
function Source:refresh(s)
  local ask = rawget(self, "on_refresh")  -- not every sampler has one
  if ask then ask(self, s) end
end

--- Restricts the draws to the rows of a view of the same data.
function Source:restrict(d)
  if d.base ~= self.data.base then host.fail(self.where .. ": the subset is of another data set") end
  core(self):set_subset(d.index)
  self.open, self.shown = d:size(), d
end

--- The rows that can be drawn now.
---@return Dataset
function Source:view() return self.shown or self.data end

--- Number of rows that can be drawn now, and traversals of them.
function Source:size() return self.open or self.data:size() end
function Source:passes() return self.core and self.core:passes() or 0 end
-- What is Lua's own of the state, beside the C++ sampler's.
local OWN = { counted = true, open = true, share_now = true, shown = true }

function Source:state()
  local state, shown = core(self):state(), self.shown
  for name in pairs(OWN) do state[name] = rawget(self, name) end
  state.shown = shown and { index = shown.index, difficulty = shown.difficulty } or nil
  return state
end

function Source:restore(state)
  local of_core, shown = {}, state.shown
  for name, value in pairs(state) do of_core[name] = not OWN[name] and value or nil end
  core(self):restore(of_core)
  self.counted, self.open, self.share_now = state.counted, state.open or false, state.share_now or false
  self.shown = shown and data.view(self.data.base, shown.index, shown.difficulty) or false
end

-- The difficulty of all rows of the data set, as far as rankings of some of them say it; NaN elsewhere. Nil without any.
local function difficulties(self)
  local rankings = rawget(self, "rankings") or { self:view() }
  if rawget(self, "ranked_by") == rankings[1] and rawget(self, "known") then return self.known end
  local all
  for _, d in ipairs(rankings) do
    if d.difficulty then
      all = all or ops.full({ d.base.x:size(0) }, 0 / 0, { dtype = "float64" })
      all = all:index_copy(0, d.index, d.difficulty)
    end
  end
  self.ranked_by, self.known = rankings[1], all  -- a source's rankings stay, its view is another at each level
  return all
end

--- What was drawn since this was asked last: `drawn`, how many rows; `difficulty`, their mean by the ranking (nil without one,
--- or where nothing was drawn); `effective`, how many rows alike would be drawn as unevenly as those that can be drawn now:
--- (Σ w)² / Σ w² of their weights (Kish 1965).
---@return {drawn: number, difficulty: number?, effective: number}
function Source:stats()
  local visits, counted = core(self):visits(), rawget(self, "counted")
  self.counted = visits
  local drawn, difficulty = engine.data.drawn_since(visits, counted, difficulties(self))
  return { drawn = drawn, difficulty = difficulty, effective = core(self):effective() }
end

--- The sources of the current run that have drawn something, by number.
---@return table<number, Source>
function Source.of_run()
  local found = {}
  for one, run in pairs(runs) do
    if run == (current.run or false) and rawget(one, "core") then found[one.number] = one end
  end
  return found
end

--- The current run's source of that number, whether it has drawn or not.
function Source.with_number(number)
  for one, run in pairs(runs) do
    if run == (current.run or false) and one.number == number then return one end
  end
end

--- The sources made for one run are another's from here on, in place of its own. Returns the latter, for `take_back`.
---@param from any
---@param to any
---@return table
function Source.hand_over(from, to)
  local left, mine = {}, {}
  for one, run in pairs(runs) do
    if run == to then left[#left + 1] = one elseif run == from then mine[#mine + 1] = one end
  end
  for _, one in ipairs(left) do runs[one] = nil end
  for _, one in ipairs(mine) do runs[one] = to end
  return left
end

--- A run's sources are these again.
---@param left table
---@param to any
function Source.take_back(left, to)
  for one, run in pairs(runs) do
    if run == to then runs[one] = nil end
  end
  for _, one in ipairs(left) do runs[one] = to end
end

--- Sources that were made since are no longer the run's: those of a trial that is over.
---@param before table<Source, any>  what `known` gave
function Source.forget(before)
  for one in pairs(runs) do
    if not before[one] then runs[one] = nil end
  end
end

--- All sources that there are.
function Source.known()
  local known = {}
  for one in pairs(runs) do known[one] = true end
  return known
end

--- Numbers the coming sources from `count` on, where it is given; returns how many there were.
function Source.numbered(count)
  local before = made
  made = count or made
  return before
end

return Source
