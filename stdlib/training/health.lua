--- Health: recognises, while a run goes on, what the guides call signs of problems, and says what they advise. Each is told
--- once per stage. Judged are the steps between evaluations; the student's loss on labels, beside that of one who knows nothing, not
--- the loss that is trained, which moves with alpha, temperature and augmentation; validation; and the stage's own rows, clean.
---   rate_too_high   the loss shot above that of an untrained student, or goes up and down, and stays about there
---   diverging       the loss rises and rises, or what was reached is lost on the stage's rows and on validation
---   oscillating     it goes up and down without getting lower, lower than that
---   too_small       far from the teacher, on the stage's rows too, and it comes no nearer
---   stagnant        nothing moves, far from the teacher       overfitting    validation worsens while training improves
---   collapsed       one answer for everything                 teacher_worse  the student is better than its teacher
---   difficulty_jump a stage's rows are far harder for the student than those of the one before
local copy = require "gradus.base.copy"
local signs = require "gradus.training.signs"

local health = {}
local Health = {}
Health.__index = Health

local ADVICE = {
  rate_too_high = "the learning rate is far too high: the loss shot above an untrained student's and did not come back; divide it by 10, "
    .. "warm up longer or clip harder",
  diverging = "the loss rises: the learning rate is too high; lower it, warm up longer or clip harder",
  oscillating = "the training loss oscillates: the learning rate is too high; lower it, or use a larger batch",
  too_small = "the student is too small: far from its teacher on the rows it learns from, and it comes no nearer; a wider or deeper one, "
    .. "or a teacher assistant between them",
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

local WINDOW = signs.WINDOW
local EDGE = 20      -- steps into a stage after which its difficulty is judged
local PATIENCE = .5  -- of the budget, before which standing still is the plateau that much of what learns well begins with
local SMALL, NATS = .01, .05  -- a loss below this share of a curve's first value, or so many nats, is too small to judge its ups and downs

-- Measured on trainings that are well and ill (tests/stdlib/ills.lua), in losses of one who knows nothing:
local SHOT = 1.25    -- from here the steps' loss has shot up; an untrained student's is up to 1.15
local SHOT_OF_NUMBERS = 2  -- the squared errors of a batch are few large ones, and nothing says what guessing would cost
local WORSE, WORSE_STEPS = 1.03, 1.1  -- from here it is worse than untrained, clean and by the steps' means, which rest on changing rows
local NOTHING, BLIND = .8, .97  -- above them next to nothing, or nothing, is known
local LITTLE = .6    -- from here a loss that goes up and down does so about an untrained student's
local LOST = .2      -- from its best; what is well loses .05
local STEADY = .05   -- as far as a student that is too small goes up and down
local JUMP = .6      -- from one stage's rows to the next's; a ramp's levels over wrong labels differ by up to .45
-- In shares:
local SWING, SWING_STEPS = .12, .25  -- of its level, from one evaluation to the next; what is well moves by up to .05
local SWING_FAR, SWING_BLIND = .035, .01  -- the same late, far from the teacher, and knowing nothing: who is too small moves by less
local FAR, FAR_OFF = .1, .15  -- of accuracy, from the teacher
local SLOW = .5      -- of the fastest pace: at a rate that is low the pace stays above .6
local MOVES, MOVES_STILL = .1, .15  -- of the highest learning rate: below it losses stand still, and paces are noise

---@param options {classes: number?, rows: number?, teacher_acc: number?}  rows: of the validation data
function health.new(options)
  local self = setmetatable({ classes = options.classes, rows = options.rows or 1, teacher_acc = options.teacher_acc,
    sum = 0, count = 0, edge = {}, peak_lr = 0, best_acc = 0, spent = 0, course = { val = {}, spent = {} } }, Health)
  self:stage()
  return self
end

--- A stage begins: its target and difficulty are its own, so its curves are judged apart.
---@param layer? boolean  its loss is a layer's squared error, not in nats
function Health:stage(layer)
  self.before, self.later = {}, self.later or (self.steps or 0) > 0
  if not self.layer and self.later then
    self.before = { own = self.own[#self.own], edge = #self.edge == EDGE and signs.mean(self.edge, 1, EDGE) or nil }
  end
  self.layer = layer or false
  self.train, self.val, self.own, self.told = {}, {}, {}, {}
  self.steps, self.collapsed, self.opened, self.settled = 0, 0, 0, 0
  self.edge, self.sum, self.count = {}, 0, 0
  self.ce, self.fast, self.began_with, self.ceiling = nil, nil, nil, 0
end

local function told(self, found, name, numbers)
  if self.told[name] then return found end
  self.told[name] = true
  found = found or {}
  found[#found + 1] = { name = name, advice = ADVICE[name], numbers = numbers }
  return found
end

-- --- steps ---------------------------------------------------------------------------------------------------------------

-- The loss of one who knows nothing: the untrained student's, on clean rows and in the first step (under batch normalisation they
-- differ), or that of guessing.
local function learn_reference(self, value)
  self.reference = math.max(self.reference or value, value, self.classes and math.log(self.classes) or 0)
end

-- The same, or that of one who knows how often each answer is right and no more, where that is less.
local function nothing(self) return math.min(self.reference, self.guess or math.huge) end

-- Whether three steps or so lay far above what an untrained student has, and above what the stage began with.
local function watch(self, value)
  self.fast = self.fast and .5 * self.fast + .5 * value or value
  if self.later and not self.began_with and self.steps <= 3 then self.ceiling = math.max(self.ceiling, value) end
  local high = (self.classes and SHOT or SHOT_OF_NUMBERS) * math.max(self.reference, self.ceiling)
  if not self.shot and self.steps >= 3 and self.fast > high then self.shot = 0 end
end

--- The student on the stage's own rows, clean, before the stage's first step: in the first stage untrained.
---@param loss number
function Health:begins_with(loss)
  if self.later then self.began_with, self.ceiling = loss, loss elseif loss == loss then learn_reference(self, loss) end
end

--- One step's loss, its loss on labels (nil without labels) and learning rate. Returns what was found, nil for nothing.
---@return table[]?
function Health:step(loss, ce, lr)
  local value = not self.layer and ce or loss
  self.sum, self.count, self.steps = self.sum + value, self.count + 1, self.steps + 1
  if lr then self.lr, self.peak_lr, self.spent = lr, math.max(self.peak_lr, lr), self.spent + lr end
  if self.layer then return end
  if not self.reference or self.steps == 1 and not self.later then learn_reference(self, value) end
  watch(self, value)
  if not ce then return end
  self.ce = self.ce and .9 * self.ce + .1 * ce or ce
  self.edge[(self.steps - 1) % EDGE + 1] = ce
  if self.steps == EDGE then return self:judge_jump() end
end

-- The student on the stage's own rows as it began, beside those of the stage before where it ended. Without clean values the first
-- steps beside the last ones.
function Health:judge_jump()
  local before, now = self.before.own, self.began_with
  if not (before and now) then before, now = self.before.edge, signs.mean(self.edge, 1, #self.edge) end
  self.before = {}
  if before and now > 3 * before and now - before > JUMP * (self.classes and math.log(self.classes) or self.reference) then
    return told(self, nil, "difficulty_jump", { before = before, now = now })
  end
end

-- --- evaluations -----------------------------------------------------------------------------------------------------------

-- Below it a curve's ups and downs are of no account.
function Health:floor(list)
  return math.max(self.classes and not self.layer and NATS or 0, SMALL * math.abs(list[1]))
end

-- The clean losses on the stage's own rows, and where they begin to be of the same ones; without them the means of the steps.
function Health:clean()
  if #self.own == #self.train and #self.own > self.settled then return self.own, self.settled + 1 end
  return self.train, 1
end

-- Worse than an untrained student, and than what the stage began with, three times in a row.
local function knows_nothing(self)
  local ceiling = math.max(self.reference, self.ceiling)
  if #self.own == 0 or #self.val == 0 then return signs.stays_above(self.train, WORSE_STEPS * ceiling) end
  return signs.stays_above(self.own, WORSE * ceiling) and signs.stays_above(self.val, WORSE * ceiling)
end

function Health:is_rate_too_high()
  if self.layer then return false end
  return self.shot and self.shot >= 2 or knows_nothing(self)
end

function Health:is_diverging()
  local train, val, own = self.train, self.val, self.own
  -- Where clean values are there, they tell: the steps' loss rises with the augmentation, too.
  local curve = self.layer and train or (self:clean())
  if signs.rises(curve, math.max(not self.layer and self.reference or 0, self:floor(curve))) then return true end
  if self.layer or #val == 0 or #own == 0 then return false end
  local much = LOST * self.reference
  return signs.is_lost(val, much) and signs.is_lost(own, much, self.settled + 1)
end

-- So far from the teacher on what it has not seen, and half as far at least on what it has, all rows being open.
local function is_far(self, e, margin)
  local goal = self.target_acc or self.teacher_acc
  if not (e.acc and goal) or (e.share or 1) < 1 and e.own_acc then return false end
  return e.acc < goal - margin and (not e.own_acc or e.own_acc < goal - margin / 2 and e.own_acc <= e.acc + FAR)
end

function Health:is_oscillating(e)
  if self.layer or #self.own == 0 then return signs.swings(self.train, SWING_STEPS, self:floor(self.train)) end
  if #self.own - self.settled < WINDOW then return false end
  local late_and_far = (e.progress or 1) >= PATIENCE and is_far(self, e, FAR)
  local blind = self.own[#self.own] > BLIND * nothing(self)
  return signs.swings(self.own, late_and_far and (blind and SWING_BLIND or SWING_FAR) or SWING, .1 * self.reference)
end

-- Whether a curve's level over the window is about an untrained student's, or what the stage began with.
local function knows_little(self)
  if self.layer then return false end
  local curve, from = self:clean()
  return signs.mean(curve, math.max(from, #curve - WINDOW + 1), #curve) > LITTLE * math.max(nothing(self), self.ceiling)
end

-- Whether the learning rate is too high; its signs are told as they come, one at a time, the weakest not after another.
function Health:tells_rate(found, numbers, e)
  local before, oscillating = self.told, self:is_oscillating(e)
  if self:is_diverging() then told(self, found, "diverging", numbers)
  elseif self:is_rate_too_high() or oscillating and knows_little(self) then told(self, found, "rate_too_high", numbers)
  elseif oscillating and not (before.diverging or before.rate_too_high) then told(self, found, "oscillating", numbers) end
  return before.diverging or before.rate_too_high or before.oscillating
end

-- Validation rises fast, or creeps (by means of four) while the training loss falls by far. Only since all rows are open: before, the
-- training loss is of the open share alone, and may fall while the other rows get worse. Of a stream nothing is seen twice, so
-- nothing is learnt by heart.
function Health:is_overfitting()
  local train, from = self:clean()
  local val, n, first = self.val, #self.val, math.max(from, self.opened + 1)
  if n - first < 5 or val[n] < self:floor(val) then return false end
  local best, low, lowest = first, first + 3, signs.mean(val, first, first + 3)
  for i = first, n do
    if val[i] < val[best] then best = i end
    local level = i > low and signs.mean(val, i - 3, i) or lowest
    if level < lowest then low, lowest = i, level end
  end
  local rises = signs.least(val, n - 3, n) >= 1.15 * val[best] and val[n] > val[n - 3]
    and train[n] < math.min(train[best], .95 * train[n - 4])
  local now = signs.mean(val, n - 3, n)
  local creeps = n - low >= WINDOW and (now >= 1.03 * lowest and train[n] < .6 * train[low]
    or now >= 1.1 * lowest and train[n] < .75 * train[low])
  return rises or creeps
end

-- Whether the training data's labels are known far better than by chance.
function Health:fits_labels() return self.ce and self.classes and self.ce < .5 * math.log(self.classes) end

-- How far it is from good is told by whom it imitates, the teacher or a checkpoint of its; without one by what an untrained student
-- knows, and by chance.
function Health:has_learnt(acc)
  local goal = self.target_acc or self.teacher_acc
  if acc and goal then return acc >= goal - FAR end
  local curve = self:clean()
  return curve[#curve] < NOTHING * nothing(self) or self:fits_labels()
end

-- Whether the learning rate is still that share of its highest.
function Health:can_move(share) return not self.lr or self.lr >= share * self.peak_lr end

-- All losses within two percent over the window. A layer's error ends flat.
function Health:is_stagnant(e)
  if self.layer or self.shot or #self.train < WINDOW or not self:can_move(MOVES) then return false end
  return signs.is_flat((self:clean())) and (not e.loss or signs.is_flat(self.val)) and (e.progress or 1) >= PATIENCE
    and not self:has_learnt(e.acc)
end

-- Far from the teacher, and slower by far than it was, or still, having learnt something.
function Health:is_too_small(e)
  if self.layer or self.shot or (e.progress or 1) < PATIENCE then return false end
  local val, curve = self.course.val, self:clean()
  local pace = signs.pace(val, self.course.spent)
  local slow = pace ~= nil and pace < SLOW
  local learnt = curve[#curve] < NOTHING * nothing(self) or slow and (e.constant or 0) > .99  -- or all its units are dead
  if is_far(self, e, FAR) and learnt and self:is_stagnant(e) then return true end
  if not is_far(self, e, FAR_OFF) or not self:can_move(MOVES_STILL) or curve[#curve] > BLIND * nothing(self) then return false end
  return slow and signs.most(val, #val - 3) - signs.least(val, 1) <= STEADY * self.reference
end

-- Three times in a row one answer, after there were others, or where much was learnt of all training data (the easiest rows may be of
-- one class). Otherwise it has not begun to learn: a plateau.
function Health:is_collapsed(e)
  if not (e.constant and e.majority) then return false end
  self.collapsed = e.constant > .99 and e.majority < .9 and self.collapsed + 1 or 0
  self.best_acc = math.max(self.best_acc, e.acc or 0)
  return self.collapsed >= 3 and (self.best_acc > e.majority + .1 or (e.share or 1) == 1 and self:fits_labels())
end

function Health:is_better_than_teacher(e)
  local teacher = self.teacher_acc
  if not (teacher and e.acc) then return false end
  local noise = math.sqrt((teacher * (1 - teacher) + e.acc * (1 - e.acc)) / self.rows)
  return e.acc - teacher > math.max(.03, 3 * noise)
end

-- Adds the evaluation to the curves.
local function remember(self, e)
  local train, val, course = self.train, self.val, self.course
  train[#train + 1], val[#val + 1], self.own[#self.own + 1] = self.sum / self.count, e.loss, e.own_loss
  self.sum, self.count = 0, 0
  -- Come back: by the steps or, where augmentation makes these hard, by clean rows.
  local now = math.min(train[#train], e.own_loss or math.huge)
  if self.shot then self.shot = now > (self.classes and NOTHING or 1) * nothing(self) and self.shot + 1 or nil end
  if e.share and e.share < 1 then self.opened = #val end
  if e.new_rows and e.own_loss then self.settled = #self.own - 1 end
  if e.loss then course.val[#course.val + 1], course.spent[#course.spent + 1] = e.loss, self.spent end
end

--- The training so far and, where there is validation data, what it gave: its loss, accuracy, `constant`, the share of the student's
--- most frequent answer, and `majority`, that of the labels. own_loss, own_acc: clean, of the stage's own rows; new_rows: others than
--- last time. share: of the rows that are open, 1 when left out, 0 of a stream; progress: share of the budget that is used.
--- target_acc: of whom is imitated, where that is not the teacher as it ended. guess: the loss of one who knows the answers' frequencies.
---@param e {loss: number?, acc: number?, constant: number?, majority: number?, own_loss: number?, own_acc: number?, new_rows: boolean?,
---   share: number?, progress: number?, target_acc: number?, guess: number?}
---@return table[] found  { name, advice, numbers } each
function Health:evaluation(e)
  local found = {}
  if self.count == 0 then return found end
  self.target_acc, self.guess = e.target_acc, e.guess
  remember(self, e)
  local numbers = { train_loss = self.train[#self.train], val_loss = e.loss, val_acc = e.acc, own_loss = e.own_loss,
    untrained = self.reference }
  if not self:tells_rate(found, numbers, e) then
    if self:is_too_small(e) then told(self, found, "too_small", { val_acc = e.acc, own_acc = e.own_acc, teacher_acc = self.teacher_acc })
    elseif not self.told.too_small and self:is_stagnant(e) then told(self, found, "stagnant", numbers) end
  end
  if e.loss and not self.shot and self:is_overfitting() then told(self, found, "overfitting", numbers) end
  if self:is_collapsed(e) then told(self, found, "collapsed", { share = e.constant, val_acc = e.acc }) end
  if self:is_better_than_teacher(e) then told(self, found, "teacher_worse", { val_acc = e.acc, teacher_acc = self.teacher_acc }) end
  return found
end

--- All that moves is plain: numbers and lists of them.
function Health:state() return copy(self) end

function Health:load_state(kept)
  for key in pairs(self) do self[key] = nil end
  for key, value in pairs(copy(kept)) do self[key] = value end
end

return health
