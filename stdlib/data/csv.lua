--- Data sets from CSV files.
---   data.csv("points.csv", { label = "class" })                                texts as labels are classes
---   data.csv("cars.csv", { label = "mpg", skip = { "model" }, categories = { "origin" }, missing = "drop" })
---   data.csv("test.csv", { like = train })                                    read as train was, classes by name
local engine = require "gradus.engine"
local check = require "gradus.base.check"
local column = require "gradus.data.column"
local data = require "gradus.data.dataset"
local labels = require "gradus.data.labels"
local standardize = require "gradus.data.standardize"

local files = engine.data
local CSV_FORM = 'data.csv("points.csv", { label = "class" })'
local SEVERAL = "labels in several columns: expected x = g.data.csv(path):gather(), then g.data.tensors(x:narrow(1, 0, 6), "
  .. "x:narrow(1, 6, 3), { labels = \"multilabel\" }), or \"numbers\""
local CLASSES = check.either(check.int(1), check.list(check.string))
local MISSING = check.choice("drop", "unlabelled", "unlabeled")
local CSV = { label = check.either(check.string, check.int()), header = check.boolean, separator = check.string, like = check.any,
  labels = check.choice("classes", "numbers"), classes = CLASSES, skip = check.list(check.string),
  categories = check.list(check.string), missing = check.either(MISSING, check.list(MISSING)) }

-- What `like`, a data set, says of labels and classes.
local function take_after(where, o)
  local like = o.like
  if like == nil then return end
  if not data.is(like) then check.fail(where, "like: expected a data set; got %s", check.describe(like)) end
  if o.labels or o.classes then check.fail(where, "like says what labels are; expected no labels or classes beside it") end
  for _, name in ipairs { "label", "skip", "missing" } do
    if o[name] == nil then o[name] = like.base[name] end
  end
  if o.categories == nil and like.base.categories then
    o.categories = {}
    for name in pairs(like.base.categories) do table.insert(o.categories, name) end
    table.sort(o.categories)
  end
  local of = like.labels
  if of.kind == "none" then return end
  if of.kind ~= "classes" and of.kind ~= "numbers" then
    check.fail(where, "like: expected classes or numbers as its labels; got %s", of.kind)
  end
  o.labels, o.classes = of.kind, of.names or of.classes
end

local function check_columns(where, columns, like)
  local expected = like and like.base.columns
  for i = 1, expected and math.max(#expected, #columns) or 0 do
    if columns[i] ~= expected[i] then
      check.fail(where, "feature %d is '%s'; expected '%s', as like has", i, columns[i] or "none", expected[i] or "none")
    end
  end
end

local MOST_WORDS = 1000  -- columns that a column of words may become

-- Which column of 0 and 1 each word has: in the order of `like`, else sorted.
local function words_of(where, name, words, like)
  local known = like and like.base.categories and like.base.categories[name]
  if not known then
    if #words > MOST_WORDS then
      check.fail(where, "categories: '%s' has %d different words; expected at most %d", name, #words, MOST_WORDS)
    end
    return words
  end
  local place = {}
  for i, word in ipairs(known) do place[word] = i end
  for _, word in ipairs(words) do
    if not place[word] then check.fail(where, "'%s' in column '%s'; expected one of the words that like has", word, name) end
  end
  return known, place
end

-- "drop", "unlabelled" or "drop unlabelled", as read_csv has it.
local function missing_of(given)
  local text = type(given) == "table" and table.concat(given, " ") or given
  return text and text:gsub("unlabeled", "unlabelled") or nil
end

-- Labels of the rows that have one -> of all rows, -100 in the others.
local function with_unlabelled(where, y, kind, unlabelled)
  if kind ~= "classes" then
    check.fail(where, "%d rows without a label, and labels are numbers; expected missing = 'drop', or labels = 'classes'",
      unlabelled:sum():item())
  end
  local all = engine.ops.full({ unlabelled:size(0) }, labels.none, { dtype = y.dtype })
  all[unlabelled:logical_not()] = y
  return all
end

-- Columns of words as one column of 0 and 1 for each word, named "sex=female".
local function one_hot(where, read, like)
  if next(read.levels) == nil then return read.x, read.columns end
  local parts, columns, categories = {}, {}, {}
  for i, name in ipairs(read.columns) do
    local part, found = read.x:slice(1, i - 1, i), read.levels[i - 1]
    if found then
      local words, place = words_of(where, name, found, like)
      local at = part:select(1, 0):long()
      if place then
        local moved = {}
        for k, word in ipairs(found) do moved[k] = place[word] - 1 end
        at = engine.tensor(moved, "int64"):index_select(0, at)
      end
      part, categories[name] = at:one_hot(#words):float(), words
      for _, word in ipairs(words) do columns[#columns + 1] = name .. "=" .. word end
    else
      columns[#columns + 1] = name
    end
    parts[#parts + 1] = part
  end
  return engine.ops.cat(parts, 1), columns, categories
end

--- A CSV file, `.gz` too. `label` names or numbers (from 0) the label column; the other columns are the features. Labels may
--- be text: classes are numbered in sorted order, or as `classes` says; like = train takes them from another data set, and with them
--- what it was standardized by (d:standardize). Whole numbers are classes where they are 0 … C - 1 or 1 … C, each in some row, and C is
--- at most √rows (2 at least), or where there are two of them; all else are numbers. What is guessed is told.
---@param path string
---@param options? {label: string|number?, header: boolean?, separator: string?, labels: string?, classes: number|string[]?,
---   like: Dataset?, skip: string[]?, categories: string[]?, missing: string|string[]?}
---   label: the column's name, or its number from 0; none: no labels; header: whether the first row is names, where it cannot be told;
---   separator: ","; labels: "classes" or "numbers"; classes: how many, or their names in order; like: what this file is read as; skip:
---   columns that are left out; categories: columns of words, each word a column of 0 and 1; missing: "drop" leaves out rows with an
---   empty cell, NA or NaN, "unlabelled" keeps rows whose label is one, for the teacher alone (y is -100), { "drop", "unlabelled" } does
---   both
---@return Dataset
return function(path, options)
  if type(path) ~= "string" then check.fail("data.csv", "expected %s; got %s", CSV_FORM, check.describe(path)) end
  if options ~= nil and (type(options) ~= "table" or options[1] ~= nil) then
    check.fail("data.csv", "expected %s; got %s as options", CSV_FORM, check.describe(type(options) == "table" and options[1] or options))
  end
  if options and (type(options.label) == "table" or type(options.labels) == "table") then check.fail("data.csv", SEVERAL) end
  local where = "data.csv: " .. path
  local o = check.options("data.csv", options, CSV)
  take_after("data.csv", o)
  local read = files.read_csv(path, { label = o.label, header = o.header, separator = o.separator,
    labels = column.reading(o), classes = type(o.classes) == "table" and o.classes or nil, skip = o.skip, categories = o.categories,
    missing = missing_of(o.missing) })
  local x, columns, categories = one_hot(where, read, o.like)
  check_columns(where, columns, o.like)
  local y, as = read.y, { labels = o.labels, classes = o.classes, name = path }
  if y then
    where = ("%s: column %s"):format(where, type(o.label) == "string" and "'" .. o.label .. "'" or o.label)
    y, as.labels, as.classes = column.judge(where, read, o)
    if read.unlabelled then y = with_unlabelled(where, y, as.labels, read.unlabelled) end
  end
  local d = data.from_outside(where, x, y, as)
  d.base.columns, d.base.categories, d.base.label = columns, categories, o.label
  d.base.skip, d.base.missing, d.base.dropped = o.skip, o.missing, read.dropped
  if not (o.like or o.classes) then column.compare(where, path, d, o.label) end
  local scaling = o.like and o.like.base.scaling
  return scaling and data.of_base(standardize.base(d.base, scaling)) or d
end
