--- The part of a distillation that watches over it: what is logged of a step, what follows a NaN, and what health.lua is asked
--- and said.
local engine = require "gradus.engine"
local host = require "gradus.host"
local data = require "gradus.data.dataset"

local watch = {}

-- Knobs that only the loss against a teacher's logits takes.
local OF_A_TEACHER = { temperature = true, alpha = true }

function watch.finite(value) return value == value and value ~= math.huge and value ~= -math.huge end

-- Those of the knobs that the stage's loss takes.
local function taken(self, knobs)
  if self.target.kind == "logits" then return knobs end
  local left = {}
  for name, knob in pairs(knobs) do
    if not OF_A_TEACHER[name] then left[name] = knob end
  end
  return left
end

-- What is logged of the step, still on its device.
local function measured(self, knobs)
  local out, found = self.out, { ["train/loss"] = self.out.loss, norm = self.out.norm }
  if out.ce and self.target.kind ~= "layer" then
    found["train/ce"] = out.ce
    if self.target.of then found["train/kl"] = out.kl end
  end
  found["train/confidence"] = out.mean_confidence
  for name, knob in pairs(taken(self, knobs)) do
    if type(knob) ~= "number" then found["knob/" .. name] = knob:mean() end
  end
  return found
end

local AT_MOST = 20  -- batches in a row that are skipped

local function number_of(value) return engine.is_tensor(value) and value:dim() == 0 and value:item() or nil end

--- Looks at what a script's own step left, as out.loss (or its one output) and out.norm. The optimizer has left the weights alone
--- if that is not finite; the batch's rows are stored, and policy "stop" ends the run.
---@param policy string  "stop" or "skip"
---@return fun(batch: table, out: table|Tensor)
function watch.of_step(run, policy)
  local met = 0
  local function judge(value, norm, batch, at)
    if watch.finite(value) and watch.finite(norm) then
      met = 0
      return
    end
    met = met + 1
    local rows = type(batch) == "table" and batch.index
    run:event("health", "non_finite", { loss = value and tostring(value), gradient_norm = norm and tostring(norm), policy = policy,
      rows = rows and rows:totable() or nil })
    if policy == "skip" and met < AT_MOST then return end
    host.fail(("step %d: the %s; the rows of the batch are in the run's events; expected finite inputs, a lower lr or harder clipping%s")
      :format(at, watch.finite(value) and "gradient is not finite" or "loss is " .. tostring(value),
        met > 1 and (" (%d in a row)"):format(met) or ""), 3)
  end
  return function(batch, out)
    local loss, norm = out, nil
    if not engine.is_tensor(out) then loss, norm = out.loss, out.norm end
    if run.device == "cpu" then return judge(number_of(loss), number_of(norm), batch, run.step_number) end
    local found, at = {}, run.step_number
    if engine.is_tensor(loss) and loss:dim() == 0 then found.loss = loss end
    if engine.is_tensor(norm) and norm:dim() == 0 then found.norm = norm end
    if next(found) then
      run.looked:push(found, function(row) judge(row.loss, row.norm, batch, at) end)
    end
  end
end

--- Adds the methods to the class of distill.lua.
function watch.add_to(Distill)
  function Distill:log(batch, knobs)
    local source, at = self.source, self.run.step_number
    local share, seen = source.share_now or nil, source.adaptive and self.out.confidence and engine.transfer(self.out.confidence)
    self.run.readback:push(measured(self, knobs), function(row)
      local norm = row.norm
      row.norm, row["knob/share"] = nil, share
      if not watch.finite(row["train/loss"]) or not watch.finite(norm) then
        return self:meet_non_finite(batch, knobs, row["train/loss"], norm, at)
      end
      if seen then source:observe(batch.index, seen:wait()) end
      self:log_row(row, knobs, at)
    end)
  end

  -- The same of the steps of a stretch, of which the last may have left what is not finite.
  function Distill:log_stretch(batch, planned, done)
    local s, run, columns = self.state, self.run, {}
    for name, values in pairs(measured(self, {})) do columns[name] = values:totable() end
    local share = self.source.share_now or nil
    for i = 1, done do
      local row = { ["knob/share"] = share }
      for name, values in pairs(columns) do row[name] = values[i] end
      local norm = row.norm
      row.norm = nil
      self:count_steps(1)
      run.step_number = self.before + s.step
      if watch.finite(row["train/loss"]) and watch.finite(norm) then
        self:log_row(row, planned[i], run.step_number)
      else
        local one = {}
        for name, values in pairs(batch) do one[name] = values[i - 1] end
        self:meet_non_finite(one, planned[i], row["train/loss"], norm, run.step_number)
      end
    end
    self:count_passes()
  end

  function Distill:log_row(row, knobs, at)
    local s, mean = self.state, row["train/confidence"]
    self.met = 0
    if mean then s.confidence = s.confidence and .9 * s.confidence + .1 * mean or mean end
    for name, knob in pairs(taken(self, knobs)) do
      local key = "knob/" .. name
      row[key] = row[key] or knob
      self.shown_knobs[name] = row[key]
    end
    self.shown_row["train/loss"] = row["train/loss"]
    self.run:log(row, at)
    self:report(self.health:step(row["train/loss"], row["train/ce"], row["knob/lr"]))
  end

  -- NaN or infinity: the optimizer has left the weights alone. The batch's rows are stored, then the policy decides.
  function Distill:meet_non_finite(batch, knobs, value, norm, at)
    local run = self.run
    self.met = (self.met or 0) + 1
    run:log({ ["train/loss"] = value }, at)
    run:event("health", "non_finite", { loss = tostring(value), gradient_norm = tostring(norm), policy = self.non_finite,
      rows = batch.index:totable() })
    if self.non_finite == "stop" or self.met == AT_MOST then
      host.fail(("step %d: the %s; the rows of the batch are in the run's events; lower lr (%g) or clip harder%s"):format(at - self.before,
        watch.finite(value) and "gradient is not finite" or "loss is " .. tostring(value), type(knobs.lr) == "number" and knobs.lr or 0,
        self.met > 1 and (" (%d in a row)"):format(self.met) or ""), 3)
    end
    if self.non_finite == "roll_back" and self.safe then
      self.student:load_state_dict(self.safe.student)
      self.optimizer:load_state_dict(self.safe.optimizer)
      run:event("decision", "roll_back", { to = self.safe.step })
    end
  end

  -- What "roll_back" goes back to: the last evaluation, or where the stage began.
  function Distill:keep_safe()
    if self.non_finite ~= "roll_back" then return end
    local function copies(state)
      local copy = {}
      for name, one in pairs(state) do copy[name] = one:clone() end
      return copy
    end
    self.safe = { step = self.state.step, student = copies(self.student:state_dict()), optimizer = copies(self.optimizer:state_dict()) }
  end

  -- Keeps, stores and shows what health.lua found.
  function Distill:report(found)
    for _, one in ipairs(found or {}) do
      one.numbers.advice, one.numbers.stage = one.advice, self.state.stage
      table.insert(self.state.findings, { name = one.name, step = self.state.step, stage = self.state.stage })
      self.run:event("health", one.name, one.numbers)
      self.run.line.say(("health: step %d: %s: %s"):format(self.state.step, one.name, one.advice))
    end
  end

  -- Asks health.lua about the training so far and what the validation data gave, nil without any. A layer's target says nothing
  -- of the validation data.
  function Distill:check_health(result)
    local e = { progress = self.state.progress, share = self:open_share() }
    if result and self.target.kind ~= "layer" then
      if result.acc and not self.majority then self:learn_of_labels() end
      e.loss, e.acc, e.constant, e.majority = result.loss, result.acc, result.constant, self.majority
    end
    self:report(self.health:evaluation(e))
  end

  -- What may be drawn now, of all that there is to learn from; 0 of a stream.
  function Distill:open_share()
    local source = self.source
    if data.is_generator(source) then return 0 end
    local all = data.is(self.train) and source.data.base == self.train.base and self.epoch_size or source.data:size()
    return source:size() / all
  end

  -- What an answer is compared with: the labels' most frequent one, and the teacher's accuracy.
  function Distill:learn_of_labels()
    local _, y = self.val:gather()
    local counted, classes = y:masked_select(y:ge(0)), self:teacher_classes()
    self.majority = counted:bincount():amax():item() / counted:numel()
    self.health.teacher_acc = classes and classes:eq(y):sum():item() / counted:numel()
  end

  -- The teacher's classes on the validation rows, asked once: it is frozen. Nil where it is no classifier.
  function Distill:teacher_classes()
    local teacher = self.state.teacher
    if self.classes == nil and type(teacher) == "table" and teacher.parameters and self.val.classes then
      local parts = {}
      teacher:eval()
      self.val:each(1024, function(x) parts[#parts + 1] = teacher(x):argmax(-1) end, teacher:device())
      self.classes = engine.ops.cat(parts, 0):cpu()
    end
    return self.classes
  end
end

return watch
