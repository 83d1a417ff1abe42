--- Data sets: tensors of inputs and labels, and views of their rows.
---   data.digits()                                    1,797 handwritten digits, 8×8 (UCI)
---   data.csv("points.csv", { label = "class" })      data.idx { x = …, y = … }   data.npy { … }   data.safetensors(…)
---   data.cifar10 { "data_batch_1.bin", … }           CIFAR-10's binary files
---   data.tensors(x, y, { classes = 10 })             data.generator(fn, { epoch = 10000 })
---   data.parity { d = 50, k = 5 }                    sparse parity, fresh samples without end
---   data.text("corpus.txt", { vocabulary = 1000 })   data.sentences { grammar = … }     tokens to be masked (tokens.lua)
--- A view: d:split { train = .7, val = .15, test = .15 }, d:rank(score):first(.3), d:subset(index).
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local tensor = require "gradus.base.tensor"
local current = require "gradus.base.current"

local ops, files = engine.ops, engine.data
local data = {}

---@class Dataset
---@field base table       what the views of one data set share: x [N, …], y [N], weight [N]?, classes, name; masking, of tokens
---@field index Tensor     int64 [n]: the rows of this view, in its order
---@field difficulty Tensor?  [n], after rank
local Dataset = check.methods("a data set", {})
Dataset.__index = Dataset

function data.is(value) return getmetatable(value) == Dataset end

local function view(base, index, difficulty)
  return setmetatable({ base = base, index = index, difficulty = difficulty, classes = base.classes, name = base.name }, Dataset)
end

-- Inputs and labels of rows, as a model is tested on them: of tokens to be masked always the same ones are.
local function rows_at(base, index)
  local x = base.x:index_select(0, index)
  if base.masking then return files.mask(x, index, ops.zeros({ index:size(0) }, { dtype = "int32" }), base.masking) end
  return x, base.y and base.y:index_select(0, index)
end

--- Number of rows.
function Dataset:size() return self.index:size(0) end

--- How many numbers each row of x has: the width of a model's first layer.
function Dataset:features() return self.base.x:numel() / self.base.x:size(0) end

function Dataset:__tostring()
  return ("%s: %d of %d rows, x %s%s"):format(self.name, self:size(), self.base.x:size(0),
    table.concat(self.base.x.shape, "×", 2), self.classes and (", %d classes"):format(self.classes) or "")
end

--- A data set of tensors.
---@param x Tensor             [N, …]
---@param y? Tensor            [N] int64 classes, or float values
---@param options? {classes: number, name: string, weight: Tensor}
function data.tensors(x, y, options)
  options = options or {}
  check.options("data.tensors", options, { "classes", "name", "weight" })
  if not engine.is_tensor(x) then host.fail("data.tensors: x: expected a Tensor; got " .. type(x)) end
  if x:dim() == 0 or x:size(0) == 0 then host.fail "data.tensors: the data set is empty; expected at least one row" end
  if y ~= nil and not engine.is_tensor(y) then host.fail("data.tensors: y: expected a Tensor; got " .. check.describe(y)) end
  if y and y:dim() == 0 then host.fail "data.tensors: y: expected one label for each row; got a lone one" end
  if y and y:size(0) ~= x:size(0) then
    host.fail(("data.tensors: x has %d rows, y has %d"):format(x:size(0), y:size(0)))
  end
  local weight = options.weight
  if weight ~= nil and not (engine.is_tensor(weight) and weight:numel() == x:size(0)) then
    host.fail(("data.tensors: weight: expected one number for each of %d rows; got %s"):format(x:size(0), check.describe(weight)))
  end
  local classes = options.classes
  if y and not (y.dtype == "float32" or y.dtype == "float64") then
    y = y:long()
    local low, high = y:amin():item(), y:amax():item()
    classes = classes or high + 1
    if low < 0 or high >= classes then
      host.fail(("data.tensors: labels from %d to %d; expected 0 to %d"):format(low, high, classes - 1))
    end
  end
  local base = { x = x:contiguous(), y = y, weight = weight, classes = classes, name = options.name or "tensors" }
  return view(base, ops.arange(x:size(0)))
end

--- A hash of all rows of a data set, whichever of them a view has: what its views have in `base`.
---@param base table
---@return string
function data.content(base)
  if not base.hash then
    local m = base.masking
    base.hash = host.sha256(base.x:hash() .. (base.y and base.y:hash() or "") .. (base.weight and base.weight:hash() or "")
      .. (m and ("%.17g %d %d %d"):format(m.rate, m.mask, m.low, m.high) or ""))
  end
  return base.hash
end

-- A data set whose numbers come from outside of the script.
local function from_outside(x, y, options)
  local d = data.tensors(x, y, options)
  current.reads(data.content(d.base))
  return d
end

--- UCI "Optical Recognition of Handwritten Digits": x [1797, 1, 8, 8] in 0 … 1, y 0 … 9.
function data.digits()
  local x, y = files.digits()
  return from_outside(x, y, { classes = 10, name = "digits" })
end

--- A CSV file, `.gz` too. `label` names or numbers (from 0) the label column; the other columns are the features.
--- Labels may be text: classes are numbered in sorted order.
---@param path string
---@param options? {label: string|number, header: boolean, separator: string}
function data.csv(path, options)
  local read = files.read_csv(path, options or {})
  local d = from_outside(read.x, read.y, { name = path, classes = read.classes and #read.classes or nil })
  d.base.columns, d.base.class_names = read.columns, read.classes
  return d
end

local function from_files(name, paths, read)
  check.options("data." .. name, paths, { "x", "y", "scale" })
  if type(paths.x) ~= "string" then host.fail(("data.%s: x: expected a path; got %s"):format(name, type(paths.x))) end
  local x, y = read(paths.x), paths.y and read(paths.y)
  if x.dtype ~= "float64" then x = x:float() end
  if paths.scale then x = x * paths.scale end
  return from_outside(x, y, { name = paths.x })
end

-- Three dimensions in an IDX file are grey images; what takes images expects a channel.
local function read_idx(path)
  local x = files.read_idx(path)
  return x:dim() == 3 and x:unsqueeze(1) or x
end

--- IDX files (MNIST), `.gz` too: data.idx { x = "train-images-idx3-ubyte", y = "train-labels-idx1-ubyte", scale = 1 / 255 }.
--- Images are [N, 1, H, W].
function data.idx(paths) return from_files("idx", paths, read_idx) end

--- CIFAR-10, its binary version: data.cifar10 { "data_batch_1.bin", … }; x [N, 3, 32, 32] in 0 … 1, y 0 … 9.
---@param paths string[]
function data.cifar10(paths)
  local x, y = require "gradus.data.cifar"(paths)
  return from_outside(x, y, { classes = 10, name = paths[1] })
end

--- NumPy files: data.npy { x = "x.npy", y = "y.npy" }.
function data.npy(paths) return from_files("npy", paths, files.read_npy) end

--- Two tensors of a safetensors file, by name.
---@param path string
---@param names? {x: string, y: string}
function data.safetensors(path, names)
  names = names or { x = "x", y = "y" }
  local read = files.read_safetensors(path)
  local function take(name)
    if read[name] then return read[name] end
    local have = {}
    for known in pairs(read) do have[#have + 1] = known end
    table.sort(have)
    host.fail(("data.safetensors: %s: no tensor '%s'; the file has %s"):format(path, name, table.concat(have, ", ")), 65)
  end
  return from_outside(take(names.x), names.y and take(names.y), { name = path })
end

-- --- views -----------------------------------------------------------------------------------------------------------

local Splits = {}
Splits.__index = function(self, name)
  local names = {}
  for known in pairs(self) do names[#names + 1] = known end
  table.sort(names)
  host.fail(("the data was not split into a part '%s'; it has %s"):format(tostring(name), table.concat(names, ", ")))
end

--- Splits the rows at random into disjoint named parts, by the run's "split" stream: strategies that share a seed share
--- the split. Shares may leave rows out, but not use them twice.
---@param shares table<string, number>
---@param options? {seed: number}
function Dataset:split(shares, options)
  options = options or {}
  check.options("split", options, { "seed" })
  if type(shares) ~= "table" or next(shares) == nil then
    host.fail "split: expected shares by name: { train = .7, val = .15, test = .15 }"
  end
  local names, total = {}, 0
  for name, share in pairs(shares) do
    if type(share) ~= "number" or not (share > 0 and share <= 1) then
      host.fail(("split: '%s': expected a share above 0, up to 1; got %s"):format(tostring(name), tostring(share)))
    end
    names[#names + 1], total = name, total + share
  end
  if total > 1 + 1e-9 then host.fail(("split: the shares add up to %g; expected at most 1"):format(total)) end
  -- train, val, test in this order, so that a smaller test share leaves the training rows as they are
  local rank = { train = 1, val = 2, test = 3 }
  table.sort(names, function(a, b)
    local ra, rb = rank[a] or 4, rank[b] or 4
    if ra ~= rb then return ra < rb end
    return a < b
  end)
  local generator = engine.generator(options.seed or current.stream "split")
  local order = ops.randperm(self:size(), { generator = generator })
  local parts, from, used = {}, 0, 0
  for _, name in ipairs(names) do
    used = used + shares[name]
    local to = math.floor(used * self:size() + .5)
    if to == from then host.fail(("split: '%s' gets no row of %d"):format(name, self:size())) end
    parts[name] = view(self.base, self.index:index_select(0, order:slice(0, from, to)))
    from = to
  end
  return setmetatable(parts, Splits)
end

--- All rows of the data set that this is a view of.
function Dataset:whole() return view(self.base, ops.arange(self.base.x:size(0))) end

--- The rows of the view at these positions (int64, from 0).
function Dataset:subset(index)
  return view(self.base, self.index:index_select(0, index),
    self.difficulty and self.difficulty:index_select(0, index))
end

local function count_of(self, amount, what)
  if type(amount) ~= "number" or not (amount > 0) then
    host.fail(("%s: expected a share above 0, up to 1, or a number of rows; got %s"):format(what, tostring(amount)))
  end
  if amount > 1 and amount % 1 ~= 0 then host.fail(("%s: expected a whole number of rows; got %g"):format(what, amount)) end
  local rows = amount <= 1 and math.max(1, math.floor(amount * self:size() + .5)) or amount
  if rows > self:size() then host.fail(("%s: %d rows of %d"):format(what, rows, self:size())) end
  return rows
end

--- The first rows in the view's order: of a ranked view, the easiest. A share (up to 1) or a number of rows.
function Dataset:first(amount)
  local rows = count_of(self, amount, "first")
  return view(self.base, self.index:slice(0, 0, rows), self.difficulty and self.difficulty:slice(0, 0, rows))
end

--- The last rows: of a ranked view, the hardest.
function Dataset:last(amount)
  local from = self:size() - count_of(self, amount, "last")
  return view(self.base, self.index:slice(0, from), self.difficulty and self.difficulty:slice(0, from))
end

--- The same rows, last first: hard to easy, the anti-curriculum.
function Dataset:reversed()
  return view(self.base, self.index:flip { 0 }, self.difficulty and self.difficulty:flip { 0 })
end

--- The same rows in a random order of the run's "order" stream: the control of a ranking.
function Dataset:shuffled(seed)
  local generator = engine.generator(seed or current.stream "shuffled")
  return view(self.base, self.index:index_select(0, ops.randperm(self:size(), { generator = generator })))
end

local function placed(t, device)
  if not t or device == nil or device == "cpu" then return t end
  return t:to { device = device, non_blocking = true }
end

--- Calls fn(x, y, index) on chunks of at most `size` rows (of tokens fewer, since a row is a sequence), in order, without
--- gradients; x and y on the device where one is given.
function Dataset:each(size, fn, device)
  if self.base.masking then size = math.max(1, math.floor(8 * size / self.base.x:size(1))) end
  tensor.no_grad(function()
    for from = 0, self:size() - 1, size do
      local index = self.index:slice(0, from, math.min(from + size, self:size()))
      local x, y = rows_at(self.base, index)
      fn(placed(x, device), placed(y, device), index)
    end
  end)
end

--- All inputs and labels of the view: x [n, …], y [n].
function Dataset:gather() return rows_at(self.base, self.index) end

--- Sorted by difficulty, easiest first; ties keep their order.
---@param score fun(x: Tensor, y: Tensor): Tensor | Tensor  one number per row
---@return Dataset
function Dataset:rank(score)
  local values = score
  if type(score) == "function" then
    local parts = {}
    self:each(1024, function(x, y)
      local one = score(x, y)
      if not engine.is_tensor(one) then host.fail("rank: expected the score to return a Tensor; got " .. check.describe(one)) end
      parts[#parts + 1] = one:detach():cpu():double():reshape { -1 }
    end)
    values = ops.cat(parts, 0)
  end
  if not engine.is_tensor(values) or values:numel() ~= self:size() then
    host.fail(("rank: expected one score for each of %d rows; got %s"):format(self:size(),
      engine.is_tensor(values) and values:numel() or type(score)))
  end
  if not values:isfinite():all():item() then host.fail "rank: a score is NaN or infinite" end
  local order = values:argsort { stable = true, dim = 0 }
  return view(self.base, self.index:index_select(0, order), values:index_select(0, order))
end

--- Two or more data sets, one after the other.
function data.concat(...)
  local xs, ys, weights, classes, given = {}, {}, {}, 0, { ... }
  if #given == 0 then host.fail "data.concat: expected data sets" end
  for i, d in ipairs(given) do
    if not data.is(d) then host.fail(("data.concat: argument %d: expected a data set; got %s"):format(i, check.describe(d))) end
    for _, part in ipairs { { "y", "labels" }, { "weight", "weights" } } do
      if (d.base[part[1]] == nil) ~= (given[1].base[part[1]] == nil) then
        host.fail(("data.concat: argument %d has %s %s, unlike the first"):format(i, d.base[part[1]] and "its" or "no", part[2]))
      end
    end
    if d.base.masking then host.fail(("data.concat: argument %d holds tokens to be masked; expected one text file of all"):format(i)) end
    xs[i], ys[i] = d:gather()
    weights[i] = d.base.weight and d.base.weight:index_select(0, d.index)
    classes = math.max(classes, d.classes or 0)
  end
  return data.tensors(ops.cat(xs, 0), ys[1] and ops.cat(ys, 0), { classes = classes > 0 and classes or nil, name = "concat",
    weight = weights[1] and ops.cat(weights, 0) })
end

--- What identifies the view's content: a hash of its tensors and rows.
function Dataset:fingerprint()
  return host.sha256(data.content(self.base) .. self.index:hash())
end

-- --- tokens: see tokens.lua ---------------------------------------------------------------------------------------------

function data.text(path, options) return require("gradus.data.tokens").text(path, options) end
function data.sentences(options) return require("gradus.data.tokens").sentences(options) end

-- --- generators ------------------------------------------------------------------------------------------------------

local Generator = {}
Generator.__index = Generator

--- Batches made by a Lua function on the training thread: fn(size, batch, first) -> x, y[, weight]; batches and samples
--- are counted from 0, first is the number of the batch's first sample.
---@param fn fun(size: number, batch: number, first: number): Tensor, Tensor, Tensor?
---@param options {epoch: number, classes: number?}  epoch: how many samples count as one
function data.generator(fn, options)
  options = options or {}
  check.options("data.generator", options, { "epoch", "classes" })
  if type(fn) ~= "function" then host.fail("data.generator: expected a function(size, batch); got " .. type(fn)) end
  if type(options.epoch) ~= "number" or options.epoch < 1 then host.fail "data.generator: epoch: expected how many samples count as one" end
  return setmetatable({ fn = fn, epoch = options.epoch, classes = options.classes, made = 0, samples = 0, name = "generator",
    seekable = false }, Generator)
end

function data.is_generator(value) return getmetatable(value) == Generator end
function Generator:size() return self.epoch end

--- The next batch: { x, y, weight, index }.
function Generator:next(size)
  local x, y, weight = self.fn(size, self.made, self.samples)
  if not engine.is_tensor(x) or x:dim() == 0 or x:size(0) ~= size then
    host.fail(("data.generator: batch %d: expected x with %d rows; got %s"):format(self.made, size,
      engine.is_tensor(x) and table.concat(x.shape, "×") or type(x)))
  end
  for name, one in pairs { y = y or nil, weight = weight or nil } do
    if not engine.is_tensor(one) or one:dim() == 0 or one:size(0) ~= size then
      host.fail(("data.generator: batch %d: expected %s with %d rows; got %s"):format(self.made, name, size,
        engine.is_tensor(one) and table.concat(one.shape, "×") or type(one)))
    end
  end
  local index = ops.arange(self.samples, self.samples + size)
  self.made, self.samples = self.made + 1, self.samples + size
  return { x = x, y = y, weight = weight, index = index }
end

--- n batches in one tensor each, where a sample depends on its own number alone (`seekable`); unstack takes the last back.
function Generator:stack(n, size)
  local batch = self:next(n * size)
  self.made = self.made + n - 1
  return batch
end

function Generator:unstack(n, size) self.made, self.samples = self.made - n, self.samples - n * size end

function Generator:state() return { made = self.made, samples = self.samples } end
function Generator:restore(state) self.made, self.samples = state.made, state.samples end

--- Sparse parity (runtime/data/parity.h): x uniform in ±1, y whether an odd number of the first k of d coordinates is -1. Has
--- the parts train, fresh samples without end, and val, a fixed set of samples that train never makes.
---@param options {d: number, k: number, seed: number?, held_out: number?, epoch: number?, tokens: boolean?}  seed: the run's "data" stream;
---   held_out: 4096 rows; epoch: 10000 samples count as one; tokens: x is (1 - x) / 2 as int64, for transformers
function data.parity(options)
  options = check.options("data.parity", options, { d = check.int(1, 65536), k = check.int(1), seed = check.int(0),
    held_out = check.int(1), epoch = check.int(1), tokens = check.boolean }, { held_out = 4096, epoch = 10000 })
  for _, name in ipairs { "d", "k" } do
    if not options[name] then host.fail(("data.parity: '%s' is missing; expected { d = 50, k = 5 }"):format(name)) end
  end
  local d, k, seed = options.d, options.k, options.seed or current.stream "data"
  local train, val = files.derive_seed(seed, "parity"), files.derive_seed(seed, "parity held out")
  local function samples(stream, first, size)
    local x, y = files.parity { d = d, k = k, seed = stream, first = first, size = size }
    return options.tokens and x:lt(0):long() or x, y
  end
  local x, y = samples(val, 0, options.held_out)
  local stream = data.generator(function(size, _, first) return samples(train, first, size) end, { epoch = options.epoch, classes = 2 })
  stream.seekable = true
  return setmetatable({
    train = stream,
    val = data.tensors(x, y, { classes = 2, name = ("parity d=%d k=%d"):format(d, k) }),
  }, Splits)
end

return data
