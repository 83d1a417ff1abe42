--- Batches made by a Lua function, fresh samples without end: data.generator(fn, { epoch = 10000, labels = "classes", classes = 2 }).
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local labels = require "gradus.data.labels"

local ops = engine.ops
local Generator = {}
Generator.__index = Generator

local generator = { tensors = nil }  -- tensors: data.tensors, told by dataset.lua

local all = setmetatable({}, { __mode = "k" })

-- Calls work(), with what follows, and puts every generator there is back to where it stood, whatever happens.
function generator.standing(work, ...)
  local stood = {}
  for one in pairs(all) do stood[one] = { made = one.made, samples = one.samples, held = one.held } end
  local function back(ok, ...)
    for one, was in pairs(stood) do one.made, one.samples, one.held = was.made, was.samples, was.held end
    if not ok then error((...), 0) end
    return ...
  end
  return back(pcall(work, ...))
end

function generator.is(value) return getmetatable(value) == Generator end

-- Labels that are said beforehand are those of every batch; else the first batch tells.
local function declared(options)
  if options.labels == nil then return nil end
  check.value("data.generator", "labels", options.labels, check.choice("classes", "soft", "multilabel", "numbers", "tokens", "none"))
  if options.classes ~= nil then check.value("data.generator", "classes", options.classes, check.int(1)) end
  return { kind = options.labels, classes = options.classes, declared = true }
end

--- Batches made by a Lua function on the training thread: fn(size, batch, first) -> x, y[, weight]; batches and samples
--- are counted from 0, first is the number of the batch's first sample. What y is (`gradus help labels`) is said, or
--- told by the first batch; every batch must be that.
---@param fn fun(size: number, batch: number, first: number): Tensor, Tensor, Tensor?
---@param options {epoch: number, classes: number?, labels: string?}  epoch: how many samples count as one; labels: "none" too
function generator.new(fn, options)
  if type(fn) ~= "function" then
    check.fail("data.generator", "expected a function(size, batch) that gives x, y, and { epoch = 10000 }; got %s", check.describe(fn))
  end
  options = check.options("data.generator", options, { "epoch", "classes", "labels" })
  if not check.int(1).test(options.epoch) or options.epoch == math.huge then
    host.fail "data.generator: epoch: expected how many samples count as one"
  end
  local self = setmetatable({ fn = fn, epoch = options.epoch, classes = options.classes, labels = declared(options),
    given = options.classes, made = 0, samples = 0, name = "generator", seekable = false }, Generator)
  all[self] = true
  return self
end

--- How many samples count as an epoch.
function Generator:size() return self.epoch end

local function check_rows(where, name, one, size)
  if engine.is_tensor(one) and one:dim() > 0 and one:size(0) == size then return end
  check.fail(where, "expected %s with %d rows; got %s", name, size,
    engine.is_tensor(one) and table.concat(one.shape, "×") or type(one))
end

-- y as it is trained on; refuses another kind than before.
local function take_labels(self, where, x, y)
  local known = self.labels
  if known and known.kind == "none" then
    if y then check.fail(where, "labels = 'none', but the function gives y") end
    return nil
  end
  local of
  y, of = labels.of(where, y, { x = x, labels = known and known.kind, classes = self.given })
  if not known then
    if of.kind == "classes" then of.classes = self.given end  -- a batch may lack some
    self.labels = of
  elseif known.declared then
    known.width, known.classes, known.declared = of.width, known.classes or of.kind ~= "classes" and of.classes or nil, nil
  elseif of.width ~= known.width then
    check.fail(where, "expected labels %s; got %s", labels.text(known), labels.text(of))
  end
  return y
end

--- The next batch: { x, y, weight, index }.
function Generator:next(size)
  local held = self.held
  self.held = nil
  if held and held.x:size(0) ~= size then held = nil end
  local batch = held or self:make(size)
  self.made, self.samples = self.made + 1, self.samples + size
  return batch
end

-- The coming batch; the generator stands where it stood.
function Generator:make(size)
  local x, y, weight = self.fn(size, self.made, self.samples)
  local where = ("data.generator: batch %d"):format(self.made)
  check_rows(where, "x", x, size)
  if y then check_rows(where, "y", y, size) end
  if weight then check_rows(where, "weight", weight, size) end
  if not self.seekable then
    y = take_labels(self, where, x, y or nil)
    weight = weight and labels.weight(where, weight, size)
  end
  return { x = x, y = y, weight = weight, index = ops.arange(self.samples, self.samples + size) }
end

--- What its labels are, by the coming batch of this size where nothing said it before; the batch is kept for `next`.
---@param size number
---@return Labels
function Generator:look(size)
  if not self.labels then self.held = self:make(size) end
  return self.labels
end

--- The next n samples as a data set of fixed rows, which can be ranked and chosen from.
---@param n number
---@return Dataset
function Generator:take(n)
  check.value("take", "n", n, check.int(1))
  local batch = self:next(n)
  return generator.tensors(batch.x, batch.y, { labels = batch.y and self.labels and self.labels.kind,
    classes = batch.y and self.classes, weight = batch.weight, name = self.name })
end

for _, name in ipairs { "rank", "first", "last", "split", "subset", "reversed", "shuffled", "gather", "each" } do
  Generator[name] = function()
    check.fail(name, "a generator makes new rows each time; expected a data set: its held-out part (val), or take(10000) of them")
  end
end

--- n batches in one tensor each, where a sample depends on its own number alone (`seekable`); unstack takes the last back.
function Generator:stack(n, size)
  local batch = self:next(n * size)
  self.made = self.made + n - 1
  return batch
end

function Generator:unstack(n, size) self.made, self.samples = self.made - n, self.samples - n * size end

function Generator:state() return { made = self.made, samples = self.samples } end
function Generator:restore(state) self.made, self.samples, self.held = state.made, state.samples, nil end

return generator
