--- The sample axis: which examples, how often. An answer is a data set (every row once per pass, in random order) or one
--- of these sources; both may be given as a function of the state, asked once per epoch.
---   sampler.easiest(ranked, schedule.linear(.2, 1))      easiest share of a ranking, by a schedule
---   sampler.competence(ranked, { start = .1 })           Platanios et al., NAACL 2019
---   sampler.self_paced(d, schedule.linear(.3, 1))        easiest by the student's own loss (Kumar et al., NeurIPS 2010)
---   sampler.confidence(d)                                follows the student's confidence in each example
---   sampler.weighted(d, score.entropy(teacher))          in proportion to a weight or score
---   sampler.mixture { { a, .7 }, { b, .3 } }             several parts, by share
---   sampler.rehearsal(now, earlier, .2)                  a share of what came before, against forgetting
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local current = require "gradus.base.current"
local data = require "gradus.data.dataset"
local schedule = require "gradus.curriculum.schedule"
local score = require "gradus.curriculum.score"

local ops = engine.ops
local sampler = {}

---@class Source
---@field data Dataset      the rows it may draw
---@field adaptive boolean  whether draws depend on what the student has shown: then nothing is drawn ahead
local Source = check.methods("a sampler", {})
Source.__index = Source

--- Whether a value is a sampler.
---@param value any
function sampler.is(value) return getmetatable(value) == Source end

local made = 0  -- numbers the sources of a run, so that each has its own stream

local function source(where, d, mode, fields)
  if not data.is(d) then host.fail(("%s: expected a data set; got %s"):format(where, type(d))) end
  made = made + 1
  local self = setmetatable(fields or {}, Source)
  self.adaptive = rawget(self, "adaptive") or false  -- asked for at every step
  self.data, self.mode, self.number, self.where = d, mode, made, where
  self.options, self.share_now = rawget(self, "options") or {}, false
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
  end
  return self.core
end

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
  self.open = d:size()
end

--- Number of rows that can be drawn now, and traversals of them.
function Source:size() return self.open or self.data:size() end
function Source:passes() return self.core and self.core:passes() or 0 end
function Source:state() return core(self):state() end
function Source:restore(state) core(self):restore(state) end

--- Every row once per pass, in a new random order each time.
---@param d Dataset
function sampler.uniform(d) return source("sampler.uniform", d, "shuffle") end

local function check_share(where, share)
  schedule.check(where .. ": share", share)
  if type(share) == "number" and not (share > 0 and share <= 1) then
    host.fail(("%s: share: expected above 0, up to 1; got %g"):format(where, share))
  end
end

-- A share above 1 is everything; 0 or less would leave nothing to draw.
local function share_now(self, s)
  local now = schedule.value(self.share, s)
  if type(now) ~= "number" or not (now > 0) then
    host.fail(("%s: the share is %s at epoch %g; expected above 0"):format(self.where, tostring(now), s.epoch))
  end
  return math.min(1, now)
end

--- The easiest share of a ranked view.
---@param ranked Dataset   from d:rank(score); reversed() for hard first, shuffled() for the random control
---@param share number|Schedule|fun(s: State): number  above 0, up to 1
function sampler.easiest(ranked, share)
  check_share("sampler.easiest", share)
  local self = source("sampler.easiest", ranked, "shuffle", { share = share })
  self.on_refresh = function(me, s)
    local now = share_now(me, s)
    me.share_now = now
    me:restrict(me.data:first(now))
  end
  return self
end

--- Competence-based: the easiest share c(t) of schedule.competence.
---@param ranked Dataset
---@param options? {start: number, power: number, to: any}
function sampler.competence(ranked, options)
  options = options or {}
  check.options("sampler.competence", options, { "start", "power", "to" })
  return sampler.easiest(ranked, schedule.competence(options.start or .1, { power = options.power, to = options.to }))
end

--- Self-paced: at each epoch the examples with the student's own lowest loss, a growing share of them.
---@param d Dataset
---@param share number|Schedule|fun(s: State): number
function sampler.self_paced(d, share)
  check_share("sampler.self_paced", share)
  local self = source("sampler.self_paced", d, "shuffle", { share = share, adaptive = true })
  self.on_refresh = function(me, s)
    local now = share_now(me, s)
    me.share_now = now
    me:restrict(me.data:rank(score.loss(s.student)):first(now))
  end
  return self
end

--- Follows the student's confidence in each example (S2 of the guides): examples whose confidence is near `target` are
--- drawn most; see runtime/data/sampler.h for the rule (after Chang et al., NeurIPS 2017).
---@param d Dataset
---@param options? {target: number, floor: number, decay: number}
function sampler.confidence(d, options)
  options = options or {}
  check.options("sampler.confidence", options, { "target", "floor", "decay" })
  return source("sampler.confidence", d, "confidence", { options = options, adaptive = true })
end

--- With replacement, in proportion to a weight per row or a score (taken once).
---@param d Dataset
---@param weights Tensor|fun(x: Tensor, y: Tensor): Tensor  [n], at least 0
function sampler.weighted(d, weights)
  local self = source("sampler.weighted", d, "weighted")
  if type(weights) == "function" then
    local parts = {}
    d:each(1024, function(x, y)
      local one = weights(x, y)
      if not engine.is_tensor(one) then host.fail("sampler.weighted: expected the score to return a Tensor; got " .. check.describe(one)) end
      parts[#parts + 1] = one:cpu():double():reshape { -1 }
    end)
    weights = ops.cat(parts, 0)
  end
  if not engine.is_tensor(weights) or weights:numel() ~= d:size() then
    host.fail(("sampler.weighted: expected one weight for each of %d rows"):format(d:size()))
  end
  self.weights = weights:double()
  return self
end

--- Draws from several views of one data set, by share.
---@param parts table[]  { { view, share }, … }; shares are numbers, schedules or functions, taken relative to their sum
function sampler.mixture(parts)
  if type(parts) ~= "table" or #parts < 2 then host.fail "sampler.mixture: expected { { data, share }, { data, share }, … }" end
  local base = type(parts[1]) == "table" and data.is(parts[1][1]) and parts[1][1].base
  for i, part in ipairs(parts) do
    if type(part) ~= "table" then host.fail(("sampler.mixture: part %d: expected { data, share }; got %s"):format(i, tostring(part))) end
    if not data.is(part[1]) then host.fail(("sampler.mixture: part %d: expected a data set"):format(i)) end
    if part[1].base ~= base then host.fail("sampler.mixture: the parts are of different data sets; data.concat makes one of them") end
    schedule.check(("sampler.mixture: part %d: share"):format(i), part[2])
  end
  local whole = parts[1][1]:whole()
  local rows = whole:size()
  local self = source("sampler.mixture", whole, "weighted", { parts = parts })
  self.on_refresh = function(me, s)
    local weights, size, total = ops.zeros({ rows }, { dtype = "float64" }), 0, 0
    for i, part in ipairs(me.parts) do
      local share = schedule.value(part[2], s)
      if type(share) ~= "number" or not (share >= 0) then
        host.fail(("sampler.mixture: part %d: the share is %s at epoch %g; expected at least 0"):format(i, tostring(share), s.epoch))
      end
      local each = share / part[1]:size()
      total = total + share
      weights = weights:index_add(0, part[1].index, ops.full({ part[1]:size() }, each, { dtype = "float64" }))
      size = size + part[1]:size()
    end
    if not (total > 0) then host.fail(("sampler.mixture: the shares are all 0 at epoch %g; expected one above 0"):format(s.epoch)) end
    me.weights, me.open = weights, math.min(size, rows)
    core(me):set_weights(me.data.index, weights)
  end
  return self
end

--- The current examples, and a share of earlier ones against forgetting.
---@param now Dataset
---@param earlier Dataset
---@param share number   of the draws that go to the earlier ones
function sampler.rehearsal(now, earlier, share)
  if type(share) ~= "number" or not (share > 0 and share < 1) then
    host.fail("sampler.rehearsal: share: expected above 0, below 1; got " .. tostring(share))
  end
  return sampler.mixture { { now, 1 - share }, { earlier, share } }
end

--- The source that an answer of the sample axis stands for.
function sampler.of(where, answer)
  if sampler.is(answer) or data.is_generator(answer) then return answer end
  if data.is(answer) then return sampler.uniform(answer) end
  host.fail(("%s: expected a data set or a sampler; got %s"):format(where, type(answer)))
end

--- Numbers the coming sources from `count` on; returns how many there were.
function sampler.numbered(count)
  local before = made
  made = count
  return before
end

return sampler
