--- Inputs with mean 0 and deviation 1, by what the training rows have: (x - mean) / deviation of each column of [N, D], of each
--- channel of [N, C, …]. Validation and test rows, and files that are read later, get the training rows' numbers, so that nothing of
--- them is seen beforehand. As scikit-learn's StandardScaler: the deviation is over N, not N - 1, what is constant becomes 0, NaN is
--- left out of the numbers and stays. Columns of 0 and 1 that words became (categories of data.csv) stay as they are.
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"

local ops = engine.ops
local standardize = {}

---@class Scaling  of each column or channel
---@field mean Tensor   float64 [C]
---@field std Tensor    float64 [C]

local ROWS = 4096        -- at a time, so that no second copy of a large data set is made in float64
local EPSILON = 2 ^ -52
local WHERE = "standardize"

local function columns_of(x) return x:dim() > 1 and x:size(1) or 1 end

-- Rows as float64 [n, C, the rest].
local function rows_of(x) return x:double():reshape { x:size(0), columns_of(x), -1 } end

local function name_of(base, i)
  if base.columns then return ("column '%s'"):format(base.columns[i + 1]) end
  return ("%s %d"):format(base.x:dim() > 2 and "channel" or "column", i)
end

local function refuse(base, mask, text)
  if mask:any():item() then check.fail(WHERE, "%s %s", name_of(base, mask:long():argmax():item()), text) end
end

local function check_inputs(base)
  if base.masking or not base.x.dtype:find "float" then
    check.fail(WHERE, "the inputs are %s; expected numbers of a float type", base.masking and "tokens" or base.x.dtype)
  end
  if base.scaling then check.fail(WHERE, "'%s' is standardized already", base.name) end
end

-- Calls fn on the view's rows, some at a time, NaN as 0, and where they are numbers.
local function over(d, fn)
  for from = 0, d:size() - 1, ROWS do
    local x = rows_of(d.base.x:index_select(0, d.index:slice(0, from, math.min(from + ROWS, d:size()))))
    local known = x:isnan():logical_not()
    fn(x:masked_fill(known:logical_not(), 0), known:double())
  end
end

-- The rows' own mean and deviation, in two passes: the squares of large numbers that lie close together lose all digits.
local function measured(d)
  local base, columns = d.base, columns_of(d.base.x)
  local function zeros() return ops.zeros({ columns }, { dtype = "float64" }) end
  local count, sum, squares = zeros(), zeros(), zeros()
  over(d, function(x, known)
    count, sum = count + known:sum { dim = { 0, 2 } }, sum + x:sum { dim = { 0, 2 } }
  end)
  refuse(base, count:eq(0), "has no number in these rows; expected skip = { … } of data.csv, or rows that have one")
  refuse(base, sum:isfinite():logical_not(), "has an infinite value; expected finite numbers")
  local mean = sum / count
  over(d, function(x, known)
    squares = squares + (((x - mean:reshape { 1, -1, 1 }) * known):square()):sum { dim = { 0, 2 } }
  end)
  refuse(base, squares:isfinite():logical_not(), "has numbers too large to be squared; expected them below 1e150")
  local variance = squares / count
  -- What rounding alone makes of equal numbers (scikit-learn's bound).
  local constant = variance:le(count * EPSILON * variance + (count * mean * EPSILON):square())
  return mean, ops.where(constant, ops.ones_like(variance), variance:sqrt())
end

-- Which columns change, as a mask: those that are named, else all but what words became.
local function chosen(base, names)
  local columns, place, mask = columns_of(base.x), {}, {}
  for i, name in ipairs(base.columns or {}) do place[name] = i end
  if names and not base.columns then check.fail(WHERE, "columns: the columns of '%s' have no names; expected none here", base.name) end
  for i = 1, columns do mask[i] = not names end
  for _, name in ipairs(names or {}) do
    if not place[name] then check.unknown(WHERE, "column", name, { unpack(base.columns) }) end
    mask[place[name]] = true
  end
  for name, words in pairs(not names and base.categories or {}) do
    for _, word in ipairs(words) do mask[place[name .. "=" .. word]] = false end
  end
  return engine.tensor(mask, "bool")
end

local function fitted(d, names)
  local mean, std = measured(d)
  local mask = chosen(d.base, names)
  return { mean = ops.where(mask, mean, ops.zeros_like(mean)), std = ops.where(mask, std, ops.ones_like(std)) }
end

-- The numbers that a file of weights was left with (experiment/student_artifact.lua).
local function from_file(path)
  local _, about = engine.data.read_safetensors(path, { names = {} })
  local kept = about.scaling and host.json_decode(about.scaling)
  if not kept then check.fail(WHERE, "like: %s: its student was trained on inputs that were not standardized", path) end
  return { mean = engine.tensor(kept.mean, "float64"), std = engine.tensor(kept.std, "float64") },
    about.columns and host.json_decode(about.columns)
end

local function check_like(base, scaling, columns)
  local wanted, got = scaling.mean:size(0), columns_of(base.x)
  if wanted ~= got then check.fail(WHERE, "like has %d columns, '%s' has %d", wanted, base.name, got) end
  for i, name in ipairs(columns and base.columns or {}) do
    if name ~= columns[i] then check.fail(WHERE, "feature %d is '%s'; expected '%s', as like has", i, name, columns[i]) end
  end
end

-- What another data set, or a file of weights, was standardized by.
local function taken(base, like)
  local scaling, columns
  if type(like) == "string" then
    scaling, columns = from_file(like)
  elseif type(like) == "table" and type(rawget(like, "base")) == "table" then
    scaling, columns = like.base.scaling, like.base.columns
    if not scaling then check.fail(WHERE, "like: '%s' is not standardized itself; expected like = train:standardize()", like.name) end
  else
    check.fail(WHERE, "like: expected a standardized data set, or the path of a student's weights; got %s", check.describe(like))
  end
  check_like(base, scaling, columns)
  return scaling
end

--- What views share, with these numbers taken off.
---@param base table
---@param scaling Scaling
---@return table
function standardize.base(base, scaling)
  local x, made = ops.empty_like(base.x), {}
  local mean, std = scaling.mean:reshape { 1, -1, 1 }, scaling.std:reshape { 1, -1, 1 }
  for from = 0, base.x:size(0) - 1, ROWS do
    local rows = base.x:slice(0, from, math.min(from + ROWS, base.x:size(0)))
    x:slice(0, from, from + rows:size(0)):copy_(((rows_of(rows) - mean) / std):reshape(rows.shape))
  end
  for name, value in pairs(base) do made[name] = value end
  made.x, made.scaling, made.origin, made.hash = x, scaling, base.origin or base.hash, nil
  return made
end

local OPTIONS = { like = check.any, columns = check.list(check.string) }

--- Mean and deviation that a data set's rows shall be changed by: its own, or those of `like`.
---@param d Dataset
---@param options? {like: Dataset|string, columns: string[]}
---@return Scaling
function standardize.scaling(d, options)
  local o = check.options(WHERE, options, OPTIONS)
  check_inputs(d.base)
  if o.like ~= nil and o.columns then check.fail(WHERE, "like says which columns; expected no columns beside it") end
  if o.like ~= nil then return taken(d.base, o.like) end
  return fitted(d, o.columns)
end

--- All parts of a split by the numbers of the part `train`. Parts that share their rows go on to share them.
---@param parts table<string, Dataset>
---@param options? {like: Dataset|string, columns: string[]}
---@param is_data fun(value: any): boolean
---@param view fun(d: Dataset, base: table): Dataset  the same rows of another base
---@return table<string, Dataset>
function standardize.parts(parts, options, is_data, view)
  local train = rawget(parts, "train")
  if train == nil then check.fail(WHERE, "there is no part 'train'; expected a:standardize(), and { like = a } for the others") end
  for name, part in pairs(parts) do
    if not is_data(part) then
      check.fail(WHERE, "part '%s' is a stream without rows; expected its function to return standardized inputs", tostring(name))
    end
    check_inputs(part.base)
  end
  local scaling, made, bases = standardize.scaling(train, options), {}, {}
  for name, part in pairs(parts) do
    check_like(part.base, scaling, train.base.columns)
    bases[part.base] = bases[part.base] or standardize.base(part.base, scaling)
    made[name] = view(part, bases[part.base])
  end
  return made
end

--- The numbers as lists, for the metadata of a student's weights; nil where there are none.
---@param base table
---@return {mean: number[], std: number[]}?
function standardize.kept(base)
  return base.scaling and { mean = base.scaling.mean:totable(), std = base.scaling.std:totable() } or nil
end

return standardize
