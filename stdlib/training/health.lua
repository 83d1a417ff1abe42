--- Health: recognises, while a run goes on, what the guides call signs of problems, and says what they advise. Each is told
--- once per stage, from the means of the training loss between evaluations and, where there are some, from the evaluations.
---   diverging      the training loss rises and rises             oscillating     it goes up and down without getting lower
---   overfitting    validation worsens while training improves    stagnant        neither moves, far from the teacher
---   collapsed      one answer for everything                     teacher_worse   the student is better than its teacher
---   difficulty_jump  a stage begins far above where the one before ended
local copy = require "gradus.base.copy"

local health = {}
local Health = {}
Health.__index = Health

local ADVICE = {
  diverging = "the training loss rises: lower the learning rate, warm up longer or clip harder",
  oscillating = "the training loss oscillates: the learning rate is too high; lower it, or use a larger batch",
  overfitting = "the validation loss rises while the training loss falls: regularise (weight decay, augmentation, a higher "
    .. "temperature) or stop earlier",
  stagnant = "the losses stand still: a plateau, or the student is too small, the learning rate too low, or alpha and temperature "
    .. "unsuited; a teacher assistant or an extracted curriculum bridges a large gap",
  collapsed = "the student gives one answer for everything: lower the learning rate, check the labels' balance and alpha",
  teacher_worse = "the student is better than its teacher: raise alpha towards the labels, or train a better teacher",
  difficulty_jump = "the stage is far harder than where the one before ended: put a stage between, widen the share more slowly, "
    .. "or rehearse",
}
health.advice = ADVICE

local WINDOW = 8   -- evaluations that a judgement of the curve looks at
local EDGE = 20    -- steps on both sides of a stage's beginning
local PATIENCE = .5  -- of the budget, before which standing still is the plateau that much of what learns well begins with
local SMALL, NATS = .01, .05  -- a loss below this share of a curve's first value, or so many nats, is too small to judge its ups and downs

---@param options {classes: number?, rows: number?, teacher_acc: number?}  rows: of the validation data
function health.new(options)
  local self = setmetatable({ classes = options.classes, rows = options.rows or 1, teacher_acc = options.teacher_acc,
    sum = 0, count = 0, edge = {}, peak_lr = 0, best_acc = 0 }, Health)
  self:stage()
  return self
end

--- A stage begins: its target and difficulty are its own, so its curves are judged apart.
---@param layer? boolean  its loss is a layer's squared error, not in nats
function Health:stage(layer)
  self.layer = layer or false
  self.train, self.val, self.told, self.steps, self.collapsed, self.opened = {}, {}, {}, 0, 0, 0
  self.before = #self.edge == EDGE and self:edge_mean() or nil
  self.edge, self.sum, self.count, self.ce = {}, 0, 0, nil
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
  self.ce = self.ce and .9 * self.ce + .1 * ce or ce
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

-- Below it a curve's ups and downs are of no account.
function Health:floor(list)
  return math.max(self.classes and not self.layer and NATS or 0, SMALL * math.abs(list[1]))
end

-- Rose three times in a row, to half above its lowest and above where it began.
function Health:is_diverging()
  local train = self.train
  local n = #train
  if n < 4 or train[n] < self:floor(train) then return false end
  return train[n] > train[n - 1] and train[n - 1] > train[n - 2] and train[n - 2] > train[n - 3]
    and train[n] > 1.5 * least(train, 1, n) and train[n] > train[1]
end

-- Turned at almost every evaluation by a quarter of its level and more, and the later half is no lower than the earlier. One jump
-- (the largest move: more rows or a heavier augmentation) is none.
function Health:is_oscillating()
  local w = last(self.train, WINDOW)
  if #w < WINDOW then return false end
  local turns, travelled, largest = 0, 0, 0
  for i = 2, WINDOW do
    local move = math.abs(w[i] - w[i - 1])
    travelled, largest = travelled + move, math.max(largest, move)
    if i > 2 and (w[i] - w[i - 1]) * (w[i - 1] - w[i - 2]) < 0 then turns = turns + 1 end
  end
  local level, half = mean(w, 1, WINDOW), WINDOW / 2
  return level > self:floor(self.train) and turns >= WINDOW - 4 and travelled - largest > (WINDOW - 2) * .25 * level
    and mean(w, half + 1, WINDOW) > .9 * mean(w, 1, half)
end

-- Validation rises fast, or creeps (by means of four) while the training loss halves. Only since all rows are open: before, the
-- training loss is of the open share alone, and may fall while the other rows get worse. Of a stream nothing is seen twice, so
-- nothing is learnt by heart.
function Health:is_overfitting()
  local train, val, n = self.train, self.val, #self.val
  local first = self.opened + 1
  if n - first < 5 or val[n] < self:floor(val) then return false end
  local best, low, lowest = first, first + 3, mean(val, first, first + 3)
  for i = first, n do
    if val[i] < val[best] then best = i end
    local level = i > low and mean(val, i - 3, i) or lowest
    if level < lowest then low, lowest = i, level end
  end
  local rises = least(val, n - 3, n) >= 1.15 * val[best] and val[n] > val[n - 3] and train[n] < math.min(train[best], .95 * train[n - 4])
  local creeps = mean(val, n - 3, n) >= 1.03 * lowest and n - low >= WINDOW and train[n] < .5 * train[low]
  return rises or creeps
end

local function span(list)
  local low, high = math.huge, -math.huge
  for _, v in ipairs(list) do low, high = math.min(low, v), math.max(high, v) end
  return high - low, high
end

local function is_flat(list)
  local wide, high = span(last(list, WINDOW))
  return wide <= .02 * math.abs(high)
end

-- Whether the training data's labels are known far better than by chance.
function Health:fits_labels() return self.ce and self.classes and self.ce < .5 * math.log(self.classes) end

-- How far it is from good is told by the accuracy; without it by what the training began with, and by chance.
function Health:has_learnt(acc)
  if acc then return acc >= (self.teacher_acc or .9) - .1 end
  local train = self.train
  return train[#train] < .9 * self.first or self:fits_labels()
end

-- All losses within two percent over the window, while the learning rate would still let them move. A layer's error ends flat.
function Health:is_stagnant(e)
  if self.layer or #self.train < WINDOW or (self.lr and self.lr < .1 * self.peak_lr) then return false end
  return is_flat(self.train) and (not e.loss or is_flat(self.val)) and (e.progress or 1) >= PATIENCE and not self:has_learnt(e.acc)
end

-- Three times in a row one answer, after there were others, or where much was learnt of the training data. Otherwise it has not
-- begun to learn: a plateau.
function Health:is_collapsed(e)
  if not (e.constant and e.majority) then return false end
  self.collapsed = e.constant > .99 and e.majority < .9 and self.collapsed + 1 or 0
  self.best_acc = math.max(self.best_acc, e.acc or 0)
  return self.collapsed >= 3 and (self.best_acc > e.majority + .1 or self:fits_labels())
end

--- The training so far and, where there is validation data, what it gave: its loss, accuracy, `constant`, the share of the student's
--- most frequent answer, and `majority`, that of the labels. share: of the rows that are open, 1 when left out, 0 of a stream;
--- progress: share of the budget that is used.
---@param e {loss: number?, acc: number?, constant: number?, majority: number?, share: number?, progress: number?}
---@return table[] found  { name, advice, numbers } each
function Health:evaluation(e)
  local found = {}
  if self.count == 0 then return found end
  local train = self.train
  train[#train + 1], self.val[#self.val + 1] = self.sum / self.count, e.loss
  self.sum, self.count = 0, 0
  if not self.layer then self.first = self.first or train[1] end
  if e.share and e.share < 1 then self.opened = #self.val end
  local numbers = { train_loss = train[#train], val_loss = e.loss, val_acc = e.acc, share = e.constant }
  if self:is_diverging() then told(self, found, "diverging", numbers)
  elseif self:is_oscillating() then told(self, found, "oscillating", numbers) end
  if e.loss and self:is_overfitting() then told(self, found, "overfitting", numbers) end
  if self:is_stagnant(e) then told(self, found, "stagnant", numbers) end
  if self:is_collapsed(e) then told(self, found, "collapsed", { share = e.constant, val_acc = e.acc }) end
  local teacher = self.teacher_acc
  if teacher and e.acc then
    local noise = math.sqrt((teacher * (1 - teacher) + e.acc * (1 - e.acc)) / self.rows)
    if e.acc - teacher > math.max(.01, 3 * noise) then told(self, found, "teacher_worse", { val_acc = e.acc, teacher_acc = teacher }) end
  end
  return found
end

--- All that moves is plain: numbers and lists of them.
function Health:state() return copy(self) end

function Health:load_state(kept)
  for key in pairs(self) do self[key] = nil end
  for key, value in pairs(copy(kept)) do self[key] = value end
end

return health
