--- Probes: what a network's hidden layer or output has to do with the coordinates of a sparse parity. They draw from
--- random streams of their own and leave the model's mode and every stream of the run as they were.
---   probe.correlation(model, { d = 50, k = 5, layer = "layers.1" })       figure 2 of Gupta & Karmalkar 2025
---   probe.monomials(model, { d = 50, k = 5 })                             degree by degree, after Panigrahi et al. 2024
local engine = require "gradus.engine"
local check = require "gradus.check"
local current = require "gradus.current"
local tensor = require "gradus.tensor"

local ops, files = engine.ops, engine.data
local probe = {}

local CHUNK = 4096

-- Calls visit(x, of) with chunks of fresh samples; `of` is what the model makes of them. Without gradients, in eval mode.
local function over_samples(model, o, run, visit)
  local training = model.training
  model:eval()
  local ok, err = pcall(tensor.no_grad, function()
    for first = 0, o.samples - 1, CHUNK do
      local x = files.parity { d = o.d, k = o.k, seed = files.derive_seed(o.seed, "samples"), first = first,
        size = math.min(CHUNK, o.samples - first) }
      tensor.scope(function() return visit(x, run(x:to(model:device())):cpu()) end)  -- what visit returns is kept
    end
  end)
  model:train(training)
  if not ok then error(err, 0) end
end

local function options_of(where, model, options, rules, defaults)
  if type(model) ~= "table" or not model.forward_taps then check.fail(where, "expected a module; got %s", check.describe(model)) end
  rules.d, rules.k, rules.samples, rules.seed = check.int(1), check.int(1), check.int(1), check.int(0)
  local o = check.options(where, options, rules, defaults)
  if not o.d or not o.k then check.fail(where, "expected the task's d and k") end
  o.seed = o.seed or current.stream "probe"
  return o
end

-- Mean and standard deviation of a list.
local function moments(list)
  local sum, squares = 0, 0
  for _, v in ipairs(list) do sum = sum + v end
  local mean = sum / #list
  for _, v in ipairs(list) do squares = squares + (v - mean) ^ 2 end
  return mean, math.sqrt(squares / math.max(1, #list - 1))
end

--- Correlation of A f(x) with each coordinate, over many projections A ~ N(0, 1/m)^{1×m} of the layer's m units. Where the
--- network has found the support, the correlations spread far wider inside of it than outside.
--- Returns { inside = mean spread over the support, outside =, ratio = inside / outside, spread = { per coordinate },
--- values = Tensor [d, projections] }.
---@param model Module
---@param options {d: number, k: number, layer: string, projections: number?, samples: number?, seed: number?}
function probe.correlation(model, options)
  local o = options_of("probe.correlation", model, options, { layer = check.string, projections = check.int(2) },
    { projections = 500, samples = 20000 })
  if not o.layer then check.fail("probe.correlation", "expected layer = the path of the hidden layer, such as 'layers.1'") end
  local sum, width
  over_samples(model, o, function(x)
    local _, taps = model:forward_taps(x, { o.layer }, { stop = true })
    return taps[o.layer]:flatten(1)
  end, function(x, hidden)
    if not sum then
      width = hidden:size(1)
      sum = ops.zeros({ o.d, width }, { dtype = "float64" })
    end
    sum:add_(x:t():matmul(hidden))
    return sum
  end)
  local a = ops.randn({ width, o.projections }, { generator = engine.generator(files.derive_seed(o.seed, "projections")) })
  local values = (sum / o.samples):float():matmul(a / math.sqrt(width))
  local spread = values:std({ dim = { 1 } }):double():totable()
  local inside, outside = {}, {}
  for j, s in ipairs(spread) do table.insert(j <= o.k and inside or outside, s) end
  local one, other = moments(inside), #outside > 0 and moments(outside) or 0 / 0
  return { inside = one, outside = other, ratio = one / other, spread = spread, values = values }
end

-- All subsets of `degree` among the first k coordinates.
local function subsets(k, degree)
  local list, chosen = {}, {}
  local function choose(from)
    if #chosen == degree then
      list[#list + 1] = { unpack(chosen) }
      return
    end
    for j = from, k - 1 do
      chosen[#chosen + 1] = j
      choose(j + 1)
      chosen[#chosen] = nil
    end
  end
  choose(0)
  return list
end

-- Up to `count` different sets of `degree` coordinates that are not all inside of the support.
local function outsiders(d, k, degree, count, seed)
  local list, seen, generator = {}, {}, engine.generator(files.derive_seed(seed, "monomials", degree))
  for _ = 1, 20 * count do
    if #list == count then break end
    local set = ops.randperm(d, { generator = generator }):slice(0, 0, degree):sort():totable()
    local key = table.concat(set, " ")
    if set[degree] >= k and not seen[key] then
      seen[key] = true
      list[#list + 1] = set
    end
  end
  return list
end

--- |mean(monomial(x) · p1(x))| of the model's probability of class 1, degree by degree: every monomial inside of the
--- support against `count` random ones that reach outside. Returns { [degree] = { inside =, outside =, outside_sd =,
--- n_inside =, n_outside = } }, the means over the monomials.
---@param model Module
---@param options {d: number, k: number, degrees: number?, samples: number?, count: number?, seed: number?}
function probe.monomials(model, options)
  local o = options_of("probe.monomials", model, options, { degrees = check.int(1), count = check.int(1) },
    { degrees = 5, samples = 100000, count = 100 })
  local degrees = math.min(o.degrees, o.k)
  local sets = {}  -- in order of degree, inside first
  for degree = 1, degrees do
    for _, set in ipairs(subsets(o.k, degree)) do
      sets[#sets + 1] = { set = engine.tensor(set, "int64"), degree = degree, inside = true }
    end
    if o.d > o.k then
      for _, set in ipairs(outsiders(o.d, o.k, degree, o.count, o.seed)) do
        sets[#sets + 1] = { set = engine.tensor(set, "int64"), degree = degree }
      end
    end
  end
  local sums = ops.zeros({ #sets }, { dtype = "float64" })
  over_samples(model, o, function(x) return model(x):softmax(-1):select(-1, 1) end, function(x, p)
    local columns = x:t():contiguous()
    for i, one in ipairs(sets) do
      local monomial = columns:index_select(0, one.set):prod(0)
      sums[i - 1]:add_(monomial:dot(p))
    end
  end)
  local values, result = (sums / o.samples):abs():totable(), {}
  for degree = 1, degrees do
    local inside, outside = {}, {}
    for i, one in ipairs(sets) do
      if one.degree == degree then table.insert(one.inside and inside or outside, values[i]) end
    end
    local mean, sd = moments(outside)
    result[degree] = { inside = (moments(inside)), outside = mean, outside_sd = sd, n_inside = #inside, n_outside = #outside }
  end
  return result
end

return probe
