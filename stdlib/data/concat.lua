--- Data sets one after the other.
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local data = require "gradus.data.dataset"
local labels = require "gradus.data.labels"

local ops = engine.ops

-- Names of all parts, in the order in which they are met; nil where none has names.
local function all_names(parts)
  local names, place = {}, {}
  for _, part in ipairs(parts) do
    for _, name in ipairs(part.names or {}) do
      if not place[name] then
        names[#names + 1] = name
        place[name] = #names - 1
      end
    end
  end
  return #names > 0 and names or nil, place
end

local function renumbered(y, names, place)
  local to = {}
  for i, name in ipairs(names) do to[i] = place[name] end
  local moved = engine.tensor(to, "int64"):index_select(0, y:clamp_min(0))
  return ops.where(y:ne(labels.none), moved, y)
end

-- The labels of data sets one after the other: classes are joined by their names, rows of a part without labels have none.
-- parts: { y, labels, rows }, …; returns y and the options that data.tensors needs.
local function joined(parts)
  local first
  for _, part in ipairs(parts) do first = first or (part.labels.kind ~= "none" and part.labels) or nil end
  if not first then
    for i, part in ipairs(parts) do
      if part.labels.answers ~= parts[1].labels.answers then
        check.fail("data.concat", "argument %d has %s; expected %s, as others have", i, labels.text(part.labels),
          labels.text(parts[1].labels))
      end
    end
    return nil, { answers = parts[1].labels.answers }
  end
  local of, ys, classes = {}, {}, 0
  for i, part in ipairs(parts) do of[i] = part.labels end
  local names, place = all_names(of)
  for i, part in ipairs(parts) do
    local own = part.labels
    if own.kind == "none" and first.kind ~= "classes" then
      check.fail("data.concat", "argument %d has no labels; expected %s, as others have (a row may lack a class, but nothing else)", i,
        labels.text(first))
    elseif own.kind ~= "none" and (own.kind ~= first.kind or own.width ~= first.width) then
      check.fail("data.concat", "argument %d has %s; expected %s, as others have", i, labels.text(own), labels.text(first))
    end
    ys[i] = part.y or ops.full({ part.rows }, labels.none, { dtype = "int64" })
    if own.names and first.kind == "classes" then ys[i] = renumbered(ys[i], own.names, place) end
    classes = math.max(classes, own.classes or 0)
  end
  if names then classes = #names >= classes and names or math.max(classes, #names) end
  return ops.cat(ys, 0), { labels = first.kind, classes = first.kind ~= "numbers" and classes ~= 0 and classes or nil }
end

local function same_list(a, b) return table.concat(a or {}, "\n") == table.concat(b or {}, "\n") end

local function same_scaling(a, b)
  if a == nil or b == nil then return a == b end
  return a.mean:equal(b.mean) and a.std:equal(b.std)
end

-- Refuses rows that do not mean the same as the first data set's.
local function check_inputs(i, base, first)
  local where, x, like = ("data.concat: argument %d"):format(i), base.x, first.x
  if table.concat(x.shape, "×", 2) ~= table.concat(like.shape, "×", 2) or x.dtype ~= like.dtype then
    check.fail(where, "expected rows as the first has, x %s; got %s", check.describe(like), check.describe(x))
  end
  if not same_list(base.columns, first.columns) and base.columns and first.columns then
    check.fail(where, "has the columns %s; expected %s, as the first", table.concat(base.columns, ", "), table.concat(first.columns, ", "))
  end
  if not same_scaling(base.scaling, first.scaling) then
    check.fail(where, "is %s, unlike the first; expected one standardize for all, or it after concat",
      base.scaling and "standardized by numbers of its own" or "not standardized")
  end
end

-- The classes before mislabel; nil where none of the parts was mislabelled.
local function true_labels(parts)
  local known, any = {}, false
  for i, part in ipairs(parts) do
    known[i] = { y = part.truth or part.y, labels = part.labels, rows = part.rows }
    any = any or part.truth ~= nil
  end
  return any and joined(known) or nil
end

--- Two or more data sets, one after the other. Classes are joined by their names where they have some; the rows of a part
--- without labels beside classes have none (-100).
---@param ... Dataset
---@return Dataset
return function(...)
  local given, xs, parts, weights = { ... }, {}, {}, {}
  if select("#", ...) == 0 then host.fail "data.concat: expected data sets: data.concat(a, b)" end
  for i = 1, select("#", ...) do
    local d = given[i]
    if not data.is(d) then host.fail(("data.concat: argument %d: expected a data set; got %s"):format(i, check.describe(d))) end
    if (d.base.weight == nil) ~= (given[1].base.weight == nil) then
      host.fail(("data.concat: argument %d has %s weights, unlike the first"):format(i, d.base.weight and "its" or "no"))
    end
    if d.base.masking then host.fail(("data.concat: argument %d holds tokens to be masked; expected one text file of all"):format(i)) end
    check_inputs(i, d.base, given[1].base)
    local y
    xs[i], y = d:gather()
    parts[i] = { y = y, truth = d.base.truth and d:true_labels(), labels = d.labels, rows = d:size() }
    weights[i] = d.base.weight and d.base.weight:index_select(0, d.index)
  end
  local y, options = joined(parts)
  options.name, options.weight = "concat", weights[1] and ops.cat(weights, 0)
  local whole, first = data.make("data.concat", ops.cat(xs, 0), y, options), given[1].base
  whole.base.scaling, whole.base.columns, whole.base.categories = first.scaling, first.columns, first.categories
  whole.base.truth = true_labels(parts)
  return whole
end
