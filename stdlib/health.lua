--- Health: recognises, while a run goes on, what the guides call signs of problems, and says what they advise. Each is told
--- once per stage, from the means of the training loss between evaluations and from the evaluations themselves.
---   diverging      the training loss rises and rises             oscillating     it goes up and down without getting lower
---   overfitting    validation worsens while training improves    stagnant        neither moves, far from the teacher
---   collapsed      one answer for everything                     teacher_worse   the student is better than its teacher
---   difficulty_jump  a stage begins far above where the one before ended
local health = {}
local Health = {}
Health.__index = Health

local ADVICE = {
  diverging = "the training loss rises: lower the learning rate, warm up longer or clip harder",
  oscillating = "the training loss oscillates: the learning rate is too high; lower it, or use a larger batch",
  overfitting = "the validation loss rises while the training loss falls: regularise (weight decay, augmentation, a higher "
    .. "temperature) or stop earlier",
  stagnant = "training and validation loss stand still: the student may be too small, the learning rate too low, or alpha and "
    .. "temperature unsuited; a teacher assistant or an extracted curriculum bridges a large gap",
  collapsed = "the student gives one answer for everything: lower the learning rate, check the labels' balance and alpha",
  teacher_worse = "the student is better than its teacher: raise alpha towards the labels, or train a better teacher",
  difficulty_jump = "the stage is far harder than where the one before ended: put a stage between, widen the share more slowly, "
    .. "or rehearse",
}
health.advice = ADVICE

local WINDOW = 8   -- evaluations that a judgement of the curve looks at
local EDGE = 20    -- steps on both sides of a stage's beginning

---@param options {classes: number?, rows: number?, teacher_acc: number?}  rows: of the validation data
function health.new(options)
  local self = setmetatable({ classes = options.classes, rows = options.rows or 1, teacher_acc = options.teacher_acc, sum = 0, count = 0,
    edge = {}, peak_lr = 0 }, Health)
  self:stage()
  return self
end

--- A stage begins: its target and difficulty are its own, so its curves are judged apart.
function Health:stage()
  self.train, self.val, self.told, self.steps, self.collapsed = {}, {}, {}, 0, 0
  self.before = #self.edge == EDGE and self:edge_mean() or nil
  self.edge, self.sum, self.count = {}, 0, 0
end

function Health:edge_mean()
  local sum = 0
  for _, value in ipairs(self.edge) do sum = sum + value end
  return sum / #self.edge
end

local function told(self, found, name, numbers)
  if self.told[name] then return end
  self.told[name] = true
  found[#found + 1] = { name = name, advice = ADVICE[name], numbers = numbers }
end

--- One step's loss, cross-entropy (nil without labels) and learning rate. Returns what was found, nil for nothing.
---@return table[]?
function Health:step(loss, ce, lr)
  self.sum, self.count, self.steps = self.sum + loss, self.count + 1, self.steps + 1
  if lr then self.lr, self.peak_lr = lr, math.max(self.peak_lr, lr) end
  if not ce then return end
  self.edge[(self.steps - 1) % EDGE + 1] = ce
  if self.before and self.steps == EDGE then
    local now, before = self:edge_mean(), self.before
    self.before = nil
    if now > 3 * before and now - before > .3 * math.log(self.classes or 2) then
      local found = {}
      told(self, found, "difficulty_jump", { before = before, now = now })
      return found
    end
  end
end

local function last(list, count)
  return { unpack(list, math.max(1, #list - count + 1)) }
end

local function least(list, from, to)
  local low = math.huge
  for i = from, to do low = math.min(low, list[i]) end
  return low
end

local function mean(list, from, to)
  local sum = 0
  for i = from, to do sum = sum + list[i] end
  return sum / (to - from + 1)
end

-- Rose three times in a row, to half above its lowest and above where it began.
local function is_diverging(train)
  local n = #train
  if n < 4 then return false end
  return train[n] > train[n - 1] and train[n - 1] > train[n - 2] and train[n - 2] > train[n - 3]
    and train[n] > 1.5 * least(train, 1, n) and train[n] > train[1]
end

-- Turned at almost every evaluation by a third of its level and more, and the later half is no lower than the earlier.
local function is_oscillating(train)
  local w = last(train, WINDOW)
  if #w < WINDOW then return false end
  local turns, travelled = 0, 0
  for i = 2, WINDOW do
    travelled = travelled + math.abs(w[i] - w[i - 1])
    if i > 2 and (w[i] - w[i - 1]) * (w[i - 1] - w[i - 2]) < 0 then turns = turns + 1 end
  end
  local level, half = mean(w, 1, WINDOW), WINDOW / 2
  return turns >= WINDOW - 4 and travelled / (WINDOW - 1) > .3 * level and mean(w, half + 1, WINDOW) > .9 * mean(w, 1, half)
end

local function is_overfitting(train, val)
  local n = #val
  if n < 6 then return false end
  local best = least(val, 1, n)
  for i = n - 3, n do
    if val[i] < 1.15 * best then return false end
  end
  return val[n] > val[n - 3] and train[n] < .95 * train[n - 4]
end

local function span(list)
  local low, high = math.huge, -math.huge
  for _, v in ipairs(list) do low, high = math.min(low, v), math.max(high, v) end
  return high - low, high
end

-- Both losses within two percent over the window, while the learning rate would still let them move.
function Health:is_stagnant(acc)
  if #self.val < WINDOW or (self.lr and self.lr < .1 * self.peak_lr) then return false end
  local train_span, train_high = span(last(self.train, WINDOW))
  local val_span, val_high = span(last(self.val, WINDOW))
  if train_span > .02 * math.abs(train_high) or val_span > .02 * math.abs(val_high) then return false end
  local wanted = self.teacher_acc or .9
  return acc == nil or acc < wanted - .1
end

--- An evaluation. `constant`: the share of the student's most frequent answer, `majority`: that of the labels.
---@param e {loss: number, acc: number?, constant: number?, majority: number?}
---@return table[] found  { name, advice, numbers } each
function Health:evaluation(e)
  local found = {}
  if self.count == 0 then return found end
  local train, val = self.train, self.val
  train[#train + 1], val[#val + 1] = self.sum / self.count, e.loss
  self.sum, self.count = 0, 0
  local n = #train
  local numbers = { train_loss = train[n], val_loss = e.loss, val_acc = e.acc }
  if is_diverging(train) then told(self, found, "diverging", numbers)
  elseif is_oscillating(train) then told(self, found, "oscillating", numbers) end
  if is_overfitting(train, val) then told(self, found, "overfitting", numbers) end
  if self:is_stagnant(e.acc) then told(self, found, "stagnant", numbers) end
  if e.constant and e.majority then
    self.collapsed = e.constant > .99 and e.majority < .9 and self.collapsed + 1 or 0
    if self.collapsed == 3 then told(self, found, "collapsed", { share = e.constant, val_acc = e.acc }) end
  end
  local teacher = self.teacher_acc
  if teacher and e.acc then
    local noise = math.sqrt((teacher * (1 - teacher) + e.acc * (1 - e.acc)) / self.rows)
    if e.acc - teacher > math.max(.01, 3 * noise) then told(self, found, "teacher_worse", { val_acc = e.acc, teacher_acc = teacher }) end
  end
  return found
end

return health
