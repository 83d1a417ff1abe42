--- Whether two sets of rows are of one distribution: the kernel two-sample test (Gretton et al., "A kernel two-sample test", JMLR 13,
--- 2012). It trains nothing: what it compares are mean similarities of rows within each set and across.
local engine = require "gradus.engine"
local check = require "gradus.base.check"
local tensor = require "gradus.base.tensor"

local ops = engine.ops
local WHERE = "probe.two_sample"

-- [n, F] in double, on the CPU; rows of more dimensions are flattened.
local function rows_of(name, x)
  check.value(WHERE, name, x, check.tensor)
  if x:dim() < 2 or x:size(0) < 2 or x:numel() == 0 then
    check.fail(WHERE, "%s: expected two rows or more, [n, features]; got %s", name, check.describe(x))
  end
  x = x:detach():cpu():double():flatten(1)
  if not x:isfinite():all():item() then check.fail(WHERE, "%s: expected finite values; got NaN or infinity", name) end
  return x
end

local function at_most(x, rows, generator)
  return x:size(0) <= rows and x or x:index_select(0, ops.randperm(x:size(0), { generator = generator }):slice(0, 0, rows))
end

-- Squared distances of all rows, [N, N].
local function distances(z)
  local squares = z:square():sum { dim = { 1 } }
  return (squares:unsqueeze(0) + squares:unsqueeze(1) - z:matmul(z:t()) * 2):clamp_min(0)
end

-- The median distance between two rows of all; where most rows are alike, of those that are apart. 0: all rows are one.
local function bandwidth_of(squared)
  local n = squared:size(0)
  local pairs_of = squared:masked_select(ops.triu(ops.ones { n, n }, 1):gt(0)):sqrt()
  local median = ops.quantile(pairs_of, .5):item()
  if median == 0 then
    pairs_of = pairs_of:masked_select(pairs_of:gt(0))
    median = pairs_of:numel() > 0 and ops.quantile(pairs_of, .5):item() or 0
  end
  return median
end

-- MMD², unbiased (equation 3), of each division of the rows: first is [B, N], 1 where a row counts as of the first set, n of them.
local function squared_mmd(kernel, first, n)
  local second, m = 1 - first, kernel:size(0) - n
  local to_first = first:matmul(kernel)
  local within, across = (to_first * first):sum { dim = { 1 } }, (to_first * second):sum { dim = { 1 } }
  local others = (second:matmul(kernel) * second):sum { dim = { 1 } }
  return within / (n * (n - 1)) + others / (m * (m - 1)) - across * (2 / (n * m))
end

-- Divisions by chance, of n rows against the others: [count, N].
local function divisions(count, n, all, generator)
  local order = ops.rand({ count, all }, { generator = generator }):argsort(1)
  return ops.zeros({ count, all }, { dtype = "float64" }):scatter(1, order:slice(1, 0, n), 1)
end

--- The kernel two-sample test: how far two sets of rows are apart, and how often rows that are dealt out by chance are as far.
--- MMD² is its unbiased estimate with a Gaussian kernel exp(−‖x − y‖² / 2σ²), σ the median distance between two rows of both sets; 0 on
--- average where both are of one distribution. p is that of a permutation test: (1 + divisions that are as far) / (1 + permutations).
--- Returns { mmd2 =, p =, bandwidth = σ, rows = { n, m } }; where all rows are one, mmd2 is 0 and p 1.
---   local found = probe.two_sample(g.randn(100, 4), g.randn(80, 4) + 1)
---   print(found.mmd2, found.p)
---@param a Tensor   [n, …], such as a teacher's logits on one part of the data
---@param b Tensor   [m, …], as many features
---@param options? {permutations: number?, rows: number?, seed: number?}  permutations: 500; rows: of each set, chosen by chance where
---   there are more, 256; seed: 0
---@return {mmd2: number, p: number, bandwidth: number, rows: number[]}
return function(a, b, options)
  local o = check.options(WHERE, options, { permutations = check.int(1), rows = check.int(2, 2000), seed = check.int(0) },
    { permutations = 500, rows = 256, seed = 0 })
  return tensor.no_grad(function()
    local x, y, generator = rows_of("a", a), rows_of("b", b), engine.generator(o.seed)
    if x:size(1) ~= y:size(1) then
      check.fail(WHERE, "b: expected %d features, as a has; got %d", x:size(1), y:size(1))
    end
    x, y = at_most(x, o.rows, generator), at_most(y, o.rows, generator)
    local n, m = x:size(0), y:size(0)
    local squared = distances(ops.cat({ x, y }, 0))
    local sigma = bandwidth_of(squared)
    local found = { mmd2 = 0, p = 1, bandwidth = sigma, rows = { n, m } }
    if sigma == 0 then return found end
    local kernel = ops.exp(squared / (-2 * sigma ^ 2)) - ops.eye(n + m, { dtype = "float64" })  -- no row is compared with itself
    local given = ops.cat({ ops.ones({ 1, n }, { dtype = "float64" }), ops.zeros({ 1, m }, { dtype = "float64" }) }, 1)
    found.mmd2 = squared_mmd(kernel, given, n):item()
    local chance = squared_mmd(kernel, divisions(o.permutations, n, n + m, generator), n)
    found.p = (1 + chance:ge(found.mmd2 - 1e-12):sum():item()) / (1 + o.permutations)
    return found
  end)
end
