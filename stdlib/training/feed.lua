--- Batches: rows from a source, gathered and augmented (ahead of use on a thread where that pays), with the teacher's
--- answer. A batch is { x, y, index, visit, weight, teacher }, and "teacher:PATH" where modules of the teacher were asked for.
local engine = require "gradus.engine"
local host = require "gradus.host"
local current = require "gradus.base.current"
local data = require "gradus.data.dataset"
local modes = require "gradus.base.modes"
local sampler = require "gradus.curriculum.sampler"
local sources = require "gradus.curriculum.source"
local step = require "gradus.step.step"

local ops = engine.ops
local Feed = {}
Feed.__index = Feed

local AHEAD = 2                  -- batches prepared ahead
local WORTH_A_THREAD = 64 * 1024 -- bytes of x in a batch below which handing over costs more than gathering

local feed = {}

---@param options {source: Source?, size: number, augmentations: table?, clean: boolean?, device: string?, where: string?}
---   source: or draw_from tells it before the first batch; clean: the teacher sees the inputs without augmentation
function feed.new(options)
  local self = setmetatable({ size = options.size, augmentations = options.augmentations or {}, device = options.device or "cpu",
    clean = options.clean, where = options.where or "feed", seed = current.stream "augment", strength = nil, pending = {} }, Feed)
  if options.source then self:use(options.source) end
  return self
end

-- The sampler that an answer of the sample axis stands for. A view of the training set keeps the one sampler of all such views.
local function source_of(self, where, given, train)
  if not (data.is(given) and data.is(train) and given.base == train.base) then return sampler.of(where, given) end
  self.uniform = self.uniform or sampler.uniform(train)
  return self.uniform
end

--- Draws from what the sample axis answered from here on: a data set, a sampler or a generator.
---@param given any       the answer
---@param train Dataset|Generator  the training set
---@param s State
function Feed:draw_from(where, given, train, s)
  local numbered = sampler.numbered()
  local source = source_of(self, where, given, train)
  if self.source then self:rewind() end
  if source == self.uniform then source:restrict(given)
  elseif source.refresh then source:refresh(s) end
  self:use(source)
  self.numbered = numbered
end

--- How many rows can be drawn now.
function Feed:rows() return self.source:size() end

--- All inputs that a batch's index names rows of; nil of generators.
function Feed:inputs() return self.base and self.base.x end

--- Adds what was drawn since the last evaluation: sample/difficulty, by a ranking, and sample/effective, the number of rows alike
--- that would be drawn as unevenly. Of what is drawn by rank or weight alone; all rows alike say nothing.
---@param numbers table<string, number>
function Feed:describe(numbers)
  if data.is_generator(self.source) then return end
  local source = self.source
  local ranked = rawget(source.data, "difficulty") or source == self.uniform and rawget(source:view(), "difficulty")
  if source.mode == "shuffle" and not ranked then return end
  local found = source:stats()
  numbers["sample/difficulty"], numbers["sample/effective"] = found.difficulty, found.effective
end

--- Tells an adaptive source what the student made of rows: the probability that it gave to each right answer.
function Feed:observe(index, confidence)
  if self.source.adaptive then self.source:observe(index, confidence) end
end

-- Where the other sources stand, to which a later stage may come back: by number, and the feed's own.
local function others_of(self)
  local others = {}
  for number, one in pairs(sources.of_run()) do
    if one ~= self.source and one ~= self.uniform then others[#others + 1] = { number, one:state() } end
  end
  table.sort(others, function(a, b) return a[1] < b[1] end)
  return others, self.uniform and self.uniform ~= self.source and self.uniform:state() or nil
end

function Feed:restore_others(kept)
  for _, pair in ipairs(kept.others) do
    local one = sources.with_number(pair[1])
    if one then one:restore(pair[2]) end
  end
  if kept.uniform then self.uniform:restore(kept.uniform) end
end

--- What moves: where the sources stand, as if nothing had been drawn ahead.
function Feed:state()
  self:rewind()
  local others, uniform = others_of(self)
  return { others = others, uniform = uniform, uniform_number = self.uniform and self.uniform.number, source = self.source:state(),
    drawn = self.drawn, numbered = self.numbered, made = sampler.numbered() }
end

--- Samplers are numbered from here on as they were when the source was told last.
---@param kept table
---@param train? any  the training set, of whose views the one sampler may have been made in another stage
function Feed:number_as(kept, train)
  if kept.uniform_number and data.is(train) then
    sampler.numbered(kept.uniform_number - 1)
    self.uniform = sampler.uniform(train)
  end
  sampler.numbered(kept.numbered)
end

--- Takes it back, once `ask` has told draw_from the source again: samplers made by the answer are numbered as they were.
---@param kept table
---@param ask fun()
---@param train? any  the training set
function Feed:load_state(kept, ask, train)
  self:number_as(kept, train)
  ask()
  self:restore_others(kept)
  sampler.numbered(kept.made)
  self.drawn = kept.drawn
  self.source:restore(kept.source)
end

--- Whom the batches' answers come from: a function of the inputs to named tensors { teacher = … }, asked in the modules' evaluation
--- mode, or rows computed before (teacher_cache.lua).
---@param ask? {of: fun(x: Tensor): table, modules: Module[]}
---@param answers? Answers
function Feed:imitate(ask, answers)
  if (ask and ask.of) ~= (self.ask and self.ask.of) then
    self.ask = ask  -- plans are of the CPU's
    self.teacher_step = ask and self.device == "cpu" and step.new(function(b) return ask.of(b.x) end) or nil
  end
  if answers == self.answers then return end
  self:rewind()
  local source = self.source
  self.answers, self.base, self.source = answers, nil, nil
  self:use(source)
end

-- The answers to inputs [size, …], or to several batches of them, which only a plan takes.
local function answers_to(self, x, stacked)
  if stacked then return modes.all_evaluating(self.ask.modules, self.teacher_step.scan, self.teacher_step, { x = x }) end
  -- Of small batches the teacher is asked by a plan; of large ones its activations would be kept beside the student's.
  local small = self.teacher_step and x:nbytes() < WORTH_A_THREAD
  if small then return modes.all_evaluating(self.ask.modules, self.teacher_step, { x = x }) end
  return modes.all_evaluating(self.ask.modules, self.ask.of, x)
end

local function add_answers(batch, answers)
  for name, value in pairs(answers) do batch[name] = value end
end

--- Goes on with another source; batches prepared from the old one are given back to it.
function Feed:use(source)
  self:rewind()
  self.source = source
  if data.is_generator(source) then
    if (self.augmentations.mixup or 0) > 0 then
      host.fail(self.where .. ": augmentations: mixup mixes rows of a data set; expected a generator that mixes what it makes")
    end
    self.loader, self.base, self.known = nil, nil, nil
    return
  end
  local rows, x = source:size(), source.data.base.x
  if source.mode == "shuffle" and rows < 1 then host.fail "the training set is empty" end
  local bytes = x:nbytes() / x:size(0) * self.size
  -- On one core a thread of its own would only take turns with the step.
  local ahead = (bytes >= WORTH_A_THREAD and not source.adaptive and engine.cores() > 1) and AHEAD or 0
  if self.base ~= source.data.base or self.ahead ~= ahead then
    local base = source.data.base
    self.base, self.ahead = base, ahead
    local masking = base.masking or {}
    self.known = self.answers and self.answers.base == base and self.answers or nil
    self.loader = engine.data.Loader { x = base.x, y = base.y, weight = base.weight, depth = ahead, seed = self.seed,
      teacher = self.known and self.known.rows, classes = base.classes or 0, noise = self.augmentations.noise,
      shift = self.augmentations.shift, erase = self.augmentations.erase, mixup = self.augmentations.mixup,
      rate = masking.rate, mask = masking.mask, low = masking.low, high = masking.high, pin = self.device ~= "cpu" }
  end
end

--- Gives back what was drawn ahead, so that the source stands where the last batch left it.
function Feed:rewind()
  if #self.pending == 0 then return end
  self.loader:drop()
  for i = #self.pending, 1, -1 do self.source:undo(self.pending[i]) end
  self.pending = {}
end

local function draw(self, strength)
  local index, visit = self.source:draw(self.size)
  self.loader:submit(index, visit, strength)
  self.pending[#self.pending + 1] = index
end

local function gathered(self, strength)
  local moved = strength ~= self.strength
  if moved then
    self:rewind()  -- drawn ahead with another strength
    self.strength = strength
  end
  draw(self, strength)
  -- A strength that moves at every step would have each batch prepared twice.
  while not moved and #self.pending < self.ahead do draw(self, strength) end
  table.remove(self.pending, 1)
  return self.loader:next()
end

--- From here on what is drawn can be given back, until `settle` is called: what a step takes that may fail.
function Feed:remember() self.open = {} end

-- count: batches that were drawn together.
local function remember(self, index, count)
  if self.open then table.insert(self.open, { index = index, count = count }) end
end

--- The step is done with what was drawn.
function Feed:settle()
  if self.open and #self.open > 0 then self.open = {} end
end

--- Gives back what was drawn and not settled. Returns whether there was something.
function Feed:take_back()
  local open = self.open or {}
  if #open == 0 then return false end
  self:rewind()
  for i = #open, 1, -1 do
    if self.loader then self.source:undo(open[i].index)
    else self.source:unstack(open[i].count, self.size) end
  end
  self.open = {}
  return true
end

--- Inputs as the next batch has, for what depends on their shape alone; the source stands where it stood.
function Feed:like()
  if self.base then return self.base.x:index_select(0, ops.arange(self.size):remainder(self.base.x:size(0))):to(self.device) end
  self.drawn = self.drawn or self.source:next(self.size)
  return self.drawn.x:to(self.device)
end

--- The next batch. strength scales the augmentations, 0 to 1.
function Feed:next(strength)
  local batch, seen
  if self.loader then
    batch = gathered(self, strength or 0)
    remember(self, batch.index, 1)
    if self.clean and not self.known and not self.base.masking then seen = self.base.x:index_select(0, batch.index) end
  else
    batch, self.drawn = self.drawn or self.source:next(self.size), nil
    seen = self.clean and batch.x
    remember(self, nil, 1)
    if (strength or 0) > 0 and next(self.augmentations) then
      batch.visit = ops.zeros({ self.size }, { dtype = "int32" })
      batch.x = engine.data.augment(batch.x, batch.index, batch.visit, { seed = self.seed, strength = strength,
        noise = self.augmentations.noise, shift = self.augmentations.shift, erase = self.augmentations.erase })
    end
  end
  if self.device ~= "cpu" then
    for _, name in ipairs { "x", "y", "weight", "teacher", "lambda" } do
      batch[name] = batch[name] and batch[name]:to { device = self.device, non_blocking = true }
    end
  end
  if self.known then
    if self.known.unpack then batch.teacher = self.known.unpack(batch.teacher) end
  elseif self.ask then
    add_answers(batch, answers_to(self, seen and seen:to(self.device) or batch.x))
  end
  return batch
end

-- --- several batches at once ---------------------------------------------------------------------------------------------

--- Whether batches may be had together: they do not depend on what the student shows, nor on each other's number, and are too
--- small to be prepared ahead on a thread.
function Feed:can_stack(strength)
  if not self.loader then return self.source.seekable and (strength == 0 or not next(self.augmentations)) end
  return self.ahead == 0 and not self.source.adaptive and not self.augmentations.mixup
end

local function rows_of(batch, n, size)
  for name, value in pairs(batch) do
    local shape = value.shape
    batch[name] = value:reshape { n, size, unpack(shape, 2) }
  end
  return batch
end

local function all_equal(list)
  for _, one in ipairs(list) do
    if one ~= list[1] then return false end
  end
  return true
end

-- n batches, gathered at once or, with strengths that differ, one after the other.
local function load_rows(self, n, strength)
  local index, visit = self.source:draw(n * self.size)
  self.loader:submit(index, visit, strength)
  return rows_of(self.loader:next(), n, self.size)
end

local function load_batches(self, strengths)
  if all_equal(strengths) then return load_rows(self, #strengths, strengths[1]) end
  local parts, batch = {}, {}
  for i, strength in ipairs(strengths) do parts[i] = load_rows(self, 1, strength) end
  for name in pairs(parts[1]) do
    local list = {}
    for i, part in ipairs(parts) do list[i] = part[name] end
    batch[name] = ops.cat(list, 0)
  end
  return batch
end

--- The next batches, one for each strength of the augmentations, stacked: tensors [n, size, …].
---@param strengths number[]
function Feed:stack(strengths)
  local n, batch, seen = #strengths
  if self.loader then
    self:rewind()
    batch, self.strength = load_batches(self, strengths), strengths[n]
    remember(self, batch.index:flatten(), n)
    if self.clean and not self.known and not self.base.masking then seen = self.base.x:index_select(0, batch.index:flatten()) end
    if self.known and self.known.unpack then
      batch.teacher = rows_of({ teacher = self.known.unpack(batch.teacher:flatten(0, 1)) }, n, self.size).teacher
    end
  else
    batch = rows_of(self.source:stack(n, self.size), n, self.size)
    remember(self, nil, n)
  end
  if self.ask and not self.known then
    add_answers(batch, (answers_to(self, seen and rows_of({ x = seen }, n, self.size).x or batch.x, true)))
  end
  return batch
end

--- Gives back all but the first `used` of the batches that were stacked last.
function Feed:give_back(batch, used)
  local n = batch.x:size(0)
  if self.loader then return self.source:undo(batch.index:narrow(0, used, n - used):flatten()) end
  self.source:unstack(n - used, self.size)
end

return feed
