--- The label column of a CSV file. Texts are classes. Whole numbers are classes where they are 0 … C - 1 or 1 … C, each of them
--- in some row, and C is at most √rows (2 at least), or where there are two of them, such as -1 and 1; all else are numbers.
--- What is not as it stands in the file is told.
local engine = require "gradus.engine"
local check = require "gradus.base.check"
local labels = require "gradus.data.labels"

local column = {}

--- How read_csv shall take the column.
function column.reading(o)
  if o.labels == "numbers" then return "value" end
  return (o.labels == "classes" or type(o.classes) == "table") and "class" or "auto"
end

local function text_of(value) return ("%.17g"):format(value) end

-- y (whole numbers) as the places of their values in a sorted list.
local function placed(y, values)
  local place, list = {}, y:totable()
  for i, value in ipairs(values) do place[value] = i - 1 end
  for i, value in ipairs(list) do list[i] = place[value] end
  return engine.tensor(list, "int64")
end

local function are_from(values, first)
  return values[1] == first and values[#values] == first + #values - 1
end

local function texts_of(values)
  local texts = {}
  for i, value in ipairs(values) do texts[i] = text_of(value) end
  return texts
end

-- Different values of whole numbers, in order.
local function distinct(y)
  local values, seen = {}, {}
  for _, value in ipairs(y:totable()) do
    if not seen[value] then seen[value], values[#values + 1] = true, value end
  end
  table.sort(values)
  return values
end

-- Whole numbers that nobody said what they are.
local function guess(where, y)
  local values = distinct(y)
  local believed = labels.are_believable(#values, y:numel())
  if believed and are_from(values, 0) then return y, "classes", #values end
  if #values == 2 or (believed and are_from(values, 1)) then
    local names = texts_of(values)
    labels.tell(("%s: labels %s are taken as the classes 0 to %d; expected labels = 'classes', or labels = 'numbers'")
      :format(where, table.concat(names, ", "), #names - 1))
    return placed(y, values), "classes", names
  end
  labels.tell(("%s: labels of %d whole numbers from %d to %d are taken as numbers; expected labels = 'classes' if they are that, or "
    .. "labels = 'numbers'"):format(where, #values, values[1], values[#values]))
  return y, "numbers"
end

-- Classes that were read as texts, as their numbers order them where all are whole numbers.
local function in_order_of_numbers(y, names)
  local values, sorted = {}, {}
  for i, name in ipairs(names) do
    local value = tonumber(name)
    if not value or value % 1 ~= 0 or math.abs(value) > 2 ^ 53 or text_of(value) ~= name then return y, names end
    values[i], sorted[i] = value, value
  end
  table.sort(sorted)
  y = placed(engine.tensor(values, "int64"):index_select(0, y), sorted)
  if are_from(sorted, 0) then return y, #sorted end
  return y, texts_of(sorted)
end

--- y, what it is ("classes" or "numbers") and the classes, a number or names.
---@param where string
---@param read {y: Tensor, classes: string[]?}   of read_csv
---@param o {labels: string?, classes: number|string[]?}
function column.judge(where, read, o)
  local y, names = read.y, read.classes
  if type(o.classes) == "table" then return y, "classes", o.classes end
  if o.labels == "numbers" then return y, "numbers", o.classes end
  if type(o.classes) == "number" then
    if not names then return y, "classes", o.classes end
    local plain = {}
    for i, name in ipairs(names) do plain[i] = tonumber(name) end
    if #plain == #names then return engine.tensor(plain):index_select(0, y), "classes", o.classes end
    if #names ~= o.classes then check.fail(where, "%d different labels; expected classes = %d of them", #names, o.classes) end
    return y, "classes", names
  end
  if names then
    if o.labels then y, names = in_order_of_numbers(y, names) end
    return y, "classes", names
  end
  if y.dtype ~= "int64" then return y, "numbers" end
  return guess(where, y)
end

local read_before = {}  -- label and columns -> { path, names }

--- Tells where a file with the same columns as one before has other classes: its class 0 would be another one.
function column.compare(where, path, d, label)
  local names = d.labels.names
  if not names then return end
  local key = tostring(label) .. "\n" .. table.concat(d.base.columns, "\n")
  local before = read_before[key]
  if not before then
    read_before[key] = { path, names }
  elseif table.concat(before[2], "\n") ~= table.concat(names, "\n") then
    labels.tell(("%s: the classes are %s, in %s they are %s: one number stands for two classes; expected like = … or classes = { … }")
      :format(where, table.concat(names, ", "), before[1], table.concat(before[2], ", ")))
  end
end

return column
