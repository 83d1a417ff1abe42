--- Looks ahead: the knobs of the coming steps, as many as go together. Steps are taken one by one where a knob or a rule looks at what
--- moves with every step (the student, its confidence, the clock), where a stage has a pressure function, which may change what it
--- likes, and where the teacher is what is trained. Nothing moves but what was asked: a function is asked once for each step.
local clock = require "gradus.curriculum.clock"

local ahead = {}

-- Of steps taken at once: so long as it pays, while their batches stay in the cache, and so short that the line goes on and a signal
-- is seen.
local MOST_STEPS, MOST_BYTES, MOST_FLOPS = 64, 2 ^ 20, 5e9

---@class Ahead
---@field wants? number   a step after which somebody wants to look, beside the parts
local Ahead = {}
Ahead.__index = Ahead

---@param parts {run: Run, s: State, clock: Clock, stages: Stages, feed: Feed, updater: Updater, evaluator: Evaluator, keeper: Keeper}
---@return Ahead
function ahead.new(parts)
  local self = setmetatable({ alone = true, bytes = nil }, Ahead)
  for _, name in ipairs { "run", "s", "clock", "stages", "feed", "updater", "evaluator", "keeper" } do self[name] = parts[name] end
  return self
end

--- A stage goes on. alone: its steps are taken one by one.
function Ahead:begin_stage(alone)
  self.alone = alone or self.stages.stage.pressure ~= nil or self.clock.budget.seconds ~= nil
  self.bytes = nil
end

--- A batch of the stage was seen: as many as stay in the cache go together.
---@param batch table<string, Tensor>
function Ahead:meet(batch)
  if self.bytes then return end
  self.bytes = 0
  for _, one in pairs(batch) do self.bytes = self.bytes + one:nbytes() end
end

local function most_at_once(self)
  if self.alone or not self.bytes or not self.updater:can_scan() then return 1 end
  local cost = self.clock.cost
  return math.min(MOST_STEPS, math.floor(MOST_BYTES / self.bytes), math.floor(MOST_FLOPS / (cost.step + cost.teacher)))
end

-- Whether somebody wants to look after the step that the counts have reached.
local function someone_looks(self, view, counts, epoch)
  return clock.is_over(counts) or self.evaluator:due(counts.step) or self.keeper:due(counts.step) or self.evaluator:due_early(counts)
    or clock.epoch_of(counts) > epoch or self.stages:awaits(view) or self.wants == counts.step
end

local function is_plain(knobs)
  for _, value in pairs(knobs) do
    if type(value) ~= "number" then return false end
  end
  return true
end

--- The knobs of the coming steps, one table each; the first step's are always there.
---@param before number  the run's step before the training's first
---@return table[]
function Ahead:plan(before)
  local most, counts, plan = most_at_once(self), self.clock:ahead(), {}
  local view, asked = self.s:ahead(counts)
  local epoch = clock.epoch_of(counts)
  local function known() return not asked.unknown end
  repeat
    self.run.step_number = before + counts.step
    local ok, knobs
    if #plan == 0 then ok, knobs = true, self.stages:ask_knobs(view, known)
    else ok, knobs = pcall(self.stages.ask_knobs, self.stages, view, known) end
    if not ok then break end  -- the steps before it come first; then it is asked again, and raises
    local joins = most > 1 and is_plain(knobs) and self.feed:can_stack(knobs.augment) and known()
    if #plan > 0 and not joins then break end
    plan[#plan + 1] = knobs
    if joins then self.clock:count(counts) end
  until not joins or #plan >= most or someone_looks(self, view, counts, epoch) or asked.unknown
  self.run.step_number = before + self.s.step
  self.alone = self.alone or asked.unknown
  return plan
end

return ahead
