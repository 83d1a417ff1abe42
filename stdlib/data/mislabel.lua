--- Wrong labels on purpose, the usual test of what a curriculum does with noise (Zhang et al. 2017, arXiv:1611.03530).
local engine = require "gradus.engine"
local check = require "gradus.base.check"
local current = require "gradus.base.current"
local labels = require "gradus.data.labels"

local ops = engine.ops

--- The base of a data set in which a share of these rows has a wrong class; `truth` keeps the classes as they were.
---@param base table
---@param index Tensor     int64 [n], rows
---@param share number
---@param options? {pairs: boolean, seed: number}
---@return table base
return function(base, index, share, options)
  local o = check.options("mislabel", options, { pairs = check.boolean, seed = check.int(0) })
  check.value("mislabel", "share", share, check.number(0, 1))
  local of = base.labels
  if of.kind ~= "classes" then check.fail("mislabel", "expected classes as labels; got %s", labels.text(of)) end
  if of.classes < 2 then check.fail("mislabel", "one class cannot be mistaken for another; expected 2 or more") end
  local generator = engine.generator(o.seed or current.stream "mislabel")
  local known = index:masked_select(base.y:index_select(0, index):ne(labels.none))
  local wrong = math.floor(share * known:size(0) + .5)
  local rows = known:index_select(0, ops.randperm(known:size(0), { generator = generator }):slice(0, 0, wrong))
  local shift = o.pairs and 1 or ops.randint(1, of.classes, { wrong }, { generator = generator })
  local made = {}
  for name, value in pairs(base) do made[name] = value end
  made.y = base.y:index_copy(0, rows, (base.y:index_select(0, rows) + shift):remainder(of.classes))
  made.truth, made.origin, made.hash = base.truth or base.y, base.origin or base.hash, nil
  return made
end
