--- Probes: what a network's hidden layer or output has to do with the coordinates of a sparse parity, or with the parse tree
--- of a sentence. They draw from random streams of their own and leave the model's mode and every stream of the run as they were.
---   probe.correlation(model, { d = 50, k = 5, layer = "layers.1" })       figure 2 of Gupta & Karmalkar 2025
---   probe.monomials(model, { d = 50, k = 5 })                             degree by degree, after Panigrahi et al. 2024
---   probe.landscape(model, d.val)                                         the loss around the weights, Li et al. 2018
---   probe.two_sample(teacher(synthetic), teacher(real))                   are they of one distribution? Gretton et al. 2012
---   probe.boundary(model, { grammar = cfg.cfg3b(), layer = "encoder.layers.2" })   where non-terminals end
local engine = require "gradus.engine"
local cfg = require "gradus.data.cfg"
local check = require "gradus.base.check"
local current = require "gradus.base.current"
local modes = require "gradus.base.modes"
local nn = require "gradus.nn"
local optim = require "gradus.optim.optimizer"
local taken_by = require "gradus.base.taken_by"
local tensor = require "gradus.base.tensor"

local ops, files = engine.ops, engine.data
local probe = {}

local CHUNK = 4096

-- How many samples are asked for: a dry run is content with few.
local function samples_of(asked, few)
  local run = current.run
  return run and rawget(run, "dry") and math.min(asked, few) or asked
end

-- Calls fn() without gradients, with the model in evaluation mode.
local function undisturbed(model, fn) modes.evaluating(model, tensor.no_grad, fn) end

-- Calls visit(x, of) with chunks of fresh samples; `of` is what the model makes of them.
local function over_samples(model, o, run, visit)
  undisturbed(model, function()
    for first = 0, o.samples - 1, CHUNK do
      local x = files.parity { d = o.d, k = o.k, seed = files.derive_seed(o.seed, "samples"), first = first,
        size = math.min(CHUNK, o.samples - first) }
      tensor.scope(function() return visit(x, run(taken_by(model, x:to(model:device()))):cpu():float()) end)  -- what visit returns is kept
    end
  end)
end

local function check_module(where, model)
  if type(model) ~= "table" or not model.forward_taps then check.fail(where, "expected a module; got %s", check.describe(model)) end
end

local function options_of(where, model, options, rules, defaults)
  check_module(where, model)
  rules.d, rules.k, rules.samples, rules.seed = check.int(1), check.int(1), check.int(1), check.int(0)
  local o = check.options(where, options, rules, defaults)
  if not o.d or not o.k then check.fail(where, "expected the task's d and k") end
  o.seed, o.samples = o.seed or current.stream "probe", samples_of(o.samples, 64)
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

--- What figure 2 shows of a correlation: up to `count` of its values inside and as many outside of the support, one
--- projection after the other, each with all its coordinates. Kept by run:event("spread", name, …) over the training, they are
--- drawn by `gradus plot --kind spread NAME`: a cloud that parts.
---@param found table    of probe.correlation
---@param k number       the size of the support, which is the first k coordinates
---@param count? number  60
---@return {inside: number[], outside: number[]}
function probe.spread(found, k, count)
  if type(found) ~= "table" or not engine.is_tensor(found.values) then
    check.fail("probe.spread", "expected what probe.correlation returns; got %s", check.describe(found))
  end
  check.value("probe.spread", "k", k, check.int(1, found.values:size(0)))
  check.value("probe.spread", "count", count or 60, check.int(1))
  local function some(rows)
    local list = rows:t():flatten():slice(0, 0, count or 60):totable()
    for i, v in ipairs(list) do list[i] = tonumber(("%.4g"):format(v)) end
    return list
  end
  return { inside = some(found.values:slice(0, 0, k)), outside = some(found.values:slice(0, k)) }
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

-- --- parse trees -------------------------------------------------------------------------------------------------------

-- Depth of the tree below the root, along first symbols: cfg3b's branches are all as deep.
local function depth_of(grammar)
  local depth, symbol = 0, grammar.root
  while grammar.rules[symbol] do depth, symbol = depth + 1, grammar.rules[symbol][1][1] end
  return depth
end

--- Sentences n = first … first + count - 1 as tokens [count, L], the places of their terminals in the flattened tokens,
--- int64 [M], and whether a symbol of depth 2, 3, … ends there: float32 [M, depths]. (That of depth 1 ends the sentence.)
---@param grammar Grammar
---@param seed number
---@param first number
---@param count number
function probe.boundaries(grammar, seed, first, count)
  check.value("probe.boundaries", "first", first, check.int(0))
  check.value("probe.boundaries", "count", count, check.int(1))
  local alphabet, depths, sentences, places, labels = cfg.alphabet(grammar), depth_of(grammar), {}, {}, {}
  for s = 1, count do
    local ends = {}
    sentences[s] = cfg.sentence(grammar, seed, first + s - 1, ends)
    for i = 1, #sentences[s] do
      places[#places + 1] = (s - 1) * alphabet.length + i
      local row = {}
      for depth = 2, depths do row[depth - 1] = ends[i] and ends[i][depth] and 1 or 0 end
      labels[#labels + 1] = row
    end
  end
  return cfg.encode(alphabet, sentences), engine.tensor(places, "int64"), engine.tensor(labels, "float32")
end

-- The hidden states [M, W] at the terminals of `count` sentences, and their labels [M, depths].
local function states_at_boundaries(model, o, first, count)
  local hidden, labels, at_once = {}, {}, math.max(1, math.floor(2 * CHUNK / cfg.alphabet(o.grammar).length))
  undisturbed(model, function()
    for from = first, first + count - 1, at_once do
      local x, places, ends = probe.boundaries(o.grammar, o.seed, from, math.min(at_once, first + count - from))
      hidden[#hidden + 1] = tensor.scope(function()
        local _, taps = model:forward_taps(x:to(model:device()), { o.layer }, { stop = true })
        return taps[o.layer]:cpu():float():flatten(0, 1):index_select(0, places)
      end)
      labels[#labels + 1] = ends
    end
  end)
  return ops.cat(hidden, 0), ops.cat(labels, 0)
end

-- Logistic regression of labels [M, D] on x [M, W], all D at once, from zero, by Adam on all rows. Returns logits of rows.
local function logistic(x, labels, steps)
  local mean, sd = x:mean { dim = { 0 } }, x:std { dim = { 0 }, correction = 0 }:clamp_min(1e-6)
  local weight = nn.Parameter(ops.zeros { x:size(1), labels:size(1) })
  local bias = nn.Parameter(ops.zeros { labels:size(1) })
  local optimizer = optim.Adam({ weight, bias }, { lr = .05 })
  local function logits(rows) return ((rows - mean) / sd):matmul(weight) + bias end
  for _ = 1, steps do
    tensor.scope(function() optimizer:minimize(ops.binary_cross_entropy_with_logits(logits(x), labels)) end)
  end
  return function(rows) return tensor.no_grad(logits, rows) end
end

--- Whether a non-terminal of each depth of the parse tree ends at a terminal, told from the hidden state there by a linear
--- classifier (Allen-Zhu & Li 2023, arXiv:2305.13673, section 4; theirs also looks at other positions). The model sees whole
--- sentences; a quarter of them, held out from the classifier, is what it is judged on.
--- Returns { [depth] = { accuracy =, majority = of always saying the more frequent, balanced = mean over ends and others } },
--- from depth 2: at depth 1 the whole sentence ends.
---@param model Module      of tokens as cfg.encode makes them
---@param options {grammar: Grammar, layer: string, sentences: number?, steps: number?, seed: number?}  400 sentences, 200 steps
function probe.boundary(model, options)
  check_module("probe.boundary", model)
  local o = check.options("probe.boundary", options, { grammar = check.table, layer = check.string, sentences = check.int(4),
    steps = check.int(1), seed = check.int(0) }, { sentences = 400, steps = 200 })
  if not o.grammar or not o.layer then
    check.fail("probe.boundary", "expected a grammar, and layer = the path of the hidden layer, such as 'encoder.layers.2'")
  end
  o.seed = o.seed or current.stream "probe"
  o.sentences = samples_of(o.sentences, 8)
  local split = math.floor(.75 * o.sentences)
  local hidden, known = states_at_boundaries(model, o, 0, split)
  local of = logistic(hidden, known, o.steps)
  local x, labels = states_at_boundaries(model, o, split, o.sentences - split)
  local said, is = of(x):gt(0), labels:gt(.5)
  local right, result = said:eq(is):float(), {}
  local function share(mask) return (right * mask):sum(0):double() / mask:sum(0) end
  local ends, others = share(is), share(is:logical_not())
  local accuracy, frequent = right:mean { dim = { 0 } }:totable(), labels:mean { dim = { 0 } }:totable()
  local balanced = ((ends + others) / 2):totable()
  for d = 1, #accuracy do
    result[d + 1] = { accuracy = accuracy[d], majority = math.max(frequent[d], 1 - frequent[d]), balanced = balanced[d] }
  end
  return result
end

probe.landscape = require "gradus.training.landscape"
probe.two_sample = require "gradus.training.two_sample"

return probe
