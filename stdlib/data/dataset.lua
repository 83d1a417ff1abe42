--- Data sets: tensors of inputs and labels, and views of their rows.
---   data.digits()                                    1,797 handwritten digits, 8×8 (UCI)
---   data.csv("points.csv", { label = "class" })      data.idx { x = …, y = … }   data.npy { … }   data.safetensors(…)
---   data.cifar10 { "data_batch_1.bin", … }           CIFAR-10's binary files
---   data.tensors(x, y, { classes = 10 })             data.generator(fn, { epoch = 10000 })
---   data.parity { d = 50, k = 5 }                    sparse parity, fresh samples without end
---   data.text("corpus.txt", { vocabulary = 1000 })   data.sentences { grammar = … }     tokens to be masked (tokens.lua)
--- A view: d:split { train = .7, val = .15, test = .15 }, d:rank(score):first(.3), d:subset(index).
--- Columns of one scale: d:split { train = .8, val = .2 }:standardize(), by the training rows' mean and deviation.
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local elsewhere = require "gradus.base.elsewhere"
local tensor = require "gradus.base.tensor"
local current = require "gradus.base.current"
local amount_of = require "gradus.data.amount"
local generator = require "gradus.data.generator"
local labels = require "gradus.data.labels"
local places_of = require "gradus.data.places"
local sorted_keys = require "gradus.base.sorted_keys"
local split = require "gradus.data.split"
local standardize = require "gradus.data.standardize"

local ops, files = engine.ops, engine.data
local data = { generator = generator.new }

--- Whether a value is a generator of batches.
---@param value any
data.is_generator = generator.is

--- Inputs and labels, and which of their rows. g.data's functions make one, its methods give views of it.
---@class Dataset
---@field base table       what the views of one data set share: x [N, …], y, weight [N]?, labels, name; masking, of tokens
---@field labels Labels    what y is
---@field index Tensor     int64 [n]: the rows of this view, in its order
---@field difficulty Tensor?  [n], after rank
---@field is_shuffled? true  by shuffled(): a ranking's control
---@field classes number?  how many, where labels are classes
---@field name string      of the file, or what it was given
---@field vocabulary number?  of tokens: how many there are; with `length`, of a row, and `pad_token`, where there is one, what
---@field length number?      nn.Transformer wants to know
---@field pad_token number?
local INSTEAD = elsewhere.table_of {
  ["x, y = d:gather()"] = "x y X Y inputs targets input target images data tensors values get numpy to_numpy get_item",
  ["d.base.columns, of a CSV file with a header"] = "columns column_names feature_names features_names",
  ["#d rows, d:features() numbers each; or x, y = d:gather() and x.shape"] = "shape",
  ["#d"] = "n len count rows n_samples num_samples num_rows nrows",
  ["d.classes"] = "num_classes n_classes nclasses",
  ["d.labels.names"] = "class_names classnames label_names target_names",
  ["d:split { train = .7, val = .15, test = .15 }, whose parts are d.train, d.val and d.test"] = "train val valid validation test",
  ["d:first(10)"] = "head sample take",
  ["g.data.concat(a, b)"] = "concat append extend merge join",
  ["g.data.tensors(x, y, { weight = … })"] = "weight weights sample_weight",
  ["d:rank(score), such as d:rank(g.score.loss(teacher))"] = "sort sort_by order",
  ["print(d)"] = "describe info summary",
  ["d:mislabel(.2)"] = "noise corrupt label_noise",
}

local Dataset = check.methods("a data set", {}, { sealed = true, instead = function(name) return INSTEAD[name] end })
Dataset.__index = Dataset

local ROWS = "for i, batch in run:batches(d, { size = 64, epochs = 1 }) do … end, or x, y = d:gather()"
function Dataset.__len(d) return d.index:size(0) end
function Dataset.__call() host.fail("a data set is no iterator; expected " .. ROWS) end
function Dataset.__ipairs() host.fail("ipairs: a data set is no list; expected " .. ROWS) end
function Dataset.__pairs() host.fail("pairs: a data set is no table; expected " .. ROWS) end
function Dataset.__at(i)
  host.fail(("a data set has no item [%s]; expected d:subset(g.tensor({ 0, 1 }, \"int64\")), d:first(10), or x, y = d:gather() and x[%s]")
    :format(tostring(i), tostring(i)))
end

--- Whether a value is a data set.
---@param value any
function data.is(value) return getmetatable(value) == Dataset end

local function view(base, index, difficulty)
  local of = base.labels
  local tokens = of.kind == "tokens"
  return setmetatable({ base = base, index = index, difficulty = difficulty, labels = of, classes = of.classes, name = base.name,
    vocabulary = tokens and of.classes or nil, length = tokens and of.width or nil, pad_token = base.pad_token }, Dataset)
end

--- Rows of what views share, as a view that was made before.
---@param base table
---@param index Tensor
---@param difficulty? Tensor
---@return Dataset
function data.view(base, index, difficulty) return view(base, index, difficulty) end

--- All rows of what views share.
---@param base table
---@return Dataset
function data.of_base(base) return view(base, ops.arange(base.x:size(0))) end

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
    table.concat(self.base.x.shape, "×", 2), self.labels.kind ~= "none" and ", " .. labels.text(self.labels) or "")
end

-- Refuses what is no data set.
local function check_rows(where, x, y)
  if not engine.is_tensor(x) then check.fail(where, "x: expected a Tensor; got %s", check.describe(x)) end
  if x:dim() == 0 then check.fail(where, "x: expected rows [N, …]; got a lone number") end
  if x:size(0) == 0 then check.fail(where, "the data set is empty; expected at least one row") end
  if y == nil then return end
  if not engine.is_tensor(y) then check.fail(where, "y: expected a Tensor; got %s", check.describe(y)) end
  if y:dim() == 0 then check.fail(where, "y: expected one label for each row; got a lone one") end
  if y:size(0) ~= x:size(0) then check.fail(where, "x has %d rows, y has %d", x:size(0), y:size(0)) end
end

--- A data set, its labels judged (labels.lua); where: the function that the user called.
function data.make(where, x, y, o)
  check_rows(where, x, y)
  local weight = o.weight
  if weight ~= nil then weight = labels.weight(where, weight, x:size(0)) end
  local judged, of = labels.of(where, y, { labels = o.labels, answers = o.answers, classes = o.classes, x = x })
  return data.of_base { x = x:contiguous(), y = judged, weight = weight, labels = of, classes = of.classes, name = o.name or "tensors" }
end

--- A data set of tensors. What y is, `labels` says or is guessed by one rule (`gradus help labels`): d.labels = { kind =, classes =, … }.
---@param x Tensor             [N, …]
---@param y? Tensor            [N], [N, L] or [N, C]; -100 in a row without a class
---@param options? {labels: string, answers: string, classes: number|string[], name: string, weight: Tensor}
---   labels: "classes", "tokens", "soft", "multilabel" or "numbers"; answers: without y, what a teacher gives: "classes", "multilabel" or
---   "numbers"; classes: how many, or their names; weight: [N], from 0
---@return Dataset
function data.tensors(x, y, options)
  if options ~= nil and (type(options) ~= "table" or engine.is_tensor(options)) then
    check.fail("data.tensors", "expected data.tensors(x, y, { classes = 10, weight = … }); got %s as options", check.describe(options))
  end
  return data.make("data.tensors", x, y, check.options("data.tensors", options, { "labels", "answers", "classes", "name", "weight" }))
end

--- A hash of all rows of a data set, whichever of them a view has: what its views have in `base`.
---@param base table
---@param again? boolean  whatever it was before: tensors may be changed in place
---@return string
function data.content(base, again)
  if again or not base.hash then
    local m = base.masking
    base.hash = host.sha256(base.x:hash() .. (base.y and base.y:hash() or "") .. (base.weight and base.weight:hash() or "")
      .. (m and ("%.17g %d %d %d"):format(m.rate, m.mask, m.low, m.high) or "") .. labels.text(base.labels)
      .. table.concat(base.labels.names or {}, "\n"))
  end
  return base.hash
end

--- A data set whose numbers come from outside of the script (readers.lua).
---@param where string  the function that the user called, and its file
function data.from_outside(where, x, y, options)
  local d = data.make(where, x, y, options)
  local odd = d.base.x.dtype:find "float" and d.base.x:isfinite():logical_not():sum():item() or 0
  if odd > 0 then
    labels.tell(("%s: %d of %d inputs are NaN, infinite or beyond float32; expected finite numbers"):format(where, odd, d.base.x:numel()))
  end
  current.reads(data.content(d.base))
  return d
end

-- --- views -----------------------------------------------------------------------------------------------------------

-- The same rows of another base.
local function moved(d, base) return view(base, d.index, d.difficulty) end

-- Named parts: to ask for one that is not there is an error.
local Splits = {}
local of_parts = {}

--- All parts with mean 0 and deviation 1 in each column (of images: channel), by the mean and deviation of the part `train` alone.
--- Options as of d:standardize.
---@param options? {like: Dataset|string, columns: string[]}
function of_parts:standardize(options) return data.parts(standardize.parts(self, options, data.is, moved)) end

Splits.__index = function(self, name)
  if of_parts[name] then return of_parts[name] end
  local mend = elsewhere.mend(name)
  if mend then host.fail(("a split has no '%s'; expected %s"):format(tostring(name), mend)) end
  host.fail(("the data was not split into a part '%s'; it has %s"):format(tostring(name), table.concat(sorted_keys(self), ", ")))
end

--- Named parts, such as { train =, val = }, of which a missing one is an error.
function data.parts(parts) return setmetatable(parts, Splits) end

--- Splits the rows at random into disjoint named parts, by the run's "split" stream: strategies that share a seed share
--- the split. Shares may leave rows out, but not use them twice.
---@param shares table<string, number>
---@param options? {seed: number}
function Dataset:split(shares, options)
  local parts = {}
  for name, places in pairs(split(self:size(), shares, options)) do
    parts[name] = view(self.base, self.index:index_select(0, places))
  end
  return data.parts(parts)
end

--- All rows of the data set that this is a view of.
function Dataset:whole() return data.of_base(self.base) end

--- The rows of the view at these positions (int64, from 0).
---@param index Tensor|number[]
function Dataset:subset(index)
  local given = index
  index = places_of(given) or check.fail("subset", "expected places of rows, whole numbers from 0; got %s", check.describe(given))
  if index:numel() == 0 then check.fail("subset", "no rows; expected one place or more") end
  local low, high = index:amin():item(), index:amax():item()
  if low < 0 or high >= self:size() then check.fail("subset", "places from %d to %d; expected 0 to %d", low, high, self:size() - 1) end
  return view(self.base, self.index:index_select(0, index),
    self.difficulty and self.difficulty:index_select(0, index))
end

--- The first rows in the view's order: of a ranked view, the easiest. first(.3) and first { share = .3 } are a share of them,
--- first(100) and first { rows = 100 } so many.
---@param amount number|{share: number?, rows: number?}
---@return Dataset
function Dataset:first(amount)
  local rows = amount_of("first", amount, self:size())
  return view(self.base, self.index:slice(0, 0, rows), self.difficulty and self.difficulty:slice(0, 0, rows))
end

--- The last rows: of a ranked view, the hardest. Amounts as of first.
---@param amount number|{share: number?, rows: number?}
---@return Dataset
function Dataset:last(amount)
  local from = self:size() - amount_of("last", amount, self:size())
  return view(self.base, self.index:slice(0, from), self.difficulty and self.difficulty:slice(0, from))
end

--- The same rows, last first: hard to easy, the anti-curriculum.
function Dataset:reversed()
  return view(self.base, self.index:flip { 0 }, self.difficulty and self.difficulty:flip { 0 })
end

--- The same rows in a random order of the run's "order" stream: the control of a ranking.
---@param seed? number
function Dataset:shuffled(seed)
  if seed ~= nil then check.value("shuffled", "seed", seed, check.int(0)) end
  local random = engine.generator(seed or current.stream "shuffled")
  local shuffled = view(self.base, self.index:index_select(0, ops.randperm(self:size(), { generator = random })))
  shuffled.is_shuffled = true
  return shuffled
end

--- The same rows, of which a share has a wrong class: any other one alike, or the next one (pairs = true), by the run's
--- "mislabel" stream. For training only: split first, so that what is validated on keeps its labels.
---@param share number            0 to 1, of the rows that have a label
---@param options? {pairs: boolean, seed: number}
---@return Dataset
function Dataset:mislabel(share, options)
  return view(require "gradus.data.mislabel"(self.base, self.index, share, options), self.index, self.difficulty)
end

--- The same rows with mean 0 and deviation 1 in each column (of images: channel), by the mean and deviation of these rows; NaN is
--- left out of them, a constant column becomes 0, columns that words became (categories of data.csv) stay. Of a split, so that
--- nothing of the other parts is seen: d:split { train = .8, val = .2 }:standardize(). A student's weights keep the numbers.
---@param options? {like: Dataset|string, columns: string[]}  like: by the numbers of another data set, or of a student's weights (a
---   path); columns: only these
---@return Dataset
function Dataset:standardize(options)
  return moved(self, standardize.base(self.base, standardize.scaling(self, options)))
end

--- The labels before mislabel, int64 [n]; those it has where it was not mislabelled.
---@return Tensor
function Dataset:true_labels()
  local y = self.base.truth or self.base.y
  if not y then host.fail "true_labels: the data set has no labels" end
  return y:index_select(0, self.index)
end

local SIZE = check.int(1)

local function placed(t, device)
  if not t or device == nil or device == "cpu" then return t end
  return t:to { device = device, non_blocking = true }
end

--- Calls fn(x, y, index) on chunks of at most `size` rows (of tokens fewer, since a row is a sequence), in order, without
--- gradients; x and y on the device where one is given.
---@param size number
---@param fn fun(x: Tensor, y: Tensor?, index: Tensor)
---@param device? string
function Dataset:each(size, fn, device)
  check.value("each", "size", size, SIZE)
  check.value("each", "fn", fn, check.callable)
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

--- One number for each row, from a function of inputs and labels (scores.lua): float64 [n].
---@param where string  whom errors blame
---@param score fun(x: Tensor, y: Tensor, labels: Labels): Tensor
---@return Tensor
function Dataset:scores(where, score)
  check.value("scores", "where", where, check.string)
  check.value(where, "score", score, check.callable)
  return require "gradus.data.scores"(self, where, score)
end

--- Sorted by difficulty, easiest first; ties keep their order.
---@param score fun(x: Tensor, y: Tensor, labels: Labels): Tensor | Tensor  one number per row
---@return Dataset
function Dataset:rank(score)
  local values = type(score) == "function" and self:scores("rank", score) or score
  if not engine.is_tensor(values) or values:numel() ~= self:size() then
    host.fail(("rank: expected one score for each of %d rows; got %s"):format(self:size(),
      engine.is_tensor(values) and values:numel() or type(score)))
  end
  values = values:detach():cpu():double():flatten()
  if not values:isfinite():all():item() then host.fail "rank: a score is NaN or infinite" end
  local order = values:argsort { stable = true, dim = 0 }
  return view(self.base, self.index:index_select(0, order), values:index_select(0, order))
end

--- What identifies the view's content: a hash of its tensors and rows.
function Dataset:fingerprint()
  return host.sha256(data.content(self.base) .. self.index:hash())
end

generator.tensors = data.tensors

return data
