--- The sample axis: which examples, how often. An answer is a data set (every row once per pass, in random order) or one
--- of these sources; both may be given as a function of the state, asked once per epoch.
---   sampler.easiest(ranked, schedule.linear(.2, 1))      easiest share of a ranking, by a schedule
---   sampler.competence(ranked, { start = .1 })           Platanios et al., NAACL 2019
---   sampler.self_paced(d, schedule.linear(.3, 1))        easiest by the student's own loss (Kumar et al., NeurIPS 2010)
---   sampler.confidence(d)                                follows the student's confidence in each example
---   sampler.weighted(d, score.entropy(teacher))          in proportion to a weight or score
---   sampler.mixture { { a, .7 }, { b, .3 } }             several parts, by share
---   sampler.rehearsal(now, earlier, .2)                  a share of what came before, against forgetting
---   sampler.custom(d, function(s, size) … end)            one of your own: places of rows, from 0, asked at each step
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local data = require "gradus.data.dataset"
local schedule = require "gradus.curriculum.schedule"
local score = require "gradus.curriculum.score"
local Source = require "gradus.curriculum.source"

local ops = engine.ops
local sampler = {}

local source = Source.new

--- Whether a value is a sampler.
---@param value any
function sampler.is(value) return getmetatable(value) == Source end

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

-- The share as it goes through levels; nothing of one that moves all the time, or is a function.
local function levels_of(share) return schedule.is(share) and share.holds and share_now end

--- The easiest share of a ranked view.
---@param ranked Dataset   from d:rank(score); reversed() for hard first, shuffled() for the random control
---@param share number|Schedule|fun(s: State): number  above 0, up to 1
function sampler.easiest(ranked, share)
  check_share("sampler.easiest", share)
  local self = source("sampler.easiest", ranked, "shuffle", { share = share, level_at = levels_of(share) })
  self.on_refresh = function(me, s)
    local now = share_now(me, s)
    me.share_now = now
    me:restrict(me.data:first { share = now })
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

--- Self-paced: at each epoch the examples with the student's own lowest loss, a growing share of them. A share that stays
--- below 1 for ever leaves the hardest rows out for ever, and costs accuracy.
---@param d Dataset
---@param share number|Schedule|fun(s: State): number
function sampler.self_paced(d, share)
  check_share("sampler.self_paced", share)
  local self = source("sampler.self_paced", d, "shuffle", { share = share, adaptive = true, level_at = levels_of(share) })
  self.on_refresh = function(me, s)
    local now = share_now(me, s)
    me.share_now = now
    local ranked = me.data:rank(score.loss(s.student))
    me.rankings = { ranked }
    me:restrict(ranked:first { share = now })
  end
  return self
end

-- What the student is taken to think of each row before it has seen any: `target` of the easiest, which are drawn most, down
-- to 0 of the hardest.
local function first_seen(ranked, d, target)
  local where = "sampler.confidence"
  if not data.is(ranked) or not ranked.difficulty then
    check.fail(where, "start: expected a ranking of the data, d:rank(score); got %s", check.describe(ranked))
  end
  if ranked.base ~= d.base then check.fail(where, "start: the ranking is of another data set") end
  return { index = ranked.index, confidence = ops.linspace(target, 0, ranked:size(), { dtype = "float64" }) }
end

--- Follows the student's confidence in each example (S2 of the guides): examples whose confidence is near `target` are
--- drawn most (after Chang et al., NeurIPS 2017), none is left out for ever. start: a ranking of the rows; simple
--- and moderate ones are drawn first, the hardest as the student shows that it knows them. Without one all are drawn alike until
--- they are seen.
---@param d Dataset
---@param options? {target: number, floor: number, decay: number, start: Dataset}
function sampler.confidence(d, options)
  local o = check.options("sampler.confidence", options, { target = check.any, floor = check.any, decay = check.any, start = check.any })
  local start = o.start
  o.start = nil
  local self = source("sampler.confidence", d, "confidence", { options = o, adaptive = true })
  if start ~= nil then
    self.first_seen, self.rankings = first_seen(start, d, o.target or .5), { start }
  end
  return self
end

--- With replacement, in proportion to a weight per row or a score (taken once).
---@param d Dataset
---@param weights Tensor|fun(x: Tensor, y: Tensor): Tensor  [n], at least 0
function sampler.weighted(d, weights)
  local self = source("sampler.weighted", d, "weighted")
  if type(weights) == "function" then
    weights = d:scores("sampler.weighted", weights)
  end
  if not engine.is_tensor(weights) or weights:numel() ~= d:size() then
    check.fail("sampler.weighted", "expected one weight for each of %d rows; got %s", d:size(), check.describe(weights))
  end
  self.weights = weights:detach():cpu():double():flatten()
  return self
end

--- A sampler of your own: at each step fn(s, size) gives the places of `size` rows in d, from 0.
---@param d Dataset
---@param fn fun(s: State, size: number): Tensor|number[]
function sampler.custom(d, fn) return require "gradus.curriculum.custom"(d, fn) end

-- --- several parts -----------------------------------------------------------------------------------------------------------

--- Draws from several views of one data set, by share.
---@param parts table[]  { { view, share }, … }; shares are numbers, schedules or functions, taken relative to their sum
function sampler.mixture(parts)
  if type(parts) ~= "table" or #parts < 2 then host.fail "sampler.mixture: expected { { data, share }, { data, share }, … }" end
  check.items("sampler.mixture", parts)
  local base = type(parts[1]) == "table" and data.is(parts[1][1]) and parts[1][1].base
  for i, part in ipairs(parts) do
    if type(part) ~= "table" then
      host.fail(("sampler.mixture: part %d: expected { data, share }; got %s"):format(i, check.describe(part)))
    end
    if not data.is(part[1]) then host.fail(("sampler.mixture: part %d: expected a data set"):format(i)) end
    if part[1]:size() < 1 then host.fail(("sampler.mixture: part %d has no rows"):format(i)) end
    if part[1].base ~= base then host.fail("sampler.mixture: the parts are of different data sets; data.concat makes one of them") end
    schedule.check(("sampler.mixture: part %d: share"):format(i), part[2])
  end
  local whole = parts[1][1]:whole()
  local rows = whole:size()
  local self = source("sampler.mixture", whole, "weighted", { parts = parts, rankings = {} })
  for k, part in ipairs(parts) do self.rankings[k] = part[1] end
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
    me:drawer():set_weights(me.data.index, weights)
  end
  return self
end

--- The current examples, and a share of earlier ones against forgetting.
---@param now Dataset
---@param earlier Dataset
---@param share number   of the draws that go to the earlier ones
function sampler.rehearsal(now, earlier, share)
  if type(share) ~= "number" or not (share > 0 and share < 1) then
    host.fail("sampler.rehearsal: share: expected above 0, below 1; got " .. check.describe(share))
  end
  return sampler.mixture { { now, 1 - share }, { earlier, share } }
end

--- The source that an answer of the sample axis stands for.
function sampler.of(where, answer)
  if sampler.is(answer) or data.is_generator(answer) then return answer end
  if data.is(answer) then return sampler.uniform(answer) end
  check.fail(where, "expected a data set or a sampler (of your own: sampler.custom(d, function(s, size) return places end)); got %s",
    check.describe(answer))
end

--- Numbers the coming sources from `count` on, where it is given; returns how many there were.
sampler.numbered = Source.numbered

return sampler
