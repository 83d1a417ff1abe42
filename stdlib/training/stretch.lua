--- Stretches: several steps of a distillation at once (scan.lua), where nobody is to be asked anything in between. A step of a
--- small model takes less time than Lua needs to prepare and to log it; a stretch pays for most of that once. Its steps are
--- the same, bit for bit: knobs, batches and rows of the log are those of steps taken one by one.
---
--- A stretch ends where somebody wants to look: an evaluation, a checkpoint, an epoch's end, a rule's verdict, the budget's
--- end, a loss or gradient that is not finite. Steps are taken one by one where a knob or a rule looks at what moves with every
--- step (the student, its confidence, the clock), where a stage has a pressure function, which may change what it likes once per
--- step, and where the teacher is what is trained. Knobs that are functions are asked ahead, once for each step.
local stretch = {}

-- Of one stretch: so long as it pays, while its batches stay in the cache, and so short that the line goes on and a signal is seen.
local MOST_STEPS, MOST_BYTES, MOST_FLOPS = 64, 2 ^ 20, 5e9

-- What a step leaves in the state that the counts cannot tell beforehand.
local UNKNOWN = { student = true, teacher = true, run = true, confidence = true, seconds = true, stage_seconds = true,
  stage_passes = true, findings = true }

-- The state, and whether somebody has asked it for what is unknown.
local function watched(s)
  local asked = { unknown = false }
  return setmetatable({}, {
    __index = function(_, key)
      if UNKNOWN[key] then asked.unknown = true end
      return s[key]
    end,
    __newindex = function(_, key, value) s[key] = value end,
  }), asked
end

local COUNTS = { "step", "samples", "epoch", "flops", "flops_spent", "progress", "stage_steps", "stage_epochs", "stage_samples",
  "stage_flops", "stage_seconds" }

local function counts_of(s)
  local kept = {}
  for i, name in ipairs(COUNTS) do kept[i] = s[name] end
  return kept
end

local function restore(s, kept)
  for i, name in ipairs(COUNTS) do s[name] = kept[i] end
end

local function plain(knobs)
  for _, value in pairs(knobs) do
    if type(value) ~= "number" then return false end
  end
  return true
end

--- Adds the methods to the class of distill.lua.
function stretch.add_to(Distill)
  -- How many steps may be taken at once, by what is known when a stage has taken its first.
  function Distill:longest_stretch()
    local s = self.state
    local alone = self.looks_at_each_step == self.stage or s.flops_of ~= self.step or not self.batch_bytes
      or self.stage.pressure or self.budget.seconds or self.pieces > 1 or self.run.device ~= "cpu" or not self.step:can_replay()
    if alone then return 1 end
    return math.min(MOST_STEPS, math.floor(MOST_BYTES / self.batch_bytes), math.floor(MOST_FLOPS / (s.flops_per_step + s.teacher_flops)))
  end

  -- Whether somebody wants to look after the step that the state's counts have just reached.
  function Distill:is_awaited(s, epoch)
    local keep, rule = self.kept, self.stage.advance
    return s.progress >= 1 - 1e-12 or s.step % self.eval_steps == 0 or (keep and s.step % self.keep_steps == 0)
      or math.floor(s.epoch + 1e-9) > epoch or (type(rule) == "table" and rule.every == "step" and rule(s))
  end

  -- The knobs of the coming steps, as far as they can be told; the first step's are always there.
  function Distill:plan_stretch(most)
    local s, kept, planned = self.state, counts_of(self.state), {}
    local proxy, asked = watched(s)
    local epoch, awaited = math.floor(s.epoch + 1e-9), false
    local told = self.told  -- knobs that were asked for and not used: a function is asked once for each step
    while #planned < math.max(1, most) and not awaited do
      local knobs = told[s.step]
      if not knobs then
        self.run.step_number = self.before + s.step
        local ok = true
        if #planned == 0 then knobs = self:pressure(proxy) else ok, knobs = pcall(self.pressure, self, proxy) end
        if not ok then break end  -- the steps before it come first; then it is asked again, and raises
        if not asked.unknown then told[s.step] = knobs end
      end
      local joins = plain(knobs) and self.feed:can_stack(knobs.augment) and not asked.unknown
      if #planned > 0 and not joins then break end
      planned[#planned + 1] = knobs
      if most <= 1 or not joins then break end
      self:count_steps(1)
      s.progress = math.min(1, self:used())
      s:count()
      awaited = self:is_awaited(proxy, epoch) or asked.unknown
    end
    restore(s, kept)
    self.run.step_number = self.before + s.step
    if asked.unknown then self.looks_at_each_step = self.stage end
    return planned
  end

  --- Takes the coming step, or as many as go together.
  function Distill:advance()
    local first = self.state.step
    local planned = self:plan_stretch(self:longest_stretch())
    if #planned == 1 then
      self.told[first] = nil
      return self:one_step(planned[1])
    end
    local lists = {}
    for name in pairs(planned[1]) do
      lists[name] = {}
      for i, knobs in ipairs(planned) do lists[name][i] = knobs[name] end
    end
    local batch = self.feed:stack(lists.augment)
    lists.augment = nil
    local out, done = self.step:scan(batch, lists, { finite = { "loss", "norm" } })
    for i = 1, done do self.told[first + i - 1] = nil end
    if done < #planned then self.feed:give_back(batch, done) end
    self.out = out
    self:log_stretch(batch, planned, done)
  end
end

return stretch
